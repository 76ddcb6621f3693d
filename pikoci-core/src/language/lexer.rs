//! A tolerant lexer for the pipeline language: text in, tokens with byte spans out.
//!
//! The grammar is hcl-edit's. This lexer exists for what a grammar cannot do
//! with a broken text: say where an unclosed thing was opened, find where the
//! next top-level item begins, and see the text as the formatter needs it. It
//! never fails, takes linear time and keeps its nesting on the heap.

mod recover;
mod scan;
#[cfg(test)]
mod tests;

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

/// How deep brackets, strings and templates may stand in one another.
pub(super) const MAX_NESTING: usize = 64;

/// Takes a text apart.
pub(super) fn lex(text: &str) -> Lexed {
    scan::Lexer::new(text).lex()
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
