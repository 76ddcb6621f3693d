//! What both text reporters know about the steps of a build, folded from its
//! events: who runs, how deep it stands, the row that tells its end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use anstyle::Style;
use pikoci_core::duration::human;
use pikoci_core::event::StepType;
use pikoci_core::name::{BuildName, StepId};
use pikoci_core::pipeline::Job;
use pikoci_core::version::Version;
use pikoci_core::{Event, EventKind, Status};

use super::style::{self, Paint};
use super::width;

/// The columns before a step's name: status, duration and the blanks around them.
pub(super) const NAME_COLUMN: usize = 19;

/// Names are aligned up to this width; longer ones push their reason aside.
const NAME_WIDTHS: std::ops::RangeInclusive<usize> = 16..=32;

/// A longer reason is cut in the summary; its step has told it whole.
const SUMMARY_COLUMNS: usize = 120;

/// A step that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) step: StepId,
    pub(super) name: String,
    pub(super) kind: StepType,
    pub(super) attempt: u32,
    /// How many steps shown above it it stands in.
    pub(super) depth: usize,
    /// The how-manieth step of the build it is.
    pub(super) index: usize,
    /// A get's or put's version, as people read it.
    version: Option<String>,
    forgiven: bool,
}

impl Running {
    /// The name without its kind, to stand before lines.
    pub(super) fn short_name(&self) -> &str {
        self.name.split_once(' ').map_or(self.name.as_str(), |(_, name)| name)
    }

    /// Whether it only holds other steps.
    fn is_frame(&self) -> bool {
        is_frame(self.kind)
    }
}

fn is_frame(kind: StepType) -> bool {
    matches!(kind, StepType::InParallel | StepType::Do | StepType::Try | StepType::If)
}

/// A row of the report.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    word: &'static str,
    style: Style,
    duration: Option<Duration>,
    depth: usize,
    name: String,
    details: Vec<String>,
}

/// A step to be told again at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) step: StepId,
    pub(super) status: Status,
    pub(super) name: String,
    pub(super) reason: Option<String>,
}

/// What an event other than output means for a reader.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing to see.
    Nothing,
    /// A build begins.
    Began(BuildName),
    /// A step began; a row for it where it holds others.
    Started(StepId, Option<Row>),
    /// A step ended; a row for it unless its children have said it all.
    Finished(StepId, Option<Row>),
    /// A step is not run.
    Skipped(Row),
    /// A word in passing.
    Said(String),
    /// The build is over.
    Over,
}

/// How many attempts the steps of a job have, for those that have more than one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attempts(HashMap<StepId, u32>);

impl Attempts {
    /// Those of `job`.
    pub(crate) fn of(job: &Job) -> Self {
        let mut attempts = HashMap::new();
        job.visit(&mut |step| {
            if step.attempts > 1 {
                attempts.insert(step.id.clone(), step.attempts);
            }
        });
        Self(attempts)
    }
}

/// The fold.
#[derive(Debug, Default)]
pub(super) struct Steps {
    running: Vec<Running>,
    attempts: HashMap<StepId, u32>,
    shown: HashSet<StepId>,
    begun: usize,
    name_width: usize,
    build: Option<BuildName>,
    failures: Vec<Failure>,
    end: Option<(Status, Option<String>, Duration)>,
}

impl Steps {
    /// Takes over how many attempts the steps of the next build have.
    pub(super) fn expect(&mut self, attempts: Attempts) {
        self.attempts = attempts.0;
    }

    /// Folds the next event.
    pub(super) fn apply(&mut self, event: &Event) -> Change {
        match &event.kind {
            EventKind::BuildCreated { name, .. } => {
                let attempts = std::mem::take(&mut self.attempts);
                *self = Self { attempts, build: Some(name.clone()), ..Self::default() };
                Change::Began(name.clone())
            }
            EventKind::BuildQueued { reason } => Change::Said(format!("waiting: {reason}")),
            EventKind::CancelRequested { reason } => Change::Said(format!("cancelling: {reason}")),
            EventKind::StepStarted { step, name, kind, attempt, .. } => {
                self.started(step, name, *kind, *attempt)
            }
            EventKind::VersionFetched { step, version, .. }
            | EventKind::VersionMade { step, version, .. } => {
                if let Some(running) = self.running.iter_mut().find(|it| it.step == *step) {
                    running.version = Some(brief_version(version));
                }
                Change::Nothing
            }
            EventKind::StepFinished { step, status, duration, reason, exit_code, will_retry } => {
                let reason = reason.clone().or_else(|| {
                    let code = exit_code.filter(|_| !status.is_ok())?;
                    Some(format!("exit code {code}"))
                });
                self.finished(step, *status, *duration, reason, *will_retry)
            }
            EventKind::StepSkipped { step, name, reason, .. } => {
                let depth = self.depth(step);
                self.shown.insert(step.clone());
                let (word, style) = style::status(Status::Skipped);
                Change::Skipped(self.row(Row {
                    word,
                    style,
                    duration: None,
                    depth,
                    name: name.clone(),
                    details: vec![reason.clone()],
                }))
            }
            EventKind::BuildFinished { status, reason, duration } => {
                self.running.clear();
                self.end = Some((*status, reason.clone(), *duration));
                Change::Over
            }
            _ => Change::Nothing,
        }
    }

