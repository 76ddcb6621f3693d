//! Functions that read files of the pipeline's directory.

use super::arguments::{Arguments, failed, wrong};
use super::convert;
use super::{FunctionError, Signature};
use crate::language::files::{Files, FilesError};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Signature] = &[
    Signature::new("file", &["path"], |args| {
        let path = args.text(0)?;
        let text = files(args)?.read_text(&path, args.cx.budget);
        text.map(Value::String).map_err(|error| blame(&error))
    })
    .charges(),
    Signature::new("fileexists", &["path"], |args| {
        let path = args.text(0)?;
        files(args)?.exists(&path).map(Value::Bool).map_err(|error| blame(&error))
    }),
    Signature::new("fileset", &["path", "pattern"], |args| {
        let (path, pattern) = (args.text(0)?, args.text(1)?);
        let found = files(args)?.fileset(&path, &pattern, args.cx.budget);
        let found = found.map_err(|error| blame(&error))?;
        Ok(convert::set(found.into_iter().map(Value::String).collect()))
    }),
];

fn files<'a>(args: &Arguments<'a>) -> Result<&'a Files, FunctionError> {
    args.cx.files.ok_or_else(|| failed("there is no directory here to read files from"))
}

/// The error as the function's, with its cause.
fn blame(error: &FilesError) -> FunctionError {
    let message = match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    match error {
        FilesError::Budget(_) => failed(message),
        FilesError::Pattern { .. } => wrong(1, format!("is wrong: {message}")),
        _ => wrong(0, format!("is wrong: {message}")),
    }
}
