//! What the checks of a transaction mean, and what it writes.

use super::StoreFixture;
use super::client::{key, txn};
use crate::store::{Key, KeyRange, Order, Revision};

/// A check holds for the revision that the key has, and for no entry where
/// there is none; in every other case the transaction is in conflict.
///
/// # Panics
/// When it is not so.
pub async fn a_check_holds_only_for_the_revision_it_names(fixture: &StoreFixture) {
    let client = fixture.client();
    let [present, absent, result] = ["present", "absent", "result"].map(key);
    let old = client.put(&present, "old").await;
    let now = client.put(&present, "now").await;
    let later = Revision(now.0 + 1_000_000);
    let cases = [
        (&present, Some(now), true),
        (&present, Some(old), false),
        (&present, Some(later), false),
        (&present, Some(Revision(i64::MAX as u64)), false),
        (&present, None, false),
        (&absent, None, true),
        (&absent, Some(now), false),
        (&absent, Some(Revision(1)), false),
    ];
    for (at, (checked, revision, holds)) in cases.into_iter().enumerate() {
        let value = format!("case {at}");
        let txn = txn().check(checked.clone(), revision).put(result.clone(), value.clone());
        let before = client.entry(&result).await;
        if holds {
            let revision = client.committed(&txn).await;
            let entry = client.entry(&result).await;
            let as_put = entry.is_some_and(|it| it.revision == revision && it.value == value);
            assert!(as_put, "what was put in {value} is not there");
        } else {
            client.refused(&txn).await;
            assert_eq!(client.entry(&result).await, before, "after the conflict in {value}");
        }
    }
    // A check of the key that is written speaks of what was there before.
    client.refused(&txn().check_absent(present.clone()).put(present.clone(), "new")).await;
    client.refused(&txn().check_absent(present.clone()).delete(present.clone())).await;
    client.refused(&txn().check(absent.clone(), Some(now)).put(absent.clone(), "new")).await;
    client.committed(&txn().check(present.clone(), Some(now)).delete(present.clone())).await;
    client.committed(&txn().check_absent(present.clone()).put(present.clone(), "new")).await;
}

/// When one of many checks does not hold, none of the writes is done.
///
/// # Panics
/// When one is.
pub async fn a_conflict_writes_nothing(fixture: &StoreFixture) {
    let client = fixture.client();
    let keys: Vec<Key> = ["a", "b", "c", "d"].map(key).into();
    let fill = keys.iter().fold(txn(), |txn, key| txn.put(key.clone(), "before"));
    let revision = client.committed(&fill).await;
    let before = client.all().await;
    // The one that does not hold stands first, in the middle and last.
    for wrong in 0..keys.len() {
        let mut torn = txn();
        for (at, key) in keys.iter().enumerate() {
            torn = torn.check(key.clone(), (at != wrong).then_some(revision));
        }
        torn = torn.put(key("new"), "after").put(keys[0].clone(), "after");
        torn = torn.delete(keys[1].clone()).put(keys[3].clone(), "after");
        client.refused(&torn).await;
        assert_eq!(client.all().await, before, "all there is after a conflict");
    }
}

/// A transaction without writes says whether its checks hold, and changes nothing.
///
/// # Panics
/// When it does not.
pub async fn a_transaction_without_writes_only_checks(fixture: &StoreFixture) {
    let client = fixture.client();
    let [here, gone] = ["here", "gone"].map(key);
    client.committed(&txn()).await;
    let revision = client.put(&here, "it").await;
    let before = client.all().await;
    let both = txn().check(here.clone(), Some(revision)).check_absent(gone.clone());
    client.committed(&both).await;
    client.refused(&txn().check_absent(here.clone()).check_absent(gone.clone())).await;
    client.refused(&txn().check(here, Some(revision)).check(gone, Some(revision))).await;
    assert_eq!(client.all().await, before, "all there is after mere checks");
}

/// Without checks a put sets its key and a delete removes it, whatever was there.
///
/// # Panics
/// When it is not so.
pub async fn a_transaction_without_checks_overwrites(fixture: &StoreFixture) {
    let client = fixture.client();
    let key = key("key");
    for value in ["a much longer value than the next one", "short", "", "no longer empty"] {
        client.put(&key, value).await;
        assert_eq!(client.value(&key).await.as_deref(), Some(value.as_bytes()), "the last value");
    }
    client.delete(&key).await;
    assert_eq!(client.entry(&key).await, None, "what was deleted, in a get");
    let range = KeyRange::prefix(key.to_bytes());
    assert_eq!(client.scan(&range, Order::Ascending, 1).await, [], "what was deleted, in a scan");
    client.put(&key, "back").await;
    assert_eq!(client.value(&key).await.as_deref(), Some(&b"back"[..]), "what was put again");
}

/// A delete of a key that is not there is no error and no conflict.
///
/// # Panics
/// When it is.
pub async fn a_delete_of_what_is_not_there_is_done(fixture: &StoreFixture) {
    let client = fixture.client();
    let [gone, other] = ["gone", "other"].map(key);
    client.delete(&gone).await;
    client.committed(&txn().delete(gone.clone()).put(other.clone(), "done")).await;
    assert_eq!(client.entry(&gone).await, None, "what was never there");
    assert_eq!(client.value(&other).await.as_deref(), Some(&b"done"[..]), "what was put beside");
}

/// One transaction may put and delete; all of it is done.
///
/// # Panics
/// When it is not.
pub async fn puts_and_deletes_are_done_together(fixture: &StoreFixture) {
    let client = fixture.client();
    let [from, to] = ["from", "to"].map(key);
    let mut revision = client.put(&from, "moved").await;
    let (mut here, mut there) = (from, to);
    for _ in 0..3 {
        let moving = txn()
            .check(here.clone(), Some(revision))
            .check_absent(there.clone())
            .delete(here.clone())
            .put(there.clone(), "moved");
        revision = client.committed(&moving).await;
        let all = client.all().await;
        let keys: Vec<&Key> = all.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [&there], "what is there after a move from `{here}` to `{there}`");
        assert_eq!(all[0].1.revision, revision, "the revision of what was moved");
        std::mem::swap(&mut here, &mut there);
    }
}

/// A check of the entry that was read fails when the key was removed and put
/// again meanwhile, though it holds the same value.
///
/// # Panics
/// When it holds.
pub async fn a_key_that_came_back_is_not_the_same(fixture: &StoreFixture) {
    let client = fixture.client();
    let [key, result] = ["key", "result"].map(key);
    let read = client.put(&key, "same").await;
    client.delete(&key).await;
    client.put(&key, "same").await;
    client.refused(&txn().check(key.clone(), Some(read)).put(result.clone(), "wrong")).await;
    client.refused(&txn().check(key, Some(read)).delete(result)).await;
}
