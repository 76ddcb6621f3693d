//! Regular expressions, written as RE2 takes them, and `replace`.
//!
//! The engine is the `regex` crate, which like RE2 takes time in proportion to
//! the text. Where the two read a pattern differently, [`translate`] rewrites it.

use std::collections::BTreeMap;

use regex::{Captures, Regex, RegexBuilder};

use super::arguments::{Arguments, wrong};
use super::{FunctionError, Signature};
use crate::value::Value;

/// How large a compiled pattern may be, in bytes; the last is the most.
const COMPILED_BYTES: [usize; 4] = [1 << 14, 1 << 16, 1 << 18, 1 << 20];
/// About how many bytes one state of a compiled pattern takes.
const BYTES_A_STATE: usize = 32;
/// How much memory the matcher may use to remember what it worked out, in bytes.
const MAX_DFA: usize = 1 << 20;
/// How long a pattern may be, in bytes.
const MAX_PATTERN: usize = 64 * 1024;

pub(super) const FUNCTIONS: &[Signature] = &[
    Signature::new("regex", &["pattern", "string"], first_match).charges(),
    Signature::new("regexall", &["pattern", "string"], all_matches).charges(),
    Signature::new("regexreplace", &["string", "pattern", "replacement"], |args| {
        let pattern = args.text(1)?;
        replace_matches(args, &pattern)
    })
    .charges(),
    Signature::new("replace", &["string", "substring", "replacement"], replace).charges(),
];

type Outcome = Result<Value, FunctionError>;

/// Compiles the pattern in argument `index`, to be used on `text`.
fn compile(
    args: &Arguments<'_>,
    index: usize,
    pattern: &str,
    text: &str,
) -> Result<Regex, FunctionError> {
    if pattern.len() > MAX_PATTERN {
        return Err(wrong(index, format!("must be at most {MAX_PATTERN} bytes long")));
    }
    let rewritten = translate(pattern);
    let mut last = None;
    // A match goes through all states of the compiled pattern for every byte of
    // the text in the worst case. The pattern does not tell its size, so it is
    // found by trying: the smallest limit that it fits in is what is charged.
    for limit in COMPILED_BYTES {
        let states = limit / BYTES_A_STATE;
        args.charge_steps(states)?;
        let compiled = RegexBuilder::new(&rewritten)
            .size_limit(limit)
            .dfa_size_limit(MAX_DFA)
            .nest_limit(100)
            .build();
        match compiled {
            Err(regex::Error::CompiledTooBig(_)) => {}
            Err(error) => {
                last = Some(error);
                break;
            }
            Ok(regex) => {
                args.cx.budget.charge_handling(states.saturating_mul(text.len()))?;
                return Ok(regex);
            }
        }
    }
    let reason = last.map_or_else(|| "it is too large when compiled".to_owned(), reason);
    Err(wrong(index, format!("must be a regular expression: {reason}")))
}

/// What the `regex` crate says, without the picture of the pattern.
fn reason(error: regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// What a match looks like as a value, the same for every match of a pattern.
enum Shape {
    Whole,
    Numbered,
    Named,
}

fn shape(regex: &Regex) -> Result<Shape, FunctionError> {
    let groups = regex.captures_len() - 1;
    let named = regex.capture_names().flatten().count();
    match (groups, named) {
        (0, _) => Ok(Shape::Whole),
        (_, 0) => Ok(Shape::Numbered),
        (groups, named) if groups == named => Ok(Shape::Named),
        _ => Err(wrong(0, "must not have both named and unnamed groups")),
    }
}

/// The value of one match, charged before it is made.
fn capture(args: &Arguments<'_>, regex: &Regex, shape: &Shape, captures: &Captures<'_>) -> Outcome {
    let group = |index: usize| match captures.get(index) {
        Some(found) => Value::from(found.as_str()),
        None => Value::Null,
    };
    let text: usize = captures.iter().flatten().map(|found| found.as_str().len()).sum();
    let names: usize = regex.capture_names().flatten().map(|name| name.len() + 64).sum();
    args.charge(text + names + (captures.len() + 1) * size_of::<Value>())?;
    Ok(match shape {
        Shape::Whole => group(0),
        Shape::Numbered => Value::List((1..captures.len()).map(group).collect()),
        Shape::Named => Value::Object(
            regex
                .capture_names()
                .enumerate()
                .filter_map(|(index, name)| Some((name?.to_owned(), group(index))))
                .collect::<BTreeMap<_, _>>(),
        ),
    })
}

fn first_match(args: &mut Arguments<'_>) -> Outcome {
    let (pattern, text) = (args.text(0)?, args.text(1)?);
    let regex = compile(args, 0, &pattern, &text)?;
    let shape = shape(&regex)?;
    let captures = regex
        .captures(&text)
        .ok_or_else(|| wrong(0, "must match the string; nothing in it does"))?;
    capture(args, &regex, &shape, &captures)
}

fn all_matches(args: &mut Arguments<'_>) -> Outcome {
    let (pattern, text) = (args.text(0)?, args.text(1)?);
    let regex = compile(args, 0, &pattern, &text)?;
    let shape = shape(&regex)?;
    let mut found = Vec::new();
    for captures in regex.captures_iter(&text) {
        args.charge_steps(1)?;
        found.push(capture(args, &regex, &shape, &captures)?);
    }
    Ok(Value::List(found))
}

fn replace(args: &mut Arguments<'_>) -> Outcome {
    let part = args.text(1)?;
    if let Some(pattern) = part.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        return replace_matches(args, pattern);
    }
    let (text, replacement) = (args.text(0)?, args.text(2)?);
    let matches = if part.is_empty() {
        text.chars().count() + 1
    } else {
        text.matches(part.as_str()).count()
    };
    args.charge(text.len().saturating_add(matches.saturating_mul(replacement.len())))?;
    Ok(Value::String(text.replace(&part, &replacement)))
}

