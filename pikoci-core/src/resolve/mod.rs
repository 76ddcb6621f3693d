//! STUB
#![allow(missing_docs)]
use crate::name::BuildId;
use crate::version::*;
use serde::{Deserialize, Serialize};
use std::collections::*;
use std::fmt;
use std::sync::Arc;
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceRef(pub String);
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub number: u64,
    pub rerun: u32,
}
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rerun == 0 {
            write!(f, "{}", self.number)
        } else {
            write!(f, "{}.{}", self.number, self.rerun)
        }
    }
}
#[derive(Debug, Clone)]
pub struct JobSpec {
    pub name: String,
    pub inputs: Vec<InputSpec>,
}
#[derive(Debug, Clone)]
pub struct InputSpec {
    pub name: String,
    pub resource: ResourceRef,
    pub trigger: bool,
    pub passed: Vec<String>,
    pub choice: Choice,
}
#[derive(Debug, Clone)]
pub enum Choice {
    Latest,
    Every,
    Pinned(Version),
}
impl JobSpec {
    pub fn of(j: &crate::pipeline::Job) -> Self {
        Self {
            name: j.name.clone(),
            inputs: j
                .gets()
                .into_iter()
                .map(|(_, g)| InputSpec {
                    name: g.name.clone(),
                    resource: ResourceRef(format!("{}.{}", g.kind, g.name)),
                    trigger: g.trigger,
                    passed: g.passed.clone(),
                    choice: Choice::Latest,
                })
                .collect(),
        }
    }
}
#[derive(Debug, Default)]
pub struct History {
    by: BTreeMap<u64, (VersionDigest, Arc<Version>)>,
    ord: BTreeMap<VersionDigest, u64>,
}
impl History {
    pub fn new() -> Self {
        Self::default()
    }
    pub fn insert(&mut self, o: u64, d: VersionDigest, v: Arc<Version>) {
        if let Some(old) = self.ord.insert(d, o) {
            self.by.remove(&old);
        }
        self.by.insert(o, (d, v));
    }
    pub fn set_pin(&mut self, _: Option<Version>) {}
    pub fn set_disabled(&mut self, _: BTreeSet<VersionDigest>) {}
    pub fn set_floor(&mut self, _: u64) {}
}
#[derive(Debug, Clone)]
pub struct SucceededBuild {
    pub id: BuildId,
    pub position: Position,
    pub versions: BTreeMap<ResourceRef, Vec<VersionDigest>>,
}
#[derive(Debug, Default)]
pub struct Successes {
    v: BTreeMap<Position, SucceededBuild>,
}
impl Successes {
    pub fn insert(&mut self, b: SucceededBuild) {
        self.v.insert(b.position, b);
    }
    pub fn set_complete(&mut self, _: bool) {}
}
#[derive(Debug, Clone)]
pub struct Adoption {
    pub build: BuildId,
    pub position: Position,
    pub input: String,
    pub resource: ResourceRef,
    pub version: VersionDigest,
    pub sources: BTreeMap<String, Position>,
}
#[derive(Debug, Default)]
pub struct Used {
    s: BTreeSet<(String, VersionDigest)>,
}
impl Used {
    pub fn insert(&mut self, a: Adoption) {
        self.s.insert((a.input, a.version));
    }
}
pub trait World {
    fn history(&self, r: &ResourceRef) -> Option<&History>;
    fn successes(&self, j: &str) -> Option<&Successes>;
    fn used(&self) -> &Used;
}
#[derive(Debug, Clone)]
pub struct Resolution {
    pub inputs: Vec<ResolvedInput>,
    pub more_remain: bool,
    pub needs: Vec<Need>,
}
impl Resolution {
    pub fn triggers(&self, s: &JobSpec) -> bool {
        self.inputs.iter().all(|i| i.result.is_ok())
            && self
                .inputs
                .iter()
                .zip(&s.inputs)
                .any(|(i, s)| s.trigger && i.result.as_ref().is_ok_and(|c| c.first))
    }
}
#[derive(Debug, Clone)]
pub struct ResolvedInput {
    pub name: String,
    pub resource: ResourceRef,
    pub result: Result<Chosen, Reason>,
}
#[derive(Debug, Clone)]
pub struct Chosen {
    pub version: Arc<Version>,
    pub digest: VersionDigest,
    pub first: bool,
    pub sources: BTreeMap<String, Position>,
}
#[derive(Debug, Clone)]
pub enum Need {
    Versions { resource: ResourceRef },
    Builds { job: String },
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reason {
    No,
}
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no")
    }
}
pub fn resolve(s: &JobSpec, w: &dyn World) -> Resolution {
    Resolution {
        more_remain: false,
        needs: vec![],
        inputs: s
            .inputs
            .iter()
            .map(|i| ResolvedInput {
                name: i.name.clone(),
                resource: i.resource.clone(),
                result: match w.history(&i.resource).and_then(|h| {
                    h.by.values().rev().find(|(d, _)| {
                        i.passed.iter().all(|j| {
                            w.successes(j).is_some_and(|s| {
                                s.v.values().any(|b| {
                                    b.versions.get(&i.resource).is_some_and(|v| v.contains(d))
                                })
                            })
                        })
                    })
                }) {
                    Some((d, v)) => Ok(Chosen {
                        version: v.clone(),
                        digest: *d,
                        first: !w.used().s.contains(&(i.name.clone(), *d)),
                        sources: Default::default(),
                    }),
                    None => Err(Reason::No),
                },
            })
            .collect(),
    }
}
