//! Counters and queues, also with many at them at once.

use futures_util::future::{join_all, try_join_all};
use pikoci_core::database::{Counter, Database, DatabaseError, Part, Queue, SpreadCounter};

use crate::support::{Done, database, run, troubled};

async fn next(database: &Database, counter: &Counter) -> Done<u64> {
    database.transact_with(counter, |tx, counter| Box::pin(counter.next(tx))).await
}

async fn push(database: &Database, position: (u64, u64), payload: &str) -> Done {
    let queue = Queue::new("builds");
    database
        .transact_with(&(queue, position, payload), |tx, (queue, position, payload)| {
            Box::pin(queue.push(tx, *position, (*payload).to_owned()))
        })
        .await
}

async fn take(database: &Database, position: Vec<Part>) -> Done<Option<String>> {
    let queue = Queue::<String>::new("builds");
    database
        .transact_with(&(queue, position), |tx, (queue, position)| {
            Box::pin(queue.take(tx, position))
        })
        .await
}

async fn payloads(database: &Database) -> Vec<String> {
    let items = Queue::<String>::new("builds").peek(database, 100).await.unwrap();
    items.into_iter().map(|item| item.payload).collect()
}

#[test]
fn a_counter_gives_each_number_once() {
    run(async {
        let (database, _) = troubled(1);
        let counter = Counter::new(("builds", "test"));
        let numbers = try_join_all((0..40).map(|_| next(&database, &counter))).await.unwrap();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=40).collect::<Vec<_>>());
        assert_eq!(counter.read(&database).await.unwrap(), 40);
        assert_eq!(Counter::new("builds").read(&database).await.unwrap(), 0);
    });
}

#[tokio::test]
async fn a_counter_keeps_to_its_range() -> Done {
    let (database, _) = database();
    let counter = Counter::new("running");
    let add = async |amount: i64| -> Done<u64> {
        database
            .transact_with(&(&counter, amount), |tx, (counter, amount)| {
                Box::pin(counter.add(tx, *amount))
            })
            .await
    };
    assert_eq!(add(5).await?, 5);
    assert_eq!(add(-2).await?, 3);
    let error = add(-4).await.unwrap_err();
    assert_eq!(error.to_string(), "-4 cannot be added to counter `running`, which is at 3");
    assert_eq!(counter.read(&database).await?, 3);
    Ok(())
}

#[test]
fn a_spread_counter_adds_up() {
    run(async {
        let (database, _) = troubled(2);
        let counter = SpreadCounter::new("bytes");
        let add = |amount: i64| {
            let context = (counter.clone(), amount);
            let database = &database;
            async move {
                let done: Done = database
                    .transact_with(&context, |tx, (counter, amount)| {
                        Box::pin(counter.add(tx, *amount))
                    })
                    .await;
                done
            }
        };
        try_join_all((1..=50).map(add)).await.unwrap();
        try_join_all((1..=50).map(|amount| add(-amount - 1))).await.unwrap();
        assert_eq!(counter.read(&database).await.unwrap(), -50);
    });
}

#[tokio::test]
async fn items_are_in_the_order_of_their_positions() -> Done {
    let (database, _) = database();
    push(&database, (2, 1), "c").await?;
    push(&database, (1, 9), "b").await?;
    push(&database, (1, 2), "a").await?;
    assert_eq!(payloads(&database).await, ["a", "b", "c"]);
    let queue = Queue::<String>::new("builds");
    assert_eq!(queue.peek(&database, 2).await?.len(), 2);
    assert!(queue.peek(&database, 0).await?.is_empty());
    assert_eq!(queue.len(&database).await?, 3);
    assert_eq!(queue.peek(&database, 1).await?[0].position, [Part::Number(1), Part::Number(2)]);

    let error = push(&database, (1, 9), "d").await.unwrap_err();
    assert_eq!(error.to_string(), "there is an item at `1/9` of queue `builds` already");
    assert_eq!(payloads(&database).await, ["a", "b", "c"]);
    Ok(())
}

#[tokio::test]
async fn an_item_moves_unless_its_new_place_is_taken() -> Done {
    let (database, _) = database();
    push(&database, (1, 1), "a").await?;
    push(&database, (1, 2), "b").await?;
    let shift = async |from: (u64, u64), to: (u64, u64)| -> Done<bool> {
        let queue = Queue::<String>::new("builds");
        database
            .transact_with(&(queue, from, to), |tx, (queue, from, to)| {
                Box::pin(queue.shift(tx, *from, *to))
            })
            .await
    };
    assert!(shift((1, 1), (3, 0)).await?);
    assert_eq!(payloads(&database).await, ["b", "a"]);
    assert!(!shift((1, 1), (3, 0)).await?);
    assert!(shift((3, 0), (3, 0)).await?);
    assert!(matches!(shift((3, 0), (1, 2)).await, Err(DatabaseError::PlaceTaken { .. })));
    assert_eq!(payloads(&database).await, ["b", "a"]);
    Ok(())
}

#[test]
fn an_item_has_one_taker() {
    run(async {
        let (database, _) = troubled(3);
        for number in 0..5 {
            push(&database, (0, number), &number.to_string()).await.unwrap();
        }
        let takers =
            (0..20).map(|taker| take(&database, vec![Part::Number(0), Part::Number(taker % 5)]));
        let mut taken: Vec<String> =
            join_all(takers).await.into_iter().filter_map(Result::unwrap).collect();
        taken.sort();
        assert_eq!(taken, ["0", "1", "2", "3", "4"]);
        assert_eq!(Queue::<String>::new("builds").len(&database).await.unwrap(), 0);
    });
}

#[test]
fn what_is_pushed_to_the_end_comes_last_and_nothing_is_lost() {
    run(async {
        let (database, _) = troubled(4);
        let queue = Queue::<u64>::new("fifo");
        let push_back = async |payload: u64| -> Done<Vec<Part>> {
            database
                .transact_with(&(&queue, payload), |tx, (queue, payload)| {
                    Box::pin(queue.push_back(tx, *payload))
                })
                .await
        };
        for payload in 0..5 {
            push_back(payload).await.unwrap();
        }
        join_all((5..15).map(&push_back)).await;
        let items = queue.peek(&database, 100).await.unwrap();
        let mut payloads: Vec<u64> = items.iter().map(|item| item.payload).collect();
        assert_eq!(payloads[..5], [0, 1, 2, 3, 4]);
        payloads.sort_unstable();
        assert_eq!(payloads, (0..15).collect::<Vec<_>>());
        // The queue of a longer name, and one that was emptied, have their own.
        assert_eq!(Queue::<u64>::new("fif").len(&database).await.unwrap(), 0);
    });
}

#[tokio::test]
async fn a_queue_whose_name_goes_on_after_a_zero_is_another_one() -> Done {
    let (database, _) = database();
    let (short, long) = (Queue::<String>::new("a"), Queue::<String>::new("a\0b"));
    database
        .transact_with(&long, |tx, long| Box::pin(long.push(tx, 1_u64, "its own".to_owned())))
        .await?;
    assert_eq!(short.len(&database).await?, 0);
    assert!(short.peek(&database, 10).await?.is_empty());
    assert_eq!(long.len(&database).await?, 1);
    Ok(())
}
