//! Text in, syntax tree and diagnostics out.
//!
//! hcl-edit does the parsing. It stops at the first error and is strict about
//! lines, so the text is prepared for it: the lexer cuts it into top-level
//! items, what a broken item says is blanked out after one good diagnostic was
//! made of it, and attributes side by side on one line get their line breaks.
//! Every change puts one byte in the place of one byte: the spans of the tree
//! hold for the text as written.

mod explain;
pub(super) mod layout;
#[cfg(test)]
mod mistakes;
mod refusal;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use hcl_edit::structure::Body;

use super::diagnostic::Diagnostic;
use super::lexer::{self, Item, ProblemKind, TokenKind};
use super::source::{FileId, Span};
use layout::Layout;

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;

/// How many diagnostics one file yields; what is wrong behind them is passed over.
const MAX_DIAGNOSTICS: usize = 50;

/// How many items one object may have: looking for doubles takes time by their square.
const MAX_OBJECT_ITEMS: usize = 4_096;

/// A top-level block that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenBlock {
    /// The word it begins with, such as `job`.
    pub kind: String,
    /// Its labels, unescaped only as far as they need no escapes.
    pub labels: Vec<String>,
    /// All of it.
    pub span: Span,
}

/// What was read of a file.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// What could be read; its spans are bytes of the text as written.
    pub body: Body,
    /// What is wrong, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The top-level blocks that are missing in `body`, so that references to
    /// them need not be reported.
    pub broken: Vec<BrokenBlock>,
}

/// Reads a file's text.
///
/// Each broken top-level item yields one diagnostic and all others are still
/// read. Time is linear in the text but for objects (see
/// [`MAX_FILE_BYTES`] for the bound), and no text panics.
pub fn parse(file: FileId, text: &str) -> Parsed {
    let mut parsed = Parsed { body: Body::new(), diagnostics: Vec::new(), broken: Vec::new() };
    if let Some(refused) = refuse(file, text) {
        parsed.diagnostics.push(refused);
        return parsed;
    }
    let mut source = Source { file, text, bytes: Cow::Borrowed(text) };
    source.blank_control_characters(&mut parsed.diagnostics);
    let lexed = lexer::lex(text);
    let mut state = Reader {
        source,
        tokens: &lexed.tokens,
        items: lexed.items.iter().map(|item| (item, Layout::default(), false)).collect(),
        parsed,
    };
    state.lexical_problems();
    state.lay_out();
    state.read();
    let Reader { mut parsed, .. } = state;
    parsed.diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    parsed.diagnostics.truncate(MAX_DIAGNOSTICS);
    parsed
}

/// What makes it useless to look at a file at all.
fn refuse(file: FileId, text: &str) -> Option<Diagnostic> {
    if text.len() > MAX_FILE_BYTES {
        let message = format!(
            "the file is too large: {} bytes, and {MAX_FILE_BYTES} are the most",
            text.len()
        );
        return Some(
            Diagnostic::error("file-too-large", Span::new(file, 0..0), message)
                .help("split the pipeline into several files of one directory"),
        );
    }
    if let Some(at) = text.find('\0') {
        return Some(
            Diagnostic::error("not-text", Span::new(file, at..at + 1), "this is not a text file")
                .label("a NUL byte"),
        );
    }
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let at = text.len() - start.len();
    let (what, len) = if start.starts_with('{') || start.starts_with('[') {
        ("JSON", 1)
    } else if start.starts_with("---\n") || start.starts_with("---\r\n") {
        ("YAML", 3)
    } else if start.starts_with('<') && !start.starts_with("<<") {
        ("HTML or XML", 1)
    } else {
        return None;
    };
    Some(
        Diagnostic::error(
            "not-hcl",
            Span::new(file, at..at + len),
            format!("this looks like {what}, not like a pipeline"),
        )
        .help("a pipeline is written in HCL: blocks such as `job \"test\" { … }`"),
    )
}

/// The text as written, and as it is given to the parser.
struct Source<'a> {
    file: FileId,
    text: &'a str,
    /// As long as `text`; copied only when something is replaced.
    bytes: Cow<'a, str>,
}

