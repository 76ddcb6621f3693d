//! What is allowed is taken in full.

use bytes::Bytes;

use super::StoreFixture;
use super::client::{key, txn};
use crate::store::limits::{
    MAX_GET_KEYS, MAX_KEY_SIZE_BYTES, MAX_SCAN_ENTRIES, MAX_TXN_OPERATIONS, MAX_TXN_SIZE_BYTES,
    MAX_VALUE_SIZE_BYTES,
};
use crate::store::{Key, KeyRange, Order, Txn};

/// A key of this many bytes, each number another.
fn long_key(number: usize, length: usize) -> Key {
    let mut bytes = vec![0xfe; length];
    let number = format!("{number:04}");
    bytes[length - number.len()..].copy_from_slice(number.as_bytes());
    key(bytes)
}

/// A value of this many bytes, each number another.
fn long_value(number: usize, length: usize) -> Bytes {
    let block: Vec<u8> = (0..251_usize).map(|at| ((at * (at + number)) >> 3) as u8).collect();
    let mut value = block.repeat(length / block.len() + 1);
    value.truncate(length);
    value.into()
}

/// The longest key and the largest value are taken, and read as they were put.
///
/// # Panics
/// When they are not.
pub async fn long_keys_and_large_values_are_taken(fixture: &StoreFixture) {
    let client = fixture.client();
    // As text or as hexadecimal digits some bytes take more room than others.
    for (number, fill) in [0, b'a', b'\'', b'\\', 0x80, 0xff].into_iter().enumerate() {
        let key = key(vec![fill; MAX_KEY_SIZE_BYTES]);
        let value = Bytes::from(vec![fill; MAX_VALUE_SIZE_BYTES]);
        let put = txn().check_absent(key.clone()).put(key.clone(), value.clone());
        let revision = client.committed(&put).await;
        let what = format!("the value of the longest key of bytes {fill:#04x}");
        let entry = client.entry(&key).await;
        assert!(entry.is_some_and(|entry| entry.value == value), "{what}");

        let value = long_value(number, MAX_VALUE_SIZE_BYTES);
        let put = txn().check(key.clone(), Some(revision)).put(key.clone(), value.clone());
        client.committed(&put).await;
        let found = client.scan(&KeyRange::prefix(key.to_bytes()), Order::Ascending, 1).await;
        assert!(found.len() == 1 && found[0].0 == key && found[0].1.value == value, "{what}");
    }
    let longest = long_key(1, MAX_KEY_SIZE_BYTES);
    let neighbour = long_key(2, MAX_KEY_SIZE_BYTES);
    client.put(&longest, "one").await;
    assert_eq!(client.value(&neighbour).await, None, "a long key that differs in its last byte");
}

/// A transaction of the most operations and the most bytes is taken, of puts,
/// of deletes and of checks.
///
/// # Panics
/// When it is not.
pub async fn a_large_transaction_is_taken(fixture: &StoreFixture) {
    let client = fixture.client();
    let keys: Vec<Key> =
        (0..MAX_TXN_OPERATIONS).map(|number| long_key(number, MAX_KEY_SIZE_BYTES)).collect();
    let room = MAX_TXN_SIZE_BYTES / MAX_TXN_OPERATIONS - MAX_KEY_SIZE_BYTES;
    let mut puts = txn();
    for (number, key) in keys.iter().enumerate() {
        // The last takes what is left of the most bytes.
        let last = number + 1 == keys.len();
        let size = if last { room + MAX_TXN_SIZE_BYTES % MAX_TXN_OPERATIONS } else { room };
        puts = puts.put(key.clone(), long_value(number, size));
    }
    assert_eq!(puts.size_bytes(), MAX_TXN_SIZE_BYTES, "the size of the suite's transaction");
    let revision = client.committed(&puts).await;
    let found = client.get(&keys).await;
    for (write, entry) in puts.writes.iter().zip(&found) {
        let as_put = entry
            .as_ref()
            .is_some_and(|entry| entry.revision == revision && Some(&entry.value) == write.value());
        assert!(
            as_put,
            "an entry of the largest transaction is not as it was put: {}",
            write.key()
        );
    }

    let checks =
        |revision| keys.iter().fold(txn(), |txn: Txn, key| txn.check(key.clone(), revision));
    client.committed(&checks(Some(revision))).await;
    client.refused(&checks(None)).await;
    let half = &keys[..MAX_TXN_OPERATIONS / 2];
    let both = half
        .iter()
        .fold(txn(), |txn, key| txn.check(key.clone(), Some(revision)).put(key.clone(), "again"));
    client.committed(&both).await;
    let deletes = keys.iter().fold(txn(), |txn, key| txn.delete(key.clone()));
    client.committed(&deletes).await;
    assert_eq!(client.all().await, [], "what is left after all was deleted");
    client.committed(&checks(None)).await;
}

/// As many keys as a get may have, and as many entries as a scan may have, are
/// read at once, also if all of them are as large as can be.
///
/// # Panics
/// When they are not.
pub async fn as_much_as_allowed_is_read_at_once(fixture: &StoreFixture) {
    let client = fixture.client();
    let count = MAX_SCAN_ENTRIES + 1;
    let keys: Vec<Key> = (0..count).map(|number| long_key(number, 100)).collect();
    let per_txn = MAX_TXN_SIZE_BYTES / (MAX_VALUE_SIZE_BYTES + 100);
    for (batch, keys) in keys.chunks(per_txn).enumerate() {
        let put = |txn: Txn, (at, key): (usize, &Key)| {
            txn.put(key.clone(), long_value(batch * per_txn + at, MAX_VALUE_SIZE_BYTES))
        };
        client.committed(&keys.iter().enumerate().fold(txn(), put)).await;
    }
    let right = |number: usize, value: &Bytes| *value == long_value(number, MAX_VALUE_SIZE_BYTES);

    let found = client.get(&keys[..MAX_GET_KEYS]).await;
    for (number, entry) in found.iter().enumerate() {
        let fine = entry.as_ref().is_some_and(|entry| right(number, &entry.value));
        assert!(fine, "value {number} of a large get is not as it was put");
    }
    drop(found);

    let forwards: Vec<usize> = (0..count).collect();
    let backwards: Vec<usize> = (0..count).rev().collect();
    for (order, numbers) in [(Order::Ascending, forwards), (Order::Descending, backwards)] {
        let found = client.scan(&KeyRange::all(), order, MAX_SCAN_ENTRIES).await;
        assert_eq!(found.len(), MAX_SCAN_ENTRIES, "how many entries a large scan has, {order:?}");
        for ((key, entry), number) in found.iter().zip(numbers) {
            assert_eq!(*key, keys[number], "a key of a large scan, {order:?}");
            assert!(right(number, &entry.value), "value {number} of a large scan, {order:?}");
        }
    }
}
