//! Tests of reading a text.

use super::*;
use crate::language::source::SourceMap;

fn read(text: &str) -> (SourceMap, Parsed) {
    let mut sources = SourceMap::new();
    let file = sources.add("pipeline.hcl", text);
    (sources, parse(file, text))
}

/// The pipelines of the articles about PikoCI, as they stand there.
const ARTICLES: [(&str, &str, usize); 11] = [
    ("git-resource.hcl", include_str!("../testdata/articles/git-resource.hcl"), 2),
    ("docker-runner.hcl", include_str!("../testdata/articles/docker-runner.hcl"), 2),
    ("vault-variable.hcl", include_str!("../testdata/articles/vault-variable.hcl"), 2),
    ("inline-service.hcl", include_str!("../testdata/articles/inline-service.hcl"), 2),
    ("whole-pipeline.hcl", include_str!("../testdata/articles/whole-pipeline.hcl"), 6),
    ("tags.hcl", include_str!("../testdata/articles/tags.hcl"), 1),
    ("in-parallel-one-line.hcl", include_str!("../testdata/articles/in-parallel-one-line.hcl"), 1),
    ("fs-resource.hcl", include_str!("../testdata/articles/fs-resource.hcl"), 2),
    ("heredoc-service.hcl", include_str!("../testdata/articles/heredoc-service.hcl"), 2),
    ("redis-service.hcl", include_str!("../testdata/articles/redis-service.hcl"), 1),
    ("commented-source.hcl", include_str!("../testdata/articles/commented-source.hcl"), 1),
];

#[test]
fn the_articles_pipelines_are_read_as_they_stand() {
    for (name, text, blocks) in ARTICLES {
        let (_, parsed) = read(text);
        assert_eq!(parsed.diagnostics, [], "{name}");
        assert_eq!(parsed.body.len(), blocks, "{name}");
    }
}

#[test]
fn attributes_may_stand_on_one_line() {
    let strict = "job \"a\" {\n  task \"t\" {\n    run \"exec\" {\n      path = \"make\"\n      args = [\"x\", { a = 1 }]\n    }\n  }\n}\n";
    let wanted = hcl::Body::from(read(strict).1.body);
    let loose = [
        "job \"a\" { task \"t\" { run \"exec\" { path = \"make\" args = [\"x\", { a = 1 }] } } }\n",
        "job \"a\" { task \"t\" { run \"exec\" { path = \"make\" args = [\"x\", { a = 1 }] } } }",
        "job \"a\" { task \"t\" { run \"exec\" { path = \"make\", args = [\"x\", { a = 1 }] } } }\n",
        "job \"a\" { task \"t\" { run \"exec\" { path = \"make\"; args = [\"x\", { a = 1 }]; } } }\n",
        "job \"a\" {\n  task \"t\" {\n    run \"exec\" {\n      path = \"make\" args = [\"x\", { a = 1 }]\n    }\n  }\n}\n",
        "job \"a\" {\n  task \"t\" { run \"exec\" { path = \"make\" /* how */ args = [\"x\", { a = 1 }] } }\n}\n",
        "job \"a\" {\n  task \"t\" {\n    run \"exec\" { path = \"make\" # how\n args = [\"x\",\n { a = 1 }] } } }\n",
        "job \"a\" {\r\n  task \"t\" {\r\n    run \"exec\" {path = \"make\" args = [\"x\", { a = 1 }] }\r\n  }\r\n}\r\n",
        "\u{feff}job \"a\" { task \"t\" { run \"exec\" { path = \"make\" args = [\"x\", { a = 1 }] } } }\n",
    ];
    for text in loose {
        let (_, parsed) = read(text);
        assert_eq!(parsed.diagnostics, [], "{text}");
        assert_eq!(hcl::Body::from(parsed.body), wanted, "{text}");
        attribute_spans_match(text);
    }
}

#[test]
fn blocks_may_stand_on_one_line() {
    for (text, blocks) in [
        ("job \"a\" { get \"git\" \"x\" { trigger = true }}\n", 1),
        ("job \"a\" { service \"x\" { }}\n", 1),
        (
            "job \"a\" {\n  if \"x\" { task \"a\" {} } else_if \"y\" { task \"b\" {} } else { task \"c\" {} }\n}\n",
            3,
        ),
        ("job \"a\" { timeout = \"1s\" task \"t\" {} ensure { put \"x\" \"y\" {} } }\n", 2),
        ("job \"a\" { cmd = <<E\n{ x = 1 y = 2 }\nE\n task \"t\" {} }\n", 1),
        ("job a { task t { } }\n", 1),
    ] {
        let (_, parsed) = read(text);
        assert_eq!(parsed.diagnostics, [], "{text}");
        let job = parsed.body.into_blocks().next().expect("the job");
        assert_eq!(job.body.into_blocks().count(), blocks, "{text}");
        attribute_spans_match(text);
    }
}

