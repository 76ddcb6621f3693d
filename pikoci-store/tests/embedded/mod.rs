//! What the tests of the embedded stores share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pikoci_core::Store;
use pikoci_core::store::{Entry, Key, KeyRange, Order, Outcome, Txn};
use pikoci_core::testkit::conformance::store::StoreFixture;
use pikoci_store::{OpenError, open_store};
use uuid::Uuid;

pub(crate) mod child;
pub(crate) mod damage;
pub(crate) mod life;
pub(crate) mod size;
pub(crate) mod trace;

/// The longest that anything here may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A place for a store, of its own.
pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) scheme: &'static str,
}

impl Place {
    pub(crate) fn new(scheme: &'static str) -> Self {
        Self { directory: tempfile::tempdir().expect("a directory"), scheme }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    pub(crate) fn url(&self) -> String {
        url(self.scheme, &self.path())
    }

    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        try_open(&self.url()).await.expect("a store")
    }
}

pub(crate) fn url(scheme: &str, path: &Path) -> String {
    format!("{scheme}:{}", path.display())
}

pub(crate) async fn try_open(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    tokio::time::timeout(LIMIT, open_store(url)).await.expect("an end of opening")
}

/// A fresh store for the suite.
pub(crate) async fn fixture(scheme: &'static str) -> StoreFixture {
    let place = Place::new(scheme);
    let (store, url) = (place.open().await, place.url());
    let reopen = move || -> futures_util::future::BoxFuture<'static, Arc<dyn Store>> {
        let url = url.clone();
        Box::pin(async move { try_open(&url).await.expect("the store again") })
    };
    StoreFixture {
        reopen: Some(Box::new(reopen)),
        keep: Box::new(place.directory),
        ..StoreFixture::new(store)
    }
}

pub(crate) fn key(name: impl Into<String>) -> Key {
    Key::new(name.into()).expect("a key")
}

pub(crate) fn txn() -> Txn {
    Txn::new(Uuid::now_v7())
}

pub(crate) async fn put(
    store: &dyn Store,
    name: impl Into<String>,
    value: impl Into<bytes::Bytes>,
) {
    let outcome = store.commit(&txn().put(key(name), value)).await.expect("a commit");
    assert!(matches!(outcome, Outcome::Committed(_)));
}

/// All there is.
pub(crate) async fn all(
    store: &dyn Store,
) -> Result<BTreeMap<Key, Entry>, pikoci_core::store::StoreError> {
    let mut found = BTreeMap::new();
    let mut range = KeyRange::all();
    loop {
        let page = store.scan(&range, Order::Ascending, 100).await?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        range = range.after(last);
        found.extend(page);
    }
}
