//! Every pipeline of the articles the project was created from, as it stands;
//! a fragment with what it refers to declared beside it.

mod common;

/// What the fragments refer to and do not declare.
const BESIDE: &str = r#"
resource "git" "my-app" { params { url = "https://example.com/app" name = "app" } }
resource "git" "app" { params { url = "https://example.com/app" name = "app" } }
"#;

const SEEDS: [(&str, &str, bool); 11] = [
    ("resource", include_str!("../src/language/testdata/articles/git-resource.hcl"), false),
    ("runner", include_str!("../src/language/testdata/articles/docker-runner.hcl"), true),
    ("secret", include_str!("../src/language/testdata/articles/vault-variable.hcl"), false),
    ("service", include_str!("../src/language/testdata/articles/inline-service.hcl"), true),
    ("whole", include_str!("../src/language/testdata/articles/whole-pipeline.hcl"), false),
    ("tags", include_str!("../src/language/testdata/articles/tags.hcl"), false),
    ("parallel", include_str!("../src/language/testdata/articles/in-parallel-one-line.hcl"), false),
    ("fs", include_str!("../src/language/testdata/articles/fs-resource.hcl"), false),
    ("postgres", include_str!("../src/language/testdata/articles/heredoc-service.hcl"), true),
    ("redis", include_str!("../src/language/testdata/articles/redis-service.hcl"), false),
    ("source", include_str!("../src/language/testdata/articles/commented-source.hcl"), false),
];

#[test]
fn every_pipeline_of_the_articles_is_accepted() {
    for (name, text, fragment) in SEEDS {
        let text = if fragment { format!("{text}\n{BESIDE}") } else { text.to_owned() };
        let outcome = common::read_text(&text);
        let said: Vec<_> = outcome
            .diagnostics
            .iter()
            .map(|it| format!("{}: {}", outcome.sources.location(it.span), it.message))
            .collect();
        assert!(outcome.pipeline.is_some(), "{name}: {said:#?}");
        assert!(said.is_empty(), "{name}: {said:#?}");
    }
}

#[test]
fn run_time_names_are_left_for_run_time() {
    let outcome = common::read_text(&format!("{}\n{BESIDE}", SEEDS[8].1));
    let pipeline = outcome.pipeline.unwrap();
    let start = pipeline.service_types["postgres"].start.as_ref().unwrap();
    let script = match &start.params["args"] {
        pikoci_core::Value::List(items) => items[1].as_str().unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    assert!(script.starts_with("NAME=\"pikoci-${BUILD_PIPELINE_NAME}-${BUILD_JOB_NAME}-pg\"\n"));
    assert!(script.contains("postgres:$param_version"));
}
