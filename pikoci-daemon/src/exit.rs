//! The exit codes of every command.

use std::process::ExitCode;

use pikoci_core::Status;

/// How a command ends, as the shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Success,
    /// The code under test said no; what was looked at is not as it should be.
    Failed,
    /// The command line or the pipeline is wrong.
    Usage,
    /// The machinery could not.
    Errored,
    /// Someone stopped it.
    Cancelled,
    /// What it needs cannot be reached, or says no.
    Unreachable,
}

impl Exit {
    /// The number for it; scripts rely on these.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Errored => 3,
            Self::Cancelled => 4,
            Self::Unreachable => 5,
        }
    }
}

impl From<Status> for Exit {
    fn from(status: Status) -> Self {
        match status {
            Status::Succeeded | Status::Skipped | Status::Warning => Self::Success,
            Status::Failed => Self::Failed,
            Status::Errored => Self::Errored,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_exits_with_the_code_of_the_status_it_ended_with() {
        for status in [
            Status::Succeeded,
            Status::Failed,
            Status::Errored,
            Status::Cancelled,
            Status::Skipped,
            Status::Warning,
        ] {
            assert_eq!(Exit::from(status).code(), status.exit_code(), "{status}");
        }
        assert_eq!(Exit::Usage.code(), 2);
        assert_eq!(Exit::Unreachable.code(), 5);
    }
}
