//! A dispatcher without an engine: it hands out what a test gives it, keeps
//! what it is told as the contract says, and fails as the test wants.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use super::world::locked;
use crate::dispatch::{
    Ack, BuildClaim, CheckClaim, CheckReport, Claim, DispatchError, Dispatcher, Registration,
    Report, RunningBuild, Session, SessionId, Signal, Want,
};
use crate::event::Event;
use crate::name::BuildId;
use crate::plan::BuildResult;

/// How long a test waits for something before it counts as never coming.
const PATIENCE: Duration = Duration::from_secs(30);

/// A method of a dispatcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum Method {
    Register,
    Claim,
    Report,
    ReportCheck,
    Renew,
    Signals,
}

/// How a call goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is not done, and may work later.
    Unavailable,
    /// It is done, and the answer gets lost.
    AnswerLost,
    /// It is done and answered after this time.
    Late(Duration),
    /// It is answered as one of a build that is not the worker's any more.
    BuildLost,
    /// It is answered as one that breaks the contract.
    Invalid,
}

/// A dispatcher without an engine. Clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct ScriptedDispatcher {
    state: Arc<Mutex<Told>>,
    changed: Arc<Notify>,
}

/// What a dispatcher was told, and what it is going to say.
#[derive(Debug, Default)]
pub struct Told {
    /// The registrations, in the order they came.
    pub registrations: Vec<Registration>,
    /// The reports that were taken, in the order they came.
    pub reports: Vec<Report>,
    /// The log of each build, from the first number that was reported.
    pub logs: BTreeMap<BuildId, Vec<Event>>,
    /// How builds ended, and whether the workspace was kept.
    pub results: BTreeMap<BuildId, (BuildResult, bool)>,
    /// What checks found.
    pub checks: Vec<CheckReport>,
    /// The builds that each renewal named.
    pub renewals: Vec<Vec<RunningBuild>>,
    /// The sessions that were left.
    pub left: Vec<SessionId>,
    /// How often each method was called.
    pub calls: BTreeMap<Method, usize>,
    /// How many claims wait for an answer.
    pub claiming: usize,
    /// What was done against the contract.
    pub violations: Vec<String>,
    ttl: Duration,
    session: Option<SessionId>,
    listeners: Vec<mpsc::UnboundedSender<Signal>>,
    builds: VecDeque<Box<BuildClaim>>,
    given: BTreeMap<BuildId, (u64, u64)>,
    waiting_checks: VecDeque<Box<CheckClaim>>,
    faults: BTreeMap<Method, VecDeque<Fault>>,
    gone: Vec<RunningBuild>,
    reporting: BTreeMap<BuildId, usize>,
}

impl Default for ScriptedDispatcher {
    fn default() -> Self {
        Self::new(Duration::from_secs(30))
    }
}

impl ScriptedDispatcher {
    /// One whose sessions live this long.
    pub fn new(ttl: Duration) -> Self {
        let state = Told { ttl, ..Told::default() };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::default() }
    }

    /// What it was told so far.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        locked(&self.state)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Told) -> T) -> T {
        let answer = change(&mut self.told());
        self.changed.notify_waiters();
        answer
    }

    /// Hands out a build to whoever asks next.
    pub fn give_build(&self, claim: BuildClaim) {
        self.change(|it| it.builds.push_back(Box::new(claim)));
    }

    /// Hands out a check to whoever asks next.
    pub fn give_check(&self, claim: CheckClaim) {
        self.change(|it| it.waiting_checks.push_back(Box::new(claim)));
    }

    /// Has the next calls of a method go wrong, each in its way.
    pub fn fail(&self, method: Method, faults: impl IntoIterator<Item = Fault>) {
        self.change(|it| it.faults.entry(method).or_default().extend(faults));
    }

    /// Forgets what was still to go wrong with a method.
    pub fn heal(&self, method: Method) {
        self.change(|it| it.faults.remove(&method));
    }

    /// Tells those who listen.
    pub fn signal(&self, signal: &Signal) {
        self.change(|it| it.listeners.retain(|to| to.send(signal.clone()).is_ok()));
    }

    /// Gives the session up and says nothing.
    pub fn lose_session(&self) {
        self.change(|it| it.session = None);
    }

    /// Says of a build with the next renewal that it is lost.
    pub fn lose_build(&self, build: RunningBuild) {
        self.change(|it| it.gone.push(build));
    }

    /// Waits until what it was told is as `is` says, which it answers.
    ///
    /// # Panics
    /// When that does not come in half a minute.
    pub async fn until<T>(&self, what: &str, is: impl Fn(&Told) -> Option<T>) -> T {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if let Some(answer) = is(&self.told()) {
                    return answer;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(answer) => answer,
            Err(_) => panic!("it never came: {what}; {:#?}", self.told()),
        }
    }

    /// Waits for the end of a build.
    ///
    /// # Panics
    /// When that does not come in half a minute.
    pub async fn result_of(&self, build: BuildId) -> BuildResult {
        let result = |it: &Told| it.results.get(&build).map(|it| it.0.clone());
        self.until("the end of a build", result).await
    }

    /// What is to go wrong with this call; `Err` when its session is not the one that lives.
    fn begin(
        &self,
        method: Method,
        session: Option<SessionId>,
    ) -> Result<Option<Fault>, DispatchError> {
        self.change(|it| {
            *it.calls.entry(method).or_default() += 1;
            let fault = it.faults.get_mut(&method).and_then(VecDeque::pop_front);
            match &fault {
                Some(Fault::Unavailable) => return Err(DispatchError::unavailable("it is away")),
                Some(Fault::BuildLost) => return Err(DispatchError::build_lost("it is lost")),
                Some(Fault::Invalid) => return Err(DispatchError::invalid("it makes no sense")),
                _ => {}
            }
            if session.is_some() && session != it.session {
                return Err(DispatchError::session_lost());
            }
            Ok(fault)
        })
    }

    async fn answer<T>(fault: Option<Fault>, answer: T) -> Result<T, DispatchError> {
        match fault {
            Some(Fault::AnswerLost) => Err(DispatchError::unavailable("the answer got lost")),
            Some(Fault::Late(after)) => {
                tokio::time::sleep(after).await;
                Ok(answer)
            }
            _ => Ok(answer),
        }
    }
}

