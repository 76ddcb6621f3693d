//! `pikoci run` through the real program: what it does, says and answers.

use pikoci_tests::World;
use serde_json::Value;

#[test]
fn a_job_runs_and_the_command_of_the_article_works_as_written() {
    let world = World::with(
        r#"
        job "test" {
          task "hello" {
            run "exec" { path = "echo" args = ["hello", "world"] }
          }
        }
        "#,
    );
    world
        .pikoci(&["run", "--pipeline-config", "pipeline.hcl", "--job", "test"])
        .expect(0)
        .says("hello world")
        .says("task hello");
    // With one job there is no need to name it.
    world.pikoci(&["run", "-p", "pipeline.hcl"]).expect(0).says("hello world");
}

#[test]
fn exit_codes_tell_failed_from_errored() {
    let world = World::with(
        r#"
        job "fails" {
          task "no" { run "exec" { path = "sh" args = ["-c", "echo because; exit 7"] } }
          task "never" { run "exec" { path = "echo" args = ["not reached"] } }
        }
        job "errors" {
          task "gone" { run "exec" { path = "no-such-program-anywhere" } }
        }
        job "allowed" {
          allow_failure = true
          task "no" { run "exec" { path = "false" } }
        }
        "#,
    );
    world
        .pikoci(&["run", "-p", "pipeline.hcl", "-j", "fails"])
        .expect(1)
        .says("exit code 7")
        .says("because")
        .never_says("not reached");
    world
        .pikoci(&["run", "-p", "pipeline.hcl", "-j", "errors"])
        .expect(3)
        .says("no-such-program-anywhere")
        .says("PATH");
    world.pikoci(&["run", "-p", "pipeline.hcl", "-j", "allowed"]).expect(0);
    world.pikoci(&["run", "-p", "pipeline.hcl", "-j", "fial"]).expect(2).says("fails");
    world.pikoci(&["run", "-p", "pipeline.hcl"]).expect(2).says("allowed");
}

#[test]
fn bad_input_is_told_clearly_and_exits_with_two() {
    let world = World::new();
    world.pikoci(&["run", "-p", "nowhere.hcl"]).expect(2).says("nowhere.hcl");
    world.write("empty.hcl", "");
    world.pikoci(&["run", "-p", "empty.hcl"]).expect(2).says("empty");
    world.write("binary.hcl", b"\x7fELF\x00\xff\xfe\x00");
    world.pikoci(&["run", "-p", "binary.hcl"]).expect(2).says("binary.hcl");
    world.write("dir/readme.md", "no pipeline here");
    world.pikoci(&["run", "-p", "dir"]).expect(2).says(".hcl");
    world.write(
        "cycle.hcl",
        r#"
        resource "fs" "src" { params { path = "." } }
        job "a" { get "fs" "src" { passed = ["b"] } }
        job "b" { get "fs" "src" { passed = ["a"] } }
        "#,
    );
    world
        .pikoci(&["run", "-p", "cycle.hcl", "-j", "a"])
        .expect(2)
        .says("circle")
        .says("cycle.hcl:");
    world.write(
        "variable.hcl",
        "variable \"token\" {}\njob \"a\" {\n  task \"t\" {\n    run \"exec\" { path = var.token }\n  }\n}\n",
    );
    world
        .pikoci(&["run", "-p", "variable.hcl"])
        .expect(2)
        .says("variable.hcl:1:1")
        .says("--var token=");
    world.write(
        "runner.hcl",
        "job \"a\" {\n  task \"t\" {\n    run \"dokcer\" { image = \"x\" cmd = \"y\" }\n  }\n}\n",
    );
    world.pikoci(&["run", "-p", "runner.hcl"]).expect(2).says("runner.hcl:3:9").says("docker");
    world.pikoci(&["run"]).expect(2);
    world.pikoci(&["run", "-p", "runner.hcl", "--output", "xml"]).expect(2).says("json");
    world.pikoci(&["frobnicate"]).expect(2);
}