#[test]
fn objects_and_strings_are_not_taken_for_blocks() {
    for text in ["x = { a = 1 b = 2 }\n", "x = [{ a = 1 b = 2 }]\n", "x = \"${{ a = 1 b = 2 }}\"\n"]
    {
        let (_, parsed) = read(text);
        let codes: Vec<_> = parsed.diagnostics.iter().map(|found| found.code).collect();
        assert_eq!(codes, ["missing-comma"], "{text}");
    }
    for text in
        ["x = \"{ a = 1 b = 2 }\"\n", "x = <<E\n{ a = 1 b = 2 }\nE\n", "# { a = 1 b = 2 }\n"]
    {
        let (_, parsed) = read(text);
        assert_eq!(parsed.diagnostics, [], "{text}");
        assert_eq!(parsed.body, hcl_edit::parser::parse_body(text).expect("strict"), "{text}");
    }
}

#[test]
fn each_broken_block_is_told_once_and_the_others_are_read() {
    let text = "variable \"v\" {}\njob \"a\" {\n  x = \"\n}\njob \"b\" {}\nresource \"git\" \"c\" {\n  url = a b\n  y: 1\n}\n\
                job \"d\" {\n  x = [\njob \"e\" {\n  x = 1\n}\njob \"f\" {\n  x = 1\n  x = 2\n}\njob \"g\" {\n";
    let (_, parsed) = read(text);
    let codes: Vec<_> = parsed.diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(
        codes,
        [
            "unclosed-string",
            "unquoted-text",
            "unclosed-bracket",
            "duplicate-attribute",
            "unclosed-bracket"
        ]
    );
    let blocks = parsed.body.blocks();
    let labels: Vec<_> =
        blocks.filter_map(|block| block.labels.first()).map(|label| label.as_str()).collect();
    assert_eq!(labels, ["v", "b", "e"]);
    let broken: Vec<_> =
        parsed.broken.iter().map(|block| (block.kind.as_str(), block.labels.join("."))).collect();
    let mut names: Vec<_> =
        broken.iter().map(|(kind, labels)| format!("{kind} {labels}")).collect();
    names.sort();
    assert_eq!(names, ["job a", "job d", "job f", "job g", "resource git.c"]);
}

#[test]
fn what_is_no_text_is_refused_as_a_whole() {
    let large = " ".repeat(MAX_FILE_BYTES + 1);
    for (text, code) in [
        (large.as_str(), "file-too-large"),
        ("job\0", "not-text"),
        ("\u{7f}ELF\u{1}", "control-character"),
        (" \n{\"a\": 1}", "not-hcl"),
        ("---\njobs:\n", "not-hcl"),
        ("<html>", "not-hcl"),
        ("job \"a\" {\u{1b}\n}\n", "control-character"),
        ("a = 1\rb = 2\n", "control-character"),
    ] {
        let (_, parsed) = read(text);
        assert_eq!(parsed.diagnostics.first().map(|found| found.code), Some(code));
    }
    for text in ["", "\n", "# only\n", "\u{feff}", "  \t\r\n"] {
        assert_eq!(read(text).1.diagnostics, [], "{text:?}");
    }
}

#[test]
fn an_empty_heredoc_does_not_swallow_the_next_one() {
    let text = "a = <<EOT\nEOT\nb = <<EOT\nx\nEOT\n";
    let (_, parsed) = read(text);
    assert_eq!(parsed.diagnostics, []);
    assert_eq!(parsed.body.len(), 2);
    attribute_spans_match(text);
}

#[test]
fn too_large_an_object_is_refused() {
    let items: String = (0..MAX_OBJECT_ITEMS + 1).map(|n| format!("a{n} = 1\n")).collect();
    let (_, parsed) = read(&format!("x = {{\n{items}}}\ny = 1\n"));
    assert_eq!(parsed.diagnostics.first().map(|found| found.code), Some("too-many-items"));
    assert_eq!(parsed.body.len(), 1);
}

#[test]
fn a_text_that_needs_nothing_is_not_copied() {
    let mut diagnostics = Vec::new();
    let text = ARTICLES
        .map(|(_, text, _)| text)
        .iter()
        .find(|text| text.contains("redis"))
        .copied()
        .expect("one");
    let mut source = Source { file: FileId(0), text, bytes: Cow::Borrowed(text) };
    source.blank_control_characters(&mut diagnostics);
    source.replace(&[]);
    source.blank(&[]);
    assert!(matches!(source.bytes, Cow::Borrowed(_)));
}

