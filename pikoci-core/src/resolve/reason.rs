//! Why an input has no version, and what would give it one.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::position::Position;
use super::spec::{InputSpec, ResourceRef};
use crate::version::Version;

/// Why an input has no version. Its `Display` is a sentence for people, without
/// a full stop, that says what would give it one where that is known.
///
/// All inputs of a group have the reason of the group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The resource was never checked.
    NeverChecked {
        /// The input.
        input: String,
        /// The resource.
        resource: ResourceRef,
    },
    /// No check has found a version.
    NoVersion {
        /// The input.
        input: String,
        /// The resource.
        resource: ResourceRef,
    },
    /// All versions of the resource are disabled.
    AllDisabled {
        /// The input.
        input: String,
        /// The resource.
        resource: ResourceRef,
    },
    /// No version has the fields it is pinned to.
    PinNotFound {
        /// The input.
        input: String,
        /// The resource.
        resource: ResourceRef,
        /// The fields.
        pin: Version,
        /// Where that is said.
        by: PinnedBy,
    },
    /// What it is pinned to is disabled.
    PinDisabled {
        /// The input.
        input: String,
        /// The resource.
        resource: ResourceRef,
        /// The newest version with the fields it is pinned to.
        version: Version,
        /// Where that is said.
        by: PinnedBy,
    },
    /// Upstream jobs have not succeeded yet.
    NotSucceeded {
        /// The inputs whose versions must have passed them.
        inputs: Vec<String>,
        /// The jobs.
        jobs: Vec<String>,
    },
    /// No succeeded build of an upstream job has a version that can be taken for
    /// each input that must have passed it.
    NoneUsable {
        /// The first input that the newest of these builds has no version for.
        input: String,
        /// Its resource.
        resource: ResourceRef,
        /// The job.
        job: String,
        /// The newest of its succeeded builds.
        build: Position,
        /// What is wrong with what that one has.
        why: Unusable,
    },
    /// The version that is looked at first has not passed a job that it must
    /// have passed, and no other will do either.
    NotPassed {
        /// The input.
        input: String,
        /// The version.
        version: Version,
        /// Where it came through.
        passed: Vec<Passed>,
        /// The first job without a build that has it.
        job: String,
        /// How many upstream builds were tried, over all.
        tried: u64,
    },
    /// The versions that are looked at first have not passed a job in one and
    /// the same build, and no others have either.
    NotTogether {
        /// The versions, by input.
        versions: BTreeMap<String, Version>,
        /// Where they came through.
        passed: Vec<Passed>,
        /// The first job without a build that has them all.
        job: String,
        /// How many upstream builds were tried, over all.
        tried: u64,
    },
    /// The answer depends on facts that are not loaded; passes by itself.
    NotLoaded {
        /// The input.
        input: String,
        /// The resource.
        resource: ResourceRef,
    },
}

/// Where it is said what an input is pinned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PinnedBy {
    /// In the pipeline, by the get.
    Get,
    /// By a person, for the resource.
    Resource,
}

/// A build that versions came through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Its job.
    pub job: String,
    /// Its number.
    pub build: Position,
}

/// Why nothing that a build has of a resource can be taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unusable {
    /// It has nothing of it.
    Missing,
    /// The version is disabled.
    Disabled {
        /// The version.
        version: Version,
    },
    /// The version is not in the history of the resource any more.
    Gone,
    /// The version is not the one that the input is pinned to.
    NotPinned {
        /// The version.
        version: Version,
        /// The fields it is pinned to.
        pin: Version,
    },
    /// It repeats the build that was taken last.
    Repeats {
        /// That one.
        build: Position,
    },
}

impl Reason {
    pub(super) fn never_checked(input: &InputSpec) -> Self {
        Self::NeverChecked { input: input.name.clone(), resource: input.resource.clone() }
    }

    pub(super) fn no_version(input: &InputSpec) -> Self {
        Self::NoVersion { input: input.name.clone(), resource: input.resource.clone() }
    }

    pub(super) fn all_disabled(input: &InputSpec) -> Self {
        Self::AllDisabled { input: input.name.clone(), resource: input.resource.clone() }
    }

