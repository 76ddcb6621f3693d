//! The group writer over a backend that does what it is told.

use std::sync::mpsc as blocking;

use pikoci_core::store::{Key, Revision, StoreErrorKind};

use super::*;

/// What the backend does with a group.
enum Step {
    Commit(u64),
    /// Commits, with revision 1, a group without the transaction; it cannot be read.
    CommitWithout(Uuid),
    NotDone,
    Unknown,
    Panic,
}

/// Does with each group what it is told, when it is told, and says what was in it.
struct Told {
    steps: blocking::Receiver<Step>,
    groups: mpsc::UnboundedSender<Vec<Uuid>>,
}

impl GroupBackend for Told {
    fn apply(&mut self, txns: &[Txn], _: &Recent) -> Result<Vec<Outcome>, GroupError> {
        let ids = txns.iter().map(|txn| txn.id).collect();
        self.groups.send(ids).expect("a test that listens");
        match self.steps.recv().expect("a step") {
            Step::Commit(revision) => Ok(vec![Outcome::Committed(Revision(revision)); txns.len()]),
            Step::CommitWithout(id) if txns.iter().any(|txn| txn.id == id) => {
                Err(GroupError::new(Fate::Damaged, "an entry is damaged"))
            }
            Step::CommitWithout(_) => Ok(vec![Outcome::Committed(Revision(1)); txns.len()]),
            Step::NotDone => Err(GroupError::new(Fate::NotDone, "the disk is full")),
            Step::Unknown => Err(GroupError::new(Fate::Unknown, "the disk failed")),
            Step::Panic => panic!("a bug"),
        }
    }