impl Told {
    fn take(&mut self, report: &Report) -> Result<Ack, DispatchError> {
        let Report { build, epoch, events, result, workspace_kept } = report;
        let Some((given, first)) = self.given.get(build).copied() else {
            return Err(DispatchError::invalid("this build was given to nobody"));
        };
        if given != *epoch {
            return Err(DispatchError::build_lost("it was given to another worker"));
        }
        let log = self.logs.entry(*build).or_default();
        let mut next = log.last().map_or(first, |event| event.number + 1);
        if self.results.contains_key(build) && events.iter().any(|event| event.number >= next) {
            return Err(DispatchError::build_lost("it has ended"));
        }
        for event in events {
            if event.number > next {
                self.violations.push(format!("a gap before event {}", event.number));
                return Err(DispatchError::invalid("there is a gap"));
            }
            if event.number == next {
                log.push(event.clone());
                next += 1;
            }
        }
        if let Some(result) = result {
            self.results.insert(*build, (result.clone(), *workspace_kept));
        } else if events.is_empty() {
            self.violations.push("an empty report".into());
        }
        self.reports.push(report.clone());
        Ok(Ack { next })
    }
}

#[async_trait]
impl Dispatcher for ScriptedDispatcher {
    async fn register(&self, registration: Registration) -> Result<Session, DispatchError> {
        let fault = self.begin(Method::Register, None)?;
        let session = self.change(|it| {
            it.registrations.push(registration);
            let id = SessionId(Uuid::now_v7());
            it.session = Some(id);
            Session { id, ttl: it.ttl }
        });
        Self::answer(fault, session).await
    }

    async fn claim(&self, session: SessionId, want: Want) -> Result<Claim, DispatchError> {
        /// Counts as long as it lives.
        struct Waiting<'a>(&'a ScriptedDispatcher);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.change(|it| it.claiming -= 1);
            }
        }
        let fault = self.begin(Method::Claim, Some(session))?;
        self.change(|it| it.claiming += 1);
        let waiting = Waiting(self);
        let claim = loop {
            let changed = self.changed.notified();
            {
                let mut told = self.told();
                if told.session != Some(session) {
                    break Err(DispatchError::session_lost());
                }
                if want.build
                    && let Some(claim) = told.builds.pop_front()
                {
                    let given = (claim.epoch, claim.next_event);
                    told.given.insert(claim.context.id, given);
                    break Ok(Claim::Build(claim));
                }
                if want.check
                    && let Some(claim) = told.waiting_checks.pop_front()
                {
                    break Ok(Claim::Check(claim));
                }
            }
            changed.await;
        };
        drop(waiting);
        Self::answer(fault, claim?).await
    }

    async fn report(&self, session: SessionId, report: Report) -> Result<Ack, DispatchError> {
        /// Counts as long as it lives.
        struct Reporting<'a>(&'a ScriptedDispatcher, BuildId);
        impl Drop for Reporting<'_> {
            fn drop(&mut self) {
                self.0.told().reporting.entry(self.1).and_modify(|it| *it -= 1);
            }
        }
        let fault = self.begin(Method::Report, Some(session))?;
        let one = Reporting(self, report.build);
        let ack = self.change(|it| {
            let at_once = it.reporting.entry(report.build).or_default();
            *at_once += 1;
            if *at_once > 1 {
                it.violations.push("two reports of one build at once".into());
            }
            it.take(&report)
        })?;
        let answer = Self::answer(fault, ack).await;
        drop(one);
        answer
    }

    async fn report_check(
        &self,
        session: SessionId,
        report: CheckReport,
    ) -> Result<(), DispatchError> {
        let fault = self.begin(Method::ReportCheck, Some(session))?;
        self.change(|it| it.checks.push(report));
        Self::answer(fault, ()).await
    }

    async fn renew(
        &self,
        session: SessionId,
        running: &[RunningBuild],
    ) -> Result<Vec<RunningBuild>, DispatchError> {
        let fault = self.begin(Method::Renew, Some(session))?;
        let gone = self.change(|it| {
            it.renewals.push(running.to_vec());
            std::mem::take(&mut it.gone)
        });
        Self::answer(fault, gone).await
    }

    async fn signals(
        &self,
        session: SessionId,
    ) -> Result<BoxStream<'static, Signal>, DispatchError> {
        let fault = self.begin(Method::Signals, Some(session))?;
        let (sender, receiver) = mpsc::unbounded_channel();
        self.change(|it| it.listeners.push(sender));
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
            let signal = receiver.recv().await?;
            Some((signal, receiver))
        });
        Self::answer(fault, stream.boxed()).await
    }

    async fn leave(&self, session: SessionId) -> Result<(), DispatchError> {
        self.change(|it| {
            it.left.push(session);
            it.session = None;
        });
        Ok(())
    }
}
