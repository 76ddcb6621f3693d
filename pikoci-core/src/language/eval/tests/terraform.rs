//! Compares with Terraform itself, where its program is at hand.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

/// What Terraform makes of expressions: JSON, or `None` where it has an error.
/// `None` for all when there is no Terraform here.
fn terraform(name: &str, expressions: &[String]) -> Option<Vec<Option<serde_json::Value>>> {
    // The console answers the last line only, so all go into one value.
    let mut config = "locals {\n  all = [\n".to_owned();
    for expression in expressions {
        config.push_str(&format!("try(jsonencode({expression}\n), \"!\"),\n"));
    }
    config.push_str("  ]\n}\n");
    let scratch = Scratch::new(name);
    std::fs::write(scratch.0.join("main.tf"), config).expect("a written file");
    let mut child = Command::new("terraform")
        .args(["console", "-no-color"])
        .current_dir(&scratch.0)
        .env("CHECKPOINT_DISABLE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"base64encode(jsonencode(local.all))\n").expect("an open pipe");
    drop(stdin);
    let output = child.wait_with_output().expect("its output");
    let decoded = String::from_utf8_lossy(&output.stdout).trim().replace('"', "");
    let decoded = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(decoded).expect("base64")
    };
    let answers: Vec<String> = serde_json::from_slice(&decoded)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(answers.len(), expressions.len());
    Some(answers.iter().map(|answer| serde_json::from_str(answer).ok()).collect())
}

/// A directory of this test's own, gone when it is dropped.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pikoci-eval-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Equal, numbers up to the precision of a float.
fn same(left: &serde_json::Value, right: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => {
            let (left, right) = (left.as_f64().unwrap_or(0.0), right.as_f64().unwrap_or(1.0));
            (left - right).abs() <= left.abs() * 1e-12
        }
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, l)| right.get(key).is_some_and(|r| same(l, r)))
        }
        _ => left == right,
    }
}

