//! A cluster that asks for a user and a password.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use pikoci_core::store::KeyRange;
use pikoci_store::{OpenErrorKind, open_store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{Member, available, chain, key, open, txn};

/// The URL with this login.
fn with_login(url: &str, login: &str) -> String {
    url.replacen("://", &format!("://{login}@"), 1)
}

/// A member that knows `root` and, for the prefix `test/`, `ci`.
async fn member_with_users() -> Member {
    let member = Member::single("http", &[]);
    open(&member.fresh_url()).await;
    for arguments in [
        "user add root:secret",
        "user grant-role root root",
        "role add ci",
        "role grant-permission --prefix=true ci readwrite test/",
        "user add ci:p@ss:word",
        "user grant-role ci ci",
        "auth enable",
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        member.control(&arguments);
    }
    member
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_used_and_renewed() {
    if !available("a login") {
        return;
    }
    let mut member = member_with_users().await;
    let url = with_login(&member.fresh_url(), "ci:p%40ss:word");
    let store = open(&url).await;
    assert!(!format!("{store} {store:?}").contains("p%40ss"), "{store}");
    store.commit(&txn().put(key("it"), "1")).await.expect("done");
    let mut bell = store.watch(&KeyRange::all()).expect("a native watch");
    assert!(bell.next().await.is_some());

    // A member that starts anew knows no token.
    member.kill();
    member.start();
    store.commit(&txn().put(key("it"), "3")).await.expect("done after a restart");
    let ring = async { bell.next().await };
    assert!(tokio::time::timeout(Duration::from_secs(30), ring).await.expect("a ring").is_some());
}

/// How many logins the member answered so far.
async fn logins(member: &Member) -> u64 {
    let mut stream = TcpStream::connect(&member.address).await.expect("a connection");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.expect("it is sent");
    let mut metrics = String::new();
    stream.read_to_string(&mut metrics).await.expect("an answer");
    let counted = metrics.lines().filter(|line| {
        line.starts_with("grpc_server_started_total") && line.contains("\"Authenticate\"")
    });
    counted.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_without_the_right_logs_in_less_and_less_often() {
    if !available("a watch without the right") {
        return;
    }
    let member = member_with_users().await;
    let url = with_login(&member.fresh_url(), "ci:p%40ss:word");
    let store = open(&url).await;
    let revoke = "--user=root:secret role revoke-permission --prefix=true ci test/";
    member.control(&revoke.split(' ').collect::<Vec<_>>());
    let before = logins(&member).await;
    assert!(before > 0, "the count counts nothing");
    let mut bell = store.watch(&KeyRange::all()).expect("a native watch");
    let rung = tokio::time::timeout(Duration::from_secs(8), bell.next()).await;
    assert!(rung.is_err(), "it rang without the right");
    let again = logins(&member).await - before;
    assert!((3..=14).contains(&again), "{again} logins");

    let grant = "--user=root:secret role grant-permission --prefix=true ci readwrite test/";
    member.control(&grant.split(' ').collect::<Vec<_>>());
    let ring = tokio::time::timeout(Duration::from_secs(30), bell.next()).await;
    assert!(ring.expect("a ring").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_login_is_told_without_the_password() {
    if !available("a refused login") {
        return;
    }
    let member = member_with_users().await;
    for (url, told) in [
        (with_login(&member.fresh_url(), "ci:secret"), "authentication failed"),
        (with_login(&member.fresh_url(), "nobody:secret"), "authentication failed"),
        (member.fresh_url(), "say `etcd://user:password@…`"),
        (
            with_login(&member.fresh_url().replace("/test/", "/else/"), "ci:p%40ss:word"),
            "permission denied",
        ),
    ] {
        let started = Instant::now();
        let error = open_store(&url).await.expect_err("refused");
        assert_eq!(error.kind, OpenErrorKind::Refused, "{error:?}");
        let said = chain(&error);
        assert!(said.contains(told), "{said}");
        let all = format!("{error:?}");
        assert!(!all.contains("secret") && !all.contains("p@ss") && !all.contains("p%40"), "{all}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_nobody_asks_for_does_no_harm() {
    if !available("a login that nobody asks for") {
        return;
    }
    let url = crate::server::shared().await.fresh_url();
    let store = open(&with_login(&url, "ci:secret")).await;
    store.commit(&txn().put(key("it"), "1")).await.expect("done");
}
