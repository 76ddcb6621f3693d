//! The one event stream of a build, and the view that folds it.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::duration::millis;
use crate::name::{BuildId, BuildName, StepId};
use crate::pipeline::Location;
use crate::status::Status;
use crate::version::{Metadata, Version};

/// One thing that happened to a build.
///
/// As JSON: one flat object with `number`, `time`, `type` and the fields of that type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the build's log: from 0, without gaps.
    pub number: u64,
    /// When it happened (RFC 3339, UTC); never used to order events.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Which of a command's streams a chunk came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Words of the engine itself about the step.
    Engine,
}

/// What a step is, for those who show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepType {
    /// A check of a resource before a build of a job that has not resolved its inputs yet.
    Check,
    /// A `get`.
    Get,
    /// A `task`.
    Task,
    /// A `put`.
    Put,
    /// The start of a service.
    ServiceStart,
    /// The wait until a service is ready.
    ServiceReady,
    /// The stop of a service.
    ServiceStop,
    /// A `notify`.
    Notify,
    /// A hook.
    Hook,
    /// An `in_parallel`.
    InParallel,
    /// A `do`.
    Do,
    /// A `try`.
    Try,
    /// An `if`.
    If,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// The build was made.
    BuildCreated {
        /// Its id.
        id: BuildId,
        /// What people call it.
        name: BuildName,
    },
    /// The build waits, and why.
    BuildQueued {
        /// What it waits for, as a sentence.
        reason: String,
    },
    /// The versions its gets take are chosen.
    InputsResolved {
        /// The version for each get, by the get's name.
        inputs: BTreeMap<String, Version>,
    },
    /// A worker began to run it.
    BuildStarted {
        /// The worker's name.
        worker: String,
        /// The lease's epoch.
        epoch: u64,
    },
    /// A step began.
    StepStarted {
        /// The step.
        step: StepId,
        /// What people call it: `get app`, `task unit`, `postgres:start`, `on_failure`.
        name: String,
        /// What it is.
        kind: StepType,
        /// Which attempt, from 1.
        attempt: u32,
        /// Where it is written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<Location>,
    },
    /// A step printed something (secrets masked).
    StepOutput {
        /// The step.
        step: StepId,
        /// Where it was printed.
        stream: OutputStream,
        /// What was printed. JSON has `text` where it is UTF-8, else `base64`.
        #[serde(flatten)]
        data: OutputData,
    },
    /// A step set a variable for later steps (secrets masked).
    VariableExported {
        /// The step.
        step: StepId,
        /// The variable's full name, such as `TASK_BUILD_IMAGE`.
        name: String,
        /// Its value.
        value: String,
    },
    /// A get fetched a version.
    VersionFetched {
        /// The step.
        step: StepId,
        /// `type.name` of the resource.
        resource: String,
        /// The version.
        version: Version,
        /// Facts about it.
        #[serde(default, skip_serializing_if = "Metadata::is_empty")]
        metadata: Metadata,
    },
    /// A put made a version.
    VersionMade {
        /// The step.
        step: StepId,
        /// `type.name` of the resource.
        resource: String,
        /// The version.
        version: Version,
    },
    /// A step ended; with several attempts, after each.
    StepFinished {
        /// The step.
        step: StepId,
        /// How it ended.
        status: Status,
        /// How long this attempt took; in JSON `duration_ms`, to the microsecond.
        #[serde(rename = "duration_ms", with = "millis")]
        duration: Duration,
        /// Why, in a sentence, when it did not succeed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The exit code of its command, where there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// Whether another attempt follows.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        will_retry: bool,
    },
    /// A step was not to be run.
    StepSkipped {
        /// The step.
        step: StepId,
        /// What people call it.
        name: String,
        /// What it is.
        kind: StepType,
        /// Why, in a few words.
        reason: String,
    },
    /// Someone asked for the build to stop.
    CancelRequested {
        /// Why, in a sentence.
        reason: String,
    },
    /// The build ended; always its last event, and only once.
    BuildFinished {
        /// How it ended.
        status: Status,
        /// Why, in a sentence, when it did not succeed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// How long it ran; in JSON `duration_ms`, to the microsecond.
        #[serde(rename = "duration_ms", with = "millis")]
        duration: Duration,
    },
}

