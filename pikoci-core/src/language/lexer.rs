//! A tolerant lexer for the pipeline language: text in, tokens with byte spans out.
//!
//! The grammar is hcl-edit's. This lexer exists for what a grammar cannot do
//! with a broken text: say where an unclosed thing was opened, find where the
//! next top-level item begins, and see the text as the formatter needs it. It
//! never fails, takes linear time and keeps its nesting on the heap.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name, or a keyword: the language has no reserved words here.
    Ident,
    /// A number without its sign.
    Number,
    /// The `"` that begins a string.
    QuoteOpen,
    /// The `"` that ends it.
    QuoteClose,
    /// `<<EOT` or `<<-EOT` with the end of its line.
    HeredocOpen,
    /// The closing `EOT`, without the blanks before it.
    HeredocClose,
    /// Literal text in a string or heredoc.
    Text,
    /// `${` or `${~`.
    Interpolation,
    /// `%{` or `%{~`.
    Directive,
    /// `}` or `~}` of an interpolation or directive.
    TemplateClose,
    /// `# …` or `// …`, without the end of the line.
    LineComment,
    /// `/* … */`.
    BlockComment,
    /// `\n` or `\r\n`.
    Newline,
    /// `{`.
    BraceOpen,
    /// `}`.
    BraceClose,
    /// `[`.
    BracketOpen,
    /// `]`.
    BracketClose,
    /// `(`.
    ParenOpen,
    /// `)`.
    ParenClose,
    /// `=`.
    Assign,
    /// `=>`.
    FatArrow,
    /// `,`.
    Comma,
    /// `;`, which only means something between the attributes of a one-line block.
    Semicolon,
    /// `.`.
    Dot,
    /// `...`.
    Ellipsis,
    /// `:`.
    Colon,
    /// `::`.
    DoubleColon,
    /// `?`.
    Question,
    /// `== != < > <= >= && || + - * / % !`.
    Operator,
    /// `'…'`, which the language does not have.
    SingleQuoted,
    /// A character the language has no use for.
    Unknown,
}

impl TokenKind {
    /// Whether a value can end with this token.
    pub(super) fn ends_term(self) -> bool {
        matches!(
            self,
            Self::Ident
                | Self::Number
                | Self::QuoteClose
                | Self::HeredocClose
                | Self::BraceClose
                | Self::BracketClose
                | Self::ParenClose
                | Self::SingleQuoted
        )
    }

    /// Whether a value can begin with this token.
    pub(super) fn starts_term(self) -> bool {
        matches!(
            self,
            Self::Ident
                | Self::Number
                | Self::QuoteOpen
                | Self::HeredocOpen
                | Self::BraceOpen
                | Self::BracketOpen
                | Self::ParenOpen
                | Self::SingleQuoted
        )
    }

    /// Whether this is a comment.
    pub(super) fn is_comment(self) -> bool {
        matches!(self, Self::LineComment | Self::BlockComment)
    }

    /// Whether this opens a bracket, string, heredoc or template.
    pub(super) fn opens(self) -> bool {
        matches!(
            self,
            Self::BraceOpen
                | Self::BracketOpen
                | Self::ParenOpen
                | Self::QuoteOpen
                | Self::HeredocOpen
                | Self::Interpolation
                | Self::Directive
        )
    }

