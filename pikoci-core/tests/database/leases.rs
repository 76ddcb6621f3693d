//! Leases, by clocks that differ in offset and in rate.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use pikoci_core::clock::Clock;
use pikoci_core::database::{
    Contender, Database, DatabaseError, FencingToken, Lease, LeaseView, Record, Retry, Schema,
};
use pikoci_core::store::Store;
use pikoci_core::testkit::ManualClock;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::support::{Done, Random, TestStore, run};

const TTL: Duration = Duration::from_secs(8);
/// What a contender watches for: the time to live and an eighth.
const WATCH: Duration = Duration::from_secs(9);
/// What a holder counts on.
const HELD: Duration = Duration::from_secs(7);

/// A clock that is moved by hand, with ids that no other one gives.
#[derive(Debug, Clone)]
struct OwnClock(ManualClock);

impl Clock for OwnClock {
    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// One that wants the lease, on a machine of its own.
struct Participant {
    clock: ManualClock,
    /// How fast its clock runs.
    rate: f64,
    database: Database,
    contender: Contender,
    lease: Option<Lease>,
}

impl Participant {
    fn new(store: &Arc<dyn Store>, name: &str, offset: Duration, rate: f64) -> Self {
        let clock = ManualClock::new();
        clock.advance(offset);
        // Time goes by while a transaction is tried; that is not what is tested.
        let retry = Retry { give_up_after: Duration::MAX, ..Retry::default() };
        let database = Database::new(store.clone(), Arc::new(OwnClock(clock.clone())));
        let database = database.with_retry(retry);
        let contender = Contender::new("scheduler", name, TTL);
        Self { clock, rate, database, contender, lease: None }
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time.mul_f64(self.rate));
    }

    async fn try_acquire(&mut self) -> Option<Lease> {
        self.contender.try_acquire(&self.database).await.unwrap()
    }
}

fn two() -> (Participant, Participant) {
    let store: Arc<dyn Store> = TestStore::new(None);
    let one = Participant::new(&store, "one", Duration::from_secs(1_000_000), 1.0);
    (one, Participant::new(&store, "two", Duration::ZERO, 1.0))
}

/// Who wrote under which epoch, in the order of the writes.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Effects(Vec<u64>);

impl Schema for Effects {
    const KIND: &'static str = "effects";
}

impl Record for Effects {
    type Id = u64;

    fn id(&self) -> u64 {
        0
    }
}

/// Writes that there was something done under `token`.
async fn write(database: &Database, token: &FencingToken) -> Done {
    database
        .transact_with(token, |transaction, token| {
            Box::pin(async move {
                let mut effects: Effects = transaction.get(&0).await?.unwrap_or_default();
                transaction.fence(token).await?;
                effects.0.push(token.epoch());
                transaction.put(&effects).await
            })
        })
        .await
}

#[tokio::test]
async fn a_lease_is_taken_over_once_it_was_watched_long_enough() {
    let (mut one, mut two) = two();
    let lease = one.try_acquire().await.expect("a free lease");
    assert_eq!((lease.epoch(), lease.holder(), lease.remaining()), (1, "one", HELD));
    // Its age says nothing to one that has not watched it.
    two.clock.advance(WATCH * 100);
    assert!(two.try_acquire().await.is_none());
    two.clock.advance(WATCH - Duration::from_nanos(1));
    assert!(two.try_acquire().await.is_none());
    two.clock.advance(Duration::from_nanos(1));
    let lease = two.try_acquire().await.expect("a lease that ran out");
    assert_eq!(lease.epoch(), 2);
    let expected = LeaseView { holder: Some("two".into()), epoch: 2, ttl: TTL };
    assert_eq!(one.database.observe("scheduler").await.unwrap(), Some(expected));
}

#[tokio::test]
async fn a_renewal_starts_the_watch_anew() {
    let (mut one, mut two) = two();
    let mut lease = one.try_acquire().await.expect("a free lease");
    assert!(two.try_acquire().await.is_none());
    two.clock.advance(WATCH);
    lease.renew().await.unwrap();
    assert!(two.try_acquire().await.is_none());
    two.clock.advance(WATCH);
    assert_eq!(two.try_acquire().await.map(|lease| lease.epoch()), Some(2));
}