#[test]
fn a_state_directory_that_cannot_be_written_is_an_error_with_its_name() {
    let world =
        World::with("job \"a\" {\n  task \"t\" {\n    run \"exec\" { path = \"true\" }\n  }\n}\n");
    world.write("blocked", "a file where a directory should be");
    let mut command = world.command(&["run", "-p", "pipeline.hcl"]);
    command.env("XDG_STATE_HOME", world.path().join("blocked"));
    let output = pikoci_tests::finish(command.spawn().expect("starts"));
    let output = output.says("blocked");
    assert!(matches!(output.code, 2 | 3), "{output:?}");
}

#[test]
fn variables_come_from_arguments_files_and_the_environment_in_that_order() {
    let world = World::with(
        r#"
        variable "who" { default = "default" }
        job "a" {
          task "t" { run "exec" { path = "echo" args = ["I am ${var.who}."] } }
        }
        "#,
    );
    world.write("vars.json", r#"{"who": "file"}"#);
    world.write("vars.hcl", "who = \"hcl\"\n");
    let run = |args: &[&str]| {
        let mut all = vec!["run", "-p", "pipeline.hcl"];
        all.extend(args);
        let mut command = world.command(&all);
        command.env("PIKOCI_VAR_who", "environment");
        pikoci_tests::finish(command.spawn().expect("starts")).expect(0)
    };
    world.pikoci(&["run", "-p", "pipeline.hcl"]).expect(0).says("I am default.");
    run(&[]).says("I am environment.");
    run(&["--vars", "vars.json"]).says("I am file.");
    run(&["--vars", "vars.hcl"]).says("I am hcl.");
    run(&["--vars", "vars.json", "--var", "who=argument"]).says("I am argument.");
    world
        .pikoci(&["run", "-p", "pipeline.hcl", "--var", "whoo=x"])
        .expect(2)
        .says("did you mean `who`?");
}

#[test]
fn only_the_allowed_part_of_the_environment_reaches_a_step() {
    let world = World::with(
        r#"
        job "a" {
          task "t" {
            run "exec" { path = "env" }
            env = { OWN = "yes" }
          }
        }
        "#,
    );
    world
        .pikoci(&["run", "-p", "pipeline.hcl"])
        .expect(0)
        .says("OWN=yes")
        .says("BUILD_JOB_NAME=a")
        .says("CI=true")
        .says("PATH=")
        .never_says("never-to-be-seen");
}

#[test]
fn secrets_do_not_show_in_any_form() {
    let world = World::with(
        r#"
        variable "token" {
          secret "env" { key = "THE_SECRET" }
        }
        job "a" {
          task "t" {
            run "shell" {
              cmd = <<-EOT
                echo "plain: $TOKEN"
                printf 'base64: '; printf '%s' "$TOKEN" | base64
                printf 'split: '; printf '%s' "$TOKEN" | head -c 6; sleep 0.05; printf '%s\n' "$TOKEN" | tail -c +7
                echo "TOKEN_COPY=$TOKEN" >> "$PIKOCI_OUTPUT"
                echo "length: $(printf '%s' "$TOKEN" | wc -c)"
              EOT
            }
            env = { TOKEN = var.token }
          }
          task "next" {
            run "exec" { path = "sh" args = ["-c", "test -n \"$TASK_T_TOKEN_COPY\" && echo it came over"] }
          }
        }
        "#,
    );
    for format in ["text", "json"] {
        let mut command = world.command(&["run", "-p", "pipeline.hcl", "--output", format]);
        command.env("THE_SECRET", "correct-horse/battery+staple");
        pikoci_tests::finish(command.spawn().expect("starts"))
            .expect(0)
            .says("plain: ***")
            .says("length: 28")
            .says("it came over")
            .never_says("correct-horse")
            .never_says("battery")
            .never_says("Y29ycmVjdC1ob3JzZS9iYXR0ZXJ5K3N0YXBsZQ");
    }
    // One that is too short to be masked is not passed over in silence.
    let mut command = world.command(&["run", "-p", "pipeline.hcl"]);
    command.env("THE_SECRET", "abc");
    pikoci_tests::finish(command.spawn().expect("starts"))
        .expect(0)
        .says("`token` is shorter than 4 characters and is not masked");
    // A missing one is nobody's test failing.
    world.pikoci(&["run", "-p", "pipeline.hcl"]).expect(3).says("THE_SECRET");
}

#[test]
fn a_type_may_hold_secrets_in_its_own_commands() {
    let world = World::with(
        r#"
        variable "token" {
          secret "env" { key = "THE_SECRET" }
        }
        resource_type "box" {
          check "shell" { cmd = "test '${var.token}' = \"$(echo correct-)horse/battery+staple\"; echo '[{\"id\":\"1\"}]'" }
          pull "exec" {
            path = "sh"
            args = ["-ec", "echo \"pull: $TOKEN\"; echo \"Authorization: ${var.token}\" | tee header | base64"]
            env  = { TOKEN = "<${var.token}>" }
          }
        }
        resource_type "seen" {
          check "shell" { cmd = "echo '[{\"id\":\"1\"}]'" }
          pull "shell" {
            cmd = <<-EOT
              : '${var.token}'
              tr '\0' ' ' < /proc/$$/cmdline | grep -c horse || echo no argument tells it
            EOT
          }
        }
        service_type "bell" {
          start "shell" { cmd = "echo 'start ${var.token}'" }
          ready_check "shell" { cmd = "test -n '${var.token}'" interval = "10ms" }
          stop "shell" { cmd = "echo 'stop ${var.token}'" }
        }
        runner_type "own" {
          params = ["cmd"]
          run {
            path = "/bin/sh"
            args = ["-ec", "$cmd"]
            env  = { OWN = "${upper(var.token)}" }
          }
        }
        notification_type "say" {
          notify "shell" { cmd = "echo 'notify ${var.token}'" }
        }
        notification "say" "team" { on = ["success"] }
        resource "box" "b" {}
        resource "seen" "s" {}
        job "a" {
          get "box" "b" {}
          get "seen" "s" {}
          service "bell" {}
          task "t" { run "own" { cmd = "echo \"own: $OWN\"; wc -c < header" } }
        }
        "#,
    );
    for format in ["text", "json"] {
        let mut command = world.command(&["run", "-p", "pipeline.hcl", "--output", format]);
        command.env("THE_SECRET", "correct-horse/battery+staple");
        pikoci_tests::finish(command.spawn().expect("starts"))
            .expect(0)
            .says("pull: <***>")
            .says("no argument tells it")
            .says("start ***")
            .says("stop ***")
            .says("notify ***")
            .says("own: ***")
            .says("44")
            .never_says("correct-horse")
            .never_says("CORRECT-HORSE")
            .never_says("battery")
            .never_says("Y29ycmVjdC1ob3JzZS9iYXR0ZXJ5K3N0YXBsZ");
    }
    // A missing one is told by the variable's name.
    world.pikoci(&["run", "-p", "pipeline.hcl"]).expect(3).says("variable `token`");
}

#[test]
fn json_output_is_the_whole_stream_without_gaps() {
    let world = World::with(
        r#"
        job "a" {
          task "one" { run "exec" { path = "echo" args = ["hi"] } }
          task "two" { run "exec" { path = "false" } }
          task "three" { run "exec" { path = "true" } }
        }
        "#,
    );
    let output = world.pikoci(&["run", "-p", "pipeline.hcl", "--output", "json"]).expect(1);
    let events = output.json_lines();
    for (number, event) in (0u64..).zip(&events) {
        assert_eq!(event["number"], number, "{event}");
        assert!(event["time"].as_str().unwrap().ends_with('Z'), "{event}");
        assert_eq!(event["build"], "local/pipeline/a#1");
    }
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types.first(), Some(&"build_created"));
    assert_eq!(types.last(), Some(&"build_finished"));
    assert_eq!(types.iter().filter(|it| **it == "build_finished").count(), 1);
    assert!(types.contains(&"step_skipped"));
    assert_eq!(events.last().unwrap()["status"], "failed");
    assert!(events.last().unwrap()["duration_ms"].is_f64());
    let text: String = events
        .iter()
        .filter(|event| event["type"] == "step_output")
        .filter_map(|event| event["text"].as_str())
        .collect();
    assert_eq!(text, "hi\n");

    world.write("bad.hcl", "job \"a\" {\n  timout = \"5m\"\n}\n");
    let output = world.pikoci(&["run", "-p", "bad.hcl", "--output", "json"]).expect(2);
    let data: Value = serde_json::from_str(&output.stdout).unwrap();
    let told = data["diagnostics"].as_array().unwrap();
    let told = told.iter().find(|it| it["code"] == "unknown-attribute").expect("it is told");
    assert_eq!(told["place"]["line"], 2);
}

