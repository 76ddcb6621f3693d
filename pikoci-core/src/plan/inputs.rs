//! Choosing versions for a build that has none chosen for it yet: which checks
//! it needs and what to take of what they find. Pure; the interpreter runs the checks.

use std::collections::BTreeMap;

use crate::name::StepId;
use crate::params::Attributes;
use crate::pipeline::{Get, Job, VersionChoice};
use crate::version::Version;

/// A check that a build needs before its inputs are known.
#[derive(Debug, Clone, PartialEq)]
pub struct MissingCheck {
    /// The resource's type.
    pub kind: String,
    /// The resource's name.
    pub name: String,
    /// The version to list from, where a get is pinned to one.
    pub from: Option<Version>,
}

impl MissingCheck {
    /// The id of the check's step: `check.TYPE.NAME`.
    pub fn step(&self) -> StepId {
        StepId::new(format!("check.{}.{}", self.kind, self.name))
    }

    /// What people call the check's step: `check NAME`.
    pub fn title(&self) -> String {
        format!("check {}", self.name)
    }
}

/// The checks that `job` needs for the gets that `inputs` does not name: one per
/// resource, in the order of the gets.
pub fn missing_checks(job: &Job, inputs: &BTreeMap<String, Version>) -> Vec<MissingCheck> {
    let mut out: Vec<MissingCheck> = Vec::new();
    for (_, get) in job.gets() {
        if inputs.contains_key(&get.name) {
            continue;
        }
        let from = match &get.version {
            VersionChoice::Pinned(pin) => Some(pinned(pin)),
            VersionChoice::Latest | VersionChoice::Every => None,
        };
        match out.iter_mut().find(|check| check.kind == get.kind && check.name == get.name) {
            Some(check) => check.from = check.from.take().or(from),
            None => out.push(MissingCheck { kind: get.kind.clone(), name: get.name.clone(), from }),
        }
    }
    out
}

/// The version that `get` takes of what its check found, oldest first: the
/// newest, or the newest that has the fields it is pinned to.
///
/// # Errors
/// A sentence for people when there is none.
pub fn choose(get: &Get, found: &[Version]) -> Result<Version, String> {
    match &get.version {
        VersionChoice::Latest | VersionChoice::Every => found
            .last()
            .cloned()
            .ok_or_else(|| format!("resource `{}.{}` has no version yet", get.kind, get.name)),
        VersionChoice::Pinned(pin) => {
            let pin = pinned(pin);
            found.iter().rev().find(|version| version.contains(&pin)).cloned().ok_or_else(|| {
                format!("resource `{}.{}` has no version with `{pin}`", get.kind, get.name)
            })
        }
    }
}

/// The fields of a pin as a version that has these alone.
pub(crate) fn pinned(pin: &Attributes) -> Version {
    Version(pin.iter().map(|(key, value)| (key.clone(), value.to_json())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(version: VersionChoice) -> Get {
        Get {
            kind: "git".into(),
            name: "app".into(),
            trigger: false,
            passed: Vec::new(),
            version,
            params: Attributes::new(),
            paths: Vec::new(),
            ignore_paths: Vec::new(),
        }
    }

    fn refs(refs: &[&str]) -> Vec<Version> {
        refs.iter().map(|sha| Version::from_pairs([("ref", *sha)])).collect()
    }

    #[test]
    fn the_newest_version_is_taken_unless_one_is_pinned() {
        let found = refs(&["a", "b", "c"]);
        let pin = |sha: &str| {
            get(VersionChoice::Pinned([("ref".to_owned(), sha.into())].into_iter().collect()))
        };
        assert_eq!(choose(&get(VersionChoice::Latest), &found), Ok(found[2].clone()));
        assert_eq!(choose(&pin("b"), &found), Ok(found[1].clone()));
        assert_eq!(
            choose(&pin("x"), &found),
            Err("resource `git.app` has no version with `ref:x`".into())
        );
        assert_eq!(
            choose(&get(VersionChoice::Every), &[]),
            Err("resource `git.app` has no version yet".into())
        );
    }
}
