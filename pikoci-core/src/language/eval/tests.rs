//! Tests of the evaluator: a table per rule, expression text to JSON or to the
//! codes and columns of what is wrong.

mod bounds;
mod terraform;

use std::collections::BTreeMap;

use hcl_edit::template::Template;
use jiff::Timestamp;

use super::*;
use crate::language::files::Files;
use crate::value::Deferred;

/// The variables that every test sees.
fn variables() -> BTreeMap<String, Binding> {
    let json = |json: serde_json::Value| Binding::Known(Value::from_json(&json));
    BTreeMap::from([
        ("name".to_owned(), json(serde_json::json!("app"))),
        ("count".to_owned(), json(serde_json::json!(3))),
        ("flag".to_owned(), json(serde_json::json!(true))),
        ("nothing".to_owned(), Binding::Known(Value::Null)),
        ("list".to_owned(), json(serde_json::json!(["a", "b", "c"]))),
        ("map".to_owned(), json(serde_json::json!({"x": 1, "y": {"z": [1, 2]}}))),
        ("set".to_owned(), Binding::Known(Value::Set(vec!["p".into(), "q".into()]))),
        ("secret".to_owned(), Binding::Secret),
        ("broken".to_owned(), Binding::Failed),
    ])
}

/// What an expression comes to.
struct Outcome {
    value: Option<Value>,
    diagnostics: Vec<Diagnostic>,
    sources: SourceMap,
}

impl Outcome {
    /// `code@column` of every diagnostic, in order (`code@line:column` behind line 1).
    fn faults(&self) -> Vec<String> {
        self.diagnostics
            .iter()
            .map(|diagnostic| {
                let place = self.sources.location(diagnostic.span);
                match place.line {
                    1 => format!("{}@{}", diagnostic.code, place.column),
                    line => format!("{}@{line}:{}", diagnostic.code, place.column),
                }
            })
            .collect()
    }

    fn json(&self) -> String {
        assert_eq!(self.faults(), [""; 0], "{:?}", self.diagnostics);
        self.value.as_ref().expect("a value without diagnostics").to_json().to_string()
    }

    fn only(&self) -> &Diagnostic {
        assert_eq!(self.value, None);
        assert_eq!(self.diagnostics.len(), 1, "{:?}", self.diagnostics);
        &self.diagnostics[0]
    }

    /// The text that a diagnostic points at.
    fn pointed_at(&self) -> &str {
        let span = self.only().span;
        &self.sources.file(span.file).text()[span.range()]
    }
}

fn run_with(text: &str, scope: &Scope<'_>, files: Option<&Files>) -> Outcome {
    let mut sources = SourceMap::new();
    // Not the first file, to see that spans name the right one.
    sources.add("other.hcl", "");
    let file = sources.add("test.hcl", text);
    let budget = functions::Budget::default();
    let context = functions::Context { now: Timestamp::UNIX_EPOCH, files, budget: &budget };
    let expr: Expression = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    let evaluator = Evaluator::new(&sources, context);
    let value = evaluator.evaluate(file, &expr, scope);
    let diagnostics = evaluator.take_diagnostics();
    for diagnostic in &diagnostics {
        assert_eq!(diagnostic.span.file, file, "{text}: {diagnostic:?}");
        assert!(diagnostic.span.end > diagnostic.span.start, "{text}: {diagnostic:?}");
        assert!(text.get(diagnostic.span.range()).is_some(), "{text}: {diagnostic:?}");
        assert!(!diagnostic.label.is_empty(), "{text}: {diagnostic:?}");
        assert!(!diagnostic.help.is_empty(), "{text}: {diagnostic:?}");
    }
    drop(evaluator);
    Outcome { value, diagnostics, sources }
}

fn run(text: &str) -> Outcome {
    let variables = variables();
    run_with(text, &Scope::new(&variables), None)
}

#[track_caller]
fn values(table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(run(text).json(), *expected, "{text}");
    }
}

#[track_caller]
fn faults(table: &[(&str, &[&str])]) {
    for (text, expected) in table {
        let outcome = run(text);
        assert_eq!(outcome.faults(), *expected, "{text}: {:?}", outcome.diagnostics);
        assert_eq!(outcome.value, None, "{text}");
    }
}