#[test]
fn output_that_is_no_text_passes_byte_for_byte() {
    let world = World::with(
        r#"
        job "a" {
          task "t" { run "exec" { path = "printf" args = ["caf\\351 \\377\\n"] } }
        }
        "#,
    );
    let output = world.pikoci(&["run", "-p", "pipeline.hcl"]).expect(0);
    assert!(output.bytes.windows(7).any(|it| it == b"caf\xe9 \xff\n"), "{}", output.stdout);
    let output = world.pikoci(&["run", "-p", "pipeline.hcl", "--output", "json"]).expect(0);
    assert!(
        output.json_lines().iter().any(|event| event["base64"] == "Y2Fm6SD/Cg=="),
        "{}",
        output.stdout
    );
}

#[test]
fn steps_flow_into_each_other() {
    let world = World::with(
        r#"
        service_type "file" {
          params = ["name"]
          start "shell" { cmd = "echo up > \"$WORKDIR/$param_name\"; echo \"FILE=$param_name\" >> \"$PIKOCI_OUTPUT\"" }
          ready_check "shell" { cmd = "test -e \"$WORKDIR/$param_name\"" interval = "10ms" }
          stop "shell" { cmd = "echo service stopped; rm \"$WORKDIR/$param_name\"" }
        }
        job "a" {
          input "level" { default = "low" options = ["low", "high"] }
          service "file" { name = "beside" }
          task "make" {
            run "shell" { cmd = "echo IMAGE=app:$BUILD_NUMBER >> \"$PIKOCI_OUTPUT\"; mkdir out; echo x > out/file" }
            outputs = ["out"]
          }
          in_parallel {
            limit = 2
            task "see" {
              inputs = ["out"]
              run "shell" { cmd = "echo image is $TASK_MAKE_IMAGE, level is $INPUT_level, $(cat $SERVICE_FILE_FILE)" }
            }
            task "flaky" {
              attempts = 3
              run "shell" { cmd = "echo try >> tries; test $(wc -l < tries) -ge 3" }
            }
            try {
              task "fails" { run "exec" { path = "false" } }
            }
          }
          if "$INPUT_level == high && $BUILD_NUMBER matches '^[0-9]+$'" {
            task "high" { run "exec" { path = "echo" args = ["went high"] } }
          }
          else {
            task "low" { run "exec" { path = "echo" args = ["went low"] } }
          }
          on_success "shell" { cmd = "echo hook says $BUILD_STATUS" }
          ensure "shell" { cmd = "echo always" }
        }
        "#,
    );
    world
        .pikoci(&["run", "-p", "pipeline.hcl"])
        .expect(0)
        .says("image is app:1, level is low, up")
        .says("went low")
        .never_says("went high")
        .says("hook says succeeded")
        .says("always")
        .says("service stopped");
    world
        .pikoci(&["run", "-p", "pipeline.hcl", "--input", "level=high"])
        .expect(0)
        .says("level is high")
        .says("went high");
    world.pikoci(&["run", "-p", "pipeline.hcl", "--input", "level=highest"]).expect(2);
}