impl Source<'_> {
    /// Puts one ASCII byte in the place of another, for each of `edits`.
    fn replace(&mut self, edits: &[(usize, u8)]) {
        if edits.is_empty() {
            return;
        }
        let mut bytes = std::mem::take(&mut self.bytes).into_owned().into_bytes();
        for (at, byte) in edits {
            if let Some(place) = bytes.get_mut(*at) {
                *place = *byte;
            }
        }
        self.restore(bytes);
    }

    /// Puts blanks in the place of all but the line ends.
    fn blank(&mut self, ranges: &[Range<usize>]) {
        if ranges.is_empty() {
            return;
        }
        let mut bytes = std::mem::take(&mut self.bytes).into_owned().into_bytes();
        for range in ranges {
            for byte in bytes.get_mut(range.clone()).unwrap_or_default() {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        self.restore(bytes);
    }

    /// Only whole characters are ever replaced; were it otherwise, nothing of
    /// the text would be given on.
    fn restore(&mut self, bytes: Vec<u8>) {
        let len = bytes.len();
        self.bytes = Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|_| " ".repeat(len)));
    }

    /// A byte order mark is passed over; other invisible characters are
    /// reported and passed over.
    fn blank_control_characters(&mut self, diagnostics: &mut Vec<Diagnostic>) {
        let mut blanks = Vec::new();
        if self.text.starts_with('\u{feff}') {
            blanks.push(0..'\u{feff}'.len_utf8());
        }
        let bytes = self.text.as_bytes();
        for (at, byte) in bytes.iter().copied().enumerate() {
            let bad = match byte {
                b'\t' | b'\n' => false,
                b'\r' => bytes.get(at + 1) != Some(&b'\n'),
                _ => byte.is_ascii_control(),
            };
            if !bad {
                continue;
            }
            blanks.push(at..at + 1);
            if diagnostics.len() < MAX_DIAGNOSTICS {
                let span = Span::new(self.file, at..at + 1);
                let message = format!("the text contains the control character U+{byte:04X}");
                let help = match byte {
                    b'\r' => {
                        "end lines with a line feed, or with carriage return and line feed".into()
                    }
                    _ => format!("remove it; in a string it is written `\\u{byte:04x}`"),
                };
                diagnostics.push(Diagnostic::error("control-character", span, message).help(help));
            }
        }
        self.blank(&blanks);
    }
}

/// Why a part of a text cannot be parsed.
struct PartError {
    /// The byte of the part, its length at most, where the parser gave up.
    offset: usize,
    message: String,
}

