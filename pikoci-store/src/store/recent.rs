//! Remembers how commits ended whose callers could not be told.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use pikoci_core::store::{Outcome, Revision, Txn};
use uuid::Uuid;

/// How long an outcome is remembered; the contract of the store asks for ten minutes.
const MEMORY_SECS: u64 = 15 * 60;

/// The most that is remembered of commits whose callers went away.
const MAX_GONE: usize = 512;

/// The bytes of one stored outcome: id, revision or 0, seconds with [`GONE`].
const RECORD_SIZE_BYTES: usize = 16 + 8 + 8;

/// Set in the stored seconds where the caller went away.
const GONE: u64 = 1 << 63;

/// Outcomes by the id of the transaction, for a while.
///
/// What was answered as unknown is kept for all that time, as the contract
/// asks: the same may be committed again. Where the caller went away and heard
/// nothing, that is less likely, and only some are kept.
///
/// The ids of each group are stored with it: if the group's fate cannot be
/// found out now, the next one to open the store can tell.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    outcomes: HashMap<Uuid, Remembered>,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    outcome: Outcome,
    /// Seconds since 1970.
    since: u64,
    heard: Heard,
}

/// What the caller of a commit heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// That its outcome is unknown.
    Unknown,
    /// Nothing: it went away.
    Nothing,
}

impl Recent {
    /// How the transaction ended, if that is remembered.
    pub(crate) fn outcome(&self, id: &Uuid) -> Option<Outcome> {
        self.outcomes.get(id).map(|remembered| remembered.outcome)
    }

    /// Remembers, from now on, how a transaction ended.
    pub(crate) fn remember(&mut self, id: Uuid, outcome: Outcome, heard: Heard) {
        let heard = match self.outcomes.get(&id) {
            Some(Remembered { heard: Heard::Unknown, .. }) => Heard::Unknown,
            _ => heard,
        };
        self.outcomes.insert(id, Remembered { outcome, since: now(), heard });
        if heard == Heard::Nothing {
            self.forget_some();
        }
    }

    /// Forgets the oldest of those whose callers went away, if they are too many.
    fn forget_some(&mut self) {
        let gone = || self.outcomes.iter().filter(|(_, kept)| kept.heard == Heard::Nothing);
        if gone().count() > MAX_GONE
            && let Some(oldest) = gone().min_by_key(|(_, kept)| kept.since).map(|(id, _)| *id)
        {
            self.outcomes.remove(&oldest);
        }
    }

    /// Forgets what is old.
    pub(crate) fn expire(&mut self) {
        if self.outcomes.is_empty() {
            return;
        }
        let now = now();
        // A time ahead of now: the clock was put back.
        self.outcomes.retain(|_, kept| now.abs_diff(kept.since) <= MEMORY_SECS);
    }

    /// What is to be stored with a group: all that is remembered, and how the
    /// group's own transactions end.
    pub(crate) fn encode(&self, txns: &[Txn], outcomes: &[Outcome]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity((self.outcomes.len() + txns.len()) * RECORD_SIZE_BYTES);
        let mut push = |id: &Uuid, outcome: Outcome, since: u64| {
            let revision = match outcome {
                Outcome::Committed(Revision(revision)) => revision,
                Outcome::Conflict => 0,
            };
            bytes.extend_from_slice(id.as_bytes());
            bytes.extend_from_slice(&revision.to_be_bytes());
            bytes.extend_from_slice(&since.to_be_bytes());
        };
        for (id, kept) in &self.outcomes {
            let gone = if kept.heard == Heard::Nothing { GONE } else { 0 };
            push(id, kept.outcome, kept.since | gone);
        }
        // What their callers will hear is not known yet.
        let now = now();
        for (txn, outcome) in txns.iter().zip(outcomes) {
            push(&txn.id, *outcome, now);
        }
        bytes
    }

    /// What was stored; `None` if it is not of that form.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut recent = Self::default();
        let (records, rest) = bytes.as_chunks::<RECORD_SIZE_BYTES>();
        if !rest.is_empty() {
            return None;
        }
        for record in records {
            let (id, rest) = record.split_first_chunk::<16>()?;
            let (revision, rest) = rest.split_first_chunk::<8>()?;
            let (since, _) = rest.split_first_chunk::<8>()?;
            let outcome = match u64::from_be_bytes(*revision) {
                0 => Outcome::Conflict,
                revision => Outcome::Committed(Revision(revision)),
            };
            let since = u64::from_be_bytes(*since);
            let heard = if since & GONE == 0 { Heard::Unknown } else { Heard::Nothing };
            let remembered = Remembered { outcome, since: since & !GONE, heard };
            recent.outcomes.insert(Uuid::from_bytes(*id), remembered);
        }
        recent.expire();
        Some(recent)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_answered_as_unknown_is_kept_whoever_goes_away() {
        let (mut recent, outcome) = (Recent::default(), Outcome::Committed(Revision(7)));
        let unknown: Vec<Uuid> = (0..2 * MAX_GONE).map(|_| Uuid::now_v7()).collect();
        for id in &unknown {
            recent.remember(*id, outcome, Heard::Unknown);
            // Who asks again and goes away takes nothing from the one who heard it.
            recent.remember(*id, outcome, Heard::Nothing);
        }
        for _ in 0..2 {
            for _ in 0..2 * MAX_GONE {
                recent.remember(Uuid::now_v7(), outcome, Heard::Nothing);
            }
            assert!(unknown.iter().all(|id| recent.outcome(id) == Some(outcome)));
            assert_eq!(recent.outcomes.len(), unknown.len() + MAX_GONE);
            recent = Recent::decode(&recent.encode(&[], &[])).expect("what was encoded");
        }
    }
}
