//! The store on PostgreSQL, on a real server.
#![cfg(feature = "postgres")]

mod common;

use common::needs;
use common::servers::{PgBouncer, PostgresServer};
use common::sql::{self, Namespace};
use pikoci_core::store::{Key, Outcome, Txn};
use pikoci_core::testkit::conformance::store::{StoreFixture, what_was_read_cannot_change_unseen};
use pikoci_store::{OpenErrorKind, open_store};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use url::Url;
use uuid::Uuid;

const SERVER: &str = "PIKOCI_TEST_POSTGRES";

/// Runs statements on the server.
async fn run(url: &str, statements: &str) {
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
        .execute(&mut connection)
        .await
        .expect("they run");
}

/// A schema of its own.
fn namespace_on(server: &str) -> (Namespace, String) {
    let schema = sql::unique_name();
    let mut url = Url::parse(server).expect("a URL");
    url.query_pairs_mut().append_pair("schema", &schema);
    let (server, dropped) = (server.to_owned(), schema.clone());
    let namespace = Namespace::new(url, "disable", move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(run(&server, &format!("DROP SCHEMA IF EXISTS {dropped} CASCADE")));
    });
    (namespace, schema)
}

sql::sql_store_tests!("a test of PostgreSQL", SERVER, namespace_on, 21);

#[tokio::test]
async fn a_newer_format_is_refused() {
    let Some(server) = needs("a test of PostgreSQL", SERVER) else { return };
    let (namespace, schema) = namespace_on(&server);
    let newer = format!("UPDATE {schema}.pikoci_format SET version = 2");
    sql::a_newer_format_is_refused(namespace, async || run(&server, &newer).await).await;

    let (namespace, schema) = namespace_on(&server);
    let table = format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.pikoci_format (x int)");
    run(&server, &table).await;
    let error = open_store(&namespace.url()).await.expect_err("it is not ours");
    assert_eq!(error.kind, OpenErrorKind::Format);
}

#[tokio::test]
async fn a_password_never_shows() {
    let Some(server) = needs("a test of PostgreSQL", SERVER) else { return };
    let (namespace, _) = namespace_on(&server);
    let mut url = Url::parse(&namespace.url()).expect("a URL");
    sql::a_password_never_shows(url.clone()).await;
    url.set_path("no such database");
    sql::a_password_never_shows(url).await;
}

/// What a statement answers in its first column.
async fn ask(url: &str, statement: &str) -> String {
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    let row = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .fetch_one(&mut connection)
        .await
        .expect("it runs");
    row.try_get(0).expect("a text")
}

fn put(key: &str, value: &str) -> Txn {
    let key = Key::new(key.to_owned()).expect("a key");
    Txn::new(Uuid::now_v7()).put(key, value.to_owned())
}

