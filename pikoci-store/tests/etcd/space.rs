//! A cluster that has no more space.

use std::sync::Arc;

use pikoci_core::Store;
use pikoci_core::store::{KeyRange, Order, Outcome, StoreError, StoreErrorKind, Txn};
use tokio::task::JoinSet;

use crate::server::{Member, available, key, open, txn};

/// How a writer ended.
struct End {
    writer: usize,
    done: usize,
    refused: Txn,
    error: StoreError,
}

/// Writes until it is refused.
async fn fill(store: Arc<dyn Store>, writer: usize) -> End {
    for done in 0..1000 {
        let name = key(&format!("{writer}/{done:04}"));
        let refused = txn().check_absent(name.clone()).put(name, vec![b'x'; 64 * 1024]);
        match store.commit(&refused).await {
            Ok(Outcome::Committed(_)) => {}
            Ok(Outcome::Conflict) => panic!("a conflict"),
            Err(error) => return End { writer, done, refused, error },
        }
    }
    panic!("the quota was not kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_cluster_says_what_to_do_and_loses_nothing() {
    if !available("a full cluster") {
        return;
    }
    let member = Member::single("http", &["--quota-backend-bytes", "4194304"]);
    let url = member.fresh_url();
    let store = open(&url).await;
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        writers.spawn(fill(Arc::clone(&store), writer));
    }
    let ends = writers.join_all().await;
    let acknowledged: usize = ends.iter().map(|end| end.done).sum();
    assert!(acknowledged > 5, "{acknowledged} commits fit");
    // Reading goes on, also by who opens it now; what was refused is not there.
    let other = open(&url).await;
    for End { writer, done, error, .. } in &ends {
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
        for words in ["space quota", "compact", "defrag", "alarm disarm"] {
            assert!(error.message.contains(words), "{error}");
        }
        for store in [&store, &other] {
            let range = KeyRange::prefix(format!("{writer}/"));
            let found = store.scan(&range, Order::Ascending, 1000).await.expect("an answer");
            assert_eq!(found.len(), *done, "what was acknowledged to writer {writer}");
        }
    }

    // As the message says: compact, defragment, disarm. To have something to
    // free, the values are deleted with the alarm disarmed for a moment.
    member.control(&["alarm", "disarm"]);
    let prefix = url.split_once("/test/").expect("a prefix").1;
    member.control(&["del", "--prefix", &format!("test/{prefix}/d/")]);
    let status = member.control(&["endpoint", "status", "--write-out=json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let revision = status[0]["Status"]["header"]["revision"].to_string();
    member.control(&["compact", "--physical", &revision]);
    member.control(&["defrag"]);
    member.control(&["alarm", "disarm"]);
    for End { refused, .. } in ends {
        let again = store.commit(&refused).await;
        assert!(matches!(again, Ok(Outcome::Committed(_))), "{again:?}");
    }
}
