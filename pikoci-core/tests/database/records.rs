//! Records are written and read.

use pikoci_core::database::{
    DatabaseError, EncodingError, Envelope, Indexes, KeyPath, Record, Schema, record_key,
};
use pikoci_core::store::{Key, StoreErrorKind};
use serde::{Deserialize, Serialize};

use crate::support::{Build, Done, database};

#[tokio::test]
async fn a_record_is_inserted_once() -> Done {
    let (database, _) = database();
    let build = Build::new(1, "queued").named("first");
    database.insert(&build).await?;
    let again = database.insert(&Build::new(1, "running")).await.unwrap_err();
    assert_eq!(again.to_string(), "there is a build `1` already");
    assert!(!again.is_retryable());
    assert_eq!(database.get::<Build>(&1).await?, Some(build.clone()));
    assert_eq!(
        database.get_many::<Build>(&[2, 1, 1]).await?,
        [None, Some(build.clone()), Some(build)]
    );
    Ok(())
}

#[tokio::test]
async fn a_record_that_is_not_there_is_told() -> Done {
    let (database, _) = database();
    assert_eq!(database.get::<Build>(&1).await?, None);
    let expected = "there is no build `1`";
    assert_eq!(database.require::<Build>(&1).await.unwrap_err().to_string(), expected);
    let missing = database.update::<Build>(&1, |build| build.status.clear()).await.unwrap_err();
    assert_eq!(missing.to_string(), expected);
    assert!(!database.delete::<Build>(&1).await?);
    Ok(())
}

#[tokio::test]
async fn an_update_changes_all_but_the_id() -> Done {
    let (database, _) = database();
    database.insert(&Build::new(1, "queued")).await?;
    let updated = database.update::<Build>(&1, |build| build.status = "running".into()).await?;
    assert_eq!(updated, Build::new(1, "running"));
    assert_eq!(database.require::<Build>(&1).await?, updated);
    let error = database.update::<Build>(&1, |build| build.number = 2).await.unwrap_err();
    assert_eq!(error.to_string(), "the id of build `1` was changed");
    assert_eq!(database.require::<Build>(&1).await?, updated);
    Ok(())
}

#[tokio::test]
async fn a_transaction_sees_what_it_wrote_and_writes_nothing_when_it_fails() -> Done {
    let (database, _) = database();
    let failed: Done = database
        .transact(|transaction| {
            Box::pin(async move {
                transaction.insert(&Build::new(1, "queued").named("a")).await?;
                assert!(transaction.get::<Build>(&1).await?.is_some());
                assert!(transaction.find_by::<Build>("by_name", "a").await?.is_some());
                transaction.delete::<Build>(&1).await?;
                assert!(transaction.find_by::<Build>("by_name", "a").await?.is_none());
                transaction.insert(&Build::new(2, "queued").named("a")).await?;
                transaction.insert(&Build::new(2, "queued")).await
            })
        })
        .await;
    assert!(matches!(failed, Err(DatabaseError::Exists { .. })));
    assert_eq!(database.get_many::<Build>(&[1, 2]).await?, [None, None]);
    Ok(())
}

