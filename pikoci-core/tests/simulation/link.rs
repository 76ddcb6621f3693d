//! The way from a worker to whichever engine is there: calls are late, get
//! lost, or their answers do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, future};
use pikoci_core::dispatch::{
    Ack, CheckReport, Claim, DispatchError, Dispatcher, Registration, Report, RunningBuild,
    Session, SessionId, Signal, Want,
};
use pikoci_core::testkit::random::Random;
use tokio_util::sync::CancellationToken;

/// An engine as workers see it.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) dispatcher: Arc<dyn Dispatcher>,
    pub(crate) dead: CancellationToken,
}

/// The engines that are there.
pub(crate) type Servers = Arc<Mutex<Vec<Server>>>;

#[derive(Debug)]
pub(crate) struct Link {
    servers: Servers,
    random: Mutex<Random>,
    /// Whether anything goes wrong.
    pub(crate) faulty: Arc<std::sync::atomic::AtomicBool>,
}

enum Fate {
    Fine,
    Lost,
    AnswerLost,
    Late(Duration),
}

fn away() -> DispatchError {
    DispatchError::unavailable("the simulated network lost it")
}

impl Link {
    pub(crate) fn new(
        servers: Servers,
        seed: u64,
        faulty: Arc<std::sync::atomic::AtomicBool>,
    ) -> Self {
        Self { servers, random: Mutex::new(Random::new(seed)), faulty }
    }

    fn fate(&self) -> Fate {
        if !self.faulty.load(std::sync::atomic::Ordering::Relaxed) {
            return Fate::Fine;
        }
        let mut random = self.random.lock().expect("whole");
        match random.below(12) {
            0 => Fate::Lost,
            1 => Fate::AnswerLost,
            2 | 3 => Fate::Late(Duration::from_millis(random.number() % 3000)),
            _ => Fate::Fine,
        }
    }

    fn server(&self) -> Result<Server, DispatchError> {
        let servers = self.servers.lock().expect("whole");
        let mut random = self.random.lock().expect("whole");
        let living: Vec<_> = servers.iter().filter(|it| !it.dead.is_cancelled()).collect();
        living.get(random.below(living.len())).map(|it| (*it).clone()).ok_or_else(away)
    }

    async fn call<T, F>(
        &self,
        call: impl FnOnce(Arc<dyn Dispatcher>) -> F,
    ) -> Result<T, DispatchError>
    where
        F: Future<Output = Result<T, DispatchError>>,
    {
        let server = self.server()?;
        let fate = self.fate();
        if let Fate::Late(by) = fate {
            tokio::time::sleep(by).await;
        }
        if matches!(fate, Fate::Lost) {
            return Err(away());
        }
        let answer = tokio::select! {
            biased;
            () = server.dead.cancelled() => return Err(away()),
            answer = call(server.dispatcher) => answer,
        };
        if matches!(fate, Fate::AnswerLost) { Err(away()) } else { answer }
    }
}

#[async_trait]
impl Dispatcher for Link {
    async fn register(&self, registration: Registration) -> Result<Session, DispatchError> {
        self.call(|it| async move { it.register(registration).await }).await
    }

    async fn claim(&self, session: SessionId, want: Want) -> Result<Claim, DispatchError> {
        self.call(|it| async move { it.claim(session, want).await }).await
    }

    async fn report(&self, session: SessionId, report: Report) -> Result<Ack, DispatchError> {
        let again = self.random.lock().expect("whole").one_in(10);
        if again && self.faulty.load(std::sync::atomic::Ordering::Relaxed) {
            // It arrives twice.
            let copy = report.clone();
            let _ = self.call(|it| async move { it.report(session, copy).await }).await;
        }
        self.call(|it| async move { it.report(session, report).await }).await
    }

    async fn report_check(
        &self,
        session: SessionId,
        report: CheckReport,
    ) -> Result<(), DispatchError> {
        self.call(|it| async move { it.report_check(session, report).await }).await
    }

    async fn renew(
        &self,
        session: SessionId,
        running: &[RunningBuild],
    ) -> Result<Vec<RunningBuild>, DispatchError> {
        let running = running.to_vec();
        self.call(|it| async move { it.renew(session, &running).await }).await
    }

    async fn signals(
        &self,
        session: SessionId,
    ) -> Result<BoxStream<'static, Signal>, DispatchError> {
        let server = self.server()?;
        let dead = server.dead.clone();
        let signals = tokio::select! {
            biased;
            () = server.dead.cancelled() => return Err(away()),
            signals = server.dispatcher.signals(session) => signals?,
        };
        let over = async move { dead.cancelled().await };
        Ok(signals.take_until(Box::pin(over)).filter(|_| future::ready(true)).boxed())
    }

    async fn leave(&self, session: SessionId) -> Result<(), DispatchError> {
        self.call(|it| async move { it.leave(session).await }).await
    }
}
