//! The command line of PikoCI: what people type, what they see, and the
//! wiring of the default parts.
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
