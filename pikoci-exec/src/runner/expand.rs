//! The `$NAME` rules: what a runner expands in its parameters, and how.
//!
//! One pass from left to right. `$NAME` and `${NAME}` are replaced where the
//! name is known and stay as written where it is not, for a shell to see.
//! What was put in is text: it is never expanded again and never split. `$$`
//! stays as written and its second `$` begins no name.

use std::borrow::Cow;

/// Expands the names in `text` that `known` has a value for.
///
/// ```
/// use pikoci_exec::runner::expand::expand;
/// let known = |name: &str| (name == "WORKDIR").then(|| "/w".into());
/// assert_eq!(expand("$WORKDIR:/x ${WORKDIR}s $HOME $$WORKDIR", known), "/w:/x /ws $HOME $$WORKDIR");
/// ```
pub fn expand<'v>(text: &str, known: impl Fn(&str) -> Option<Cow<'v, str>>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = tail.strip_prefix("$$") {
            out.push_str("$$");
            rest = after;
            continue;
        }
        match name_at(tail) {
            Some((name, after)) => {
                match known(name) {
                    Some(value) => out.push_str(&value),
                    None => out.push_str(&tail[..tail.len() - after.len()]),
                }
                rest = after;
            }
            None => {
                out.push('$');
                rest = &tail[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The name when `text` is one `$NAME` or `${NAME}` and nothing else.
pub fn lone_name(text: &str) -> Option<&str> {
    match name_at(text) {
        Some((name, "")) => Some(name),
        _ => None,
    }
}

/// The name that `text`, which begins with `$`, begins with, and what follows it.
fn name_at(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('$')?;
    let (braced, inner) = match text.strip_prefix('{') {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    let length =
        inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
    let (name, after) = inner.split_at(length);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match braced {
        true => after.strip_prefix('}').map(|after| (name, after)),
        false => Some((name, after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known(name: &str) -> Option<Cow<'static, str>> {
        match name {
            "A" => Some("1".into()),
            "AB" => Some("$A ${A}".into()),
            "EMPTY" => Some("".into()),
            _ => None,
        }
    }

    #[test]
    fn each_form_expands_as_the_rules_say() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$A", "1"),
            ("${A}", "1"),
            ("x$A.y${A}z", "x1.y1z"),
            ("$AB", "$A ${A}"),
            ("$A$A", "11"),
            ("$EMPTY|", "|"),
            ("$a $UNKNOWN ${UNKNOWN}", "$a $UNKNOWN ${UNKNOWN}"),
            ("$", "$"),
            ("cost: $5", "cost: $5"),
            ("$$A", "$$A"),
            ("$$$A", "$$1"),
            ("${A", "${A"),
            ("${A:-x}", "${A:-x}"),
            ("${}", "${}"),
            ("$(A)", "$(A)"),
            ("$Aé", "1é"),
            ("é$A", "é1"),
        ] {
            assert_eq!(expand(text, known), expected, "{text}");
        }
    }

    #[test]
    fn a_lone_name_is_the_whole_text() {
        assert_eq!(lone_name("$args"), Some("args"));
        assert_eq!(lone_name("${args}"), Some("args"));
        for text in ["", "$", "args", "$args ", "x$args", "$a$b", "$$a", "${a"] {
            assert_eq!(lone_name(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_without_known_names_stays_as_it_is(text in ".*") {
            prop_assert_eq!(expand(&text, |_| None), text);
        }

        #[test]
        fn a_value_arrives_whole_whatever_it_holds(value in ".*") {
            prop_assert_eq!(expand("<$A>", |_| Some(value.as_str().into())), format!("<{value}>"));
        }
    }
}
