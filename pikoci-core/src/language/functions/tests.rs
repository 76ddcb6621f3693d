//! Tests of all functions together: no arguments panic, every call is bounded,
//! and messages name what is wrong. What the functions give is compared with
//! Terraform's results in `tests/terraform_functions.rs`; the table here holds
//! where there is no such program.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::value::Number;

fn call_with(name: &str, arguments: Vec<Value>, budget: &Budget) -> Result<Value, FunctionError> {
    let now = "2026-11-21T07:30:00.75Z".parse().expect("a time");
    call(name, arguments, &Context { now, files: None, budget })
}

fn try_call(name: &str, arguments: &str) -> Result<Value, FunctionError> {
    let arguments = serde_json::from_str(arguments).expect("the arguments are JSON");
    call_with(name, arguments, &Budget::default())
}

#[track_caller]
fn gives(name: &str, arguments: &str, result: &str) {
    match try_call(name, arguments) {
        Ok(value) => {
            let value = serde_json::to_string(&value).expect("a value is JSON");
            assert_eq!(value, result, "{name} {arguments}");
        }
        Err(error) => panic!("{name} {arguments}: {error}"),
    }
}

#[track_caller]
fn fails(name: &str, arguments: &str, message: &str) {
    match try_call(name, arguments) {
        Ok(value) => panic!("{name} {arguments} gives {value:?}"),
        Err(error) => assert_eq!(error.message, message, "{name} {arguments}"),
    }
}

