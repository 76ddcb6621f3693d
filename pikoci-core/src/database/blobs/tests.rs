//! References to blobs, and collections beside those who put and refer.

use std::fmt;
use std::ops::RangeFrom;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;

use super::*;
use crate::blob::{
    Blob, BlobError, BlobStore, Content, Digest, MemoryBlobStore, StoredBlob, content,
};
use crate::database::{Database, Part};
use crate::store::{Entry, Key, KeyRange, MemoryStore, Order, Outcome, Store, StoreError, Txn};
use crate::testkit::ManualClock;

struct World {
    database: Database,
    references: BlobReferences,
    blobs: Arc<MemoryBlobStore>,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new();
        let blobs = Arc::new(MemoryBlobStore::with_clock(Arc::new(clock.clone())));
        let database = Database::new(Arc::new(MemoryStore::new()), Arc::new(clock.clone()));
        let references = BlobReferences::new(database.clone());
        Self { database, references, blobs, clock }
    }

    async fn put(&self, text: &'static str) -> Digest {
        self.blobs.put(content(text)).await.unwrap().digest
    }

    async fn refer(&self, digest: Digest, owner: &'static str) -> Result<(), BlobReferenceError> {
        self.database
            .transact(move |transaction| {
                Box::pin(async move { BlobReferences::add_in(transaction, &digest, owner).await })
            })
            .await
    }

    async fn release(&self, digest: Digest, owner: &'static str) {
        let done: Result<(), BlobReferenceError> = self
            .database
            .transact(move |transaction| {
                Box::pin(
                    async move { BlobReferences::remove_in(transaction, &digest, owner).await },
                )
            })
            .await;
        done.unwrap();
    }

    async fn collect(&self) -> Collected {
        collect(&self.references, &*self.blobs).await
    }

    async fn there(&self) -> Vec<Digest> {
        let all = self.blobs.list().await.unwrap().try_collect::<Vec<_>>().await.unwrap();
        all.into_iter().map(|stored| stored.blob.digest).collect()
    }

    async fn keys(&self) -> usize {
        self.database.scan_raw(&KeyRange::all(), Order::Ascending, 1000).await.unwrap().len()
    }
}

async fn collect(references: &BlobReferences, blobs: &dyn BlobStore) -> Collected {
    let mut collection = references.collect(blobs, DEFAULT_GRACE).await.unwrap();
    collection.step(u64::MAX).await.unwrap()
}

const LATER: Duration = Duration::from_secs(25 * 60 * 60);

#[tokio::test]
async fn a_blob_goes_after_its_last_reference_and_the_grace_time() {
    let world = World::new();
    let (used, unused) = (world.put("used").await, world.put("unused").await);
    world.refer(used, "one").await.unwrap();
    world.refer(used, "one").await.unwrap();
    world.refer(used, "two").await.unwrap();
    assert_eq!(world.references.owners(&used).await.unwrap().len(), 2);
    assert_eq!(world.collect().await, Collected { seen: 2, done: true, ..Default::default() });
    world.clock.advance(LATER);
    let collected = world.collect().await;
    assert_eq!((collected.removed, collected.removed_bytes), (1, 6));
    assert_eq!(world.blobs.head(&unused).await.unwrap(), None);

    world.release(used, "one").await;
    world.release(used, "one").await;
    assert_eq!(world.collect().await.removed, 0);
    world.release(used, "two").await;
    assert_eq!(world.collect().await.removed, 1);
    assert_eq!(world.there().await, []);
    assert_eq!(world.keys().await, 0);
}

