//! Where the statements of an item begin and end, found by its tokens alone.
//!
//! hcl-edit, as strict HCL, wants each attribute of a block on its own line.
//! People write `run "exec" { path = "make" args = ["test"] }`. Here the blanks
//! between such attributes are found, to be parsed as line breaks: one byte for
//! one byte, so that all places stay true. On the way, what looks odd is noted,
//! for the case that the grammar refuses the item.

use super::super::lexer::{Token, TokenKind};

/// Something odd that explains why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Oddity {
    /// A statement that begins with something other than a name.
    BadStart,
    /// A name alone on its line, or with labels but without `{`.
    LoneHeader {
        /// The name.
        name: usize,
    },
    /// A name followed by something that is neither `=`, a label nor `{`.
    BadHeader {
        /// The name.
        name: usize,
    },
    /// `name: value`.
    ColonForAssign {
        /// The name.
        name: usize,
    },
    /// `name == value`.
    EqualsForAssign,
    /// `block "label" = …`.
    BlockWithAssign {
        /// The name.
        name: usize,
    },
    /// `name =` and nothing behind it.
    NoValue {
        /// The name.
        name: usize,
    },
    /// Something behind a complete value on its line.
    Garbage {
        /// Where the value begins.
        value: usize,
    },
    /// Two items of a list, arguments or object without a separator.
    MissingComma {
        /// The last token of the item before.
        before: usize,
        /// In an object, where a line break would do as well.
        object: bool,
    },
    /// A `,` or `;` at the end of an attribute's line.
    TrailingComma,
    /// `name = value, value`.
    BareList {
        /// Where the first value begins.
        value: usize,
    },
    /// A one-line block with no room for a line break.
    NeedsBlank,
}

/// What stands for the `{` of a `${` in the condition of an `if`: the parser takes
/// no templates in labels, and a control character cannot stand in a text otherwise.
pub(in crate::language) const TEMPLATE_IN_LABEL: u8 = 1;

/// An attribute or block and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Statement {
    /// The token that names it.
    pub(super) name: usize,
    /// Its last token.
    pub(super) last: usize,
    /// The `{` of the block that it stands in; `None` at the top.
    pub(super) body: Option<usize>,
}

/// What is known of an item, or of several.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Bytes to put in place of others before parsing.
    pub(super) edits: Vec<(usize, u8)>,
    /// What is odd, with the token where it shows.
    pub(super) oddities: Vec<(Oddity, usize)>,
    /// The statements, inner ones before the block they stand in.
    pub(super) statements: Vec<Statement>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before a statement.
    Start,
    /// Behind a statement's name.
    Header { name: usize, labels: usize },
    /// Behind an attribute's `=`.
    Value { name: usize, value: usize, questions: usize },
    /// In something that is no statement, up to the end of its line.
    Skip,
}

#[derive(Debug)]
struct Body {
    open: Option<usize>,
    phase: Phase,
    statements: usize,
    blocks: usize,
    first: usize,
    /// A line break stands behind the `{`.
    open_broken: bool,
    /// The last token of the statement before.
    last: Option<usize>,
    /// A line break was seen since.
    broken: bool,
}

#[derive(Debug)]
enum Scope {
    Body(Body),
    /// A bracket, string or template within a value.
    Group(TokenKind),
}

/// Looks at the tokens `range` of `text`.
pub(super) fn scan(
    text: &str,
    tokens: &[Token],
    range: std::ops::Range<usize>,
    layout: &mut Layout,
) {
    let mut scan = Scan { text, tokens, layout, scopes: vec![Scope::Body(body(None))], prev: None };
    for index in range.clone() {
        let Some(token) = tokens.get(index) else { break };
        if !token.kind.is_comment() {
            scan.token(index, token.kind);
        }
    }
    scan.end(range.end);
}

fn body(open: Option<usize>) -> Body {
    Body {
        open,
        phase: Phase::Start,
        statements: 0,
        blocks: 0,
        first: 0,
        open_broken: false,
        last: None,
        broken: false,
    }
}

struct Scan<'a> {
    text: &'a str,
    tokens: &'a [Token],
    layout: &'a mut Layout,
    scopes: Vec<Scope>,
    /// The last token of the current value that is neither comment nor line break.
    prev: Option<usize>,
}

