//! The store on MySQL or MariaDB, on a real server.
#![cfg(feature = "mysql")]

mod common;

use common::needs;
use common::servers::MariaDbServer;
use common::sql::{self, Namespace};
use pikoci_core::store::{Key, Outcome, StoreErrorKind, Txn};
use pikoci_core::testkit::conformance::store::{
    StoreFixture, a_commit_is_seen_whole_or_not_at_all, what_was_read_cannot_change_unseen,
};
use pikoci_store::{OpenErrorKind, open_store};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, Row};
use url::Url;
use uuid::Uuid;

const SERVER: &str = "PIKOCI_TEST_MYSQL";

/// Runs statements on the server.
async fn run(url: &str, statements: &str) {
    let mut connection = MySqlConnection::connect(url).await.expect("a connection");
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
        .execute(&mut connection)
        .await
        .expect("they run");
}

/// Tables with a prefix of their own.
fn namespace_on(server: &str) -> (Namespace, String) {
    let prefix = format!("{}_", sql::unique_name());
    let mut url = Url::parse(server).expect("a URL");
    url.query_pairs_mut().append_pair("prefix", &prefix);
    let tables =
        ["format", "entries", "commits", "stripes"].map(|table| format!("`{prefix}{table}`"));
    let (server, drop) = (server.to_owned(), format!("DROP TABLE IF EXISTS {}", tables.join(",")));
    let namespace = Namespace::new(url, "disabled", move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(run(&server, &drop));
    });
    (namespace, prefix)
}

sql::sql_store_tests!("a test of MySQL or MariaDB", SERVER, namespace_on, 22);

#[tokio::test]
async fn a_newer_format_is_refused() {
    let Some(server) = needs("a test of MySQL or MariaDB", SERVER) else { return };
    let (namespace, prefix) = namespace_on(&server);
    let newer = format!("UPDATE {prefix}format SET version = 2");
    sql::a_newer_format_is_refused(namespace, async || run(&server, &newer).await).await;

    let (namespace, prefix) = namespace_on(&server);
    run(&server, &format!("CREATE TABLE {prefix}format (x int)")).await;
    let error = open_store(&namespace.url()).await.expect_err("it is not ours");
    assert_eq!(error.kind, OpenErrorKind::Format);
}

#[tokio::test]
async fn a_password_never_shows() {
    let Some(server) = needs("a test of MySQL or MariaDB", SERVER) else { return };
    let (namespace, _) = namespace_on(&server);
    let mut url = Url::parse(&namespace.url()).expect("a URL");
    sql::a_password_never_shows(url.clone()).await;
    url.set_path("no such database");
    sql::a_password_never_shows(url).await;
}

/// What a statement answers in its first column.
async fn ask(url: &str, statement: &str) -> i64 {
    let mut connection = MySqlConnection::connect(url).await.expect("a connection");
    let row = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .fetch_one(&mut connection)
        .await
        .expect("it runs");
    row.try_get(0).expect("a number")
}

fn put(key: &str, value: &str) -> Txn {
    let key = Key::new(key.to_owned()).expect("a key");
    Txn::new(Uuid::now_v7()).put(key, value.to_owned())
}