    /// Whether this closes a bracket, string, heredoc or template.
    pub(super) fn closes(self) -> bool {
        matches!(
            self,
            Self::BraceClose
                | Self::BracketClose
                | Self::ParenClose
                | Self::QuoteClose
                | Self::HeredocClose
                | Self::TemplateClose
        )
    }
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Token {
    /// Its bytes.
    pub(super) fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// Its text.
    pub(super) fn text(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// What the lexer alone can tell is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProblemKind {
    /// A string that its line ends before its `"`.
    UnclosedString,
    /// A `${` or `%{` without its `}`.
    UnclosedTemplate,
    /// A heredoc without its closing line.
    UnclosedHeredoc,
    /// A `/*` without its `*/`.
    UnclosedComment,
    /// A bracket that is closed by another kind, or not at all.
    UnclosedBracket {
        /// The end of the text, not another bracket, showed that it is open.
        at_end: bool,
        /// A `}` that by its indentation belongs to an outer block.
        suspect: Option<Range<usize>>,
    },
    /// A closing bracket that closes nothing.
    StrayClose {
        /// A block that, by the indentation, was closed too early: its `{` and that `}`.
        early: Option<(Range<usize>, Range<usize>)>,
    },
    /// `\d` and other escapes that there are not.
    BadEscape,
    /// `${name:-default}` and other shell syntax that no expression can begin with.
    ShellSyntax,
    /// `<<` without a marker, or with something behind it on its line.
    BadHeredoc,
    /// More brackets in brackets than anybody needs.
    TooDeep,
}

/// Something wrong, where it was opened and where that showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) kind: ProblemKind,
    /// The place to blame.
    pub(super) open: Range<usize>,
    /// The place where reading could not go on.
    pub(super) at: Range<usize>,
}

/// One top-level item: an attribute, a block, or what was meant as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Its tokens, comments around it and the newline behind it left out.
    pub(super) tokens: Range<usize>,
    /// Its bytes: up to where the next item was looked for when this one is broken.
    pub(super) bytes: Range<usize>,
    /// The first thing wrong with it.
    pub(super) problem: Option<Problem>,
}

/// A text taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lexed {
    pub(super) tokens: Vec<Token>,
    pub(super) items: Vec<Item>,
}

/// How often lexing starts again behind something unclosed; a text with more
/// of them is given up from there on, so that time stays linear.
const MAX_RESYNCS: usize = 50;

/// How far a shell expansion is followed to its `}`.
const MAX_SHELL_BYTES: usize = 512;

/// How deep brackets, strings and templates may stand in one another.
pub(super) const MAX_NESTING: usize = 64;

/// Takes a text apart.
pub(super) fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer {
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
    };
    for _ in 0..MAX_RESYNCS {
        lexer.run();
        if !lexer.resync() {
            break;
        }
    }
    lexer.end_item(text.len());
    Lexed { tokens: lexer.tokens, items: lexer.items }
}

/// Whether `ch` can begin a name.
pub(super) fn is_ident_start(ch: char) -> bool {
    let mut buffer = [0; 4];
    ch.is_ascii_alphabetic()
        || ch == '_'
        || (!ch.is_ascii() && hcl_edit::Ident::try_new(&*ch.encode_utf8(&mut buffer)).is_ok())
}

/// Whether `ch` can go on with a name.
pub(super) fn is_ident_continue(ch: char) -> bool {
    ch.is_ascii_alphanumeric()
        || ch == '_'
        || ch == '-'
        || (!ch.is_ascii() && hcl_edit::Ident::try_new(format!("a{ch}")).is_ok())
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FrameKind {
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
struct Frame {
    kind: FrameKind,
    open: Range<usize>,
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pos: usize,
    line_start: usize,
    /// The blanks that the line at `line_start` begins with, once counted.
    indent: Option<(usize, usize)>,
    too_deep: bool,
    tokens: Vec<Token>,
    frames: Vec<Frame>,
    items: Vec<Item>,
    item_start: usize,
    problem: Option<Problem>,
    /// The first brace of this item that closed left of where it opened.
    suspect: Option<(Range<usize>, Range<usize>)>,
    /// The first brace of this item that closed right of where it opened.
    early: Option<(Range<usize>, Range<usize>)>,
    last_early: Option<(Range<usize>, Range<usize>)>,
}

impl Lexer<'_> {
    fn run(&mut self) {
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

    fn report(&mut self, kind: ProblemKind, open: Range<usize>, at: Range<usize>) {
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
    fn end_item(&mut self, end: usize) {
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

/// The length of the name that `text` begins with.
fn ident_len(text: &str) -> usize {
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