    pub(super) fn not_loaded(input: &InputSpec) -> Self {
        Self::NotLoaded { input: input.name.clone(), resource: input.resource.clone() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverChecked { input, resource } => {
                write!(f, "`{input}` waits for the first check of resource `{resource}`")
            }
            Self::NoVersion { input, resource } => {
                write!(
                    f,
                    "`{input}` waits for a version: no check of resource `{resource}` has found one yet"
                )
            }
            Self::AllDisabled { input, resource } => write!(
                f,
                "all versions of resource `{resource}` are disabled: `{input}` waits for a new one, or for one to be enabled"
            ),
            Self::PinNotFound { input, resource, pin, by } => match by {
                PinnedBy::Get => write!(
                    f,
                    "`{input}` asks for version {pin}, which no check of resource `{resource}` has found"
                ),
                PinnedBy::Resource => write!(
                    f,
                    "resource `{resource}` is pinned to version {pin}, which no check has found: `{input}` waits for it, or for the pin to be taken away"
                ),
            },
            Self::PinDisabled { input, resource, version, by } => match by {
                PinnedBy::Get => write!(
                    f,
                    "`{input}` asks for version {version} of resource `{resource}`, which is disabled: it waits for that to be enabled"
                ),
                PinnedBy::Resource => write!(
                    f,
                    "resource `{resource}` is pinned to version {version}, which is disabled: `{input}` waits for that to be enabled, or for the pin to be taken away"
                ),
            },
            Self::NotSucceeded { inputs, jobs } => {
                let waits = if inputs.len() == 1 { "waits" } else { "wait" };
                let (job, has) = match jobs.len() {
                    1 => ("job", "which has not succeeded yet"),
                    2 => ("jobs", "neither of which has succeeded yet"),
                    _ => ("jobs", "none of which has succeeded yet"),
                };
                write!(f, "{} {waits} for {job} {}, {has}", quoted(inputs), quoted(jobs))
            }
            Self::NoneUsable { input, resource, job, build, why } => {
                write!(
                    f,
                    "`{input}` waits for job `{job}`: none of its builds that succeeded can be taken; the newest, {build}, "
                )?;
                match why {
                    Unusable::Missing => write!(f, "has no version of resource `{resource}`"),
                    Unusable::Disabled { version } => {
                        write!(
                            f,
                            "has version {version} of resource `{resource}`, which is disabled"
                        )
                    }
                    Unusable::Gone => {
                        write!(f, "has a version that resource `{resource}` does not have any more")
                    }
                    Unusable::NotPinned { version, pin } => {
                        write!(f, "has version {version}, but `{input}` is pinned to {pin}")
                    }
                    Unusable::Repeats { build } => {
                        write!(f, "repeats {build}, which was taken last")
                    }
                }
            }
            Self::NotPassed { input, version, passed, job, tried } => {
                write!(
                    f,
                    "`{input}` waits for job `{job}`: version {version} passed {} but not `{job}`",
                    through(passed)
                )?;
                further(f, *tried)
            }
            Self::NotTogether { versions, passed, job, tried } => {
                let inputs: Vec<&String> = versions.keys().collect();
                write!(f, "{} wait for job `{job}`: ", quoted(&inputs))?;
                let each = versions.iter().map(|(input, it)| format!("version {it} of `{input}`"));
                write!(f, "{} passed {}", listed(each.collect()), through(passed))?;
                write!(f, " but are not together in any build of `{job}`")?;
                further(f, *tried)
            }
            Self::NotLoaded { input, resource } => {
                write!(
                    f,
                    "what is known of resource `{resource}` is still being loaded for `{input}`"
                )
            }
        }
    }
}

fn further(f: &mut fmt::Formatter<'_>, tried: u64) -> fmt::Result {
    if tried > 1 { write!(f, " ({tried} builds were tried)") } else { Ok(()) }
}

fn through(passed: &[Passed]) -> String {
    listed(passed.iter().map(|it| format!("`{}` (build {})", it.job, it.build)).collect())
}

fn quoted(names: &[impl AsRef<str>]) -> String {
    listed(names.iter().map(|name| format!("`{}`", name.as_ref())).collect())
}

/// `a`, `a and b`, `a, b and c`.
fn listed(mut items: Vec<String>) -> String {
    match items.pop() {
        Some(last) if !items.is_empty() => format!("{} and {last}", items.join(", ")),
        Some(last) => last,
        None => String::new(),
    }
}
