//! `pikoci pipeline fmt`: one way to lay out a pipeline.
//!
//! The conventions are those of `terraform fmt`: two blanks of indentation for
//! each line that opens brackets, the `=` of neighbouring lines under one
//! another and their trailing comments too, one blank around operators. Line
//! breaks, blank lines, comments and one-line blocks stay as they are.
//!
//! Different on purpose:
//! - `"${name}"` keeps its quotes, as run-time names need them;
//! - heredocs are kept to the letter, `${ … }` in them too, and so are strings
//!   whose `${ … }` goes over several lines;
//! - a `[…]` that indexes stands right behind what it indexes, a string or splat too;
//! - labels without quotes stay without;
//! - several attributes on one line are accepted, and stay on it, also beside
//!   the brace of a block that goes on over further lines;
//! - `} else {` stands where its `if` stands;
//! - a byte order mark and the blanks at the end of a comment are dropped.

use unicode_segmentation::UnicodeSegmentation as _;

use super::diagnostic::{Diagnostic, Severity};
use super::lexer::{self, Token, TokenKind};
use super::source::FileId;
use super::syntax;

/// Lays out a pipeline's text; what it means stays the same.
///
/// # Errors
/// What is wrong with the text, when it cannot be read. `file` is what the
/// places of these diagnostics name.
pub fn format(file: FileId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let parsed = syntax::parse(file, text);
    if parsed.diagnostics.iter().any(|found| found.severity == Severity::Error) {
        return Err(parsed.diagnostics);
    }
    let lexed = lexer::lex(text);
    let mut lines = lines(text, &lexed.tokens);
    indent(&mut lines);
    align_values(&mut lines);
    align_comments(&mut lines);
    Ok(write(&lines, text.len()))
}

/// A token, or a heredoc or string of several lines as a whole.
#[derive(Debug)]
struct Piece<'a> {
    text: &'a str,
    /// What it begins and ends as.
    first: TokenKind,
    last: TokenKind,
    /// A blank stands before it.
    spaced: bool,
    /// A sign, `!`, or the `*` of a splat: it belongs to its neighbour.
    tight: bool,
}

/// A line as it is laid out: `lead`, then from `=` on `value`, then `comment`,
/// each but the first in a column of its own.
#[derive(Debug, Default)]
struct Line<'a> {
    lead: Vec<Piece<'a>>,
    value: Vec<Piece<'a>>,
    comment: Option<&'a str>,
    /// How many more brackets it opens than it closes.
    net: isize,
    /// The last bracket it opens is that of a block.
    opens_block: bool,
    indent: usize,
    /// Blanks before `value` and `comment`.
    value_gap: usize,
    comment_gap: usize,
    /// Its line end as written; empty for the last line.
    end: &'a str,
}

fn lines<'a>(text: &'a str, tokens: &[Token]) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    let ends = matching(tokens);
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        if token.kind == TokenKind::Newline {
            lines.push(line(std::mem::take(&mut pieces), token.text(text)));
            index += 1;
            continue;
        }
        let last = whole(text, tokens, &ends, index);
        let end = tokens.get(last).unwrap_or(token);
        let mut piece = Piece {
            text: text.get(token.start..end.end).unwrap_or_default(),
            first: token.kind,
            last: end.kind,
            spaced: false,
            tight: false,
        };
        let prev = pieces.last();
        piece.tight = is_tight(&piece, prev);
        piece.spaced = prev.is_some_and(|prev| is_spaced(prev, &piece));
        pieces.push(piece);
        index = last + 1;
    }
    lines.push(line(pieces, ""));
    lines
}

/// For each token that opens something, the token that closes it.
fn matching(tokens: &[Token]) -> Vec<usize> {
    let mut ends: Vec<usize> = (0..tokens.len()).collect();
    let mut open = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.kind.opens() {
            open.push(index);
        } else if token.kind.closes()
            && let Some(end) = open.pop().and_then(|opener: usize| ends.get_mut(opener))
        {
            *end = index;
        }
    }
    ends
}

