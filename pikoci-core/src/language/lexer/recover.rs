//! What to do at the end of a text in which something is still open.

use std::ops::Range;

use super::scan::{FrameKind, Lexer, ident_len};
use super::{Lexed, Problem, ProblemKind, is_ident_continue, is_ident_start};

/// How often lexing starts again behind something unclosed; a text with more
/// of them is given up from there on, so that time stays linear.
const MAX_RESYNCS: usize = 50;

impl Lexer<'_> {
    /// Takes all of the text apart.
    pub(super) fn lex(mut self) -> Lexed {
        for _ in 0..MAX_RESYNCS {
            self.run();
            if !self.resync() {
                break;
            }
        }
        self.end_item(self.bytes.len());
        Lexed { tokens: self.tokens, items: self.items }
    }

    /// At the end of the text: when something is still open, blames it, and
    /// goes back to where the next item seems to begin. False when all is read.
    fn resync(&mut self) -> bool {
        if self.frames.is_empty() {
            return self.resync_behind_comment();
        }
        let start = if self.too_deep {
            self.pos
        } else {
            let tokens = self.tokens.get(self.item_start..).unwrap_or_default();
            tokens.iter().find(|token| !token.kind.is_comment()).map_or(0, |token| token.start)
        };
        let next = self.next_header(start, self.in_text());
        let at = next.unwrap_or(self.bytes.len());
        self.blame_open(at..at);
        self.frames.clear();
        self.too_deep = false;
        self.restart(next)
    }

    fn in_text(&self) -> bool {
        self.frames.iter().any(|frame| matches!(frame.kind, FrameKind::Heredoc { .. }))
    }

    fn resync_behind_comment(&mut self) -> bool {
        let Some(Problem { kind: ProblemKind::UnclosedComment, open, .. }) = &self.problem else {
            return false;
        };
        let next = self.next_header(open.start, true);
        self.restart(next)
    }

    fn restart(&mut self, next: Option<usize>) -> bool {
        let Some(next) = next else { return false };
        while self.tokens.last().is_some_and(|token| token.start >= next) {
            self.tokens.pop();
        }
        if let Some(last) = self.tokens.last_mut() {
            last.end = last.end.min(next);
        }
        self.end_item(next);
        self.pos = next;
        self.line_start = next;
        true
    }

    /// Reports the frame that is to blame for the text's end.
    fn blame_open(&mut self, at: Range<usize>) {
        let text = self.frames.iter().position(|frame| {
            matches!(
                frame.kind,
                FrameKind::Heredoc { .. } | FrameKind::Template | FrameKind::Quote { .. }
            )
        });
        let Some(frame) = text.or(Some(0)).and_then(|index| self.frames.get(index)) else { return };
        let open = frame.open.clone();
        let inner =
            text.and_then(|index| self.frames.get(index + 1)).map(|frame| frame.open.clone());
        match (&frame.kind, inner) {
            (FrameKind::Heredoc { .. } | FrameKind::Quote { .. }, Some(inner)) => {
                self.report(ProblemKind::UnclosedTemplate, inner, at);
            }
            (FrameKind::Heredoc { .. }, None) => {
                self.report(ProblemKind::UnclosedHeredoc, open, at)
            }
            (FrameKind::Quote { .. }, None) => self.report(ProblemKind::UnclosedString, open, at),
            (FrameKind::Template, _) => self.report(ProblemKind::UnclosedTemplate, open, at),
            _ => {
                let (open, suspect) = match self.suspect.take() {
                    Some((open, close)) => (open, Some(close)),
                    None => (open, None),
                };
                self.report(ProblemKind::UnclosedBracket { at_end: true, suspect }, open, at);
            }
        }
    }

    /// The first line behind `start`'s that, at the left margin, looks like
    /// the beginning of a block; in running text it must have a quoted label.
    fn next_header(&self, start: usize, labelled: bool) -> Option<usize> {
        let mut line = start + self.text.get(start..)?.find('\n')? + 1;
        loop {
            let rest = self.text.get(line..)?;
            let text = rest.lines().next().unwrap_or_default();
            if is_header(text, labelled) {
                return Some(line);
            }
            line += rest.find('\n')? + 1;
        }
    }
}

/// Whether a line reads `name "label" {` or, unless `labelled`, `name {`.
fn is_header(line: &str, labelled: bool) -> bool {
    let len = match line.chars().next() {
        Some(ch) if is_ident_start(ch) => ident_len(line),
        _ => return false,
    };
    let rest = line.get(len..).unwrap_or_default().trim();
    let brace = rest.find('{');
    match (rest.starts_with('"'), brace) {
        (true, Some(_)) => true,
        (false, Some(brace)) => {
            let between = rest.get(..brace).unwrap_or_default().trim();
            !labelled && between.chars().all(|ch| is_ident_continue(ch) || ch == '"' || ch == ' ')
        }
        (_, None) => false,
    }
}
