//! Tests of the layout: rules, the same layout as `terraform fmt`, and that
//! neither meaning nor a second run changes anything.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;

fn formatted(text: &str) -> String {
    format(FileId(0), text).unwrap_or_else(|found| panic!("{text}\n{found:?}"))
}

const ARTICLES: [&str; 11] = [
    include_str!("../testdata/articles/commented-source.hcl"),
    include_str!("../testdata/articles/docker-runner.hcl"),
    include_str!("../testdata/articles/fs-resource.hcl"),
    include_str!("../testdata/articles/git-resource.hcl"),
    include_str!("../testdata/articles/heredoc-service.hcl"),
    include_str!("../testdata/articles/in-parallel-one-line.hcl"),
    include_str!("../testdata/articles/inline-service.hcl"),
    include_str!("../testdata/articles/redis-service.hcl"),
    include_str!("../testdata/articles/tags.hcl"),
    include_str!("../testdata/articles/vault-variable.hcl"),
    include_str!("../testdata/articles/whole-pipeline.hcl"),
];

/// Texts that `terraform fmt` reads as well and lays out the same.
const SHARED: [&str; 27] = [
    "job   \"a\"   \"b\"{\n\n\n  x=1\n  long  =  [1,2 , 3]   # c\n  y=foo  // d\n\n\n\n  zz = a?b:c\n  /* x */\n  f = foo( 1,2 )[ 0 ] . b\n  g = -1 + - x * !y\n\n}\n\n\n\njob \"b\" { x=1 }\njob \"c\" {\n\n}\n",
    "a = [{\nx=1\n},{\ny=2\n}]\nb = {\n\"k\"=1,\nlong : 2\n z = 3 # c\n}\n",
    "c = <<EOT\n  foo ${a}\n   bar\nEOT\nd = [<<-EOT\n   x\n  EOT\n ,2]\n",
    "a = \"${ a  +b } %{if  x}y%{ endif } ${~ a ~}\"\nb = { for k , v in x:k=>v... if v }\nc = [for x in y:x]\nd = a . b [ 0 ] . *\nf = (  a  )\ng = foo(a...)\nh = a==b&&c||!d\ni = a%b\nj = {}\nk = { }\nl = [ ]\nm = {a=1,b=2}\n",
    "a=1#c\nbbb=2 #d\n\nccc   = 3   # e\n#f\n  # g\ndd = 4 // x\nee = [ # q\n1, # one\n222 # two\n]\nff = { a = 1 # x\nbb = 2 # y\n}\nx { # c1\n  y = 1 # c2\n}\n",
    "a {\nb = 1 /* x */\ncc = /* y */ 2\n}\n\n\n\nb = 1\n\n\n\n# end\n\n\n",
    "x = (\na +\nb\n)\ny = foo([\n1\n])\nz = foo({\na=1\n}, {\nb=2\n})\nq = [\n[\n1\n],[\n2]]\n",
    "x {\n  a = 1\n  bbb = {\n    c = 1\n  }\n  dd = 2\n  e = foo(\n  1)\n  ffffff = 2\n}\n",
    "a = 1\nccc = <<EOT\nx\nEOT\nbb = 2\nd = [1,<<EOT\n  x\nEOT\n]\nq = 1 # z\nwww = 1 # y\n",
    "x = [for a in [1]:(a)if(b)]\ny = [for a in (b) : !a if !(c)]\n",
    "y = foo (1) [2]\nq = -(1)\nq1 = a ? -1:-b\nq2 = a==-1\nq3=[ -1,!b]\nq4 = {\"a\"=-1}\nq5 = {(a)=1,b:2}\n",
    "x { # a\n}\nx1 = [\n {\n a = 1\n },\n {b = 2},\n foo(1,\n 2),\n]\n",
    "x = foo(a, b , [ for k in z: k ] ... )\nz = a::b(1)\ny = (a)\ny1 = \"a\" == \"b\"\ny2 = a[ \"b\" ]\ny3 = [ [1] , [ 2 ] ]\ny4 = {} \ny5 = [ {}]\ny6=[{a=1}]\ny7=foo({a=1})\ny8 = { a = { } }\n",
    "a = [1 /* x */ , 2 /* y */ ]\nb = foo(/* a */ 1)\n",
    "é = 1\nab = 2 # c\nx = \"日本\" # d\n",
    "a = 1\r\nbb = 2\r\nc = <<X\r\n f\r\nX\r\n",
    "a=1",
    "\n\n# only\n\n",
    "a {\n  b \"c\" { d = 1 }\n  b \"c\" {\n    d=1   #x\n    ee=\"y\"     #y\n  }\n}\n",
    "a = b ? {\n  c = 1\n} : {\n  d = 2\n}\n",
    "a = foo(<<-X\n  b\nX\n  , 1)\nb = 2\n",
    "a = \"x\\\"y$${z}%%{q}\"\nbb = \"\"\n",
    "a = x.0\nb = x[*].y\nc = x.*.y[0]\nd = 1.5e3 +1e-2\n",
    "a = [\n  1,\n\n  2,  # c\n  # d\n  3\n]\n",
    "a = 1\n\n\n\n",
    "x = {\na = {\nb = 1 }\nc = [{\nd = 1\n}, {\ne = 2 }] }\n",
    "a = {\n  \"x\" = 1\n  (y) = 2\n  zzzz = {\n    a = 1\n  }\n  b = [1,\n  2]\n  c = 3\n}\n",
];