#[tokio::test]
async fn a_collection_goes_on_in_steps() {
    let world = World::new();
    for number in 0..100 {
        world.blobs.put(content(format!("{number}"))).await.unwrap();
    }
    world.clock.advance(LATER);
    let mut collection = world.references.collect(&*world.blobs, DEFAULT_GRACE).await.unwrap();
    let first = collection.step(40).await.unwrap();
    assert_eq!((first.seen, first.removed, first.done), (40, 40, false));
    assert_eq!(world.there().await.len(), 60);
    let rest = collection.step(1000).await.unwrap();
    assert_eq!((rest.seen, rest.removed, rest.done), (60, 60, true));
    assert_eq!(world.keys().await, 0);
}

#[tokio::test]
async fn a_reference_without_its_blob_is_told() {
    let world = World::new();
    let (there, missing) = (world.put("there").await, Digest::of(b"missing"));
    world.refer(there, "one").await.unwrap();
    world.refer(missing, "two").await.unwrap();
    let check = world.references.check(&*world.blobs, None).await.unwrap();
    let owner = vec![Part::Text("two".into())];
    assert_eq!(check.missing, [MissingBlob { digest: missing, owner }]);
    let rest = world.references.check(&*world.blobs, check.resume.as_ref()).await.unwrap();
    assert_eq!(rest, BlobCheck::default());
}

/// Stops before a call to the blob store until it is let on.
struct Gate {
    inner: Arc<MemoryBlobStore>,
    before: &'static str,
    reached: tokio::sync::Notify,
    on: tokio::sync::Notify,
    calls: Mutex<Vec<&'static str>>,
}

impl Gate {
    fn new(world: &World, before: &'static str) -> Self {
        Self {
            inner: world.blobs.clone(),
            before,
            reached: tokio::sync::Notify::new(),
            on: tokio::sync::Notify::new(),
            calls: Mutex::default(),
        }
    }

    async fn pass(&self, call: &'static str) {
        self.calls.lock().unwrap().push(call);
        if call == self.before {
            self.reached.notify_one();
            self.on.notified().await;
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gate")
    }
}

#[async_trait]
impl BlobStore for Gate {
    async fn put(&self, content: Content) -> Result<Blob, BlobError> {
        self.inner.put(content).await
    }

    async fn get(&self, digest: &Digest, from: RangeFrom<u64>) -> Result<Content, BlobError> {
        self.inner.get(digest, from).await
    }

    async fn head(&self, digest: &Digest) -> Result<Option<StoredBlob>, BlobError> {
        self.pass("head").await;
        self.inner.head(digest).await
    }

    async fn delete(&self, digest: &Digest) -> Result<(), BlobError> {
        self.pass("delete").await;
        self.inner.delete(digest).await
    }

    async fn list(&self) -> Result<BoxStream<'static, Result<StoredBlob, BlobError>>, BlobError> {
        self.inner.list().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[tokio::test]
async fn a_blob_that_is_put_again_before_it_is_removed_stays() {
    let world = World::new();
    let blob = world.put("again").await;
    world.clock.advance(LATER);
    let gate = Gate::new(&world, "head");
    let putting = async {
        gate.reached.notified().await;
        world.put("again").await;
        // Marked just then; it is free once the collection is done with it.
        let error = world.refer(blob, "one").await.unwrap_err();
        assert!(matches!(error, BlobReferenceError::Condemned { .. }) && error.is_retryable());
        gate.on.notify_one();
    };
    let (collected, ()) = tokio::join!(collect(&world.references, &gate), putting);
    assert_eq!(collected.removed, 0);
    world.refer(blob, "one").await.unwrap();
    assert_eq!(world.there().await, [blob]);
}

#[tokio::test]
async fn a_blob_cannot_be_referred_to_while_it_is_removed() {
    let world = World::new();
    let blob = world.put("late").await;
    world.clock.advance(LATER);
    let gate = Gate::new(&world, "delete");
    let referring = async {
        gate.reached.notified().await;
        world.put("late").await;
        let error = world.refer(blob, "one").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("blob {blob} is being removed just now: put it again, then refer to it")
        );
        gate.on.notify_one();
    };
    tokio::join!(collect(&world.references, &gate), referring);
    world.put("late").await;
    world.refer(blob, "one").await.unwrap();
    assert_eq!(world.there().await, [blob]);
}

#[tokio::test]
async fn a_blob_that_is_referred_to_between_listing_and_marking_stays() {
    let world = World::new();
    let blob = world.put("just in time").await;
    world.clock.advance(LATER);
    let mut collection = world.references.collect(&*world.blobs, DEFAULT_GRACE).await.unwrap();
    world.refer(blob, "one").await.unwrap();
    assert_eq!(collection.step(10).await.unwrap().removed, 0);
    assert_eq!(world.there().await, [blob]);
}

/// Lets others run before each call.
#[derive(Debug)]
struct YieldingStore(MemoryStore);

impl fmt::Display for YieldingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl Store for YieldingStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StoreError> {
        tokio::task::yield_now().await;
        self.0.get(keys).await
    }

