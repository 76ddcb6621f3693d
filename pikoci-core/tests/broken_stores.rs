//! The suite for stores finds what is broken: each of these stores breaks one
//! promise, and the behaviour that is about it panics.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use pikoci_core::store::{
    Check, Entry, Key, KeyRange, Order, Outcome, Revision, Store, StoreError, Txn, Write,
};
use pikoci_core::testkit::conformance::store::{self as suite, StoreFixture};
use uuid::Uuid;

/// What a store does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    IgnoresAbsentChecks,
    IgnoresRevisionChecks,
    ChecksOnlyWhatItWrites,
    ChecksBeforeItLocks,
    ConflictsForNoReason,
    WritesInSpiteOfAConflict,
    TearsTransactions,
    ForgetsDeletes,
    RevisionsPerKey,
    KeepsEqualValues,
    AnswersAnotherRevision,
    ForgetsOrder,
    ForgetsLimit,
    IncludesTheEnd,
    ReversesBeforeTheLimit,
    RefusesEmptyRanges,
    RefusesLongBounds,
    ForgetsDuplicateKeys,
    CutsLongKeys,
    FoldsCase,
    TrimsZeros,
    LosesEmptyValues,
    CutsLargeValues,
    RefusesLargeTransactions,
    RefusesManyOperations,
    RefusesLargeAnswers,
    AnswersStaleReads,
    DoesUnknownCommitsTwice,
    SaysUnknownToReads,
    ForgetsIds,
    NeverCloses,
    ClosesOnce,
    NeverRings,
    RingsForEver,
    LosesItsRevisions,
    LosesTheLastCommit,
    TellsItsPassword,
    HasNoName,
    HangsAfterADrop,
}

#[derive(Default, Clone)]
struct State {
    entries: BTreeMap<Key, Entry>,
    /// What was there a while ago.
    stale: BTreeMap<Key, Entry>,
    revision: u64,
    done: HashMap<Uuid, Outcome>,
    closed: bool,
}

struct Broken {
    wrong: Wrong,
    state: Arc<Mutex<State>>,
    commits: AtomicU64,
    turn: tokio::sync::Semaphore,
    bell: tokio::sync::watch::Sender<bool>,
}

impl Broken {
    fn new(wrong: Wrong) -> Self {
        Self::over(wrong, Arc::default())
    }

    fn over(wrong: Wrong, state: Arc<Mutex<State>>) -> Self {
        let (commits, turn) = (AtomicU64::new(0), tokio::sync::Semaphore::new(1));
        let bell = tokio::sync::watch::Sender::new(false);
        Self { wrong, state, commits, turn, bell }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        let mut state = self.state.lock().expect("the state");
        if state.closed {
            return Err(StoreError::closed());
        }
        Ok(work(&mut state))
    }

    fn key(&self, key: &Key) -> Key {
        let mut bytes = key.as_bytes().to_vec();
        match self.wrong {
            Wrong::CutsLongKeys => bytes.truncate(255),
            Wrong::FoldsCase => bytes.make_ascii_lowercase(),
            Wrong::TrimsZeros => {
                while bytes.len() > 1 && bytes.last() == Some(&0) {
                    bytes.pop();
                }
            }
            _ => {}
        }
        Key::new(bytes).expect("a key")
    }

    fn holds(&self, state: &State, check: &Check, txn: &Txn) -> bool {
        let key = self.key(&check.key);
        let ignored = match self.wrong {
            Wrong::IgnoresAbsentChecks => check.revision.is_none(),
            Wrong::IgnoresRevisionChecks => {
                check.revision.is_some() && state.entries.contains_key(&key)
            }
            Wrong::ChecksOnlyWhatItWrites => txn.writes.iter().all(|it| *it.key() != check.key),
            _ => false,
        };
        ignored || state.entries.get(&key).map(|entry| entry.revision) == check.revision
    }

