//! Builds that do not want to end: whatever they do, nothing of them is left.

use std::process::Child;

use pikoci_tests::{World, finish, processes_with, signal, until};
use rustix::process::Signal;

/// A pipeline whose one task runs `script`, marked so that its processes can be found.
fn task(script: &str, mark: &str) -> String {
    format!(
        "job \"a\" {{\n  task \"t\" {{\n    run \"shell\" {{\n      cmd = <<-EOT\n{script}\n      EOT\n    }}\n    \
         env = {{ MARK = \"{mark}\" }}\n  }}\n  on_cancel \"shell\" {{ cmd = \"echo cancelled > $WORKDIR/../../on-cancel || true; echo the hook ran\" }}\n}}\n"
    )
}

fn mark(name: &str) -> String {
    format!("pikoci-kill-test-{name}-{}", std::process::id())
}

fn nothing_left(mark: &str) {
    until("every process of the build has ended", || processes_with(mark).is_empty());
}

/// Starts the pipeline and waits until its task has written `ready`.
fn started(world: &World) -> Child {
    let child = world.start(&["run", "--grace", "500ms", "-p", "pipeline.hcl"]);
    until("the task is at work", || world.has("ready"));
    child
}

#[test]
fn what_a_task_leaves_behind_is_ended() {
    for (name, script) in [
        ("background", "sleep 1000 &"),
        ("double-fork", "(sleep 1000 & sleep 1000 &) &"),
        ("session", "setsid sleep 1000 & setsid -f sleep 1000"),
        ("ignores-term", "(trap '' TERM HUP INT; while :; do sleep 0.1; done) & sleep 0.05"),
        ("no-environment", "setsid -f env -i sleep 1000.25"),
        ("holds-the-pipe", "(sleep 1000; echo late) & echo early"),
        ("closed-output", "exec >&- 2>&-; sleep 0.05"),
    ] {
        let mark = mark(name);
        let world = World::with(&task(script, &mark));
        world.pikoci(&["run", "--grace", "500ms", "-p", "pipeline.hcl"]).expect(0);
        nothing_left(&mark);
        nothing_left("1000.25");
    }
}

#[test]
fn a_flood_of_output_is_carried_and_does_not_hold_up_a_cancel() {
    let mark = mark("flood");
    let world = World::new();
    let ready = world.path().join("ready").display().to_string();
    world.write("pipeline.hcl", task(&format!("touch {ready}; yes flood & yes flood >&2"), &mark));
    let child = started(&world);
    signal(&child, Signal::INT);
    finish(child).expect(4).says("the hook ran");
    nothing_left(&mark);
}

#[test]
fn cancel_ends_even_a_task_that_ignores_it_and_runs_the_hooks() {
    let mark = mark("cancel");
    let world = World::new();
    let ready = world.path().join("ready").display().to_string();
    world.write(
        "pipeline.hcl",
        task(
            &format!("trap '' TERM INT HUP; setsid -f sleep 1000; touch {ready}; while :; do sleep 0.1; done"),
            &mark,
        ),
    );
    let child = started(&world);
    signal(&child, Signal::TERM);
    finish(child).expect(4).says("the hook ran");
    nothing_left(&mark);
}

#[test]
fn a_second_cancel_kills_at_once() {
    let mark = mark("second");
    let world = World::new();
    let ready = world.path().join("ready").display().to_string();
    world.write(
        "pipeline.hcl",
        format!(
            "job \"a\" {{\n  task \"t\" {{\n    run \"shell\" {{\n      cmd = \"touch {ready}; sleep 1000\"\n    }}\n    env = {{ MARK = \"{mark}\" }}\n  }}\n  \
             on_cancel \"shell\" {{ cmd = \"touch {ready}-hook; MARK={mark} sleep 1000\" }}\n}}\n"
        ),
    );
    let child = started(&world);
    signal(&child, Signal::INT);
    until("the hook is at work", || world.has("ready-hook"));
    signal(&child, Signal::INT);
    finish(child).expect(4);
    nothing_left(&mark);
}

/// A service that is nothing but a process and a file, and a task that waits for ever.
fn with_service(world: &World, mark: &str) -> String {
    let dir = world.path().display();
    format!(
        r#"
service_type "bell" {{
  start "shell" {{ cmd = "MARK={mark} setsid -f sleep 1000; echo started >> {dir}/log" }}
  stop "shell" {{ cmd = "echo stopped >> {dir}/log" }}
}}
job "a" {{
  service "bell" {{}}
  task "t" {{
    run "shell" {{ cmd = "touch {dir}/ready; sleep 1000" }}
    env = {{ MARK = "{mark}" }}
  }}
}}
job "b" {{
  task "t" {{
    run "exec" {{ path = "true" }}
  }}
}}
"#
    )
}

#[test]
fn services_stop_when_the_build_is_cancelled() {
    let mark = mark("service");
    let world = World::new();
    world.write("pipeline.hcl", with_service(&world, &mark));
    let child = world.start(&["run", "--grace", "500ms", "-p", "pipeline.hcl", "-j", "a"]);
    until("the task is at work", || world.has("ready"));
    signal(&child, Signal::INT);
    finish(child).expect(4);
    assert_eq!(world.read("log"), "started\nstopped\n");
    nothing_left(&mark);
}

#[test]
fn after_a_kill_the_next_start_stops_services_and_ends_what_is_left() {
    let mark = mark("crash");
    let world = World::new();
    world.write("pipeline.hcl", with_service(&world, &mark));
    let mut child = world.start(&["run", "--grace", "500ms", "-p", "pipeline.hcl", "-j", "a"]);
    until("the task is at work", || world.has("ready"));
    signal(&child, Signal::KILL);
    child.wait().expect("it is dead");
    assert_eq!(world.read("log"), "started\n");

    world.pikoci(&["run", "--grace", "500ms", "-p", "pipeline.hcl", "-j", "b"]).expect(0);
    assert_eq!(world.read("log"), "started\nstopped\n");
    nothing_left(&mark);
    // And only once.
    world.pikoci(&["run", "--grace", "500ms", "-p", "pipeline.hcl", "-j", "b"]).expect(0);
    assert_eq!(world.read("log"), "started\nstopped\n");
}