#[tokio::test]
async fn a_user_without_rights_is_told_what_to_grant() {
    let Some(server) = needs("a test of MySQL or MariaDB", SERVER) else { return };
    let (namespace, prefix) = namespace_on(&server);
    // Names of users are short.
    let user = format!("u{}", &prefix[prefix.len() - 12..]);
    run(&server, &format!("CREATE USER {user}; GRANT SELECT ON *.* TO {user}")).await;
    let mut url = Url::parse(&namespace.url()).expect("a URL");
    url.set_username(&user).expect("a user");
    let error = open_store(url.as_str()).await.expect_err("it may not");
    assert_eq!(error.kind, OpenErrorKind::Refused, "{error:?}");
    assert!(error.message.contains("GRANT SELECT, INSERT"), "{error}");

    // Once the tables are there, the right to use them is enough.
    namespace.open().await.close().await.expect("it closes");
    let database = url.path().trim_start_matches('/').to_owned();
    run(&server, &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO {user}")).await;
    let store = sql::open(&url).await;
    assert!(matches!(store.commit(&put("a", "1")).await, Ok(Outcome::Committed(_))));
    store.close().await.expect("it closes");
    run(&server, &format!("DROP USER {user}")).await;
}

#[tokio::test]
async fn old_commits_are_forgotten() {
    let Some(server) = needs("a test of MySQL or MariaDB", SERVER) else { return };
    let (namespace, prefix) = namespace_on(&server);
    let store = namespace.open().await;
    store.commit(&put("a", "1")).await.expect("it commits");
    let old = (0..500).map(|at| format!("(x'{at:032}', 0, UTC_TIMESTAMP() - INTERVAL 2 HOUR)"));
    let old: Vec<String> = old.collect();
    let insert = format!("INSERT INTO {prefix}commits (id, conflict, done_at) VALUES ");
    run(&server, &(insert + &old.join(","))).await;
    for at in 0..256 {
        store.commit(&put("a", &at.to_string())).await.expect("it commits");
    }
    let left = ask(&server, &format!("SELECT COUNT(*) FROM {prefix}commits")).await;
    assert_eq!(left, 257);
}

#[tokio::test]
async fn missing_locks_are_told() {
    let Some(server) = needs("a test of MySQL or MariaDB", SERVER) else { return };
    let (namespace, prefix) = namespace_on(&server);
    let store = namespace.open().await;
    run(&server, &format!("DELETE FROM {prefix}stripes")).await;
    let error = store.commit(&put("a", "1")).await.expect_err("there are no locks");
    assert_eq!(error.kind, StoreErrorKind::Damaged);
    assert!(error.message.contains("stripes"), "{error}");
    assert_eq!(ask(&server, &format!("SELECT COUNT(*) FROM {prefix}entries")).await, 0);
}

#[tokio::test]
async fn what_names_no_database_is_refused() {
    let Some(server) = needs("a test of MySQL or MariaDB", SERVER) else { return };
    let mut url = Url::parse(&server).expect("a URL");
    for (path, kind, said) in [
        ("", OpenErrorKind::Url, "names no database"),
        ("/no_such_database", OpenErrorKind::Refused, "no such database"),
    ] {
        url.set_path(path);
        let error = open_store(url.as_str()).await.expect_err(path);
        assert_eq!(error.kind, kind, "{error:?}");
        assert!(error.message.contains(said), "{error}");
    }
}

/// Settings that change what statements mean.
const ODD: &[&str] = &[
    "--transaction-isolation=READ-UNCOMMITTED",
    "--autocommit=0",
    "--completion-type=CHAIN",
    "--sql-mode=ANSI,NO_BACKSLASH_ESCAPES,TRADITIONAL",
    "--character-set-server=latin1",
    "--default-storage-engine=Aria",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_a_crash_nor_odd_settings_lose_a_count() {
    let Some(programs) = needs("a crash of MariaDB", "PIKOCI_TEST_MARIADB_BIN") else { return };
    let mut server = MariaDbServer::start(&programs, ODD).await;
    sql::what_is_put_is_found(&*sql::open(&server.url()).await).await;
    let mut fixture = StoreFixture::new(sql::open(&server.url()).await);
    fixture.other = Some(sql::open(&server.url()).await);
    fixture.remembers_commits = true;
    a_commit_is_seen_whole_or_not_at_all(&fixture).await;
    what_was_read_cannot_change_unseen(&fixture).await;
    fixture.end().await;

    // What is not committed is not seen.
    let store = sql::open(&server.url()).await;
    let mut other = MySqlConnection::connect(server.url().as_str()).await.expect("a connection");
    let unfinished = "START TRANSACTION; INSERT INTO pikoci_entries VALUES ('dirty', 1, '')";
    sqlx::raw_sql(unfinished).execute(&mut other).await.expect("it runs");
    let found = store.get(&[Key::new("dirty").expect("a key")]).await.expect("it can be read");
    assert_eq!(found, [None]);
    drop(other);

    let store = sql::open(&server.url()).await;
    sql::no_count_is_lost_to_a_crash(store, 5, async || server.crash().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_writes_is_told() {
    let Some(programs) = needs("a replica", "PIKOCI_TEST_MARIADB_BIN") else { return };
    let server = MariaDbServer::start(&programs, &[]).await;
    let url = server.url();
    let store = sql::open(&url).await;
    store.commit(&put("a", "1")).await.expect("it commits");
    run(url.as_str(), "SET GLOBAL read_only = 1").await;
    // Also for an administrator, whom the server itself lets write.
    let (key, txn) = ([Key::new("a").expect("a key")], put("a", "2"));
    let (done, found) = tokio::join!(store.commit(&txn), store.get(&key));
    let errors = [done.expect_err("it takes no writes"), found.expect_err("it may lag behind")];
    for error in errors {
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
        assert!(error.message.contains("replica"), "{error}");
    }
    run(url.as_str(), "SET GLOBAL read_only = 0").await;
    store.commit(&put("a", "3")).await.expect("it commits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stopped_taking_writes_is_left() {
    let Some(programs) = needs("a failover", "PIKOCI_TEST_MARIADB_BIN") else { return };
    let old = MariaDbServer::start(&programs, &[]).await;
    let new = MariaDbServer::start(&programs, &[]).await;
    let (old, new) = (old.url(), new.url());
    let stop = async || run(old.as_str(), "SET GLOBAL read_only = 1").await;
    sql::a_server_that_stopped_taking_writes_is_left(&old, &new, stop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_may_lose_commits_is_refused_unless_that_is_asked_for() {
    let Some(programs) = needs("odd settings", "PIKOCI_TEST_MARIADB_BIN") else { return };
    let server = MariaDbServer::start(&programs, &["--innodb-flush-log-at-trx-commit=2"]).await;
    let mut url = server.url();
    let error = open_store(url.as_str()).await.expect_err("it may lose commits");
    assert_eq!(error.kind, OpenErrorKind::Refused, "{error:?}");
    for said in ["SET GLOBAL innodb_flush_log_at_trx_commit = 1", "durability=server"] {
        assert!(error.message.contains(said), "{error}");
    }
    url.query_pairs_mut().append_pair("durability", "server");
    sql::what_is_put_is_found(&*sql::open(&url).await).await;

    drop(server);
    let server = MariaDbServer::start(&programs, &["--log-bin", "--sync-binlog=0"]).await;
    let error = open_store(server.url().as_str()).await.expect_err("it may lose commits");
    assert!(error.message.contains("SET GLOBAL sync_binlog = 1"), "{error}");
    run(server.url().as_str(), "SET GLOBAL sync_binlog = 1").await;
    sql::what_is_put_is_found(&*sql::open(&server.url()).await).await;
}
