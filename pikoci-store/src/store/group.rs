//! Group commit: the commits that wait are made durable with one sync.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pikoci_core::store::{Outcome, StoreError, Txn};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::panic::panic_text;
use super::recent::{Heard, Recent};

/// How long a commit waits for its turn and its sync, together.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most commits of one group. Its ids are stored with it.
pub(crate) const MAX_GROUP_COMMITS: usize = 256;

/// No group takes another commit once it has this many bytes.
const MAX_GROUP_SIZE_BYTES: usize = 8 * 1024 * 1024;

/// The unit in which room in the queue is counted, and the least that a commit takes.
const ROOM_UNIT_BYTES: usize = 4 * 1024;

/// How much may wait in the queue: 32 MiB.
const ROOM_UNITS: usize = 8 * 1024;

/// What a [`GroupWriter`] writes to. Used by one thread, from the first call to the last.
pub(crate) trait GroupBackend: Send + 'static {
    /// Does the transactions in order, each on top of those before it. When it
    /// returns, all that was committed is durable, and `recent` with it: what
    /// it holds, and the outcomes of this group.
    fn apply(&mut self, txns: &[Txn], recent: &Recent) -> Result<Vec<Outcome>, GroupError>;

    /// Lets go of everything. Called once, as the last.
    fn close(&mut self) -> Result<(), StoreError>;
}

/// Why a group was not done.
#[derive(Debug)]
pub(crate) struct GroupError {
    /// What happened to the group.
    pub(crate) fate: Fate,
    /// What failed, where, and what to do.
    pub(crate) message: String,
    /// What the backend said.
    pub(crate) source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What an error means for the group that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing was written; the next group may do better.
    NotDone,
    /// Nothing was written: what is stored cannot be read. Only the commits
    /// that need it are answered so; the others are done without them.
    Damaged,
    /// It may have been written or not, and no other group can be until the
    /// store is opened again.
    Unknown,
}

/// A commit in the queue.
struct Request {
    txn: Txn,
    reply: Reply,
    _room: tokio::sync::OwnedSemaphorePermit,
}

type Answer = Result<Outcome, StoreError>;

/// Where the answer to a commit goes.
struct Reply {
    answer: oneshot::Sender<Answer>,
    /// Set when the caller is answered that the outcome is unknown.
    unknown: Arc<AtomicBool>,
}

impl Reply {
    /// Answers the caller, or tells what it heard instead.
    fn send(self, answer: Answer) -> Result<(), Heard> {
        self.answer.send(answer).map_err(|_| {
            if self.unknown.load(Ordering::Acquire) { Heard::Unknown } else { Heard::Nothing }
        })
    }
}

/// Queues commits to one thread, which does all that wait as one group.
#[derive(Debug)]
pub(crate) struct GroupWriter {
    queue: Mutex<Option<mpsc::UnboundedSender<Request>>>,
    room: Arc<Semaphore>,
    groups: Arc<AtomicU64>,
    finished: tokio::sync::Mutex<Option<oneshot::Receiver<Result<(), StoreError>>>>,
}

