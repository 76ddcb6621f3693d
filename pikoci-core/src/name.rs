//! Names and ids: the newtypes that keep a job from passing for a build.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of a build, unique over every team, pipeline and job.
///
/// Ids made one after the other sort in that order (UUID version 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BuildId(pub uuid::Uuid);

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a step in its job's plan: a path of positions from 0, such as
/// `2` (third step), `2.0` (first step inside it) or `2.on_failure.0` (first
/// step of its hook). It names the same step in every build of one revision.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    /// The id of the step at `position` of the job's own plan.
    pub fn root(position: usize) -> Self {
        Self(position.to_string())
    }

    /// An id from its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id of something inside this step, such as a position, a hook's name
    /// or a service's phase.
    #[must_use]
    pub fn child(&self, part: impl fmt::Display) -> Self {
        Self(format!("{}.{part}", self.0))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the step this one stands in, if it stands in one.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('.').map(|(head, _)| Self(head.into()))
    }

    /// How many steps or hooks this one stands in.
    pub fn depth(&self) -> usize {
        self.0.matches('.').count()
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What people call a build: `team/pipeline/job#number`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BuildName {
    /// The team's slug.
    pub team: String,
    /// The pipeline's slug.
    pub pipeline: String,
    /// The job's name, with its instance key where it has one.
    pub job: String,
    /// The build's number within its job: `3`, or `3.1` for a rerun of it.
    pub number: String,
}

impl fmt::Display for BuildName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}#{}", self.team, self.pipeline, self.job, self.number)
    }
}

/// The lower-case slug of `text`: ASCII letters and digits stay, every run of
/// anything else becomes one `-`, none stands at an end.
///
/// ```
/// assert_eq!(pikoci_core::name::slug("Linux / x86_64"), "linux-x86-64");
/// ```
pub fn slug(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.truncate(out.trim_end_matches('-').len());
    out
}

/// The part of an environment variable's name that `text` makes: letters are
/// upper-cased and everything that is not an ASCII letter or digit becomes `_`.
///
/// ```
/// assert_eq!(pikoci_core::name::env_name("my-app.ref"), "MY_APP_REF");
/// ```
pub fn env_name(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect()
}
