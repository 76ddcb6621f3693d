//! The store in sled.

#![cfg(feature = "sled")]

use std::path::Path;
use std::sync::Arc;

use pikoci_core::testkit::conformance::store::StoreFixture;
use pikoci_store::store::SledStore;

mod embedded;

use embedded::{Place, child, damage, life, size, trace};

const SCHEME: &str = "sled";

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
    let verify = SledStore::verify;
    life::a_store_can_be_checked_after_a_kill_but_not_while_it_is_open(SCHEME, verify).await;
}

#[tokio::test]
async fn what_is_acknowledged_was_synced() {
    trace::what_is_acknowledged_was_synced(SCHEME).await;
}

#[tokio::test]
async fn many_commits_share_a_sync() {
    let place = Place::new(SCHEME);
    let store = Arc::new(SledStore::open(place.path()).await.expect("a store"));
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
    let verify = SledStore::verify;
    damage::damage_is_told_and_nothing_wrong_is_read(SCHEME, &["lock"], verify).await;
}

/// What is stored has less than 1 MiB at any time.
#[tokio::test]
async fn the_disk_is_not_filled_by_overwrites() {
    size::the_disk_is_not_filled_by_overwrites(SCHEME, 40 << 20).await;
}

#[tokio::test]
async fn a_directory_of_something_else_is_refused() {
    let make = async |path: &Path| {
        std::fs::create_dir(path).expect("a directory");
        std::fs::write(path.join("README"), "hello").expect("a file");
    };
    life::what_is_no_store_of_ours_is_refused(SCHEME, make, "holds `README`").await;
}

#[tokio::test]
async fn a_lock_of_something_else_is_left_as_it_is() {
    let place = Place::new(SCHEME);
    std::fs::create_dir(place.path()).expect("a directory");
    life::a_lock_of_something_else_is_left_as_it_is(&place, &place.path().join("lock")).await;
    // A stranger is found before the lock is taken.
    let place = Place::new(SCHEME);
    std::fs::create_dir(place.path()).expect("a directory");
    std::fs::write(place.path().join("README"), "hello").expect("a file");
    embedded::try_open(&place.url()).await.expect_err("a stranger");
    assert!(!place.path().join("lock").exists());
}

#[tokio::test]
async fn what_a_killed_check_left_is_removed_and_what_is_not_its_is_kept() {
    let place = Place::new(SCHEME);
    place.open().await.close().await.expect("a close");
    let left = place.path().join("check.new");
    let leave = |name: &str| {
        std::fs::create_dir(&left).expect("a directory");
        std::fs::write(left.join(name), "half").expect("a file");
    };
    leave("db");
    place.open().await.close().await.expect("a close");
    assert!(!left.exists());
    leave("db");
    let nothing = SledStore::verify(place.path()).await.expect("a check");
    assert!(nothing.is_empty(), "{nothing:?}");
    assert!(!left.exists());
    leave("letters");
    let error = embedded::try_open(&place.url()).await.expect_err("a stranger");
    assert!(error.message.contains("holds `check.new`"), "{error}");
    SledStore::verify(place.path()).await.expect_err("a stranger");
    assert!(left.join("letters").exists());
}

#[tokio::test]
async fn a_check_without_room_for_its_copy_is_told_so() {
    let place = Place::new(SCHEME);
    place.open().await.close().await.expect("a close");
    let room = rustix::fs::statvfs(place.path()).expect("the room");
    // A file of one hole takes no room itself.
    let hole = std::fs::File::create(place.path().join("blobs/1")).expect("a file");
    hole.set_len(room.f_bavail * room.f_frsize).expect("a hole");
    let error = SledStore::verify(place.path()).await.expect_err("no room");
    assert_eq!(error.kind, pikoci_store::OpenErrorKind::Unavailable);
    assert!(error.message.contains("make room"), "{error}");
    assert!(!place.path().join("check.new").exists());
}

#[tokio::test]
async fn a_sled_database_of_something_else_is_refused() {
    let make = async |path: &Path| raw(path, b"hello", b"world");
    life::what_is_no_store_of_ours_is_refused(SCHEME, make, "database of something else").await;
    let make = async |path: &Path| {
        let database = sled::Config::new().path(path).open().expect("a database");
        database.insert("hello", "world").expect("an insert");
        database.flush().expect("a flush");
    };
    life::what_is_no_store_of_ours_is_refused(SCHEME, make, "not made by this version").await;
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let make = async |path: &Path| raw(path, b"\0format", &2_u32.to_be_bytes());
    life::what_is_no_store_of_ours_is_refused(SCHEME, make, "format 2").await;
}

/// Puts an entry into a database that has the parameters of a store.
fn raw(path: &Path, key: &[u8], value: &[u8]) {
    let config = sled::Config::new().path(path).segment_size(2 * 1024 * 1024);
    let database = config.open().expect("a database");
    database.insert(key, value).expect("an insert");
    database.flush().expect("a flush");
}
