//! `pikoci pipeline …` through the real program.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use pikoci_tests::World;
use serde_json::Value;

const PIPELINE: &str = r#"
variable "env" { default = "dev" }

resource "fs" "config" {
  params {
    path = "/etc/hostname"
  }
}

job "build" {
  for_each = toset(["a", "b"])
  get "fs" "config" { trigger = true }
  task "t" {
    run "exec" { path = "echo" args = ["${var.env}", each.key, "$BUILD_NUMBER"] }
  }
}

job "deploy" {
  get "fs" "config" {
    passed = ["build"]
  }
  task "t" { run "exec" { path = "true" } }
}
"#;

#[test]
fn validate_works_as_the_article_has_it() {
    let world = World::with(PIPELINE);
    world.pikoci(&["pipeline", "validate", "pipeline.hcl"]).expect(0).says("valid");
    world
        .pikoci(&["pipeline", "validate", "pipeline.hcl", "--var", "env=staging"])
        .expect(0)
        .says("valid");
    world
        .pikoci(&["pipeline", "validate", "pipeline.hcl", "--var", "evn=staging"])
        .expect(2)
        .says("did you mean `env`?");

    world.write("bad.hcl", "job \"a\" {\n  timout = \"5m\"\n  task \"t\" {}\n}\n");
    let output = world.pikoci(&["pipeline", "validate", "bad.hcl"]).expect(2);
    assert!(output.stderr.contains("bad.hcl:2:3") && output.stderr.contains("bad.hcl:3:3"));
    assert_eq!(output.stdout, "");
    let output = world.pikoci(&["pipeline", "validate", "bad.hcl", "--output", "json"]).expect(2);
    let data: Value = serde_json::from_str(&output.stdout).unwrap();
    let codes: Vec<&str> = data["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["unknown-attribute", "missing-block"]);
}

#[test]
fn a_file_that_is_missing_keeps_no_other_from_being_validated() {
    let world = World::with(PIPELINE);
    world.write("bad.hcl", "job \"a\" {\n  timout = \"5m\"\n}\n");
    world
        .pikoci(&["pipeline", "validate", "pipeline.hcl", "nosuch", "bad.hcl", "nowhere"])
        .expect(2)
        .says("pipeline.hcl is valid")
        .says("no such file `nosuch`")
        .says("no such file `nowhere`")
        .says("bad.hcl:2:3");
}

#[test]
fn expand_prints_a_pipeline_that_says_the_same() {
    let world = World::with(PIPELINE);
    let once = world
        .pikoci(&["pipeline", "expand", "pipeline.hcl", "--var", "env=staging"])
        .expect(0)
        .says("job \"build--a\"")
        .says("job \"build--b\"")
        .says("\"staging\"")
        .says("$BUILD_NUMBER")
        .never_says("for_each");
    world.write("expanded.hcl", &once.stdout);
    let twice = world.pikoci(&["pipeline", "expand", "expanded.hcl"]).expect(0);
    assert_eq!(once.stdout, twice.stdout);
}

#[test]
fn graph_draws_in_three_ways() {
    let world = World::with(PIPELINE);
    for (format, sign) in [("dot", "digraph"), ("mermaid", "flowchart"), ("svg", "<svg")] {
        let drawn = world
            .pikoci(&["pipeline", "graph", "pipeline.hcl", "--format", format])
            .expect(0)
            .says(sign)
            .says("deploy");
        let again = world.pikoci(&["pipeline", "graph", "pipeline.hcl", "--format", format]);
        assert_eq!(drawn.stdout, again.stdout, "{format} is the same every time");
    }
}

#[test]
fn fmt_writes_back_what_it_changes_and_nothing_else() {
    let world = World::new();
    let ugly = "job \"a\" {\ntimeout=\"5m\"\n  tags =   [\"x\"]   # why\n  task \"t\" { run \"exec\" { path = \"true\" } }\n}\n";
    let fine = "job \"a\" {\n  timeout = \"5m\"\n  tags    = [\"x\"] # why\n  task \"t\" { run \"exec\" { path = \"true\" } }\n}\n";
    world.write("ugly.hcl", ugly);
    world.write("fine.hcl", fine);
    world
        .pikoci(&["pipeline", "fmt", "--check", "ugly.hcl", "fine.hcl"])
        .expect(1)
        .says("ugly.hcl");
    assert_eq!(world.read("ugly.hcl"), ugly, "--check only looks");
    let output = world.pikoci(&["pipeline", "fmt", "ugly.hcl", "fine.hcl"]).expect(0);
    assert_eq!(output.stdout, "ugly.hcl\n");
    assert_eq!(world.read("ugly.hcl"), fine);
    world.pikoci(&["pipeline", "fmt", "--check", "ugly.hcl", "fine.hcl"]).expect(0);
    world.write("broken.hcl", "job \"a\" {\n");
    world.pikoci(&["pipeline", "fmt", "broken.hcl"]).expect(2).says("broken.hcl:1:9");
    assert_eq!(world.read("broken.hcl"), "job \"a\" {\n");
}

#[test]
fn a_directory_is_read_as_one_pipeline() {
    let world = World::new();
    world.write(
        "ci/one.hcl",
        "resource \"fs\" \"src\" {\n  params { path = \"/etc/hostname\" }\n}\n",
    );
    world.write(
        "ci/two.hcl",
        "job \"a\" {\n  get \"fs\" \"src\" {}\n  task \"t\" { run \"exec\" { path = \"echo\" args = [\"from two files\"] } }\n}\n",
    );
    world.write("ci/notes.txt", "not HCL");
    world.pikoci(&["pipeline", "validate", "ci"]).expect(0);
    world.pikoci(&["run", "-p", "ci"]).expect(0).says("from two files");
}

#[test]
fn a_type_is_fetched_from_the_local_network_only_when_that_is_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let body = "runner_type \"r\" {\n  run { path = \"echo\" args = [\"fetched\", \"$word\"] }\n}\n";
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + body).as_bytes()).unwrap();
        }
    });
    let world = World::with(&format!(
        "runner_type \"r\" {{\n  source = \"http://127.0.0.1:{port}/r.hcl\"\n}}\n\
         job \"a\" {{\n  task \"t\" {{\n    run \"r\" {{ word = \"indeed\" }}\n  }}\n}}\n"
    ));
    world.pikoci(&["pipeline", "validate", "pipeline.hcl"]).expect(2).says("127.0.0.1");
    world.pikoci(&["run", "-p", "pipeline.hcl"]).expect(2).says("127.0.0.1");
    world
        .pikoci(&["run", "-p", "pipeline.hcl", "--allow-local-sources"])
        .expect(0)
        .says("fetched indeed");
}
