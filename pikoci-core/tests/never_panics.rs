//! No input of any kind panics, hangs or takes memory without bound.

mod common;

use proptest::prelude::*;

/// Pieces that pipelines are made of, right and wrong.
const PIECES: [&str; 48] = [
    "job \"a\" {",
    "}",
    "{",
    "\n",
    " ",
    "task \"t\" {",
    "run \"exec\" {",
    "path = ",
    "\"true\"",
    "args = [",
    "]",
    ",",
    "\"${",
    "}\"",
    "var.x",
    "each.key",
    "(",
    ")",
    "for x in ",
    ": ",
    "if ",
    "? ",
    "1",
    "0",
    "-",
    "!",
    "== ",
    "% ",
    "/ ",
    "<<EOT\n",
    "EOT\n",
    "<<-X\n",
    "X\n",
    "# c\n",
    "/*",
    "*/",
    "\"",
    "'",
    "\\",
    "${",
    "%{",
    "range(1e9)",
    "é",
    "\u{feff}",
    "\0",
    "variable \"x\" {",
    "default = ",
    "for_each = ",
];

/// A pipeline that is fine, to be spoilt.
const FINE: &str = include_str!("../src/language/testdata/articles/heredoc-service.hcl");

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        common::read_text(&text);
    }

    #[test]
    fn any_heap_of_pieces_is_read_or_refused(pieces in prop::collection::vec(0usize..48, 0..60)) {
        let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        common::read_text(&text);
    }

    #[test]
    fn a_spoilt_pipeline_is_read_or_refused(at in 0usize..1000, remove in 0usize..20, piece in 0usize..48) {
        let mut chars: Vec<char> = FINE.chars().collect();
        let at = at % chars.len();
        let end = (at + remove).min(chars.len());
        chars.splice(at..end, PIECES[piece].chars());
        common::read_text(&chars.into_iter().collect::<String>());
    }
}

#[test]
fn what_would_grow_without_end_is_refused() {
    let expression = |text: &str| format!("variable \"x\" {{\n  default = {text}\n}}\n");
    let deep = |open: &str, close: &str, depth: usize| {
        expression(&format!("{}1{}", open.repeat(depth), close.repeat(depth)))
    };
    let cases = [
        expression("range(1000000000)"),
        expression("[for a in range(1000) : [for b in range(1000) : [for c in range(1000) : a]]]"),
        expression(
            "join(\"\", [for a in range(1000) : join(\"\", [for b in range(1000) : \"0123456789012345678901234567890123456789\"])])",
        ),
        expression("format(\"%999999999d\", 1)"),
        expression("indent(1000000000, \"a\\nb\")"),
        expression("regex(\"a{1000}{1000}{1000}\", \"a\")"),
        expression("setproduct(range(1000), range(1000), range(1000))"),
        deep("(", ")", 100_000),
        deep("[", "]", 100_000),
        deep("{a=", "}", 100_000),
        deep("\"${", "}\"", 10_000),
        deep("-", "", 100_000),
        deep("!", "", 100_000),
        expression(&format!("1{}", "+1".repeat(100_000))),
        expression(&format!("true ? {} : 1", "true ? ".repeat(10_000))),
        "a {".repeat(100_000),
        "job \"a\" {\n".repeat(50_000),
        "\"".repeat(100_001),
        "<<EOT\n".repeat(10_000),
        "/*".repeat(100_000),
        format!("job \"{}\" {{}}\n", "a".repeat(1_000_000)),
    ];
    for text in cases {
        let outcome = common::read_text(&text);
        let head: String = text.chars().take(60).collect();
        assert!(outcome.pipeline.is_none(), "{head}");
        assert!(!outcome.diagnostics.is_empty(), "{head}");
    }
}

#[test]
fn a_regular_expression_that_ruins_others_is_answered_at_once() {
    // Exponential for engines that backtrack; its time is linear here.
    let outcome = common::read_text(&format!(
        "variable \"x\" {{\n  default = regexall(\"(a*)*b\", \"{}\")\n}}\n",
        "a".repeat(10_000)
    ));
    assert!(outcome.pipeline.is_some());
}
