//! What `scan` answers.

use super::StoreFixture;
use super::client::{Client, key, txn};
use crate::store::limits::MAX_KEY_SIZE_BYTES;
use crate::store::{Key, KeyRange, Order};

/// Keys in their order, chosen for what text, escapes and paddings get wrong.
fn awkward_keys() -> Vec<Key> {
    let keys: Vec<Key> = [
        &b"\0"[..],
        b"\0\0",
        b"\0\xff",
        b"\x01",
        b" ",
        b"%",
        b"*",
        b"/",
        b"0",
        b"A",
        b"B",
        b"\\",
        b"_",
        b"a",
        b"a\0",
        b"a\0\0",
        b"a\0b",
        b"a ",
        b"a/",
        b"aa",
        b"ab",
        b"a\xff",
        b"a\xff\xff",
        b"b",
        b"\x7f",
        b"\x80",
        "ä".as_bytes(),
        b"\xfe\xff",
        b"\xff",
        b"\xff\0",
        b"\xff\xff",
        b"\xff\xff\xff",
    ]
    .into_iter()
    .map(|bytes| key(bytes.to_vec()))
    .collect();
    assert!(keys.is_sorted(), "the suite's keys are not in order");
    keys
}

/// The keys from `start` on and before `end`.
fn between(start: &[u8], end: &[u8]) -> KeyRange {
    KeyRange::new(start.to_vec(), Some(end.to_vec().into()))
}

/// Puts `keys`, in an order that is not theirs.
async fn fill(client: &Client, keys: &[Key]) {
    let (even, odd): (Vec<_>, Vec<_>) = keys.iter().enumerate().partition(|(at, _)| at % 2 == 0);
    for (_, key) in odd.into_iter().rev().chain(even) {
        client.put(key, key.to_bytes()).await;
    }
}

/// A scan goes bytewise through its keys, in both orders, and yields with each
/// its entry, as a get does.
///
/// # Panics
/// When it does not.
pub async fn scans_go_bytewise(fixture: &StoreFixture) {
    let client = fixture.client();
    let keys = awkward_keys();
    fill(&client, &keys).await;
    let found = client.scan(&KeyRange::all(), Order::Ascending, 1000).await;
    let found_keys: Vec<Key> = found.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(found_keys, keys, "all keys, ascending");
    let by_get = client.get(&keys).await;
    for ((key, entry), got) in found.iter().zip(by_get) {
        assert_eq!(entry.value, key.to_bytes(), "the value of `{key}` in a scan");
        assert_eq!(Some(entry), got.as_ref(), "the entry of `{key}` in a scan and in a get");
    }
    let mut backwards = client.scan(&KeyRange::all(), Order::Descending, 1000).await;
    backwards.reverse();
    assert_eq!(backwards, found, "all entries, descending and turned round");
}

/// A scan yields what lies in its range and nothing else, wherever its bounds lie.
///
/// # Panics
/// When it does not.
pub async fn scans_keep_their_range(fixture: &StoreFixture) {
    let client = fixture.client();
    let keys = awkward_keys();
    fill(&client, &keys).await;
    let mut ranges = vec![
        KeyRange::all(),
        KeyRange::prefix(&b"a"[..]),
        KeyRange::prefix(&b"a\0"[..]),
        KeyRange::prefix(&b"a\xff"[..]),
        KeyRange::prefix(&b"\xff"[..]),
        KeyRange::prefix(&b"\xff\xff"[..]),
        KeyRange::prefix(&b"\0"[..]),
        KeyRange::prefix(&b"%"[..]),
        KeyRange::prefix(&b"nobody"[..]),
        between(b"A", b"a"),
        between(b"a", b"a\0"),
        between(b"aaa", b"c"),
        between(b"", b"\0"),
    ];
    for key in &keys {
        ranges.push(KeyRange::all().after(key));
        ranges.push(KeyRange::all().before(key));
        ranges.push(KeyRange::prefix(&b"a"[..]).after(key));
        ranges.push(KeyRange::prefix(key.to_bytes()));
    }
    for range in &ranges {
        let mut expected: Vec<Key> =
            keys.iter().filter(|key| range.contains(key)).cloned().collect();
        let found = client.keys(range, Order::Ascending, 1000).await;
        assert_eq!(found, expected, "the keys of {range:?}, ascending");
        expected.reverse();
        let found = client.keys(range, Order::Descending, 1000).await;
        assert_eq!(found, expected, "the keys of {range:?}, descending");
    }
}

