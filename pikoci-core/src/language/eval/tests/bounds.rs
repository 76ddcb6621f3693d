//! No expression panics, overflows the stack, hangs or eats the memory.

use proptest::prelude::*;

use super::*;

/// Evaluates whatever the text is; what the parser refuses is not ours.
fn survive(text: &str) -> Option<Vec<&'static str>> {
    let expr: Expression = text.parse().ok()?;
    let mut sources = SourceMap::new();
    let file = sources.add("test.hcl", text);
    let budget = functions::Budget::new(8 << 20, 300_000);
    let context = functions::Context { now: Timestamp::UNIX_EPOCH, files: None, budget: &budget };
    let variables = variables();
    let evaluator = Evaluator::new(&sources, context);
    let value = evaluator.evaluate(file, &expr, &Scope::new(&variables));
    let diagnostics = evaluator.take_diagnostics();
    assert!(value.is_none() || diagnostics.is_empty(), "{text}: {diagnostics:?}");
    assert!(
        value.is_some() || !diagnostics.is_empty() || text.contains("broken"),
        "{text}: no value and nothing said"
    );
    for diagnostic in &diagnostics {
        assert!(text.get(diagnostic.span.range()).is_some(), "{text}: {diagnostic:?}");
        assert!(!diagnostic.message.is_empty());
    }
    Some(diagnostics.iter().map(|diagnostic| diagnostic.code).collect())
}

#[test]
fn costly_expressions_stop_at_the_budget() {
    let thousand = format!("[{}]", vec!["1"; 1000].join(","));
    let nested =
        format!("[for a in {thousand} : [for b in {thousand} : [for c in {thousand} : a]]]");
    let in_a_text = format!(
        "\"%{{ for a in {thousand} }}%{{ for b in {thousand} }}%{{ for c in {thousand} }}x%{{ endfor }}%{{ endfor }}%{{ endfor }}\""
    );
    let doubled = |item: &str| {
        let mut text = "y11".to_owned();
        for level in (0..12).rev() {
            let from = match level {
                0 => "\"0123456789\"".to_owned(),
                _ => item.replace('@', &format!("y{}", level - 1)),
            };
            text = format!("[for y{level} in [{from}] : {text}]");
        }
        text
    };
    let texts = doubled(&format!("\"{}\"", "${@}".repeat(10)));
    let lists = doubled(&format!("[{}]", ["@"; 10].join(",")));
    let splat = format!("[for a in {thousand} : {thousand}[*]]");
    let tried = format!("try({nested}, 1)");
    let can = format!("[can({nested}), can({nested}), can({nested})]");
    let chosen = format!("true ? 1 : {nested}");
    for text in [&nested, &in_a_text, &texts, &lists, &splat, &tried, &can, &chosen] {
        assert_eq!(survive(text), Some(vec!["evaluation-limit"]), "{}", &text[..60]);
    }
    for text in ["range(1000000000)", "[for i in range(1e9) : i]", "join(\",\", range(0, 1e18))"] {
        let codes = survive(text).expect("an expression");
        assert!(
            codes == ["evaluation-limit"] || codes == ["function-argument"],
            "{text}: {codes:?}"
        );
    }
}

#[test]
fn deep_expressions_do_not_overflow_the_stack() {
    // What a thread has unless told otherwise, here also in debug builds.
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(deep_expressions).expect("a thread").join().expect("no panic");
}

fn deep_expressions() {
    for depth in [10, 50, 63, 64, 65, 128, 1000] {
        let deep = |open: &str, core: &str, close: &str| {
            format!("{}{core}{}", open.repeat(depth), close.repeat(depth))
        };
        for text in [
            deep("(", "1", ")"),
            deep("[", "1", "]"),
            deep("[", "1", "][0]"),
            deep("{ a = ", "1", " }"),
            deep("{ a = ", "1", " }.a"),
            deep("!", "true", ""),
            deep("-", "var.count", ""),
            deep("- (", "1", ")"),
            deep("true ? ", "1", " : 2"),
            deep("true ? 1 : ", "2", ""),
            deep("false ? 1 : ", "2", ""),
            deep("upper(", "\"a\"", ")"),
            deep("try(", "nope", ")"),
            deep("\"${", "1", "}\""),
            deep("\"a${", "1", "}\""),
            deep("\"%{ if true }", "a", "%{ endif }\""),
            deep("\"%{ for x in [1] }", "a", "%{ endfor }\""),
            deep("[for x in [1] : ", "1", "]"),
            deep("{ for x in [1] : x => ", "1", " }"),
            deep("1 + ", "1", ""),
            deep("1 + (", "1", ")"),
            deep("[1 + 1, ", "1", "][*]"),
            deep("", "var.map", ".y"),
            deep("", "[1]", "[*]"),
        ] {
            survive(&text);
        }
    }
    // Everything that can stand on a path at once, as deep as the parser goes.
    let mut text = "1".to_owned();
    while format!("-([{text}][0])").parse::<Expression>().is_ok() {
        text = format!("-([{text}][0])");
    }
    let text = format!("{text}{}", " + 1".repeat(120));
    assert_eq!(survive(&text), Some(Vec::new()));
}

