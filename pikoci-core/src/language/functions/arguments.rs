//! The arguments of one call, and how a function asks for them.

use std::collections::BTreeMap;

use super::convert;
use super::{Context, FunctionError};
use crate::value::{Number, Value};

/// The arguments of one call. Values can be taken out once; what was taken reads as null.
#[derive(Debug)]
pub(super) struct Arguments<'a> {
    values: Vec<Value>,
    /// What the call may use besides its arguments.
    pub(super) cx: &'a Context<'a>,
}

/// An error about argument `index`. The text goes on after "argument `name` ":
/// "must be a number, got list".
pub(super) fn wrong(index: usize, message: impl Into<String>) -> FunctionError {
    FunctionError { argument: Some(index), message: message.into() }
}

/// An error about the call as a whole.
pub(super) fn failed(message: impl Into<String>) -> FunctionError {
    FunctionError { argument: None, message: message.into() }
}

/// "must be `expected`, got …".
fn unexpected(index: usize, expected: &str, value: &Value) -> FunctionError {
    wrong(
        index,
        match value {
            Value::Null => format!("must be {expected}, got null"),
            Value::String(text) => {
                let shown: String = text.chars().take(40).collect();
                let more = if shown.len() < text.len() { "…" } else { "" };
                format!("must be {expected}, got string {shown:?}{more}")
            }
            other => format!("must be {expected}, got {}", other.kind()),
        },
    )
}

impl<'a> Arguments<'a> {
    pub(super) fn new(values: Vec<Value>, cx: &'a Context<'a>) -> Self {
        Self { values, cx }
    }

    /// How many were given.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The argument as it is; null when it was not given.
    pub(super) fn get(&self, index: usize) -> &Value {
        self.values.get(index).unwrap_or(&Value::Null)
    }

    /// Takes the argument as it is; null when it was not given.
    pub(super) fn take(&mut self, index: usize) -> Value {
        self.values.get_mut(index).map(std::mem::take).unwrap_or_default()
    }

    /// A value that must not be null.
    pub(super) fn some(&mut self, index: usize) -> Result<Value, FunctionError> {
        match self.take(index) {
            Value::Null => Err(wrong(index, "must not be null")),
            value => Ok(value),
        }
    }

    /// A text; numbers and booleans become texts.
    pub(super) fn text(&mut self, index: usize) -> Result<String, FunctionError> {
        let value = self.take(index);
        convert::to_text(value).map_err(|value| unexpected(index, "a string", &value))
    }

    /// A number; texts that hold one become numbers.
    pub(super) fn number(&mut self, index: usize) -> Result<Number, FunctionError> {
        let value = self.get(index);
        convert::to_number(value).ok_or_else(|| unexpected(index, "a number", value))
    }

    /// A whole number.
    pub(super) fn whole(&mut self, index: usize) -> Result<i64, FunctionError> {
        let number = self.number(index)?;
        number.as_i64().ok_or_else(|| wrong(index, format!("must be a whole number, got {number}")))
    }

    /// A list (not a set): where order matters.
    pub(super) fn ordered(&mut self, index: usize) -> Result<Vec<Value>, FunctionError> {
        match self.take(index) {
            Value::List(items) => Ok(items),
            value => Err(unexpected(index, "a list", &value)),
        }
    }

    /// The items of a list or a set.
    pub(super) fn items(&mut self, index: usize) -> Result<Vec<Value>, FunctionError> {
        match self.take(index) {
            Value::List(items) | Value::Set(items) => Ok(items),
            value => Err(unexpected(index, "a list", &value)),
        }
    }

    /// The items of a list or a set, brought to one type as `tolist` does.
    pub(super) fn unified(&mut self, index: usize) -> Result<Vec<Value>, FunctionError> {
        let items = self.items(index)?;
        convert::unify(items).ok_or_else(|| wrong(index, "must have items of one type"))
    }

    /// A list or a set of texts, numbers and booleans become texts; null items are kept
    /// as `None`.
    pub(super) fn texts_or_null(
        &mut self,
        index: usize,
    ) -> Result<Vec<Option<String>>, FunctionError> {
        let items = self.items(index)?;
        items
            .into_iter()
            .enumerate()
            .map(|(position, item)| match item {
                Value::Null => Ok(None),
                item => convert::to_text(item).map(Some).map_err(|item| {
                    wrong(
                        index,
                        format!("must be a list of strings, got {} at {position}", item.kind()),
                    )
                }),
            })
            .collect()
    }

    /// A list or a set of texts, numbers and booleans become texts.
    pub(super) fn texts(&mut self, index: usize) -> Result<Vec<String>, FunctionError> {
        self.texts_or_null(index)?
            .into_iter()
            .enumerate()
            .map(|(position, item)| {
                item.ok_or_else(|| {
                    wrong(index, format!("must be a list of strings, got null at {position}"))
                })
            })
            .collect()
    }

    /// A map or object.
    pub(super) fn map(&mut self, index: usize) -> Result<BTreeMap<String, Value>, FunctionError> {
        match self.take(index) {
            Value::Object(map) => Ok(map),
            value => Err(unexpected(index, "a map", &value)),
        }
    }

    /// "must be `expected`, got …" about an argument that was not taken yet.
    pub(super) fn unexpected(&self, index: usize, expected: &str) -> FunctionError {
        unexpected(index, expected, self.get(index))
    }

    /// Charges the budget for `bytes` about to be created.
    pub(super) fn charge(&self, bytes: usize) -> Result<(), FunctionError> {
        Ok(self.cx.budget.charge_bytes(bytes)?)
    }

    /// Charges the budget for `steps` about to be done.
    pub(super) fn charge_steps(&self, steps: usize) -> Result<(), FunctionError> {
        Ok(self.cx.budget.charge_steps(steps)?)
    }
}