/// The last token of what is taken as a whole: a heredoc, or a string that
/// goes over several lines.
fn whole(text: &str, tokens: &[Token], ends: &[usize], index: usize) -> usize {
    let (Some(token), Some(end)) = (tokens.get(index), ends.get(index)) else { return index };
    let inner = tokens.get(*end).and_then(|end| text.get(token.start..end.end)).unwrap_or_default();
    match token.kind {
        TokenKind::HeredocOpen => *end,
        TokenKind::QuoteOpen if inner.contains('\n') => *end,
        _ => index,
    }
}

fn line<'a>(mut pieces: Vec<Piece<'a>>, end: &'a str) -> Line<'a> {
    let mut line = Line { end, ..Line::default() };
    if pieces.len() > 1 && pieces.last().is_some_and(|last| last.last == TokenKind::LineComment) {
        line.comment = pieces.pop().map(|piece| piece.text);
    }
    line.net = pieces.iter().map(net).sum();
    line.opens_block = opens_block(&pieces);
    let assign = pieces.iter().skip(1).position(|piece| piece.first == TokenKind::Assign);
    if let Some(at) = assign.map(|at| at + 1) {
        let tail = pieces.get(at..).unwrap_or_default();
        // A value that goes on over the next lines has no column, nor has one
        // behind the brace of a block that does.
        let stays = tail.iter().map(net).sum::<isize>() == 0;
        if stays && !(line.opens_block && line.net > 0) {
            line.value = pieces.split_off(at);
        }
    }
    line.lead = pieces;
    line
}

fn net(piece: &Piece<'_>) -> isize {
    if piece.first.opens() && piece.last.closes() {
        return 0;
    }
    match piece.first {
        TokenKind::BraceOpen | TokenKind::BracketOpen | TokenKind::ParenOpen => 1,
        TokenKind::BraceClose | TokenKind::BracketClose | TokenKind::ParenClose => -1,
        _ => 0,
    }
}

