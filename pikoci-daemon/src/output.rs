//! Standard output, written by a thread of its own.
//!
//! Whoever reports fills a buffer and goes on; the thread takes all that has
//! gathered and writes it in one piece. So output is batched by itself when
//! much of it comes, is never late when little does, and a reader that does
//! not read (a pager, a stopped terminal) blocks neither the handling of
//! signals nor the end of processes.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::Notify;

/// What a pipe that can be written to at all takes without blocking (`PIPE_BUF`).
const DIRECT_BYTES: usize = 4096;

/// How many bytes may wait to be written before reporters are held up.
const ROOM_BYTES: usize = 512 * 1024;

/// A buffered way out that never blocks the one who fills it.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// The same target, for what is small enough to be written without the
    /// thread: waking it costs more than a step's few lines are worth.
    direct: Option<File>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    progress: Notify,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<u8>,
    /// The thread sleeps and must be woken when there is work.
    idle: bool,
    /// The thread holds bytes that it has not written yet.
    writing: bool,
    closing: bool,
    /// The other side is gone; everything else is dropped.
    broken: Option<io::Error>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// A writer to standard output.
    ///
    /// # Errors
    /// When standard output is closed or no thread can be started.
    pub(crate) fn stdout() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let direct = if io::stdout().is_terminal() { None } else { Some(file.try_clone()?) };
        let mut writer = Self::to(file)?;
        writer.direct = direct;
        Ok(writer)
    }

    /// A writer to `target`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn to(target: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let thread = std::thread::Builder::new()
            .name("output".into())
            .stack_size(64 * 1024)
            .spawn(move || write_all(&theirs, target))?;
        Ok(Self { shared, thread: Some(thread), direct: None })
    }

    /// Lets `fill` add to what will be written.
    pub(crate) fn append<T>(&self, fill: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut state = self.shared.state();
        let result = fill(&mut state.pending);
        if state.broken.is_some() {
            state.pending.clear();
        } else if state.idle && !state.pending.is_empty() {
            self.write_directly(&mut state);
            if !state.pending.is_empty() {
                state.idle = false;
                self.shared.work.notify_one();
            }
        }
        result
    }

    /// Writes what is pending, while the thread sleeps, if that cannot block.
    fn write_directly(&self, state: &mut State) {
        let Some(mut target) = self.direct.as_ref() else { return };
        if state.pending.len() > DIRECT_BYTES {
            return;
        }
        let mut ready = [PollFd::new(&target, PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if !matches!(poll(&mut ready, Some(&now)), Ok(1)) || ready[0].revents() != PollFlags::OUT {
            return;
        }
        // An error will meet the thread, too, which knows what to do about it.
        if let Ok(written) = target.write(&state.pending) {
            state.pending.drain(..written);
        }
    }

    /// Waits until there is room for more. Cancel-safe.
    pub(crate) async fn room(&self) {
        self.until(|state| state.pending.len() < ROOM_BYTES).await;
    }

    /// Waits until everything is written or cannot be. Cancel-safe.
    pub(crate) async fn drained(&self) {
        self.until(|state| state.pending.is_empty() && !state.writing).await;
    }

    /// Waits until the other side is gone; for ever when it stays. Cancel-safe.
    pub(crate) async fn broken(&self) {
        self.until(|_| false).await;
    }

    /// Why nothing could be written any more. A reader that went away is no
    /// reason: it has what it wanted.
    pub(crate) fn failure(&self) -> Option<String> {
        let state = self.shared.state();
        let error = state.broken.as_ref()?;
        (error.kind() != io::ErrorKind::BrokenPipe).then(|| error.to_string())
    }

    async fn until(&self, done: impl Fn(&State) -> bool) {
        loop {
            let progress = self.shared.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            {
                let state = self.shared.state();
                if state.broken.is_some() || done(&state) {
                    return;
                }
            }
            progress.await;
        }
    }
}

impl Drop for Writer {
    /// Writes what is left.
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.closing = true;
            self.shared.work.notify_one();
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn write_all(shared: &Shared, mut target: impl Write) {
    let mut batch = Vec::new();
    loop {
        let mut state = shared.state();
        state.writing = false;
        while state.pending.is_empty() {
            shared.progress.notify_waiters();
            if state.closing {
                return;
            }
            state.idle = true;
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle = false;
        state.writing = true;
        std::mem::swap(&mut state.pending, &mut batch);
        drop(state);
        shared.progress.notify_waiters();
        let written = target.write_all(&batch).and_then(|()| target.flush());
        batch.clear();
        if let Err(error) = written {
            let mut state = shared.state();
            state.broken = Some(error);
            state.writing = false;
            state.pending = Vec::new();
            shared.progress.notify_waiters();
            return;
        }
    }
}

/// Writes `bytes` to standard output in one go. A reader that went away is no
/// error: it has what it wanted.
///
/// # Errors
/// When they cannot be written.
pub(crate) fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a line for people to standard error, if anyone reads it.
pub(crate) fn note(text: &str) {
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "{text}");
}

/// Whether `stream` leads to a person at a terminal that understands escape
/// sequences and wants them.
pub(crate) fn takes_escapes(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    stream.is_terminal()
        && set("NO_COLOR").is_none()
        && set("TERM").is_some_and(|term| term != "dumb")
}

/// The columns and rows of the terminal that `stream` leads to; 80 by 24 when it does not say.
pub(crate) fn terminal_size(stream: impl AsFd) -> (u16, u16) {
    match rustix::termios::tcgetwinsize(stream) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => (80, 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_appended_is_written_in_order_before_the_end() {
        let sink = Sink::default();
        let writer = Writer::to(sink.clone()).unwrap();
        let mut expected = Vec::new();
        for number in 0..10_000 {
            let line = format!("{number}\n");
            expected.extend_from_slice(line.as_bytes());
            writer.append(|out| out.extend_from_slice(line.as_bytes()));
        }
        drop(writer);
        assert!(*sink.0.lock().unwrap() == expected);
    }

    #[tokio::test]
    async fn draining_waits_until_all_is_written() {
        let sink = Sink::default();
        let writer = Writer::to(sink.clone()).unwrap();
        writer.append(|out| out.resize(3 * ROOM_BYTES, b'x'));
        writer.room().await;
        writer.drained().await;
        assert_eq!(sink.0.lock().unwrap().len(), 3 * ROOM_BYTES);
    }

    #[tokio::test]
    async fn a_reader_that_left_is_noticed_and_holds_nobody_up() {
        let writer = Writer::to(Broken).unwrap();
        writer.append(|out| out.push(b'x'));
        writer.broken().await;
        writer.append(|out| out.resize(2 * ROOM_BYTES, b'x'));
        writer.room().await;
        writer.drained().await;
        assert_eq!(writer.failure(), None);
    }
}
