//! What must hold for every store on a SQL server.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use pikoci_core::Store;
use pikoci_core::store::{Entry, Key, KeyRange, Order, Outcome, StoreErrorKind, Txn};
use pikoci_core::testkit::conformance::store::StoreFixture;
use pikoci_store::{OpenErrorKind, open_store};
use url::Url;
use uuid::Uuid;

use super::eventually;
use super::load::{Load, counted};
use super::proxy::{Direction, Proxy};

/// Tables of its own on a server, for one test; gone when dropped.
pub struct Namespace {
    url: Url,
    /// The value of the option `ssl-mode` that asks for no encryption, under
    /// which it could not be told where a request ends.
    plain: &'static str,
    remove: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Namespace {
    /// `url` names the tables, `remove` removes them.
    pub fn new(
        url: Url,
        plain: &'static str,
        remove: impl FnOnce() + Send + Sync + 'static,
    ) -> Self {
        Self { url, plain, remove: Some(Box::new(remove)) }
    }

    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// The same, reached by way of `address` and without encryption.
    pub fn through(&self, address: SocketAddr) -> Url {
        let mut url = self.url.clone();
        url.set_host(Some(&address.ip().to_string())).expect("a host");
        url.set_port(Some(address.port())).expect("a port");
        url.query_pairs_mut().append_pair("ssl-mode", self.plain);
        url
    }

    /// A proxy before the server.
    pub async fn proxy(&self) -> Proxy {
        let host = self.url.host_str().expect("a host");
        Proxy::start(format!("{host}:{}", self.url.port().expect("a port"))).await
    }

    pub async fn open(&self) -> Arc<dyn Store> {
        open(&self.url).await
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace({})", self.url)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Some(remove) = self.remove.take() {
            // On a thread without a runtime, so that it can wait.
            let removed = std::thread::spawn(remove).join();
            assert!(removed.is_ok() || std::thread::panicking(), "tables were left behind");
        }
    }
}

pub async fn open(url: &Url) -> Arc<dyn Store> {
    open_store(url.as_str()).await.expect("it opens")
}

/// A name that nobody else uses.
pub fn unique_name() -> String {
    format!("t_{}", Uuid::now_v7().simple())
}

fn key(name: &str) -> Key {
    Key::new(name.to_owned()).expect("a key")
}

fn put(name: &str, value: &str) -> Txn {
    Txn::new(Uuid::now_v7()).put(key(name), value.to_owned())
}

async fn commit(store: &dyn Store, txn: &Txn) -> u64 {
    match store.commit(txn).await.expect("it commits") {
        Outcome::Committed(revision) => revision.0,
        Outcome::Conflict => panic!("a conflict"),
    }
}

async fn get(store: &dyn Store, name: &str) -> Option<Entry> {
    store.get(&[key(name)]).await.expect("it can be read").remove(0)
}

/// What the conformance suite runs over.
pub async fn fixture(namespace: Namespace) -> StoreFixture {
    let url = namespace.url.clone();
    let reopen = move || -> BoxFuture<'static, Arc<dyn Store>> {
        let url = url.clone();
        Box::pin(async move { open(&url).await })
    };
    StoreFixture {
        store: namespace.open().await,
        other: Some(namespace.open().await),
        reopen: Some(Box::new(reopen)),
        remembers_commits: true,
        keep: Box::new(namespace),
    }
}

/// The simplest of all.
pub async fn what_is_put_is_found(store: &dyn Store) {
    let bytes: Vec<u8> = (0..=255).collect();
    let first =
        Txn::new(Uuid::now_v7()).check_absent(key("\\'\"")).put(key("\\'\""), bytes.clone());
    let revision = commit(store, &first).await;
    let found = get(store, "\\'\"").await.expect("it was put");
    assert_eq!((found.revision.0, &found.value[..]), (revision, &bytes[..]));
    let second = first.clone().delete(key("other"));
    let second = Txn { id: Uuid::now_v7(), ..second };
    assert_eq!(store.commit(&second).await.expect("an answer"), Outcome::Conflict);
    assert_eq!(commit(store, &first).await, revision);
    let all = store.scan(&KeyRange::all(), Order::Ascending, 10).await.expect("a scan");
    assert_eq!(all, [(key("\\'\""), found)]);
}