fn replace_matches(args: &mut Arguments<'_>, pattern: &str) -> Outcome {
    let (text, replacement) = (args.text(0)?, args.text(2)?);
    let regex = compile(args, 1, pattern, &text)?;
    let references = replacement.matches('$').count();
    let mut out = String::new();
    let mut end = 0;
    for captures in regex.captures_iter(&text) {
        let Some(whole) = captures.get(0) else { continue };
        let longest = captures.iter().flatten().map(|found| found.len()).max().unwrap_or(0);
        let bound = references.saturating_mul(longest).saturating_add(replacement.len());
        args.charge((whole.start() - end).saturating_add(bound))?;
        args.charge_steps(1 + references)?;
        out.push_str(&text[end..whole.start()]);
        captures.expand(&replacement, &mut out);
        end = whole.end();
    }
    args.charge(text.len() - end)?;
    out.push_str(&text[end..]);
    Ok(Value::String(out))
}

/// Rewrites what RE2 reads differently from the `regex` crate: `\d`, `\s`, `\w`
/// and `\b` are about ASCII, `\Q…\E` quotes, a class does not nest and knows no
/// set operations, and every escaped sign stands for itself.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    // Inside a class: how many of its characters were seen.
    let mut class: Option<usize> = None;
    while let Some(char) = chars.next() {
        match (char, class) {
            ('\\', _) => {
                let Some(escaped) = chars.next() else {
                    out.push('\\');
                    break;
                };
                if escaped == 'Q' && class.is_none() {
                    quote(&mut chars, &mut out);
                } else {
                    escape(escaped, class.is_some(), &mut out);
                }
                class = class.map(|seen| seen + 1);
            }
            ('[', None) => {
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                class = Some(0);
            }
            (']', Some(0)) => {
                // As first character it stands for itself.
                out.push_str("\\]");
                class = Some(1);
            }
            (']', Some(_)) => {
                out.push(']');
                class = None;
            }
            ('[', Some(seen)) => {
                if chars.peek() == Some(&':') {
                    out.push('[');
                    // Up to the `:]` that ends it.
                    while let Some(inner) = chars.next() {
                        out.push(inner);
                        if inner == ':' && chars.peek() == Some(&']') {
                            out.extend(chars.next());
                            break;
                        }
                    }
                } else {
                    out.push_str("\\[");
                }
                class = Some(seen + 1);
            }
            ('&' | '~', Some(seen)) => {
                out.push('\\');
                out.push(char);
                class = Some(seen + 1);
            }
            ('-', Some(seen)) if chars.peek() == Some(&'-') => {
                out.push_str("\\-");
                class = Some(seen + 1);
            }
            (other, _) => {
                out.push(other);
                class = class.map(|seen| seen + 1);
            }
        }
    }
    out
}

/// What stands between `\Q` and `\E` or the end.
fn quote(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    let mut buffer = [0; 4];
    while let Some(char) = chars.next() {
        if char == '\\' && chars.next_if_eq(&'E').is_some() {
            return;
        }
        out.push_str(&regex::escape(char.encode_utf8(&mut buffer)));
    }
}

fn escape(escaped: char, in_class: bool, out: &mut String) {
    let (open, close) = if in_class { ("", "") } else { ("[", "]") };
    match escaped {
        'd' | 's' | 'w' => {
            out.push_str(open);
            out.push_str(ascii_class(escaped));
            out.push_str(close);
        }
        'D' | 'S' | 'W' => {
            out.push_str("[^");
            out.push_str(ascii_class(escaped.to_ascii_lowercase()));
            out.push(']');
        }
        'b' if !in_class => out.push_str("(?-u:\\b)"),
        '<' | '>' => out.push(escaped),
        other => {
            out.push('\\');
            out.push(other);
        }
    }
}

fn ascii_class(letter: char) -> &'static str {
    match letter {
        'd' => "0-9",
        's' => "\\t\\n\\f\\r ",
        _ => "0-9A-Za-z_",
    }
}
