//! The functions of the pipeline language: those of Terraform that make sense
//! here, with Terraform's names and results.
//!
//! A function takes values and gives a value; nothing here knows expressions
//! or places. What a call may cost is bounded by the [`Budget`], which every
//! function charges before it allocates: no arguments take more memory or time
//! than that. Values known only at run time ([`Value::Deferred`]) do not come here.
//!
//! # Where the results differ from Terraform's
//! - Numbers are 64-bit integers and floats, Terraform's have 512 bits: `0.1 + 0.2`
//!   and the 17th digit of a quotient differ, a whole number beyond 2^63 loses its
//!   last digits, and what does not fit a float is an error (`jsondecode("1e400")`).
//! - There are no types apart from values: a list is what Terraform calls a tuple
//!   or a list, an object what it calls an object or a map. Where Terraform turns
//!   a tuple into a list to call a function (`distinct([1, "1"])`), so do these.
//! - A text is compared and measured as it was written; Terraform first brings
//!   every text to Unicode's normal form C.
//! - Years beyond 9999 are an error in `timeadd`.
//! - `jsondecode` refuses half a surrogate pair (`"\ud83d"`), which Terraform replaces.
//! - `yamldecode` reads unquoted scalars by a reader of its own: `0b11` and `1_000` are
//!   numbers, `tRue` and `nUll` a boolean and null, a date stays the text it is, and
//!   `!!int "5"` is a number. What a document may cost is bounded.
//! - Regular expressions: a repeated repetition (`a**`) and counts over 1000 are accepted,
//!   `\B` is about Unicode, and a pattern may take at most 1 MiB when compiled.
//!
//! # Names that Terraform lacks
//! - `strlen(string)`: how many characters (grapheme clusters) a text has; `length`
//!   takes texts too.
//! - `regexreplace(string, pattern, replacement)`: `replace` with `/pattern/`.
//! - `setsymmetricdifference(sets...)`: what is in an odd number of the sets.

mod arguments;
mod budget;
mod collections;
mod convert;
mod decimal;
mod encoding;
mod files;
mod format;
mod numbers;
mod regexes;
mod sets;
mod strings;
mod time;
mod types;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use jiff::Timestamp;
use thiserror::Error;

use super::files::Files;
use crate::value::Value;
use arguments::{Arguments, failed};

pub use budget::{Budget, BudgetExceeded, DEFAULT_BYTES, DEFAULT_STEPS, value_bytes};
pub use convert::{parse_number, set, unify};
pub(crate) use convert::{to_bool, to_number};

/// What a call may use besides its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What `timestamp()` answers.
    pub now: Timestamp,
    /// The files that `file` and its kin may read; `None` where there are none.
    pub files: Option<&'a Files>,
    /// What the reading of the pipeline may still cost.
    pub budget: &'a Budget,
}

/// A call that has no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct FunctionError {
    /// Which argument is to blame, from 0; `None` when it is the call as a whole.
    pub argument: Option<usize>,
    /// What is wrong, with the function's and the argument's name:
    /// "`substr`: argument `offset` must be a number, got list".
    pub message: String,
}

impl From<BudgetExceeded> for FunctionError {
    fn from(error: BudgetExceeded) -> Self {
        failed(error.to_string())
    }
}

type Implementation = fn(&mut Arguments<'_>) -> Result<Value, FunctionError>;

/// Who charges the budget for the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cost {
    /// The result is about as large as the arguments, which exist already: [`call`] does.
    Result,
    /// The result may be larger than the arguments: the function does, beforehand.
    Own,
}

/// A function's name and parameters. It displays as `substr(string, offset, length)`.
#[derive(Debug)]
pub struct Signature {
    name: &'static str,
    parameters: &'static [&'static str],
    required: usize,
    variadic: bool,
    cost: Cost,
    implementation: Option<Implementation>,
}