/// Each call is one round trip, whatever it holds.
pub async fn each_call_is_one_round_trip(namespace: Namespace) {
    let proxy = namespace.proxy().await;
    let store = open(&namespace.through(proxy.address())).await;
    let mut before = proxy.round_trips();
    let mut trips = || {
        let trips = proxy.round_trips() - before;
        before += trips;
        trips
    };
    let big = (0..15).fold(Txn::new(Uuid::now_v7()), |txn, at| {
        txn.check_absent(key(&format!("{at}"))).put(key(&format!("{at}")), vec![at; 64 * 1024])
    });
    commit(&*store, &big).await;
    assert_eq!(trips(), 1);
    assert_eq!(
        store.commit(&big.clone().check_absent(key("x"))).await.ok(),
        store.commit(&big).await.ok()
    );
    assert_eq!(trips(), 2);
    get(&*store, "1").await;
    assert_eq!(trips(), 1);
    let all = store.scan(&KeyRange::all(), Order::Descending, 1000).await.expect("a scan");
    assert_eq!(all.len(), 15);
    assert_eq!(trips(), 1);
    store.commit(&Txn::new(Uuid::now_v7()).check_absent(key("1"))).await.expect("a conflict");
    assert_eq!(trips(), 1);
    assert_eq!(proxy.connections(), 1);
    store.close().await.expect("it closes");
}

/// Eight programs that open the same place at once all find it ready.
pub async fn many_may_make_the_tables_at_once(namespace: Namespace) {
    let stores = join_all((0..8).map(|_| namespace.open())).await;
    let txn = put("a", "1");
    join_all(stores.iter().map(|store| commit(&**store, &txn))).await;
    for store in &stores {
        assert!(get(&**store, "a").await.is_some());
        store.close().await.expect("it closes");
    }
}

/// What was written by a newer version is left alone. `newer` makes it so.
pub async fn a_newer_format_is_refused(namespace: Namespace, newer: impl AsyncFnOnce()) {
    namespace.open().await.close().await.expect("it closes");
    newer().await;
    let error = open_store(&namespace.url()).await.expect_err("it is newer");
    assert_eq!(error.kind, OpenErrorKind::Format);
    assert!(error.message.contains("format 2") && error.message.contains("newer"), "{error}");
}

/// The connection is cut at each byte of a request and of its answer, and the
/// commit is done all the same, once.
pub async fn a_commit_survives_a_cut_at_any_byte(namespace: Namespace, step: usize) {
    let proxy = namespace.proxy().await;
    let mut url = namespace.through(proxy.address());
    url.query_pairs_mut().append_pair("pool", "1");
    let store = open(&url).await;
    let before = [Direction::Request, Direction::Answer].map(|way| (way, proxy.bytes(way)));
    let mut revision = commit(&*store, &put("size", "0000")).await;
    for (way, size) in before.map(|(way, before)| (way, proxy.bytes(way) - before)) {
        assert!(size > 0);
        for after in (0..=size).step_by(step) {
            proxy.cut_after(way, after);
            let value = format!("{after:04}");
            let txn = put("size", &value);
            let done = commit(&*store, &txn).await;
            assert!(done > revision, "{way:?} {after}: {done} after {revision}");
            let found = get(&*store, "size").await.expect("it was put");
            assert_eq!((found.revision.0, &*found.value), (done, value.as_bytes()), "{after}");
            // Once more tells the same.
            assert_eq!(commit(&*store, &txn).await, done);
            revision = done;
        }
    }
    store.close().await.expect("it closes");
}

/// Random cuts while eight writers count: nothing is lost and nothing done twice.
pub async fn no_count_is_lost_to_cuts(namespace: Namespace, cuts: u32) {
    let proxy = namespace.proxy().await;
    let load = Load::start(open(&namespace.through(proxy.address())).await);
    for _ in 0..cuts {
        let random = Uuid::now_v7().as_u64_pair().1;
        let way = if random.is_multiple_of(2) { Direction::Request } else { Direction::Answer };
        proxy.cut_after(way, (random >> 8) % 6000);
        eventually("a cut", async || !proxy.cut_is_due()).await;
    }
    let done = load.finish().await;
    assert!(done > u64::from(cuts) / 4, "only {done} in {cuts} cuts");
}