    fn started(&mut self, step: &StepId, name: &str, kind: StepType, attempt: u32) -> Change {
        let depth = self.depth(step);
        let again = !self.shown.insert(step.clone());
        let forgiven = self
            .running
            .iter()
            .any(|it| is_inside(step, &it.step) && (it.forgiven || it.kind == StepType::Try));
        self.running.retain(|it| it.step != *step);
        self.running.push(Running {
            step: step.clone(),
            name: name.to_owned(),
            kind,
            attempt,
            depth,
            index: self.begun,
            version: None,
            forgiven,
        });
        self.begun += 1;
        let row = (is_frame(kind) && !again).then(|| Row {
            word: "",
            style: Style::new(),
            duration: None,
            depth,
            name: name.to_owned(),
            details: Vec::new(),
        });
        Change::Started(step.clone(), row)
    }

    fn finished(
        &mut self,
        step: &StepId,
        status: Status,
        duration: Duration,
        reason: Option<String>,
        will_retry: bool,
    ) -> Change {
        let Some(position) = self.running.iter().position(|it| it.step == *step) else {
            return Change::Nothing;
        };
        let running = self.running.remove(position);
        let attempts = self.attempts.get(step).copied().unwrap_or(1);
        let mut details = Vec::new();
        if running.attempt > 1 || will_retry {
            let of = if attempts > 1 { format!(" of {attempts}") } else { String::new() };
            details.push(format!("attempt {}{of}", running.attempt));
        }
        details.extend(reason.clone().filter(|reason| !reason.is_empty()));
        if status.is_ok() {
            details.extend(running.version.clone());
        } else if !will_retry
            && !running.forgiven
            && !running.is_frame()
            && status != Status::Cancelled
        {
            self.failures.push(Failure {
                step: step.clone(),
                status,
                name: running.name.clone(),
                reason,
            });
        }
        if running.is_frame() && status == Status::Succeeded {
            return Change::Finished(step.clone(), None);
        }
        let (word, style) = style::status(status);
        let style = if will_retry { style::RETRY } else { style };
        let row = self.row(Row {
            word,
            style,
            duration: Some(duration),
            depth: running.depth,
            name: running.name,
            details,
        });
        Change::Finished(step.clone(), Some(row))
    }

    /// Notes how wide the name of `row` is.
    fn row(&mut self, row: Row) -> Row {
        let width = 2 * row.depth + width::columns(&row.name);
        self.name_width = self.name_width.max(width.min(*NAME_WIDTHS.end()));
        row
    }

    fn depth(&self, step: &StepId) -> usize {
        // Ids are paths, but not every part of one is a step that people see.
        std::iter::successors(step.parent(), StepId::parent)
            .filter(|outer| self.shown.contains(outer))
            .count()
    }

    /// The step of that id, while it runs.
    pub(super) fn running(&self, step: &StepId) -> Option<&Running> {
        self.running.iter().find(|it| it.step == *step)
    }

    /// The running steps that hold no running step, in the order they began.
    pub(super) fn leaves(&self) -> impl Iterator<Item = &Running> {
        self.running.iter().filter(|it| {
            !it.is_frame() && !self.running.iter().any(|other| is_inside(&other.step, &it.step))
        })
    }

    /// How many times the step may be tried.
    pub(super) fn attempts(&self, step: &StepId) -> u32 {
        self.attempts.get(step).copied().unwrap_or(1)
    }