impl GroupWriter {
    /// Starts the thread, which lasts until `close` or until the writer is
    /// dropped, and does what is queued by then.
    pub(crate) fn start(
        name: &str,
        backend: impl GroupBackend,
        recent: Recent,
    ) -> std::io::Result<Self> {
        let (queue, requests) = mpsc::unbounded_channel();
        let (finish, finished) = oneshot::channel();
        let groups = Arc::new(AtomicU64::new(0));
        let mut worker = Worker {
            backend,
            recent,
            groups: groups.clone(),
            failed: None,
            unsettled: HashSet::new(),
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            worker.run(requests);
            // Nobody has to be there to hear it.
            let _ = finish.send(worker.close());
        })?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            room: Arc::new(Semaphore::new(ROOM_UNITS)),
            groups,
            finished: tokio::sync::Mutex::new(Some(finished)),
        })
    }

    /// Queues a commit and waits until it is durable.
    pub(crate) async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        let deadline = Instant::now() + PATIENCE;
        let units = (txn.size_bytes() / ROOM_UNIT_BYTES + 1).min(ROOM_UNITS);
        let room = self.room.clone().acquire_many_owned(units.try_into().unwrap_or(u32::MAX));
        let room = match timeout_at(deadline, room).await {
            Ok(Ok(room)) => room,
            Ok(Err(_)) => return Err(StoreError::closed()),
            Err(_) => {
                return Err(StoreError::unavailable(format!(
                    "too many commits waited for longer than {} s; is the disk overloaded?",
                    PATIENCE.as_secs()
                )));
            }
        };
        let (reply, mut answer) = oneshot::channel();
        let unknown = Arc::new(AtomicBool::new(false));
        let reply = Reply { answer: reply, unknown: unknown.clone() };
        let request = Request { txn: txn.clone(), reply, _room: room };
        match &*self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            Some(queue) if queue.send(request).is_ok() => {}
            _ => return Err(StoreError::closed()),
        }
        if let Ok(answer) = timeout_at(deadline, &mut answer).await {
            return answer.unwrap_or_else(|_| {
                Err(StoreError::unknown("the thread that writes to the store ended; restart it"))
            });
        }
        // From here on the thread notices that nobody hears it, and remembers
        // the outcome for the same transaction committed again.
        unknown.store(true, Ordering::Release);
        answer.close();
        answer.try_recv().unwrap_or_else(|_| {
            Err(StoreError::unknown(format!(
                "the disk took longer than {} s for a commit; try it again",
                PATIENCE.as_secs()
            )))
        })
    }

    /// How many groups were made durable.
    pub(crate) fn groups(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }

    /// Takes no more commits, and waits until those that were taken are done
    /// and the backend is closed. The first to hear the end is told of its errors.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.room.close();
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        let mut finished = self.finished.lock().await;
        let Some(end) = finished.as_mut() else { return Ok(()) };
        let result = end.await;
        *finished = None;
        result.unwrap_or_else(|_| {
            Err(StoreError::unavailable("the thread that writes to the store ended early"))
        })
    }
}

/// The thread's side.
struct Worker<B> {
    backend: B,
    recent: Recent,
    groups: Arc<AtomicU64>,
    /// Why nothing can be written any more.
    failed: Option<Arc<GroupError>>,
    /// What was in the group that failed.
    unsettled: HashSet<Uuid>,
}

