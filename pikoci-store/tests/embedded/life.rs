//! Opening, locking, closing, and a disk that fails.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use pikoci_core::Store;
use pikoci_core::store::{Outcome, StoreErrorKind};
use pikoci_store::OpenErrorKind;

use super::damage::Verify;
use super::{Place, all, child, key, put, try_open, txn, url};

pub(crate) async fn a_lock_tells_who_holds_it_and_ends_with_a_kill(scheme: &'static str) {
    let place = Place::new(scheme);
    let mut holder = child::start("hold", &place.url(), &[]);
    holder.says("open").await;
    let pid = holder.child.id().expect("a child that runs");
    let error = try_open(&place.url()).await.expect_err("held by another");
    assert_eq!(error.kind, OpenErrorKind::Locked);
    let program = std::env::current_exe().expect("this program");
    let program = program.file_name().expect("its name").to_string_lossy().into_owned();
    for part in [&place.path().display().to_string(), &format!("pid {pid} "), &program, " since 2"]
    {
        assert!(error.message.contains(part), "no `{part}` in: {error}");
    }
    holder.kill().await;
    let store = place.open().await;
    let held = store.get(&[key("held")]).await.expect("a get").remove(0);
    assert_eq!(held.expect("what the child put").value, "by a child");
    store.close().await.expect("a close");
}

pub(crate) async fn a_store_can_be_checked_after_a_kill_but_not_while_it_is_open(
    scheme: &'static str,
    verify: impl Verify,
) {
    let place = Place::new(scheme);
    let error = verify(place.path()).await.expect_err("nothing is there");
    assert_eq!(error.kind, OpenErrorKind::Unavailable, "{error}");
    assert!(!place.path().exists());
    let mut holder = child::start("hold", &place.url(), &[]);
    holder.says("open").await;
    let error = verify(place.path()).await.expect_err("held by another");
    assert_eq!(error.kind, OpenErrorKind::Locked);
    holder.kill().await;
    let nothing = verify(place.path()).await.expect("a check");
    assert!(nothing.is_empty(), "{nothing:?}");
    let store = place.open().await;
    assert_eq!(all(&*store).await.expect("all there is").len(), 1);
    store.close().await.expect("a close");
}

pub(crate) async fn a_store_opened_twice_tells_that_this_process_holds_it(scheme: &'static str) {
    let place = Place::new(scheme);
    let store = place.open().await;
    let error = try_open(&place.url()).await.expect_err("open already");
    assert_eq!(error.kind, OpenErrorKind::Locked);
    assert!(error.message.contains("in use by this process: pid "), "{error}");
    put(&*store, "still", "works").await;
    store.close().await.expect("a close");
}

pub(crate) async fn a_store_that_was_only_dropped_can_be_opened_again(scheme: &'static str) {
    let place = Place::new(scheme);
    for round in 0..5 {
        let store = place.open().await;
        assert_eq!(all(&*store).await.expect("a scan").len(), round);
        put(&*store, format!("round-{round}"), "it").await;
        drop(store);
    }
    let store = place.open().await;
    let dropped = tokio::spawn({
        let store = store.clone();
        async move { put(&*store, "accepted", "it").await }
    });
    dropped.abort();
    drop(dropped.await);
    drop(store);
    place.open().await.close().await.expect("a close");
}

pub(crate) async fn many_commits_share_a_sync(store: Arc<dyn Store>, groups: impl Fn() -> u64) {
    const WRITERS: usize = 64;
    const EACH: usize = 10;
    let before = groups();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..EACH {
                put(&*store, format!("writer-{writer}"), format!("round {round}")).await;
            }
        });
    }
    tasks.join_all().await;
    let groups = groups() - before;
    assert!(groups >= EACH as u64, "{groups} groups for {EACH} rounds");
    let most = (WRITERS * EACH / 4) as u64;
    assert!(groups <= most, "{groups} groups for {} commits", WRITERS * EACH);
    store.close().await.expect("a close");
}

pub(crate) async fn commits_of_one_group_see_those_before_them(scheme: &'static str) {
    let place = Place::new(scheme);
    let store = place.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let store = store.clone();
        tasks.spawn(async move {
            let create = txn().check_absent(key("one")).put(key("one"), number.to_string());
            store.commit(&create).await.expect("a commit")
        });
    }
    let outcomes = tasks.join_all().await;
    let done = outcomes.iter().filter(|outcome| **outcome != Outcome::Conflict).count();
    assert_eq!(done, 1);
    store.close().await.expect("a close");
}