#[expect(clippy::print_stderr, reason = "a skipped comparison must be heard of")]
fn compare(name: &str, texts: &[String]) {
    let Some(expected) = terraform(name, texts) else {
        eprintln!("SKIPPED: there is no `terraform` here to compare with");
        return;
    };
    let with_value = expected.iter().flatten().count();
    assert!(with_value * 5 > texts.len(), "only {with_value} of {} have a value", texts.len());
    let mut wrong = Vec::new();
    for (text, expected) in texts.iter().zip(expected) {
        let outcome = run(text);
        let got = outcome.value.as_ref().map(Value::to_json);
        let agree = match (&got, &expected) {
            (Some(got), Some(expected)) => same(got, expected),
            (None, None) => true,
            // Terraform refuses conditionals whose results have no common type.
            (Some(_), None) => text.contains(" ? "),
            _ => false,
        };
        if !agree {
            wrong.push(format!(
                "{text}\n  ours: {got:?} {:?}\n  terraform: {expected:?}",
                outcome.faults()
            ));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_table_of_edge_cases_agrees_with_terraform() {
    let table: Vec<String> = include_str!("terraform_table.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    assert!(table.len() > 100);
    compare("table", &table);
}

#[test]
fn heredocs_agree_with_terraform() {
    let heredocs: Vec<String> = [
        "<<EOT\n  a\n    b\nEOT",
        "<<EOT\nEOT",
        "<<-EOT\n    a\n      b\n    EOT",
        "<<-EOT\n\ta\n\t\tb\n\tEOT",
        "<<-EOT\n    a\n\n    b\n    EOT",
        "<<-EOT\n    a\n  \n    b\n    EOT",
        "<<-EOT\n    a\n  b\n    EOT",
        "<<-EOT\n    a\nb\n  EOT",
        "<<-EOT\n    a ${1}\n      ${2} b\n    EOT",
        "<<-EOT\n    ${1}\n${2}\n    EOT",
        "<<-EOT\n    ${1}\n   ${2}\n    EOT",
        "<<-EOT\n    %{ if true }\n      a\n    %{ endif }\n    EOT",
        "<<-EOT\n    %{ if true ~}\n      a\n    %{ endif ~}\n    b\n    EOT",
        "<<-EOT\n    %{~ for x in [1, 2] ~}\n      ${x}\n    %{~ endfor ~}\n    b\n    EOT",
        "<<-EOT\n  a \\n \\t \"q\" $${x} %%{y}\n  EOT",
        "<<EOT\n%{ for x in [1, 2] ~}\n  ${x}\n%{ endfor ~}\nend\nEOT",
        "<<EOT\na\n  ${~ \"x\" ~}\n  b\nEOT",
        "<<EOT\na\n\n  ${~ \"x\" ~}\n\n  b\nEOT",
        "<<-EOT\n  é\n    ü\n  EOT",
        "<<-EOT\n  ${\"a\"}${\"b\"}\n    c\n  EOT",
        "<<-EOT\n\n  a\n\n\n  EOT",
        "<<-EOT\n  %{ if false }\n  a\n  %{ else }\n  b\n  %{ endif }\n  EOT",
        "<<-EOT\n  a\n    ${<<-IN\n    x\n      y\n    IN\n    }\n  EOT",
    ]
    .map(str::to_owned)
    .to_vec();
    compare("heredocs", &heredocs);
}

/// Which of two kinds is generated: `try` and `can` would tell apart what only
/// Terraform refuses in conditionals.
#[derive(Debug, Clone, Copy)]
enum Recovering {
    Conditionals,
    Tries,
}

/// Expressions that Terraform and this evaluator both understand, wrong ones among them.
fn expression(recovering: Recovering) -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "0",
        "1",
        "2",
        "3",
        "7",
        "10",
        "0.5",
        "1.25",
        "0.1",
        "-3",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\"",
        "\"b\"",
        "\"2\"",
        "\"true\"",
        "\"x y\"",
        "[]",
        "{}",
        "[1, 2, 3]",
        "[\"a\", \"b\"]",
        "{ a = 1, b = 2 }",
        "{ a = \"p\", b = \"q\" }",
        "toset([\"u\", \"v\"])",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 16, 3, move |inner| {
        let operator = prop::sample::select(vec!["+", "-", "*", "==", "!=", "<", "<=", ">", ">="]);
        let divisor = prop::sample::select(vec!["/ 2", "/ 4", "% 3", "/ \"5\"", "% -2", "/ 0.25"]);
        prop_oneof![
            4 => (inner.clone(), operator, inner.clone())
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            2 => (inner.clone(), divisor).prop_map(|(a, by)| format!("({a} {by})")),
            1 => inner.clone().prop_map(|a| format!("(!({a}))")),
            1 => inner.clone().prop_map(|a| format!("(-({a}))")),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            1 => inner.clone().prop_map(|a| format!("({a}).a")),
            1 => inner.clone().prop_map(|a| format!("({a})[*]")),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{ a = {a}, b = {b} }}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{ ({a}) = {b} }}")),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("\"<${{{a}}}-${{{b}}}>\"")),
            1 => inner.clone().prop_map(|a| format!("\"${{{a}}}\"")),
            1 => (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("\"%{{ if {a} }} y %{{~ else ~}} ${{{b}}}%{{ endif }}\"")),
            1 => inner.clone()
                .prop_map(|a| format!("\"%{{ for k, v in {a} ~}} ${{k}}=${{v}} %{{~ endfor }}\"")),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[for k, v in {a} : [k, v, {b}]]")),
            1 => inner.clone().prop_map(|a| format!("[for v in {a} : v if v != \"a\"]")),
            1 => inner.clone().prop_map(|a| format!("{{ for k, v in {a} : v => k... }}")),
            1 => inner.clone().prop_map(|a| format!("{{ for k, v in {a} : k => v }}")),
            2 => (inner.clone(), inner.clone(), inner.clone()).prop_map(move |(a, b, c)| match recovering {
                Recovering::Conditionals => format!("({a} ? {b} : {c})"),
                Recovering::Tries => format!("[try({a}, {b}), can({c})]"),
            }),
        ]
    })
}

fn generated(count: usize, recovering: Recovering) -> Vec<String> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = expression(recovering);
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("a sample").current()).collect()
}

#[test]
fn generated_expressions_agree_with_terraform() {
    compare("generated", &generated(2500, Recovering::Tries));
}

#[test]
fn generated_conditionals_agree_with_terraform() {
    compare("conditionals", &generated(2500, Recovering::Conditionals));
}
