//! What is kept, what is archived and what is deleted: a pure decision over
//! summaries, with its reason for each.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::duration::millis;

/// How long things of one group are kept, such as the builds of a job.
///
/// Whatever goes beyond one of the limits is deleted, unless its item says
/// [`keep`](Item::keep). Without any limit everything is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// The newest so many stay.
    pub keep_last: Option<u64>,
    /// What finished so long ago or less stays; in JSON `keep_for_ms`.
    #[serde(rename = "keep_for_ms", with = "optional_millis")]
    pub keep_for: Option<Duration>,
    /// The newest that have this many bytes together stay.
    pub keep_bytes: Option<u64>,
    /// What finished longer ago is archived; in JSON `archive_after_ms`.
    #[serde(rename = "archive_after_ms", with = "optional_millis")]
    pub archive_after: Option<Duration>,
    /// What has this many bytes or more is archived as soon as it finished.
    pub archive_from_bytes: Option<u64>,
}

mod optional_millis {
    //! [`millis`] for what may be absent.

    use super::{Deserialize, Duration, Serialize, millis};
    use serde::{Deserializer, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Millis(#[serde(with = "millis")] Duration);

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(Millis).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Millis>::deserialize(input)?.map(|Millis(duration)| duration))
    }
}

/// One thing of a group, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<I> {
    /// What it is called.
    pub id: I,
    /// When it finished.
    pub finished_at: Timestamp,
    /// How much room it takes.
    pub size_bytes: u64,
    /// Whether it stays whatever the limits say: it is pinned, or the last
    /// that succeeded. It counts for the limits all the same.
    pub keep: bool,
}

/// What is to be done with a thing, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<I> {
    /// What it is called.
    pub id: I,
    /// What is to be done.
    pub fate: Fate,
    /// Why.
    pub reason: Reason,
}

/// What is to be done with a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It stays as it is.
    Keep,
    /// It stays, in an archive.
    Archive,
    /// It goes.
    Delete,
}

/// Why a thing stays, is archived or goes; `Display` is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It is within all limits.
    Within,
    /// Its item says so, though it is beyond a limit.
    Kept,
    /// So many newer ones are kept.
    Count(u64),
    /// It finished longer ago than this.
    Age(Duration),
    /// With all newer ones it has more bytes than this.
    Bytes(u64),
    /// It finished longer ago than things are kept outside of archives.
    ArchiveAge(Duration),
    /// It has this many bytes or more.
    ArchiveBytes(u64),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ago = |time: &Duration| SignedDuration::try_from(*time).unwrap_or(SignedDuration::MAX);
        match self {
            Self::Within => f.write_str("it is within all limits"),
            Self::Kept => f.write_str("it is pinned or the last that succeeded"),
            Self::Count(count) => write!(f, "the last {count} are kept"),
            Self::Age(time) => write!(f, "it finished more than {:#} ago", ago(time)),
            Self::Bytes(bytes) => write!(f, "at most {bytes} bytes are kept"),
            Self::ArchiveAge(time) => write!(f, "it finished more than {:#} ago", ago(time)),
            Self::ArchiveBytes(bytes) => write!(f, "it has {bytes} bytes or more"),
        }
    }
}

/// What `policy` does at `now` with the things of one group, the newest
/// first. The order of things that finished at the same instant is theirs in
/// `items`. What is in an archive already is decided upon like anything else.
pub fn decide<I: Clone>(policy: &Policy, items: &[Item<I>], now: Timestamp) -> Vec<Decision<I>> {
    let mut newest: Vec<&Item<I>> = items.iter().collect();
    newest.sort_by_key(|item| std::cmp::Reverse(item.finished_at));
    let mut bytes = 0_u64;
    let decide = |(at, item): (usize, &Item<I>)| {
        bytes = bytes.saturating_add(item.size_bytes);
        let (fate, reason) = match beyond(policy, at as u64, bytes, age(item, now)) {
            Some(reason) if !item.keep => (Fate::Delete, reason),
            beyond => match to_archive(policy, item.size_bytes, age(item, now)) {
                Some(reason) => (Fate::Archive, reason),
                None if beyond.is_some() => (Fate::Keep, Reason::Kept),
                None => (Fate::Keep, Reason::Within),
            },
        };
        Decision { id: item.id.clone(), fate, reason }
    };
    newest.into_iter().enumerate().map(decide).collect()
}

/// How long ago it finished; nothing when the clock says that it is yet to.
fn age<I>(item: &Item<I>, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(item.finished_at)).unwrap_or_default()
}

/// The limit that a thing with so many newer ones goes beyond; `bytes` are
/// its own and theirs.
fn beyond(policy: &Policy, newer: u64, bytes: u64, age: Duration) -> Option<Reason> {
    let count = policy.keep_last.filter(|count| newer >= *count).map(Reason::Count);
    let age = policy.keep_for.filter(|time| age > *time).map(Reason::Age);
    let bytes = policy.keep_bytes.filter(|most| bytes > *most).map(Reason::Bytes);
    count.or(age).or(bytes)
}