pub(crate) async fn a_commit_of_the_last_group_is_known_after_a_reopen(scheme: &'static str) {
    let place = Place::new(scheme);
    let store = place.open().await;
    let once = txn().check_absent(key("once")).put(key("once"), "it");
    let first = store.commit(&once).await.expect("a commit");
    store.close().await.expect("a close");
    for _ in 0..2 {
        let store = place.open().await;
        assert_eq!(store.commit(&once).await.expect("a commit"), first);
        // It is carried along by later groups.
        put(&*store, "another", "one").await;
        assert_eq!(store.commit(&once).await.expect("a commit"), first);
        store.close().await.expect("a close");
    }
}

pub(crate) async fn files_are_for_their_owner_only(scheme: &'static str) {
    let place = Place::new(scheme);
    let store = place.open().await;
    put(&*store, "key", "value").await;
    let mut looked_at = 0;
    let mut waiting = vec![place.directory.path().to_owned()];
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(path).expect("a directory") {
            let entry = entry.expect("an entry");
            let mode = entry.metadata().expect("what it is").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.path());
            looked_at += 1;
            if entry.path().is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    assert!(looked_at >= 2, "{looked_at} files");
    store.close().await.expect("a close");
}

/// `make` puts something at the path that is no store of this version.
pub(crate) async fn what_is_no_store_of_ours_is_refused(
    scheme: &'static str,
    make: impl AsyncFn(&Path),
    says: &str,
) {
    let place = Place::new(scheme);
    make(&place.path()).await;
    for _ in 0..2 {
        let error = try_open(&place.url()).await.expect_err(says);
        assert_eq!(error.kind, OpenErrorKind::Format, "{error}");
        assert!(error.message.contains(says), "{error}");
        assert!(error.message.contains(&place.path().display().to_string()), "{error}");
    }
}

/// `lock` is where the lock of the store would be.
pub(crate) async fn a_lock_of_something_else_is_left_as_it_is(place: &Place, lock: &Path) {
    let foreign = "# This file is generated.\nversion = 4\n";
    std::fs::write(lock, foreign).expect("a file");
    let error = try_open(&place.url()).await.expect_err("a file of something else");
    assert_eq!(error.kind, OpenErrorKind::Format, "{error}");
    assert!(error.message.contains(&lock.display().to_string()), "{error}");
    assert_eq!(std::fs::read_to_string(lock).expect("the file"), foreign);
    let beside = std::fs::read_dir(lock.parent().expect("its directory")).expect("a directory");
    assert_eq!(beside.count(), 1, "something was put beside it");
    // What a loss of power left of our own is no hindrance.
    for rest in ["", "pi", "\0\0\0\0\0\0"] {
        std::fs::write(lock, rest).expect("a file");
        place.open().await.close().await.expect("a close");
    }
}

pub(crate) async fn a_place_that_cannot_be_made_is_told(scheme: &'static str) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = try_open(&url(scheme, &file.path().join("store"))).await.expect_err("a file");
    assert_eq!(error.kind, OpenErrorKind::Unavailable);
    assert!(error.message.starts_with("cannot open `"), "{error}");
}

/// The file may not grow beyond some MiB: that is as good as a disk that fails.
pub(crate) async fn after_a_failed_write_nothing_is_taken_and_nothing_is_lost(
    scheme: &'static str,
) {
    let place = Place::new(scheme);
    let limited = r#"trap "" XFSZ; ulimit -f 20000; exec "$0" "$@""#;
    let mut child = child::start("fill", &place.url(), &["sh", "-c", limited]);
    let kept: usize = child.says("kept").await.parse().expect("a number");
    assert!(kept > 20, "{kept}");
    let id = child.says("id").await.parse().expect("an id");
    let first = child.says("first").await;
    let again = child.says("again").await;
    let other = child.says("other").await;
    let reads = child.says("reads").await;
    child.says("closed").await;
    assert_eq!(reads, "true false", "what was kept is read, what failed is not");
    if first.starts_with("Unknown") {
        assert!(again.starts_with("Unknown"), "{again}");
        assert!(other.starts_with("Unavailable"), "{other}");
        assert!(other.contains("restart"), "{other}");
    } else {
        assert!(first.starts_with("Unavailable"), "{first}");
    }

    let store = place.open().await;
    let mut failed = child::filling(kept);
    failed.id = id;
    let outcome = store.commit(&failed).await.expect("the commit whose outcome was unknown");
    let found = all(&*store).await.expect("all there is");
    for number in 0..=kept {
        let put = child::filling(number);
        let entry = found.get(put.writes[0].key()).expect("what was acknowledged");
        assert_eq!(Some(&entry.value), put.writes[0].value());
        if number == kept {
            assert_eq!(Outcome::Committed(entry.revision), outcome);
        }
    }
    let others = usize::from(other == "done");
    assert_eq!(found.len(), kept + 1 + others);
    store.close().await.expect("a close");
    let late = store.commit(&failed).await.expect_err("closed");
    assert_eq!(late.kind, StoreErrorKind::Closed);
}
