//! `${var.x}` in the condition of an `if`: a value of the language, put in as
//! one literal, so that nothing in it can become part of the condition.

use hcl_edit::structure::Body;

use super::diagnostic::Diagnostic;
use super::eval::{Scope, is_run_time_name};
use super::reader::Reader;
use super::source::Span;

/// The label of an `if` with its expressions evaluated; names that are left
/// for run time stay. `None` when something was reported.
pub(super) fn evaluate(
    reader: &Reader<'_>,
    label: &str,
    span: Span,
    scope: &Scope<'_>,
) -> Option<String> {
    let mut out = String::with_capacity(label.len());
    let mut rest = label;
    // The quote that what comes next stands in.
    let mut quote = None;
    while let Some(c) = rest.chars().next() {
        let inner = rest.strip_prefix("${").and_then(|inner| Some((inner, inner.find('}')?)));
        let Some((inner, end)) =
            inner.filter(|(inner, end)| !is_run_time_name(inner[..*end].trim()))
        else {
            match (quote, c) {
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), _) if open == c => quote = None,
                (Some('"'), '\\') => {
                    out.push(c);
                    rest = &rest[1..];
                    let Some(next) = rest.chars().next() else { break };
                    out.push(next);
                    rest = &rest[next.len_utf8()..];
                    continue;
                }
                _ => {}
            }
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        let offset = label.len() - rest.len();
        let value = value(reader, &inner[..end], span, offset, scope)?;
        if quote == Some('\'') {
            // Such a text takes no escapes: it is closed, and opened again behind the value.
            reader.report(
                Diagnostic::error(
                    "bad-condition",
                    span,
                    "an expression cannot stand in single quotes within a condition",
                )
                .help("leave the quotes out: the value is one text anyway"),
            );
            return None;
        }
        let escaped: String = value
            .chars()
            .flat_map(|c| matches!(c, '"' | '\\' | '$').then_some('\\').into_iter().chain([c]))
            .collect();
        if quote.is_some() {
            out.push_str(&escaped);
        } else {
            out.push('"');
            out.push_str(&escaped);
            out.push('"');
        }
        rest = &inner[end + 1..];
    }
    Some(out)
}

fn value(
    reader: &Reader<'_>,
    text: &str,
    span: Span,
    offset: usize,
    scope: &Scope<'_>,
) -> Option<String> {
    // As the value of an attribute, behind blanks that put its spans where it stands in the file.
    let start = span.start + 1 + offset + 2;
    let padded = format!("{}x={text}", " ".repeat(start - 2));
    let body = padded.parse::<Body>().ok();
    let attribute = body.as_ref().and_then(|body| body.get_attribute("x"));
    let expression = match attribute {
        Some(attribute) => &attribute.value,
        None => {
            reader.report(
                Diagnostic::error(
                    "bad-condition",
                    Span { start, end: start + text.len(), ..span },
                    format!("`{text}` is not an expression"),
                )
                .help("write `$NAME` for what is known at run time, `${var.name}` for a variable"),
            );
            return None;
        }
    };
    let value = reader.evaluate(span.file, expression, scope)?;
    let text = value.to_text();
    if text.is_none() {
        reader.report(
            Diagnostic::error("known-at-run-time", span, "a condition cannot look at a secret")
                .help("let a task look at it, and set a variable through `$PIKOCI_OUTPUT`"),
        );
    }
    text
}