impl Signature {
    const fn new(
        name: &'static str,
        parameters: &'static [&'static str],
        implementation: Implementation,
    ) -> Self {
        Self {
            name,
            parameters,
            required: parameters.len(),
            variadic: false,
            cost: Cost::Result,
            implementation: Some(implementation),
        }
    }

    /// Only the first `required` arguments must be given.
    const fn optional_after(mut self, required: usize) -> Self {
        self.required = required;
        self
    }

    /// The last parameter takes any number of arguments, none included.
    const fn variadic(mut self) -> Self {
        self.required = self.parameters.len() - 1;
        self.variadic = true;
        self
    }

    /// The function charges the budget itself.
    const fn charges(mut self) -> Self {
        self.cost = Cost::Own;
        self
    }

    /// A function that the evaluator carries out.
    const fn evaluated(name: &'static str, parameters: &'static [&'static str]) -> Self {
        Self {
            name,
            parameters,
            required: parameters.len(),
            variadic: false,
            cost: Cost::Own,
            implementation: None,
        }
    }

    /// The function's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The names of its parameters, in order. The last stands for any number of
    /// arguments where the function is [variadic](Self::is_variadic).
    pub fn parameters(&self) -> &'static [&'static str] {
        self.parameters
    }

    /// How many arguments must be given.
    pub fn required(&self) -> usize {
        self.required
    }

    /// Whether the last parameter takes any number of arguments.
    pub fn is_variadic(&self) -> bool {
        self.variadic
    }

    /// The name of the parameter that argument `index` (from 0) goes to.
    pub fn parameter(&self, index: usize) -> Option<&'static str> {
        match self.parameters.get(index) {
            None if self.variadic => self.parameters.last().copied(),
            found => found.copied(),
        }
    }

    /// Checks how many arguments are given.
    ///
    /// # Errors
    /// When they are too few or too many.
    pub fn check_count(&self, given: usize) -> Result<(), FunctionError> {
        if given < self.required {
            let missing = self.parameters.get(given).copied().unwrap_or_default();
            return Err(failed(format!("`{}`: argument `{missing}` is missing", self.name)));
        }
        if given > self.parameters.len() && !self.variadic {
            return Err(failed(format!("`{}`: {given} arguments are too many", self.name)));
        }
        Ok(())
    }

    /// Puts the function's and the argument's name before an error's message.
    fn name_error(&self, error: FunctionError) -> FunctionError {
        let name = self.name;
        let message = error.message;
        let message = match error.argument.map(|index| (index, self.parameter(index))) {
            Some((index, Some(parameter))) => {
                if self.variadic && index + 1 >= self.parameters.len() {
                    format!("`{name}`: argument {} (`{parameter}`) {message}", index + 1)
                } else {
                    format!("`{name}`: argument `{parameter}` {message}")
                }
            }
            _ => format!("`{name}`: {message}"),
        };
        FunctionError { argument: error.argument, message }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (index, parameter) in self.parameters.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            let last = index + 1 == self.parameters.len();
            if self.variadic && last {
                write!(f, "{comma}{parameter}...")?;
            } else if index >= self.required {
                write!(f, "{comma}[{parameter}]")?;
            } else {
                write!(f, "{comma}{parameter}")?;
            }
        }
        f.write_str(")")
    }
}

/// Functions whose arguments are expressions, not values: the evaluator's.
const EVALUATED: &[Signature] = &[
    Signature::evaluated("can", &["expression"]),
    Signature::evaluated("templatefile", &["path", "vars"]),
    Signature::evaluated("try", &["expressions"]).variadic(),
];

const FAMILIES: &[&[Signature]] = &[
    strings::FUNCTIONS,
    regexes::FUNCTIONS,
    format::FUNCTIONS,
    collections::FUNCTIONS,
    sets::FUNCTIONS,
    numbers::FUNCTIONS,
    encoding::FUNCTIONS,
    yaml::FUNCTIONS,
    time::FUNCTIONS,
    types::FUNCTIONS,
    files::FUNCTIONS,
    EVALUATED,
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Signature>> =
    LazyLock::new(|| all().map(|signature| (signature.name, signature)).collect());

fn all() -> impl Iterator<Item = &'static Signature> {
    FAMILIES.iter().copied().flatten()
}

/// Calls a function.
///
/// # Errors
/// When there is no such function, an argument is not what it takes, there is
/// no result for these arguments, or the budget does not allow it. `can`, `try` and
/// `templatefile` always fail: their arguments are expressions, so the evaluator
/// carries them out.
pub fn call(name: &str, arguments: Vec<Value>, cx: &Context<'_>) -> Result<Value, FunctionError> {
    let Some(signature) = signature(name) else {
        return Err(failed(format!("there is no function `{name}`")));
    };
    signature.check_count(arguments.len())?;
    let Some(implementation) = signature.implementation else {
        return Err(signature.name_error(failed("cannot be called on values known before")));
    };
    let run = || {
        let size = arguments.iter().map(value_bytes).sum();
        cx.budget.charge_handling(size)?;
        let result = implementation(&mut Arguments::new(arguments, cx))?;
        if signature.cost == Cost::Result {
            cx.budget.charge_bytes(value_bytes(&result))?;
        }
        Ok(result)
    };
    run().map_err(|error| signature.name_error(error))
}

/// Whether there is a function of that name.
pub fn exists(name: &str) -> bool {
    signature(name).is_some()
}

/// The names of all functions, in no order that means anything.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|signature| signature.name)
}

/// How a function is called.
pub fn signature(name: &str) -> Option<&'static Signature> {
    BY_NAME.get(name).copied()
}
