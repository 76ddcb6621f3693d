//! What `get` answers.

use bytes::Bytes;

use super::StoreFixture;
use super::client::{key, txn};

/// A get answers for each key in its place, also for one named twice and for
/// one that is not there.
///
/// # Panics
/// When it does not.
pub async fn get_answers_key_by_key(fixture: &StoreFixture) {
    let client = fixture.client();
    assert_eq!(client.all().await, [], "a fresh store is not empty");
    assert_eq!(client.get(&[]).await, [], "a get of no keys");

    let [a, b, gone] = ["a", "b", "gone"].map(key);
    client.committed(&txn().put(a.clone(), "first").put(b.clone(), "second")).await;
    let asked = [b.clone(), gone.clone(), a.clone(), b.clone(), gone, a.clone(), a];
    let found: Vec<Option<Bytes>> =
        client.get(&asked).await.into_iter().map(|entry| Some(entry?.value)).collect();
    let value = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    let (first, second) = (value("first"), value("second"));
    let expected = [second.clone(), None, first.clone(), second, None, first.clone(), first];
    assert_eq!(found, expected, "the values of {asked:?}");
}

/// Keys and values take any bytes, values also none; a part of a key is
/// another key.
///
/// # Panics
/// When they are not kept as they are.
pub async fn keys_and_values_may_be_any_bytes(fixture: &StoreFixture) {
    let client = fixture.client();
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let values: [&[u8]; 8] =
        [b"", b"\0", b"\0\0", b"\xff", b"\xfe\xff\0", "käse \u{1f9c0}".as_bytes(), b" ", &every];
    // Keys of one byte, of each, beside longer ones.
    for byte in 0..=u8::MAX {
        let mut txn = txn().put(key(vec![byte]), vec![byte]);
        let value = values[usize::from(byte) % values.len()];
        txn = txn.put(key(vec![byte, 0]), value.to_vec());
        txn = txn.put(key([&[byte], &every[..]].concat()), value.to_vec());
        client.committed(&txn).await;
    }
    for byte in 0..=u8::MAX {
        let keys = [key(vec![byte]), key(vec![byte, 0]), key([&[byte], &every[..]].concat())];
        let found = client.get(&keys).await;
        let value = Bytes::copy_from_slice(values[usize::from(byte) % values.len()]);
        for (key, (entry, expected)) in
            keys.iter().zip(found.into_iter().zip([Bytes::from(vec![byte]), value.clone(), value]))
        {
            let found = entry.map(|entry| entry.value);
            assert_eq!(found, Some(expected), "the value of `{key}`");
        }
        let absent = [key(vec![byte, 0, 0]), key(vec![byte, 1])];
        assert_eq!(client.get(&absent).await, [None, None], "what nobody put, of {absent:?}");
    }
}