    fn write(&self, state: &mut State, write: &Write, revision: Revision) {
        let key = self.key(write.key());
        match write.value() {
            Some(value) => {
                let mut value = value.clone();
                let before = state.entries.get(&key);
                match self.wrong {
                    Wrong::KeepsEqualValues if before.is_some_and(|entry| entry.value == value) => {
                        return;
                    }
                    Wrong::CutsLargeValues => value.truncate(65_535),
                    Wrong::LosesEmptyValues if value.is_empty() => {
                        state.entries.remove(&key);
                        return;
                    }
                    _ => {}
                }
                state.entries.insert(key, Entry { value, revision });
            }
            None if self.wrong == Wrong::ForgetsDeletes => {}
            None => {
                state.entries.remove(&key);
            }
        }
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.wrong, f)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wrong {
            Wrong::HasNoName => Ok(()),
            Wrong::TellsItsPassword => f.write_str("sql://me:hunter2@host/db"),
            _ => f.write_str("broken://me@host/db"),
        }
    }
}

#[async_trait]
impl Store for Broken {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StoreError> {
        if self.wrong == Wrong::SaysUnknownToReads {
            return Err(StoreError::unknown("who knows"));
        }
        let found: Vec<Option<Entry>> = self.with(|state| {
            let stale = self.wrong == Wrong::AnswersStaleReads;
            let entries = if stale { &state.stale } else { &state.entries };
            keys.iter().map(|key| entries.get(&self.key(key)).cloned()).collect()
        })?;
        let size: usize = found.iter().flatten().map(|entry| entry.value.len()).sum();
        if self.wrong == Wrong::RefusesLargeAnswers && size > 4 * 1024 * 1024 {
            return Err(StoreError::invalid("more than 4 MiB"));
        }
        if self.wrong == Wrong::ForgetsDuplicateKeys {
            let mut seen = Vec::new();
            let mut known = found.into_iter().zip(keys);
            let mut distinct = Vec::new();
            for (entry, key) in &mut known {
                if !seen.contains(key) {
                    seen.push(key.clone());
                    distinct.push(entry);
                }
            }
            return Ok(distinct);
        }
        Ok(found)
    }

