//! The plain reporter: for logs and pipes. No escape sequence of its own, and
//! the bytes of a command as they are.
//!
//! While one step prints, its chunks pass through untouched behind a header
//! `==> task unit`; while several run at once, each line gets its step's name
//! before it: `unit | …`.

use std::collections::HashMap;

use memchr::{memchr, memrchr};
use pikoci_core::name::StepId;
use pikoci_core::{Event, EventKind};

use super::Report;
use super::steps::{Attempts, Change, Row, Steps};
use super::style::Paint;

/// A line longer than this is written in pieces.
const LINE_BYTES: usize = 64 * 1024;

/// Rows are folded to this width: no terminal says how wide it is.
const COLUMNS: usize = 100;

/// Writes plain lines.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    steps: Steps,
    /// Whose output stands under the last header, while it goes on.
    speaker: Option<StepId>,
    /// Whether the last byte written ended a line.
    mid_line: bool,
    /// Beginnings of lines of steps that run side by side.
    partial: HashMap<StepId, Vec<u8>>,
    /// Whether more than one step runs.
    several: bool,
    builds: usize,
}

const PAINT: Paint = Paint { color: false };

impl Plain {
    fn output(&mut self, step: &StepId, bytes: &[u8], out: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        if self.several {
            self.interleaved(step, bytes, out);
            return;
        }
        if self.speaker.as_ref() != Some(step) {
            self.end_line(out);
            let name = self.steps.running(step).map_or(step.as_str(), |it| it.name.as_str());
            out.extend_from_slice(format!("==> {name}\n").as_bytes());
            self.speaker = Some(step.clone());
            if let Some(begun) = self.partial.remove(step) {
                out.extend_from_slice(&begun);
            }
        }
        out.extend_from_slice(bytes);
        self.mid_line = bytes.last() != Some(&b'\n');
    }

    fn interleaved(&mut self, step: &StepId, bytes: &[u8], out: &mut Vec<u8>) {
        self.end_line(out);
        self.speaker = None;
        let prefix = self.steps.running(step).map_or(step.as_str(), |it| it.short_name());
        let partial = self.partial.entry(step.clone()).or_default();
        let Some(last) = memrchr(b'\n', bytes) else {
            partial.extend_from_slice(bytes);
            if partial.len() > LINE_BYTES {
                prefixed(prefix, partial, out);
                partial.clear();
            }
            return;
        };
        let (mut whole, rest) = bytes.split_at(last + 1);
        if !partial.is_empty() {
            let first = memchr(b'\n', whole).map_or(whole.len(), |end| end + 1);
            let (head, tail) = whole.split_at(first);
            partial.extend_from_slice(head);
            prefixed(prefix, partial, out);
            partial.clear();
            whole = tail;
        }
        for line in whole.split_inclusive(|byte| *byte == b'\n') {
            prefixed(prefix, line, out);
        }
        partial.extend_from_slice(rest);
    }

    /// Ends a line that a command left open.
    fn end_line(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.mid_line) {
            out.push(b'\n');
        }
    }

    fn row(&mut self, row: &Row, out: &mut Vec<u8>) {
        self.end_line(out);
        self.speaker = None;
        let mut text = String::new();
        self.steps.write_row(row, PAINT, COLUMNS, &mut text);
        out.extend_from_slice(text.as_bytes());
    }

    /// Writes what a step that ended left of a line.
    fn flush_partial(&mut self, step: &StepId, name: &str, out: &mut Vec<u8>) {
        if let Some(partial) = self.partial.remove(step).filter(|bytes| !bytes.is_empty()) {
            self.end_line(out);
            prefixed(name, &partial, out);
        }
    }
}

/// Adds `line` behind its step's name, with a line feed at its end.
fn prefixed(prefix: &str, line: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(prefix.as_bytes());
    out.extend_from_slice(b" | ");
    out.extend_from_slice(line);
    if line.last() != Some(&b'\n') {
        out.push(b'\n');
    }
}