/// A scan yields the first of its range, in its order, as many as it is asked
/// for; fewer only where there are no more. So pages join without a gap.
///
/// # Panics
/// When it does not.
pub async fn scans_keep_their_limit(fixture: &StoreFixture) {
    let client = fixture.client();
    let keys: Vec<Key> = (0..25).map(|at| key(format!("list/{at:02}"))).collect();
    let mut filling = txn().put(key("lisp"), "before").put(key("lisu"), "after");
    for key in &keys {
        filling = filling.put(key.clone(), "");
    }
    client.committed(&filling).await;

    let range = KeyRange::prefix(&b"list/"[..]);
    let backwards: Vec<Key> = keys.iter().rev().cloned().collect();
    for limit in [0, 1, 2, 24, 25, 26, 1000] {
        for (order, expected) in [(Order::Ascending, &keys), (Order::Descending, &backwards)] {
            let expected = &expected[..limit.min(expected.len())];
            let found = client.keys(&range, order, limit).await;
            assert_eq!(found, expected, "the first {limit} keys, {order:?}");
        }
    }
    for (order, expected) in [(Order::Ascending, &keys), (Order::Descending, &backwards)] {
        let (mut pages, mut rest) = (Vec::new(), range.clone());
        loop {
            let page = client.keys(&rest, order, 4).await;
            let Some(last) = page.last() else { break };
            rest = match order {
                Order::Ascending => rest.after(last),
                Order::Descending => rest.before(last),
            };
            assert!(pages.len() < keys.len(), "the pages do not come to an end, {order:?}");
            pages.extend(page);
            if rest.is_empty() {
                break;
            }
        }
        assert_eq!(&pages, expected, "all pages of 4 keys, {order:?}");
    }
}

/// In a range whose end is not after its start there is nothing, and that is no error.
///
/// # Panics
/// When it is not so.
pub async fn an_empty_range_has_no_entries(fixture: &StoreFixture) {
    let client = fixture.client();
    fill(&client, &awkward_keys()).await;
    let empty = [
        between(b"a", b"a"),
        between(b"b", b"a"),
        between(b"a\0", b"a"),
        between(b"\xff", b"\0"),
        between(b"", b""),
        KeyRange::all().before(&key("a")).after(&key("b")),
    ];
    for range in empty {
        assert!(range.is_empty(), "the suite's range {range:?} is not empty");
        for order in [Order::Ascending, Order::Descending] {
            let found = client.keys(&range, order, 1000).await;
            assert_eq!(found, [], "the keys of the empty range {range:?}, {order:?}");
        }
    }
}

/// The bounds of a range may be longer than any key: the one after the longest
/// key begins with a bound of one byte more.
///
/// # Panics
/// When such a range is refused or goes wrong.
pub async fn a_bound_may_be_longer_than_a_key(fixture: &StoreFixture) {
    let client = fixture.client();
    let longest = |first: &[u8], fill: u8| {
        let mut bytes = first.to_vec();
        bytes.resize(MAX_KEY_SIZE_BYTES, fill);
        key(bytes)
    };
    let keys = [
        key("m"),
        longest(b"m", 0),
        longest(b"m", b'm'),
        longest(b"m", 0xff),
        key("n"),
        longest(b"\xff", 0xff),
    ];
    assert!(keys.is_sorted(), "the suite's keys are not in order");
    fill(&client, &keys).await;
    for (at, key) in keys.iter().enumerate() {
        let after = KeyRange::all().after(key);
        let found = client.keys(&after, Order::Ascending, 1000).await;
        assert_eq!(found, keys[at + 1..], "the keys after `{key}`, ascending");
        let found = client.keys(&after, Order::Descending, 1).await;
        let last = keys[at + 1..].last().cloned();
        assert_eq!(found, Vec::from_iter(last), "the last key after `{key}`");
        let upto = between(b"", &[key.as_bytes(), b"\0"].concat());
        let found = client.keys(&upto, Order::Ascending, 1000).await;
        assert_eq!(found, keys[..=at], "the keys up to `{key}`, with it");
    }
}