#[test]
fn wrong_inputs_are_all_told_before_a_build_exists() {
    let world = World::with(
        r#"
        job "a" {
          input "level" { default = "low" options = ["low", "high"] }
          input "target" {}
          input "parts" { default = "" options = ["x", "y", "z"] multiple = true }
          task "t" { run "exec" { path = "echo" args = ["got ${INPUT_PARTS}"] env = { P = "$INPUT_PARTS" } } }
          task "u" { run "shell" { cmd = "echo parts are $INPUT_PARTS" } }
        }
        job "b" {
          task "t" { run "exec" { path = "true" } }
        }
        "#,
    );
    let run = |args: &[&str]| world.pikoci(&[&["run", "-p", "pipeline.hcl"], args].concat());
    let output =
        run(&["-j", "a", "--input", "level=hihg", "--input", "targte=1", "--input", "level=low"])
            .expect(2)
            .says("did you mean `high`?")
            .says("did you mean `target`?")
            .says("input `target` has no default")
            .says("input `level` is given more than once");
    assert_eq!(output.stdout, "", "no build was made");
    run(&["-j", "a", "--input", "target=1", "--input", "parts=x", "--input", "parts=z"])
        .expect(0)
        .says("parts are x,z");
    run(&["--all", "--input", "target=1"]).expect(0);
    run(&["--all", "--input", "target=1", "--input", "nobodys=1"])
        .expect(2)
        .says("no job has an input `nobodys`");
    run(&["--all"]).expect(2).says("job `a`: input `target` has no default");
}

