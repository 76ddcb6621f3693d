//! Three members, of which some die.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pikoci_core::Store;
use pikoci_core::clock::SystemClock;
use pikoci_core::database::{Database, DatabaseError};
use pikoci_core::store::{KeyRange, Order};
use pikoci_core::testkit::conformance::store::concurrent_commits_are_linearizable;
use tokio::task::JoinSet;

use crate::common::proxy::Proxy;
use crate::server::{Member, available, fresh_url, key, open, txn, until};
use crate::suite::fixture_at;

/// Which member leads.
fn leader(members: &[Member]) -> Option<usize> {
    members.iter().position(|member| {
        let status = member.try_control(&["endpoint", "status", "--write-out=json"]);
        let Ok(status) = serde_json::from_str::<serde_json::Value>(&status.unwrap_or_default())
        else {
            return false;
        };
        let status = &status[0]["Status"];
        status["leader"].is_u64() && status["leader"] == status["header"]["member_id"]
    })
}

/// Waits until all members answer; which of them leads.
fn leader_of_all(members: &[Member]) -> usize {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let all = members.iter().all(|member| member.try_control(&["endpoint", "health"]).is_ok());
        if let (true, Some(led)) = (all, leader(members)) {
            return led;
        }
        assert!(Instant::now() < deadline, "the cluster did not come together");
    }
}

/// What the writers of counters count.
#[derive(Debug, Default)]
struct Tally {
    stop: AtomicBool,
    acknowledged: [AtomicU64; 3],
    /// The longest time between two acknowledgements of one writer, in milliseconds.
    longest_gap_ms: AtomicU64,
}

impl Tally {
    fn total(&self) -> u64 {
        self.acknowledged.iter().map(|count| count.load(Ordering::SeqCst)).sum()
    }

    /// Waits for so many more acknowledgements.
    async fn more(&self, count: u64) {
        let enough = self.total() + count;
        until("progress", async || self.total() >= enough).await;
    }
}

/// Adds 1 to a counter.
async fn increment(database: &Database, counter: usize) -> Result<(), DatabaseError> {
    let name = key(&format!("counter/{counter}"));
    database
        .transact(|transaction| {
            let name = name.clone();
            Box::pin(async move {
                let value = transaction.get_raw(&name).await?;
                let count = value.map_or(0, |value| {
                    String::from_utf8_lossy(&value).parse::<u64>().expect("a number")
                });
                transaction.put_raw(name, (count + 1).to_string());
                Ok(())
            })
        })
        .await
}