/// One level of nesting around an expression.
type Wrap = fn(Expression) -> Expression;

#[test]
fn trees_deeper_than_the_parser_makes_are_refused() {
    use hcl_edit::Ident;
    use hcl_edit::expr::{Array, ForExpr, ForIntro, FuncArgs, FuncCall, Parenthesis};
    use hcl_edit::template::{Element, Interpolation, StringTemplate};

    let wraps: [Wrap; 4] = [
        |inner| Expression::Parenthesis(Box::new(Parenthesis::new(inner))),
        |inner| {
            let parts = vec![Element::from("a"), Element::from(Interpolation::new(inner))];
            Expression::StringTemplate(StringTemplate::from(parts))
        },
        |inner| {
            let call = FuncCall::new(Ident::new("abs"), FuncArgs::from(vec![inner]));
            Expression::FuncCall(Box::new(call))
        },
        |inner| {
            let one = Expression::from(Array::from(vec![Expression::from(1)]));
            let intro = ForIntro::new(Ident::new("x"), one);
            Expression::ForExpr(Box::new(ForExpr::new(intro, inner)))
        },
    ];
    let check = move || {
        for wrap in wraps {
            let expr = (0..1000).fold(Expression::from(1), |inner, _| wrap(inner));
            let mut sources = SourceMap::new();
            let file = sources.add("test.hcl", "");
            let budget = functions::Budget::default();
            let context =
                functions::Context { now: Timestamp::UNIX_EPOCH, files: None, budget: &budget };
            let evaluator = Evaluator::new(&sources, context);
            assert_eq!(evaluator.evaluate(file, &expr, &Scope::empty()), None);
            let codes: Vec<_> = evaluator.take_diagnostics().iter().map(|it| it.code).collect();
            assert_eq!(codes, ["nesting-limit"]);
            // What follows is not affected.
            let next = evaluator.evaluate(file, &Expression::from(1), &Scope::empty());
            assert_eq!(next, Some(1.into()));
        }
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(check).expect("a thread").join().expect("no panic");
}

/// Texts of expressions, right and wrong.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\"1\"".to_owned()),
        Just("\"\"".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("nope".to_owned()),
        Just("BUILD_ID".to_owned()),
        Just("x".to_owned()),
        Just("0".to_owned()),
        Just("-9223372036854775808".to_owned()),
        Just("1e308".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(|n| n.to_string()),
        prop::sample::select(vec![
            "name", "count", "list", "map", "set", "secret", "nothing", "broken", "nmae"
        ])
        .prop_map(|name| format!("var.{name}")),
        prop::sample::select(vec!["each.key", "each", "var", "\"é$${x}%%{y}\\n\"", "\"${A}\""])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||",
        ]);
        let function = prop::sample::select(
            functions::names().chain(["nope"]).collect::<Vec<&'static str>>(),
        );
        let list = || prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.clone().prop_map(|a| format!("!{a}")),
            inner.clone().prop_map(|a| format!("-{a}")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            inner.clone().prop_map(|a| format!("{a}.x")),
            inner.clone().prop_map(|a| format!("{a}.0")),
            inner.clone().prop_map(|a| format!("{a}[*].x")),
            inner.clone().prop_map(|a| format!("{a}.*")),
            list().prop_map(|items| format!("[{}]", items.join(", "))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{ ({a}) = {b}, x = {a} }}")),
            list().prop_map(|items| format!("\"a${{{}}}b\"", items.join("}${"))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!(
                "\"%{{ if {a} ~}} ${{{b}}} %{{~ else }}%{{ for k, x in {b} }}${{x}}%{{ endfor }}%{{ endif }}\""
            )),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("[for k, x in {a} : {b} if {c}]")),
            (inner.clone(), inner.clone(), any::<bool>()).prop_map(|(a, b, group)| format!(
                "{{ for k, x in {a} : k => {b}{} }}",
                if group { "..." } else { "" }
            )),
            (function, list(), any::<bool>()).prop_map(|(name, items, expand)| format!(
                "{name}({}{})",
                items.join(", "),
                if expand && !items.is_empty() { "..." } else { "" }
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn generated_expressions_end_in_a_value_or_a_diagnostic(text in expression()) {
        survive(&text);
    }

    #[test]
    fn any_heredoc_survives(
        lines in prop::collection::vec("[ \t]{0,6}([a-zé$%{}~\\\\\" ]{0,8}|\\$\\{1\\}|%\\{ if true ~\\}|%\\{~ endif \\})[ ]{0,2}", 0..8),
        dash in "-?",
    ) {
        survive(&format!("<<{dash}EOT\n{}\n  EOT", lines.join("\n")));
    }

    #[test]
    fn arithmetic_agrees_with_floats(a in -1e6f64..1e6, b in -1e6f64..1e6) {
        for (sign, float) in [("+", a + b), ("-", a - b), ("*", a * b), ("/", a / b)] {
            let text = format!("({a}) {sign} ({b})");
            let Some(Value::Number(number)) = run(&text).value else {
                return Err(TestCaseError::fail(text));
            };
            prop_assert!((number.as_f64() - float).abs() <= float.abs() * 1e-9 + 1e-9, "{} = {}", text, number);
        }
    }
}
