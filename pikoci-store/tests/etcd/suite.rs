//! The store in etcd keeps the contract, also over connections that break.

use std::time::Duration;

use pikoci_core::testkit::conformance::store::StoreFixture;
use tokio::task::JoinHandle;

use crate::common::proxy::Proxy;
use crate::server::{available, fresh_url, open, shared};

/// The store at this URL, and a second handle on it.
pub(crate) async fn fixture_at(url: String) -> StoreFixture {
    let (store, other) = (open(&url).await, open(&url).await);
    let reopen = move || -> futures_util::future::BoxFuture<'static, _> {
        let url = url.clone();
        Box::pin(async move { open(&url).await })
    };
    StoreFixture {
        other: Some(other),
        reopen: Some(Box::new(reopen)),
        remembers_commits: true,
        ..StoreFixture::new(store)
    }
}

mod bare {
    use super::*;

    async fn fixture() -> Option<StoreFixture> {
        if !available("the suite over etcd") {
            return None;
        }
        Some(fixture_at(shared().await.fresh_url()).await)
    }

    pikoci_core::store_conformance!(fixture);

    mod faulty {
        use super::*;

        async fn faulty_fixture() -> Option<StoreFixture> {
            Some(fixture().await?.faulty(4))
        }

        pikoci_core::store_conformance!(faulty_fixture);
    }
}

/// Ends a task with the test.
struct Ending(JoinHandle<()>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

mod cut {
    use super::*;

    async fn fixture() -> Option<StoreFixture> {
        if !available("the suite over etcd whose connections are cut") {
            return None;
        }
        let proxy = Proxy::start(shared().await.address.clone()).await;
        let url = fresh_url(&[&proxy.address().to_string()]);
        let mut fixture = fixture_at(url).await;
        let cutting = tokio::spawn(async move {
            // Ever more seldom: the largest answers need some time in one piece.
            let mut pause = Duration::from_millis(20);
            loop {
                tokio::time::sleep(pause).await;
                proxy.cut();
                pause += pause / 20;
            }
        });
        fixture.keep = Box::new(Ending(cutting));
        Some(fixture)
    }

    pikoci_core::store_conformance!(fixture);
}