/// Printed bytes. In JSON `{"text": …}` where they are UTF-8, else `{"base64": …}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputData(pub Bytes);

impl Serialize for OutputData {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = out.serialize_map(Some(1))?;
        match std::str::from_utf8(&self.0) {
            Ok(text) => map.serialize_entry("text", text)?,
            Err(_) => map.serialize_entry("base64", &BASE64.encode(&self.0))?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for OutputData {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        #[derive(Deserialize)]
        struct Wire {
            text: Option<String>,
            base64: Option<String>,
        }
        match Wire::deserialize(input)? {
            Wire { text: Some(text), .. } => Ok(Self(text.into())),
            Wire { base64: Some(data), .. } => {
                BASE64.decode(data).map(|data| Self(data.into())).map_err(D::Error::custom)
            }
            Wire { .. } => Err(D::Error::missing_field("text")),
        }
    }
}

/// What a build looks like after some of its events: a fold, nothing more.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BuildView {
    /// What people call the build.
    pub name: Option<BuildName>,
    /// How it ended, once it has.
    pub status: Option<Status>,
    /// Why it ended so.
    pub reason: Option<String>,
    /// How long it ran.
    pub duration: Option<Duration>,
    /// The steps that began or were skipped, in that order.
    pub steps: Vec<StepView>,
    /// The number of the next event to apply.
    pub next: u64,
}

/// What a step looks like after some of its build's events.
#[derive(Debug, Clone, PartialEq)]
pub struct StepView {
    /// The step.
    pub step: StepId,
    /// What people call it.
    pub name: String,
    /// What it is.
    pub kind: StepType,
    /// The attempt it is at, from 1; 0 when skipped.
    pub attempt: u32,
    /// How its last attempt ended, once it has.
    pub status: Option<Status>,
    /// Why it ended so.
    pub reason: Option<String>,
    /// How long its last attempt took.
    pub duration: Option<Duration>,
}

impl BuildView {
    /// Applies the next event. An event that was applied already changes nothing.
    pub fn apply(&mut self, event: &Event) {
        if event.number < self.next {
            return;
        }
        self.next = event.number + 1;
        match &event.kind {
            EventKind::BuildCreated { name, .. } => self.name = Some(name.clone()),
            EventKind::StepStarted { step, name, kind, attempt, .. } => {
                let view = self.step(step, name, *kind);
                view.attempt = *attempt;
                view.status = None;
                view.reason = None;
                view.duration = None;
            }
            EventKind::StepFinished { step, status, duration, reason, .. } => {
                if let Some(view) = self.steps.iter_mut().rev().find(|view| view.step == *step) {
                    view.status = Some(*status);
                    view.reason.clone_from(reason);
                    view.duration = Some(*duration);
                }
            }
            EventKind::StepSkipped { step, name, kind, reason } => {
                let view = self.step(step, name, *kind);
                view.status = Some(Status::Skipped);
                view.reason = Some(reason.clone());
            }
            EventKind::BuildFinished { status, reason, duration } => {
                self.status = Some(*status);
                self.reason.clone_from(reason);
                self.duration = Some(*duration);
            }
            _ => {}
        }
    }

    fn step(&mut self, step: &StepId, name: &str, kind: StepType) -> &mut StepView {
        let index = self.steps.iter().position(|view| view.step == *step).unwrap_or_else(|| {
            self.steps.push(StepView {
                step: step.clone(),
                name: name.to_owned(),
                kind,
                attempt: 0,
                status: None,
                reason: None,
                duration: None,
            });
            self.steps.len() - 1
        });
        &mut self.steps[index]
    }
}
