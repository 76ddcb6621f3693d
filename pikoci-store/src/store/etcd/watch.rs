//! A doorbell on etcd's own watch.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::cluster::{Cluster, MAX_ANSWER_SIZE_BYTES, Pauses};
use super::failure::Verdict;
use super::proto::watch_client::WatchClient;
use super::proto::watch_request::Request;
use super::proto::{WatchCreateRequest, WatchRequest};

/// How long a member may take to begin.
const BEGIN_TIME: Duration = Duration::from_secs(5);

/// The longest pause after the cluster said no, which all members say alike:
/// a missing right may take somebody long to give.
const LONGEST_REFUSAL: Duration = Duration::from_secs(60);

/// Rings after changes from `start` on and before `end`, until `closing`.
pub(super) fn watch(
    cluster: Arc<Cluster>,
    (start, end): (Bytes, Bytes),
    closing: CancellationToken,
    runtime: &Handle,
) -> BoxStream<'static, ()> {
    // Full is as good as rung: who looks later sees it all.
    let (bell, rings) = mpsc::channel(1);
    // A task, so that what arrives is taken off the connection, which other
    // calls share, also while nobody asks for a ring.
    runtime.spawn(async move {
        tokio::select! {
            () = closing.cancelled() => {}
            () = bell.closed() => {}
            () = follow(&cluster, &start, &end, &bell) => {}
        }
    });
    stream::unfold(rings, |mut rings| async move { rings.recv().await.map(|()| ((), rings)) })
        .boxed()
}

/// Watches for ever, with one member after another.
async fn follow(cluster: &Cluster, start: &Bytes, end: &Bytes, bell: &mpsc::Sender<()>) {
    let mut pauses = Pauses::new();
    let mut refusals = Pauses::up_to(LONGEST_REFUSAL);
    loop {
        let at = cluster.preferred();
        let create = WatchCreateRequest { key: start.clone(), range_end: end.clone() };
        let mut began = false;
        let ring = || {
            began = true;
            let _ = bell.try_send(());
        };
        let ended = listen(cluster, at, create, ring).await;
        if began {
            pauses = Pauses::new();
            refusals = Pauses::up_to(LONGEST_REFUSAL);
        }
        let pause = match ended {
            Err(status) if !matches!(Verdict::of(&status), Verdict::AskAgain { .. }) => {
                // The member is as good as the others, and other calls use it.
                tracing::debug!(store = "etcd", %status, "the watch was refused");
                refusals.next()
            }
            ended => {
                tracing::debug!(store = "etcd", ?ended, "the watch broke");
                cluster.failed(at);
                pauses.next()
            }
        };
        sleep(pause).await;
    }
}

/// Rings once the watch has begun, for what went by before, and after each
/// change, until it breaks.
async fn listen(
    cluster: &Cluster,
    at: usize,
    create: WatchCreateRequest,
    mut ring: impl FnMut(),
) -> Result<(), Status> {
    let late = || Status::deadline_exceeded("the watch did not begin in time");
    let begin = async {
        let (connection, headers) = cluster.connect(at).await?;
        let mut client =
            WatchClient::new(connection).max_decoding_message_size(MAX_ANSWER_SIZE_BYTES);
        let request = WatchRequest { request: Some(Request::Create(create)) };
        // What has no more to say must not end: etcd would end the watch.
        let requests = stream::once(async { request }).chain(stream::pending());
        let mut answers = client.watch(requests).await?.into_inner();
        let first = answers.message().await?;
        Ok((headers, answers, first))
    };
    let (headers, mut answers, mut next) =
        timeout(BEGIN_TIME, begin).await.unwrap_or_else(|_| Err(late()))?;
    while let Some(answer) = next {
        if answer.canceled {
            // A token that has run out is told like a missing right.
            cluster.forget(&headers).await;
            return Err(Status::permission_denied(answer.cancel_reason));
        }
        if answer.created || !answer.events.is_empty() {
            ring();
        }
        next = answers.message().await?;
    }
    Ok(())
}
