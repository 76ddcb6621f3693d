//! The examples do what they say.

use std::process::Command;

#[test]
fn the_embedding_example_runs_its_job() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--package", "pikoci-examples", "--bin", "embed"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for line in ["check bugs", "id:bugs-7: it does not work", "put bugs", "succeeded"] {
        assert!(said.contains(line), "`{line}` is not in\n{said}");
    }
}