#[test]
fn what_only_a_server_does_is_told() {
    let world = World::with(
        r#"
        job "a" {
          enabled = false
          tags    = ["linux"]
          approve "ship it" {}
          task "t" { run "exec" { path = "true" } }
        }
        job "off" {
          enabled = false
          task "t" { run "exec" { path = "true" } }
        }
        "#,
    );
    let output = world.pikoci(&["run", "-p", "pipeline.hcl", "-j", "a"]).expect(0);
    for told in ["approve \"ship it\" is not waited for here", "`enabled = false`", "(`linux`)"] {
        assert_eq!(output.stderr.matches(told).count(), 1, "{}", output.stderr);
    }
    let output =
        world.pikoci(&["run", "-p", "pipeline.hcl", "--all", "--output", "json"]).expect(0);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(output.stderr.starts_with("2 jobs were not run: "), "{}", output.stderr);
    let lines = output.json_lines();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[1]["type"], &lines[1]["job"]), (&"job_not_run".into(), &"off".into()));
}

#[test]
fn all_jobs_run_in_order_and_versions_flow() {
    let world = World::with(
        r#"
        variable "dir" {}
        resource_type "box" {
          params = ["path"]
          check "shell" { cmd = "cat $param_path/current 2>/dev/null || echo '[]'" }
          pull "shell" { cmd = "echo $version_id > box" }
          push "shell" { cmd = "echo \"[{\\\"id\\\":\\\"$put_id\\\"}]\" > $param_path/current; echo \"{\\\"id\\\":\\\"$put_id\\\"}\"" }
        }
        resource "box" "b" { params { path = var.dir } }
        job "deploy" {
          get "box" "b" { passed = ["test"] trigger = true }
          task "t" { run "shell" { cmd = "echo deploying $(cat box) as $GET_B_ID" } }
        }
        job "test" {
          get "box" "b" { passed = ["build"] trigger = true }
          task "t" { run "shell" { cmd = "echo testing $GET_B_ID" } }
        }
        job "build" {
          put "box" "b" { id = "v42" }
        }
        "#,
    );
    let dir = format!("dir={}", world.path().display());
    world
        .pikoci(&["run", "-p", "pipeline.hcl", "--all", "--var", &dir])
        .expect(0)
        .says("testing v42")
        .says("deploying v42 as v42");

    // What comes after a failure does not run.
    let world = World::with(
        r#"
        resource "fs" "src" { params { path = "/etc/hostname" } }
        job "first" {
          get "fs" "src" {}
          task "t" { run "exec" { path = "false" } }
        }
        job "second" {
          get "fs" "src" { passed = ["first"] }
          task "t" { run "exec" { path = "echo" args = ["second ran"] } }
        }
        "#,
    );
    world.pikoci(&["run", "-p", "pipeline.hcl", "--all"]).expect(1).never_says("second ran");
}

