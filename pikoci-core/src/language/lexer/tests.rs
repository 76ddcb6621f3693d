//! Tests of taking a text apart.

use super::*;

fn kinds(text: &str) -> Vec<TokenKind> {
    lex(text).tokens.iter().map(|token| token.kind).collect()
}

#[test]
fn texts_are_taken_apart() {
    use TokenKind as T;
    let table: [(&str, &[T]); 14] = [
        ("", &[]),
        ("a-b_c9 é", &[T::Ident, T::Ident]),
        (
            "1 1.5 1e3 1.5e-3 1.x",
            &[T::Number, T::Number, T::Number, T::Number, T::Number, T::Dot, T::Ident],
        ),
        ("\"a\"", &[T::QuoteOpen, T::Text, T::QuoteClose]),
        ("\"\"", &[T::QuoteOpen, T::QuoteClose]),
        (
            "\"a${~\"b\"~}$${c}%{d}\"",
            &[
                T::QuoteOpen,
                T::Text,
                T::Interpolation,
                T::QuoteOpen,
                T::Text,
                T::QuoteClose,
                T::TemplateClose,
                T::Text,
                T::Directive,
                T::Ident,
                T::TemplateClose,
                T::QuoteClose,
            ],
        ),
        (
            "\"${{a={}}}\"",
            &[
                T::QuoteOpen,
                T::Interpolation,
                T::BraceOpen,
                T::Ident,
                T::Assign,
                T::BraceOpen,
                T::BraceClose,
                T::BraceClose,
                T::TemplateClose,
                T::QuoteClose,
            ],
        ),
        (
            "<<E\n a ${b}\n\tE\n",
            &[
                T::HeredocOpen,
                T::Text,
                T::Interpolation,
                T::Ident,
                T::TemplateClose,
                T::Text,
                T::HeredocClose,
                T::Newline,
            ],
        ),
        ("<<-E\nE\n", &[T::HeredocOpen, T::HeredocClose, T::Newline]),
        ("<<E\nEE\nE-\nE]", &[T::HeredocOpen, T::Text, T::HeredocClose, T::BracketClose]),
        (
            "# a\r\n// b\n/* c\n */ d",
            &[T::LineComment, T::Newline, T::LineComment, T::Newline, T::BlockComment, T::Ident],
        ),
        (
            "a... :: => == ! && ;",
            &[
                T::Ident,
                T::Ellipsis,
                T::DoubleColon,
                T::FatArrow,
                T::Operator,
                T::Operator,
                T::Operator,
                T::Semicolon,
            ],
        ),
        ("'a{b' @", &[T::SingleQuoted, T::Unknown]),
        ("\u{feff}a", &[T::Ident]),
    ];
    for (text, expected) in table {
        assert_eq!(kinds(text), expected, "{text:?}");
    }
}

#[test]
fn items_end_with_their_lines_outside_of_brackets() {
    let text = "# c\na = 1 # d\nb {\n  c = [\n  1]\n}\n\nd = <<E\nx\nE\n";
    let lexed = lex(text);
    let items: Vec<&str> = lexed.items.iter().map(|item| &text[item.bytes.clone()]).collect();
    assert_eq!(items, ["a = 1", "b {\n  c = [\n  1]\n}", "d = <<E\nx\nE"]);
}

#[test]
fn a_broken_item_ends_where_the_next_block_begins() {
    let text = "a \"x\" {\n  b = [\n\nc \"y\" {\n}\n";
    let lexed = lex(text);
    let items: Vec<_> = lexed
        .items
        .iter()
        .map(|item| (&text[item.bytes.clone()], item.problem.is_some()))
        .collect();
    assert_eq!(items, [("a \"x\" {\n  b = [\n\n", true), ("c \"y\" {\n}", false)]);
}

#[test]
fn shell_expansions_are_told_from_expressions() {
    let shell = [
        "${a:-b}",
        "${#a}",
        "${a##*/}",
        "${a//x/y}",
        "${a[@]}",
        "${a%%.*}",
        "${a^^}",
        "${?}",
        "${a:-${b}}",
    ];
    for text in shell {
        let lexed = lex(&format!("x = \"{text}\"\n"));
        let problem = lexed.items.first().and_then(|item| item.problem.as_ref());
        let found = problem.map(|problem| (&problem.kind, problem.open.len()));
        assert_eq!(found, Some((&ProblemKind::ShellSyntax, text.len())), "{text}");
    }
    let expressions = [
        "${a}",
        "${a % 2}",
        "${a/2}",
        "${a::b()}",
        "${!a}",
        "${a ? b : c}",
        "${a[*].b}",
        "${a[0]}",
        "${ a:-1 }",
    ];
    for text in expressions {
        let lexed = lex(&format!("x = \"{text}\"\n"));
        assert!(lexed.items.iter().all(|item| item.problem.is_none()), "{text}");
    }
}
