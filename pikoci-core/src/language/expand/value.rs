//! Values as HCL expressions.

use std::fmt::Write as _;

use crate::value::{Deferred, Value};

/// The expression that evaluates to `value`, for an attribute at `depth`.
pub(super) fn expression(value: &Value, depth: usize) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            lines(std::slice::from_ref(value), depth).unwrap_or_else(|| quoted(text))
        }
        Value::List(items) => list(items, depth),
        Value::Set(items) => format!("toset({})", list(items, depth)),
        Value::Object(map) if map.is_empty() => "{}".into(),
        Value::Object(map) => {
            let mut out = String::from("{\n");
            for (key, value) in map {
                let key =
                    if is_identifier(key) && !is_word(key) { key.clone() } else { quoted(key) };
                indent(&mut out, depth + 1);
                let _ = writeln!(out, "{key} = {}", expression(value, depth + 1));
            }
            indent(&mut out, depth);
            out.push('}');
            out
        }
        Value::Deferred(deferred) => self::deferred(deferred, depth),
    }
}

/// The same inside a call or a template, where a heredoc does not belong.
fn inner(value: &Value, depth: usize) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| inner(item, depth)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Deferred(deferred) => one_line(deferred, depth),
        other => expression(other, depth),
    }
}

fn list(items: &[Value], depth: usize) -> String {
    let items: Vec<String> = items.iter().map(|item| expression(item, depth + 1)).collect();
    let short = format!("[{}]", items.join(", "));
    if short.len() + 2 * depth <= 80 && !short.contains('\n') {
        return short;
    }
    let mut out = String::from("[\n");
    for item in &items {
        indent(&mut out, depth + 1);
        out.push_str(item);
        // Nothing may stand behind the last line of a heredoc.
        if item.starts_with("<<") {
            out.push('\n');
            indent(&mut out, depth + 1);
        }
        out.push_str(",\n");
    }
    indent(&mut out, depth);
    out.push(']');
    out
}

fn deferred(deferred: &Deferred, depth: usize) -> String {
    match deferred {
        Deferred::Template(parts) => {
            lines(parts, depth).unwrap_or_else(|| one_line(deferred, depth))
        }
        other => one_line(other, depth),
    }
}

fn one_line(deferred: &Deferred, depth: usize) -> String {
    match deferred {
        Deferred::Secret { variable } => format!("var.{variable}"),
        Deferred::Template(parts) => {
            let mut out = String::from("\"");
            for part in parts {
                match part {
                    Value::String(text) => escape(text, &mut out),
                    other => {
                        let _ = write!(out, "${{{}}}", inner(other, depth));
                    }
                }
            }
            out.push('"');
            out
        }
        Deferred::Call { function, arguments } => {
            let arguments: Vec<String> = arguments.iter().map(|it| inner(it, depth)).collect();
            format!("{function}({})", arguments.join(", "))
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.push_str(&"  ".repeat(depth));
}

/// `text` as a quoted template that evaluates to it.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    escape(text, &mut out);
    out.push('"');
    out
}

fn escape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = marker(rest, out) {
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
}

/// Writes the beginning of a template, where `text` starts with one: run-time
/// names as they stand, anything else doubled so that it stays text. Answers
/// how many bytes of `text` that was.
fn marker(text: &str, out: &mut String) -> Option<usize> {
    if text.starts_with("%{") {
        out.push_str("%%{");
        return Some(2);
    }
    let name = text.strip_prefix("${")?.split_once('}').map(|(name, _)| name);
    match name.filter(|name| is_run_time_name(name)) {
        Some(name) => {
            let _ = write!(out, "${{{name}}}");
            Some(name.len() + 3)
        }
        None => {
            out.push_str("$${");
            Some(2)
        }
    }
}

/// Whether `${name}` is left for run time instead of being evaluated.
fn is_run_time_name(name: &str) -> bool {
    let is_upper = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let is_given = ["param_", "version_", "put_", "notify_"]
        .iter()
        .any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
    is_upper || (is_given && is_identifier(name) && !name.contains('-'))
}

/// A text of several lines as a heredoc, where that says exactly the same.
///
/// A heredoc ends with a line break; from a text that does not `chomp` takes it away.
fn lines(parts: &[Value], depth: usize) -> Option<String> {
    let mut body = String::new();
    for part in parts {
        match part {
            Value::String(text) => template(text, &mut body),
            other => {
                let _ = write!(body, "${{{}}}", inner(other, depth));
            }
        }
    }
    let whole = body.strip_suffix('\n');
    // A call with a part that is not known yet would be another value.
    if whole.is_none() && !matches!(parts, [Value::String(_)]) {
        return None;
    }
    let body = whole.unwrap_or(&body);
    // Control characters are not for reading.
    if !body.contains('\n') || body.chars().any(|c| c.is_control() && !"\n\t".contains(c)) {
        return None;
    }
    let marker = ["EOT", "EOF", "END", "TEXT"]
        .into_iter()
        .find(|marker| body.lines().all(|line| line.trim() != *marker))?;
    // The least indented line decides what `<<-` takes away, so one must have
    // none; where none has, the text stands as it is.
    let indents = body.lines().any(|line| line.starts_with(|c: char| !c.is_whitespace()))
        && body.lines().all(|line| {
            line.is_empty()
                || (!line.trim().is_empty()
                    && !line.starts_with(|c: char| c.is_whitespace() && !" \t".contains(c)))
        });
    let mut out = format!("<<{}{marker}\n", if indents { "-" } else { "" });
    for line in body.split('\n') {
        if indents && !line.is_empty() {
            indent(&mut out, depth + 1);
        }
        out.push_str(line);
        out.push('\n');
    }
    indent(&mut out, depth);
    out.push_str(marker);
    Some(match whole {
        Some(_) => out,
        None => format!("chomp({out}\n{})", "  ".repeat(depth)),
    })
}

/// Writes `text` as a heredoc has it: without escapes, but for what would begin a template.
fn template(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = marker(rest, out).unwrap_or_else(|| {
            out.push(c);
            c.len_utf8()
        });
        rest = rest.get(length..).unwrap_or_default();
    }
}

/// Whether `text` can stand as a name without quotes.
pub(super) fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Whether `text` means something else as a bare key of an object.
fn is_word(text: &str) -> bool {
    matches!(text, "true" | "false" | "null" | "for")
}
