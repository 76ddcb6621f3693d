//! The store in SQLite.

#![cfg(feature = "sqlite")]

use std::path::Path;
use std::sync::Arc;

use pikoci_core::testkit::conformance::store::StoreFixture;
use pikoci_store::store::SqliteStore;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

mod embedded;

use embedded::{Place, child, damage, life, size, trace};

const SCHEME: &str = "sqlite";

async fn fixture() -> Option<StoreFixture> {
    Some(embedded::fixture(SCHEME).await)
}

mod suite {
    pikoci_core::store_conformance!(super::fixture);
}

mod faulty {
    async fn fixture() -> Option<super::StoreFixture> {
        Some(super::fixture().await?.faulty(4))
    }

    pikoci_core::store_conformance!(fixture);
}

#[test]
#[ignore = "other tests start it as a process of its own"]
fn child() {
    child::run();
}

#[tokio::test]
async fn a_lock_tells_who_holds_it_and_ends_with_a_kill() {
    life::a_lock_tells_who_holds_it_and_ends_with_a_kill(SCHEME).await;
}

#[tokio::test]
async fn a_store_opened_twice_tells_that_this_process_holds_it() {
    life::a_store_opened_twice_tells_that_this_process_holds_it(SCHEME).await;
}

#[tokio::test]
async fn a_store_that_was_only_dropped_can_be_opened_again() {
    life::a_store_that_was_only_dropped_can_be_opened_again(SCHEME).await;
}

#[tokio::test]
async fn a_store_can_be_checked_after_a_kill_but_not_while_it_is_open() {
    let verify = SqliteStore::verify;
    life::a_store_can_be_checked_after_a_kill_but_not_while_it_is_open(SCHEME, verify).await;
}

#[tokio::test]
async fn what_is_acknowledged_was_synced() {
    trace::what_is_acknowledged_was_synced(SCHEME).await;
}

#[tokio::test]
async fn many_commits_share_a_sync() {
    let place = Place::new(SCHEME);
    let store = Arc::new(SqliteStore::open(place.path()).await.expect("a store"));
    life::many_commits_share_a_sync(store.clone(), || store.groups()).await;
}

#[tokio::test]
async fn commits_of_one_group_see_those_before_them() {
    life::commits_of_one_group_see_those_before_them(SCHEME).await;
}

#[tokio::test]
async fn a_commit_of_the_last_group_is_known_after_a_reopen() {
    life::a_commit_of_the_last_group_is_known_after_a_reopen(SCHEME).await;
}

#[tokio::test]
async fn files_are_for_their_owner_only() {
    life::files_are_for_their_owner_only(SCHEME).await;
}

#[tokio::test]
async fn a_place_that_cannot_be_made_is_told() {
    life::a_place_that_cannot_be_made_is_told(SCHEME).await;
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_taken_and_nothing_is_lost() {
    life::after_a_failed_write_nothing_is_taken_and_nothing_is_lost(SCHEME).await;
}

#[tokio::test]
async fn damage_is_told_and_nothing_wrong_is_read() {
    let verify = SqliteStore::verify;
    damage::damage_is_told_and_nothing_wrong_is_read(SCHEME, &[".lock"], verify).await;
}

/// What is stored has less than 1 MiB at any time.
#[tokio::test]
async fn the_disk_is_not_filled_by_overwrites() {
    size::the_disk_is_not_filled_by_overwrites(SCHEME, 24 << 20).await;
}

#[tokio::test]
async fn a_file_of_something_else_is_refused() {
    let make = async |path: &Path| std::fs::write(path, "hello, world").expect("a file");
    life::what_is_no_store_of_ours_is_refused(SCHEME, make, "is no SQLite database").await;
}

#[tokio::test]
async fn a_store_that_was_never_finished_is_made_again() {
    let place = Place::new(SCHEME);
    std::fs::write(place.path(), "").expect("an empty file");
    std::fs::write(place.directory.path().join("store.lock"), "pid 1 (`it`)\n").expect("a lock");
    place.open().await.close().await.expect("a close");
    // Now it is known.
    std::fs::write(place.path(), "").expect("an empty file");
    let error = embedded::try_open(&place.url()).await.expect_err("an empty file");
    assert_eq!(error.kind, pikoci_store::OpenErrorKind::Damaged);
}

#[tokio::test]
async fn a_lock_of_something_else_is_left_as_it_is() {
    let place = Place::new(SCHEME);
    let lock = place.directory.path().join("store.lock");
    life::a_lock_of_something_else_is_left_as_it_is(&place, &lock).await;
}

#[tokio::test]
async fn a_damaged_entry_fails_only_the_commits_that_need_it() {
    let place = Place::new(SCHEME);
    let store = place.open().await;
    embedded::put(&*store, "bad", "value").await;
    raw(&place.path(), "UPDATE entries SET revision = -1 WHERE key = x'626164'").await;
    let mut commits = tokio::task::JoinSet::new();
    for number in 0..100 {
        let (store, bad) = (store.clone(), number == 37);
        let name = if bad { "bad".to_owned() } else { format!("good-{number}") };
        let write = embedded::txn().put(embedded::key(name), "value");
        commits.spawn(async move { (bad, store.commit(&write).await.map_err(|error| error.kind)) });
    }
    for (bad, outcome) in commits.join_all().await {
        if bad {
            assert_eq!(outcome, Err(pikoci_core::store::StoreErrorKind::Damaged));
        } else {
            assert!(outcome.is_ok(), "{outcome:?}");
        }
    }
    store.close().await.expect("a close");
}

#[tokio::test]
async fn a_sqlite_database_of_something_else_is_refused() {
    let make = async |path: &Path| raw(path, "CREATE TABLE t (x)").await;
    life::what_is_no_store_of_ours_is_refused(SCHEME, make, "database of something else").await;
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let make = async |path: &Path| {
        let store = SqliteStore::open(path).await.expect("a store");
        pikoci_core::Store::close(&store).await.expect("a close");
        raw(path, "PRAGMA user_version = 2").await;
    };
    life::what_is_no_store_of_ours_is_refused(SCHEME, make, "format 2").await;
}

/// Runs a statement on a file.
async fn raw(path: &Path, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("a connection");
    sqlx::raw_sql(statement).execute(&mut connection).await.expect("a statement");
    connection.close().await.expect("a close");
}