#[tokio::test]
async fn a_write_that_was_refused_leaves_nothing_in_its_transaction() -> Done {
    let (database, _) = database();
    database.insert(&Build::new(1, "queued").named("a")).await?;
    database.insert(&Build::new(2, "queued").named("b")).await?;
    let done: Done = database
        .transact(|transaction| {
            Box::pin(async move {
                let taken = transaction.put(&Build::new(2, "running").named("a")).await;
                assert!(matches!(taken, Err(DatabaseError::Taken { .. })));
                transaction.put(&Build::new(3, "queued")).await
            })
        })
        .await;
    done?;
    assert_eq!(database.require::<Build>(&2).await?, Build::new(2, "queued").named("b"));
    assert_eq!(database.verify::<Build>().await?.wrong, 0);
    assert!(database.get::<Build>(&3).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_failure_that_came_of_reads_that_do_not_fit_together_is_tried_again() -> Done {
    let (database, _) = database();
    database.insert(&Build::new(1, "moved to 2")).await?;
    let mut attempts = 0;
    let found: Done<_> = database
        .transact(|transaction| {
            attempts += 1;
            let meddle = attempts == 1;
            Box::pin(async move {
                let from: Build = transaction.require(&1).await?;
                if meddle {
                    let other = transaction.database().clone();
                    other.put(&Build::new(1, "moved to 3")).await?;
                }
                let to = from.status.trim_start_matches("moved to ").parse().unwrap();
                if to == 2 {
                    // By now nobody says any more that it is there.
                    transaction.require::<Build>(&2).await?;
                }
                Ok(to)
            })
        })
        .await;
    assert_eq!((found?, attempts), (3, 2));
    Ok(())
}

#[tokio::test]
async fn a_record_that_is_too_large_is_named() -> Done {
    let (database, _) = database();
    let error = database.put(&Build::new(7, &"x".repeat(70_000))).await.unwrap_err();
    assert_eq!(error.to_string(), "build `7` has too long values in its index `by_status`");
    #[derive(Serialize, Deserialize)]
    struct Note(String);
    impl Schema for Note {
        const KIND: &'static str = "note";
    }
    impl Record for Note {
        type Id = u64;
        fn id(&self) -> u64 {
            7
        }
    }
    let error = database.put(&Note("x".repeat(70_000))).await.unwrap_err();
    assert_eq!(error.to_string(), "note `r/note/7` has 70004 bytes, 65536 is the most");
    Ok(())
}

/// What a later version makes of a build.
#[derive(Debug, Serialize, Deserialize)]
struct LaterBuild {
    number: u64,
    state: String,
}

impl Schema for LaterBuild {
    const KIND: &'static str = "build";
    const VERSION: u32 = 2;

    fn upgrade(
        _from: u32,
        mut value: serde_json::Value,
    ) -> Result<serde_json::Value, pikoci_core::database::UpgradeError> {
        let state = value["status"].take();
        value["state"] = state;
        Ok(value)
    }
}

impl Record for LaterBuild {
    type Id = u64;

    fn id(&self) -> u64 {
        self.number
    }

    fn indexes(&self, indexes: &mut Indexes) {
        indexes.add("by_status", &self.state);
    }
}

#[tokio::test]
async fn newer_code_goes_on_with_old_records_and_older_code_stops_at_new_ones() -> Done {
    let (database, _) = database();
    database.insert(&Build::new(1, "queued")).await?;
    assert_eq!(database.require::<LaterBuild>(&1).await?.state, "queued");
    database.update::<LaterBuild>(&1, |build| build.state = "running".into()).await?;
    assert_eq!(database.verify::<LaterBuild>().await?.wrong, 0);

    for error in [
        database.get::<Build>(&1).await.unwrap_err(),
        database.put(&Build::new(1, "lost")).await.unwrap_err(),
        database.delete::<Build>(&1).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, DatabaseError::Encoding(EncodingError::Newer { found: 2, .. })),
            "{error}"
        );
    }
    assert_eq!(database.require::<LaterBuild>(&1).await?.state, "running");
    Ok(())
}

#[tokio::test]
async fn what_is_stored_under_another_id_is_damaged() -> Done {
    let (database, _) = database();
    database.insert(&Build::new(1, "queued")).await?;
    let (one, two): (Key, Key) = (record_key::<Build>(&1)?, record_key::<Build>(&2)?);
    let done: Done = database
        .transact_with(&(one, two), |transaction, (one, two)| {
            Box::pin(async move {
                let bytes = transaction.get_raw(one).await?.expect("a record");
                assert!(matches!(Envelope::open(&bytes), Some(Envelope::Json { version: 1, .. })));
                transaction.put_raw(two.clone(), bytes);
                Ok(())
            })
        })
        .await;
    done?;
    let Err(DatabaseError::Store(error)) = database.get::<Build>(&2).await else {
        panic!("another build was read")
    };
    assert_eq!(error.kind, StoreErrorKind::Damaged);
    assert_eq!(KeyPath::new(("r", "build", 2_u64)).key()?, record_key::<Build>(&2)?);
    Ok(())
}
