//! Histories that no store may have, and such as any may.

use bytes::Bytes;
use uuid::Uuid;

use super::{Answer, Call, Operation, Violation, check};
use crate::store::{Entry, Key, KeyRange, Order, Outcome, Revision, Txn};

fn key(name: &'static str) -> Key {
    Key::new(name).expect("a key")
}

fn txn() -> Txn {
    Txn::new(Uuid::nil())
}

fn entry(value: &'static str, revision: u64) -> Entry {
    Entry { value: Bytes::from_static(value.as_bytes()), revision: Revision(revision) }
}

/// A commit from one moment to another that answered this revision.
fn committed(began: u64, answered: u64, txn: Txn, revision: u64) -> Operation {
    let outcome = Answer::Ended(Outcome::Committed(Revision(revision)));
    Operation { client: 1, began, call: Call::Commit(txn), answered: Some((answered, outcome)) }
}

fn conflict(began: u64, answered: u64, txn: Txn) -> Operation {
    let outcome = Answer::Ended(Outcome::Conflict);
    Operation { client: 2, began, call: Call::Commit(txn), answered: Some((answered, outcome)) }
}

fn doubtful(began: u64, txn: Txn) -> Operation {
    Operation { client: 3, began, call: Call::Commit(txn), answered: None }
}

type Found = (&'static str, Option<(&'static str, u64)>);

fn got<const N: usize>(began: u64, answered: u64, found: [Found; N]) -> Operation {
    let call = Call::Get(found.iter().map(|(name, _)| key(name)).collect());
    let entries = found.iter().map(|(_, it)| it.map(|(value, revision)| entry(value, revision)));
    let answer = Answer::Got(entries.collect());
    Operation { client: 4, began, call, answered: Some((answered, answer)) }
}

fn scanned(
    began: u64,
    answered: u64,
    order: Order,
    limit: usize,
    found: &[(&'static str, &'static str, u64)],
) -> Operation {
    let entries = found.iter().map(|(name, value, revision)| (key(name), entry(value, *revision)));
    let answer = Answer::Scanned(entries.collect());
    let call = Call::Scan(KeyRange::all(), order, limit);
    Operation { client: 5, began, call, answered: Some((answered, answer)) }
}

fn put(name: &'static str, value: &'static str) -> Txn {
    txn().put(key(name), value)
}

#[track_caller]
fn refused(history: &[Operation]) -> Violation {
    *check(history).expect_err("a history that no store may have")
}

#[track_caller]
fn accepted(history: &[Operation]) {
    if let Err(violation) = check(history) {
        panic!("{violation}");
    }
}

#[test]
fn a_stale_read_is_found_and_told() {
    let history = [
        committed(1, 2, put("a", "old"), 10),
        committed(3, 4, put("a", "new"), 11),
        got(5, 6, [("a", Some(("old", 10)))]),
        got(7, 8, [("a", Some(("new", 11)))]),
    ];
    let violation = refused(&history);
    assert_eq!(violation.answered, 3);
    assert_eq!(violation.impossible, history[2]);
    assert_eq!(violation.meanwhile, []);
    assert_eq!(violation.possible, ["a=new@11"]);
    assert_eq!(
        violation.to_string(),
        "no order explains the first 3 answers; the last is\n  \
         client 4 5..6: get a -> a=old@10\n\
         what may have been in the store before:\n  a=new@11\n\
         what else ran meanwhile:\n"
    );
}

#[test]
fn a_read_that_overlaps_a_commit_may_see_either() {
    let write = committed(3, 6, put("a", "new"), 11);
    let first = committed(1, 2, put("a", "old"), 10);
    accepted(&[first.clone(), write.clone(), got(4, 5, [("a", Some(("old", 10)))])]);
    accepted(&[first.clone(), write.clone(), got(4, 5, [("a", Some(("new", 11)))])]);
    // But not the new one first and then the old one.
    let back = [
        first,
        committed(3, 20, put("a", "new"), 11),
        got(4, 5, [("a", Some(("new", 11)))]),
        got(6, 7, [("a", Some(("old", 10)))]),
    ];
    let violation = refused(&back);
    assert_eq!(violation.impossible, back[3]);
    assert_eq!(violation.meanwhile, [back[1].clone()]);
}

#[test]
fn a_lost_update_is_found() {
    let more = |value| put("n", value).check(key("n"), Some(Revision(10)));
    refused(&[
        committed(1, 2, put("n", "0"), 10),
        committed(3, 6, more("1"), 11),
        committed(4, 5, more("one"), 12),
    ]);
    accepted(&[
        committed(1, 2, put("n", "0"), 10),
        conflict(3, 6, more("1")),
        committed(4, 5, more("one"), 12),
    ]);
}