/// Tries to parse a part of a text.
fn parse_part(part: &str) -> Result<(), PartError> {
    // The parser's places end before the last byte; with a line end added that
    // is the end of the part.
    let error = match hcl_edit::parser::parse_body(&format!("{part}\n")) {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    let mut offset = error.location().offset().min(part.len());
    while !part.is_char_boundary(offset) {
        offset -= 1;
    }
    Err(PartError { offset, message: error.message().to_owned() })
}

struct Reader<'a> {
    source: Source<'a>,
    tokens: &'a [lexer::Token],
    /// The items, their layouts, and whether they are known to be broken.
    items: Vec<(&'a Item, Layout, bool)>,
    parsed: Parsed,
}

impl Reader<'_> {
    /// Reports and drops the items that the lexer could not take apart.
    fn lexical_problems(&mut self) {
        let mut blanks = Vec::new();
        let mut behind_broken = false;
        for index in 0..self.items.len() {
            let Some((item, ..)) = self.items.get(index) else { break };
            let item = *item;
            let Some(problem) = &item.problem else {
                behind_broken = behind_broken && !self.at_margin(item);
                continue;
            };
            // What a broken item leaves over is no news.
            let stray = matches!(problem.kind, ProblemKind::StrayClose { .. });
            if !(stray && behind_broken) {
                let diagnostic = explain::problem(self.source.file, self.source.text, problem);
                self.parsed.diagnostics.push(diagnostic);
                behind_broken = !stray;
            }
            self.mark_broken(index, &mut blanks);
        }
        self.source.blank(&blanks);
    }

    /// Whether an item is a block that begins its line.
    fn at_margin(&self, item: &Item) -> bool {
        let before = self.source.text.get(..item.bytes.start).unwrap_or_default();
        (before.is_empty() || before.ends_with('\n')) && self.is_block(item)
    }

    fn is_block(&self, item: &Item) -> bool {
        let mut kinds = self.tokens.get(item.tokens.clone()).unwrap_or_default().iter();
        kinds.next().is_some_and(|token| token.kind == TokenKind::Ident)
            && kinds.any(|token| token.kind == TokenKind::BraceOpen)
    }

    fn mark_broken(&mut self, index: usize, blanks: &mut Vec<Range<usize>>) {
        let Some((item, _, broken)) = self.items.get_mut(index) else { return };
        *broken = true;
        blanks.push(item.bytes.clone());
        let item = *item;
        if let Some(block) = self.header(item) {
            self.parsed.broken.push(block);
        }
    }

    /// The kind and labels of an item that is, or was meant as, a block.
    fn header(&self, item: &Item) -> Option<BrokenBlock> {
        let mut tokens = self.tokens.get(item.tokens.clone())?.iter();
        let kind = tokens.next().filter(|token| token.kind == TokenKind::Ident)?;
        let mut labels = Vec::new();
        for token in tokens {
            match token.kind {
                TokenKind::Text | TokenKind::Ident => {
                    labels.push(token.text(self.source.text).to_owned());
                }
                TokenKind::SingleQuoted => {
                    labels.push(token.text(self.source.text).trim_matches('\'').to_owned());
                }
                TokenKind::QuoteOpen | TokenKind::QuoteClose | TokenKind::BlockComment => {}
                TokenKind::Assign | TokenKind::Colon if labels.is_empty() => return None,
                _ => break,
            }
        }
        Some(BrokenBlock {
            kind: kind.text(self.source.text).to_owned(),
            labels,
            span: Span::new(self.source.file, item.bytes.clone()),
        })
    }

    /// Gives one-line blocks their line breaks and looks for what is odd.
    fn lay_out(&mut self) {
        let mut edits = Vec::new();
        for (item, layout, broken) in &mut self.items {
            if !*broken {
                layout::scan(self.source.text, self.tokens, item.tokens.clone(), layout);
                edits.append(&mut layout.edits);
            }
        }
        self.source.replace(&edits);
        let empty: Vec<_> = self
            .tokens
            .windows(2)
            .filter_map(|pair| match pair {
                [open, close]
                    if open.kind == TokenKind::HeredocOpen
                        && close.kind == TokenKind::HeredocClose =>
                {
                    Some(open.start..close.end)
                }
                _ => None,
            })
            .collect();
        self.empty_heredocs(&empty);
    }

    /// The parser takes an empty heredoc for the beginning of the next one
    /// with its marker: it is given an empty string in its place.
    fn empty_heredocs(&mut self, heredocs: &[Range<usize>]) {
        let edits: Vec<_> = heredocs
            .iter()
            .flat_map(|range| {
                range.clone().map(|at| (at, if at < range.start + 2 { b'"' } else { b' ' }))
            })
            .collect();
        let ascii =
            |range: &Range<usize>| self.source.text.get(range.clone()).is_some_and(str::is_ascii);
        if heredocs.iter().all(ascii) {
            self.source.replace(&edits);
        }
    }

    /// Parses; when that fails, finds the items that are to blame and parses
    /// what is left.
    fn read(&mut self) {
        self.large_objects();
        let error = match hcl_edit::parser::parse_body(&self.source.bytes) {
            Ok(body) => {
                self.parsed.body = body;
                return;
            }
            Err(error) => error,
        };
        self.blame_items();
        for _ in 0..MAX_DIAGNOSTICS {
            match hcl_edit::parser::parse_body(&self.source.bytes) {
                Ok(body) => {
                    self.parsed.body = body;
                    return;
                }
                Err(error) => {
                    if !self.blame_place(&error) {
                        break;
                    }
                }
            }
        }
        if self.parsed.diagnostics.is_empty() {
            let at = self.place(&error);
            self.parsed.diagnostics.push(
                Diagnostic::error(
                    "unexpected",
                    Span::new(self.source.file, at..at),
                    "the text cannot be read from here on",
                )
                .help(error.message().to_owned()),
            );
        }
    }

    /// Parses every item alone and reports those that cannot be.
    fn blame_items(&mut self) {
        let mut blanks = Vec::new();
        let mut behind_junk = false;
        for index in 0..self.items.len() {
            let Some((item, layout, broken)) = self.items.get(index) else { break };
            if *broken {
                continue;
            }
            let item = *item;
            let part = self.source.bytes.get(item.bytes.clone()).unwrap_or_default();
            let Err(error) = parse_part(part) else {
                behind_junk = false;
                continue;
            };
            let refusal = refusal::Refusal {
                file: self.source.file,
                text: self.source.text,
                parsed: &self.source.bytes,
                tokens: self.tokens,
                item,
                layout,
            };
            // Lines of something that is no pipeline at all are one mistake.
            let junk = !self.is_block(item);
            if !(junk && behind_junk) {
                let diagnostic = refusal.explain(&error);
                self.parsed.diagnostics.push(diagnostic);
            }
            behind_junk = junk;
            self.mark_broken(index, &mut blanks);
        }
        self.source.blank(&blanks);
    }

    /// Where the parser gave up.
    fn place(&self, error: &hcl_edit::parser::Error) -> usize {
        let mut at = error.location().offset().min(self.source.text.len());
        while !self.source.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    /// Reports an error that only shows in all of the text: an attribute that
    /// is there twice. False when no item is to blame.
    fn blame_place(&mut self, error: &hcl_edit::parser::Error) -> bool {
        let at = self.place(error);
        let blame = self
            .items
            .iter()
            .position(|(item, _, broken)| !broken && item.bytes.start <= at && at < item.bytes.end);
        let Some(index) = blame else { return false };
        let Some((item, ..)) = self.items.get(index) else { return false };
        let name = self.tokens.get(item.tokens.start);
        let twin = self.items.iter().find(|(other, _, broken)| {
            let first = self.tokens.get(other.tokens.start);
            !broken
                && other.bytes.start < item.bytes.start
                && first.map(|token| token.text(self.source.text))
                    == name.map(|token| token.text(self.source.text))
        });
        if let (Some(name), Some((twin, ..))) = (name, twin) {
            let first = self.tokens.get(twin.tokens.start).map_or(0..0, |token| token.range());
            let diagnostic =
                explain::duplicate(self.source.file, self.source.text, name.range(), first);
            self.parsed.diagnostics.push(diagnostic);
        } else {
            self.parsed.diagnostics.push(Diagnostic::error(
                "unexpected",
                Span::new(self.source.file, at..at),
                error.message().to_owned(),
            ));
        }
        let mut blanks = Vec::new();
        self.mark_broken(index, &mut blanks);
        self.source.blank(&blanks);
        true
    }

    /// Refuses objects so large that looking for doubles would take long.
    fn large_objects(&mut self) {
        let mut blanks = Vec::new();
        for index in 0..self.items.len() {
            let Some((item, _, false)) = self.items.get(index) else { continue };
            let tokens = self.tokens.get(item.tokens.clone()).unwrap_or_default();
            let Some(open) = explain::large_object(tokens, MAX_OBJECT_ITEMS) else { continue };
            let message = format!("an object has more than {MAX_OBJECT_ITEMS} items");
            self.parsed.diagnostics.push(
                Diagnostic::error("too-many-items", Span::new(self.source.file, open), message)
                    .help("read it from a file with `jsondecode(file(…))`"),
            );
            self.mark_broken(index, &mut blanks);
        }
        self.source.blank(&blanks);
    }
}