fn to_archive(policy: &Policy, size_bytes: u64, age: Duration) -> Option<Reason> {
    let size = policy.archive_from_bytes.filter(|least| size_bytes >= *least);
    let age = policy.archive_after.filter(|time| age > *time);
    size.map(Reason::ArchiveBytes).or(age.map(Reason::ArchiveAge))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// Finished so many days after the epoch.
    fn item(id: u32, day: u32, size_bytes: u64, keep: bool) -> Item<u32> {
        let finished_at = Timestamp::UNIX_EPOCH + DAY * day;
        Item { id, finished_at, size_bytes, keep }
    }

    /// One a day for ten days, 100 bytes each; now is the tenth day.
    fn ten() -> Vec<Item<u32>> {
        (1..=10).map(|day| item(day, day, 100, false)).collect()
    }

    fn fates(policy: &Policy, items: &[Item<u32>], fate: Fate) -> Vec<u32> {
        let decisions = decide(policy, items, Timestamp::UNIX_EPOCH + DAY * 10);
        assert_eq!(decisions.len(), items.len());
        decisions.into_iter().filter(|it| it.fate == fate).map(|it| it.id).collect()
    }

    #[test]
    fn without_a_limit_everything_is_kept() {
        assert_eq!(fates(&Policy::default(), &ten(), Fate::Keep).len(), 10);
    }

    #[test]
    fn each_limit_deletes_what_is_beyond_it() {
        let last = Policy { keep_last: Some(3), ..Policy::default() };
        assert_eq!(fates(&last, &ten(), Fate::Keep), [10, 9, 8]);
        let days = Policy { keep_for: Some(DAY * 2), ..Policy::default() };
        assert_eq!(fates(&days, &ten(), Fate::Keep), [10, 9, 8]);
        let bytes = Policy { keep_bytes: Some(399), ..Policy::default() };
        assert_eq!(fates(&bytes, &ten(), Fate::Keep), [10, 9, 8]);
        let both = Policy { keep_last: Some(2), keep_bytes: Some(500), ..Policy::default() };
        assert_eq!(fates(&both, &ten(), Fate::Keep), [10, 9]);
        let none = Policy { keep_last: Some(0), ..Policy::default() };
        assert_eq!(fates(&none, &ten(), Fate::Delete).len(), 10);
    }

    #[test]
    fn what_is_to_be_kept_stays_and_says_why() {
        let mut items = ten();
        items[0].keep = true;
        let policy = Policy { keep_last: Some(2), ..Policy::default() };
        assert_eq!(fates(&policy, &items, Fate::Keep), [10, 9, 1]);
        let decisions = decide(&policy, &items, Timestamp::UNIX_EPOCH + DAY * 10);
        assert_eq!(decisions[9].reason, Reason::Kept);
        assert_eq!(decisions[8].reason.to_string(), "the last 2 are kept");
        assert_eq!(Reason::Age(DAY).to_string(), "it finished more than 24h ago");
    }

    #[test]
    fn old_and_large_things_are_archived_unless_they_go() {
        let mut items = ten();
        items[9].size_bytes = 5000;
        items[2].keep = true;
        let policy = Policy {
            keep_last: Some(6),
            archive_after: Some(DAY * 3),
            archive_from_bytes: Some(5000),
            ..Policy::default()
        };
        assert_eq!(fates(&policy, &items, Fate::Archive), [10, 6, 5, 3]);
        assert_eq!(fates(&policy, &items, Fate::Delete), [4, 2, 1]);
    }

    #[test]
    fn a_clock_that_went_back_deletes_nothing() {
        let policy = Policy { keep_for: Some(Duration::ZERO), ..Policy::default() };
        assert_eq!(fates(&policy, &[item(1, 20, 1, false)], Fate::Keep), [1]);
    }

    #[test]
    fn a_policy_is_data() {
        let policy = Policy { keep_last: Some(5), keep_for: Some(DAY), ..Policy::default() };
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::default());
    }

    proptest! {
        #[test]
        fn what_is_to_be_kept_is_never_deleted_and_newer_ones_outlive_older_ones(
            items in prop::collection::vec((0_u32..50, 0_u64..1000, any::<bool>()), 0..20),
            keep_last in prop::option::of(0_u64..10),
            keep_bytes in prop::option::of(0_u64..5000),
            days in prop::option::of(0_u32..50),
        ) {
            let items: Vec<_> = items
                .into_iter()
                .enumerate()
                .map(|(id, (day, size, keep))| item(id as u32, day, size, keep))
                .collect();
            let keep_for = days.map(|days| DAY * days);
            let policy = Policy { keep_last, keep_bytes, keep_for, ..Policy::default() };
            let decisions = decide(&policy, &items, Timestamp::UNIX_EPOCH + DAY * 50);
            let mut gone = false;
            for decision in decisions {
                let item = &items[decision.id as usize];
                prop_assert!(!(item.keep && decision.fate == Fate::Delete));
                if !item.keep {
                    prop_assert!(!(gone && decision.fate != Fate::Delete));
                    gone |= decision.fate == Fate::Delete;
                }
            }
        }
    }
}
