//! What an error of etcd means.

use std::error::Error;

use pikoci_core::store::StoreError;
use thiserror::Error;
use tonic::{Code, ConnectError, Status};

use crate::error::{OpenError, OpenErrorKind};

/// What to do after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Ask again, another member if there is one.
    AskAgain {
        /// Whether what was asked may have been done all the same.
        in_doubt: bool,
    },
    /// The token is no longer good; nothing was done.
    LogIn,
    /// The lease that was named is gone; nothing was done.
    LeaseGone,
    /// The space quota is used up. What was asked may have been done: etcd
    /// tells it of the very write that goes over the quota, too.
    NoSpace,
    /// It is larger than this cluster takes; nothing was done.
    TooLarge,
    /// The cluster says no; nothing was done.
    Refused,
    /// It asks for a login and there is none; nothing was done.
    NoLogin,
}

/// What etcd, or the way to it, said.
#[derive(Debug, Error)]
#[error("{said}")]
struct Said {
    said: String,
    status: Status,
}

impl From<Status> for Said {
    fn from(status: Status) -> Self {
        let mut said = status.message().to_owned();
        let mut cause = status.source();
        while let Some(error) = cause {
            cause = error.source();
            let error = error.to_string();
            // Those in between mostly say that there was an error.
            if cause.is_none() && !said.contains(&error) {
                said = format!("{said}: {error}");
            }
        }
        Self { said, status }
    }
}

impl Verdict {
    pub(super) fn of(status: &Status) -> Self {
        let says = |words: &str| status.message().contains(words);
        match status.code() {
            Code::Unauthenticated => Self::LogIn,
            Code::InvalidArgument
                if says("user name is empty")
                    || says("auth store is old")
                    || says("revision in header is old") =>
            {
                Self::LogIn
            }
            Code::InvalidArgument if says("too large") || says("too many operations") => {
                Self::TooLarge
            }
            Code::InvalidArgument | Code::PermissionDenied | Code::Unimplemented => Self::Refused,
            Code::NotFound if says("lease not found") => Self::LeaseGone,
            Code::ResourceExhausted if says("space exceeded") => Self::NoSpace,
            Code::ResourceExhausted | Code::FailedPrecondition => {
                Self::AskAgain { in_doubt: false }
            }
            // A member without a leader refuses before it does anything.
            Code::Unavailable if says("no leader") || never_connected(status) => {
                Self::AskAgain { in_doubt: false }
            }
            _ => Self::AskAgain { in_doubt: true },
        }
    }
}

/// Whether there was no connection that could have carried it.
fn never_connected(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Why a call was given up.
#[derive(Debug)]
pub(super) struct Failure {
    /// The last error.
    pub(super) status: Status,
    /// What it means.
    pub(super) verdict: Verdict,
    /// Whether one on the way to it left open what was done; of what
    /// [`Verdict::NoSpace`] leaves open, the caller has to find out.
    pub(super) in_doubt: bool,
    /// Who was asked.
    pub(super) endpoints: String,
}

impl Failure {
    fn message(&self) -> String {
        let etcd = format!("etcd at `{}`", self.endpoints);
        match self.verdict {
            Verdict::NoSpace => format!(
                "{etcd} has used up its space quota; compact and defragment it and disarm the \
                 alarm (`etcdctl compact`, `etcdctl defrag`, `etcdctl alarm disarm`), or raise its \
                 `--quota-backend-bytes`"
            ),
            Verdict::TooLarge => format!(
                "{etcd} takes no transaction of this size; it needs at least its default \
                 `--max-txn-ops` and `--max-request-bytes`"
            ),
            Verdict::NoLogin => {
                format!("{etcd} asks for a login; say `etcd://user:password@…`")
            }
            Verdict::LogIn | Verdict::Refused => format!("{etcd} refused it"),
            Verdict::LeaseGone => format!("{etcd} lost leases that it had just granted"),
            Verdict::AskAgain { .. } => format!("no member of {etcd} could do it in time"),
        }
    }

    /// As an error of a commit, which may have been done or not if it is `in_doubt`.
    pub(super) fn into_commit_error(self, in_doubt: bool) -> StoreError {
        if in_doubt {
            let message = format!("whether it was committed is unknown: {}", self.message());
            return StoreError::unknown(message).caused_by(Said::from(self.status));
        }
        self.into_error()
    }

    /// As an error of anything else.
    pub(super) fn into_error(self) -> StoreError {
        let message = self.message();
        match self.verdict {
            Verdict::TooLarge => StoreError::invalid(message),
            _ => StoreError::unavailable(message),
        }
        .caused_by(Said::from(self.status))
    }

    /// As the reason for not being open.
    pub(super) fn into_open_error(self) -> OpenError {
        let kind = match self.verdict {
            Verdict::LogIn | Verdict::Refused | Verdict::NoLogin => OpenErrorKind::Refused,
            _ => OpenErrorKind::Unavailable,
        };
        OpenError::new(kind, self.message()).caused_by(Said::from(self.status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_surely_did_nothing_leaves_no_doubt() {
        for (code, message, verdict) in [
            (Code::Unauthenticated, "etcdserver: invalid auth token", Verdict::LogIn),
            (Code::InvalidArgument, "etcdserver: user name is empty", Verdict::LogIn),
            (Code::InvalidArgument, "etcdserver: request is too large", Verdict::TooLarge),
            (Code::InvalidArgument, "etcdserver: authentication failed", Verdict::Refused),
            (Code::NotFound, "etcdserver: requested lease not found", Verdict::LeaseGone),
            (
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
                Verdict::NoSpace,
            ),
            (Code::Unavailable, "etcdserver: no leader", Verdict::AskAgain { in_doubt: false }),
            (Code::Unavailable, "etcdserver: leader changed", Verdict::AskAgain { in_doubt: true }),
            (
                Code::Unavailable,
                "etcdserver: request timed out",
                Verdict::AskAgain { in_doubt: true },
            ),
            (Code::Unknown, "transport error", Verdict::AskAgain { in_doubt: true }),
        ] {
            assert_eq!(Verdict::of(&Status::new(code, message)), verdict, "{message}");
        }
    }
}
