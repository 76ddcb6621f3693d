//! Reading a pipeline for a command, and telling what is wrong with it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use pikoci_core::catalog::Catalog;
use pikoci_core::language::diagnostic::Diagnostic;
use pikoci_core::language::render::{RenderStyle, render};
use pikoci_core::language::source::SourceMap;
use pikoci_core::language::{ReadOptions, ReadOutcome, read};
use pikoci_core::value::Value;
use pikoci_exec::HttpSources;

use super::load::Files;
use super::{Stop, print, vars};
use crate::cli::{Output, Variables};
use crate::exit::Exit;
use crate::output::{self, takes_escapes, terminal_size};

/// What a prefix of the environment's names says is a variable of the pipeline.
const VARIABLE_PREFIX: &str = "PIKOCI_VAR_";

/// The values of variables that a command line names.
#[derive(Debug)]
pub(crate) struct Values {
    vars: BTreeMap<String, String>,
    file_vars: BTreeMap<String, Value>,
    allow_local_sources: bool,
}

impl Values {
    /// Reads the vars files.
    pub(crate) fn of(variables: &Variables) -> Result<Self, Stop> {
        Ok(Self {
            vars: variables.vars.iter().cloned().collect(),
            file_vars: vars::read(variables.files.iter().map(AsRef::<Path>::as_ref))?,
            allow_local_sources: variables.allow_local_sources,
        })
    }
}

/// Reads a pipeline with what is built in here.
pub(crate) fn read_pipeline(files: Files, values: &Values, catalog: &Catalog) -> ReadOutcome {
    // Plain HTTP is for the author to choose; `#sha256=…` makes it as safe.
    let loader = HttpSources::new().allow_http(true).allow_local(values.allow_local_sources);
    let options = ReadOptions {
        name: files.name,
        directory: files.directory,
        catalog,
        loader: &loader,
        vars: values.vars.clone(),
        file_vars: values.file_vars.clone(),
        env: environment(),
        now: jiff::Timestamp::now(),
    };
    read(files.texts, &options)
}

fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with(VARIABLE_PREFIX))?;
            Some((name, value.into_string().ok()?))
        })
        .collect()
}

/// Tells what is wrong with a pipeline, for people.
pub(crate) fn tell(diagnostics: &[Diagnostic], sources: &SourceMap) {
    if diagnostics.is_empty() {
        return;
    }
    let stderr = io::stderr();
    let style =
        RenderStyle { color: takes_escapes(&stderr), width: usize::from(terminal_size(&stderr).0) };
    output::note(render(diagnostics, sources, style).trim_end());
}

/// The documented object for what is wrong with pipelines.
pub(crate) fn to_json<'a>(
    outcomes: impl IntoIterator<Item = (&'a [Diagnostic], &'a SourceMap)>,
) -> String {
    let diagnostics: Vec<serde_json::Value> = outcomes
        .into_iter()
        .flat_map(|(diagnostics, sources)| {
            diagnostics.iter().map(|diagnostic| diagnostic.to_json(sources))
        })
        .collect();
    format!("{}\n", serde_json::json!({ "diagnostics": diagnostics }))
}

/// The pipeline that was read; when something is wrong with it, tells what and stops.
pub(crate) fn usable(outcome: ReadOutcome, output: Output) -> Result<pikoci_core::Pipeline, Stop> {
    let ReadOutcome { pipeline, diagnostics, sources } = outcome;
    match pipeline {
        Some(pipeline) => {
            tell(&diagnostics, &sources);
            Ok(pipeline)
        }
        None => {
            match output {
                Output::Text => tell(&diagnostics, &sources),
                Output::Json => {
                    print(&to_json([(diagnostics.as_slice(), &sources)]))?;
                }
            }
            Err(Stop::silent(Exit::Usage))
        }
    }
}