#[test]
fn lines_values_and_comments_are_laid_out() {
    let table = [
        ("", ""),
        ("a=1", "a = 1\n"),
        ("\u{feff}a=1\n", "a = 1\n"),
        ("a = \"${ BUILD_NUMBER }\"\n", "a = \"${BUILD_NUMBER}\"\n"),
        ("a = <<X\n ${ b }\nX\n", "a = <<X\n ${ b }\nX\n"),
        (
            "run \"exec\" {path = \"make\"   args = [\"x\"] }\n",
            "run \"exec\" { path = \"make\" args = [\"x\"] }\n",
        ),
        ("a {\n\n\n\tb=1 \n}\n", "a {\n\n\n  b = 1\n}\n"),
        (
            "job \"a\" {\nif \"x\" {\nget \"b\" \"c\" {}\n} else_if \"y\" {\ntry {\n}\n} else {\ndo {\n}\n}\n}\n",
            "job \"a\" {\n  if \"x\" {\n    get \"b\" \"c\" {}\n  } else_if \"y\" {\n    try {\n    }\n  } else {\n    do {\n    }\n  }\n}\n",
        ),
        (
            "variable \"req\" { type = string\n description = \"x\" }\n",
            "variable \"req\" { type = string\n  description = \"x\" }\n",
        ),
        (
            "variable \"req\" { type = string\ndescription = \"x\"\ndefault=\"y\"\n}\na=1\n",
            "variable \"req\" { type = string\n  description = \"x\"\n  default     = \"y\"\n}\na = 1\n",
        ),
        (
            "a { b {\nc=1 } }\nd {\ne=[\n1\n] }\nf=1\n",
            "a { b {\n  c = 1 } }\nd {\n  e = [\n    1\n] }\nf = 1\n",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(formatted(text), expected, "{text:?}");
    }
}

#[test]
fn a_broken_text_is_refused_with_what_is_wrong() {
    let found = format(FileId(0), "a = \n").expect_err("no value");
    assert_eq!(found.first().map(|found| found.code), Some("missing-value"));
}

/// What `terraform fmt` makes of a text; `None` when there is no such program.
fn terraform(text: &str) -> Option<String> {
    let mut child = Command::new("terraform")
        .args(["fmt", "-no-color", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(text.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    assert!(output.status.success(), "terraform refuses {text}");
    String::from_utf8(output.stdout).ok()
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped comparison must be seen")]
fn the_layout_is_that_of_terraform() {
    let mut wrong = Vec::new();
    for text in SHARED.iter().chain(ARTICLES.iter().filter(|text| !text.contains("exec\" { path")))
    {
        let Some(expected) = terraform(text) else {
            eprintln!("SKIPPED: no `terraform` program to compare with");
            return;
        };
        let ours = formatted(text);
        if ours != expected {
            wrong.push(format!("--- text\n{text}\n--- ours\n{ours}\n--- terraform\n{expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn written(token: Token, text: &str) -> &str {
    let written = token.text(text);
    if token.kind.is_comment() { written.trim_end() } else { written }
}

fn means_the_same_and_stays(text: &str) {
    let once = formatted(text);
    assert_eq!(formatted(&once), once, "{text:?}");
    assert_eq!(syntax::parse(FileId(0), &once).diagnostics, [], "{text:?}\n{once:?}");
    // The same tokens are the same program: only blanks may differ.
    let tokens = |text: &str| -> Vec<(TokenKind, String)> {
        let tokens = lexer::lex(text).tokens.into_iter();
        let mut tokens: Vec<_> =
            tokens.map(|token| (token.kind, written(token, text).to_owned())).collect();
        tokens.pop_if(|last| last.0 == TokenKind::Newline);
        tokens
    };
    assert_eq!(tokens(text), tokens(&once), "{text:?}\n{once:?}");
}

#[test]
fn the_layout_changes_no_meaning_and_is_stable() {
    for text in SHARED.iter().chain(&ARTICLES) {
        means_the_same_and_stays(text);
    }
}

fn blank() -> impl Strategy<Value = String> + Clone {
    prop::sample::select(vec!["", " ", "  ", "\t", " /* c */ "]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "1.5e3",
        "\"a\"",
        "\"a ${ b } c\"",
        "\"%{ if a }x%{ else }y%{ endif }\"",
        "x",
        "x.y",
        "x [ 0 ]",
        "x.*.y",
        "x[*].z",
        "true",
        "-1",
        "- x",
        "!x",
        "<<EOT\n a ${ b }\nEOT\n",
        "[]",
        "{ }",
        "f( )",
        "\"é\"",
        "x . 0",
        "\"$${a}\"",
        "\"${\na\n}\"",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 24, 4, |inner| {
        let pair = (inner.clone(), inner.clone(), blank());
        prop_oneof![
            (
                inner.clone(),
                prop::sample::select(vec![
                    "+", "-", "*", "/", "%", "==", "!=", "<=", ">", "&&", "||"
                ]),
                inner.clone(),
                blank()
            )
                .prop_map(|(a, op, b, s)| format!("({a} {s}{op}{s}{b})")),
            pair.clone().prop_map(|(a, b, s)| format!("[{s}{a}{s},\n{b} # c\n]")),
            pair.clone().prop_map(|(a, b, s)| format!("[{a},{s}{b}]")),
            pair.clone().prop_map(|(a, b, s)| format!("{{{s}a={a},{s}\"b\":{b}{s}}}")),
            pair.clone().prop_map(|(a, b, s)| format!("{{\n{s}a={a}\n bb {s}= {b}\n}}")),
            pair.clone().prop_map(|(a, b, s)| format!("f({s}{a}{s},{b})")),
            pair.clone().prop_map(|(a, b, s)| format!("({a}{s} ?{b}{s}:{s}{a})")),
            pair.clone().prop_map(|(a, b, s)| format!("[for x in {a}{s}:{b}{s} if {a}]")),
            pair.prop_map(|(a, b, s)| format!("{{for k,v in {a}{s}:k=>{b}{s}}}")),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => (value(), blank(), prop::sample::select(vec!["", " # c", "   // d", " /* e */"]))
            .prop_map(|(value, blank, comment)| format!("NAME{blank}={blank}{value}{comment}\n")),
        1 => Just("\n".to_owned()),
        1 => Just("  # comment  \n".to_owned()),
        1 => Just("b \"x\"   {c=1   d=[ 2 ] }\n".to_owned()),
        1 => (value(), blank()).prop_map(|(value, blank)| format!("b \"x\"{blank}{{ # c\n a{blank}= {value}\n\n  }}\n")),
    ];
    prop::collection::vec(line, 0..8).prop_map(|lines| {
        let name = |(index, line): (usize, &String)| line.replace("NAME", &"n".repeat(index + 1));
        lines.iter().enumerate().map(name).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_layout_changes_meaning(text in text()) {
        let readable = syntax::parse(FileId(0), &text).diagnostics.is_empty();
        if readable {
            means_the_same_and_stays(&text);
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}|([a-z=\"{}\\[\\]$ \n#/*<>-]{0,40})") {
        let _ = format(FileId(0), &text);
    }
}
