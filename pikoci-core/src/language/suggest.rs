//! "Did you mean": the nearest of a set of known names.

use super::diagnostic::Diagnostic;
use super::source::Span;

/// The candidate that `name` was most likely meant to be, if any is near enough.
///
/// Near enough is a third of the longer name's letters in edits (insert,
/// remove, replace, swap neighbours); names that differ only in case or in `-`
/// against `_` are always near. Of equally near candidates the first one wins.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long texts are not misspelt names, and the distance is quadratic.
    const LONGEST: usize = 100;
    if name.is_empty() || name.len() > LONGEST {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = plain(name);
    let length = wanted.chars().count();
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        if candidate.len() > LONGEST || candidate == name {
            continue;
        }
        let other = plain(candidate);
        let longer = length.max(other.chars().count());
        let distance = strsim::damerau_levenshtein(&wanted, &other);
        if distance <= longer / 3 && best.is_none_or(|(nearest, _)| distance < nearest) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Adds "did you mean …" and the text that would mend it, when a candidate is near.
///
/// `span` is where the misspelt name stands, alone.
#[must_use]
pub fn did_you_mean<'a>(
    diagnostic: Diagnostic,
    span: Span,
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    match closest(name, candidates) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")).suggest(span, near),
        None => diagnostic,
    }
}

/// At most `limit` names as a sentence's part: `` `a`, `b` and 3 more ``.
pub fn name_list<'a>(names: impl IntoIterator<Item = &'a str>, limit: usize) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(limit).map(|name| format!("`{name}`")).collect();
    let rest = names.count();
    let mut text = shown.join(", ");
    if rest > 0 {
        text.push_str(&format!(" and {rest} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["timeout", "trigger", "params", "version", "on_failure", "ab"];
        for (name, expected) in [
            ("timout", Some("timeout")),
            ("Timeout", Some("timeout")),
            ("tiemout", Some("timeout")),
            ("param", Some("params")),
            ("on-failure", Some("on_failure")),
            ("verison", Some("version")),
            ("ba", None),
            ("abb", Some("ab")),
            ("x", None),
            ("", None),
            ("colour", None),
            ("timeout", None),
        ] {
            assert_eq!(closest(name, known), expected, "{name}");
        }
        assert_eq!(closest(&"t".repeat(10_000), known), None);
    }

    #[test]
    fn the_suggestion_replaces_the_name_alone() {
        let span = Span { start: 4, end: 10, ..Span::default() };
        let diagnostic =
            did_you_mean(Diagnostic::error("x", span, "unknown"), span, "timout", ["timeout"]);
        assert_eq!(diagnostic.help, ["did you mean `timeout`?"]);
        let suggestion = diagnostic.suggestion.expect("a suggestion");
        assert_eq!((suggestion.span, suggestion.replacement.as_str()), (span, "timeout"));
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(name_list(["a", "b"], 3), "`a`, `b`");
        assert_eq!(name_list(["a", "b", "c"], 2), "`a`, `b` and 1 more");
    }
}
