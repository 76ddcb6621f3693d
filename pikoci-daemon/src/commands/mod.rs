//! The commands: what each flag of [`crate::cli`] makes happen.

mod diagnostics;
mod fmt;
mod load;
mod pipeline;
mod run;
mod store;
mod vars;

use crate::cli::{Command, Pipeline, Store};
use crate::exit::Exit;
use crate::output::note;

/// A command that could not go on: what to tell, and how to exit.
#[derive(Debug)]
pub(crate) struct Stop {
    message: String,
    exit: Exit,
}

impl Stop {
    /// The command line or the pipeline is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: Exit::Usage }
    }

    /// The machinery could not.
    pub(crate) fn errored(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: Exit::Errored }
    }

    /// Everything has been said already.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self { message: String::new(), exit }
    }

    /// Tells it, where it has not been said already.
    fn tell(&self) {
        if !self.message.is_empty() {
            note(&format!("error: {}", self.message));
        }
    }
}

/// Prints to standard output.
fn print(text: &str) -> Result<(), Stop> {
    crate::output::print(text.as_bytes()).map_err(|error| cannot_print(&error.to_string()))
}

fn cannot_print(why: &str) -> Stop {
    Stop::errored(format!("cannot write to standard output: {why}"))
}

/// Runs a command to its end.
pub(crate) fn run(command: Command) -> Exit {
    let result = match command {
        Command::Run(run) => run::run(&run),
        Command::Pipeline(Pipeline::Validate(validate)) => pipeline::validate(&validate),
        Command::Pipeline(Pipeline::Graph(graph)) => pipeline::graph(&graph),
        Command::Pipeline(Pipeline::Expand(expand)) => pipeline::expand(&expand),
        Command::Pipeline(Pipeline::Fmt(fmt)) => fmt::fmt(&fmt),
        Command::Store(Store::Copy(copy)) => store::copy(&copy),
        Command::Store(Store::Export(export)) => store::export(&export),
        Command::Store(Store::Import(import)) => store::import(&import),
        Command::Store(Store::Check(check)) => store::check(&check),
    };
    result.unwrap_or_else(|stop| {
        stop.tell();
        stop.exit
    })
}
