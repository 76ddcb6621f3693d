//! Tests of the engine: a table for each rule, a matrix of plan shapes, random plans.

mod begun;
mod matrix;
mod random;
mod rules;
mod values;

use crate::event::EventKind;
use crate::testkit::plan::World;

/// What holds for every build, whatever happens in it.
fn check_invariants(world: &World) {
    let events = world.events.all();
    let mut running: Vec<String> = Vec::new();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.number, index as u64, "numbers have no gaps");
        let last = index + 1 == events.len();
        assert_eq!(
            matches!(event.kind, EventKind::BuildFinished { .. }),
            last,
            "one end, and it is last"
        );
        match &event.kind {
            EventKind::StepStarted { step, .. } => {
                assert!(!running.contains(&step.to_string()), "{step} runs once at a time");
                running.push(step.to_string());
            }
            EventKind::StepFinished { step, .. } => {
                let before = running.len();
                running.retain(|it| it != step.as_str());
                assert_eq!(running.len() + 1, before, "{step} ends once");
            }
            EventKind::StepOutput { step, .. } | EventKind::VariableExported { step, .. } => {
                assert!(running.contains(&step.to_string()), "{step} speaks while it runs");
            }
            _ => {}
        }
    }
    assert!(running.is_empty(), "{running:?} never ended");
    let calls = world.calls.short();
    for kind in ["start", "stop"] {
        let other = if kind == "start" { "stop" } else { "start" };
        for call in calls.iter().filter(|call| call.starts_with(&format!("{kind} "))) {
            let partner = call.replace(kind, other);
            let count = |wanted: &str| calls.iter().filter(|it| *it == wanted).count();
            assert_eq!(count(call), count(&partner), "{call} has its {partner}: {calls:?}");
        }
    }
    assert_eq!(world.workspace.open_outputs(), 0, "every file for output is taken");
    let lines = world.journal.lines();
    let open = |word: &str| lines.iter().filter(|line| line.starts_with(word)).count();
    assert_eq!(open("start"), open("stop"), "the journal names no service any more: {lines:?}");
}