impl<B: GroupBackend> Worker<B> {
    fn run(&mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut group = Group::default();
            let mut next = Some(first);
            while let Some(request) = next {
                self.take(&mut group, request);
                if group.is_full() {
                    break;
                }
                next = requests.try_recv().ok();
            }
            self.commit(group);
        }
    }

    /// Takes a request into the group, unless it can be answered at once.
    fn take(&mut self, group: &mut Group, request: Request) {
        let Request { txn, reply, _room } = request;
        if let Some(outcome) = self.recent.outcome(&txn.id) {
            if let Err(heard) = reply.send(Ok(outcome)) {
                self.recent.remember(txn.id, outcome, heard);
            }
        } else if reply.answer.is_closed() {
            // Its caller went away before it was begun.
        } else if let Some(failed) = &self.failed {
            let _ = reply.send(Err(self.refusal(failed, &txn)));
        } else {
            group.add(txn, reply);
        }
    }

    fn commit(&mut self, group: Group) {
        if group.txns.is_empty() {
            return;
        }
        if let Some(failed) = &self.failed {
            // The first half of a group failed.
            for (txn, replies) in group.txns.iter().zip(group.replies) {
                for reply in replies {
                    // Nobody has to be there to hear it.
                    let _ = reply.send(Err(self.refusal(failed, txn)));
                }
            }
            return;
        }
        self.recent.expire();
        let (backend, recent) = (&mut self.backend, &self.recent);
        let applied = catch_unwind(AssertUnwindSafe(|| backend.apply(&group.txns, recent)));
        let applied = applied.unwrap_or_else(|panic| {
            Err(GroupError {
                fate: Fate::Unknown,
                message: format!("writing to the store panicked: {}", panic_text(&*panic)),
                source: None,
            })
        });
        match applied {
            Ok(outcomes) => {
                self.groups.fetch_add(1, Ordering::Relaxed);
                for ((txn, replies), outcome) in group.txns.iter().zip(group.replies).zip(outcomes)
                {
                    for reply in replies {
                        if let Err(heard) = reply.send(Ok(outcome)) {
                            self.recent.remember(txn.id, outcome, heard);
                        }
                    }
                }
            }
            Err(error) if error.fate == Fate::Damaged && group.txns.len() > 1 => {
                let (first, second) = group.split();
                self.commit(first);
                self.commit(second);
            }
            Err(error) => self.fail(group, error),
        }
    }

    fn fail(&mut self, group: Group, error: GroupError) {
        let error = Arc::new(error);
        let source = error.source.as_ref().map(tracing::field::display);
        tracing::error!(error = error.message, source, "a group of commits failed");
        for reply in group.replies.into_iter().flatten() {
            // Nobody has to be there to hear it.
            let _ = reply.send(Err(error.to_store_error(error.message.clone())));
        }
        if error.fate == Fate::Unknown {
            self.unsettled.extend(group.txns.iter().map(|txn| txn.id));
            self.failed = Some(error);
        }
    }

    /// What a commit is answered after a group failed for good.
    fn refusal(&self, failed: &GroupError, txn: &Txn) -> StoreError {
        if self.unsettled.contains(&txn.id) {
            return failed.to_store_error(failed.message.clone());
        }
        let message = format!(
            "no commit can be done until the store is opened again; restart to do so: {}",
            failed.message
        );
        let error = StoreError::unavailable(message);
        match &failed.source {
            Some(source) => error.caused_by(source.clone()),
            None => error,
        }
    }

    fn close(&mut self) -> Result<(), StoreError> {
        let closed = catch_unwind(AssertUnwindSafe(|| self.backend.close()));
        let closed = closed.unwrap_or_else(|panic| {
            let text = panic_text(&*panic);
            Err(StoreError::unavailable(format!("closing the store panicked: {text}")))
        });
        match &self.failed {
            Some(failed) => Err(StoreError::unavailable(failed.message.clone())),
            None => closed,
        }
    }
}

impl GroupError {
    /// An error that has no other behind it.
    pub(crate) fn new(fate: Fate, message: impl Into<String>) -> Self {
        Self { fate, message: message.into(), source: None }
    }

    /// The same with its cause.
    pub(crate) fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    fn to_store_error(&self, message: String) -> StoreError {
        let error = match self.fate {
            Fate::NotDone => StoreError::unavailable(message),
            Fate::Damaged => StoreError::damaged(message),
            Fate::Unknown => StoreError::unknown(message),
        };
        match &self.source {
            Some(source) => error.caused_by(source.clone()),
            None => error,
        }
    }
}

/// The commits that are done together.
#[derive(Default)]
struct Group {
    txns: Vec<Txn>,
    /// Who waits for each of them: more than one if it was committed again
    /// while it was still on its way.
    replies: Vec<Vec<Reply>>,
    at: HashMap<Uuid, usize>,
    size_bytes: usize,
}

impl Group {
    fn add(&mut self, txn: Txn, reply: Reply) {
        if let Some(at) = self.at.get(&txn.id)
            && let Some(replies) = self.replies.get_mut(*at)
        {
            replies.push(reply);
            return;
        }
        self.at.insert(txn.id, self.txns.len());
        self.size_bytes += txn.size_bytes();
        self.txns.push(txn);
        self.replies.push(vec![reply]);
    }

    /// Its first and its second half; nothing is added to them.
    fn split(mut self) -> (Self, Self) {
        let half = self.txns.len() / 2;
        let (txns, replies) = (self.txns.split_off(half), self.replies.split_off(half));
        (self, Self { txns, replies, ..Self::default() })
    }

    fn is_full(&self) -> bool {
        self.txns.len() >= MAX_GROUP_COMMITS || self.size_bytes >= MAX_GROUP_SIZE_BYTES
    }
}

#[cfg(test)]
mod tests;
