//! The search finds what trying every order finds.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::model::{Model, State};
use super::{Answer, Call, Operation, check};
use crate::store::{Entry, Key, KeyRange, Order, Outcome, Revision, Txn};
use crate::testkit::random::Random;

/// How many calls a history has: few, since all their orders are tried.
const CALLS: usize = 6;

fn key(at: usize) -> Key {
    Key::new(["a", "b", "c"][at]).expect("a key")
}

/// Whether some order of the calls that are left explains their answers.
fn explained(history: &[Operation], model: &Model, state: &State, left: &[usize]) -> bool {
    let answered = |at: usize| history[at].answered.as_ref().map(|(moment, _)| *moment);
    if left.iter().all(|at| answered(*at).is_none()) {
        return true;
    }
    let first_answer = left.iter().filter_map(|at| answered(*at)).min().unwrap_or(u64::MAX);
    left.iter().any(|at| {
        let rest: Vec<usize> = left.iter().copied().filter(|other| other != at).collect();
        history[*at].began < first_answer
            && model.steps[*at]
                .after(state)
                .is_some_and(|after| explained(history, model, &after, &rest))
    })
}

/// A history that did happen one call after the other, told as if it had
/// happened at other times.
fn shuffled(random: &mut Random) -> Vec<Operation> {
    let mut store: BTreeMap<Key, Entry> = BTreeMap::new();
    let mut revisions = vec![None];
    let mut history = Vec::new();
    for at in 0..CALLS {
        let (call, answer) = match random.below(4) {
            0 => {
                let keys = vec![key(random.below(3)), key(random.below(3))];
                let found = keys.iter().map(|key| store.get(key).cloned()).collect();
                (Call::Get(keys), Answer::Got(found))
            }
            1 => {
                let found = store.iter().map(|(key, entry)| (key.clone(), entry.clone()));
                let answer = Answer::Scanned(found.collect());
                (Call::Scan(KeyRange::all(), Order::Ascending, 9), answer)
            }
            _ => {
                let mut txn = Txn::new(Uuid::nil());
                let checked = key(random.below(3));
                if random.one_in(2) {
                    // Often what is there, sometimes what was.
                    let there = store.get(&checked).map(|entry| entry.revision);
                    let any = revisions[random.below(revisions.len())];
                    let revision = if random.one_in(3) { any } else { there };
                    txn = txn.check(checked.clone(), revision);
                }
                txn = match random.below(3) {
                    0 => txn.delete(checked),
                    _ => txn.put(checked, at.to_string()).put(key(2), format!("{at} too")),
                };
                if txn.writes.len() == 2 && txn.writes[0].key() == txn.writes[1].key() {
                    txn.writes.pop();
                }
                let holds = txn.checks.iter().all(|check| {
                    store.get(&check.key).map(|entry| entry.revision) == check.revision
                });
                let revision = Revision(10 + at as u64);
                for write in txn.writes.iter().filter(|_| holds) {
                    match write.value() {
                        Some(value) => {
                            let entry = Entry { value: value.clone(), revision };
                            store.insert(write.key().clone(), entry);
                        }
                        None => drop(store.remove(write.key())),
                    }
                }
                let outcome = if holds { Outcome::Committed(revision) } else { Outcome::Conflict };
                revisions.push(Some(revision));
                (Call::Commit(txn), Answer::Ended(outcome))
            }
        };
        // Near the time at which it happened, often overlapping others.
        let began = (100 * at + random.below(500)) as u64 * 100 + at as u64;
        let answered = began + 1000 * (1 + random.below(30)) as u64 + 50;
        let in_doubt = matches!(call, Call::Commit(_)) && random.one_in(4);
        let answered = (!in_doubt).then_some((answered, answer));
        history.push(Operation { client: at, began, call, answered });
    }
    history
}

#[test]
fn it_accepts_what_some_order_explains_and_nothing_else() {
    let mut random = Random::new(1);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..4000 {
        let history = shuffled(&mut random);
        let model = Model::new(&history);
        let all: Vec<usize> = (0..history.len()).collect();
        let expected = explained(&history, &model, &model.start(), &all);
        let told: Vec<String> = history.iter().map(ToString::to_string).collect();
        assert_eq!(check(&history).is_ok(), expected, "round {round}: {}", told.join("\n"));
        *(if expected { &mut accepted } else { &mut refused }) += 1;
    }
    assert!(accepted > 200 && refused > 200, "{accepted} accepted, {refused} refused");
}