/// A commit that could not be settled is told to be unknown, and settled by
/// committing the same again.
pub async fn an_unknown_outcome_is_settled_by_the_same_again(namespace: Namespace) {
    let proxy = namespace.proxy().await;
    let store = open(&namespace.through(proxy.address())).await;
    commit(&*store, &put("a", "1")).await;

    proxy.hold(true);
    let txn = put("a", "2");
    let started = Instant::now();
    let error = store.commit(&txn).await.expect_err("nothing goes through");
    assert_eq!(error.kind, StoreErrorKind::Unknown, "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(30));

    proxy.hold(false);
    let revision = commit(&*store, &txn).await;
    assert_eq!(commit(&*store, &txn).await, revision);
    let found = get(&*store, "a").await.expect("it was put");
    assert_eq!((&*found.value, found.revision.0), (&b"2"[..], revision));
}

/// While nothing was sent the outcome is never unknown.
pub async fn a_server_that_is_away_is_unavailable(namespace: Namespace) {
    let proxy = namespace.proxy().await;
    let store = open(&namespace.through(proxy.address())).await;
    proxy.refuse(true);
    proxy.cut();
    eventually("the cut", async || store.get(&[key("a")]).await.is_err()).await;
    let started = Instant::now();
    let error = store.commit(&put("a", "1")).await.expect_err("nobody is there");
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(30));
    proxy.refuse(false);
    commit(&*store, &put("a", "1")).await;
    // Nobody listens there any more.
    let url = namespace.through(proxy.address());
    drop((proxy, store));
    let error = open_store(url.as_str()).await.expect_err("nobody is there");
    assert_eq!(error.kind, OpenErrorKind::Unavailable, "{error:?}");
}

/// A request that reaches the server after its sender asked again, and was
/// told that there is a conflict, does nothing.
pub async fn a_late_copy_cannot_do_what_was_answered_not_to_be(namespace: Namespace) {
    let proxy = namespace.proxy().await;
    let store = open(&namespace.through(proxy.address())).await;
    let direct = namespace.open().await;
    let late = Txn::new(Uuid::now_v7()).check_absent(key("a")).put(key("b"), "late");

    proxy.hold_present();
    let received = proxy.received();
    let sender = Arc::clone(&store);
    let copy = late.clone();
    let sending = tokio::spawn(async move { sender.commit(&copy).await });
    eventually("the request is sent", async || proxy.received() > received).await;
    sending.abort();
    assert!(sending.await.expect_err("it waits").is_cancelled());

    commit(&*direct, &put("a", "1")).await;
    assert_eq!(store.commit(&late).await.expect("an answer"), Outcome::Conflict);
    commit(&*direct, &Txn::new(Uuid::now_v7()).delete(key("a"))).await;

    let answered = proxy.bytes(Direction::Answer);
    proxy.hold(false);
    eventually("the late copy is answered", async || proxy.bytes(Direction::Answer) > answered)
        .await;
    assert_eq!(get(&*direct, "b").await, None);
    assert_eq!(store.commit(&late).await.expect("an answer"), Outcome::Conflict);
}

/// More calls than connections wait for their turn.
pub async fn calls_wait_for_a_connection(namespace: Namespace) {
    let proxy = namespace.proxy().await;
    let mut url = namespace.through(proxy.address());
    url.query_pairs_mut().append_pair("pool", "2");
    let store = open(&url).await;
    let puts: Vec<Txn> = (0..64).map(|at| put(&format!("{at:02}"), "x")).collect();
    join_all(puts.iter().map(|txn| commit(&*store, txn))).await;
    assert!(proxy.connections() <= 2, "{} connections", proxy.connections());
    let all = store.scan(&KeyRange::all(), Order::Ascending, 1000).await.expect("a scan");
    assert_eq!(all.len(), 64);

    // Both connections hang: who waits is told, and nothing of it was done.
    proxy.hold(true);
    let hanging = [put("h1", ""), put("h2", "")];
    let received = proxy.received();
    let mut hung = Box::pin(join_all(hanging.iter().map(|txn| store.commit(txn))));
    tokio::select! {
        _ = &mut hung => panic!("nothing goes through"),
        () = eventually("both are sent", async || proxy.received() > received + 400) => {}
    }
    let waiting = put("w", "");
    let error = tokio::select! {
        _ = &mut hung => panic!("nothing goes through"),
        waited = store.commit(&waiting) => waited.expect_err("no connection is free"),
    };
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.message.contains("all 2 connections were busy"), "{error}");
    assert!(error.message.contains("`?pool=`"), "{error}");

    // Closing waits for those that hang and are done after all.
    proxy.hold(false);
    let closing = store.close();
    let (done, closed) = tokio::join!(hung, closing);
    closed.expect("it closes");
    for outcome in done {
        assert!(matches!(outcome, Ok(Outcome::Committed(_))), "{outcome:?}");
    }
    let error = store.commit(&waiting).await.expect_err("it is closed");
    assert_eq!(error.kind, StoreErrorKind::Closed);
    let other = namespace.open().await;
    assert!(get(&*other, "h1").await.is_some() && get(&*other, "h2").await.is_some());
    assert!(get(&*other, "w").await.is_none());
}