#[tokio::test]
async fn a_user_without_rights_is_told_what_to_grant() {
    let Some(server) = needs("a test of PostgreSQL", SERVER) else { return };
    let (namespace, schema) = namespace_on(&server);
    let user = format!("u{schema}");
    run(&server, &format!("CREATE ROLE {user} LOGIN")).await;
    let mut url = Url::parse(&namespace.url()).expect("a URL");
    url.set_username(&user).expect("a user");
    let error = open_store(url.as_str()).await.expect_err("it may not");
    assert_eq!(error.kind, OpenErrorKind::Refused);
    assert!(error.message.contains("GRANT CREATE ON DATABASE"), "{error}");

    // Once the tables are there, the right to use them is enough.
    namespace.open().await.close().await.expect("it closes");
    let grant = format!(
        "GRANT USAGE ON SCHEMA {schema} TO {user}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {user}"
    );
    run(&server, &grant).await;
    let store = sql::open(&url).await;
    assert!(matches!(store.commit(&put("a", "1")).await, Ok(Outcome::Committed(_))));
    store.close().await.expect("it closes");
    run(&server, &format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_is_set_to_does_not_matter() {
    let Some(server) = needs("a test of PostgreSQL", SERVER) else { return };
    let (namespace, schema) = namespace_on(&server);
    let user = format!("u{schema}");
    let settings = [
        "default_transaction_isolation = 'repeatable read'",
        "synchronous_commit = off",
        "bytea_output = 'escape'",
        "standard_conforming_strings = off",
        "search_path = ''",
        "statement_timeout = '1h'",
        "row_security = off",
    ];
    run(&server, &format!("CREATE ROLE {user} SUPERUSER LOGIN")).await;
    for setting in settings {
        run(&server, &format!("ALTER ROLE {user} SET {setting}")).await;
    }
    let mut url = Url::parse(&namespace.url()).expect("a URL");
    url.set_username(&user).expect("a user");
    sql::what_is_put_is_found(&*sql::open(&url).await).await;
    // Where each commit saw what there was before it had its locks, this would fail.
    let mut fixture = StoreFixture::new(sql::open(&url).await);
    fixture.other = Some(sql::open(&url).await);
    fixture.remembers_commits = true;
    what_was_read_cannot_change_unseen(&fixture).await;
    fixture.end().await;

    let server_as_user = {
        let mut url = Url::parse(&server).expect("a URL");
        url.set_username(&user).expect("a user");
        url.to_string()
    };
    assert_eq!(ask(&server_as_user, "SHOW synchronous_commit").await, "off");
    let commit = format!(
        "SELECT {schema}.pikoci_commit_1(gen_random_uuid(), false, '{{}}', '{{}}', \
         ARRAY['x'::bytea], ARRAY['x'::bytea], '{{}}')"
    );
    let mut connection = PgConnection::connect(&server_as_user).await.expect("a connection");
    let rows = sqlx::raw_sql(AssertSqlSafe(format!("{commit}; SHOW synchronous_commit")))
        .fetch_all(&mut connection)
        .await
        .expect("it runs");
    assert_eq!(rows[1].get::<&str, _>(0), "on");
    drop(connection);
    drop(namespace);
    run(&server, &format!("DROP OWNED BY {user} CASCADE; DROP ROLE {user}")).await;
}

#[tokio::test]
async fn old_commits_are_forgotten() {
    let Some(server) = needs("a test of PostgreSQL", SERVER) else { return };
    let (namespace, schema) = namespace_on(&server);
    let store = namespace.open().await;
    let old = format!(
        "INSERT INTO {schema}.pikoci_commits SELECT gen_random_uuid(), 1, now() - interval '2 hours' \
         FROM generate_series(1, 500); \
         INSERT INTO {schema}.pikoci_commits SELECT gen_random_uuid(), 1, now() - interval '30 minutes' \
         FROM generate_series(1, 7)"
    );
    run(&server, &old).await;
    for at in 0..256 {
        store.commit(&put("a", &at.to_string())).await.expect("it commits");
    }
    let left = ask(&server, &format!("SELECT count(*)::text FROM {schema}.pikoci_commits")).await;
    assert_eq!(left, (256 + 7).to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_through_a_pooler() {
    let Some(server) = needs("a test of PostgreSQL", SERVER) else { return };
    if needs("a test with PgBouncer", "PIKOCI_TEST_PGBOUNCER").is_none() {
        return;
    }
    let (namespace, _) = namespace_on(&server);
    let pooler = PgBouncer::start(&Url::parse(&server).expect("a URL")).await;
    let url = namespace.through(pooler.address());
    sql::what_is_put_is_found(&*sql::open(&url).await).await;
    // More of ours than the pooler has of the server's.
    let load = common::load::Load::start(sql::open(&url).await);
    common::eventually("they count", async || load.done() > 200).await;
    load.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_count_is_lost_to_a_crash_of_the_server() {
    let Some(programs) = needs("a crash of PostgreSQL", "PIKOCI_TEST_POSTGRES_BIN") else { return };
    let mut server = PostgresServer::start(&programs).await;
    // It listens before it is ready.
    let url = server.url();
    common::eventually("it is ready", async || open_store(url.as_str()).await.is_ok()).await;
    let store = sql::open(&url).await;
    sql::no_count_is_lost_to_a_crash(store, 5, async || server.crash().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stopped_taking_writes_is_left() {
    let Some(programs) = needs("a failover", "PIKOCI_TEST_POSTGRES_BIN") else { return };
    let old = PostgresServer::start(&programs).await;
    let new = PostgresServer::start(&programs).await;
    let (old, new) = (old.url(), new.url());
    for url in [&old, &new] {
        common::eventually("it is ready", async || open_store(url.as_str()).await.is_ok()).await;
    }
    let stop = async || {
        run(old.as_str(), "ALTER SYSTEM SET default_transaction_read_only = on").await;
        run(old.as_str(), "SELECT pg_reload_conf()").await;
        common::eventually("it takes no writes", async || {
            ask(old.as_str(), "SHOW default_transaction_read_only").await == "on"
        })
        .await;
    };
    sql::a_server_that_stopped_taking_writes_is_left(&old, &new, stop).await;
}
