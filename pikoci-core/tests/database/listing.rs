//! Records page by page, in both orders.

use pikoci_core::database::{Cursor, Database, DatabaseError, Query};
use pikoci_core::store::Order;

use crate::support::{Build, Done, database};

async fn with_builds(statuses: &[&str]) -> Database {
    let (database, _) = database();
    for (number, status) in statuses.iter().enumerate() {
        database.insert(&Build::new(number as u64, status)).await.unwrap();
    }
    database
}

fn numbers(builds: &[Build]) -> Vec<u64> {
    builds.iter().map(|build| build.number).collect()
}

/// The numbers of each page, by id or by an index.
async fn pages(database: &Database, index: Option<&str>, query: Query) -> Done<Vec<Vec<u64>>> {
    let mut pages = Vec::new();
    let mut next = None;
    loop {
        let query = query.clone().after(next);
        let page = match index {
            Some(index) => database.list_by::<Build>(index, &query).await?,
            None => database.list::<Build>(&query).await?,
        };
        pages.push(numbers(&page.items));
        // As text and back, as it goes through a URL.
        next = match page.next {
            Some(cursor) => Some(cursor.to_string().parse()?),
            None => return Ok(pages),
        };
    }
}

#[tokio::test]
async fn pages_follow_each_other_in_both_orders() -> Done {
    let database = with_builds(&["queued"; 5]).await;
    for index in [None, Some("by_status")] {
        let two = Query::all().limit(2);
        assert_eq!(pages(&database, index, two.clone()).await?, [vec![0, 1], vec![2, 3], vec![4]]);
        let back = two.descending();
        assert_eq!(pages(&database, index, back).await?, [vec![4, 3], vec![2, 1], vec![0]]);
        let whole = Query::all().limit(5);
        assert_eq!(pages(&database, index, whole).await?, [vec![0, 1, 2, 3, 4]]);
        let none_at_a_time = Query::all().limit(0);
        assert_eq!(pages(&database, index, none_at_a_time).await?.len(), 5);
    }
    Ok(())
}

#[tokio::test]
async fn a_range_ends_where_it_is_told_to() -> Done {
    let database = with_builds(&["a", "b", "b", "c", "bb", "d"]).await;
    let by_id = async |query: Query| pages(&database, None, query).await.unwrap().concat();
    assert_eq!(by_id(Query::all().from(1_u64).until(3_u64)).await, [1, 2]);
    assert_eq!(by_id(Query::all().from(1_u64).through(3_u64)).await, [1, 2, 3]);
    assert_eq!(by_id(Query::all().through(1_u64).descending()).await, [1, 0]);
    assert_eq!(by_id(Query::below(4_u64)).await, [4]);
    assert!(by_id(Query::all().from(3_u64).until(3_u64)).await.is_empty());

    let by_status =
        async |query: Query| pages(&database, Some("by_status"), query).await.unwrap().concat();
    assert_eq!(by_status(Query::below("b")).await, [1, 2]);
    assert_eq!(by_status(Query::below("b").from(2_u64)).await, [2]);
    assert_eq!(by_status(Query::all().from("b").until("c")).await, [1, 2, 4]);
    assert_eq!(by_status(Query::all().from("b").through("c")).await, [1, 2, 4, 3]);
    assert_eq!(by_status(Query::all().descending()).await, [5, 3, 4, 2, 1, 0]);
    assert!(by_status(Query::below("none")).await.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_cursor_keeps_its_place_when_its_record_goes() -> Done {
    for order in [Order::Ascending, Order::Descending] {
        let database = with_builds(&["queued"; 5]).await;
        let query = Query::all().limit(3).order(order);
        let page = database.list::<Build>(&query).await?;
        let met = numbers(&page.items);
        database.delete::<Build>(&met[2]).await?;
        database.delete::<Build>(&met[0]).await?;
        database.insert(&Build::new(9, "queued")).await?;
        let rest = database.list::<Build>(&query.after(page.next)).await?;
        match order {
            Order::Ascending => assert_eq!(numbers(&rest.items), [3, 4, 9]),
            Order::Descending => assert_eq!(numbers(&rest.items), [1, 0]),
        }
        assert_eq!(rest.next, None);
    }
    Ok(())
}

#[tokio::test]
async fn a_cursor_of_another_listing_is_refused() -> Done {
    let database = with_builds(&["a", "a", "b", "b"]).await;
    let query = Query::below("b").limit(1);
    let cursor = database.list_by::<Build>("by_status", &query).await?.next;
    assert!(cursor.is_some());
    for query in [Query::below("a"), Query::below("b").from(3_u64)] {
        let error =
            database.list_by::<Build>("by_status", &query.after(cursor.clone())).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Cursor), "{error}");
    }
    assert!("no cursor!".parse::<Cursor>().is_err());
    let json = serde_json::to_string(&cursor).unwrap();
    assert_eq!(serde_json::from_str::<Option<Cursor>>(&json).unwrap(), cursor);
    Ok(())
}

#[tokio::test]
async fn a_listing_in_a_transaction_sees_its_writes() -> Done {
    let database = with_builds(&["queued"; 3]).await;
    let listed: Done<_> = database
        .transact(|transaction| {
            Box::pin(async move {
                transaction.delete::<Build>(&0).await?;
                transaction.update::<Build>(&1, |build| build.status = "running".into()).await?;
                transaction.insert(&Build::new(7, "queued")).await?;
                let all = transaction.list::<Build>(&Query::all()).await?;
                let queued =
                    transaction.list_by::<Build>("by_status", &Query::below("queued")).await?;
                Ok((numbers(&all.items), numbers(&queued.items)))
            })
        })
        .await;
    assert_eq!(listed?, (vec![1, 2, 7], vec![2, 7]));
    Ok(())
}

#[tokio::test]
async fn a_record_that_moves_while_it_is_listed_is_met() -> Done {
    let (database, store) = database();
    for number in 0..3 {
        database.insert(&Build::new(number, "b")).await?;
    }
    let other = database.clone();
    store.after_the_next_read(async move {
        other.put(&Build::new(1, "c")).await.unwrap();
    });
    let page = database.list_by::<Build>("by_status", &Query::all()).await?;
    assert_eq!(numbers(&page.items), [0, 2, 1]);

    let other = database.clone();
    store.after_the_next_read(async move {
        other.put(&Build::new(1, "a")).await.unwrap();
    });
    let page = database.list_by::<Build>("by_status", &Query::below("c")).await?;
    assert!(page.items.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_unique_value_that_changes_hands_is_found_all_the_same() -> Done {
    let (database, store) = database();
    database.insert(&Build::new(1, "queued").named("latest")).await?;
    let other = database.clone();
    store.after_the_next_read(async move {
        other.delete::<Build>(&1).await.unwrap();
        other.insert(&Build::new(2, "queued").named("latest")).await.unwrap();
    });
    let found = database.find_by::<Build>("by_name", "latest").await?;
    assert_eq!(found.map(|build| build.number), Some(2));

    let other = database.clone();
    store.after_the_next_read(async move {
        other.put(&Build::new(3, "queued").named("other")).await.unwrap();
        other.delete::<Build>(&2).await.unwrap();
        other.put(&Build::new(3, "queued").named("latest")).await.unwrap();
    });
    let found: Done<_> = database
        .transact(|transaction| {
            Box::pin(async move {
                let found = transaction.find_by::<Build>("by_name", "latest").await?;
                found.ok_or(DatabaseError::NotFound { kind: "build", id: "latest".into() })
            })
        })
        .await;
    assert_eq!(found?.number, 3);
    Ok(())
}
