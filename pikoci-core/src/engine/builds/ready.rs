//! The queue of builds that wait for a worker.
//!
//! | part of the position | what for |
//! |---|---|
//! | class: the tags, and the only worker where there is one | a worker skips what it cannot run |
//! | team, pipeline | who hands out takes turns between them |
//! | build | the oldest of a pipeline first |

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::database::{KeyPath, Queue};
use crate::dispatch::{Registration, SessionId};
use crate::engine::records::{BuildRecord, BuildState};
use crate::name::BuildId;

/// The queue.
pub(crate) fn ready() -> Queue<BuildId> {
    Queue::new("ready")
}

/// Where a build that waits for a worker is in the queue.
pub(crate) fn ready_place(build: &BuildRecord) -> Option<KeyPath> {
    let BuildState::Queued { tags, only } = &build.state else { return None };
    let class = Class { tags: tags.iter().cloned().collect(), only: *only };
    Some(KeyPath::new((class.to_string(), &build.team, build.pipeline, build.id)))
}

/// Which workers can run a build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class {
    pub(crate) tags: BTreeSet<String>,
    pub(crate) only: Option<SessionId>,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(only) = self.only {
            write!(f, "@{only} ")?;
        }
        for (at, tag) in self.tags.iter().enumerate() {
            write!(f, "{}{tag}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Class {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (only, tags) = match text.strip_prefix('@') {
            Some(rest) => {
                let (session, tags) = rest.split_once(' ').ok_or(())?;
                (Some(SessionId(Uuid::parse_str(session).map_err(|_| ())?)), tags)
            }
            None => (None, text),
        };
        let tags = tags.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
        Ok(Self { tags, only })
    }
}

impl Class {
    /// Whether a worker can run what is of this class, for a team.
    pub(crate) fn fits(&self, session: SessionId, worker: &Registration, team: &str) -> bool {
        fits(worker, &self.tags, team) && self.only.is_none_or(|only| only == session)
    }
}

/// Whether a worker takes work that names these tags, for a team.
pub(crate) fn fits(worker: &Registration, tags: &BTreeSet<String>, team: &str) -> bool {
    tags.is_subset(&worker.tags)
        && (!worker.exclusive_tags || !tags.is_empty())
        && worker.team.as_deref().is_none_or(|own| own == team)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_reads_back() {
        for (tags, only) in [
            (vec![], None),
            (vec!["gpu"], None),
            (vec!["gpu", "vpn"], Some(SessionId(Uuid::from_u128(7)))),
            (vec![], Some(SessionId(Uuid::from_u128(7)))),
        ] {
            let class = Class { tags: tags.into_iter().map(str::to_owned).collect(), only };
            assert_eq!(class.to_string().parse(), Ok(class));
        }
        assert!("@nobody gpu".parse::<Class>().is_err());
    }
}
