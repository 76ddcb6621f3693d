//! Functions on texts that need neither patterns nor format strings. A character is what a
//! person takes for one: a grapheme cluster.

use std::collections::HashSet;

use unicode_segmentation::UnicodeSegmentation as _;

use super::arguments::{Arguments, failed, wrong};
use super::{FunctionError, Signature};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Signature] = &[
    Signature::new("chomp", &["string"], |args| map_text(args, chomp)),
    Signature::new("endswith", &["string", "suffix"], |args| {
        test_text(args, |text, suffix| text.ends_with(suffix))
    }),
    Signature::new("indent", &["spaces", "string"], indent).charges(),
    Signature::new("join", &["separator", "lists"], join).variadic().charges(),
    Signature::new("lower", &["string"], |args| map_chars(args, lower)),
    Signature::new("split", &["separator", "string"], split).charges(),
    Signature::new("startswith", &["string", "prefix"], |args| {
        test_text(args, |text, prefix| text.starts_with(prefix))
    }),
    Signature::new("strcontains", &["string", "substring"], |args| {
        test_text(args, |text, part| text.contains(part))
    }),
    Signature::new("strlen", &["string"], |args| Ok(count(&args.text(0)?))),
    Signature::new("strrev", &["string"], |args| {
        Ok(Value::String(args.text(0)?.graphemes(true).rev().collect()))
    }),
    Signature::new("substr", &["string", "offset", "length"], substr),
    Signature::new("title", &["string"], title),
    Signature::new("trim", &["string", "characters"], trim),
    Signature::new("trimprefix", &["string", "prefix"], |args| {
        cut_text(args, |text, prefix| text.strip_prefix(prefix))
    }),
    Signature::new("trimspace", &["string"], |args| map_text(args, str::trim)),
    Signature::new("trimsuffix", &["string", "suffix"], |args| {
        cut_text(args, |text, suffix| text.strip_suffix(suffix))
    }),
    Signature::new("upper", &["string"], |args| map_chars(args, upper)),
];

type Outcome = Result<Value, FunctionError>;

/// How many characters a text has, as a value.
pub(super) fn count(text: &str) -> Value {
    number(text.graphemes(true).count())
}

/// A size as a value.
pub(super) fn number(size: usize) -> Value {
    Value::from(i64::try_from(size).unwrap_or(i64::MAX))
}

fn map_text(args: &mut Arguments<'_>, map: impl Fn(&str) -> &str) -> Outcome {
    Ok(Value::from(map(&args.text(0)?)))
}

fn map_chars(args: &mut Arguments<'_>, map: impl Fn(char) -> char) -> Outcome {
    Ok(Value::String(args.text(0)?.chars().map(map).collect()))
}

fn test_text(args: &mut Arguments<'_>, test: impl Fn(&str, &str) -> bool) -> Outcome {
    Ok(Value::Bool(test(&args.text(0)?, &args.text(1)?)))
}

fn cut_text(
    args: &mut Arguments<'_>,
    cut: impl for<'t> Fn(&'t str, &str) -> Option<&'t str>,
) -> Outcome {
    let text = args.text(0)?;
    Ok(Value::from(cut(&text, &args.text(1)?).unwrap_or(&text)))
}

fn chomp(text: &str) -> &str {
    text.trim_end_matches(['\n', '\r'])
}

fn indent(args: &mut Arguments<'_>) -> Outcome {
    let spaces = args.whole(0)?;
    let text = args.text(1)?;
    let spaces = usize::try_from(spaces).map_err(|_| wrong(0, "must not be negative"))?;
    let lines = text.matches('\n').count();
    args.charge(lines.saturating_mul(spaces).saturating_add(text.len()))?;
    if lines == 0 {
        return Ok(Value::String(text));
    }
    let mut indented = String::from("\n");
    indented.extend(std::iter::repeat_n(' ', spaces));
    Ok(Value::String(text.replace('\n', &indented)))
}

fn join(args: &mut Arguments<'_>) -> Outcome {
    let separator = args.text(0)?;
    if args.len() < 2 {
        return Err(failed("at least one list must be given"));
    }
    let mut parts = Vec::new();
    for index in 1..args.len() {
        parts.extend(args.texts(index)?);
    }
    let text: usize = parts.iter().map(String::len).sum();
    let separators = parts.len().saturating_sub(1).saturating_mul(separator.len());
    args.charge(text.saturating_add(separators))?;
    Ok(Value::String(parts.join(&separator)))
}

/// Upper case, one character for one; where that takes two, the character stays.
fn upper(char: char) -> char {
    match char {
        // Greek letters with an iota below: their upper-case form takes two
        // letters, but there is a title-case form of one.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
            char::from_u32(u32::from(char) + 8).unwrap_or(char)
        }
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => char::from_u32(u32::from(char) + 9).unwrap_or(char),
        _ => single(char.to_uppercase()).unwrap_or(char),
    }
}

/// Lower case, one character for one.
fn lower(char: char) -> char {
    match char {
        'İ' => 'i',
        _ => single(char.to_lowercase()).unwrap_or(char),
    }
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

/// The form at the beginning of a word, where it differs from upper case.
fn title_char(char: char) -> char {
    match char {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian has capitals but no title case.
        '\u{10d0}'..='\u{10ff}' => char,
        _ => upper(char),
    }
}

fn title(args: &mut Arguments<'_>) -> Outcome {
    let mut previous = ' ';
    let mut titled = |char: char| {
        let at_start = separates(previous);
        previous = char;
        if at_start { title_char(char) } else { char }
    };
    Ok(Value::String(args.text(0)?.chars().map(&mut titled).collect()))
}

/// Whether a word begins behind this character.
fn separates(char: char) -> bool {
    if char.is_ascii() {
        !(char.is_ascii_alphanumeric() || char == '_')
    } else {
        !char.is_alphanumeric() && char.is_whitespace()
    }
}

fn split(args: &mut Arguments<'_>) -> Outcome {
    let (separator, text) = (args.text(0)?, args.text(1)?);
    let pieces = match separator.as_str() {
        "" => text.chars().count(),
        _ => text.matches(separator.as_str()).count() + 1,
    };
    args.charge(text.len().saturating_add(pieces.saturating_mul(size_of::<Value>())))?;
    Ok(Value::List(match separator.as_str() {
        "" => text.chars().map(|char| Value::String(char.into())).collect(),
        _ => text.split(separator.as_str()).map(Value::from).collect(),
    }))
}

fn substr(args: &mut Arguments<'_>) -> Outcome {
    let (text, offset, length) = (args.text(0)?, args.whole(1)?, args.whole(2)?);
    let skip = if offset < 0 {
        let total = i64::try_from(text.graphemes(true).count()).unwrap_or(i64::MAX);
        total.saturating_add(offset).max(0)
    } else {
        offset
    };
    let rest = text.graphemes(true).skip(usize::try_from(skip).unwrap_or(usize::MAX));
    Ok(Value::String(match usize::try_from(length) {
        Ok(length) => rest.take(length).collect(),
        Err(_) => rest.collect(),
    }))
}

fn trim(args: &mut Arguments<'_>) -> Outcome {
    let (text, characters) = (args.text(0)?, args.text(1)?);
    let characters: HashSet<char> = characters.chars().collect();
    Ok(Value::from(text.trim_matches(|char| characters.contains(&char))))
}
