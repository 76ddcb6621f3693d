//! The task of a handle: keeps a connection, renews it, passes on what comes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use pikoci_core::backoff::Backoff;
use pikoci_core::clock::SystemClock;
use tokio::task;
use tokio::time::{self, Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::channels::{Channels, Online};
use super::link::{Heard, Link, LinkError, Listen, Publish, Transport};

/// How long a server has to answer before it counts as gone.
pub(in crate::pubsub) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How often a connection is asked whether it is still there.
const CHECK_EVERY: Duration = Duration::from_secs(15);

/// How often the server is asked again for a channel that it refused after it
/// had been listened to.
const RETRY_EVERY: Duration = Duration::from_secs(10);

/// How long a goodbye may take.
const GOODBYE_WITHIN: Duration = Duration::from_secs(2);

/// The first and the longest pause before connecting again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Runs until `closed`, beginning with `link`, of which `broken` may tell.
pub(super) async fn run(
    channels: Arc<Channels>,
    transport: Box<dyn Transport>,
    mut link: Link,
    mut broken: CancellationToken,
    closed: CancellationToken,
) {
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    loop {
        let connected = Instant::now();
        let error = tokio::select! {
            biased;
            () = closed.cancelled() => {
                // A server that does not answer does not hold up the end.
                let _ = time::timeout(GOODBYE_WITHIN, link.listen.close()).await;
                break;
            }
            error = serve(&channels, &mut *link.listen, link.publish.clone(), &broken) => error,
        };
        channels.set_offline(&error);
        broken.cancel();
        tracing::warn!(error = %error.source, "`{channels}`: the connection broke, connecting again");
        // Client libraries may wait for threads of theirs when they are dropped.
        task::spawn_blocking(move || drop(link));
        if connected.elapsed() > PAUSES.1 {
            backoff = Backoff::new(PAUSES.0, PAUSES.1);
        }
        tokio::select! {
            biased;
            () = closed.cancelled() => break,
            again = reconnect(&channels, &*transport, &mut backoff) => link = again,
        }
        broken = closed.child_token();
        tracing::info!("`{channels}`: connected again");
    }
    channels.close();
}

/// Connects, however long it takes.
async fn reconnect(channels: &Channels, transport: &dyn Transport, backoff: &mut Backoff) -> Link {
    loop {
        time::sleep(backoff.next(&SystemClock::new())).await;
        match bounded(transport.connect()).await {
            Ok(link) => return link,
            Err(error) => {
                tracing::debug!(error = %error.source, "`{channels}`: cannot be connected to yet");
                channels.set_offline(&error);
            }
        }
    }
}

/// Passes on what `listen` hears until the connection breaks.
async fn serve(
    channels: &Channels,
    listen: &mut dyn Listen,
    publish: Arc<dyn Publish>,
    broken: &CancellationToken,
) -> LinkError {
    // What was listened to before comes first, so that nobody misses what is
    // published here once that is possible again.
    if let Err(error) = tell(channels, listen).await {
        return error;
    }
    channels.set_online(Online { publish: publish.clone(), broken: broken.clone() });
    let mut checks = time::interval_at(Instant::now() + CHECK_EVERY, CHECK_EVERY);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut retries = time::interval_at(Instant::now() + RETRY_EVERY, RETRY_EVERY);
    retries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let outcome = tokio::select! {
            heard = listen.next() => heard.map(|heard| match heard {
                Heard::Message { channel, payload } => channels.dispatch(&channel, payload),
                Heard::Missed => channels.missed(),
            }),
            () = channels.changed() => tell(channels, listen).await,
            _ = retries.tick() => match channels.retry() {
                true => tell(channels, listen).await,
                false => Ok(()),
            },
            _ = checks.tick() => bounded(async {
                publish.check().await?;
                listen.check().await
            }).await,
            () = broken.cancelled() => Err(LinkError::broken("a message could not be published")),
        };
        if let Err(error) = outcome {
            return error;
        }
    }
}

/// Tells the server which channels are listened to, and which are not any more.
async fn tell(channels: &Channels, listen: &mut dyn Listen) -> Result<(), LinkError> {
    let changes = channels.changes();
    for name in changes.idle {
        bounded(listen.unlisten(&name)).await?;
    }
    for (name, again) in changes.wanted {
        match bounded(listen.listen(&name)).await {
            Ok(()) => channels.listening(&name),
            // One channel that cannot be had, such as one whose right was
            // taken away, does not hold up the others.
            Err(error) if error.refused => {
                if again {
                    tracing::warn!(
                        error = %error.source,
                        "`{channels}`: `{name}` cannot be subscribed to again, trying later"
                    );
                }
                channels.refused(&name, &error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `call`, or an error when the server does not answer in time.
pub(super) async fn bounded<T>(
    call: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    time::timeout(ANSWER_WITHIN, call).await.unwrap_or_else(|_| {
        Err(LinkError::broken(format!("no answer within {} s", ANSWER_WITHIN.as_secs())))
    })
}
