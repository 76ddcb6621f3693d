//! The command line of PikoCI: what people type, what they see, and the
//! wiring of the default parts.
//!
//! The library holds all of it, so that a program of one's own can be the
//! `pikoci` command too; the binary is these lines:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     pikoci_daemon::main()
//! }
//! ```
//!
//! [`main`] reads the arguments, and the command they name puts the parts together:
//!
//! 1. The pipeline's files are read with `pikoci_core::language`, which knows
//!    what is built in from `pikoci_exec::catalog()`. Mistakes end it here, with [`Exit::Usage`].
//! 2. `pikoci run` lays the pipeline over `pikoci_exec::defaults()` in a
//!    `pikoci_exec::LocalRun`, gives it a reporter as the sink of each build's
//!    events, and a token that the signals SIGINT and SIGTERM fire.
//! 3. The worst status of the builds becomes the exit code:
//!
//! ```
//! use pikoci_core::Status;
//! use pikoci_daemon::Exit;
//!
//! assert_eq!(Exit::from(Status::Failed).code(), 1);
//! assert_eq!(Exit::from(Status::Errored).code(), 3);
//! ```
//!
//! - `cli`: the arguments; nothing but their shape.
//! - `commands`: one module per command.
//! - `report`: reporters that fold a build's events into something to read.
//! - `output`, `signals`, `exit`: the manners of a program in a shell.

mod cli;
mod commands;
mod exit;
mod output;
mod report;
mod signals;

use std::process::ExitCode;

use clap::Parser;

pub use exit::Exit;

/// Runs the command that the process's arguments name and answers its exit code.
pub fn main() -> ExitCode {
    match cli::Cli::try_parse() {
        Ok(cli) => commands::run(cli.command).into(),
        Err(error) => {
            // Help and versions are asked for; everything else is a mistake.
            // Whether anyone reads it changes nothing.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Success }.into()
        }
    }
}
