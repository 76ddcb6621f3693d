//! The functions of the pipeline language; a first cut that knows few of them.

use std::cell::Cell;
use std::fmt;

use jiff::Timestamp;
use thiserror::Error;

use crate::value::Value;

/// The pipeline asks for more than reading it may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the pipeline's expressions need more than their budget")]
pub struct BudgetExceeded;

/// What one reading of a pipeline may still cost.
#[derive(Debug)]
pub struct Budget {
    left: Cell<(usize, usize)>,
    exceeded: Cell<Option<BudgetExceeded>>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            left: Cell::new((64 << 20, 5_000_000)),
            exceeded: Cell::new(None),
        }
    }
}

impl Budget {
    /// A budget of so many bytes of values and so many steps.
    pub fn new(bytes: usize, steps: usize) -> Self {
        Self {
            left: Cell::new((bytes, steps)),
            exceeded: Cell::new(None),
        }
    }

    /// Takes `bytes` off.
    ///
    /// # Errors
    /// When less is left.
    pub fn charge_bytes(&self, bytes: usize) -> Result<(), BudgetExceeded> {
        self.charge(bytes, 0)
    }

    /// Takes `steps` off.
    ///
    /// # Errors
    /// When less is left.
    pub fn charge_steps(&self, steps: usize) -> Result<(), BudgetExceeded> {
        self.charge(0, steps)
    }

    /// How it was exceeded, when it was.
    pub fn exceeded(&self) -> Option<BudgetExceeded> {
        self.exceeded.get()
    }

    fn charge(&self, bytes: usize, steps: usize) -> Result<(), BudgetExceeded> {
        let (b, s) = self.left.get();
        match (
            b.checked_sub(bytes),
            s.checked_sub(steps),
            self.exceeded.get(),
        ) {
            (Some(b), Some(s), None) => {
                self.left.set((b, s));
                Ok(())
            }
            _ => {
                self.exceeded.set(Some(BudgetExceeded));
                Err(BudgetExceeded)
            }
        }
    }
}

/// The files that `file` and its kin may read.
#[derive(Debug)]
pub struct Files;

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
    /// What is wrong.
    pub message: String,
}

/// A function's name.
#[derive(Debug)]
pub struct Signature {
    name: &'static str,
    count: Option<usize>,
}

impl Signature {
    /// Checks how many arguments are given.
    ///
    /// # Errors
    /// When they are too few or too many.
    pub fn check_count(&self, given: usize) -> Result<(), FunctionError> {
        if self.count.is_some_and(|count| count != given) {
            let message = format!("`{}`: the number of arguments is wrong", self.name);
            return Err(FunctionError {
                argument: None,
                message,
            });
        }
        Ok(())
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}()", self.name)
    }
}

const ALL: &[Signature] = &[
    Signature {
        name: "try",
        count: None,
    },
    Signature {
        name: "can",
        count: Some(1),
    },
    Signature {
        name: "templatefile",
        count: Some(2),
    },
    Signature {
        name: "upper",
        count: Some(1),
    },
    Signature {
        name: "toset",
        count: Some(1),
    },
];

/// Calls a function.
///
/// # Errors
/// When there is no result.
pub fn call(name: &str, arguments: Vec<Value>, _cx: &Context<'_>) -> Result<Value, FunctionError> {
    match (name, arguments.as_slice()) {
        ("upper", [Value::String(text)]) => Ok(Value::from(text.to_uppercase())),
        ("toset", [Value::List(items)]) => Ok(Value::Set(items.clone())),
        _ => Err(FunctionError {
            argument: Some(0),
            message: format!("`{name}`: no result"),
        }),
    }
}

/// The names of all functions.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|signature| signature.name)
}

/// How a function is called.
pub fn signature(name: &str) -> Option<&'static Signature> {
    ALL.iter().find(|signature| signature.name == name)
}
