//! Compares with Terraform itself, where its program is at hand.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

/// What Terraform makes of expressions: JSON, or `None` where it has an error.
/// `None` for all when there is no Terraform here.
fn terraform(directory: &Path, expressions: &[String]) -> Option<Vec<Option<serde_json::Value>>> {
    let mut child = Command::new("terraform")
        .args(["console", "-no-color"])
        .current_dir(directory)
        .env("CHECKPOINT_DISABLE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut input = String::new();
    for expression in expressions {
        input.push_str(&format!("try(base64encode(jsonencode({expression})), \"!\")\n"));
    }
    let mut stdin = child.stdin.take().expect("a pipe");
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("its output");
    let _ = feeder.join();
    let lines: Vec<String> =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| line.replace('"', "")).collect();
    let at = expressions.get(lines.len());
    assert_eq!(
        lines.len(),
        expressions.len(),
        "terraform stopped at {at:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let decode = |line: &String| {
        use base64::Engine as _;
        let json = base64::engine::general_purpose::STANDARD.decode(line).ok()?;
        serde_json::from_slice(&json).ok()
    };
    Some(lines.iter().map(decode).collect())
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

fn compare(directory: &Path, ours: &[String], theirs: &[String]) {
    let Some(expected) = terraform(directory, theirs) else {
        eprintln!("SKIPPED: there is no `terraform` here to compare with");
        return;
    };
    let mut wrong = Vec::new();
    for (text, expected) in ours.iter().zip(expected) {
        let outcome = run(text);
        let got = outcome.value.as_ref().map(Value::to_json);
        let agree = match (&got, &expected) {
            (Some(got), Some(expected)) => same(got, expected),
            (None, None) => true,
            _ => false,
        };
        if !agree {
            wrong.push(format!("{text}\n  ours: {got:?} {:?}\n  terraform: {expected:?}", outcome.faults()));
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
    let scratch = Scratch::new("table");
    compare(&scratch.0, &table, &table);
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
    let scratch = Scratch::new("heredocs");
    let mut config = "locals {\n".to_owned();
    for (index, heredoc) in heredocs.iter().enumerate() {
        config.push_str(&format!("h{index} = {heredoc}\n"));
    }
    config.push_str("}\n");
    std::fs::write(scratch.0.join("main.tf"), config).expect("a written file");
    let theirs: Vec<String> = (0..heredocs.len()).map(|index| format!("local.h{index}")).collect();
    compare(&scratch.0, &heredocs, &theirs);
}

/// Expressions that Terraform and this evaluator both understand, wrong ones among them.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "0", "1", "2", "3", "7", "10", "0.5", "1.25", "0.1", "-3", "true", "false", "null", "\"\"",
        "\"a\"", "\"b\"", "\"2\"", "\"true\"", "\"x y\"", "[]", "{}", "[1, 2, 3]", "[\"a\", \"b\"]",
        "{ a = 1, b = 2 }", "{ a = \"p\", b = \"q\" }", "toset([\"u\", \"v\"])",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 16, 3, |inner| {
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
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("try({a}, {b})")),
            1 => inner.clone().prop_map(|a| format!("can({a})")),
        ]
    })
}

#[test]
fn generated_expressions_agree_with_terraform() {
    let seed = [7; 32];
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, &seed),
    );
    let strategy = expression();
    let texts: Vec<String> = (0..1500)
        .map(|_| strategy.new_tree(&mut runner).expect("a sample").current())
        .collect();
    let scratch = Scratch::new("generated");
    compare(&scratch.0, &texts, &texts);
}
