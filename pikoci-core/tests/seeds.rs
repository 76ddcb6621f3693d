//! Every pipeline of the articles the project was created from, as it stands;
//! a fragment with what it refers to declared beside it.

mod common;

/// What the fragments refer to and do not declare.
const BESIDE: &str = r#"
resource "git" "my-app" { params { url = "https://example.com/app" name = "app" } }
resource "git" "app" { params { url = "https://example.com/app" name = "app" } }
"#;

const SEEDS: [(&str, &str, bool); 11] = [
    ("resource", include_str!("seeds/how-hard-can-it-be-to-bu-01.hcl"), false),
    ("runner", include_str!("seeds/how-hard-can-it-be-to-bu-02.hcl"), true),
    ("secret", include_str!("seeds/how-hard-can-it-be-to-bu-03.hcl"), false),
    ("service", include_str!("seeds/how-hard-can-it-be-to-bu-04.hcl"), true),
    ("whole", include_str!("seeds/how-hard-can-it-be-to-bu-05.hcl"), false),
    ("tags", include_str!("seeds/pikoci-v0-5-0-worker-tag-00.hcl"), false),
    ("parallel", include_str!("seeds/pikoci-v0-5-0-worker-tag-01.hcl"), false),
    ("fs", include_str!("seeds/pikoci-v0-5-0-worker-tag-03.hcl"), false),
    ("postgres", include_str!("seeds/services-without-docker-00.hcl"), true),
    ("redis", include_str!("seeds/services-without-docker-02.hcl"), false),
    ("source", include_str!("seeds/services-without-docker-03.hcl"), false),
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
