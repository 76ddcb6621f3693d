//! Indexes: unique ones, ones that went wrong, ones that were added.

use pikoci_core::database::{
    Database, IndexProblem, Indexes, KeyPath, MAX_PAGE_ITEMS, Query, Record, Schema,
};
use serde::{Deserialize, Serialize};

use crate::support::{Build, Done, database, run, troubled};

async fn put_raw(database: &Database, path: KeyPath, value: Option<&'static [u8]>) {
    let key = path.key().unwrap();
    let done: Done = database
        .transact_with(&key, |transaction, key| {
            Box::pin(async move {
                match value {
                    Some(value) => transaction.put_raw(key.clone(), value),
                    None => transaction.delete_raw(key.clone()),
                }
                Ok(())
            })
        })
        .await;
    done.unwrap();
}

fn entry(index: &str) -> KeyPath {
    KeyPath::new(("i", "build", index))
}

/// The value of an entry: the id 1.
const ONE: &[u8] = b"\x02\x03\0\0\0\0\0\0\0\x01";

async fn listed(database: &Database, status: &str) -> Vec<u64> {
    let query = Query::below(status);
    let page = database.list_by::<Build>("by_status", &query).await.unwrap();
    page.items.iter().map(|build| build.number).collect()
}

#[tokio::test]
async fn a_unique_value_has_one_owner_until_it_is_given_up() -> Done {
    let (database, _) = database();
    database.insert(&Build::new(1, "queued").named("nightly")).await?;
    for refused in [
        database.insert(&Build::new(2, "queued").named("nightly")).await,
        database.put(&Build::new(2, "queued").named("nightly")).await,
    ] {
        assert_eq!(
            refused.unwrap_err().to_string(),
            "there is another build with `nightly` in its unique index `by_name`"
        );
    }
    database.put(&Build::new(1, "running").named("nightly")).await?;
    let found = database.find_by::<Build>("by_name", "nightly").await?;
    assert_eq!(found.map(|build| build.number), Some(1));

    database.update::<Build>(&1, |build| build.name = None).await?;
    assert_eq!(database.find_by::<Build>("by_name", "nightly").await?, None);
    database.insert(&Build::new(2, "queued").named("nightly")).await?;
    let found = database.find_by::<Build>("by_name", "nightly").await?;
    assert_eq!(found.map(|build| build.number), Some(2));

    let swapped: Done = database
        .transact(|transaction| {
            Box::pin(async move {
                transaction.delete::<Build>(&2).await?;
                transaction.put(&Build::new(1, "running").named("nightly")).await
            })
        })
        .await;
    swapped?;
    assert_eq!(database.verify::<Build>().await?.wrong, 0);
    Ok(())
}

#[tokio::test]
async fn an_index_follows_its_record() -> Done {
    let (database, _) = database();
    database.insert(&Build::new(1, "queued")).await?;
    database.insert(&Build::new(2, "queued")).await?;
    database.put(&Build::new(1, "running")).await?;
    assert_eq!(listed(&database, "queued").await, [2]);
    assert_eq!(listed(&database, "running").await, [1]);
    database.delete::<Build>(&1).await?;
    assert!(listed(&database, "running").await.is_empty());
    let report = database.verify::<Build>().await?;
    assert_eq!((report.records, report.entries, report.wrong), (1, 1, 0));
    Ok(())
}

#[tokio::test]
async fn wrong_entries_return_nothing_and_are_put_right() -> Done {
    let (database, _) = database();
    for number in 1..4 {
        database.insert(&Build::new(number, "queued")).await?;
    }
    // One that its record does not want, one of no record, one of nobody, one lost.
    put_raw(&database, entry("by_status").then(("running", 1_u64)), Some(ONE)).await;
    put_raw(
        &database,
        entry("by_status").then(("queued", 9_u64)),
        Some(b"\x02\x03\0\0\0\0\0\0\0\x09"),
    )
    .await;
    put_raw(&database, entry("by_size").then(5_u64), Some(b"damaged")).await;
    put_raw(&database, entry("by_status").then(("queued", 2_u64)), None).await;
    assert!(listed(&database, "running").await.is_empty());
    assert_eq!(listed(&database, "queued").await, [1, 3]);

    let expected = [
        "the index entry `i/build/by_size/5` stands for no record that has it",
        "the index entry `i/build/by_status/queued/9` stands for no record that has it",
        "the index entry `i/build/by_status/running/1` stands for no record that has it",
        "`r/build/2` is not found by its index entry `i/build/by_status/queued/2`",
    ];
    for report in [database.verify::<Build>().await?, database.reindex::<Build>().await?] {
        let mut problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        problems[..3].sort();
        assert_eq!(problems, expected);
        assert_eq!(report.wrong, 4);
    }
    assert_eq!(database.verify::<Build>().await?.wrong, 0);
    assert_eq!(listed(&database, "queued").await, [1, 2, 3]);
    Ok(())
}