/// The server is killed and started again while writers count. `restart` does it.
pub async fn no_count_is_lost_to_a_crash(
    store: Arc<dyn Store>,
    times: u32,
    mut restart: impl AsyncFnMut(),
) {
    let load = Load::start(Arc::clone(&store));
    for _ in 0..times {
        let before = load.done();
        eventually("they count", async || load.done() > before + 20).await;
        restart().await;
    }
    let before = load.done();
    eventually("they count again", async || load.done() > before + 20).await;
    let done = load.finish().await;
    assert_eq!(counted(&*store, "all").await, done);
    store.close().await.expect("it closes");
}

/// No error, name or debug text shows a password.
pub async fn a_password_never_shows(mut url: Url) {
    url.set_password(Some("very-secret")).expect("a password");
    let shown = match open_store(url.as_str()).await {
        Ok(store) => format!("{store} {store:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(shown.contains("***") && !shown.contains("very-secret"), "{shown}");
}

/// A server stops to take writes but not to answer, and its address leads to
/// another one from then on: the store goes there, with all its connections.
/// `old` and `new` tell where the servers are; `stop` makes the old one stop.
pub async fn a_server_that_stopped_taking_writes_is_left(
    old: &Url,
    new: &Url,
    stop: impl AsyncFnOnce(),
) {
    let address =
        |url: &Url| format!("{}:{}", url.host_str().expect("a host"), url.port().expect("a port"));
    let direct = open(new).await;
    let proxy = Proxy::start(address(old)).await;
    let mut url = old.clone();
    url.set_host(Some(&proxy.address().ip().to_string())).expect("a host");
    url.set_port(Some(proxy.address().port())).expect("a port");
    let store = open(&url).await;
    // Four connections then lie in the pool.
    proxy.hold(true);
    let puts = [put("a", "old"), put("b", "old"), put("c", "old"), put("d", "old")];
    let received = proxy.connections() + 3;
    let mut putting = Box::pin(join_all(puts.iter().map(|txn| commit(&*store, txn))));
    tokio::select! {
        _ = &mut putting => panic!("nothing goes through"),
        () = eventually("all connect", async || proxy.connections() >= received) => {}
    }
    proxy.hold(false);
    putting.await;

    stop().await;
    proxy.lead_to(address(new));
    let started = Instant::now();
    let txn = put("a", "new");
    let revision = commit(&*store, &txn).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let found = get(&*store, "a").await.expect("it was put");
    assert_eq!((&*found.value, found.revision.0), (&b"new"[..], revision));
    assert_eq!(get(&*direct, "a").await, Some(found));
    // One of the old connections was tried, and none is left.
    let connections = proxy.connections();
    let reads = join_all((0..4).map(|_| get(&*store, "b"))).await;
    assert_eq!(reads, [None, None, None, None], "the old server answered");
    assert!(proxy.connections() <= connections + 3, "{} connections", proxy.connections());
    store.close().await.expect("it closes");
    direct.close().await.expect("it closes");
}

/// What all SQL stores are tested for: the conformance suite, plain and behind
/// the faulty wrapper, and the tests of this file that take a namespace. `what`
/// is skipped unless the variable `server` is set; `on` makes a namespace on
/// the server that it names.
#[allow(unused_macros, reason = "each test file uses its part")]
macro_rules! sql_store_tests {
    ($what:literal, $server:expr, $on:path, $seed:literal) => {
        fn namespace() -> Option<Namespace> {
            needs($what, $server).map(|server| $on(&server).0)
        }

        mod conformance {
            use super::StoreFixture;

            async fn fixture() -> Option<StoreFixture> {
                match super::namespace() {
                    Some(namespace) => Some(super::sql::fixture(namespace).await),
                    None => None,
                }
            }

            pikoci_core::store_conformance!(fixture);

            mod faulty {
                use super::*;

                async fn faulty_fixture() -> Option<StoreFixture> {
                    Some(fixture().await?.faulty($seed))
                }

                pikoci_core::store_conformance!(faulty_fixture);
            }
        }

        $crate::common::sql::sql_store_tests! { @each
            each_call_is_one_round_trip();
            many_may_make_the_tables_at_once();
            a_commit_survives_a_cut_at_any_byte(7);
            no_count_is_lost_to_cuts(400);
            an_unknown_outcome_is_settled_by_the_same_again();
            a_server_that_is_away_is_unavailable();
            a_late_copy_cannot_do_what_was_answered_not_to_be();
            calls_wait_for_a_connection();
        }
    };
    (@each $($test:ident($($argument:expr),*);)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            if let Some(namespace) = namespace() {
                sql::$test(namespace, $($argument),*).await;
            }
        }
    )*};
}
#[allow(unused_imports, reason = "each test file uses its part")]
pub(crate) use sql_store_tests;
