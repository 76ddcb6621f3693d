//! What a store says of itself, and how it ends.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::task::JoinSet;

use super::super::{LIMIT, within};
use super::StoreFixture;
use super::client::{Client, key, txn};
use crate::store::limits::MAX_SCAN_ENTRIES;
use crate::store::{KeyRange, Order, Outcome, Store, StoreErrorKind};

/// It is named for people, in one line and without a password.
///
/// # Panics
/// When it is not.
pub async fn a_store_names_itself(fixture: &StoreFixture) {
    let name = fixture.store.to_string();
    assert!(!name.trim().is_empty(), "the store has no name");
    assert!(!name.contains('\n'), "the name of the store has several lines: {name}");
    for text in [name, format!("{:?}", fixture.store)] {
        super::super::assert_tells_no_password(&text);
    }
}

/// Where a store can tell of changes, it does after puts and deletes of keys
/// in the range, by whomever, until it is closed.
///
/// # Panics
/// When it does not.
pub async fn a_watch_rings_until_the_close(fixture: &StoreFixture) {
    let range = KeyRange::prefix(&b"watched/"[..]);
    let Some(mut bell) = fixture.store.watch(&range) else { return };
    let others = fixture.clients(2);
    let key = key("watched/it");
    for round in 0..6 {
        let client = &others[round % 2];
        // It may ring without a reason, and late; this round's ring comes after.
        while let Ok(Some(())) = tokio::time::timeout(std::time::Duration::ZERO, bell.next()).await
        {
        }
        let write = match round % 3 {
            2 => txn().delete(key.clone()),
            _ => txn().put(key.clone(), format!("round {round}")),
        };
        client.committed(&write).await;
        let rung = within(LIMIT, "the ring after a commit", bell.next()).await;
        assert!(rung.is_some(), "a watch ended though the store is open");
    }
    closed(&fixture.store).await;
    let end = async { while bell.next().await.is_some() {} };
    within(LIMIT, "the end of a watch after the close", end).await;
    if let Some(mut late) = fixture.store.watch(&range) {
        let end = async { while late.next().await.is_some() {} };
        within(LIMIT, "the end of a watch that began after the close", end).await;
    }
}

async fn closed(store: &Arc<dyn Store>) {
    if let Err(error) = within(LIMIT, "the close", store.close()).await {
        panic!("the close did not work: {error}");
    }
}

/// A store that was closed answers so, and may be closed again.
///
/// # Panics
/// When it does something else.
pub async fn a_closed_store_answers_that_it_is(fixture: &StoreFixture) {
    let store = &fixture.store;
    let key = key("key");
    fixture.client().put(&key, "it").await;
    closed(store).await;
    closed(store).await;
    let (keys, all) = ([key.clone()], KeyRange::all());
    let write = txn().put(key, "late");
    for _ in 0..2 {
        let get = within(LIMIT, "a get after the close", store.get(&keys)).await.map(drop);
        let scan = store.scan(&all, Order::Ascending, 1);
        let scan = within(LIMIT, "a scan after the close", scan).await.map(drop);
        let commit = within(LIMIT, "a commit after the close", store.commit(&write));
        let commit = commit.await.map(drop);
        for (what, said) in [("a get", get), ("a scan", scan), ("a commit", commit)] {
            let Err(error) = said else { panic!("{what} works after the close") };
            let kind = error.kind;
            assert_eq!(kind, StoreErrorKind::Closed, "{what} after the close said: {error}");
        }
        closed(store).await;
    }
}