    fn close(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

struct Bench {
    writer: Arc<GroupWriter>,
    steps: blocking::Sender<Step>,
    groups: mpsc::UnboundedReceiver<Vec<Uuid>>,
}

impl Bench {
    fn new() -> Self {
        let ((steps, told), (groups, seen)) = (blocking::channel(), mpsc::unbounded_channel());
        let backend = Told { steps: told, groups };
        let writer = GroupWriter::start("test", backend, Recent::default()).expect("a thread");
        Self { writer: Arc::new(writer), steps, groups: seen }
    }

    fn commit(&self, txn: &Txn) -> tokio::task::JoinHandle<Result<Outcome, StoreError>> {
        let (writer, txn) = (self.writer.clone(), txn.clone());
        tokio::spawn(async move { writer.commit(&txn).await })
    }

    fn step(&self, step: Step) {
        self.steps.send(step).expect("a thread that listens");
    }

    /// Waits until so many small commits are in the queue.
    async fn queued(&self, commits: usize) {
        while self.writer.room.available_permits() > ROOM_UNITS - commits {
            tokio::task::yield_now().await;
        }
    }

    async fn group(&mut self) -> Vec<Uuid> {
        self.groups.recv().await.expect("a group")
    }
}

fn txn() -> Txn {
    Txn::new(Uuid::now_v7()).put(Key::new("key").expect("a key"), "value")
}

fn kind(answer: Result<Outcome, StoreError>) -> StoreErrorKind {
    answer.expect_err("an error").kind
}

#[tokio::test]
async fn what_waits_is_one_group() {
    let mut bench = Bench::new();
    let first = bench.commit(&txn());
    bench.group().await;
    let txns: Vec<Txn> = (0..5).map(|_| txn()).collect();
    let mut rest = Vec::new();
    for txn in &txns {
        rest.push(bench.commit(txn));
        // So that they are queued in order.
        tokio::task::yield_now().await;
    }
    bench.step(Step::Commit(1));
    assert_eq!(first.await.expect("a task").expect("a commit"), Outcome::Committed(Revision(1)));
    assert_eq!(bench.group().await, txns.iter().map(|txn| txn.id).collect::<Vec<_>>());
    bench.step(Step::Commit(2));
    for commit in rest {
        let outcome = commit.await.expect("a task").expect("a commit");
        assert_eq!(outcome, Outcome::Committed(Revision(2)));
    }
    assert_eq!(bench.writer.groups(), 2);
}

#[tokio::test]
async fn a_commit_that_takes_too_long_is_settled_by_the_same_again() {
    let mut bench = Bench::new();
    let slow = txn();
    let first = bench.commit(&slow);
    bench.group().await;
    // Time flies when all tasks wait.
    tokio::time::pause();
    assert_eq!(kind(first.await.expect("a task")), StoreErrorKind::Unknown);
    tokio::time::resume();
    // Tried again while it is still on its way, and after.
    let second = bench.commit(&slow);
    tokio::task::yield_now().await;
    bench.step(Step::Commit(7));
    for again in [second, bench.commit(&slow)] {
        let outcome = again.await.expect("a task").expect("a commit");
        assert_eq!(outcome, Outcome::Committed(Revision(7)));
    }
    assert_eq!(bench.writer.groups(), 1);
}

#[tokio::test]
async fn a_full_queue_is_told_and_nothing_was_done() {
    let mut bench = Bench::new();
    let first = bench.commit(&txn());
    bench.group().await;
    // Time flies when all tasks wait.
    tokio::time::pause();
    let large = |number: u8| {
        let key = |part: u8| Key::new(vec![number, part]).expect("a key");
        let large = Txn::new(Uuid::now_v7());
        (0..15).fold(large, |txn, part| txn.put(key(part), vec![0; 64 * 1024]))
    };
    let waiting: Vec<_> = (0..64).map(|number| bench.commit(&large(number))).collect();
    let mut kinds = vec![kind(first.await.expect("a task"))];
    for commit in waiting {
        kinds.push(kind(commit.await.expect("a task")));
    }
    let full = kinds.iter().filter(|kind| **kind == StoreErrorKind::Unavailable).count();
    assert!((20..60).contains(&full), "{full} did not fit");
    tokio::time::resume();
    // Those that waited are not begun any more.
    bench.step(Step::Commit(1));
    let last = txn();
    let commit = bench.commit(&last);
    assert_eq!(bench.group().await, [last.id]);
    bench.step(Step::Commit(2));
    assert!(commit.await.expect("a task").is_ok());
}

#[tokio::test]
async fn after_what_was_not_done_the_next_group_is() {
    let mut bench = Bench::new();
    let first = bench.commit(&txn());
    bench.group().await;
    bench.step(Step::NotDone);
    assert_eq!(kind(first.await.expect("a task")), StoreErrorKind::Unavailable);
    bench.step(Step::Commit(1));
    assert!(bench.writer.commit(&txn()).await.is_ok());
    assert!(bench.writer.close().await.is_ok());
}

#[tokio::test]
async fn damage_is_answered_only_to_the_commit_that_met_it() {
    let mut bench = Bench::new();
    let blocker = bench.commit(&txn());
    bench.group().await;
    let txns: Vec<Txn> = (0..100).map(|_| txn()).collect();
    let commits: Vec<_> = txns.iter().map(|txn| bench.commit(txn)).collect();
    bench.queued(txns.len()).await;
    bench.step(Step::Commit(1));
    let damaged = txns[37].id;
    for _ in 0..20 {
        bench.step(Step::CommitWithout(damaged));
    }
    assert!(blocker.await.expect("a task").is_ok());
    for (txn, commit) in txns.iter().zip(commits) {
        let answer = commit.await.expect("a task");
        if txn.id == damaged {
            assert_eq!(kind(answer), StoreErrorKind::Damaged);
        } else {
            assert_eq!(answer.expect("a commit"), Outcome::Committed(Revision(1)));
        }
    }
}

#[tokio::test]
async fn what_was_split_is_not_gone_on_with_after_an_unknown_outcome() {
    let mut bench = Bench::new();
    let blocker = bench.commit(&txn());
    bench.group().await;
    let txns: Vec<Txn> = (0..2).map(|_| txn()).collect();
    let mut commits = Vec::new();
    for txn in &txns {
        commits.push(bench.commit(txn));
        // So that they are queued in order.
        tokio::task::yield_now().await;
    }
    bench.step(Step::Commit(1));
    bench.step(Step::CommitWithout(txns[1].id));
    bench.step(Step::Unknown);
    assert!(blocker.await.expect("a task").is_ok());
    let mut kinds = Vec::new();
    for commit in commits {
        kinds.push(kind(commit.await.expect("a task")));
    }
    assert_eq!(kinds, [StoreErrorKind::Unknown, StoreErrorKind::Unavailable]);
}

#[tokio::test]
async fn an_unknown_outcome_is_not_forgotten_for_callers_who_went_away() {
    let mut bench = Bench::new();
    let slow = txn();
    let first = bench.commit(&slow);
    bench.group().await;
    // Time flies when all tasks wait.
    tokio::time::pause();
    assert_eq!(kind(first.await.expect("a task")), StoreErrorKind::Unknown);
    tokio::time::resume();
    for revision in 7..27 {
        let dropped: Vec<_> = (0..MAX_GROUP_COMMITS).map(|_| bench.commit(&txn())).collect();
        bench.queued(MAX_GROUP_COMMITS).await;
        bench.step(Step::Commit(revision));
        assert_eq!(bench.group().await.len(), MAX_GROUP_COMMITS);
        for commit in dropped {
            commit.abort();
            assert!(commit.await.is_err());
        }
    }
    bench.step(Step::Commit(27));
    let outcome = bench.commit(&slow).await.expect("a task").expect("a commit");
    assert_eq!(outcome, Outcome::Committed(Revision(7)));
}

#[tokio::test]
async fn after_an_unknown_outcome_or_a_panic_nothing_is_taken() {
    for (step, says) in [(Step::Unknown, "the disk failed"), (Step::Panic, "panicked: a bug")] {
        let bench = Bench::new();
        let failed = txn();
        bench.step(step);
        for _ in 0..2 {
            let error = bench.writer.commit(&failed).await.expect_err("an error");
            assert_eq!(error.kind, StoreErrorKind::Unknown);
            assert!(error.message.contains(says), "{error}");
        }
        let error = bench.writer.commit(&txn()).await.expect_err("an error");
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
        assert!(error.message.contains("restart") && error.message.contains(says), "{error}");
        assert!(bench.writer.close().await.is_err());
        assert!(bench.writer.close().await.is_ok());
    }
}

#[tokio::test]
async fn what_was_accepted_is_done_before_the_close() {
    let mut bench = Bench::new();
    let first = bench.commit(&txn());
    bench.group().await;
    let second = bench.commit(&txn());
    tokio::task::yield_now().await;
    let closing = tokio::spawn({
        let writer = bench.writer.clone();
        async move { writer.close().await }
    });
    tokio::task::yield_now().await;
    assert_eq!(kind(bench.writer.commit(&txn()).await), StoreErrorKind::Closed);
    bench.step(Step::Commit(1));
    bench.step(Step::Commit(2));
    assert!(first.await.expect("a task").is_ok());
    assert!(second.await.expect("a task").is_ok());
    assert!(closing.await.expect("a task").is_ok());
    assert_eq!(kind(bench.writer.commit(&txn()).await), StoreErrorKind::Closed);
}