fn attribute_spans_match(text: &str) {
    let (_, parsed) = read(text);
    fn check(text: &str, body: &Body) {
        use hcl_edit::Span as _;
        for structure in body.iter() {
            match structure {
                hcl_edit::structure::Structure::Attribute(attribute) => {
                    let key = attribute.key.span().expect("the parser gives spans");
                    assert_eq!(&text[key], attribute.key.as_str());
                }
                hcl_edit::structure::Structure::Block(block) => {
                    let ident = block.ident.span().expect("the parser gives spans");
                    assert_eq!(&text[ident], block.ident.as_str());
                    check(text, &block.body);
                }
            }
        }
    }
    check(text, &parsed.body);
}

/// Reading time must grow with the text, not with its square: each of these is
/// the worst case of something that looks back or ahead.
#[test]
fn no_text_takes_long() {
    let fill = |piece: &str| piece.repeat(400_000 / piece.len());
    let texts = [
        fill("["),
        fill("a {\n"),
        fill("a \"b\" {\n"),
        fill("{}"),
        fill("'"),
        fill("<<"),
        fill("\"${a:-"),
        fill("\"${"),
        fill("x = <<E\n"),
        fill("/*"),
        fill("a = 1 b = 2 "),
        fill("a\n"),
        fill("x = ${\n"),
        fill("\"\n"),
        fill("}\n"),
        fill("a { x = 1 y = 2 }\n"),
        fill("a = [\n"),
        fill("\u{1}"),
        fill("a b c d "),
        fill("x = 'a'\n"),
        fill("\\"),
        format!("x = \"{}", fill("\\q")),
        format!("x = {{{}}}", fill("a = 1, ")),
        format!("x = [{}]", fill("1 ")),
        format!("x = {{\n{}}}", (0..40_000).map(|n| format!("a{n} = 1\n")).collect::<String>()),
        (0..3_000).map(|n| format!("a{n} {{\n  x = = 1\n}}\n")).collect(),
        (0..30_000).map(|n| format!("a{n} = \"x\" \"y\"\n")).collect(),
        (0..30_000).map(|n| format!("a{} = 1\n", n / 2)).collect(),
        format!("{}{}", fill(" "), fill("{}")),
        format!("x {{\n{}}}\n", fill("y = [1 2]\n")),
        format!(
            "x {{\n{}y = +\n}}\n",
            (0..20_000).map(|n| format!("y{n} = [1, 2]\n")).collect::<String>()
        ),
        format!(
            "x {{\n{}y1 = 2\n}}\n",
            (0..20_000).map(|n| format!("y{n} = [1, 2]\n")).collect::<String>()
        ),
    ];
    for text in &texts {
        let start = std::time::Instant::now();
        read(text);
        let took = start.elapsed();
        assert!(
            took.as_secs() < 10,
            "{took:?} for {:?}",
            text.chars().take(40).collect::<String>()
        );
    }
}

