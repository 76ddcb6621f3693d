//! The JSON reporter: every event as one line, for programs.

use pikoci_core::{Event, EventKind};

use super::Report;

/// Writes every event as one line of JSON; `EVENTS.md` lists them.
#[derive(Debug, Default)]
pub(crate) struct Json {
    /// How each line of the build begins: `{"build":"team/pipeline/job#1"`; empty before the first.
    head: Vec<u8>,
}

impl Report for Json {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        if let EventKind::BuildCreated { name, .. } = &event.kind {
            let name = serde_json::Value::from(name.to_string());
            self.head = format!("{{\"build\":{name}").into_bytes();
        }
        let start = out.len();
        out.extend_from_slice(&self.head);
        let brace = out.len();
        match serde_json::to_writer(&mut *out, event) {
            Ok(()) => {
                // The event's own object goes on where the head ends.
                if let (false, Some(byte)) = (self.head.is_empty(), out.get_mut(brace)) {
                    *byte = b',';
                }
                out.push(b'\n');
            }
            // Half a line would break every line after it.
            Err(_) => out.truncate(start),
        }
    }

    fn not_run(&mut self, job: &str, reason: &str, out: &mut Vec<u8>) {
        let (job, reason) = (serde_json::Value::from(job), serde_json::Value::from(reason));
        let line = format!("{{\"type\":\"job_not_run\",\"job\":{job},\"reason\":{reason}}}\n");
        out.extend_from_slice(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Script, failing_build};
    use pikoci_core::name::StepId;

    #[test]
    fn every_line_reads_back_as_the_event_it_was_written_from() {
        let events = failing_build();
        let mut out = Vec::new();
        let mut json = Json::default();
        for event in &events {
            json.event(event, &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        for line in text.lines() {
            assert!(line.starts_with(r#"{"build":"main/app/test#1","number":"#), "{line}");
        }
        let read: Vec<Event> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, events);
    }

    #[test]
    fn text_is_text_and_other_bytes_are_base64() {
        let mut script = Script::new();
        script.output("0", "a\n").output("0", b"\xff\n".as_slice());
        let mut out = Vec::new();
        for event in script.events() {
            Json::default().event(&event, &mut out);
        }
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        {"number":0,"time":"2026-01-01T00:00:00Z","type":"step_output","step":"0","stream":"stdout","text":"a\n"}
        {"number":1,"time":"2026-01-01T00:00:00Z","type":"step_output","step":"0","stream":"stdout","base64":"/wo="}
        "#);
    }

    #[test]
    fn durations_are_numbers_and_jobs_not_run_have_a_line() {
        let mut script = Script::new();
        script.finish("0", pikoci_core::Status::Failed, 12, None, false);
        let mut out = Vec::new();
        let mut json = Json::default();
        for mut event in script.events() {
            if let EventKind::StepFinished { duration, .. } = &mut event.kind {
                *duration = std::time::Duration::from_nanos(10_046_165);
            }
            json.event(&event, &mut out);
        }
        json.not_run("a \"b\"", "it is not enabled", &mut out);
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        {"number":0,"time":"2026-01-01T00:00:00Z","type":"step_finished","step":"0","status":"failed","duration_ms":10.046}
        {"type":"job_not_run","job":"a \"b\"","reason":"it is not enabled"}
        "#);
    }

    #[test]
    fn every_type_and_field_that_is_printed_is_documented() {
        let documented = include_str!("../../EVENTS.md");
        let mut events = failing_build();
        events.extend(every_other_type());
        for event in events {
            let serde_json::Value::Object(fields) = serde_json::to_value(&event).unwrap() else {
                panic!("an event is an object");
            };
            let kind = fields["type"].as_str().unwrap();
            let row = documented
                .lines()
                .find(|line| line.starts_with(&format!("| `{kind}` |")))
                .unwrap_or_else(|| panic!("`{kind}` is not documented"));
            for field in
                fields.keys().filter(|it| !["number", "time", "type"].contains(&it.as_str()))
            {
                assert!(row.contains(&format!("`{field}`")), "`{field}` of `{kind}`");
            }
        }
    }

    fn every_other_type() -> Vec<Event> {
        let mut script = Script::new();
        let step = StepId::new("0");
        script
            .push(EventKind::BuildQueued { reason: "it is late".into() })
            .push(EventKind::InputsResolved { inputs: Default::default() })
            .push(EventKind::BuildStarted { worker: "w".into(), epoch: 1 })
            .push(EventKind::VariableExported {
                step: step.clone(),
                name: "A".into(),
                value: "b".into(),
            })
            .push(EventKind::VersionMade {
                step,
                resource: "git.app".into(),
                version: Default::default(),
            })
            .push(EventKind::CancelRequested { reason: "enough".into() })
            .output("0", b"\xff");
        script.events()
    }
}