#[test]
fn a_resource_can_be_replaced_by_a_local_directory() {
    let world = World::with(
        r#"
        resource "git" "app" {
          params { url = "https://pikoci.invalid/app" }
        }
        job "test" {
          get "git" "app" { trigger = true }
          task "t" { run "exec" { path = "cat" args = ["app/hello.txt"] } }
        }
        "#,
    );
    world.write("mine/hello.txt", "from my disk\n");
    world
        .pikoci(&["run", "-p", "pipeline.hcl", "--resource", "git.app=mine"])
        .expect(0)
        .says("from my disk");
    world
        .pikoci(&["run", "-p", "pipeline.hcl", "--resource", "git.ap=mine"])
        .expect(2)
        .says("git.app");
}

#[test]
fn a_kept_workspace_is_named_and_there() {
    let world = World::with(
        "job \"a\" {\n  task \"t\" {\n    run \"shell\" { cmd = \"echo kept > note; pwd\" }\n  }\n}\n",
    );
    let output = world.pikoci(&["run", "-p", "pipeline.hcl", "--keep"]).expect(0);
    let directory =
        output.stdout.lines().find(|line| line.starts_with('/')).expect("pwd").to_owned();
    assert_eq!(std::fs::read_to_string(format!("{directory}/note")).unwrap(), "kept\n");
    output.says(&directory);
    let output = world.pikoci(&["run", "-p", "pipeline.hcl"]).expect(0);
    let directory = output.stdout.lines().find(|line| line.starts_with('/')).expect("pwd");
    assert!(!std::path::Path::new(directory).exists(), "{directory} is removed");
}

#[test]
fn timeouts_fail_a_step_and_a_job() {
    let world = World::with(
        r#"
        job "step" {
          task "slow" {
            timeout = "100ms"
            run "exec" { path = "sleep" args = ["1000"] }
          }
        }
        job "whole" {
          timeout = "100ms"
          task "slow" { run "exec" { path = "sleep" args = ["1000"] } }
        }
        "#,
    );
    world
        .pikoci(&["run", "-p", "pipeline.hcl", "-j", "step"])
        .expect(1)
        .says("timed out after 100ms");
    world
        .pikoci(&["run", "-p", "pipeline.hcl", "-j", "whole"])
        .expect(1)
        .says("job timed out after 100ms");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let world = World::with(
        "job \"a\" {\n  task \"t\" {\n    run \"exec\" { path = \"yes\" }\n    timeout = \"20s\"\n  }\n}\n",
    );
    let mut child = world.start(&["run", "-p", "pipeline.hcl"]);
    drop(child.stdout.take());
    let mut errors = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut errors).unwrap();
    child.wait().unwrap();
    assert!(!errors.contains("panicked"), "{errors}");
    assert_eq!(
        pikoci_tests::processes_with(&world.path().display().to_string()),
        Vec::<i32>::new()
    );
}

#[test]
fn what_functions_make_of_a_secret_does_not_show_either() {
    let world = World::with(
        r#"
        variable "token" {
          secret "env" { key = "THE_SECRET" }
        }
        variable "which" {
          secret "env" { key = "WHICH" }
        }
        variable "chained" {
          secret "env" { key = var.which }
        }
        job "a" {
          task "t" {
            run "shell" {
              cmd = "echo upper: ${upper(var.token)} part: ${substr(var.token, 0, 7)} chained: ${var.chained}"
            }
          }
        }
        "#,
    );
    let mut command = world.command(&["run", "-p", "pipeline.hcl"]);
    command.env("THE_SECRET", "correct-horse").env("WHICH", "OTHER").env("OTHER", "battery-staple");
    pikoci_tests::finish(command.spawn().expect("starts"))
        .expect(0)
        .says("upper: *** part: *** chained: ***")
        .never_says("CORRECT")
        .never_says("battery");
}
