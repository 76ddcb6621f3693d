//! Who listens to what: the subscriptions of one handle.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use pikoci_core::pubsub::{BACKLOG_MESSAGES, PubSubError, Signal};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, oneshot};
use tokio_util::sync::CancellationToken;

use super::link::{LinkError, Publish};
use crate::url::BackendUrl;

/// The subscriptions of one handle and how it stands with the server.
pub(super) struct Channels {
    url: BackendUrl,
    prefix: String,
    /// Rung when a subscription comes or goes.
    changed: Arc<Notify>,
    /// `None` once it is closed.
    state: Mutex<Option<State>>,
}

struct State {
    channels: HashMap<String, Channel>,
    /// What to publish with, or why there is nothing.
    online: Result<Online, LinkError>,
}

/// A connection that can be published with.
#[derive(Clone)]
pub(super) struct Online {
    pub(super) publish: Arc<dyn Publish>,
    /// Cancelled by whoever finds the connection broken.
    pub(super) broken: CancellationToken,
}

/// A channel that is listened to, and those who do.
struct Channel {
    signals: broadcast::Sender<Signal>,
    stage: Stage,
}

enum Stage {
    /// The server has yet to be asked; these wait for its answer.
    Wanted(Vec<Answer>),
    /// The server has confirmed it.
    Listening,
    /// It had, on a connection that is gone. It has yet to be asked again.
    Lost(Lost),
}

/// A channel that was listened to before and is not now.
struct Lost {
    /// Whether to ask again without anyone new who waits for it.
    due: bool,
    /// Those who subscribed since, and wait for the server's answer.
    waiting: Vec<Answer>,
}

/// Where the server's answer to a subscription goes.
type Answer = oneshot::Sender<Result<(), PubSubError>>;

/// A subscription that the server may yet have to confirm.
pub(super) struct Pending {
    pub(super) signals: BoxStream<'static, Signal>,
    /// The answer; `None` when there is nothing to wait for.
    pub(super) confirmed: Option<oneshot::Receiver<Result<(), PubSubError>>>,
}

/// What the server has yet to be told.
pub(super) struct Changes {
    /// Channels that nobody listens to any more.
    pub(super) idle: Vec<String>,
    /// Channels that somebody listens to; whether once more, after a cut.
    pub(super) wanted: Vec<(String, bool)>,
}

/// What a stream of signals holds on to. Its fields are dropped in this order:
/// first the receiver, so that whoever is rung finds it gone.
struct Subscriber {
    receiver: broadcast::Receiver<Signal>,
    _bell: Bell,
}