#[test]
fn results_that_terraform_would_give() {
    gives("substr", r#"["日本語", -2, 1]"#, r#""本""#);
    gives("strrev", r#"["ab🇩🇪"]"#, r#""🇩🇪ba""#);
    gives("coalesce", r#"[1, "x"]"#, r#""1""#);
    gives("distinct", r#"[[1, "1"]]"#, r#"["1"]"#);
    gives("element", r#"[["a", "b"], 3]"#, r#""b""#);
    gives("flatten", r#"[[[1, [2, []]], 3, {"a": [1]}]]"#, r#"[1,2,3,{"a":[1]}]"#);
    gives(
        "formatdate",
        r#"["D MMM YYYY hh:mm ZZZ", "2020-02-29T01:02:03Z"]"#,
        r#""29 Feb 2020 01:02 UTC""#,
    );
    gives(
        "jsonencode",
        r#"[{"b": "<", "a": 1e21}]"#,
        r#""{\"a\":1000000000000000000000,\"b\":\"\\u003c\"}""#,
    );
    gives("range", "[5, 0]", "[5,4,3,2,1]");
    gives("regex", r#"["(?P<x>a)(?P<y>b)?", "a"]"#, r#"{"x":"a","y":null}"#);
    gives("setproduct", r#"[["b", "a"], [1, 2]]"#, r#"[["b",1],["b",2],["a",1],["a",2]]"#);
    gives("setproduct", r#"[{"$set": ["b"]}, {"$set": [1]}]"#, r#"{"$set":[["b",1]]}"#);
    gives("timeadd", r#"["2026-12-31T23:59:59Z", "1s"]"#, r#""2027-01-01T00:00:00Z""#);
    gives("toset", r#"[["b", "a", "b"]]"#, r#"{"$set":["a","b"]}"#);
    gives("transpose", r#"[{"a": ["x", "y"], "b": ["y"]}]"#, r#"{"x":["a"],"y":["a","b"]}"#);
    gives("yamlencode", r#"[{"a": [1, "x\ny"]}]"#, r#""\"a\":\n- 1\n- |-\n  x\n  y\n""#);
}

#[test]
fn names_that_terraform_lacks_mean_the_obvious() {
    gives("strlen", r#"["e\u0301日"]"#, "2");
    gives("regexreplace", r#"["a1b22", "([0-9]+)", "<$1>"]"#, r#""a<1>b<22>""#);
    gives("setsymmetricdifference", r#"[["a", "b"], ["b", "c"]]"#, r#"{"$set":["a","c"]}"#);
    gives("timestamp", "[]", r#""2026-11-21T07:30:00Z""#);
}

#[test]
fn a_wrong_call_names_the_function_the_argument_and_what_it_expected() {
    fails("substr", r#"["a", [], 1]"#, "`substr`: argument `offset` must be a number, got list");
    fails(
        "substr",
        r#"["a", "x", 1]"#,
        "`substr`: argument `offset` must be a number, got string \"x\"",
    );
    fails(
        "substr",
        r#"["a", 1.5, 1]"#,
        "`substr`: argument `offset` must be a whole number, got 1.5",
    );
    fails("substr", r#"["a"]"#, "`substr`: argument `offset` is missing");
    fails("upper", r#"["a", "b"]"#, "`upper`: 2 arguments are too many");
    fails("upper", "[null]", "`upper`: argument `string` must be a string, got null");
    fails("merge", r#"[{}, 1]"#, "`merge`: argument 2 (`maps`) must be a map, got number");
    fails(
        "format",
        r#"["%d", "x"]"#,
        "`format`: argument 2 (`values`) must be a number for `%d`, got string",
    );
    fails("format", r#"["%s %s", 1]"#, "`format`: `%s` needs value 2, but only one is given");
    fails(
        "regex",
        r#"["(", "x"]"#,
        "`regex`: argument `pattern` must be a regular expression: unclosed group",
    );
    fails("file", r#"["x"]"#, "`file`: there is no directory here to read files from");
    fails("nonsense", "[]", "there is no function `nonsense`");
    assert_eq!(try_call("substr", r#"["a", 1, null]"#).unwrap_err().argument, Some(2));
}

#[test]
fn signatures_show_what_may_be_left_out() {
    let shown = |name| signature(name).map(ToString::to_string).unwrap_or_default();
    assert_eq!(shown("lookup"), "lookup(map, key, [default])");
    assert_eq!(shown("format"), "format(spec, values...)");
    assert_eq!(shown("timestamp"), "timestamp()");
}

#[test]
fn all_functions_of_the_language_are_there_once() {
    const NAMES: &str = "chomp endswith format formatlist indent join lower regex regexall \
        regexreplace replace split startswith strcontains strlen strrev substr title trim \
        trimprefix trimsuffix trimspace upper alltrue anytrue chunklist coalesce coalescelist \
        compact concat contains distinct element flatten index keys length lookup matchkeys \
        merge one range reverse setintersection setproduct setsubtract setsymmetricdifference \
        setunion slice sort sum toset transpose values zipmap abs ceil floor log max min \
        parseint pow signum base64decode base64encode csvdecode jsondecode jsonencode sha256 \
        urlencode yamldecode yamlencode formatdate timeadd timestamp can try tobool tolist \
        tomap tonumber tostring file fileexists fileset templatefile";
    let expected: BTreeSet<_> = NAMES.split_whitespace().collect();
    assert_eq!(names().collect::<BTreeSet<_>>(), expected);
    assert_eq!(names().count(), expected.len());
}

#[test]
fn functions_on_expressions_are_left_to_the_evaluator() {
    for name in ["can", "try"] {
        let error = try_call(name, "[1]").unwrap_err();
        assert!(error.message.contains("known before"), "{error}");
    }
    assert!(exists("templatefile"));
}

/// Calls that would make far more than they are given.
#[test]
fn results_that_grow_beyond_the_budget_are_refused_before_they_are_made() {
    let long = Value::String("a".repeat(100_000));
    let many = Value::List(vec![Value::from(1); 10_000]);
    let text = |text: &str| Value::from(text);
    let calls = [
        ("format", vec![text("%999999999999d"), Value::from(1)]),
        ("format", vec![text("%.999999999999f"), Value::from(1)]),
        ("format", vec![text("%99999999999999999999999s"), text("a")]),
        ("indent", vec![Value::from(i64::MAX), text("a\nb")]),
        ("indent", vec![Value::from(100_000_000), text("a\nb")]),
        ("setproduct", vec![many.clone(), many.clone(), many.clone()]),
        ("replace", vec![long.clone(), text("a"), long.clone()]),
        ("replace", vec![long.clone(), text("/a/"), long.clone()]),
        ("regexreplace", vec![long.clone(), text("(.+)"), text(&"$1".repeat(10_000))]),
        ("join", vec![long.clone(), many.clone()]),
        ("formatlist", vec![text("%s%s"), long.clone(), many.clone()]),
        ("split", vec![text(""), Value::String("a".repeat(3_000_000))]),
        (
            "csvdecode",
            vec![Value::String(format!(
                "{}\n{}",
                long.as_str().unwrap_or(""),
                "x\n".repeat(9_999)
            ))],
        ),
        ("transpose", vec![Value::Object(BTreeMap::from([("k".repeat(100_000), many.clone())]))]),
        ("jsondecode", vec![Value::String(format!("[{}1]", "1,".repeat(3_000_000)))]),
        ("regex", vec![text("(?:a{100}){20}b"), Value::String("a".repeat(10_000_000))]),
    ];
    for (name, arguments) in calls {
        let budget = Budget::default();
        let start = Instant::now();
        let error = call_with(name, arguments, &budget).unwrap_err();
        assert!(budget.exceeded().is_some(), "{name}: {error}");
        assert!(start.elapsed() < Duration::from_secs(20), "{name} took {:?}", start.elapsed());
    }
}

#[test]
fn what_is_too_large_by_itself_is_refused() {
    fails("range", "[1e9]", "`range`: makes at most 1024 numbers");
    let error = try_call("regex", r#"["(?:a{1000}){1000}", "a"]"#).unwrap_err();
    assert!(error.message.contains("too large when compiled"), "{error}");
    let deep = "[".repeat(100_000);
    let long = format!("[{}1]", "1,".repeat(3_000_000));
    for text in [deep, long] {
        for name in ["jsondecode", "yamldecode"] {
            let arguments = vec![Value::String(text.clone())];
            assert!(call_with(name, arguments, &Budget::default()).is_err(), "{name}");
        }
    }
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &(b'b'..b'k')
            .map(|letter| {
                let (this, last) = (char::from(letter), char::from(letter - 1));
                format!("{this}: &{this} [{}]\n", vec![format!("*{last}"); 9].join(","))
            })
            .collect::<String>();
    assert!(call_with("yamldecode", vec![Value::String(bomb)], &Budget::default()).is_err());
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (-5_i64..70).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(Value::from(i64::MIN)),
        1 => any::<f64>().prop_map(|float| {
            Number::from_f64(float).map_or(Value::Null, Value::Number)
        }),
        1 => (-20_i32..20).prop_map(|quarters| {
            Number::from_f64(f64::from(quarters) / 4.0).map_or(Value::Null, Value::Number)
        }),
    ]
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => ".{0,12}",
        2 => "[a-c ,/$%{}\\[\\]()*+?.|^\\\\\"'\n:#&!-]{0,16}",
        1 => "%[-+# 0]{0,2}[0-9]{0,8}(\\.[0-9]{0,8})?(\\[[0-9]{1,2}\\])?[a-zA-Z%]",
        1 => "[YMDEhHAamsZ' -]{0,10}",
        1 => "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](Z|[+-][0-2][0-9]:[0-5][0-9])",
        1 => "-?[0-9]{1,20}(\\.[0-9]{0,20})?(ns|us|ms|s|m|h)",
        1 => "[0-9+.eE-]{0,8}",
        1 => "/.{0,8}/",
    ]
    .prop_map(Value::String)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        3 => number(),
        4 => text(),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            3 => items.clone().prop_map(Value::List),
            1 => items.prop_map(set),
            2 => prop::collection::btree_map("[a-c]{0,2}", inner, 0..5).prop_map(Value::Object),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Every function at once: the same arguments, as many as each takes.
    #[test]
    fn no_arguments_panic(arguments in prop::collection::vec(value(), 0..5)) {
        for name in names() {
            let budget = Budget::new(4 << 20, 500_000);
            let _ = call_with(name, arguments.clone(), &budget);
            let count = signature(name).map_or(0, Signature::required).min(arguments.len());
            let _ = call_with(name, arguments[..count].to_vec(), &budget);
        }
    }

    /// Texts alone reach further into the functions that read them.
    #[test]
    fn no_texts_panic(arguments in prop::collection::vec(text(), 3)) {
        for name in names() {
            let budget = Budget::new(4 << 20, 500_000);
            for count in 1..=3 {
                let _ = call_with(name, arguments[..count].to_vec(), &budget);
            }
        }
    }

    #[test]
    fn what_is_encoded_can_be_decoded(value in value()) {
        let plain = Value::from_json(&value.to_json());
        for (encode, decode) in [("jsonencode", "jsondecode"), ("yamlencode", "yamldecode")] {
            let budget = Budget::default();
            let text = call_with(encode, vec![plain.clone()], &budget)?;
            let back = call_with(decode, vec![text.clone()], &budget)?;
            prop_assert_eq!(&back, &plain, "{:?}", text);
        }
    }

    #[test]
    fn sets_have_one_order(items in prop::collection::vec(value(), 0..8)) {
        let forwards = set(items.clone());
        let backwards = set(items.into_iter().rev().collect());
        prop_assert_eq!(forwards, backwards);
    }
}
