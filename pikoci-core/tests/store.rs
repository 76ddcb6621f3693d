//! The stores in memory keep their contracts.

use std::sync::Arc;

use pikoci_core::blob::MemoryBlobStore;
use pikoci_core::pubsub::MemoryPubSub;
use pikoci_core::store::MemoryStore;
use pikoci_core::testkit::conformance::blob::BlobFixture;
use pikoci_core::testkit::conformance::pubsub::PubSubFixture;
use pikoci_core::testkit::conformance::store::StoreFixture;

mod memory_store {
    use super::*;

    async fn fixture() -> Option<StoreFixture> {
        Some(StoreFixture::new(Arc::new(MemoryStore::new())))
    }

    pikoci_core::store_conformance!(fixture);

    mod faulty {
        use super::*;

        async fn faulty_fixture() -> Option<StoreFixture> {
            Some(fixture().await?.faulty(1))
        }

        pikoci_core::store_conformance!(faulty_fixture);
    }
}

mod memory_pubsub {
    use super::*;

    async fn fixture() -> Option<PubSubFixture> {
        Some(PubSubFixture::new(Arc::new(MemoryPubSub::new())))
    }

    pikoci_core::pubsub_conformance!(fixture);

    mod faulty {
        use super::*;

        async fn faulty_fixture() -> Option<PubSubFixture> {
            Some(fixture().await?.faulty(2))
        }

        pikoci_core::pubsub_conformance!(faulty_fixture);
    }
}

mod memory_blobs {
    use super::*;

    async fn fixture() -> Option<BlobFixture> {
        Some(BlobFixture::new(Arc::new(MemoryBlobStore::new())))
    }

    pikoci_core::blob_conformance!(fixture);

    mod faulty {
        use super::*;

        async fn faulty_fixture() -> Option<BlobFixture> {
            Some(fixture().await?.faulty(3))
        }

        pikoci_core::blob_conformance!(faulty_fixture);
    }
}