#[test]
fn a_torn_transaction_is_found() {
    let both = committed(1, 6, put("a", "it").put(key("b"), "it"), 10);
    let seen = |a, b| got(2, 3, [("a", a), ("b", b)]);
    accepted(&[both.clone(), seen(None, None)]);
    accepted(&[both.clone(), seen(Some(("it", 10)), Some(("it", 10)))]);
    refused(&[both.clone(), seen(Some(("it", 10)), None)]);
    refused(&[both.clone(), seen(None, Some(("it", 10)))]);
    refused(&[both.clone(), seen(Some(("it", 10)), Some(("it", 11)))]);
    refused(&[both, scanned(2, 3, Order::Ascending, 9, &[("b", "it", 10)])]);
}

#[test]
fn write_skew_is_found() {
    let start = committed(1, 2, put("a", "on").put(key("b"), "on"), 10);
    let leave = |name| {
        let (a, b) = (key("a"), key("b"));
        let both = txn().check(a, Some(Revision(10))).check(b, Some(Revision(10)));
        both.put(key(name), if name == "a" { "a off" } else { "b off" })
    };
    refused(&[start.clone(), committed(3, 6, leave("a"), 11), committed(4, 5, leave("b"), 12)]);
    accepted(&[start.clone(), committed(3, 6, leave("a"), 11), conflict(4, 5, leave("b"))]);
    // Both cannot be in conflict with nothing.
    refused(&[start, conflict(3, 6, leave("a")), conflict(4, 5, leave("b"))]);
}

#[test]
fn a_dirty_read_is_found() {
    let history = [
        committed(1, 2, put("a", "it"), 10),
        conflict(3, 6, put("a", "never").check_absent(key("a"))),
        got(4, 5, [("a", Some(("never", 11)))]),
    ];
    assert_eq!(refused(&history).impossible, history[2]);
    refused(&[got(1, 2, [("a", Some(("out of nothing", 1)))])]);
}

#[test]
fn a_scan_that_forgets_its_order_or_its_limit_is_found() {
    let both = committed(1, 2, put("a", "1").put(key("b"), "2"), 10);
    let (a, b) = (("a", "1", 10), ("b", "2", 10));
    for (order, limit, found) in [
        (Order::Ascending, 9, &[a, b][..]),
        (Order::Descending, 9, &[b, a]),
        (Order::Ascending, 1, &[a]),
        (Order::Descending, 1, &[b]),
        (Order::Descending, 0, &[]),
    ] {
        accepted(&[both.clone(), scanned(3, 4, order, limit, found)]);
    }
    for (order, limit, found) in [
        (Order::Ascending, 9, &[b, a][..]),
        (Order::Descending, 9, &[a, b]),
        (Order::Ascending, 1, &[a, b]),
        (Order::Descending, 1, &[a]),
        (Order::Ascending, 2, &[a]),
        (Order::Ascending, 2, &[]),
    ] {
        refused(&[both.clone(), scanned(3, 4, order, limit, found)]);
    }
}

#[test]
fn revisions_that_do_not_grow_are_found() {
    let delete = committed(3, 4, txn().delete(key("a")), 11);
    refused(&[committed(1, 2, put("a", "1"), 10), committed(3, 4, put("a", "2"), 10)]);
    let first = committed(1, 2, put("a", "1"), 10);
    refused(&[first.clone(), delete.clone(), committed(5, 6, put("a", "2"), 9)]);
    accepted(&[first.clone(), delete, committed(5, 6, put("a", "2"), 11)]);
    // A delete beside a put counts too.
    let beside = txn().put(key("b"), "2").delete(key("a"));
    refused(&[first.clone(), committed(3, 4, beside.clone(), 5)]);
    accepted(&[first, committed(3, 4, beside, 12)]);
}

#[test]
fn a_commit_in_doubt_may_be_done_late_or_never_but_once() {
    let lost = doubtful(1, put("a", "lost").check_absent(key("a")));
    let seen = |at, found| got(at, at + 1, [("a", found)]);
    let it = Some(("lost", 10));
    accepted(&[lost.clone(), seen(2, None), seen(4, None)]);
    accepted(&[lost.clone(), seen(2, None), seen(4, it), seen(6, it)]);
    refused(&[lost.clone(), seen(2, it), seen(4, None)]);
    // Nobody saw it, and yet something was in the way.
    let create = |at| conflict(at, at + 1, put("a", "mine").check_absent(key("a")));
    accepted(&[lost.clone(), create(2)]);
    refused(&[create(2)]);
    // Done, removed, and not done again.
    let delete = committed(4, 5, txn().delete(key("a")), 11);
    accepted(&[lost.clone(), seen(2, it), delete.clone(), seen(6, None)]);
    refused(&[lost.clone(), seen(2, it), delete, seen(6, None), seen(8, it)]);
    // Not before it was asked for.
    refused(&[seen(0, it), Operation { began: 2, ..lost }]);
}

#[test]
fn many_commits_in_doubt_are_no_burden() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let mut history: Vec<Operation> = Vec::new();
    for (at, name) in names.into_iter().enumerate() {
        history.push(doubtful(at as u64, put(name, "lost")));
    }
    for round in 0..50 {
        let at = 100 + 10 * round;
        history.push(committed(at, at + 3, put("n", "it"), at));
        history.push(got(at + 1, at + 2, [("a", None), ("j", None)]));
    }
    accepted(&history);
}
