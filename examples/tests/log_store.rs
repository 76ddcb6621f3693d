//! The public suite over the example of a store of one's own.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use pikoci_core::Store;
use pikoci_core::store::{Key, Txn};
use pikoci_core::testkit::conformance::store::StoreFixture;
use pikoci_examples::log_store::LogStore;
use uuid::Uuid;

fn open(path: &Path) -> Arc<dyn Store> {
    Arc::new(LogStore::open(path).expect("it opens"))
}

async fn fixture() -> Option<StoreFixture> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("log");
    let store = open(&path);
    Some(StoreFixture {
        reopen: Some(Box::new(move || {
            let path = path.clone();
            Box::pin(async move { open(&path) })
        })),
        keep: Box::new(directory),
        ..StoreFixture::new(store)
    })
}

pikoci_core::store_conformance!(fixture);

#[tokio::test]
async fn a_line_that_is_not_whole_does_not_count() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("log");
    let key = Key::new("key").expect("a key");
    let put = |value: &'static str| Txn::new(Uuid::now_v7()).put(key.clone(), value);
    let store = open(&path);
    store.commit(&put("first")).await.expect("it is committed");
    let whole = std::fs::read(&path).expect("a file");
    store.commit(&put("second")).await.expect("it is committed");
    store.close().await.expect("it closes");
    let both = std::fs::read(&path).expect("a file");
    for length in whole.len()..both.len() {
        std::fs::write(&path, &both[..length]).expect("it is written");
        let mut file = OpenOptions::new().append(true).open(&path).expect("a file");
        file.write_all(&b"garbage\n"[..length % 9]).expect("it is written");
        let store = open(&path);
        let found = store.get(std::slice::from_ref(&key)).await.expect("it is read");
        assert_eq!(found[0].as_ref().expect("an entry").value, "first");
        store.close().await.expect("it closes");
        assert_eq!(std::fs::read(&path).expect("a file"), whole);
    }
}