    async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        let longest = range.start().len().max(range.end().map_or(0, Bytes::len));
        if self.wrong == Wrong::RefusesLongBounds && longest > 1024 {
            return Err(StoreError::invalid("no such key"));
        }
        if self.wrong == Wrong::RefusesEmptyRanges && range.is_empty() {
            return Err(StoreError::invalid("an empty range"));
        }
        let inside = |key: &Key| {
            let end = self.wrong == Wrong::IncludesTheEnd
                && range.end().is_some_and(|end| end == key.as_bytes());
            range.contains(key) || (end && !range.is_empty())
        };
        self.with(|state| {
            let entries = state.entries.iter().filter(|(key, _)| inside(key));
            let mut all: Vec<(Key, Entry)> =
                entries.map(|(key, entry)| (key.clone(), entry.clone())).collect();
            let reverses = order == Order::Descending && self.wrong != Wrong::ForgetsOrder;
            if reverses && self.wrong != Wrong::ReversesBeforeTheLimit {
                all.reverse();
            }
            if self.wrong != Wrong::ForgetsLimit {
                all.truncate(limit);
            }
            if reverses && self.wrong == Wrong::ReversesBeforeTheLimit {
                all.reverse();
            }
            all
        })
    }

    async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        let number = self.commits.fetch_add(1, Ordering::SeqCst);
        let turn = self.turn.acquire().await.expect("an open semaphore");
        if self.wrong == Wrong::HangsAfterADrop {
            // Not given back when this is dropped here.
            turn.forget();
            tokio::time::sleep(std::time::Duration::from_micros(1)).await;
            self.turn.add_permits(1);
        } else {
            drop(turn);
        }
        match self.wrong {
            Wrong::RefusesLargeTransactions if txn.size_bytes() > 1_000_000 => {
                return Err(StoreError::invalid("too large"));
            }
            Wrong::RefusesManyOperations if txn.operations() > 64 => {
                return Err(StoreError::invalid("too many"));
            }
            Wrong::ConflictsForNoReason if number % 20 == 19 => return Ok(Outcome::Conflict),
            _ => {}
        }
        if !matches!(self.wrong, Wrong::DoesUnknownCommitsTwice | Wrong::ForgetsIds)
            && let Some(outcome) = self.with(|state| state.done.get(&txn.id).copied())?
        {
            return Ok(outcome);
        }
        let holds = |state: &State| txn.checks.iter().all(|check| self.holds(state, check, txn));
        let tears = self.wrong == Wrong::TearsTransactions;
        let (outcome, rest) = self.with(|state| {
            if !holds(state) {
                if self.wrong == Wrong::WritesInSpiteOfAConflict
                    && let Some(write) = txn.writes.first()
                {
                    let revision = Revision(state.revision + 1);
                    self.write(state, write, revision);
                }
                return (Outcome::Conflict, 0);
            }
            state.stale = state.entries.clone();
            state.revision += 1;
            let mut revision = Revision(state.revision);
            if self.wrong == Wrong::RevisionsPerKey {
                let keys = txn.writes.iter().map(|write| self.key(write.key()));
                let now = keys.filter_map(|key| Some(state.entries.get(&key)?.revision.0));
                revision = Revision(now.max().unwrap_or(0) + 1);
            }
            if self.wrong == Wrong::ChecksBeforeItLocks {
                return (Outcome::Committed(revision), 0);
            }
            let now = if tears { txn.writes.len().min(1) } else { txn.writes.len() };
            txn.writes[..now].iter().for_each(|write| self.write(state, write, revision));
            (Outcome::Committed(revision), now)
        })?;
        let Outcome::Committed(revision) = outcome else { return Ok(outcome) };
        if rest < txn.writes.len() {
            tokio::task::yield_now().await;
            self.with(|state| {
                txn.writes[rest..].iter().for_each(|write| self.write(state, write, revision));
            })?;
        }
        self.with(|state| state.done.insert(txn.id, outcome))?;
        if self.wrong != Wrong::NeverRings {
            self.bell.send_modify(|_| {});
        }
        if self.wrong == Wrong::DoesUnknownCommitsTwice && number % 5 == 4 {
            return Err(StoreError::unknown("the answer was lost"));
        }
        if self.wrong == Wrong::AnswersAnotherRevision {
            return Ok(Outcome::Committed(Revision(revision.0 + 1)));
        }
        Ok(outcome)
    }

    fn watch(&self, _: &KeyRange) -> Option<BoxStream<'static, ()>> {
        let endless = self.wrong == Wrong::RingsForEver;
        if *self.bell.borrow() && !endless {
            return Some(stream::empty().boxed());
        }
        let rings = stream::unfold(self.bell.subscribe(), move |mut bell| async move {
            bell.changed().await.ok()?;
            let ended = *bell.borrow_and_update();
            (!ended || endless).then_some(((), bell))
        });
        Some(rings.boxed())
    }

    async fn close(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().expect("the state");
        if self.wrong == Wrong::ClosesOnce && state.closed {
            return Err(StoreError::closed());
        }
        state.closed = self.wrong != Wrong::NeverCloses;
        self.bell.send_replace(true);
        Ok(())
    }
}

fn fixture(wrong: Wrong) -> StoreFixture {
    let broken = Arc::new(Broken::new(wrong));
    let state = broken.state.clone();
    let reopen = move || {
        let mut kept = state.lock().expect("the state").clone();
        kept.closed = false;
        match wrong {
            Wrong::LosesItsRevisions => kept.revision = 0,
            Wrong::LosesTheLastCommit => {
                kept.entries.retain(|_, entry| entry.revision.0 != kept.revision);
            }
            _ => {}
        }
        *state.lock().expect("the state") = kept;
        let store: Arc<dyn Store> = Arc::new(Broken::over(wrong, state.clone()));
        futures_util::future::ready(store).boxed()
    };
    use futures_util::FutureExt as _;
    StoreFixture {
        reopen: Some(Box::new(reopen)),
        remembers_commits: true,
        ..StoreFixture::new(broken)
    }
}

/// As the broken ones are run, so that it is not the run that breaks them.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn one_that_is_right_passes() {
    suite::run_all(|| async { Some(fixture(Wrong::Nothing)) }).await;
}

/// A test for each broken one: the behaviour that is about it panics.
macro_rules! found {
    ($($wrong:ident by $behaviour:ident)+) => {
        mod found {
            use super::*;
            $(
                #[tokio::test(flavor = "current_thread", start_paused = true)]
                #[allow(non_snake_case, reason = "named as the case is")]
                async fn $wrong() {
                    let run = tokio::spawn(async {
                        suite::$behaviour(&fixture(Wrong::$wrong)).await;
                    });
                    let panicked = run.await.is_err_and(|error| error.is_panic());
                    let name = stringify!($behaviour);
                    assert!(panicked, "{name} does not see what is wrong");
                }
            )+
        }
    };
}