#[test]
fn literals_are_themselves() {
    values(&[
        ("null", "null"),
        ("true", "true"),
        ("1", "1"),
        ("-1", "-1"),
        ("1.5", "1.5"),
        ("1e3", "1000"),
        ("9223372036854775807", "9223372036854775807"),
        (r#""text""#, r#""text""#),
        (r#""\n\t\"\\\u00e9\U0001F600""#, "\"\\n\\t\\\"\\\\é😀\""),
        ("[1, \"a\", null]", r#"[1,"a",null]"#),
        ("[]", "[]"),
        ("[1,]", "[1]"),
        ("{}", "{}"),
    ]);
}

#[test]
fn object_keys_are_words_texts_or_expressions_in_parentheses() {
    values(&[
        ("{ a = 1, b: 2 }", r#"{"a":1,"b":2}"#),
        ("{ a = 1\n b = 2 }", r#"{"a":1,"b":2}"#),
        (r#"{ "a b" = 1, "x${1 + 1}" = 2 }"#, r#"{"a b":1,"x2":2}"#),
        ("{ (var.name) = 1, name = 2 }", r#"{"app":1,"name":2}"#),
        ("{ null = 1, true = 2, 3 = 4 }", r#"{"3":4,"null":1,"true":2}"#),
        (r#"{ a = 1, "a" = 2 }"#, r#"{"a":2}"#),
        ("{ (1 > 0 ? \"x\" : \"y\") = 2 }", r#"{"x":2}"#),
    ]);
    faults(&[
        ("{ (null) = 1 }", &["object-key@3"]),
        ("{ ([]) = 1, ({}) = 2 }", &["object-key@3", "object-key@13"]),
        ("{ var.name = 1 }", &["object-key@3"]),
        ("{ (var.secret) = 1 }", &["deferred-value@3"]),
        ("{ a = nope, b = var.nope }", &["unknown-name@7", "unknown-variable@21"]),
    ]);
}

#[test]
fn arithmetic_converts_texts_and_is_exact_where_it_can_be() {
    values(&[
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 2 - 3", "5"),
        ("\"1\" + 1", "2"),
        ("\"1e3\" + \".5\"", "1000.5"),
        ("\"+5\" + 1", "6"),
        ("5 / 2", "2.5"),
        ("6 / 2", "3"),
        ("7 % 3", "1"),
        ("-7 % 3", "-1"),
        ("7 % -3", "1"),
        ("7.5 % 2", "1.5"),
        ("0.1 + 0.2", "0.3"),
        ("0.3 / 0.1", "3"),
        ("0.1 * 3", "0.3"),
        ("1.1 % 0.1", "0"),
        ("9223372036854775807 + 1", "9.223372036854776e+18"),
        ("-9223372036854775807 - 10", "-9.223372036854776e+18"),
        ("9223372036854775807 * 9223372036854775807", "8.507059173023462e+37"),
        ("-\"5\"", "-5"),
        ("-(-9223372036854775807 - 1)", "9.223372036854776e+18"),
        ("(-9223372036854775807 - 1) % -1", "0"),
        ("(-9223372036854775807 - 1) / -1", "9.223372036854776e+18"),
        ("1 + -1", "0"),
        ("9007199254740993 + 0", "9007199254740993"),
    ]);
    faults(&[
        ("1 / 0", &["division-by-zero@5"]),
        ("1 % 0", &["division-by-zero@5"]),
        ("1 / (1 - 1)", &["division-by-zero@5"]),
        ("1 % \"0\"", &["division-by-zero@5"]),
        ("1e308 * 10", &["number-range@1"]),
        ("1 + \"a\"", &["operand-type@5"]),
        ("\"a\" + 1", &["operand-type@1"]),
        ("\" 5\" + 1", &["operand-type@1"]),
        ("\"0x10\" + 1", &["operand-type@1"]),
        ("\"inf\" + 1", &["operand-type@1"]),
        ("\"NaN\" + 1", &["operand-type@1"]),
        ("null + 1", &["operand-type@1"]),
        ("true + 1", &["operand-type@1"]),
        ("1 + []", &["operand-type@5"]),
        ("-\"abc\"", &["operand-type@2"]),
        ("-null", &["operand-type@2"]),
        ("nope1 + nope2", &["unknown-name@1", "unknown-name@9"]),
    ]);
}

#[test]
fn comparisons_convert_and_equality_does_not() {
    values(&[
        ("\"5\" < 6", "true"),
        ("10 > 9", "true"),
        ("2 >= 2.0", "true"),
        ("0 <= -0.0", "true"),
        ("1 == 1.0", "true"),
        ("1 == \"1\"", "false"),
        ("1 != \"1\"", "true"),
        ("true == \"true\"", "false"),
        ("null == null", "true"),
        ("\"\" == null", "false"),
        ("[1, [2]] == [1, [2]]", "true"),
        ("{ a = 1 } == { a = 1 }", "true"),
        ("{ a = \"1\" } == { a = 1 }", "false"),
        ("[] == {}", "false"),
        ("[1] == toset([1])", "false"),
    ]);
    faults(&[
        ("1 < \"a\"", &["operand-type@5"]),
        ("\"b\" > \"a\"", &["operand-type@1"]),
        ("null < 1", &["operand-type@1"]),
    ]);
}

#[test]
fn logic_takes_bools_and_stops_at_the_first_that_decides() {
    values(&[
        ("true && false", "false"),
        ("true || false", "true"),
        ("!true", "false"),
        ("!\"false\"", "true"),
        ("\"1\" && true", "true"),
        ("1 > 2 || 3 > 2 && true", "true"),
        ("false && 1 / 0 > 1", "false"),
        ("true || nope", "true"),
    ]);
    faults(&[
        ("true && 1 / 0 > 1", &["division-by-zero@13"]),
        ("true && \"yes\"", &["operand-type@9"]),
        ("1 && true", &["operand-type@1"]),
        ("null || true", &["operand-type@1"]),
        ("!null", &["operand-type@2"]),
        ("!5", &["operand-type@2"]),
    ]);
}

#[test]
fn conditionals_are_lazy_and_have_one_type() {
    values(&[
        ("true ? 1 : 1 / 0", "1"),
        ("false ? nope : \"b\"", "\"b\""),
        ("\"true\" ? 1 : 2", "1"),
        ("true ? 1 : \"a\"", "\"1\""),
        ("true ? true : \"a\"", "\"true\""),
        ("true ? 1 : tostring(2)", "\"1\""),
        ("true ? 1 : null", "1"),
        ("true ? null : 1", "null"),
        ("true ? [1] : [\"a\"]", "[\"1\"]"),
        ("true ? [1, \"a\"] : []", "[\"1\",\"a\"]"),
        ("true ? { a = 1 } : { a = \"x\" }", "{\"a\":\"1\"}"),
        ("true ? { a = 1 } : { b = 1 }", "{\"a\":1}"),
        ("true ? { a = 1 } : {}", "{\"a\":1}"),
        ("false ? 1 : true ? 2 : 3", "2"),
        ("true ? 1 : false", "1"),
    ]);
    faults(&[
        ("1 ? 2 : 3", &["condition-type@1"]),
        ("null ? 2 : 3", &["condition-type@1"]),
        ("\"yes\" ? 2 : 3", &["condition-type@1"]),
        ("var.secret ? 2 : 3", &["deferred-value@1"]),
    ]);
}

#[test]
fn names_come_from_the_scope() {
    values(&[
        ("var.name", "\"app\""),
        ("\"${var.name}-${var.count}\"", "\"app-3\""),
        ("var.map.y.z[1]", "2"),
        ("var.map[\"x\"]", "1"),
        ("[for var in [1]: var]", "[1]"),
    ]);
    let variables = variables();
    let scope = Scope::new(&variables)
        .with_each("k".into(), Value::from_json(&serde_json::json!({"os": "linux"})));
    let inner = scope.child();
    assert_eq!(run_with("\"${each.key}:${each.value.os}\"", &inner, None).json(), "\"k:linux\"");
    assert_eq!(run_with("each.kye", &inner, None).faults(), ["unknown-name@6"]);
    faults(&[
        ("var.nmae", &["unknown-variable@5"]),
        ("var", &["unknown-name@1"]),
        ("var[\"name\"]", &["unknown-name@1"]),
        ("each.key", &["each-outside@1"]),
        ("each", &["each-outside@1"]),
        ("nope", &["unknown-name@1"]),
        ("local.x", &["unknown-name@1"]),
        ("vra.name", &["unknown-name@1"]),
        ("BUILD_NUMBER", &["run-time-name@1"]),
        ("param_x", &["run-time-name@1"]),
        ("\"n${BUILD_NUMBER + 1}\"", &["run-time-name@5"]),
        ("var.broken", &[]),
        ("[var.broken, nope]", &["unknown-name@14"]),
    ]);
}

#[test]
fn misspelt_names_get_a_suggestion() {
    for (text, replacement, help) in [
        ("var.nmae", Some("name"), "did you mean `name`?"),
        ("vra.name", Some("var"), "did you mean `var`?"),
        ("lenght([1])", Some("length"), "did you mean `length`?"),
        ("var.zzzzzz", None, "declare it: `variable \"zzzzzz\" { … }`"),
        ("alpine", Some("\"alpine\""), "if text was meant, quote it: `\"alpine\"`"),
        ("count", Some("var.count"), "variables are used as `var.count`"),
        ("WORKDIR", Some("\"$WORKDIR\""), "write it as text: `\"$WORKDIR\"`"),
        ("{ timeout = 1 }.timeuot", Some("timeout"), "did you mean `timeout`?"),
        ("{ timeout = 1 }[\"timeuot\"]", None, "did you mean `timeout`?"),
        ("[for item in [1] : itm]", Some("item"), "did you mean `item`?"),
    ] {
        let outcome = run(text);
        let diagnostic = outcome.only();
        let suggestion = diagnostic.suggestion.as_ref();
        assert_eq!(suggestion.map(|it| it.replacement.as_str()), replacement, "{text}");
        assert_eq!(diagnostic.help.first().map(String::as_str), Some(help), "{text}");
    }
}

#[test]
fn run_time_names_stay_in_texts() {
    values(&[
        ("\"${BUILD_NUMBER}\"", "\"${BUILD_NUMBER}\""),
        ("\"v${BUILD_NUMBER}-${var.name} $HOME\"", "\"v${BUILD_NUMBER}-app $HOME\""),
        (
            "\"${param_url}${version_ref}${put_x}${notify_y}\"",
            "\"${param_url}${version_ref}${put_x}${notify_y}\"",
        ),
        ("\"a ${~ X1 ~} b\"", "\"a${X1}b\""),
        ("\"%{ if true }${A}%{ endif }\"", "\"${A}\""),
        ("upper(\"${A}b\")", "\"${A}B\""),
        ("[for A in [1] : \"${A}\"]", "[1]"),
        ("[for A in [1] : \"-${A}\"]", "[\"-1\"]"),
        ("<<EOT\n${WORKDIR}/x\nEOT", "\"${WORKDIR}/x\\n\""),
    ]);
    for (name, left) in [
        ("A", true),
        ("A_1", true),
        ("param_", true),
        ("Ab", false),
        ("_A", false),
        ("params", false),
        ("build_number", false),
        ("É", false),
    ] {
        assert_eq!(is_run_time_name(name), left, "{name}");
    }
    faults(&[("\"${Ab}\"", &["unknown-name@4"]), ("\"${build_number}\"", &["unknown-name@4"])]);
}

#[test]
fn escaped_markers_are_text() {
    values(&[
        (r#""$${x} %%{y} $$ %% $x $""#, r#""${x} %{y} $$ %% $x $""#),
        (r#""$${nope}${var.name}""#, r#""${nope}app""#),
        (r#""$${BUILD_NUMBER}""#, r#""${BUILD_NUMBER}""#),
        ("<<EOT\n$${a} %%{b} $c\nEOT", r#""${a} %{b} $c\n""#),
        ("<<-EOT\n  $${a}${1} %%{b}\n  EOT", r#""${a}1 %{b}\n""#),
    ]);
}

#[test]
fn templates_join_and_a_lone_interpolation_keeps_its_type() {
    values(&[
        ("\"${1}\"", "1"),
        ("\"${[1]}\"", "[1]"),
        ("\"${null}\"", "null"),
        ("\"${\"a\"}${1}${true}\"", "\"a1true\""),
        ("\"${1.50}x\"", "\"1.5x\""),
        ("\"%{ if true }${1}%{ endif }\"", "\"1\""),
        ("\"%{ if var.flag }yes%{ else }no%{ endif }\"", "\"yes\""),
        ("\"%{ if !var.flag }yes%{ else }no%{ endif }\"", "\"no\""),
        ("\"%{ if false }yes%{ endif }.\"", "\".\""),
        ("\"%{ for x in var.list }${x},%{ endfor }\"", "\"a,b,c,\""),
        ("\"%{ for i, x in var.list }${i}${x}%{ endfor }\"", "\"0a1b2c\""),
        ("\"%{ for k, v in { a = 1 } }${k}=${v}%{ endfor }\"", "\"a=1\""),
        (
            "\"%{ for x in var.list }%{ if x != \"b\" }${x}%{ else }-%{ endif }%{ endfor }\"",
            "\"a-c\"",
        ),
        ("\"%{ if true }a\\nb\\\"\\u00e9%{ endif }\"", "\"a\\nb\\\"é\""),
    ]);
    faults(&[
        ("\"a${null}\"", &["template-value@5"]),
        ("\"a${[1]}${ {} }\"", &["template-value@5", "template-value@12"]),
        ("\"${nope1}-${nope2}\"", &["unknown-name@4", "unknown-name@13"]),
        ("\"%{ if 5 }%{ endif }${nope}\"", &["condition-type@8", "unknown-name@23"]),
        ("\"%{ for x in 5 }%{ endfor }\"", &["for-collection@14"]),
        ("\"%{ for x in [1, 2] }${nope}%{ endfor }\"", &["unknown-name@24"]),
    ]);
}

#[test]
fn strip_markers_take_the_white_space_beside_them() {
    values(&[
        ("\"a ${~ \"b\" ~} c\"", "\"abc\""),
        ("\"a ${~ \"b\" } c\"", "\"ab c\""),
        ("\"a %{~ if true ~} b %{~ else ~} c %{~ endif ~} d\"", "\"abd\""),
        ("\"a %{~ if false ~} b %{~ else ~} c %{~ endif ~} d\"", "\"acd\""),
        ("\"%{ for x in [\"a\", \"b\"] ~} ${x} %{ endfor ~} z\"", "\"a b z\""),
        (
            "<<EOT\n%{ for x in var.list ~}\n  ${x}\n%{ endfor ~}\nend\nEOT",
            "\"  a\\n  b\\n  c\\nend\\n\"",
        ),
        ("<<EOT\na\n  ${~ \"x\" ~}\n  b\nEOT", "\"a\\nx  b\\n\""),
    ]);
}

#[test]
fn heredocs_keep_or_lose_their_indentation() {
    values(&[
        ("<<EOT\n  a\n    b\nEOT", r#""  a\n    b\n""#),
        ("<<EOT\nEOT", r#""""#),
        ("<<-EOT\n    a\n      b\n    EOT", r#""a\n  b\n""#),
        ("<<-EOT\n\ta\n\t\tb\n\tEOT", r#""a\n\tb\n""#),
        ("<<-EOT\n    a\n\n    b\n    EOT", r#""a\n\nb\n""#),
        ("<<-EOT\n    a\n  \n    b\n    EOT", r#""a\n  \nb\n""#),
        ("<<-EOT\n    a\n  b\n    EOT", r#""  a\nb\n""#),
        ("<<-EOT\n    a\nb\n    EOT", r#""    a\nb\n""#),
        ("<<-EOT\n    a ${1}\n      ${2} b\n    EOT", r#""a 1\n  2 b\n""#),
        ("<<-EOT\n    ${1}\n${2}\n    EOT", r#""    1\n2\n""#),
        ("<<-EOT\n    %{ if true }\n      a\n    %{ endif }\n    EOT", r#""\n  a\n\n""#),
        ("<<-EOT\n    a \\n \\t \"q\"\n    EOT", r#""a \\n \\t \"q\"\n""#),
        ("[<<-EOT\n  a\n  EOT\n, 1]", r#"["a\n",1]"#),
    ]);
}

#[test]
fn for_expressions_go_through_lists_sets_and_objects() {
    values(&[
        ("[for v in [1, 2] : v * 2]", "[2,4]"),
        ("[for k, v in [\"a\", \"b\"] : k]", "[0,1]"),
        ("[for k, v in { x = 1, y = 2 } : \"${k}=${v}\"]", r#"["x=1","y=2"]"#),
        ("[for k, v in var.set : \"${k}${v}\"]", r#"["pp","qq"]"#),
        ("[for v in [1, 2, 3] : v if v != 2]", "[1,3]"),
        ("[for v in [1, 2] : v if v == \"1\"]", "[]"),
        ("{ for v in [\"a\", \"b\"] : v => upper(v) }", r#"{"a":"A","b":"B"}"#),
        ("{ for i, v in [\"a\", \"b\", \"a\"] : v => i... }", r#"{"a":[0,2],"b":[1]}"#),
        ("{ for k, v in { a = 1, b = 2 } : k => v if v > 1 }", r#"{"b":2}"#),
        ("[for a in [1, 2] : [for b in [3, 4] : a * b]]", "[[3,4],[6,8]]"),
        ("[for a in [1] : [for a in [2] : a]]", "[[2]]"),
        ("{ for v in [1] : v => v }", r#"{"1":1}"#),
    ]);
    faults(&[
        ("[for v in null : v]", &["for-collection@11"]),
        ("[for v in \"abc\" : v]", &["for-collection@11"]),
        ("[for v in var.secret : v]", &["deferred-value@11"]),
        ("[for v in [1] : v if null]", &["condition-type@22"]),
        ("[for v in [1] : v if var.secret]", &["deferred-value@22"]),
        ("{ for v in [\"a\", \"a\"] : v => 1 }", &["duplicate-key@25"]),
        ("{ for v in [1] : null => v }", &["object-key@18"]),
        ("{ for v in [1] : [] => v }", &["object-key@18"]),
        ("{ for v in [1] : nope => nope2 }", &["unknown-name@18", "unknown-name@26"]),
        ("[for v in [1, 2] : nope]", &["unknown-name@20"]),
        ("[for v in [1] : v if false][0]", &["index-range@29"]),
    ]);
}

#[test]
fn indexes_attributes_and_splats_reach_inside() {
    values(&[
        ("[1, 2][0]", "1"),
        ("[1, 2][\"1\"]", "2"),
        ("[[1, 2]][0][1]", "2"),
        ("[1, 2].0", "1"),
        ("{ a = { b = 1 } }.a.b", "1"),
        ("{ a = 1 }[\"a\"]", "1"),
        ("{ 1 = \"a\" }[1]", "\"a\""),
        ("{ \"0\" = \"z\" }.0", "\"z\""),
        ("{ true = 5 }[true]", "5"),
        ("var.list[length(var.list) - 1]", "\"c\""),
        ("[{ a = [1, 2] }, { a = [3, 4] }][*].a[0]", "[1,3]"),
        ("[{ a = [1, 2] }, { a = [3, 4] }].*.a[0]", "[1,2]"),
        ("[[1, 2], [3, 4]].*.0", "[1,3]"),
        ("[[1, 2], [3, 4]].*[0]", "[1,2]"),
        ("{ a = 1 }[*]", r#"[{"a":1}]"#),
        ("null[*]", "[]"),
        ("\"x\"[*]", "[\"x\"]"),
        ("\"x\".*", "[\"x\"]"),
        ("var.nothing[*].a", "[]"),
        ("var.set[*]", r#"["p","q"]"#),
    ]);
    faults(&[
        ("[1, 2][2]", &["index-range@8"]),
        ("[1, 2][-1]", &["index-range@8"]),
        ("[][0]", &["index-range@4"]),
        ("[1, 2].7", &["index-range@8"]),
        ("[1, 2, 3][1.5]", &["index-type@11"]),
        ("[1, 2][true]", &["index-type@8"]),
        ("[1, 2][null]", &["index-type@8"]),
        ("{ a = 1 }[null]", &["index-type@11"]),
        ("{ a = 1 }.b", &["missing-key@11"]),
        ("{ a = 1 }[\"b\"]", &["missing-key@11"]),
        ("var.map.y.q", &["missing-key@11"]),
        ("[1].foo", &["attribute-type@5"]),
        ("null.foo", &["attribute-type@6"]),
        ("\"abc\"[0]", &["index-type@7"]),
        ("null[0]", &["index-type@6"]),
        ("var.set[0]", &["index-type@9"]),
        ("[{ a = 1 }, { b = 2 }][*].a", &["missing-key@27"]),
        ("var.secret.x", &["deferred-value@12"]),
        ("var.secret[0]", &["deferred-value@12"]),
        ("var.secret[*]", &["deferred-value@12"]),
    ]);
    assert_eq!(run("[1, 2][-1]").only().message, "the list has 2 items, so there is no index -1");
    assert_eq!(run("[{ a = 1 }].a").only().help, ["for `.a` of every item write `[*].a`"]);
}

#[test]
fn calls_check_their_names_and_arguments() {
    values(&[
        ("upper(\"a\")", "\"A\""),
        ("max([1, 3, 2]...)", "3"),
        ("max(5, [1, 3]...)", "5"),
        ("max(toset([1, 2])...)", "2"),
        ("concat([[1], [2]]...)", "[1,2]"),
        ("try(nope, 1 / 0, \"x\")", "\"x\""),
        ("try(var.map.nope, \"d\")", "\"d\""),
        ("can(1 / 0)", "false"),
        ("can(var.map.x)", "true"),
        ("can(nope)", "false"),
        ("try(var.broken, 1)", "1"),
    ]);
    faults(&[
        ("uper(\"a\")", &["unknown-function@1"]),
        ("uper(nope)", &["unknown-function@1", "unknown-name@6"]),
        ("ns::upper(\"a\")", &["unknown-function@1"]),
        ("upper()", &["function-arguments@1"]),
        ("upper(1, 2)", &["function-arguments@1"]),
        ("upper([\"a\", \"b\"]...)", &["function-arguments@1"]),
        ("upper([])", &["function-argument@7"]),
        ("replace(\"a\", nope1, nope2)", &["unknown-name@14", "unknown-name@21"]),
        ("substr(\"abc\", \"x\", 1)", &["function-argument@15"]),
        ("max(1, { a = 1 }...)", &["expanded-argument@8"]),
        ("max(1, null...)", &["expanded-argument@8"]),
        ("max(var.secret...)", &["deferred-value@5"]),
        ("try()", &["no-value@1"]),
        ("try(nope, 1 / 0)", &["no-value@1"]),
        ("can()", &["function-arguments@1"]),
        ("try([1]...)", &["function-argument@1"]),
        ("templatefile(\"x\", {})", &["template-file@14"]),
        ("try(var.broken)", &[]),
    ]);
    let tried = run("try(nope, 1 / 0)");
    assert_eq!(tried.only().others.len(), 2);
}

#[test]
fn secrets_are_passed_on_and_nothing_more() {
    let secret = || Value::Deferred(Box::new(Deferred::Secret { variable: "secret".into() }));
    let template = |parts: Vec<Value>| Value::Deferred(Box::new(Deferred::Template(parts)));
    for (text, expected) in [
        ("var.secret", secret()),
        ("\"${var.secret}\"", secret()),
        ("\"a${var.secret}b\"", template(vec!["a".into(), secret(), "b".into()])),
        ("\"${var.secret}${var.name}${1}\"", template(vec![secret(), "app1".into()])),
        ("true ? var.secret : 1", secret()),
        ("[var.secret, 1][0]", secret()),
        ("[var.secret, 1][1]", Value::from(1)),
        ("{ a = var.secret }.a", secret()),
        ("[for v in [var.secret] : v]", Value::List(vec![secret()])),
        ("try(var.secret, 1)", secret()),
        ("can(var.secret)", Value::Bool(true)),
        (
            "upper(var.secret)",
            Value::Deferred(Box::new(Deferred::Call {
                function: "upper".into(),
                arguments: vec![secret()],
            })),
        ),
        ("\"%{ for v in [var.secret] }${v};%{ endfor }\"", template(vec![secret(), ";".into()])),
    ] {
        let outcome = run(text);
        assert_eq!(outcome.faults(), [""; 0], "{text}");
        assert_eq!(outcome.value, Some(expected), "{text}");
    }
    faults(&[
        ("var.secret == \"x\"", &["deferred-value@1"]),
        ("[1, [var.secret]] == [1]", &["deferred-value@1"]),
        ("1 + var.secret", &["deferred-value@5"]),
        ("!var.secret", &["deferred-value@2"]),
        ("var.secret && true", &["deferred-value@1"]),
        ("upper(var.secret, 1)", &["function-arguments@1"]),
        ("uper(var.secret)", &["unknown-function@1"]),
        ("\"${[var.secret]}x\"", &["template-value@4"]),
        ("\"x%{ if var.secret }%{ endif }\"", &["deferred-value@9"]),
        ("templatefile(var.secret, {})", &["deferred-value@14"]),
    ]);
    assert_eq!(
        run("\"${upper(var.secret)}x\" == \"y\"").only().message,
        "the value of `var.secret` is known only at run time"
    );
}

#[test]
fn deferred_values_are_resolved_at_run_time() {
    let budget = functions::Budget::default();
    let context = functions::Context { now: Timestamp::UNIX_EPOCH, files: None, budget: &budget };
    let secrets = |name: &str| (name == "secret").then(|| "hunter2".to_owned());
    let forced = |text: &str| {
        let value = run(text).value.unwrap_or_else(|| panic!("{text}"));
        force(&value, &secrets, &context).map(|value| {
            assert!(!value.is_deferred());
            value.to_json().to_string()
        })
    };
    for (text, expected) in [
        ("\"a${var.secret}b\"", "\"ahunter2b\""),
        ("upper(\"${var.secret}!\")", "\"HUNTER2!\""),
        ("{ a = [var.secret, 1] }", r#"{"a":["hunter2",1]}"#),
        ("jsonencode({ p = var.secret })", r#""{\"p\":\"hunter2\"}""#),
        ("\"${length(var.secret)}\"", "7"),
        ("1", "1"),
    ] {
        assert_eq!(forced(text).as_deref(), Ok(expected), "{text}");
    }
    for (text, expected) in [
        (
            "tonumber(var.secret)",
            "`tonumber` cannot take the value of `var.secret` as its argument 1",
        ),
        (
            "\"x${jsondecode(\"[\\\"${var.secret}\\\"]\")}\"",
            "a text with `var.secret` in it cannot be made: one part is list, not a text",
        ),
    ] {
        assert_eq!(forced(text), Err(expected.to_owned()), "{text}");
    }
    let missing = force(&run("var.secret").value.expect("a value"), &|_| None, &context);
    assert_eq!(missing, Err("the secret behind `var.secret` has no value".into()));
}

#[test]
fn what_a_secret_holds_is_never_expanded() {
    let budget = functions::Budget::default();
    let context = functions::Context { now: Timestamp::UNIX_EPOCH, files: None, budget: &budget };
    let secrets = |_: &str| Some("p$ID".to_owned());
    let expand = |text: &str| text.replace("$ID", "7").replace("${ID}", "7");
    for (text, expected) in [
        ("\"a$ID-${var.secret}-${ID}\"", "\"a7-p$ID-7\""),
        ("upper(\"x$ID${var.secret}\")", "\"X7P$ID\""),
        ("[\"$ID\", var.secret, 1]", "[\"7\",\"p$ID\",1]"),
        ("{ \"$ID\" = \"$ID\" }", "{\"$ID\":\"7\"}"),
    ] {
        let value = run(text).value.expect("a value");
        let forced = force_expanding(&value, &secrets, &expand, &context).expect("a value");
        assert_eq!(forced.to_json().to_string(), expected, "{text}");
    }
}

#[test]
fn template_files_see_their_variables_only() {
    let directory = std::env::temp_dir().join(format!("pikoci-eval-files-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    for (name, text) in [
        ("good.tpl", "%{ for x in items ~}\n- ${x} ${WORKDIR} $${y}\n%{ endfor ~}\nend \"${n}\"\n"),
        ("one.tpl", "${n}"),
        ("crlf.tpl", "a\r\n  ${~ 1}\r\n"),
        ("blank.tpl", "x\n  %{~ if true ~}\n  y\n%{ endif ~}\n\n  z\n"),
        ("list.tpl", "${[1]}"),
        ("faulty.tpl", "a\n  ${nope} ${var.name}\n"),
        ("syntax.tpl", "a\n${1 +}\n"),
        ("again.tpl", "${templatefile(\"one.tpl\", {})}"),
        ("heredoc.tpl", "${<<-EOT\n    a\n      b\n    EOT\n}"),
        (
            "greedy.tpl",
            "%{ for x in range(1000) }%{ for y in range(1000) }%{ for z in range(1000) }x%{ endfor }%{ endfor }%{ endfor }",
        ),
    ] {
        std::fs::write(directory.join(name), text).expect("a written file");
    }
    let files = Files::new(&directory).expect("a directory");
    let variables = variables();
    let scope = Scope::new(&variables);
    let call = |text: &str| run_with(text, &scope, Some(&files));
    let good = call("templatefile(\"good.tpl\", { items = [\"a\", \"b\"], n = 1 })");
    assert_eq!(good.json(), r#""- a ${WORKDIR} ${y}\n- b ${WORKDIR} ${y}\nend \"1\"\n""#);
    for (text, expected) in [
        ("templatefile(\"heredoc.tpl\", {})", r#""a\n  b\n""#),
        ("templatefile(\"crlf.tpl\", {})", r#""a\r\n1\r\n""#),
        ("templatefile(\"blank.tpl\", {})", r#""x\n  y\n\n  z\n""#),
        ("templatefile(\"list.tpl\", {})", "[1]"),
    ] {
        assert_eq!(call(text).json(), expected, "{text}");
    }
    // As deep as the parser goes, at the end of a call as deep as that.
    let deep = (0..64).rev().map(|n| (n, format!("${{{}1{}}}", "[".repeat(n), "]".repeat(n))));
    let (_, deep) =
        deep.into_iter().find(|(_, text)| text.parse::<Template>().is_ok()).expect("one");
    std::fs::write(directory.join("deep.tpl"), deep).expect("a written file");
    let deep = "templatefile(\"deep.tpl\", {})";
    let deep = format!("{}{deep}{}", "[".repeat(60), "]".repeat(60));
    assert!(call(&deep).value.is_some());
    assert!(
        call("templatefile(\"one.tpl\", { n = \"x${var.secret}\" })")
            .value
            .is_some_and(|v| v.is_deferred())
    );
    for (text, expected) in [
        ("templatefile(\"faulty.tpl\", {})", vec!["unknown-name@14", "unknown-name@14"]),
        ("templatefile(\"syntax.tpl\", {})", vec!["template-file@14"]),
        ("templatefile(\"again.tpl\", {})", vec!["template-file@14"]),
        ("templatefile(\"none.tpl\", {})", vec!["template-file@14"]),
        ("templatefile(\"../x.tpl\", {})", vec!["template-file@14"]),
        ("templatefile(\"one.tpl\", [])", vec!["function-argument@25"]),
        ("templatefile(\"one.tpl\", { n = null })", vec!["template-value@14"]),
        ("templatefile([], {})", vec!["function-argument@14"]),
        ("templatefile(\"greedy.tpl\", {})", vec!["evaluation-limit@14"]),
        ("templatefile(nope, nope)", vec!["unknown-name@14", "unknown-name@20"]),
    ] {
        assert_eq!(call(text).faults(), expected, "{text}");
    }
    assert_eq!(
        call("templatefile(\"faulty.tpl\", {})").diagnostics[0].message,
        "in `faulty.tpl`, line 2, column 5: unknown name `nope`"
    );
    std::fs::remove_dir_all(&directory).expect("a removed directory");
}

#[test]
fn spans_cover_what_is_wrong_and_no_more() {
    for (text, expected) in [
        ("1 + var.list", "var.list"),
        ("var.map.nope.x", "nope"),
        ("var.list[10]", "10"),
        ("upper( [1] )", "[1]"),
        ("fooo(1)", "fooo"),
        ("each.key", "each.key"),
        ("(1 + 2) / (3 - 3)", "(3 - 3)"),
        ("1e308 * 10 + 1", "1e308 * 10"),
        ("\"é${nope}\"", "nope"),
        ("var.list[*].x", "x"),
    ] {
        let outcome = run(text);
        assert_eq!(outcome.pointed_at(), expected, "{text}");
    }
}
