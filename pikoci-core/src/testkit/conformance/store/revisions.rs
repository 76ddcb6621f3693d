//! What revisions tell.

use super::StoreFixture;
use super::client::{key, txn};
use crate::store::{Key, Revision};

/// All that one commit puts has the revision that it answers, in a get and in
/// a scan; what it did not write keeps its own.
///
/// # Panics
/// When it is not so.
pub async fn one_commit_has_one_revision(fixture: &StoreFixture) {
    let client = fixture.client();
    let keys: Vec<Key> = ["a", "b", "c"].map(key).into();
    // Keys of different pasts.
    client.put(&keys[0], "1").await;
    client.put(&keys[0], "2").await;
    client.put(&keys[1], "1").await;
    let aside = client.put(&key("aside"), "it").await;

    let puts = keys.iter().fold(txn(), |txn, key| txn.put(key.clone(), "together"));
    let revision = client.committed(&puts).await;
    for (key, entry) in client.all().await {
        let expected = if keys.contains(&key) { revision } else { aside };
        assert_eq!(entry.revision, expected, "the revision of `{key}` in a scan");
    }
    for (key, entry) in keys.iter().zip(client.get(&keys).await) {
        let found = entry.map(|entry| entry.revision);
        assert_eq!(found, Some(revision), "the revision of `{key}` in a get");
    }
}

/// The revision of a commit is greater than all that its keys ever had, also
/// before they were deleted.
///
/// # Panics
/// When it is not.
pub async fn revisions_grow_also_over_deletes(fixture: &StoreFixture) {
    let clients = fixture.clients(2);
    let [a, b] = ["a", "b"].map(key);
    let mut greatest = Revision(0);
    let mut grown = |revision: Revision, what: &str| {
        assert!(revision > greatest, "{what} has revision {revision}, not above {greatest}");
        assert!(revision.0 <= i64::MAX as u64, "{what} has revision {revision}, beyond i64");
        greatest = revision;
    };
    for client in clients.iter().cycle().take(6) {
        grown(client.put(&a, "it").await, "a put");
        // Many writes of one key, then one of it with another.
        grown(client.put(&a, "it").await, "a second put");
        grown(client.committed(&txn().put(a.clone(), "").put(b.clone(), "")).await, "two puts");
        client.delete(&a).await;
        client.delete(&b).await;
        grown(client.put(&b, "it").await, "a put after a delete");
        client.delete(&b).await;
        client.delete(&b).await;
        let both = txn().put(a.clone(), "").put(b.clone(), "");
        grown(client.committed(&both).await, "two puts after deletes");
        let moving = txn().delete(a.clone()).put(b.clone(), "");
        grown(client.committed(&moving).await, "a put with a delete");
    }
}

/// A put of the value that a key has already is a write like any other.
///
/// # Panics
/// When the revision stays.
pub async fn the_same_value_put_again_has_a_new_revision(fixture: &StoreFixture) {
    let client = fixture.client();
    let key = key("key");
    for value in ["", "same"] {
        let first = client.put(&key, value).await;
        let second = client.put(&key, value).await;
        assert!(second > first, "revision {second} for the same value, after {first}");
        let found = client.entry(&key).await.map(|entry| entry.revision);
        assert_eq!(found, Some(second), "the revision of a key put twice");
        client.refused(&txn().check(key.clone(), Some(first)).delete(key.clone())).await;
    }
}