impl Report for Plain {
    fn expect(&mut self, attempts: Attempts) {
        self.steps.expect(attempts);
    }

    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        if let EventKind::StepOutput { step, data, .. } = &event.kind {
            self.output(step, &data.0, out);
            return;
        }
        if let EventKind::StepFinished { step, .. } = &event.kind {
            let name = self.steps.running(step).map(|it| it.short_name().to_owned());
            self.flush_partial(step, name.as_deref().unwrap_or(step.as_str()), out);
        }
        match self.steps.apply(event) {
            Change::Nothing => return,
            Change::Began(name) => {
                self.speaker = None;
                self.end_line(out);
                if self.builds > 0 {
                    out.push(b'\n');
                }
                self.builds += 1;
                out.extend_from_slice(format!("{name}\n").as_bytes());
            }
            Change::Started(_, Some(row))
            | Change::Finished(_, Some(row))
            | Change::Skipped(row) => {
                self.row(&row, out);
            }
            Change::Started(_, None) | Change::Finished(_, None) => {}
            Change::Said(text) => {
                self.end_line(out);
                out.extend_from_slice(format!("{text}\n").as_bytes());
            }
            Change::Over => {
                self.end_line(out);
                self.speaker = None;
                out.extend_from_slice(self.steps.summary(PAINT).as_bytes());
                out.push(b'\n');
            }
        }
        self.several = self.steps.leaves().nth(1).is_some();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Script, failing_build, report, retried_build};
    use pikoci_core::Status;
    use pikoci_core::event::StepType;

    fn text(events: &[Event]) -> String {
        String::from_utf8(report(Plain::default(), events)).unwrap()
    }

    #[test]
    fn a_failing_build_reads_from_top_to_bottom() {
        insta::assert_snapshot!(text(&failing_build()));
    }

    #[test]
    fn attempts_are_told_apart() {
        insta::assert_snapshot!(text(&retried_build()));
    }

    #[test]
    fn bytes_of_a_lone_step_pass_untouched() {
        let mut script = Script::new();
        script.build("a").start("0", StepType::Task, "task raw");
        let raw: Vec<u8> = (0..=255).collect();
        script.output("0", &raw).output("0", b"\n");
        let out = report(Plain::default(), &script.events());
        let body = out.strip_prefix(b"main/app/a#1\n==> task raw\n".as_slice()).unwrap();
        assert_eq!(body.strip_suffix(b"\n").unwrap(), raw);
    }

    #[test]
    fn lines_of_steps_side_by_side_never_mix() {
        let mut script = Script::new();
        script
            .build("a")
            .start("0", StepType::InParallel, "in_parallel")
            .start("0.0", StepType::Task, "task x")
            .output("0.0", "alone, and not at its e")
            .start("0.1", StepType::Task, "task y")
            .output("0.1", "y1 ")
            .output("0.0", "nd\nx2\nx3 ")
            .output("0.1", "still y1\ny2 open")
            .output("0.0", "still x3\n")
            .pass("0.1", 5)
            .output("0.0", "alone again\n")
            .pass("0.0", 9)
            .pass("0", 9)
            .end(Status::Succeeded, 10, None);
        insta::assert_snapshot!(text(&script.events()));
    }

    #[test]
    fn a_line_without_end_uses_bounded_memory() {
        let mut plain = Plain::default();
        let mut script = Script::new();
        script.start("0", StepType::Task, "task x").start("1", StepType::Task, "task y");
        for _ in 0..100 {
            script.output("0", vec![b'x'; 8 * 1024]);
        }
        let mut out = Vec::new();
        for event in script.events() {
            plain.event(&event, &mut out);
        }
        assert!(plain.partial.values().all(|bytes| bytes.len() <= LINE_BYTES));
        assert_eq!(out.iter().filter(|byte| **byte == b'x').count() / (8 * 1024), 99);
    }
}
