//! Moving what stores hold, between stores in memory.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use pikoci_core::Store;
use pikoci_core::database::{Envelope, KeyPath, Part};
use pikoci_core::store::{Key, KeyRange, MemoryStore, Order, Txn};
use pikoci_core::testkit::faulty::FaultyStore;
use pikoci_store::transfer::{
    DEFAULT_PASSES, Export, Import, Mode, Summary, TransferError, check, copy,
};
use uuid::Uuid;

async fn put(store: &dyn Store, entries: impl IntoIterator<Item = (Key, Bytes)>) {
    for (key, value) in entries {
        let txn = Txn::new(Uuid::now_v7()).put(key, value);
        store.commit(&txn).await.expect("it is committed");
    }
}

fn record(number: u64) -> (Key, Bytes) {
    let key = KeyPath::new("r").then("build").then(number).key().expect("a key");
    let json = format!("{{\"number\":{number},\"text\":\"{}\"}}", "x".repeat(200));
    (key, Envelope::Json { version: 1, json: json.into() }.seal())
}

fn index(number: u64) -> (Key, Bytes) {
    let key = KeyPath::new("i").then("build").then("by").then(number).key().expect("a key");
    (key, Envelope::Parts(vec![Part::Number(number)]).seal())
}

fn odd(number: u64) -> (Key, Bytes) {
    let key = [&[0xff][..], &number.to_be_bytes()].concat();
    (Key::new(key).expect("a key"), Bytes::from(vec![number as u8; number as usize % 3000]))
}

/// A store with some of everything.
async fn filled(count: u64) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    put(&*store, (0..count).flat_map(|number| [record(number), index(number), odd(number)])).await;
    store
}

fn empty() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

async fn export(store: &Arc<dyn Store>) -> (Vec<u8>, Summary) {
    let mut export = Export::new(store.clone(), DEFAULT_PASSES);
    let mut all = Vec::new();
    while let Some(lines) = export.next().await.expect("it is read") {
        all.extend_from_slice(&lines);
    }
    (all, export.summary().clone())
}

async fn import(to: &Arc<dyn Store>, mode: Mode, bytes: &[u8]) -> Result<bool, TransferError> {
    let mut import = Import::new(to.clone(), mode).await?;
    // Pieces that do not end where lines do.
    for piece in bytes.chunks(10_007) {
        import.take(piece).await?;
    }
    import.finish().await
}

async fn all(store: &Arc<dyn Store>) -> Vec<(Key, Bytes)> {
    let mut all: Vec<(Key, Bytes)> = Vec::new();
    let mut range = KeyRange::all();
    loop {
        let page = store.scan(&range, Order::Ascending, 1000).await.expect("it is read");
        let Some((last, _)) = page.last() else { return all };
        range = range.after(last);
        all.extend(page.into_iter().map(|(key, entry)| (key, entry.value)));
    }
}

#[tokio::test]
async fn an_export_of_an_import_is_the_same_byte_for_byte() {
    for count in [0, 1, 700] {
        let (from, to) = (filled(count).await, empty());
        let (first, summary) = export(&from).await;
        assert!(summary.is_consistent);
        assert_eq!(summary.entries, 3 * count);
        assert!(import(&to, Mode::Empty, &first).await.expect("it is taken"));
        let (second, _) = export(&to).await;
        assert!(first == second);
        assert_eq!(all(&from).await, all(&to).await);
    }
}

#[tokio::test]
async fn a_target_that_is_not_empty_is_left_as_it_is_or_made_the_same() {
    let from = filled(600).await;
    let (bytes, _) = export(&from).await;
    let others = (590..2500).flat_map(|number| [record(number), odd(number)]);
    let changed = (record(3).0, Bytes::from_static(b"changed"));
    for by_copy in [false, true] {
        let to = empty();
        put(&*to, others.clone().chain([changed.clone()])).await;
        let before = all(&to).await;
        let move_to = async |mode| {
            if by_copy {
                copy(from.clone(), to.clone(), mode, 2, |_| {}).await.map(|it| it.is_consistent)
            } else {
                import(&to, mode, &bytes).await
            }
        };
        let refused = move_to(Mode::Empty).await.expect_err("it is not empty");
        assert!(matches!(refused, TransferError::NotEmpty { .. }), "{refused}");
        assert_eq!(all(&to).await, before);
        assert!(move_to(Mode::Replace).await.expect("it is taken"));
        assert_eq!(all(&to).await, all(&from).await);
    }
}

#[tokio::test]
async fn an_import_that_was_cut_off_goes_on() {
    let (from, to) = (filled(1500).await, empty());
    let (bytes, _) = export(&from).await;
    let mut half = Import::new(to.clone(), Mode::Empty).await.expect("it begins");
    half.take(&bytes[..bytes.len() / 2]).await.expect("it is taken");
    drop(half);
    let before = to.get(&[record(1).0]).await.expect("it is read");
    import(&to, Mode::Replace, &bytes).await.expect("it goes on");
    assert_eq!(all(&to).await, all(&from).await);
    let after = to.get(&[record(1).0]).await.expect("it is read");
    assert_eq!(before, after, "what was right already is not written again");
}