async fn write(database: Database, tally: Arc<Tally>, counter: usize) {
    let mut last = Instant::now();
    while !tally.stop.load(Ordering::SeqCst) {
        match increment(&database, counter).await {
            Ok(()) => {
                tally.acknowledged[counter].fetch_add(1, Ordering::SeqCst);
                let gap = u64::try_from(last.elapsed().as_millis()).expect("a short time");
                tally.longest_gap_ms.fetch_max(gap, Ordering::SeqCst);
                last = Instant::now();
            }
            Err(error) => panic!("an increment failed: {error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_is_lost_or_done_twice_while_members_die() {
    if !available("members that die") {
        return;
    }
    let mut members = Member::cluster();
    let proxies = [
        Proxy::start(members[0].address.clone()).await,
        Proxy::start(members[1].address.clone()).await,
        Proxy::start(members[2].address.clone()).await,
    ];
    let addresses = proxies.each_ref().map(|proxy| proxy.address().to_string());
    let url = fresh_url(&addresses.each_ref().map(|address| &**address));
    let tally = Arc::new(Tally::default());
    let mut writers = JoinSet::new();
    for number in 0..8 {
        // Each with a connection of its own, as other processes would have.
        let database = Database::new(open(&url).await, Arc::new(SystemClock::new()));
        writers.spawn(write(database, Arc::clone(&tally), number % 3));
    }
    tally.more(50).await;

    for round in 0..2 {
        let mut led = None;
        until("an election", async || {
            led = leader(&members);
            led.is_some()
        })
        .await;
        let led = led.expect("a leader");
        // First the leader, then one that follows.
        let dying = if round == 0 { led } else { (led + 1) % 3 };
        members[dying].kill();
        tally.more(50).await;
        members[dying].start();
        tally.more(50).await;
        for proxy in &proxies {
            proxy.cut();
            tally.more(20).await;
        }
    }
    // A connection over which nothing comes any more, and one that is refused.
    for proxy in &proxies {
        proxy.hold(true);
        proxy.refuse(true);
        tally.more(20).await;
        proxy.refuse(false);
        proxy.hold(false);
    }
    tally.stop.store(true, Ordering::SeqCst);
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer's end");
    }

    let store = open(&url).await;
    let found = store.scan(&KeyRange::all(), Order::Ascending, 10).await.expect("an answer");
    let counted: Vec<u64> = found
        .iter()
        .map(|(_, entry)| String::from_utf8_lossy(&entry.value).parse().expect("a number"))
        .collect();
    let acknowledged: Vec<u64> =
        tally.acknowledged.iter().map(|count| count.load(Ordering::SeqCst)).collect();
    assert_eq!(counted, acknowledged, "what is stored, and what was acknowledged");
    let gap = tally.longest_gap_ms.load(Ordering::SeqCst);
    assert!(gap < 25_000, "a writer waited {gap} ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_while_leaders_die_is_linearizable() {
    if !available("a history while leaders die") {
        return;
    }
    let mut members = Member::cluster();
    let addresses: Vec<String> = members.iter().map(|member| member.address.clone()).collect();
    let addresses: Vec<&str> = addresses.iter().map(|address| &**address).collect();
    let killing = tokio::task::spawn_blocking(move || {
        for _ in 0..3 {
            let led = leader_of_all(&members);
            members[led].kill();
            // Those that are left elect another.
            let deadline = Instant::now() + Duration::from_secs(60);
            while leader(&members).is_none() {
                assert!(Instant::now() < deadline, "no other leader was elected");
            }
            members[led].start();
        }
        leader_of_all(&members);
        members
    });
    while !killing.is_finished() {
        let fixture = fixture_at(fresh_url(&addresses)).await;
        concurrent_commits_are_linearizable(&fixture).await;
        fixture.end().await;
    }
    drop(killing.await.expect("three deaths"));
}

/// Makes every call; whether all work, and how long the slowest took.
async fn all_calls(store: &Arc<dyn Store>) -> (bool, Duration) {
    let timed = async |call: futures_util::future::BoxFuture<'_, bool>| {
        let started = Instant::now();
        (call.await, started.elapsed())
    };
    let keys = [key("it")];
    let all = KeyRange::all();
    let put = txn().put(key("it"), "1");
    let check = txn().check_absent(key("other"));
    let said = tokio::join!(
        timed(Box::pin(async { store.get(&keys).await.is_ok() })),
        timed(Box::pin(async { store.scan(&all, Order::Ascending, 1).await.is_ok() })),
        timed(Box::pin(async { store.commit(&put).await.is_ok() })),
        timed(Box::pin(async { store.commit(&check).await.is_ok() })),
    );
    let said = [said.0, said.1, said.2, said.3];
    let work = said.iter().filter(|(works, _)| *works).count();
    assert!(work == 0 || work == 4, "some calls work, some do not");
    (work == 4, said.iter().map(|(_, time)| *time).max().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_calls_end_in_errors_and_work_again_with_one() {
    if !available("a lost majority") {
        return;
    }
    let mut members = Member::cluster();
    let url = fresh_url(&[&members[0].address, &members[1].address, &members[2].address]);
    let store = open(&url).await;
    assert!(all_calls(&store).await.0);

    members[0].kill();
    members[1].kill();
    let (work, time) = all_calls(&store).await;
    assert!(!work, "one member of three answered");
    assert!(time < Duration::from_secs(30), "a call took {time:?}");

    members[0].start();
    until("a majority", async || store.get(&[key("it")]).await.is_ok()).await;
    assert!(all_calls(&store).await.0);
}
