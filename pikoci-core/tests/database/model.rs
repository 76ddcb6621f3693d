//! Random transactions on records with indexes, several at once, against a
//! map that is gone through once more in the order in which they were committed.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use pikoci_core::database::{Counter, Database, DatabaseError, Query, Transaction};
use proptest::prelude::*;

use crate::support::{Build, Done, far_away, run, troubled};

const STATUSES: [&str; 3] = ["passed", "queued", "running"];
const NAMES: [&str; 3] = ["a", "b", "c"];
const NUMBERS: u64 = 5;

#[derive(Debug, Clone)]
enum Operation {
    Insert(Build),
    Put(Build),
    SetStatus(u64, &'static str),
    Delete(u64),
    Get(u64),
    FindByName(&'static str),
    ListByStatus(&'static str),
}

/// What an operation answered.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Done,
    Exists,
    Taken,
    NotFound,
    Found(Option<Build>),
    /// What was listed was so, but others may have been left out.
    Listed(Vec<Build>),
}

fn build() -> impl Strategy<Value = Build> {
    let name = prop::option::of(prop::sample::select(&NAMES[..]));
    (0..NUMBERS, prop::sample::select(&STATUSES[..]), name).prop_map(|(number, status, name)| {
        Build { name: name.map(str::to_owned), ..Build::new(number, status) }
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let status = || prop::sample::select(&STATUSES[..]);
    prop_oneof![
        build().prop_map(Operation::Insert),
        build().prop_map(Operation::Put),
        (0..NUMBERS, status()).prop_map(|(number, status)| Operation::SetStatus(number, status)),
        (0..NUMBERS).prop_map(Operation::Delete),
        (0..NUMBERS).prop_map(Operation::Get),
        prop::sample::select(&NAMES[..]).prop_map(Operation::FindByName),
        status().prop_map(Operation::ListByStatus),
    ]
}

async fn perform(transaction: &mut Transaction, operation: &Operation) -> Done<Answer> {
    let done = match operation {
        Operation::Insert(build) => transaction.insert(build).await.map(|()| Answer::Done),
        Operation::Put(build) => transaction.put(build).await.map(|()| Answer::Done),
        Operation::SetStatus(number, status) => transaction
            .update::<Build>(number, |build| build.status = (*status).to_owned())
            .await
            .map(|_| Answer::Done),
        Operation::Delete(number) => {
            let deleted = transaction.delete::<Build>(number).await?;
            Ok(if deleted { Answer::Done } else { Answer::NotFound })
        }
        Operation::Get(number) => transaction.get(number).await.map(Answer::Found),
        Operation::FindByName(name) => {
            transaction.find_by("by_name", *name).await.map(Answer::Found)
        }
        Operation::ListByStatus(status) => transaction
            .list_by("by_status", &Query::below(*status))
            .await
            .map(|page| Answer::Listed(page.items)),
    };
    match done {
        Err(DatabaseError::Exists { .. }) => Ok(Answer::Exists),
        Err(DatabaseError::Taken { .. }) => Ok(Answer::Taken),
        Err(DatabaseError::NotFound { .. }) => Ok(Answer::NotFound),
        other => other,
    }
}

/// A transaction of these operations; tells its place in the order of commits.
async fn commit(database: &Database, operations: &[Operation]) -> Done<(u64, Vec<Answer>)> {
    database
        .transact_with(operations, |transaction, operations| {
            Box::pin(async move {
                let mut answers = Vec::new();
                for operation in operations {
                    answers.push(perform(transaction, operation).await?);
                }
                Ok((Counter::new("commits").next(transaction).await?, answers))
            })
        })
        .await
}

type Model = BTreeMap<u64, Build>;

fn taken(model: &Model, build: &Build) -> bool {
    build.name.is_some()
        && model.values().any(|other| other.number != build.number && other.name == build.name)
}

/// What the operation answers where nothing else goes on.
fn expected(model: &mut Model, operation: &Operation) -> Answer {
    match operation {
        Operation::Insert(build) if model.contains_key(&build.number) => Answer::Exists,
        Operation::Insert(build) | Operation::Put(build) if taken(model, build) => Answer::Taken,
        Operation::Insert(build) | Operation::Put(build) => {
            model.insert(build.number, build.clone());
            Answer::Done
        }
        Operation::SetStatus(number, status) => match model.get_mut(number) {
            Some(build) => {
                build.status = (*status).to_owned();
                Answer::Done
            }
            None => Answer::NotFound,
        },
        Operation::Delete(number) => match model.remove(number) {
            Some(_) => Answer::Done,
            None => Answer::NotFound,
        },
        Operation::Get(number) => Answer::Found(model.get(number).cloned()),
        Operation::FindByName(name) => {
            let mut named = model.values().filter(|build| build.name.as_deref() == Some(*name));
            Answer::Found(named.next().cloned())
        }
        Operation::ListByStatus(status) => Answer::Listed(
            model.values().filter(|build| build.status == *status).cloned().collect(),
        ),
    }
}

fn matches(answer: &Answer, expected: &Answer) -> bool {
    match (answer, expected) {
        (Answer::Listed(listed), Answer::Listed(all)) => {
            listed.is_sorted() && listed.iter().all(|build| all.contains(build))
        }
        _ => answer == expected,
    }
}

async fn holds_just_this(database: &Database, model: &Model) -> Done {
    let all: Vec<Build> = model.values().cloned().collect();
    assert_eq!(database.list::<Build>(&Query::all()).await?.items, all);
    for status in STATUSES {
        let query = Query::below(status).descending();
        let listed = database.list_by::<Build>("by_status", &query).await?.items;
        let expected: Vec<_> =
            all.iter().rev().filter(|build| build.status == status).cloned().collect();
        assert_eq!(listed, expected);
    }
    for name in NAMES {
        let expected = all.iter().find(|build| build.name.as_deref() == Some(name)).cloned();
        assert_eq!(database.find_by::<Build>("by_name", name).await?, expected);
    }
    let report = database.verify::<Build>().await?;
    assert_eq!(report.wrong, 0, "{:?}", report.problems);
    Ok(())
}

/// Does something again until the network lets it through. What answers that
/// it may be tried again was not done, or the histories would show it twice.
async fn insist<T, F: Future<Output = Done<T>>>(mut attempt: impl FnMut() -> F) -> T {
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
}

type Transactions = Vec<Vec<Operation>>;

fn clients() -> impl Strategy<Value = Vec<Transactions>> {
    let transactions = || prop::collection::vec(prop::collection::vec(operation(), 1..4), 1..8);
    prop::collection::vec(transactions(), 1..4)
}

async fn is_as_if_one_came_after_the_other(database: &Database, clients: &[Transactions]) {
    let histories = join_all(clients.iter().map(async |transactions| {
        let mut history = Vec::new();
        for operations in transactions {
            let (place, answers) = insist(|| commit(database, operations)).await;
            history.push((place, operations.clone(), answers));
        }
        history
    }))
    .await;
    let mut history = histories.concat();
    history.sort_by_key(|(place, ..)| *place);
    let mut model = Model::new();
    for (place, operations, answers) in history {
        for (operation, answer) in operations.iter().zip(answers) {
            let expected = expected(&mut model, operation);
            assert!(
                matches(&answer, &expected),
                "{place}: {operation:?} answered {answer:?}, not {expected:?}"
            );
        }
    }
    insist(|| holds_just_this(database, &model)).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn transactions_are_as_if_one_came_after_the_other(seed in any::<u64>(), clients in clients()) {
        run(is_as_if_one_came_after_the_other(&troubled(seed).0, &clients));
    }

    #[test]
    fn so_they_are_behind_a_bad_network(seed in any::<u64>(), clients in clients()) {
        run(async { is_as_if_one_came_after_the_other(&far_away(seed), &clients).await });
    }
}
