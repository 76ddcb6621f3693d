//! Diagnostics as text for people: the lines concerned, what is wrong with
//! them and how to mend it.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Patch, Renderer, Snippet};

use super::diagnostic::{Diagnostic, Severity};
use super::source::{FileId, SourceFile, SourceMap, Span};

/// How diagnostics are to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderStyle {
    /// Whether to use colours (ANSI escapes).
    pub color: bool,
    /// The width of the terminal in columns; long source lines are cut to it.
    pub width: usize,
}

impl Default for RenderStyle {
    /// No colours, 80 columns.
    fn default() -> Self {
        Self { color: false, width: 80 }
    }
}

/// Lines of source that a multi-line span shows at its beginning.
const MAX_SPAN_LINES: usize = 6;

/// The longest text that a suggestion's title quotes.
const MAX_TITLE_BYTES: usize = 60;

/// The diagnostics as text, each with the lines it is about, and a summary
/// line; empty without diagnostics.
///
/// # Panics
/// When a diagnostic names a file that is not in `sources`.
pub fn render(diagnostics: &[Diagnostic], sources: &SourceMap, style: RenderStyle) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let renderer =
        if style.color { Renderer::styled().hyperlink(false) } else { Renderer::plain() };
    let renderer = renderer.term_width(style.width.max(40));
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&renderer.render(&report(diagnostic, sources, style)));
        text.push_str("\n\n");
    }
    text.push_str(&summary(diagnostics, sources));
    text.push('\n');
    text
}

/// One line: `pipeline.hcl:3:5: error: …`.
///
/// # Panics
/// When the diagnostic names a file that is not in `sources`.
pub fn one_line(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let place = sources.location(diagnostic.span);
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let message = diagnostic.message.replace(['\n', '\r'], " ");
    format!("{}:{}:{}: {severity}: {message}", place.file, place.line, place.column)
}

/// How many there are of each kind, and where: `2 errors, 1 warning in pipeline.hcl`.
fn summary(diagnostics: &[Diagnostic], sources: &SourceMap) -> String {
    let count = |severity| diagnostics.iter().filter(|found| found.severity == severity).count();
    let mut text = String::new();
    for (count, word) in [(count(Severity::Error), "error"), (count(Severity::Warning), "warning")]
    {
        if count > 0 {
            let comma = if text.is_empty() { "" } else { ", " };
            let plural = if count == 1 { "" } else { "s" };
            let _ = write!(text, "{comma}{count} {word}{plural}");
        }
    }
    let mut files: Vec<FileId> = diagnostics.iter().map(|found| found.span.file).collect();
    files.sort_unstable();
    files.dedup();
    match files.as_slice() {
        [file] => {
            let _ = write!(text, " in {}", sources.file(*file).name());
        }
        files => {
            let _ = write!(text, " in {} files", files.len());
        }
    }
    text
}

fn report<'a>(
    diagnostic: &'a Diagnostic,
    sources: &'a SourceMap,
    style: RenderStyle,
) -> Vec<Group<'a>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let mut group = Group::with_title(title);
    for file in files(diagnostic) {
        let source = sources.file(file);
        let mut places = Vec::new();
        if diagnostic.span.file == file {
            places.push(Place {
                kind: AnnotationKind::Primary,
                range: visible(source.text(), diagnostic.span),
                label: &diagnostic.label,
            });
        }
        for other in diagnostic.others.iter().filter(|other| other.span.file == file) {
            places.push(Place {
                kind: AnnotationKind::Context,
                range: visible(source.text(), other.span),
                label: &other.text,
            });
        }
        let window = Window::around(source, places.iter().map(|place| &place.range));
        group = group.element(window.annotated(source, places));
    }
    let note = |help: &str| Level::HELP.message(textwrap::fill(help, style.width.max(40) - 12));
    // What is offered is told above the patch that shows it.
    let (offer, helps) = match diagnostic.help.split_last() {
        Some((last, others)) if diagnostic.suggestion.is_some() => (Some(last), others),
        _ => (None, diagnostic.help.as_slice()),
    };
    for help in helps {
        group = group.element(note(help));
    }
    let Some(suggestion) = &diagnostic.suggestion else { return vec![group] };
    let source = sources.file(suggestion.span.file);
    let range = clamp(source.text(), suggestion.span.range());
    let put = &suggestion.replacement;
    let title = match (put.trim(), range.is_empty()) {
        _ if offer.is_some() => offer.cloned().unwrap_or_default(),
        ("", true) => "put a blank here".to_owned(),
        ("", false) if put.is_empty() => "remove it".to_owned(),
        ("", false) => "put a blank there".to_owned(),
        (put, _) if put.len() > MAX_TITLE_BYTES || put.contains('\n') => "write it so".to_owned(),
        (put, true) => format!("insert `{put}`"),
        (put, false) => format!("write `{put}`"),
    };
    let window = Window::around(source, [&range].into_iter());
    // A patch is not cut to the terminal's width.
    if window.text(source).lines().any(|line| line.len() > style.width) {
        return vec![group.element(note(&title))];
    }
    let patch = Patch::new(window.within(range), put.as_str());
    let snippet = Snippet::source(window.text(source))
        .line_start(window.line)
        .path(source.name())
        .patch(patch);
    vec![group, Level::HELP.secondary_title(title).element(snippet)]
}

