//! The examples do what they say.

use std::process::Command;

#[test]
fn the_embedding_example_runs_an_engine() {
    runs("embed", &["ticket 7 is open", "\"type\":\"build_finished\",\"status\":\"succeeded\""]);
}

#[test]
fn the_example_without_an_engine_runs_its_job() {
    runs("run_job", &["check bugs", "id:bugs-7: it does not work", "put bugs", "succeeded"]);
}

fn runs(example: &str, lines: &[&str]) {
    let state = tempfile::tempdir().expect("a directory");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--package", "pikoci-examples", "--bin", example])
        .env("XDG_STATE_HOME", state.path())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for line in lines {
        assert!(said.contains(line), "`{line}` is not in\n{said}");
    }
}