/// Whether the last bracket that is opened is the brace of a block: what stands
/// before that is its name or a label, and before a brace of a value never is.
fn opens_block(pieces: &[Piece<'_>]) -> bool {
    let last = pieces.iter().rposition(|piece| net(piece) > 0);
    let Some((at, brace)) = last.and_then(|at| Some((at, pieces.get(at)?))) else { return false };
    let before = at.checked_sub(1).and_then(|at| pieces.get(at));
    brace.first == TokenKind::BraceOpen
        && before.is_some_and(|it| {
            matches!(it.last, TokenKind::Ident | TokenKind::QuoteClose) && !is_keyword(it)
        })
}

fn is_tight(piece: &Piece<'_>, prev: Option<&Piece<'_>>) -> bool {
    if piece.first != TokenKind::Operator {
        return false;
    }
    match piece.text {
        "!" => true,
        "-" => !prev.is_some_and(ends_value),
        "*" => {
            prev.is_some_and(|prev| matches!(prev.last, TokenKind::Dot | TokenKind::BracketOpen))
        }
        _ => false,
    }
}

fn ends_value(piece: &Piece<'_>) -> bool {
    (piece.last.ends_term() && !is_keyword(piece)) || (piece.tight && piece.text == "*")
}

fn is_keyword(piece: &Piece<'_>) -> bool {
    piece.first == TokenKind::Ident && matches!(piece.text, "for" | "in" | "if")
}

/// Whether a blank stands between two neighbours on a line.
fn is_spaced(prev: &Piece<'_>, next: &Piece<'_>) -> bool {
    use TokenKind as T;
    if prev.tight && prev.text != "*" {
        return false;
    }
    match (prev.last, next.first) {
        (T::QuoteOpen | T::Text, _) | (_, T::QuoteClose | T::Text) => false,
        (T::Interpolation | T::Directive, _) | (_, T::TemplateClose) => false,
        (T::TemplateClose, T::Interpolation | T::Directive) => false,
        (T::BraceOpen, T::BraceClose) => false,
        (T::ParenOpen | T::BracketOpen, _) | (_, T::ParenClose | T::BracketClose) => false,
        (_, T::Comma | T::Semicolon | T::Ellipsis) => false,
        (T::Dot | T::DoubleColon, _) | (_, T::Dot | T::DoubleColon) => false,
        (T::Ident, T::ParenOpen) => false,
        (_, T::BracketOpen) => !ends_value(prev),
        _ => true,
    }
}

/// Brackets that a line leaves open.
struct Level {
    open: usize,
    block: bool,
}

/// Every line that opens brackets indents those behind it by one level, until
/// as many are closed.
fn indent(lines: &mut [Line<'_>]) {
    let mut levels: Vec<Level> = Vec::new();
    for line in lines {
        let closes_first = line.lead.first().is_some_and(|first| net(first) < 0);
        // An attribute of a block stays inside it, also when it is the last on
        // the line of the block's end.
        let inside = !closes_first && levels.last().is_some_and(|level| level.block);
        let before = levels.len();
        if line.net < 0 {
            close(&mut levels, line.net.unsigned_abs());
        }
        let around = usize::from(line.net == 0 && closes_first && line.opens_block);
        let level = if inside { before } else { levels.len().saturating_sub(around) };
        line.indent = 2 * level;
        if line.net > 0 {
            levels.push(Level { open: line.net.unsigned_abs(), block: line.opens_block });
        }
    }
}

fn close(levels: &mut Vec<Level>, mut closed: usize) {
    while let Some(level) = levels.last_mut() {
        if level.open > closed {
            level.open -= closed;
            return;
        }
        closed -= level.open;
        levels.pop();
        if closed == 0 {
            return;
        }
    }
}

/// The width of pieces on one line, in characters as people count them.
fn width(pieces: &[Piece<'_>]) -> usize {
    pieces.iter().map(|piece| columns(piece.text) + usize::from(piece.spaced)).sum()
}

fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.graphemes(true).count() }
}

/// Puts the values of neighbouring lines into one column.
fn align_values(lines: &mut [Line<'_>]) {
    for chain in lines.chunk_by_mut(|a, b| !a.value.is_empty() && !b.value.is_empty()) {
        let widest = chain.iter().map(|line| width(&line.lead)).max().unwrap_or(0);
        for line in chain {
            line.value_gap = widest - width(&line.lead) + 1;
        }
    }
}

/// Puts the comments of neighbouring lines into one column.
fn align_comments(lines: &mut [Line<'_>]) {
    let flat = |line: &Line<'_>| {
        let mut pieces = line.lead.iter().chain(&line.value);
        line.comment.is_some() && !pieces.any(|piece| piece.text.contains('\n'))
    };
    for chain in lines.chunk_by_mut(|a, b| flat(a) && flat(b)) {
        let widest = chain.iter().map(body_width).max().unwrap_or(0);
        for line in chain {
            line.comment_gap = widest - body_width(line) + 1;
        }
    }
}

/// The width of a line without its comment.
fn body_width(line: &Line<'_>) -> usize {
    let gap = if line.value.is_empty() { 0 } else { line.value_gap };
    let value =
        width(&line.value) - usize::from(line.value.first().is_some_and(|first| first.spaced));
    line.indent + width(&line.lead) + gap + value
}

fn write(lines: &[Line<'_>], capacity: usize) -> String {
    let mut text = String::with_capacity(capacity + capacity / 8);
    for line in lines {
        if !line.lead.is_empty() {
            write_line(&mut text, line);
        }
        text.push_str(line.end);
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn write_line(text: &mut String, line: &Line<'_>) {
    blanks(text, line.indent);
    write_pieces(text, &line.lead);
    if !line.value.is_empty() {
        blanks(text, line.value_gap);
        write_pieces(text, &line.value);
    }
    if let Some(comment) = line.comment {
        blanks(text, line.comment_gap);
        text.push_str(comment.trim_end());
    }
}

fn blanks(text: &mut String, count: usize) {
    text.extend(std::iter::repeat_n(' ', count));
}

fn write_pieces(text: &mut String, pieces: &[Piece<'_>]) {
    for (index, piece) in pieces.iter().enumerate() {
        if piece.spaced && index > 0 {
            text.push(' ');
        }
        if piece.first == TokenKind::LineComment {
            text.push_str(piece.text.trim_end());
        } else {
            text.push_str(piece.text);
        }
    }
}

#[cfg(test)]
mod tests;
