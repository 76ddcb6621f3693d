//! From one token to the next.

use std::ops::Range;

use super::{
    Item, MAX_NESTING, Problem, ProblemKind, Token, TokenKind, is_ident_continue, is_ident_start,
};

/// How far a shell expansion is followed to its `}`.
const MAX_SHELL_BYTES: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FrameKind {
    Paren,
    Bracket,
    /// A brace, with the indentation of the line it opens on.
    Brace {
        indent: usize,
    },
    Template,
    /// A string, with the last `${` in it that went over the end of a line.
    Quote {
        long_template: Option<Range<usize>>,
    },
    Heredoc {
        marker: Range<usize>,
    },
}

#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: FrameKind,
    pub(super) open: Range<usize>,
}

/// What is being taken apart, and how far it is.
pub(super) struct Lexer<'a> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    pub(super) pos: usize,
    pub(super) line_start: usize,
    /// The blanks that the line at `line_start` begins with, once counted.
    pub(super) indent: Option<(usize, usize)>,
    pub(super) too_deep: bool,
    pub(super) tokens: Vec<Token>,
    pub(super) frames: Vec<Frame>,
    pub(super) items: Vec<Item>,
    pub(super) item_start: usize,
    pub(super) problem: Option<Problem>,
    /// The first brace of this item that closed left of where it opened.
    pub(super) suspect: Option<(Range<usize>, Range<usize>)>,
    /// The first brace of this item that closed right of where it opened.
    pub(super) early: Option<(Range<usize>, Range<usize>)>,
    pub(super) last_early: Option<(Range<usize>, Range<usize>)>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            // A byte order mark is no part of the text.
            pos: if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 },
            line_start: 0,
            indent: None,
            too_deep: false,
            tokens: Vec::with_capacity(text.len() / 5),
            frames: Vec::new(),
            items: Vec::new(),
            item_start: 0,
            problem: None,
            suspect: None,
            early: None,
            last_early: None,
        }
    }
}