impl Scan<'_> {
    fn kind(&self, index: usize) -> Option<TokenKind> {
        self.tokens.get(index).map(|token| token.kind)
    }

    fn odd(&mut self, oddity: Oddity, index: usize) {
        self.layout.oddities.push((oddity, index));
    }

    fn token(&mut self, index: usize, kind: TokenKind) {
        match self.scopes.last() {
            Some(Scope::Group(group)) => {
                let group = *group;
                self.in_group(group, index, kind);
            }
            Some(Scope::Body(body)) => match body.phase {
                Phase::Start => self.at_start(index, kind),
                Phase::Header { name, labels } => self.in_header(index, kind, name, labels),
                Phase::Value { name, value, questions } => {
                    self.in_value(index, kind, name, value, questions);
                }
                Phase::Skip => self.skip(index, kind),
            },
            None => {}
        }
        if kind != TokenKind::Newline {
            self.prev = Some(index);
        }
    }

    fn end(&mut self, end: usize) {
        if let Some(Scope::Body(Body { phase, .. })) = self.scopes.last() {
            match *phase {
                Phase::Header { name, .. } => self.odd(Oddity::LoneHeader { name }, end),
                Phase::Value { name, .. } => self.end_value(name, end),
                Phase::Start | Phase::Skip => {}
            }
        }
    }

    fn in_group(&mut self, group: TokenKind, index: usize, kind: TokenKind) {
        if kind.closes() {
            self.scopes.pop();
            return;
        }
        if kind == TokenKind::Newline {
            if group == TokenKind::BraceOpen {
                self.prev = None;
            }
            return;
        }
        let separated =
            matches!(group, TokenKind::BraceOpen | TokenKind::BracketOpen | TokenKind::ParenOpen);
        if separated
            && let Some(before) = self.prev
            && self.follows_value(before, index, kind)
            && !self.is_keyword(before)
            && !self.is_keyword(index)
        {
            let object = group == TokenKind::BraceOpen;
            self.odd(Oddity::MissingComma { before, object }, index);
        }
        if kind == TokenKind::Interpolation
            && group == TokenKind::QuoteOpen
            && self.in_condition()
            && let Some(token) = self.tokens.get(index)
        {
            self.layout.edits.push((token.range().start + 1, TEMPLATE_IN_LABEL));
        }
        if kind.opens() {
            self.scopes.push(Scope::Group(kind));
        }
    }

    /// Whether the string that is open is a label of an `if` or `else_if`.
    fn in_condition(&self) -> bool {
        let [.., Scope::Body(Body { phase: Phase::Header { name, .. }, .. }), Scope::Group(_)] =
            self.scopes.as_slice()
        else {
            return false;
        };
        let word = self.tokens.get(*name).map_or("", |token| token.text(self.text));
        matches!(word, "if" | "else_if")
    }

    /// Whether the token at `index` begins another value behind the one that
    /// ends at `before`.
    fn follows_value(&self, before: usize, index: usize, kind: TokenKind) -> bool {
        let Some(before) = self.kind(before) else { return false };
        let indexes = kind == TokenKind::BracketOpen;
        let calls = kind == TokenKind::ParenOpen && before == TokenKind::Ident;
        let odd = kind == TokenKind::Unknown && self.kind(index).is_some();
        before.ends_term() && ((kind.starts_term() && !indexes && !calls) || odd)
    }

    fn is_keyword(&self, index: usize) -> bool {
        let text = self.tokens.get(index).map_or("", |token| token.text(self.text));
        matches!(text, "for" | "in" | "if" | "else" | "endif" | "endfor")
    }

    fn body(&mut self) -> Option<&mut Body> {
        match self.scopes.last_mut() {
            Some(Scope::Body(body)) => Some(body),
            _ => None,
        }
    }

    fn set_phase(&mut self, phase: Phase) {
        if let Some(body) = self.body() {
            body.phase = phase;
        }
    }

    fn at_start(&mut self, index: usize, kind: TokenKind) {
        match kind {
            TokenKind::Newline => {
                if let Some(body) = self.body() {
                    body.broken = true;
                }
            }
            TokenKind::Ident => self.begin(index),
            TokenKind::BraceClose => self.close_body(index),
            TokenKind::Comma | TokenKind::Semicolon => self.separator(index),
            _ => {
                self.odd(Oddity::BadStart, index);
                self.skip(index, kind);
            }
        }
    }

    /// A statement begins with the name at `index`.
    fn begin(&mut self, index: usize) {
        let Some(body) = self.body() else { return };
        let (last, broken) = (body.last, body.broken);
        if body.statements == 0 {
            body.first = index;
            body.open_broken = broken;
        }
        body.statements += 1;
        body.broken = false;
        body.phase = Phase::Header { name: index, labels: 0 };
        if let Some(last) = last
            && !broken
        {
            self.break_between(last, index);
        }
    }

    /// A statement ends with the last token seen.
    fn finish(&mut self, name: usize) {
        let prev = self.prev;
        let Some(body) = self.body() else { return };
        body.last = prev;
        body.broken = false;
        body.phase = Phase::Start;
        let open = body.open;
        if let Some(last) = prev {
            self.layout.statements.push(Statement { name, last, body: open });
        }
    }

    fn separator(&mut self, index: usize) {
        let ends_line = matches!(self.kind(index + 1), None | Some(TokenKind::Newline))
            || self.kind(index + 1).is_some_and(TokenKind::is_comment);
        let Some(body) = self.body() else { return };
        if body.last.is_none() || body.broken || body.open.is_none() {
            self.odd(Oddity::BadStart, index);
        } else if ends_line {
            self.odd(Oddity::TrailingComma, index);
        } else {
            body.broken = true;
            if let Some(token) = self.tokens.get(index) {
                self.layout.edits.push((token.start, b'\n'));
            }
        }
    }

    fn in_header(&mut self, index: usize, kind: TokenKind, name: usize, labels: usize) {
        match kind {
            TokenKind::Ident => self.set_phase(Phase::Header { name, labels: labels + 1 }),
            TokenKind::QuoteOpen => {
                self.set_phase(Phase::Header { name, labels: labels + 1 });
                self.scopes.push(Scope::Group(kind));
            }
            TokenKind::Assign => {
                if labels > 0 {
                    self.odd(Oddity::BlockWithAssign { name }, index);
                }
                self.set_phase(Phase::Value { name, value: index + 1, questions: 0 });
            }
            TokenKind::BraceOpen => {
                if let Some(body) = self.body() {
                    body.blocks += 1;
                }
                self.scopes.push(Scope::Body(body(Some(index))));
            }
            TokenKind::Newline => {
                self.odd(Oddity::LoneHeader { name }, index);
                self.finish(name);
                self.at_start(index, kind);
            }
            TokenKind::BraceClose => {
                self.odd(Oddity::LoneHeader { name }, index);
                self.finish(name);
                self.close_body(index);
            }
            TokenKind::Colon => {
                self.odd(Oddity::ColonForAssign { name }, index);
                self.set_phase(Phase::Value { name, value: index + 1, questions: 0 });
            }
            TokenKind::Operator
                if labels == 0
                    && self.tokens.get(index).is_some_and(|t| t.text(self.text) == "==") =>
            {
                self.odd(Oddity::EqualsForAssign, index);
                self.set_phase(Phase::Value { name, value: index + 1, questions: 0 });
            }
            _ => {
                self.odd(Oddity::BadHeader { name }, index);
                self.skip(index, kind);
            }
        }
    }

    fn in_value(
        &mut self,
        index: usize,
        kind: TokenKind,
        name: usize,
        value: usize,
        questions: usize,
    ) {
        match kind {
            TokenKind::Newline => {
                self.end_value(name, index);
                self.at_start(index, kind);
                return;
            }
            TokenKind::BraceClose => {
                self.end_value(name, index);
                self.close_body(index);
                return;
            }
            TokenKind::Comma | TokenKind::Semicolon => {
                let next = self.kind(index + 1).is_some_and(TokenKind::starts_term);
                if next && !self.begins_statement(index + 1) {
                    self.odd(Oddity::BareList { value }, index);
                }
                self.end_value(name, index);
                self.separator(index);
                return;
            }
            TokenKind::Question => {
                self.set_phase(Phase::Value { name, value, questions: questions + 1 });
            }
            TokenKind::Colon if questions > 0 => {
                self.set_phase(Phase::Value { name, value, questions: questions - 1 });
            }
            TokenKind::Colon | TokenKind::Unknown | TokenKind::SingleQuoted => {
                self.odd(Oddity::Garbage { value }, index);
            }
            TokenKind::Operator if index == value && !self.is_sign(index) => {
                self.odd(Oddity::Garbage { value }, index);
            }
            _ => {}
        }
        if let Some(before) = self.prev
            && self.follows_value(before, index, kind)
        {
            if kind == TokenKind::Ident && self.begins_statement(index) {
                self.end_value(name, index);
                self.begin(index);
                return;
            }
            self.odd(Oddity::Garbage { value }, index);
        }
        if kind.opens() {
            self.scopes.push(Scope::Group(kind));
        }
    }

    fn is_sign(&self, index: usize) -> bool {
        self.tokens.get(index).is_some_and(|token| matches!(token.text(self.text), "-" | "!"))
    }

    fn end_value(&mut self, name: usize, index: usize) {
        if self.prev.and_then(|prev| self.kind(prev)) == Some(TokenKind::Assign) {
            self.odd(Oddity::NoValue { name }, index);
        }
        self.finish(name);
    }

    /// Whether the name at `index`, behind a value, begins a statement: `name =`,
    /// `name {` or `name "label" … {` on this line.
    fn begins_statement(&self, index: usize) -> bool {
        let mut labels = 0;
        for token in self.tokens.iter().skip(index + 1).take(MAX_HEADER_TOKENS) {
            match token.kind {
                TokenKind::Assign => return labels == 0,
                TokenKind::BraceOpen => return true,
                TokenKind::Ident | TokenKind::QuoteOpen => labels += 1,
                TokenKind::Text | TokenKind::QuoteClose | TokenKind::BlockComment => {}
                _ => return false,
            }
        }
        false
    }

    fn skip(&mut self, index: usize, kind: TokenKind) {
        match kind {
            TokenKind::Newline => {
                self.set_phase(Phase::Start);
                self.at_start(index, kind);
            }
            TokenKind::BraceClose => self.close_body(index),
            _ => {
                self.set_phase(Phase::Skip);
                if kind.opens() {
                    self.scopes.push(Scope::Group(kind));
                }
            }
        }
    }

    fn close_body(&mut self, index: usize) {
        if self.scopes.len() < 2 {
            return;
        }
        let Some(Scope::Body(body)) = self.scopes.pop() else { return };
        let one_line =
            body.statements == 1 && body.blocks == 0 && !body.open_broken && !body.broken;
        if body.statements > 0
            && !one_line
            && let Some(open) = body.open
        {
            if !body.open_broken {
                self.break_behind_open(open, body.first);
            }
            if let Some(last) = body.last
                && !body.broken
            {
                self.break_before_close(last, index);
            }
        }
        self.prev = Some(index);
        if let Some(Scope::Body(Body { phase: Phase::Header { name, .. }, .. })) =
            self.scopes.last()
        {
            let name = *name;
            self.finish(name);
        }
    }

    /// The first blank between two tokens that is not in a comment.
    fn blank_between(&self, before: usize, behind: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        (before..behind).find_map(|index| {
            let (token, next) = (self.tokens.get(index)?, self.tokens.get(index + 1)?);
            let gap = bytes.get(token.end..next.start)?;
            gap.iter().position(|byte| matches!(byte, b' ' | b'\t')).map(|at| token.end + at)
        })
    }

    fn break_between(&mut self, before: usize, behind: usize) -> bool {
        match self.blank_between(before, behind) {
            Some(at) => {
                self.layout.edits.push((at, b'\n'));
                true
            }
            None => {
                self.odd(Oddity::NeedsBlank, behind);
                false
            }
        }
    }

    fn is_blank(&self, at: usize) -> bool {
        matches!(self.text.as_bytes().get(at), Some(b' ' | b'\t'))
            && !self.layout.edits.iter().rev().take(4).any(|(edit, _)| *edit == at)
    }

    fn break_behind_open(&mut self, open: usize, first: usize) {
        let start = self.tokens.get(open).map_or(0, |token| token.start);
        if self.blank_between(open, first).is_none() && start > 0 && self.is_blank(start - 1) {
            self.layout.edits.push((start - 1, b'{'));
            self.layout.edits.push((start, b'\n'));
        } else {
            self.break_between(open, first);
        }
    }

    fn break_before_close(&mut self, last: usize, close: usize) {
        let inner = self.tokens.get(last).copied();
        let Some(inner) = inner.filter(|inner| inner.kind == TokenKind::BraceClose) else {
            self.break_between(last, close);
            return;
        };
        // `… }}`: the inner brace moves into the blank before it.
        if self.blank_between(last, close).is_none()
            && inner.start > 0
            && self.is_blank(inner.start - 1)
        {
            self.layout.edits.push((inner.start - 1, b'}'));
            self.layout.edits.push((inner.start, b'\n'));
        } else {
            self.break_between(last, close);
        }
    }
}

/// How many tokens a block's name and labels may have when they stand behind
/// an attribute on its line.
const MAX_HEADER_TOKENS: usize = 32;