    async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        tokio::task::yield_now().await;
        self.0.scan(range, order, limit).await
    }

    async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        tokio::task::yield_now().await;
        self.0.commit(txn).await
    }

    fn watch(&self, range: &KeyRange) -> Option<BoxStream<'static, ()>> {
        self.0.watch(range)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.close().await
    }
}

#[tokio::test]
async fn a_blob_that_is_there_after_its_reference_stays_whenever_it_is_collected() {
    let (mut stayed, mut went, mut refused) = (0, 0, 0);
    for delay in 0..12 {
        let mut world = World::new();
        let store = Arc::new(YieldingStore(MemoryStore::new()));
        world.database = Database::new(store, Arc::new(world.clock.clone()));
        world.references = BlobReferences::new(world.database.clone());
        let blob = world.put("raced").await;
        world.clock.advance(LATER);
        let referring = async {
            for _ in 0..delay {
                tokio::task::yield_now().await;
            }
            let referred = world.refer(blob, "one").await;
            (referred.is_ok(), world.blobs.head(&blob).await.unwrap().is_some())
        };
        let (_, seen) = tokio::join!(world.collect(), referring);
        let there = world.blobs.head(&blob).await.unwrap().is_some();
        match seen {
            (true, true) => {
                assert!(there, "{delay}");
                stayed += 1;
            }
            (true, false) => went += 1,
            (false, _) => refused += 1,
        }
    }
    assert!(stayed > 0 && went > 0 && refused > 0, "{stayed} {went} {refused}");
}

#[tokio::test]
async fn several_collect_at_once_and_each_blob_is_removed_once() {
    let world = World::new();
    for number in 0..70 {
        world.blobs.put(content(format!("{number}"))).await.unwrap();
    }
    world.clock.advance(LATER);
    let gates = [Gate::new(&world, ""), Gate::new(&world, ""), Gate::new(&world, "")];
    let (one, two, three) = tokio::join!(
        collect(&world.references, &gates[0]),
        collect(&world.references, &gates[1]),
        collect(&world.references, &gates[2]),
    );
    assert_eq!(one.removed + two.removed + three.removed, 70);
    assert_eq!((world.there().await.len(), world.keys().await), (0, 0));
}

#[tokio::test]
async fn what_a_killed_collection_left_is_taken_over_after_a_while() {
    for before in ["head", "delete"] {
        let world = World::new();
        let blob = world.put("left").await;
        world.clock.advance(LATER);
        let gate = Gate::new(&world, before);
        tokio::select! {
            _ = collect(&world.references, &gate) => panic!("it was not killed"),
            () = gate.reached.notified() => {}
        }
        world.put("left").await;
        assert_eq!(world.collect().await.removed, 0);
        assert!(world.refer(blob, "one").await.is_err(), "the mark is there");
        world.clock.advance(TAKE_OVER_AFTER + Duration::from_secs(1));
        world.collect().await;
        world.refer(blob, "one").await.unwrap();
        assert_eq!(world.there().await, [blob]);
    }
}