/// The files that a diagnostic points into, the main one first.
fn files(diagnostic: &Diagnostic) -> Vec<FileId> {
    let mut files = vec![diagnostic.span.file];
    for other in &diagnostic.others {
        if !files.contains(&other.span.file) {
            files.push(other.span.file);
        }
    }
    files
}

/// A place to point at.
struct Place<'a> {
    kind: AnnotationKind,
    range: Range<usize>,
    label: &'a str,
}

/// A range within `text`, on character boundaries.
fn clamp(text: &str, range: Range<usize>) -> Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(range.start);
    start..floor(range.end).max(start)
}

/// A range as it can be shown: an overlong one only by its first lines, and
/// without the line end it may include.
fn visible(text: &str, span: Span) -> Range<usize> {
    let range = clamp(text, span.range());
    let inner = text.get(range.clone()).unwrap_or_default();
    let shown = match inner.match_indices('\n').nth(MAX_SPAN_LINES - 1) {
        Some((end, _)) => inner.get(..end).unwrap_or(inner),
        None => inner,
    };
    range.start..range.start + shown.trim_end_matches(['\n', '\r']).len()
}

/// The stretch of a text that a snippet is made of: the renderer takes time
/// and memory for all it is given.
struct Window {
    bytes: Range<usize>,
    line: usize,
}