    /// The steps that made the build fail, in the order they ended.
    pub(super) fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// `main/app/test#1 failed in 14.2s: task unit: exit code 1`; empty before the end.
    pub(super) fn summary(&self, paint: Paint) -> String {
        let mut out = String::new();
        let (Some(build), Some((status, reason, duration))) = (&self.build, &self.end) else {
            return out;
        };
        paint.add(&mut out, style::BOLD, &build.to_string());
        out.push(' ');
        paint.add(&mut out, style::status(*status).1, status.as_str());
        out.push_str(&format!(" in {}", brief(*duration)));
        let whole = reason.as_deref().filter(|reason| !reason.is_empty());
        let first = self.failures.first().filter(|_| !status.is_ok());
        // Where the build ended as its first failure did, that is what to say.
        let reason = match first {
            Some(first) if whole.is_none_or(|whole| whole.contains(&first.name)) => {
                Some(match &first.reason {
                    Some(reason) => format!("{}: {reason}", first.name),
                    None => first.name.clone(),
                })
            }
            _ => whole.map(str::to_owned),
        };
        if let Some(reason) = reason {
            out.push_str(": ");
            out.push_str(&width::cut(&one_line(&reason), SUMMARY_COLUMNS));
        }
        out
    }

    /// Adds `row` to `out`, in at most `columns` columns where that can be.
    pub(super) fn write_row(&self, row: &Row, paint: Paint, columns: usize, out: &mut String) {
        out.push_str(&" ".repeat(8usize.saturating_sub(row.word.len())));
        paint.add(out, row.style, row.word);
        let duration = row.duration.map(human).unwrap_or_default();
        out.push_str(&format!(" {duration:>8}  "));
        out.push_str(&"  ".repeat(row.depth));
        let quiet = row.word.is_empty() || row.word == "SKIP";
        let style = if quiet { style::DIM } else { Style::new() };
        paint.add(out, style, &row.name);
        let details = row.details.iter().map(|text| one_line(text)).collect::<Vec<_>>().join("  ");
        if !details.is_empty() {
            let used = 2 * row.depth + width::columns(&row.name);
            let aligned = self.name_width.max(*NAME_WIDTHS.start());
            let start = NAME_COLUMN + used.max(aligned) + 2;
            let wanted = width::columns(&details);
            if start + wanted <= columns {
                out.push_str(&" ".repeat(start - NAME_COLUMN - used));
                paint.add(out, style, &details);
            } else {
                let indent = NAME_COLUMN + 2 * row.depth + 2;
                for line in width::wrap(&details, columns.saturating_sub(indent).max(20)) {
                    out.push('\n');
                    out.push_str(&" ".repeat(indent));
                    paint.add(out, style, &line);
                }
            }
        }
        out.push('\n');
    }
}

/// Whether `step` stands, at any depth, inside `outer`.
fn is_inside(step: &StepId, outer: &StepId) -> bool {
    step.as_str().strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with('.'))
}

/// A version as a person recognises it: values only, long hashes cut.
fn brief_version(version: &Version) -> String {
    let fields: BTreeMap<String, String> = version.flatten();
    let brief = |value: &String| {
        let is_hash = value.len() >= 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash { value.chars().take(12).collect() } else { width::cut(value, 32) }
    };
    match fields.values().collect::<Vec<_>>().as_slice() {
        [only] => brief(only),
        _ => {
            let all: Vec<_> =
                fields.iter().map(|(key, value)| format!("{key}:{}", brief(value))).collect();
            width::cut(&all.join(" "), 48)
        }
    }
}

/// A duration at a glance: `3ms`, `1.2s`, `2m05s`.
pub(super) fn brief(duration: Duration) -> String {
    match duration.as_secs() {
        1..60 => format!("{:.1}s", duration.as_millis() as f64 / 1000.0),
        _ => human(duration),
    }
}

/// `text` without line breaks and other control characters.
pub(super) fn one_line(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    flat.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_shown_by_what_a_person_recognises() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        for (version, expected) in [
            (Version::from_pairs([("ref", hash)]), "0123456789ab"),
            (Version::from_pairs([("tag", "v1.2"), ("ref", hash)]), "ref:0123456789ab tag:v1.2"),
            (Version::default(), ""),
        ] {
            assert_eq!(brief_version(&version), expected);
        }
    }

    #[test]
    fn a_step_stands_inside_another_by_whole_parts_of_its_id() {
        let id = |text: &str| StepId::new(text);
        assert!(is_inside(&id("1.0"), &id("1")));
        assert!(!is_inside(&id("10"), &id("1")));
        assert!(!is_inside(&id("1"), &id("1")));
    }

    #[test]
    fn durations_at_a_glance_have_one_decimal() {
        for (millis, text) in [(3, "3ms"), (14_249, "14.2s"), (125_000, "2m05s")] {
            assert_eq!(brief(Duration::from_millis(millis)), text);
        }
    }
}