#[tokio::test]
async fn a_holder_stops_early_and_may_come_back_if_nobody_was_there() {
    let (mut one, _) = two();
    let mut lease = one.try_acquire().await.expect("a free lease");
    one.clock.advance(HELD - Duration::from_nanos(1));
    assert!(lease.is_held());
    one.clock.advance(Duration::from_nanos(1));
    assert!(!lease.is_held());
    lease.renew().await.unwrap();
    assert_eq!((lease.epoch(), lease.remaining()), (1, HELD));
}

#[tokio::test]
async fn who_lost_the_lease_can_neither_renew_nor_write_nor_release() {
    let (mut one, mut two) = two();
    let mut lost = one.try_acquire().await.expect("a free lease");
    write(&one.database, lost.token()).await.unwrap();
    assert!(two.try_acquire().await.is_none());
    two.clock.advance(WATCH);
    let lease = two.try_acquire().await.expect("a lease that ran out");

    let error = write(&one.database, lost.token()).await.unwrap_err();
    assert_eq!(error.to_string(), "lease `scheduler` is no longer held under epoch 1");
    assert!(matches!(lost.renew().await, Err(DatabaseError::LeaseLost { epoch: 1, .. })));
    lost.release().await.unwrap();
    write(&two.database, lease.token()).await.unwrap();
    let effects: Effects = two.database.require(&0).await.unwrap();
    assert_eq!(effects.0, [1, 2]);
}

#[tokio::test]
async fn a_released_lease_is_free_at_once_and_its_epoch_goes_on() {
    let (mut one, mut two) = two();
    assert_eq!(one.database.observe("scheduler").await.unwrap(), None);
    for epoch in 1..4 {
        let lease = one.try_acquire().await.expect("a free lease");
        assert_eq!(lease.epoch(), 2 * epoch - 1);
        let token = lease.token().clone();
        lease.release().await.unwrap();
        assert!(matches!(write(&one.database, &token).await, Err(DatabaseError::LeaseLost { .. })));
        let view = one.database.observe("scheduler").await.unwrap().expect("a lease");
        assert_eq!((view.holder, view.epoch), (None, 2 * epoch - 1));
        let lease = two.try_acquire().await.expect("a free lease");
        lease.release().await.unwrap();
    }
}

#[tokio::test]
async fn a_lease_is_part_of_a_larger_transaction() {
    let (one, _) = two();
    let done: Done<_> = one
        .database
        .transact_with(&one.contender, |transaction, contender| {
            Box::pin(async move {
                let lease = contender.acquire_in(transaction).await?.expect("a free lease");
                transaction.put(&Effects(vec![lease.epoch()])).await?;
                Ok(lease)
            })
        })
        .await;
    let lease = done.unwrap();
    assert!(lease.is_held());
    let done: Done = one
        .database
        .transact_with(lease.token(), |transaction, token| {
            Box::pin(async move {
                transaction.put(&Effects(vec![token.epoch(), 0])).await?;
                transaction.release(token).await
            })
        })
        .await;
    done.unwrap();
    assert_eq!(one.database.observe("scheduler").await.unwrap().unwrap().holder, None);
}

#[tokio::test]
async fn a_renewal_at_the_same_time_does_not_fail_a_fenced_write() {
    let (mut one, _) = two();
    let lease = one.try_acquire().await.expect("a free lease");
    let mut attempts = 0;
    let token = lease.token().clone();
    let done: Done = one
        .database
        .transact(|transaction| {
            attempts += 1;
            let (first, token) = (attempts == 1, token.clone());
            Box::pin(async move {
                transaction.fence(&token).await?;
                if first {
                    let database = transaction.database().clone();
                    let renewed: Done =
                        database.transact_with(&token, |tx, token| Box::pin(tx.renew(token))).await;
                    renewed?;
                }
                transaction.put(&Effects(vec![1])).await
            })
        })
        .await;
    done.unwrap();
    assert_eq!(attempts, 2);
}

/// The clocks of a schedule: as different as a lease allows.
fn participants(store: &Arc<dyn Store>, random: &Random) -> Vec<Participant> {
    (0..4)
        .map(|at| {
            let offset = Duration::from_secs(random.below(100_000));
            let rate = 0.89 + random.below(22) as f64 / 100.0;
            Participant::new(store, &format!("p{at}"), offset, rate)
        })
        .collect()
}