impl Window {
    /// The whole lines around `ranges`.
    fn around<'r>(source: &SourceFile, ranges: impl Iterator<Item = &'r Range<usize>>) -> Self {
        let text = source.text();
        let (start, end) = ranges.fold((text.len(), 0), |(start, end), range| {
            (start.min(range.start), end.max(range.end))
        });
        let head = text.get(..start).unwrap_or_default();
        let start = head.rfind('\n').map_or(0, |at| at + 1);
        let tail = text.get(end..).unwrap_or_default();
        let end = end + tail.find('\n').unwrap_or(tail.len());
        let line = source.line_column(start).0 as usize;
        Self { bytes: start..end.max(start), line }
    }

    fn text<'a>(&self, source: &'a SourceFile) -> &'a str {
        source.text().get(self.bytes.clone()).unwrap_or_default()
    }

    /// A range of the text as one of the window.
    fn within(&self, range: Range<usize>) -> Range<usize> {
        range.start - self.bytes.start..range.end - self.bytes.start
    }

    fn annotated<'a>(
        &self,
        source: &'a SourceFile,
        places: Vec<Place<'a>>,
    ) -> Snippet<'a, Annotation<'a>> {
        let annotations = places.into_iter().map(|place| {
            let annotation = place.kind.span(self.within(place.range));
            if place.label.is_empty() { annotation } else { annotation.label(place.label) }
        });
        Snippet::source(self.text(source))
            .line_start(self.line)
            .path(source.name())
            .annotations(annotations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, diagnostic: impl FnOnce(FileId) -> Diagnostic) -> String {
        let mut sources = SourceMap::new();
        let file = sources.add("pipeline.hcl", text);
        render(&[diagnostic(file)], &sources, RenderStyle::default())
    }

    #[test]
    fn a_diagnostic_shows_its_lines_help_and_patch() {
        let text = "job \"a\" {\n  pth = 1\n}\n";
        let shown = shown(text, |file| {
            let span = Span::new(file, 12..15);
            Diagnostic::error("unknown-attribute", span, "`job` has no attribute `pth`")
                .label("not known here")
                .other(Span::new(file, 0..7), "in this block")
                .help("did you mean `path`?")
                .suggest(span, "path")
        });
        insta::assert_snapshot!(shown, @r#"
        error[unknown-attribute]: `job` has no attribute `pth`
         --> pipeline.hcl:2:3
          |
        1 | job "a" {
          | ------- in this block
        2 |   pth = 1
          |   ^^^ not known here
          |
        help: did you mean `path`?
          |
        2 |   path = 1
          |    +

        1 error in pipeline.hcl
        "#);
    }

    #[test]
    fn columns_count_characters_and_tabs_are_shown_as_blanks() {
        let shown = shown("\tüö = 日本 x\n", |file| {
            Diagnostic::warning("odd", Span::new(file, 15..16), "odd").label("here")
        });
        insta::assert_snapshot!(shown, @r"
        warning[odd]: odd
         --> pipeline.hcl:1:10
          |
        1 |     üö = 日本 x
          |               ^ here

        1 warning in pipeline.hcl
        ");
    }

    #[test]
    fn points_and_the_end_of_the_file_can_be_shown() {
        for text in ["", "a", "a\n", "é", "\n\n", "a\r\n"] {
            for at in 0..text.len() + 3 {
                let shown = shown(text, |file| {
                    Diagnostic::error("end", Span::new(file, at..at + 1), "too short").label("here")
                });
                assert!(shown.contains("--> pipeline.hcl:"), "{text:?} {at}: {shown}");
                assert!(shown.contains("^ here"), "{text:?} {at}: {shown}");
            }
        }
    }

    #[test]
    fn a_long_span_shows_its_first_lines() {
        let text = "job {\n".to_owned() + &"  a\n".repeat(1000) + "}\n";
        let shown = shown(&text, |file| {
            Diagnostic::error("long", Span::new(file, 0..text.len()), "too long")
        });
        assert!(shown.lines().count() < 20, "{shown}");
    }

    #[test]
    fn a_long_line_is_cut_to_the_width() {
        let text = format!("a = \"{}\\d{}\"\n", "x".repeat(3000), "y".repeat(3000));
        let at = 3005;
        let shown = shown(&text, |file| {
            let span = Span::new(file, at..at + 2);
            Diagnostic::error("bad-escape", span, "no escape").suggest(span, "\\")
        });
        assert!(shown.contains("xx\\dyy"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }

    #[test]
    fn places_in_several_files_are_all_shown() {
        let mut sources = SourceMap::new();
        let first = sources.add("a.hcl", "job \"x\" {}\n");
        let second = sources.add("b.hcl", "# again\njob \"x\" {}\n");
        let double = Diagnostic::error("twice", Span::new(second, 8..15), "there are two")
            .other(Span::new(first, 0..7), "the first");
        let odd = Diagnostic::warning("odd", Span::new(first, 0..3), "odd");
        let shown = render(&[double, odd], &sources, RenderStyle::default());
        assert!(shown.contains("--> b.hcl:2:1") && shown.contains("::: a.hcl:1:1"), "{shown}");
        assert!(shown.ends_with("\n1 error, 1 warning in 2 files\n"), "{shown}");
        assert_eq!(render(&[], &sources, RenderStyle::default()), "");
    }

    #[test]
    fn colours_are_used_only_when_asked_for() {
        let mut sources = SourceMap::new();
        let file = sources.add("a.hcl", "x\n");
        let odd = [Diagnostic::warning("odd", Span::new(file, 0..1), "odd")];
        let plain = render(&odd, &sources, RenderStyle { color: false, width: 80 });
        let colored = render(&odd, &sources, RenderStyle { color: true, width: 80 });
        assert!(!plain.contains('\u{1b}') && colored.contains('\u{1b}'));
    }

    #[test]
    fn one_line_names_place_and_kind() {
        let mut sources = SourceMap::new();
        let file = sources.add("a.hcl", "x\n y\n");
        let odd = Diagnostic::warning("odd", Span::new(file, 3..4), "odd\nindeed");
        assert_eq!(one_line(&odd, &sources), "a.hcl:2:2: warning: odd indeed");
    }
}