/// What was committed is there when the store is opened again, also what was
/// committed while it was being closed; what was refused is not; and revisions
/// go on growing.
///
/// # Panics
/// When it is not so.
pub async fn what_was_committed_is_there_when_opened_again(fixture: &StoreFixture) {
    let Some(reopen) = &fixture.reopen else { return };
    let client = fixture.client();
    let [kept, changed, gone] = ["kept", "changed", "gone"].map(key);
    client.put(&kept, "it").await;
    client.put(&changed, "first").await;
    let of_gone = client.put(&gone, "it").await;
    client.put(&changed, "second").await;
    client.delete(&gone).await;
    let before = client.all().await;

    let mut late = JoinSet::new();
    for number in 0..8 {
        let store = fixture.store.clone();
        late.spawn(async move {
            let mut said = Vec::new();
            for round in 0..20 {
                let key = key(format!("late/{number}/{round}"));
                let put = txn().put(key.clone(), "late");
                let outcome = store.commit(&put).await;
                let over = outcome.is_err();
                said.push((key, outcome));
                if over {
                    break;
                }
            }
            said
        });
    }
    tokio::task::yield_now().await;
    closed(&fixture.store).await;
    let late = within(LIMIT, "commits during the close", late.join_all()).await;
    let late: Vec<_> = late.into_iter().flatten().collect();

    for _ in 0..2 {
        let store = within(LIMIT, "to open the store again", reopen()).await;
        let client = Client::new(&store);
        let found = client.scan(&KeyRange::all(), Order::Ascending, MAX_SCAN_ENTRIES).await;
        let is_late = |key: &crate::store::Key| key.starts_with(b"late/");
        let old: Vec<_> = found.iter().filter(|(key, _)| !is_late(key)).cloned().collect();
        assert_eq!(old, before, "all there is after it was opened again");
        for (key, said) in &late {
            let there = found.iter().find(|(it, _)| it == key).map(|(_, entry)| entry.revision);
            match said {
                Ok(Outcome::Committed(revision)) => {
                    assert_eq!(there, Some(*revision), "`{key}`, committed during the close");
                }
                Ok(Outcome::Conflict) => panic!("a conflict of a mere put"),
                Err(error) if error.kind == StoreErrorKind::Unknown => {}
                Err(error) => assert_eq!(there, None, "`{key}`, refused during the close: {error}"),
            }
        }
        closed(&store).await;
    }

    let store = within(LIMIT, "to open the store again", reopen()).await;
    let client = Client::new(&store);
    let entry = before.iter().find(|(key, _)| *key == kept).map(|(_, entry)| entry.revision);
    client.refused(&txn().check(gone.clone(), Some(of_gone)).put(kept.clone(), "wrong")).await;
    let again = client.put(&gone, "back").await;
    assert!(again > of_gone, "revision {again} for a key that had {of_gone} before its delete");
    let put = txn().check(kept.clone(), entry).put(kept.clone(), "changed");
    let now = client.committed(&put).await;
    assert!(Some(now) > entry, "revision {now} for a key that had {entry:?}");
    closed(&store).await;
}

/// The same transaction committed again answers the same and is not done
/// again, by whomever and when it comes; for stores that remember.
///
/// # Panics
/// When it is.
pub async fn a_repeated_commit_is_done_once(fixture: &StoreFixture) {
    if !fixture.remembers_commits {
        return;
    }
    let clients = fixture.clients(8);
    let [counter, other] = ["counter", "other"].map(key);
    let mut revision = None;
    for round in 1..=5 {
        let once = txn()
            .check(counter.clone(), revision)
            .put(counter.clone(), format!("round {round}"))
            .delete(other.clone());
        // All at once, as a first try that was slow and those that followed it.
        let mut tasks = JoinSet::new();
        for client in &clients {
            let (client, once) = (client.clone(), once.clone());
            tasks.spawn(async move { client.commit(&once).await });
        }
        let answers = within(LIMIT, "the same commit many times", tasks.join_all()).await;
        let Outcome::Committed(now) = answers[0] else {
            panic!("a commit that came many times at once answered a conflict");
        };
        let same = answers.iter().all(|answer| *answer == answers[0]);
        assert!(same, "the same commit answered differently: {answers:?}");

        // Later, when others have gone on.
        let later = clients[0].put(&counter, "later").await;
        clients[1].put(&other, "later").await;
        let before = clients[0].all().await;
        for client in &clients[..2] {
            let again = client.commit(&once).await;
            assert_eq!(again, Outcome::Committed(now), "the answer to a commit that was done");
            assert_eq!(client.all().await, before, "all there is after a repeated commit");
        }
        revision = Some(later);
    }
    // Blind writes are told from each other by nothing but their ids.
    let blind = txn().put(counter.clone(), "blind");
    let first = clients[0].committed(&blind).await;
    clients[0].put(&counter, "after").await;
    assert_eq!(clients[1].committed(&blind).await, first, "the revision of a repeated put");
    let value = clients[1].value(&counter).await;
    assert_eq!(value.as_deref(), Some(&b"after"[..]), "what a repeated put must leave alone");
}