#[tokio::test]
async fn what_is_wrong_with_an_export_is_told_by_its_line() {
    let (bytes, _) = export(&filled(100).await).await;
    let text = String::from_utf8(bytes.clone()).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    let with = |at: usize, line: &str| {
        let mut lines = lines.clone();
        lines[at] = line;
        lines.join("\n") + "\n"
    };
    let without = |at: usize| {
        let mut lines = lines.clone();
        lines.remove(at);
        lines.join("\n") + "\n"
    };
    let swapped = text.replacen("\"number\":50,", "\"number\":51,", 1);
    let cases = [
        (with(7, &lines[7][..40]), "line 8 is not JSON"),
        (with(7, lines[3]), "line 8 is not in its place"),
        (without(0), "line 1 does not say that this is an export"),
        (without(9), "line 301 says that there are 300 entries, there are 299"),
        (swapped, "line 302 has another digest"),
        (text.clone() + "more", "line 303 comes after the end"),
        (text[..text.len() / 2].to_owned(), "cut off after line"),
        (String::new(), "cut off after line 0"),
    ];
    for (broken, says) in cases {
        let mut rehearsal = Import::rehearsal();
        let error = match rehearsal.take(broken.as_bytes()).await {
            Ok(()) => rehearsal.finish().await.expect_err(says),
            Err(error) => error,
        };
        assert!(error.to_string().contains(says), "{error}, not: {says}");
        let error = import(&empty(), Mode::Empty, broken.as_bytes()).await.expect_err(says);
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// Writes one entry more, or removes one; a store in memory never makes wait.
fn meanwhile(store: &Arc<dyn Store>, round: &mut u64) {
    *round += 1;
    let (key, value) = record(*round * 7 % 3000);
    let txn = Txn::new(Uuid::now_v7());
    let txn = if round.is_multiple_of(5) { txn.delete(key) } else { txn.put(key, value) };
    store.commit(&txn).now_or_never().expect("at once").expect("it is committed");
}

#[tokio::test]
async fn a_store_in_use_is_moved_once_two_readings_agree_or_it_is_told_that_not() {
    let from = filled(2000).await;
    let (to, imported, mut round) = (empty(), empty(), 0);
    let never_at_rest =
        copy(from.clone(), to.clone(), Mode::Empty, 3, |_| meanwhile(&from, &mut round));
    let summary = never_at_rest.await.expect("a copy");
    assert!(!summary.is_consistent && summary.moving_entries > 0, "{summary:?}");
    let at_rest_later = copy(from.clone(), to.clone(), Mode::Replace, 50, |progress| {
        if progress.pass < 3 {
            meanwhile(&from, &mut round);
        }
    });
    let summary = at_rest_later.await.expect("a copy");
    assert!(summary.is_consistent && summary.passes > 3, "{summary:?}");
    assert_eq!(all(&to).await, all(&from).await);

    let mut export = Export::new(from.clone(), 50);
    let mut bytes = Vec::new();
    while let Some(lines) = export.next().await.expect("it is read") {
        bytes.extend_from_slice(&lines);
        if export.progress().pass < 3 {
            meanwhile(&from, &mut round);
        }
    }
    assert!(String::from_utf8_lossy(&bytes).contains("{\"again\":"), "something changed");
    assert!(import(&imported, Mode::Empty, &bytes).await.expect("it is taken"));
    assert_eq!(all(&imported).await, all(&from).await);
}

#[tokio::test]
async fn a_check_tells_each_kind_and_what_is_wrong() {
    let store = filled(300).await;
    let fine = check(store.clone(), |_| {}).await.expect("it is read");
    assert_eq!((fine.problems, fine.entries()), (0, 900));
    let names: Vec<&str> = fine.kinds.keys().map(String::as_str).collect();
    assert_eq!(names, ["indexes of `build`", "others", "records of `build`"]);

    let broken = Bytes::from_static(b"\x01\x01{\"a\":");
    put(&*store, [(record(7).0, broken), (record(8).0, Bytes::from_static(b"?"))]).await;
    let gone = (9..30).fold(Txn::new(Uuid::now_v7()), |txn, number| txn.delete(record(number).0));
    store.commit(&gone).await.expect("it is committed");
    let found = check(store, |_| {}).await.expect("it is read");
    assert_eq!(found.problems, 23);
    assert_eq!(found.kinds["records of `build`"].bad, 2);
    assert_eq!(found.kinds["indexes of `build`"].bad, 21);
    assert_eq!(found.named.len(), 10);
    assert_eq!(found.named[0], "`i/build/by/9` stands for no record");
}

#[tokio::test]
async fn answers_that_are_lost_and_stores_that_are_away_for_a_moment_change_nothing() {
    for seed in 0..5 {
        let from = filled(700).await;
        let inner: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let faulty: Arc<dyn Store> = Arc::new(FaultyStore::new(inner.clone()).seeded(seed));
        let source: Arc<dyn Store> = Arc::new(FaultyStore::new(from.clone()).seeded(seed + 100));
        let summary = copy(source, faulty, Mode::Replace, 2, |_| {}).await.expect("a copy");
        assert!(summary.is_consistent, "seed {seed}");
        assert_eq!(all(&inner).await, all(&from).await, "seed {seed}");
    }
}