/// A mistake's diagnostics, one line for each thing they say.
pub(super) fn told(text: &str) -> String {
    let (sources, parsed) = read(text);
    let place = |span: Span| {
        let place = sources.location(span);
        let quoted = text.get(span.range()).unwrap_or_default().replace('\n', "⏎");
        format!("{}:{} `{quoted}`", place.line, place.column)
    };
    let mut told = String::new();
    for found in &parsed.diagnostics {
        told += &format!("{} [{}] {}\n", place(found.span), found.code, found.message);
        if !found.label.is_empty() {
            told += &format!("  label: {}\n", found.label);
        }
        for other in &found.others {
            told += &format!("  {}: {}\n", place(other.span), other.text);
        }
        for help in &found.help {
            told += &format!("  help: {help}\n");
        }
        if let Some(put) = &found.suggestion {
            told += &format!("  put `{}` at {}\n", put.replacement, place(put.span));
        }
    }
    told
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    /// Pieces that make texts which are nearly pipelines.
    fn soup() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "job ",
            "\"a\" ",
            "{ ",
            "}",
            "}\n",
            "\n",
            "{\n",
            "x = ",
            "1",
            "[",
            "]",
            "(",
            ")",
            "\"",
            "${",
            "%{ if a }",
            "%{ endif }",
            "%{",
            "}",
            "<<EOT\n",
            "<<-EOT\n",
            "EOT\n",
            "\nEOT",
            "# c\n",
            "/*",
            "*/",
            "// c\n",
            ",",
            ";",
            ":",
            "?",
            "==",
            "=>",
            "...",
            ".",
            "\\",
            "\\n",
            "'",
            "é",
            "\u{feff}",
            "\u{0}",
            "\r\n",
            "\r",
            " ",
            "a",
            "for ",
            "in ",
            "if ",
            "${x:-y}",
            "$${",
            "~}",
            "\t",
            "\u{1}",
            "e\u{301}",
            "::",
            "path = \"make\" ",
            "run \"exec\" ",
            "-",
            "!",
            "+",
            "* ",
            "/",
            "&",
            "f(",
            "1.5e3",
        ]);
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    fn mutated() -> impl Strategy<Value = String> {
        let cut = (0usize..4000, 0usize..12, soup());
        (prop::sample::select(ARTICLES.to_vec()), prop::collection::vec(cut, 1..4)).prop_map(
            |((_, text, _), cuts)| {
                let mut text = text.to_owned();
                for (at, len, put) in cuts {
                    let floor = |mut at: usize| {
                        while !text.is_char_boundary(at) {
                            at -= 1;
                        }
                        at
                    };
                    let start = floor(at % (text.len() + 1));
                    let end = floor((start + len).min(text.len())).max(start);
                    let put = put.get(..put.len().min(3)).unwrap_or_default().to_owned();
                    text.replace_range(start..end, &put);
                }
                text
            },
        )
    }

    fn reads_soundly(text: &str) {
        let (sources, parsed) = read(text);
        let strict = hcl_edit::parser::parse_body(text);
        for diagnostic in &parsed.diagnostics {
            let places = diagnostic.others.iter().map(|other| other.span);
            let places = places.chain(diagnostic.suggestion.iter().map(|put| put.span));
            for span in places.chain([diagnostic.span]) {
                assert!(span.start <= span.end && span.end <= text.len(), "{diagnostic:?}");
                assert!(
                    text.is_char_boundary(span.start) && text.is_char_boundary(span.end),
                    "{diagnostic:?}"
                );
                sources.location(span);
            }
        }
        let mut broken: Vec<_> = parsed.broken.iter().map(|block| block.span).collect();
        broken.sort_by_key(|span| span.start);
        assert!(broken.windows(2).all(|pair| pair[0].end <= pair[1].start), "{broken:?}");
        attribute_spans_match(text);
        let Ok(strict) = strict else { return };
        if parsed.diagnostics.is_empty() {
            assert_eq!(parsed.body, strict);
        }
        // What the grammar takes is refused for these reasons alone.
        let known = ["unclosed-string", "unclosed-template", "control-character", "not-text"];
        let first = parsed.diagnostics.first();
        assert!(first.is_none_or(|first| known.contains(&first.code)), "{first:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_text_panics_or_yields_places_outside_of_it(text in "\\PC{0,80}") {
            reads_soundly(&text);
        }

        #[test]
        fn no_soup_of_tokens_panics(text in soup()) {
            reads_soundly(&text);
        }

        #[test]
        fn no_mutated_pipeline_panics(text in mutated()) {
            reads_soundly(&text);
        }
    }
}

#[test]
fn nothing_overflows_the_stack_of_a_thread() {
    let texts: Vec<String> = [
        ("[", "]"),
        ("{a=", "}"),
        ("(", ")"),
        ("f(", ")"),
        ("!", ""),
        ("-", ""),
        ("a ? b : ", ""),
        ("\"${", "}\""),
        ("[for x in ", ": x]"),
        ("a[", "]"),
        ("1 + (", ")"),
        ("{a=[", "]}"),
        ("\"%{if a}", "%{endif}\""),
        ("a == b ? ", ": c"),
    ]
    .into_iter()
    .flat_map(|(open, close)| {
        [20, 63, 64, 65, 1_000, 20_000]
            .map(|depth| format!("x = {}1{}\n", open.repeat(depth), close.repeat(depth)))
    })
    .chain(
        [60, 64, 65, 5_000]
            .map(|depth| format!("{}{}", "a {\n".repeat(depth), "}\n".repeat(depth))),
    )
    .chain(
        [60, 64, 65, 5_000].map(|depth| format!("{}{}", "a { ".repeat(depth), "} ".repeat(depth))),
    )
    .chain([128, 129, 100_000].map(|count| format!("x = 1{}\n", " + 1".repeat(count))))
    .chain([128, 100_000].map(|count| format!("x = a{}\n", ".b".repeat(count))))
    .collect();
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let handle = thread.spawn(move || {
        for text in texts {
            let (_, parsed) = read(&text);
            drop(parsed.body.clone());
        }
    });
    handle.expect("a thread can be started").join().expect("no overflow and no panic");
}