struct Bell(Arc<Notify>);

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Channels {
    pub(super) fn new(url: BackendUrl, prefix: String, online: Online) -> Self {
        let state = State { channels: HashMap::new(), online: Ok(online) };
        Self { url, prefix, changed: Arc::new(Notify::new()), state: Mutex::new(Some(state)) }
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Returns when a subscription came or went since the last call.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What the server calls `topic`.
    pub(super) fn name(&self, topic: &str) -> String {
        format!("{}.{topic}", self.prefix)
    }

    /// What to publish with, at this instant.
    pub(super) fn online(&self) -> Result<Online, PubSubError> {
        let state = self.state();
        let state = state.as_ref().ok_or_else(PubSubError::closed)?;
        self.ready(state)
    }

    /// A further subscription of `channel`.
    pub(super) fn subscribe(&self, channel: String) -> Result<Pending, PubSubError> {
        let mut state = self.state();
        let state = state.as_mut().ok_or_else(PubSubError::closed)?;
        self.ready(state)?;
        let channel = state.channels.entry(channel).or_insert_with(|| Channel {
            signals: broadcast::Sender::new(BACKLOG_MESSAGES),
            stage: Stage::Wanted(Vec::new()),
        });
        let receiver = channel.signals.subscribe();
        let confirmed = match &mut channel.stage {
            Stage::Wanted(waiting) | Stage::Lost(Lost { waiting, .. }) => {
                let (answer, confirmed) = oneshot::channel();
                waiting.push(answer);
                self.changed.notify_one();
                Some(confirmed)
            }
            Stage::Listening => None,
        };
        let subscriber = Subscriber { receiver, _bell: Bell(self.changed.clone()) };
        Ok(Pending { signals: signals(subscriber), confirmed })
    }

    /// What changed since the last call. Idle channels are forgotten here: who
    /// subscribes to one from now on waits for the server anew.
    pub(super) fn changes(&self) -> Changes {
        let mut changes = Changes { idle: Vec::new(), wanted: Vec::new() };
        let Some(state) = &mut *self.state() else { return changes };
        state.channels.retain(|name, channel| {
            let used = channel.signals.receiver_count() > 0;
            match &channel.stage {
                Stage::Listening if !used => changes.idle.push(name.clone()),
                Stage::Wanted(_) if used => changes.wanted.push((name.clone(), false)),
                Stage::Lost(lost) if used && (lost.due || !lost.waiting.is_empty()) => {
                    changes.wanted.push((name.clone(), true));
                }
                _ => {}
            }
            used
        });
        changes
    }

    /// The server confirmed that it sends what comes to `name`.
    pub(super) fn listening(&self, name: &str) {
        let Some(state) = &mut *self.state() else { return };
        let Some(channel) = state.channels.get_mut(name) else { return };
        let waiting = match std::mem::replace(&mut channel.stage, Stage::Listening) {
            Stage::Wanted(waiting) => waiting,
            Stage::Lost(lost) => {
                let _ = channel.signals.send(Signal::Missed);
                lost.waiting
            }
            Stage::Listening => return,
        };
        for answer in waiting {
            // Who does not wait any more has dropped its subscription too.
            let _ = answer.send(Ok(()));
        }
    }

    /// The server refused to send what comes to `name`. Who waits for it hears
    /// that; who listened to it before goes on waiting for [`Self::retry`].
    pub(super) fn refused(&self, name: &str, error: &LinkError) {
        let Some(state) = &mut *self.state() else { return };
        let Some(channel) = state.channels.get_mut(name) else { return };
        let refused = match &mut channel.stage {
            Stage::Wanted(waiting) => {
                let waiting = std::mem::take(waiting);
                state.channels.remove(name);
                waiting
            }
            Stage::Lost(lost) => {
                lost.due = false;
                std::mem::take(&mut lost.waiting)
            }
            Stage::Listening => return,
        };
        for answer in refused {
            let _ = answer.send(Err(self.failed("subscribed to", error)));
        }
    }

    /// Has the server asked once more for what it refused. `false` when there
    /// is nothing of that kind.
    pub(super) fn retry(&self) -> bool {
        let mut any = false;
        for channel in self.state().iter_mut().flat_map(|state| state.channels.values_mut()) {
            if let Stage::Lost(lost) = &mut channel.stage {
                lost.due = true;
                any = true;
            }
        }
        any
    }

    /// What the server lets us listen to is listened to again, so it can be
    /// published.
    pub(super) fn set_online(&self, online: Online) {
        if let Some(state) = &mut *self.state() {
            state.online = Ok(online);
        }
    }

    /// The connection is gone, because of `error`.
    pub(super) fn set_offline(&self, error: &LinkError) {
        let Some(state) = &mut *self.state() else { return };
        state.online = Err(error.clone());
        for channel in state.channels.values_mut() {
            let lost = Stage::Lost(Lost { due: true, waiting: Vec::new() });
            let waiting = match std::mem::replace(&mut channel.stage, lost) {
                Stage::Wanted(waiting) | Stage::Lost(Lost { waiting, .. }) => waiting,
                Stage::Listening => continue,
            };
            for answer in waiting {
                let _ = answer.send(Err(self.failed("subscribed to", error)));
            }
        }
    }

    /// Passes a message on to all who listen to `name`.
    pub(super) fn dispatch(&self, name: &str, payload: Bytes) {
        if let Some(channel) = self.state().as_ref().and_then(|state| state.channels.get(name)) {
            // Nobody may be left; then it goes to nobody.
            let _ = channel.signals.send(Signal::Message(payload));
        }
    }

    /// Tells everyone that something may have been missed.
    pub(super) fn missed(&self) {
        for channel in self.state().iter().flat_map(|state| state.channels.values()) {
            let _ = channel.signals.send(Signal::Missed);
        }
    }

    /// Ends all subscriptions, and all calls from now on.
    pub(super) fn close(&self) {
        self.state().take();
    }

    /// What there is to publish with, unless it is known to be broken.
    fn ready(&self, state: &State) -> Result<Online, PubSubError> {
        match &state.online {
            Ok(online) if online.broken.is_cancelled() => Err(self.cut()),
            Ok(online) => Ok(online.clone()),
            Err(error) => {
                let message = format!("`{self}` is away, connecting again");
                Err(PubSubError::unavailable(message).caused_by(error.source.clone()))
            }
        }
    }

    /// What to say of a call that was under way when the connection broke.
    pub(super) fn cut(&self) -> PubSubError {
        PubSubError::unavailable(format!("the connection to `{self}` was cut"))
    }

    /// What to say of a call that failed.
    pub(super) fn failed(&self, what: &str, error: &LinkError) -> PubSubError {
        PubSubError::unavailable(format!("`{self}` cannot be {what}"))
            .caused_by(error.source.clone())
    }
}

impl fmt::Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

fn signals(subscriber: Subscriber) -> BoxStream<'static, Signal> {
    let signals = stream::unfold(subscriber, |mut subscriber| async move {
        match subscriber.receiver.recv().await {
            Ok(signal) => Some((signal, subscriber)),
            Err(RecvError::Lagged(_)) => Some((Signal::Missed, subscriber)),
            Err(RecvError::Closed) => None,
        }
    });
    signals.boxed()
}
