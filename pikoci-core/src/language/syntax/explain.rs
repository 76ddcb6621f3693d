//! What a person is told about what the lexer found.

use std::ops::Range;

use super::super::diagnostic::Diagnostic;
use super::super::lexer::{MAX_NESTING, Problem, ProblemKind, Token, TokenKind};
use super::super::source::{FileId, Span};

/// The diagnostic for something that the lexer found.
pub(super) fn problem(file: FileId, text: &str, problem: &Problem) -> Diagnostic {
    let open = Span::new(file, problem.open.clone());
    let at = Span::new(file, problem.at.clone());
    let opened = text.get(problem.open.clone()).unwrap_or_default();
    let end = if problem.at.start >= text.len() {
        "the file ends here"
    } else {
        "another block begins here"
    };
    match &problem.kind {
        ProblemKind::UnclosedString => {
            Diagnostic::error("unclosed-string", open, "the string is not closed on its line")
                .label("this `\"` opens it")
                .other(at, "no closing `\"` up to here")
                .help("close it with `\"`; text of several lines is written as `<<-EOT … EOT`")
        }
        ProblemKind::UnclosedTemplate => {
            Diagnostic::error("unclosed-template", open, format!("`{opened}` is not closed"))
                .label("opened here")
                .other(at, "no closing `}` up to here")
                .help(format!(
                    "close it with `}}`; for the plain text `{opened}` double the sign: `{}`",
                    doubled(opened)
                ))
        }
        ProblemKind::UnclosedHeredoc => {
            let marker = opened.trim_start_matches("<<").trim_start_matches('-').trim_end();
            let first = problem.open.start..problem.open.start + opened.trim_end().len();
            Diagnostic::error(
                "unclosed-heredoc",
                Span::new(file, first),
                format!("the text that ends with `{marker}` is not closed"),
            )
            .label("opened here")
            .other(at, end)
            .help(format!("put `{marker}` on a line of its own behind the text"))
        }
        ProblemKind::UnclosedComment => {
            Diagnostic::error("unclosed-comment", open, "the comment is not closed")
                .label("opened here")
                .help("close it with `*/`")
        }
        ProblemKind::UnclosedBracket { at_end, suspect } => {
            let closing = closing(opened);
            let diagnostic =
                Diagnostic::error("unclosed-bracket", open, format!("`{opened}` is not closed"))
                    .label("opened here")
                    .help(format!("close it with `{closing}`"));
            match suspect {
                Some(close) => diagnostic.other(
                    Span::new(file, close.clone()),
                    "closed here, which by the indentation belongs to an outer block",
                ),
                None if *at_end && problem.at.start < text.len() => {
                    diagnostic.other(at, "another block begins here")
                }
                None if *at_end => diagnostic.other(at, end),
                None => diagnostic.other(at, format!("`{closing}` is missing before this")),
            }
        }
        ProblemKind::StrayClose { early } => {
            let diagnostic =
                Diagnostic::error("stray-bracket", open, format!("`{opened}` closes nothing"))
                    .label("nothing is open here");
            match early {
                Some((block, close)) => diagnostic
                    .other(Span::new(file, block.clone()), "this block")
                    .other(
                        Span::new(file, close.clone()),
                        "is closed here already, against the indentation",
                    )
                    .help("remove one of the two"),
                None => diagnostic.help("remove it, or open what it is to close"),
            }
        }
        ProblemKind::BadEscape => bad_escape(open, opened),
        ProblemKind::ShellSyntax => {
            let span = open;
            Diagnostic::error(
                "shell-syntax",
                span,
                format!("`{opened}` is shell syntax, not an expression"),
            )
            .help(format!("to leave it to the shell, write `${opened}`"))
            .suggest(Span { end: span.start, ..span }, "$")
        }
        ProblemKind::BadHeredoc => Diagnostic::error(
            "bad-heredoc",
            open,
            "a text of several lines begins with `<<` and a marker, at the end of its line",
        )
        .help("write `<<-EOT`, the text on the lines below, and `EOT` on a line of its own"),
        ProblemKind::TooDeep => Diagnostic::error(
            "nested-too-deeply",
            open,
            format!("more than {MAX_NESTING} levels of brackets and templates"),
        ),
    }
}

fn doubled(opened: &str) -> String {
    let sign = opened.get(..1).unwrap_or_default();
    format!("{sign}{sign}{{")
}

fn closing(open: &str) -> &'static str {
    match open {
        "{" => "}",
        "[" => "]",
        _ => ")",
    }
}

fn bad_escape(span: Span, escape: &str) -> Diagnostic {
    let escaped = escape.get(1..).unwrap_or_default();
    let diagnostic = match escaped {
        "" => Diagnostic::error("bad-escape", span, "nothing to escape behind `\\`"),
        "u" => Diagnostic::error(
            "bad-escape",
            span,
            "`\\u` needs the four hexadecimal digits of a character",
        ),
        "U" => Diagnostic::error(
            "bad-escape",
            span,
            "`\\U` needs the eight hexadecimal digits of a character",
        ),
        _ => Diagnostic::error("bad-escape", span, format!("`{escape}` is not an escape")),
    };
    let start = Span { end: span.start, ..span };
    match escaped {
        "$" | "%" => diagnostic
            .help(format!("a `{escaped}` needs no escape; the text `{escaped}{{` is written `{escaped}{escaped}{{`")),
        "'" | "/" | " " | "`" => diagnostic
            .help(format!("`{escaped}` needs no escape; a backslash itself is written `\\\\`"))
            .suggest(start, "\\"),
        _ => diagnostic
            .help("a backslash is written `\\\\`; the escapes are `\\n`, `\\r`, `\\t`, `\\\"`, `\\\\`, `\\uNNNN` and `\\UNNNNNNNN`")
            .suggest(start, "\\"),
    }
}

/// The diagnostic for an attribute that is there twice.
pub(super) fn duplicate(
    file: FileId,
    text: &str,
    second: Range<usize>,
    first: Range<usize>,
) -> Diagnostic {
    let name = text.get(second.clone()).unwrap_or_default();
    Diagnostic::error(
        "duplicate-attribute",
        Span::new(file, second),
        format!("`{name}` is set twice"),
    )
    .label("again here")
    .other(Span::new(file, first), "first here")
    .help("remove one of the two")
}

/// The `{` of the first object with more than `most` items.
pub(super) fn large_object(tokens: &[Token], most: usize) -> Option<Range<usize>> {
    if tokens.len() <= most {
        return None;
    }
    let mut open: Vec<(Token, usize)> = Vec::new();
    for token in tokens {
        if token.kind.opens() {
            open.push((*token, 0));
        } else if token.kind.closes() {
            open.pop();
        } else if matches!(token.kind, TokenKind::Assign | TokenKind::Colon)
            && let Some((brace, count)) = open.last_mut()
        {
            *count += 1;
            if *count > most && brace.kind == TokenKind::BraceOpen {
                return Some(brace.range());
            }
        }
    }
    None
}
