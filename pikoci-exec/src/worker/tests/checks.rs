//! Checks.

use pikoci_core::Version;
use pikoci_core::dispatch::{CheckClaim, CheckId};
use pikoci_core::testkit::dispatch::{Fault, Method};

use super::*;

/// A check of the resource `thing.app`, whose type runs this script.
fn check(cmd: &str, timeout: Duration) -> CheckClaim {
    let cmd = serde_json::to_string(&cmd.replace("${", "$${")).unwrap();
    let text = format!(
        r#"
        secret_type "vault" {{ get "shell" {{ cmd = "echo '{{\"key\":\"hunter2!\"}}'" }} }}
        variable "key" {{
          type = string
          secret "vault" {{ path = "x" }}
        }}
        resource_type "thing" {{
          params = ["key"]
          cache  = true
          check "shell" {{ cmd = {cmd} }}
        }}
        resource "thing" "app" {{
          check_interval = "never"
          params {{ key = var.key }}
        }}
        "#
    );
    CheckClaim {
        id: CheckId(Uuid::now_v7()),
        team: "main".into(),
        pipeline: Arc::new(pipeline(&text)),
        kind: "thing".into(),
        name: "app".into(),
        from: None,
        timeout,
    }
}

async fn found(bench: &Bench, check: CheckClaim) -> Result<Vec<Version>, String> {
    let id = check.id;
    bench.dispatcher.give_check(check);
    let answer = |it: &Told| it.checks.iter().find(|it| it.check == id).map(|it| it.result.clone());
    bench.dispatcher.until("the check", answer).await
}

#[tokio::test]
async fn checks_find_versions_or_say_what_is_wrong_without_secrets() {
    let bench = Bench::new();
    let worker = bench.start();
    let minute = Duration::from_secs(60);
    bench.dispatcher.fail(Method::ReportCheck, [Fault::Unavailable]);
    let versions = r#"echo "[{\"ref\":\"a\"},{\"ref\":\"a\"},{\"ref\":\"$param_key\"}]""#;
    let refs = ["a", "hunter2!"].map(|it| Version::from_pairs([("ref", it)]));
    assert_eq!(found(&bench, check(versions, minute)).await, Ok(refs.to_vec()));

    let failing = r#"echo "no access with $param_key" >&2; exit 3"#;
    let error = found(&bench, check(failing, minute)).await.unwrap_err();
    assert!(error.contains("no access with ***") && !error.contains("hunter2"), "{error}");

    let error = found(&bench, check(r#"echo '[{"ref":""}]'"#, minute)).await.unwrap_err();
    assert!(error.contains("version"), "{error}");

    // The same cache, and a directory of its own.
    let first = r#"echo x > $CACHE_DIR/left; echo x > left; echo '[{"ref":"a"}]'"#;
    found(&bench, check(first, minute)).await.unwrap();
    let second = r#"test -e $CACHE_DIR/left && ! test -e left && echo '[{"ref":"b"}]'"#;
    found(&bench, check(second, minute)).await.unwrap();
    assert!(bench.path("cache/main.app.thing.app/left").exists());
    bench.drain(worker).await;
}

#[tokio::test]
async fn a_check_that_takes_too_long_is_ended_with_all_it_started() {
    let bench = Bench::new();
    let worker = bench.start();
    let file = bench.path("pid");
    let slow = check(&sleeper(&file), Duration::from_millis(200));
    let error = found(&bench, slow).await.unwrap_err();
    assert_eq!(error, "timed out after 200ms");
    assert!(!file.exists() || !lives(&file));
    bench.drain(worker).await;
}

#[tokio::test]
async fn a_check_ends_with_the_session() {
    let bench = Bench::with_ttl(Duration::from_millis(600));
    let worker = bench.start();
    let file = bench.path("pid");
    bench.dispatcher.give_check(check(&sleeper(&file), Duration::from_secs(60)));
    until("the script runs", || file.exists()).await;
    bench.dispatcher.lose_session();
    bench.dispatcher.until("it registers again", |it| it.registrations.get(1).map(drop)).await;
    assert!(!lives(&file));
    assert!(bench.dispatcher.told().checks.is_empty());
    bench.drain(worker).await;
}