#[tokio::test]
async fn a_place_that_two_records_want_is_told_and_left_alone() -> Done {
    let (database, _) = database();
    database.insert(&Build::new(1, "queued").named("a")).await?;
    database.insert(&Build::new(2, "queued").named("b")).await?;
    put_raw(
        &database,
        KeyPath::new(("r", "build", 3_u64)),
        Some(b"\x01\x01{\"number\":3,\"status\":\"queued\",\"name\":\"a\"}"),
    )
    .await;
    put_raw(&database, KeyPath::new(("r", "build", 4_u64)), Some(b"\x01\x01{")).await;
    database.reindex::<Build>().await?;
    let report = database.verify::<Build>().await?;
    assert_eq!(report.wrong, 2);
    let is_taken = |problem: &IndexProblem| matches!(problem, IndexProblem::Taken { record, .. } if record == "r/build/3");
    assert!(report.problems.iter().any(is_taken), "{:?}", report.problems);
    let is_unreadable = |problem: &IndexProblem| {
        problem.to_string() == "what is stored under `r/build/4` is not a build that can be read"
    };
    assert!(report.problems.iter().any(is_unreadable), "{:?}", report.problems);
    assert_eq!(database.find_by::<Build>("by_name", "a").await?.map(|build| build.number), Some(1));
    Ok(())
}

/// The build of a version that has an index more.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Indexed {
    number: u64,
    status: String,
}

impl Schema for Indexed {
    const KIND: &'static str = "build";
}

impl Record for Indexed {
    type Id = u64;

    fn id(&self) -> u64 {
        self.number
    }

    fn indexes(&self, indexes: &mut Indexes) {
        indexes.add("by_status", &self.status);
        indexes.add("by_last_digit", self.number % 10);
    }
}

#[test]
fn an_index_that_is_added_is_filled_while_others_write() {
    run(async {
        let (database, _) = troubled(5);
        for number in 0..300 {
            database.insert(&Build::new(number, "queued")).await.unwrap();
        }
        let writer = async {
            for number in (0..400).step_by(3) {
                let status = if number % 2 == 0 { "running" } else { "queued" };
                database.put(&Indexed { number, status: status.into() }).await.unwrap();
            }
            for number in (0..400).step_by(7) {
                database.delete::<Indexed>(&number).await.unwrap();
            }
        };
        let (report, ()) = tokio::join!(database.reindex::<Indexed>(), writer);
        assert!(report.unwrap().wrong > 0);
        let report = database.verify::<Indexed>().await.unwrap();
        assert_eq!(report.wrong, 0, "{:?}", report.problems);
        assert_eq!(report.entries, 2 * report.records);
    });
}

#[test]
fn what_others_change_meanwhile_is_no_problem() {
    run(async {
        let (database, _) = troubled(6);
        for number in 0..150 {
            database.insert(&Build::new(number, "queued")).await.unwrap();
        }
        let writer = async {
            for number in 0..150 {
                database.put(&Build::new(number * 7 % 150, "running")).await.unwrap();
                database.delete::<Build>(&(number * 11 % 150)).await.unwrap();
            }
        };
        let reader = async {
            for _ in 0..20 {
                let report = database.verify::<Build>().await.unwrap();
                assert_eq!(report.wrong, 0, "{:?}", report.problems);
                for status in ["queued", "running"] {
                    let query = Query::below(status).limit(MAX_PAGE_ITEMS);
                    let page = database.list_by::<Build>("by_status", &query).await.unwrap();
                    assert!(page.items.iter().all(|build| build.status == status));
                }
            }
        };
        tokio::join!(reader, writer);
    });
}
