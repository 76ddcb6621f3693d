//! Values as HCL expressions.

use std::fmt::Write as _;

use crate::value::{Deferred, Value};

/// The expression that evaluates to `value`, for an attribute at `depth`.
pub(super) fn expression(value: &Value, depth: usize) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => heredoc(text, depth).unwrap_or_else(|| quoted(text)),
        Value::List(items) => list(items, depth),
        Value::Set(items) => format!("toset({})", list(items, depth)),
        Value::Object(map) if map.is_empty() => "{}".into(),
        Value::Object(map) => {
            let mut out = String::from("{\n");
            for (key, value) in map {
                let key =
                    if is_identifier(key) && !is_word(key) { key.clone() } else { quoted(key) };
                indent(&mut out, depth + 1);
                let _ = writeln!(out, "{key} = {}", inner(value, depth + 1));
            }
            indent(&mut out, depth);
            out.push('}');
            out
        }
        Value::Deferred(deferred) => self::deferred(deferred, depth),
    }
}

/// The same inside a list, an object or a call, where a heredoc does not belong.
fn inner(value: &Value, depth: usize) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => expression(other, depth),
    }
}

fn list(items: &[Value], depth: usize) -> String {
    let one_line: Vec<String> = items.iter().map(|item| inner(item, depth)).collect();
    let short = format!("[{}]", one_line.join(", "));
    if short.len() + 2 * depth <= 80 && !short.contains('\n') {
        return short;
    }
    let mut out = String::from("[\n");
    for item in items {
        indent(&mut out, depth + 1);
        let _ = writeln!(out, "{},", inner(item, depth + 1));
    }
    indent(&mut out, depth);
    out.push(']');
    out
}

fn deferred(deferred: &Deferred, depth: usize) -> String {
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
fn heredoc(text: &str, depth: usize) -> Option<String> {
    let body = text.strip_suffix('\n')?;
    // The least indented line decides what `<<-` takes away, so one must have none.
    let fits = body.contains('\n')
        && body.lines().any(|line| line.starts_with(|c: char| !c.is_whitespace()))
        && body.split('\n').all(|line| {
            (line.is_empty() || !line.trim().is_empty())
                && line.trim() != "EOT"
                && !line.chars().any(|c| c.is_control() && c != '\t')
                && !line.starts_with(|c: char| c.is_whitespace() && c != ' ')
        });
    if !fits {
        return None;
    }
    let mut out = String::from("<<-EOT\n");
    for line in body.split('\n') {
        if !line.is_empty() {
            indent(&mut out, depth + 1);
        }
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let length = marker(rest, &mut out).unwrap_or_else(|| {
                out.push(c);
                c.len_utf8()
            });
            rest = rest.get(length..).unwrap_or_default();
        }
        out.push('\n');
    }
    indent(&mut out, depth);
    out.push_str("EOT");
    Some(out)
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
