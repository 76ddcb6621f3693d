//! A store behind a bad network.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use uuid::Uuid;

use super::plan::{Plan, moment};
use crate::store::{Entry, Key, KeyRange, Order, Outcome, Store, StoreError, Txn};
use crate::testkit::random::Random;

/// A method of a store whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreCall {
    /// [`Store::get`].
    Get,
    /// [`Store::scan`].
    Scan,
    /// [`Store::commit`].
    Commit,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// It is not done, and answers that it is unavailable.
    Refuse,
    /// It is done, and its answer is lost: a commit answers that its outcome
    /// is unknown, a read that it is unavailable.
    LoseAnswer,
    /// It is not done and nobody knows: a commit answers that its outcome is
    /// unknown, a read that it is unavailable.
    LoseRequest,
    /// The same, but a commit arrives so much later, unless it was settled
    /// meanwhile.
    ArriveLate(Duration),
    /// It is done so much later, so that others overtake it.
    Delay(Duration),
    /// It is done, and its answer comes so much later.
    DelayAnswer(Duration),
    /// A commit that was done arrives a second time and answers as then, where
    /// the store within [remembers its commits](FaultyStore::over_one_that_remembers).
    Repeat,
}

/// A [`Store`] that behaves as one behind a bad network, and keeps the
/// contract: what is in doubt is settled by the same commit.
#[derive(Debug, Clone)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    shared: Arc<Shared>,
    closed: Arc<AtomicBool>,
    inner_remembers: bool,
}

#[derive(Debug)]
struct Shared {
    plan: Plan<StoreCall, StoreFault>,
    /// What became of each commit. Its lock is held while it is done.
    commits: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<Option<Outcome>>>>>,
}

impl FaultyStore {
    /// `inner` without faults.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        let shared = Shared { plan: Plan::new(), commits: Mutex::default() };
        Self { inner, shared: Arc::new(shared), closed: Arc::default(), inner_remembers: false }
    }

    /// The same, where the store within remembers the ids of its commits: what
    /// is committed again goes on to it, and some commits arrive there twice.
    #[must_use]
    pub fn over_one_that_remembers(mut self) -> Self {
        self.inner_remembers = true;
        self
    }

    /// The same with faults by this seed: about one in four calls has one.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        self.shared.plan.seed(seed);
        self
    }

    /// The same with this fault at the nth `call`, counted from 1.
    #[must_use]
    pub fn at(self, call: StoreCall, nth: u64, fault: StoreFault) -> Self {
        self.shared.plan.script(call, nth, fault);
        self
    }

    /// Another handle on the same data behind the same network.
    #[must_use]
    pub fn sibling(&self, inner: Arc<dyn Store>) -> Self {
        Self { inner, closed: Arc::default(), ..self.clone() }
    }

    /// How often `call` was made, also by siblings.
    pub fn calls(&self, call: StoreCall) -> u64 {
        self.shared.plan.made(call)
    }

    fn fault(&self, call: StoreCall) -> Option<StoreFault> {
        if self.closed.load(Ordering::SeqCst) {
            // What is closed says so, every time.
            return None;
        }
        self.shared.plan.next(call, draw)
    }

    /// A read with its fault.
    async fn read<T>(
        &self,
        call: StoreCall,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match self.fault(call) {
            None | Some(StoreFault::Repeat) => read.await,
            Some(StoreFault::Refuse | StoreFault::LoseRequest | StoreFault::ArriveLate(_)) => {
                Err(StoreError::unavailable("a fault: the read was lost"))
            }
            Some(StoreFault::LoseAnswer) => {
                read.await?;
                Err(StoreError::unavailable("a fault: the answer to the read was lost"))
            }
            Some(StoreFault::Delay(late)) => {
                tokio::time::sleep(late).await;
                read.await
            }
            Some(StoreFault::DelayAnswer(late)) => {
                let answer = read.await;
                tokio::time::sleep(late).await;
                answer
            }
        }
    }

    /// Has the commit arrive. It goes on when this is dropped, as on a server.
    async fn arrive(&self, txn: &Txn, arrival: Arrival) -> Result<Outcome, StoreError> {
        let (this, txn) = (self.clone(), txn.clone());
        let arriving = tokio::spawn(async move { this.done(&txn, arrival).await });
        match arriving.await {
            Ok(answer) => answer,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreError::unknown("the runtime ended during a commit")),
            },
        }
    }

    async fn done(&self, txn: &Txn, arrival: Arrival) -> Result<Outcome, StoreError> {
        let known = {
            let mut all =
                self.shared.commits.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            all.entry(txn.id).or_default().clone()
        };
        let mut known = known.lock().await;
        if let Some(outcome) = *known
            && (!self.inner_remembers || arrival == Arrival::Late)
        {
            return Ok(outcome);
        }
        let mut outcome = self.inner.commit(txn).await?;
        *known = Some(outcome);
        if arrival == Arrival::Twice && self.inner_remembers && outcome != Outcome::Conflict {
            outcome = self.inner.commit(txn).await?;
        }
        Ok(outcome)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Once,
    Twice,
    /// After its caller was told that nobody knows.
    Late,
}

fn draw(random: &mut Random) -> Option<StoreFault> {
    Some(match random.below(64) {
        0..=2 => StoreFault::Refuse,
        3..=5 => StoreFault::LoseAnswer,
        6 => StoreFault::LoseRequest,
        7..=8 => StoreFault::ArriveLate(moment(random)),
        9..=11 => StoreFault::Delay(moment(random)),
        12..=13 => StoreFault::DelayAnswer(moment(random)),
        14..=16 => StoreFault::Repeat,
        _ => return None,
    })
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} behind a bad network", self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for FaultyStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StoreError> {
        self.read(StoreCall::Get, self.inner.get(keys)).await
    }

    async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        self.read(StoreCall::Scan, self.inner.scan(range, order, limit)).await
    }

    async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        let lost = || StoreError::unknown("a fault: the answer to the commit was lost");
        match self.fault(StoreCall::Commit) {
            None => self.arrive(txn, Arrival::Once).await,
            Some(StoreFault::Repeat) => self.arrive(txn, Arrival::Twice).await,
            Some(StoreFault::Refuse) => {
                Err(StoreError::unavailable("a fault: the commit was refused"))
            }
            Some(StoreFault::LoseAnswer) => {
                self.arrive(txn, Arrival::Once).await?;
                Err(lost())
            }
            Some(StoreFault::LoseRequest) => Err(lost()),
            Some(StoreFault::ArriveLate(late)) => {
                let (this, txn) = (self.clone(), txn.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(late).await;
                    // Nobody waits for the answer any more.
                    let _ = this.done(&txn, Arrival::Late).await;
                });
                Err(lost())
            }
            Some(StoreFault::Delay(late)) => {
                tokio::time::sleep(late).await;
                self.arrive(txn, Arrival::Once).await
            }
            Some(StoreFault::DelayAnswer(late)) => {
                let answer = self.arrive(txn, Arrival::Once).await;
                tokio::time::sleep(late).await;
                answer
            }
        }
    }

    fn watch(&self, range: &KeyRange) -> Option<BoxStream<'static, ()>> {
        self.inner.watch(range)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::SeqCst);
        self.inner.close().await
    }
}