impl Lexer<'_> {
    pub(super) fn run(&mut self) {
        while self.pos < self.bytes.len() && !self.too_deep {
            match self.frames.last().map(|frame| &frame.kind) {
                Some(FrameKind::Quote { .. }) => self.quoted(),
                Some(FrameKind::Heredoc { marker }) => {
                    let marker = marker.clone();
                    self.heredoc(marker);
                }
                _ => self.plain(),
            }
        }
    }

    fn byte(&self, offset: usize) -> u8 {
        self.bytes.get(self.pos + offset).copied().unwrap_or(0)
    }

    fn rest(&self) -> &str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    fn push(&mut self, kind: TokenKind, len: usize) -> Range<usize> {
        let range = self.pos..self.pos + len;
        self.tokens.push(Token { kind, start: range.start, end: range.end });
        self.pos = range.end;
        range
    }

    fn open(&mut self, token: TokenKind, len: usize, kind: FrameKind) {
        let open = self.push(token, len);
        if self.frames.len() >= MAX_NESTING {
            self.report(ProblemKind::TooDeep, open.clone(), open.clone());
            self.too_deep = true;
        }
        self.frames.push(Frame { kind, open });
    }

    pub(super) fn report(&mut self, kind: ProblemKind, open: Range<usize>, at: Range<usize>) {
        if self.problem.is_none() {
            self.problem = Some(Problem { kind, open, at });
        }
    }

    /// The blanks that the current line begins with.
    fn indent(&mut self) -> usize {
        if let Some((line, indent)) = self.indent
            && line == self.line_start
        {
            return indent;
        }
        let blanks = |byte: &&u8| matches!(byte, b' ' | b'\t');
        let indent = self.bytes.iter().skip(self.line_start).take_while(blanks).count();
        self.indent = Some((self.line_start, indent));
        indent
    }

    /// The end of a line outside strings.
    fn newline(&mut self, len: usize) {
        let at = self.push(TokenKind::Newline, len);
        self.line_start = self.pos;
        if self.frames.is_empty() {
            self.tokens.pop();
            self.end_item(at.start);
            self.tokens.push(Token { kind: TokenKind::Newline, start: at.start, end: at.end });
            self.item_start = self.tokens.len();
        } else {
            self.template_ends_with_heredoc(at);
        }
    }

    /// A template in a heredoc cannot go on behind the heredoc's last line.
    fn template_ends_with_heredoc(&mut self, at: Range<usize>) {
        let heredoc = self.frames.iter().rposition(|f| matches!(f.kind, FrameKind::Heredoc { .. }));
        let Some((index, Frame { kind: FrameKind::Heredoc { marker }, .. })) =
            heredoc.and_then(|index| self.frames.get(index).map(|frame| (index, frame)))
        else {
            return;
        };
        if self.closes_heredoc(marker.clone()).is_some() {
            let open = self.frames.get(index + 1).map_or(at.clone(), |frame| frame.open.clone());
            self.report(ProblemKind::UnclosedTemplate, open, at);
            self.frames.truncate(index + 1);
        }
    }

    /// Closes the current item; a broken one reaches up to `end`.
    pub(super) fn end_item(&mut self, end: usize) {
        let significant =
            |token: &Token| !token.kind.is_comment() && token.kind != TokenKind::Newline;
        let tokens = self.tokens.get(self.item_start..).unwrap_or_default();
        let first = tokens.iter().position(significant);
        let last = tokens.iter().rposition(significant);
        let problem = self.problem.take();
        let all = self.item_start..self.tokens.len();
        let range = match (first, last) {
            (Some(first), Some(last)) => {
                self.last_early = self.early.take();
                Some(self.item_start + first..self.item_start + last + 1)
            }
            _ => problem.is_some().then_some(all),
        };
        if let Some(range) = range
            && let Some([first, .., last]) | Some([first @ last]) = self.tokens.get(range.clone())
        {
            let end = if problem.is_some() { end } else { last.end };
            let bytes = first.start..end.max(first.start);
            self.items.push(Item { tokens: range, bytes, problem });
        }
        self.suspect = None;
        self.early = None;
        self.item_start = self.tokens.len();
    }

    fn plain(&mut self) {
        use TokenKind as T;
        let byte = self.byte(0);
        match byte {
            b' ' | b'\t' => self.pos += 1,
            b'\n' => self.newline(1),
            b'\r' if self.byte(1) == b'\n' => self.newline(2),
            b'\r' => self.pos += 1,
            b'#' => self.line_comment(),
            b'/' if self.byte(1) == b'/' => self.line_comment(),
            b'/' if self.byte(1) == b'*' => self.block_comment(),
            b'"' => self.open(T::QuoteOpen, 1, FrameKind::Quote { long_template: None }),
            b'{' => {
                let indent = self.indent();
                self.open(T::BraceOpen, 1, FrameKind::Brace { indent });
            }
            b'[' => self.open(T::BracketOpen, 1, FrameKind::Bracket),
            b'(' => self.open(T::ParenOpen, 1, FrameKind::Paren),
            b'}' => self.close_brace(1),
            b'~' if self.byte(1) == b'}' && self.in_template() => self.close_brace(2),
            b']' => self.close(T::BracketClose),
            b')' => self.close(T::ParenClose),
            b'<' if self.byte(1) == b'<' => self.heredoc_open(),
            b'0'..=b'9' => self.number(),
            b'\'' => self.single_quoted(),
            _ => self.operator_or_name(byte),
        }
    }

    fn operator_or_name(&mut self, byte: u8) {
        use TokenKind as T;
        let (kind, len) = match (byte, self.byte(1)) {
            (b'=', b'=') | (b'!', b'=') | (b'<', b'=') | (b'>', b'=') => (T::Operator, 2),
            (b'&', b'&') | (b'|', b'|') => (T::Operator, 2),
            (b'=', b'>') => (T::FatArrow, 2),
            (b'=', _) => (T::Assign, 1),
            (b'!' | b'<' | b'>' | b'+' | b'-' | b'*' | b'/' | b'%', _) => (T::Operator, 1),
            (b',', _) => (T::Comma, 1),
            (b';', _) => (T::Semicolon, 1),
            (b'.', b'.') if self.byte(2) == b'.' => (T::Ellipsis, 3),
            (b'.', _) => (T::Dot, 1),
            (b':', b':') => (T::DoubleColon, 2),
            (b':', _) => (T::Colon, 1),
            (b'?', _) => (T::Question, 1),
            _ => match self.rest().chars().next() {
                Some(ch) if is_ident_start(ch) => (T::Ident, ident_len(self.rest())),
                Some(ch) => (T::Unknown, ch.len_utf8()),
                None => (T::Unknown, 1),
            },
        };
        self.push(kind, len);
    }

    fn line_comment(&mut self) {
        let line = self.rest();
        let len = line.find('\n').unwrap_or(line.len());
        let len = line.get(..len).unwrap_or_default().trim_end_matches('\r').len();
        self.push(TokenKind::LineComment, len);
    }

    fn block_comment(&mut self) {
        let rest = self.rest();
        let body = rest.get(2..).unwrap_or_default();
        match body.find("*/") {
            Some(end) => {
                self.push(TokenKind::BlockComment, end + 4);
            }
            None => {
                let open = self.pos..self.pos + 2;
                let len = rest.len();
                self.push(TokenKind::BlockComment, len);
                self.report(ProblemKind::UnclosedComment, open, self.pos..self.pos);
            }
        }
    }

    fn number(&mut self) {
        let digits = |from: usize| {
            let tail = self.bytes.get(self.pos + from..).unwrap_or_default();
            tail.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let mut len = digits(0);
        if self.byte(len) == b'.' && digits(len + 1) > 0 {
            len += 1 + digits(len + 1);
        }
        if matches!(self.byte(len), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(len + 1), b'+' | b'-'));
            let exponent = digits(len + 1 + sign);
            if exponent > 0 {
                len += 1 + sign + exponent;
            }
        }
        self.push(TokenKind::Number, len);
    }

    /// `'…'` on one line as one token, so that brackets in it count for nothing.
    fn single_quoted(&mut self) {
        let inner = self.rest().get(1..).unwrap_or_default();
        let end = inner.find(['\'', '\n']);
        match end.filter(|end| inner.as_bytes().get(*end) == Some(&b'\'')) {
            Some(end) => self.push(TokenKind::SingleQuoted, end + 2),
            None => self.push(TokenKind::Unknown, 1),
        };
    }

    fn in_template(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { kind: FrameKind::Template, .. }))
    }

    /// A `}`: the end of a block, an object or a template.
    fn close_brace(&mut self, len: usize) {
        let is_match =
            |kind: &FrameKind| matches!(kind, FrameKind::Brace { .. } | FrameKind::Template);
        let Some(index) = self.find_open(is_match) else {
            let at = self.push(TokenKind::BraceClose, len);
            self.unmatched(at);
            return;
        };
        let at = self.pos..self.pos + len;
        self.drop_unclosed(index, at.clone());
        let Some(frame) = self.frames.pop() else { return };
        match frame.kind {
            FrameKind::Brace { indent } => {
                let closing = self.indent();
                let first = self.line_start + closing == at.start;
                let pair = Some((frame.open.clone(), at));
                if first && closing < indent && self.suspect.is_none() {
                    self.suspect = pair;
                } else if first && closing > indent && self.early.is_none() {
                    self.early = pair;
                }
                self.push(TokenKind::BraceClose, len);
            }
            _ => {
                self.push(TokenKind::TemplateClose, len);
                let long = self.line_start > frame.open.start;
                if let Some(Frame { kind: FrameKind::Quote { long_template }, .. }) =
                    self.frames.last_mut()
                    && long
                {
                    *long_template = Some(frame.open);
                }
            }
        }
    }

    /// A `]` or `)`.
    fn close(&mut self, token: TokenKind) {
        let wanted = match token {
            TokenKind::BracketClose => FrameKind::Bracket,
            _ => FrameKind::Paren,
        };
        let at = self.push(token, 1);
        match self.find_open(|kind| *kind == wanted) {
            Some(index) => {
                self.drop_unclosed(index, at);
                self.frames.pop();
            }
            None => self.unmatched(at),
        }
    }

    /// The innermost open frame that `is_match`, in this string or template.
    fn find_open(&self, is_match: impl Fn(&FrameKind) -> bool) -> Option<usize> {
        for (index, frame) in self.frames.iter().enumerate().rev() {
            if is_match(&frame.kind) {
                return Some(index);
            }
            // A `]` or `)` reaches no further than its template, and not out of
            // a block with other lines in it.
            let barrier = match frame.kind {
                FrameKind::Template | FrameKind::Quote { .. } | FrameKind::Heredoc { .. } => true,
                FrameKind::Brace { .. } => self.line_start > frame.open.start,
                FrameKind::Paren | FrameKind::Bracket => false,
            };
            if barrier {
                return None;
            }
        }
        None
    }

    /// Closes what is still open inside the frame at `index`.
    fn drop_unclosed(&mut self, index: usize, at: Range<usize>) {
        if let Some(open) = self.frames.get(index + 1).map(|frame| frame.open.clone()) {
            let kind = ProblemKind::UnclosedBracket { at_end: false, suspect: None };
            self.report(kind, open, at);
            self.frames.truncate(index + 1);
        }
    }

    /// A closing bracket without its opening one.
    fn unmatched(&mut self, at: Range<usize>) {
        match self.frames.last() {
            Some(Frame { kind: FrameKind::Paren | FrameKind::Bracket, open }) => {
                let open = open.clone();
                let kind = ProblemKind::UnclosedBracket { at_end: false, suspect: None };
                self.report(kind, open, at);
                self.frames.pop();
            }
            _ => {
                let early = self.early.clone().or_else(|| self.last_early.clone());
                self.report(ProblemKind::StrayClose { early }, at.clone(), at);
            }
        }
    }

    fn heredoc_open(&mut self) {
        let rest = self.rest();
        let dash = usize::from(self.byte(2) == b'-');
        let name = rest.get(2 + dash..).unwrap_or_default();
        let len = match name.chars().next() {
            Some(ch) if is_ident_start(ch) => ident_len(name),
            _ => 0,
        };
        let tail = name.get(len..).unwrap_or_default();
        let newline = match tail.as_bytes() {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => 0,
        };
        if len == 0 || newline == 0 {
            if self.problem.is_none() {
                let line = rest.lines().next().unwrap_or_default().trim_end().len().max(2);
                let at = self.pos..self.pos + line;
                self.report(ProblemKind::BadHeredoc, at.clone(), at);
            }
            self.push(TokenKind::Unknown, 2);
            return;
        }
        let start = self.pos + 2 + dash;
        let kind = FrameKind::Heredoc { marker: start..start + len };
        self.open(TokenKind::HeredocOpen, 2 + dash + len + newline, kind);
        self.line_start = self.pos;
    }

    /// The closing marker on the line that begins here: where it is.
    fn closes_heredoc(&self, marker: Range<usize>) -> Option<Range<usize>> {
        let line = self.rest();
        let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
        let marker = self.text.get(marker)?;
        let behind = line.get(blanks..)?.strip_prefix(marker)?;
        let goes_on = behind.chars().next().is_some_and(is_ident_continue);
        let start = self.pos + blanks;
        (!goes_on).then(|| start..start + marker.len())
    }

    fn heredoc(&mut self, marker: Range<usize>) {
        let start = self.pos;
        loop {
            if self.pos == self.line_start
                && let Some(close) = self.closes_heredoc(marker.clone())
            {
                self.text_token(start);
                self.pos = close.start;
                self.push(TokenKind::HeredocClose, close.len());
                self.frames.pop();
                return;
            }
            let rest = self.bytes.get(self.pos..).unwrap_or_default();
            let Some(skip) = rest.iter().position(|byte| matches!(byte, b'\n' | b'$' | b'%'))
            else {
                self.pos = self.bytes.len();
                self.text_token(start);
                return;
            };
            self.pos += skip;
            if self.byte(0) == b'\n' {
                self.pos += 1;
                self.line_start = self.pos;
                if self.pos >= self.bytes.len() {
                    self.text_token(start);
                    return;
                }
            } else if self.template(start) {
                return;
            }
        }
    }

    fn quoted(&mut self) {
        let start = self.pos;
        loop {
            let rest = self.bytes.get(self.pos..).unwrap_or_default();
            let stop = |byte: &u8| matches!(byte, b'"' | b'\\' | b'\n' | b'$' | b'%');
            let Some(skip) = rest.iter().position(stop) else {
                self.pos = self.bytes.len();
                self.text_token(start);
                self.unclosed_string();
                return;
            };
            self.pos += skip;
            match self.byte(0) {
                b'"' => {
                    self.text_token(start);
                    self.push(TokenKind::QuoteClose, 1);
                    self.frames.pop();
                    return;
                }
                b'\n' => {
                    if self.bytes.get(self.pos.wrapping_sub(1)) == Some(&b'\r') && self.pos > start
                    {
                        self.pos -= 1;
                    }
                    self.text_token(start);
                    self.unclosed_string();
                    return;
                }
                b'\\' => self.escape(),
                _ => {
                    if self.template(start) {
                        return;
                    }
                }
            }
        }
    }

    /// A string ends with its line: blames what was left open and drops the
    /// string, with the template that it stands in.
    fn unclosed_string(&mut self) {
        let at = self.pos..self.pos;
        let outermost = self.frames.iter().position(|frame| frame.kind == FrameKind::Template);
        let Some(template) = outermost else {
            if let Some(Frame { kind: FrameKind::Quote { long_template }, open }) =
                self.frames.pop()
            {
                match long_template {
                    Some(open) => self.report(ProblemKind::UnclosedTemplate, open, at),
                    None => self.report(ProblemKind::UnclosedString, open, at),
                }
            }
            return;
        };
        let open = self.frames.get(template).map_or(at.clone(), |frame| frame.open.clone());
        self.report(ProblemKind::UnclosedTemplate, open, at);
        self.frames.truncate(template);
        // In a heredoc the text goes on; a string ends here.
        if matches!(self.frames.last(), Some(Frame { kind: FrameKind::Quote { .. }, .. })) {
            self.frames.pop();
        }
    }

    /// `\` in a string.
    fn escape(&mut self) {
        let next = self.rest().chars().nth(1);
        let hex = |count: usize| {
            let digits = self.text.get(self.pos + 2..self.pos + 2 + count).unwrap_or_default();
            let value = u32::from_str_radix(digits, 16).ok().filter(|_| {
                digits.len() == count && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
            value.and_then(char::from_u32).map(|_| 2 + count)
        };
        let good = match next {
            Some('n' | 'r' | 't' | '\\' | '"') => Some(2),
            Some('u') => hex(4),
            Some('U') => hex(8),
            _ => None,
        };
        match (good, next) {
            (Some(len), _) => self.pos += len,
            (None, Some(ch)) if ch != '\n' && ch != '\r' => {
                let range = self.pos..self.pos + 1 + ch.len_utf8();
                // A `$` behind the backslash may begin a template.
                self.pos += if ch == '$' || ch == '%' { 1 } else { range.len() };
                self.report(ProblemKind::BadEscape, range.clone(), range);
            }
            _ => {
                let range = self.pos..self.pos + 1;
                self.pos += 1;
                self.report(ProblemKind::BadEscape, range.clone(), range);
            }
        }
    }

    /// `$` or `%` in a string or heredoc whose literal text began at `start`:
    /// true when a template begins here.
    fn template(&mut self, start: usize) -> bool {
        let sign = self.byte(0);
        if self.byte(1) == sign && self.byte(2) == b'{' {
            self.pos += 3;
            return false;
        }
        if self.byte(1) != b'{' {
            self.pos += 1;
            return false;
        }
        if sign == b'$'
            && let Some(len) = shell_expansion(self.rest())
        {
            let range = self.pos..self.pos + len;
            self.pos = range.end;
            self.report(ProblemKind::ShellSyntax, range.clone(), range);
            return false;
        }
        self.text_token(start);
        let strip = usize::from(self.byte(2) == b'~');
        let kind = if sign == b'$' { TokenKind::Interpolation } else { TokenKind::Directive };
        self.open(kind, 2 + strip, FrameKind::Template);
        true
    }

    /// The literal text from `start` up to here.
    fn text_token(&mut self, start: usize) {
        if self.pos > start {
            self.tokens.push(Token { kind: TokenKind::Text, start, end: self.pos });
        }
    }
}

/// The length of the name that `text` begins with.
pub(super) fn ident_len(text: &str) -> usize {
    text.find(|ch| !is_ident_continue(ch)).unwrap_or(text.len())
}

/// The length of the `${…}` that `text` begins with, if it is the shell's and
/// cannot be an expression: `${a:-b}`, `${#a}`, `${a##*/}`, `${a//b/c}`, `${a[@]}`.
fn shell_expansion(text: &str) -> Option<usize> {
    let inner = text.get(2..)?;
    let name = inner.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let tail = inner.get(name..)?;
    let mut next = tail.bytes();
    let shell = match (next.next()?, next.next()) {
        (b':', Some(b':')) => false,
        (b':' | b'#' | b'^' | b'@', _) => true,
        (b',', Some(b',' | b'}')) => true,
        (b'/', Some(b'/')) | (b'%', Some(b'%')) => name > 0,
        (b'[', Some(b'@')) => true,
        (b'?' | b'*' | b'$' | b'!' | b'-', Some(b'}')) => name == 0,
        _ => false,
    };
    if !shell {
        return None;
    }
    let mut depth = 0usize;
    for (index, byte) in text.bytes().take(MAX_SHELL_BYTES).enumerate() {
        match byte {
            b'\n' => return None,
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(index + 1);
                }
            }
            _ => {}
        }
    }
    None
}
