//! The members of a cluster, and calls that go on to the next when one fails.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};
use uuid::Uuid;

use super::config::Config;
use super::failure::{Failure, Verdict};
use super::login::{Headers, Login};
use crate::error::{OpenError, OpenErrorKind};

/// How long a call is tried, on all members together. The contract allows 30 seconds.
pub(super) const CALL_TIME: Duration = Duration::from_secs(20);

/// The largest answer: what 1,000 entries of 64 KiB with their keys come to.
pub(super) const MAX_ANSWER_SIZE_BYTES: usize = 80 * 1024 * 1024;

/// How long one member is waited for the first time; twice as long each time
/// after, since a busy disk is no reason to give up. An election takes about a second.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_PATIENCE: Duration = Duration::from_secs(10);

const CONNECT_TIME: Duration = Duration::from_secs(2);

/// etcd hangs up on who pings more often than every 5 seconds.
const PING_INTERVAL: Duration = Duration::from_secs(7);
const PING_TIME: Duration = Duration::from_secs(3);

/// Logins during one call, after which the user is not the right one.
const MAX_LOGINS: u32 = 3;

/// A way to one member, with the headers that requests need.
pub(super) type Connection = InterceptedService<Channel, Headers>;

/// The members. Calls go to one of them until it fails.
#[derive(Debug)]
pub(super) struct Cluster {
    members: Vec<Member>,
    preferred: AtomicUsize,
    login: Login,
}

#[derive(Debug)]
struct Member {
    endpoint: String,
    channel: Channel,
}

/// Pauses that grow up to a bound, with jitter.
#[derive(Debug, Clone)]
pub(super) struct Pauses {
    span: Duration,
    longest: Duration,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_millis(500);

    pub(super) fn new() -> Self {
        Self::up_to(Self::LONGEST)
    }

    pub(super) fn up_to(longest: Duration) -> Self {
        Self { span: Self::FIRST, longest }
    }

    pub(super) fn next(&mut self) -> Duration {
        // The last bits of a UUID are random. Between half the span and all of it.
        let (_, random) = Uuid::now_v7().as_u64_pair();
        let pause = self.span / 2 + self.span / 2 * (random as u32 % 1000) / 1000;
        self.span = (self.span * 2).min(self.longest);
        pause
    }
}

impl Cluster {
    /// Connects when it is first called.
    pub(super) fn new(config: Config) -> Result<Self, OpenError> {
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let members: Vec<Member> = config
            .endpoints
            .into_iter()
            .map(|endpoint| {
                let refused = |error: tonic::transport::Error| {
                    let message = format!("`{endpoint}` cannot be the address of an etcd member");
                    OpenError::new(OpenErrorKind::Url, message).caused_by(error)
                };
                let mut address = Endpoint::from_shared(format!("{scheme}://{endpoint}"))
                    .map_err(refused)?
                    .connect_timeout(CONNECT_TIME)
                    .http2_keep_alive_interval(PING_INTERVAL)
                    .keep_alive_timeout(PING_TIME);
                if let Some(tls) = &config.tls {
                    address = address.tls_config(tls.clone()).map_err(refused)?;
                }
                Ok(Member { channel: address.connect_lazy(), endpoint })
            })
            .collect::<Result<_, _>>()?;
        // Not everyone at the same member.
        let (_, random) = Uuid::now_v7().as_u64_pair();
        let preferred = AtomicUsize::new(random as usize % members.len());
        Ok(Self { members, preferred, login: Login::new(config.credentials) })
    }

    /// The member that calls go to.
    pub(super) fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed) % self.members.len()
    }

    /// Calls go to the next one, unless they do already.
    pub(super) fn failed(&self, at: usize) {
        let next = (at + 1) % self.members.len();
        // Lost to another call that saw the same: it has moved on already.
        let _ = self.preferred.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// A way to that member, after logging in if that is needed.
    pub(super) async fn connect(&self, at: usize) -> Result<(Connection, Headers), Status> {
        let member =
            self.members.get(at).ok_or_else(|| Status::internal("there is no such member"))?;
        let headers = self.login.headers(&member.channel).await?;
        Ok((InterceptedService::new(member.channel.clone(), headers.clone()), headers))
    }

    /// These headers were refused: the next call logs in again. `false` when
    /// there is nothing to log in with.
    pub(super) async fn forget(&self, refused: &Headers) -> bool {
        self.login.forget(refused).await
    }

    /// Does `call` with one member after another until one answers or the
    /// deadline has passed. It may be done more than once.
    pub(super) async fn call<T, C, F>(&self, deadline: Instant, call: C) -> Result<T, Failure>
    where
        C: Fn(Connection) -> F,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut patience = FIRST_PATIENCE;
        let mut pauses = Pauses::new();
        let (mut attempts, mut logins) = (0, 0);
        let mut doubt = false;
        let mut said = None;
        loop {
            attempts += 1;
            let at = self.preferred();
            let started = Instant::now();
            let until = deadline.min(started + patience);
            let (verdict, status) = match self.attempt(at, until, &call).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(failed) => failed,
            };
            let again = match verdict {
                Verdict::AskAgain { in_doubt } => {
                    doubt |= in_doubt;
                    true
                }
                Verdict::LogIn => {
                    logins += 1;
                    logins < MAX_LOGINS
                }
                _ => false,
            };
            if !again || Instant::now() >= deadline {
                // Why it did not work says more than that the time was up.
                let status = match said {
                    Some(said) if status.code() == Code::DeadlineExceeded => said,
                    _ => status,
                };
                let endpoints: Vec<&str> =
                    self.members.iter().map(|member| &*member.endpoint).collect();
                let endpoints = endpoints.join(",");
                return Err(Failure { status, verdict, in_doubt: doubt, endpoints });
            }
            if verdict == Verdict::LogIn {
                continue;
            }
            tracing::debug!(store = "etcd", %status, "asking again");
            if status.code() != Code::DeadlineExceeded {
                said = Some(status);
            }
            self.failed(at);
            if started.elapsed() >= patience {
                patience = (patience * 2).min(LONGEST_PATIENCE);
            }
            // All members were asked once more: they need a moment.
            if attempts % self.members.len() == 0 {
                let left = deadline.saturating_duration_since(Instant::now());
                sleep(pauses.next().min(left)).await;
            }
        }
    }

    async fn attempt<T, C, F>(
        &self,
        at: usize,
        until: Instant,
        call: &C,
    ) -> Result<Response<T>, (Verdict, Status)>
    where
        C: Fn(Connection) -> F,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let late = || Status::deadline_exceeded("it did not answer in time");
        let (connection, headers) = match timeout_at(until, self.connect(at)).await {
            Ok(Ok(connected)) => connected,
            // Whatever became of the login, the call itself was not made.
            Ok(Err(status)) => {
                let verdict = match Verdict::of(&status) {
                    Verdict::AskAgain { .. } => Verdict::AskAgain { in_doubt: false },
                    verdict => verdict,
                };
                return Err((verdict, status));
            }
            Err(_) => return Err((Verdict::AskAgain { in_doubt: false }, late())),
        };
        let status = match timeout_at(until, call(connection)).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(status)) => status,
            Err(_) => late(),
        };
        match Verdict::of(&status) {
            Verdict::LogIn if !self.forget(&headers).await => Err((Verdict::NoLogin, status)),
            verdict => Err((verdict, status)),
        }
    }
}
