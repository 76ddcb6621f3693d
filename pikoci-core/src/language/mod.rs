//! The pipeline language: HCL in, a checked [`Pipeline`] out.

mod condition_text;
pub mod diagnostic;
pub mod eval;
pub mod expand;
mod fields;
pub mod files;
pub mod format;
pub mod functions;
mod jobs;
mod lexer;
mod operators;
mod reader;
mod references;
pub mod render;
mod resources;
pub mod source;
pub mod suggest;
pub mod syntax;
mod type_decls;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::catalog::Catalog;
use crate::pipeline::Pipeline;
use crate::value::Value;
use diagnostic::Diagnostic;
use source::SourceMap;

/// Fetches what a `source` names, other than `pikoci://…` and `file:…`.
pub trait SourceLoader {
    /// The text at `url` (`https://…` or `http://…`, without its `#sha256=…`).
    ///
    /// # Errors
    /// A sentence that says why it could not be had.
    fn load(&self, url: &str) -> Result<String, String>;
}

/// A loader that refuses everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSources;

impl SourceLoader for NoSources {
    fn load(&self, _url: &str) -> Result<String, String> {
        Err("fetching definitions is switched off here".into())
    }
}

/// What reading a pipeline needs besides its text.
pub struct ReadOptions<'a> {
    /// The pipeline's name.
    pub name: String,
    /// The directory that `file(…)` and `source = "file:…"` are relative to and
    /// confined to; `None` where there is none.
    pub directory: Option<PathBuf>,
    /// What is built in.
    pub catalog: &'a Catalog,
    /// Fetches remote definitions.
    pub loader: &'a dyn SourceLoader,
    /// Values of variables given by hand (`--var`): texts, converted to the variable's type.
    pub vars: BTreeMap<String, String>,
    /// Values of variables from vars files, later files already over earlier ones.
    pub file_vars: BTreeMap<String, Value>,
    /// The environment that `PIKOCI_VAR_name` is looked up in.
    pub env: BTreeMap<String, String>,
    /// What `timestamp()` answers.
    pub now: Timestamp,
}

impl<'a> ReadOptions<'a> {
    /// A reading with no values from outside, no files and no network, at the
    /// beginning of time; set the fields that are to be otherwise.
    pub fn new(name: impl Into<String>, catalog: &'a Catalog) -> Self {
        Self {
            name: name.into(),
            directory: None,
            catalog,
            loader: &NoSources,
            vars: BTreeMap::new(),
            file_vars: BTreeMap::new(),
            env: BTreeMap::new(),
            now: Timestamp::UNIX_EPOCH,
        }
    }
}

impl std::fmt::Debug for ReadOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadOptions").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What reading a pipeline yields.
#[derive(Debug, Clone)]
pub struct ReadOutcome {
    /// The pipeline, unless something is wrong with it.
    pub pipeline: Option<Pipeline>,
    /// All that is wrong, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts, fetched ones included, that diagnostics point into.
    pub sources: SourceMap,
}

/// Reads a pipeline from its files (name and text each).
pub fn read(files: Vec<(String, String)>, options: &ReadOptions<'_>) -> ReadOutcome {
    reader::read(files, options)
}
