//! What Ctrl-C and its kin do to a running build.

use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that end a build.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to listen; from here on the signals no longer end the process.
    ///
    /// # Errors
    /// When the system refuses to register a handler.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal and answers what people call it. Cancel-safe.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }

    /// Runs `work` to its end. The first signal is told to `asked` and fires
    /// `cancel`; a second one drops the work and answers `None`.
    pub(crate) async fn guard<T>(
        &mut self,
        cancel: &CancellationToken,
        mut asked: impl FnMut(&'static str),
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::pin!(work);
        let mut signalled = false;
        loop {
            tokio::select! {
                result = &mut work => return Some(result),
                name = self.next() => {
                    if signalled {
                        return None;
                    }
                    signalled = true;
                    asked(name);
                    cancel.cancel();
                }
            }
        }
    }
}