found! {
    IgnoresAbsentChecks by a_check_holds_only_for_the_revision_it_names
    IgnoresRevisionChecks by a_check_holds_only_for_the_revision_it_names
    ChecksOnlyWhatItWrites by what_was_read_cannot_change_unseen
    ChecksBeforeItLocks by concurrent_increments_are_not_lost
    ConflictsForNoReason by concurrent_commits_are_linearizable
    WritesInSpiteOfAConflict by a_conflict_writes_nothing
    TearsTransactions by a_commit_is_seen_whole_or_not_at_all
    ForgetsDeletes by puts_and_deletes_are_done_together
    RevisionsPerKey by revisions_grow_also_over_deletes
    KeepsEqualValues by the_same_value_put_again_has_a_new_revision
    AnswersAnotherRevision by one_commit_has_one_revision
    ForgetsOrder by scans_go_bytewise
    ForgetsLimit by scans_keep_their_limit
    IncludesTheEnd by scans_keep_their_range
    ReversesBeforeTheLimit by scans_keep_their_limit
    RefusesEmptyRanges by an_empty_range_has_no_entries
    RefusesLongBounds by a_bound_may_be_longer_than_a_key
    ForgetsDuplicateKeys by get_answers_key_by_key
    CutsLongKeys by long_keys_and_large_values_are_taken
    FoldsCase by keys_and_values_may_be_any_bytes
    TrimsZeros by keys_and_values_may_be_any_bytes
    LosesEmptyValues by keys_and_values_may_be_any_bytes
    CutsLargeValues by long_keys_and_large_values_are_taken
    RefusesLargeTransactions by a_large_transaction_is_taken
    RefusesManyOperations by a_large_transaction_is_taken
    RefusesLargeAnswers by as_much_as_allowed_is_read_at_once
    AnswersStaleReads by an_acknowledged_commit_is_seen_at_once
    DoesUnknownCommitsTwice by concurrent_increments_are_not_lost
    SaysUnknownToReads by get_answers_key_by_key
    ForgetsIds by a_repeated_commit_is_done_once
    NeverCloses by a_closed_store_answers_that_it_is
    ClosesOnce by a_closed_store_answers_that_it_is
    NeverRings by a_watch_rings_until_the_close
    RingsForEver by a_watch_rings_until_the_close
    LosesItsRevisions by what_was_committed_is_there_when_opened_again
    LosesTheLastCommit by what_was_committed_is_there_when_opened_again
    TellsItsPassword by a_store_names_itself
    HasNoName by a_store_names_itself
    HangsAfterADrop by a_dropped_commit_is_done_or_not
}

/// What a random history finds without being told what to look for.
mod not_linearizable {
    use super::*;

    async fn is_found(wrong: Wrong) -> bool {
        let run = tokio::spawn(async move {
            suite::concurrent_commits_are_linearizable(&fixture(wrong)).await;
        });
        run.await.is_err_and(|error| error.is_panic())
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_breaks_a_promise_about_what_is_seen() {
        for wrong in [
            Wrong::IgnoresAbsentChecks,
            Wrong::IgnoresRevisionChecks,
            Wrong::ChecksOnlyWhatItWrites,
            Wrong::ChecksBeforeItLocks,
            Wrong::WritesInSpiteOfAConflict,
            Wrong::TearsTransactions,
            Wrong::ForgetsDeletes,
            Wrong::RevisionsPerKey,
            Wrong::AnswersAnotherRevision,
            Wrong::ForgetsOrder,
            Wrong::ForgetsLimit,
            Wrong::TrimsZeros,
            Wrong::AnswersStaleReads,
            Wrong::DoesUnknownCommitsTwice,
        ] {
            assert!(is_found(wrong).await, "{wrong:?} passes");
        }
    }
}

mod nothing_wrong {
    use super::*;

    async fn right() -> Option<StoreFixture> {
        Some(fixture(Wrong::Nothing))
    }

    pikoci_core::store_conformance!(right);

    /// It remembers its commits, so what is repeated goes on to it.
    mod faulty {
        use super::*;

        async fn right_behind_a_bad_network() -> Option<StoreFixture> {
            Some(right().await?.faulty(4))
        }

        pikoci_core::store_conformance!(right_behind_a_bad_network);
    }
}