/// One step of one participant. Effects in the wrong order are for the caller to find.
async fn step(one: &mut Participant, random: &Random, epochs: &RefCell<Vec<u64>>) {
    match random.below(8) {
        0..=2 => {
            if let Some(lease) = one.try_acquire().await {
                epochs.borrow_mut().push(lease.epoch());
                one.lease = Some(lease);
            }
        }
        // Written without a look at the clock: the fence alone has to hold.
        3..=5 => {
            if let Some(lease) = &one.lease {
                match write(&one.database, lease.token()).await {
                    Ok(()) | Err(DatabaseError::LeaseLost { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        6 => {
            if let Some(lease) = &mut one.lease {
                let late = !lease.is_held();
                match lease.renew().await {
                    Ok(()) => {}
                    Err(DatabaseError::LeaseLost { .. }) => one.lease = None,
                    Err(error) => panic!("{error} (late: {late})"),
                }
            }
        }
        _ => {
            if random.below(3) == 0
                && let Some(lease) = one.lease.take()
            {
                lease.release().await.unwrap();
            }
        }
    }
}

async fn effects_are_in_order(participant: &Participant, epochs: &[u64]) -> usize {
    let effects: Effects = participant.database.get(&0).await.unwrap().unwrap_or_default();
    assert!(effects.0.is_sorted(), "{:?}", effects.0);
    let mut sorted = epochs.to_vec();
    sorted.sort_unstable();
    // Every epoch was given to one holder.
    assert!(sorted.windows(2).all(|pair| pair[0] < pair[1]), "{epochs:?}");
    effects.0.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Step by step: at no instant do two count on the lease by their clocks.
    #[test]
    fn one_at_a_time_holds_the_lease(seed in any::<u64>()) {
        run(async {
            let random = Random::new(seed);
            let store: Arc<dyn Store> = TestStore::new(None);
            let mut all = participants(&store, &random);
            let epochs = RefCell::default();
            for _ in 0..300 {
                let time = Duration::from_millis(random.below(3000));
                all.iter().for_each(|participant| participant.pass(time));
                let at = random.below(4) as usize;
                step(&mut all[at], &random, &epochs).await;
                let holders = all
                    .iter()
                    .filter(|one| one.lease.as_ref().is_some_and(Lease::is_held))
                    .count();
                assert!(holders <= 1, "{holders} hold the lease");
            }
            let epochs = epochs.into_inner();
            assert!(epochs.is_sorted());
            effects_are_in_order(&all[0], &epochs).await;
        });
    }

    /// All at once, interleaved at each call of a store that loses answers.
    #[test]
    fn effects_are_in_the_order_of_the_epochs(seed in any::<u64>()) {
        run(async {
            let random = Random::new(seed);
            let store: Arc<dyn Store> = TestStore::new(Some(seed));
            let epochs = RefCell::default();
            let mut all = participants(&store, &random);
            let clocks: Vec<_> = all.iter().map(|one| (one.clock.clone(), one.rate)).collect();
            futures_util::future::join_all(all.iter_mut().map(async |one| {
                for _ in 0..40 {
                    let time = Duration::from_millis(random.below(1500));
                    clocks.iter().for_each(|(clock, rate)| clock.advance(time.mul_f64(*rate)));
                    step(one, &random, &epochs).await;
                }
            }))
            .await;
            effects_are_in_order(&all[0], &epochs.into_inner()).await;
        });
    }
}

/// The schedules above would say nothing if leases hardly changed hands.
#[test]
fn the_schedules_are_eventful() {
    run(async {
        let random = Random::new(7);
        let store: Arc<dyn Store> = TestStore::new(None);
        let mut all = participants(&store, &random);
        let epochs = RefCell::default();
        for _ in 0..300 {
            all.iter().for_each(|one| one.pass(Duration::from_millis(1500)));
            let at = random.below(4) as usize;
            step(&mut all[at], &random, &epochs).await;
        }
        let epochs = epochs.into_inner();
        assert!(epochs.len() > 10, "{epochs:?}");
        assert!(effects_are_in_order(&all[0], &epochs).await > 20);
    });
}
