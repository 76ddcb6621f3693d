//! What the values of one reading of a pipeline may cost.

use std::cell::Cell;

use thiserror::Error;

use crate::value::Value;

/// Bytes of values that one reading may create unless told otherwise: 64 MiB.
pub const DEFAULT_BYTES: usize = 64 * 1024 * 1024;
/// Steps that one reading may take unless told otherwise: 5 million, a few seconds at worst.
pub const DEFAULT_STEPS: usize = 5_000_000;
/// How much handled text counts as one step, in bytes.
const BYTES_A_STEP: usize = 256;

/// The pipeline asks for more than reading it may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BudgetExceeded {
    /// Its values would take too much memory.
    #[error("the pipeline's values need more than {limit} bytes of memory")]
    Bytes {
        /// How many bytes all values together may take.
        limit: usize,
    },
    /// Its expressions would take too long.
    #[error("the pipeline's expressions need more than {limit} steps")]
    Steps {
        /// How many steps all expressions together may take.
        limit: usize,
    },
}

/// What one reading of a pipeline may still cost. Everything that creates values
/// charges it *before* it allocates, so that no input takes more memory or time.
///
/// Once exceeded it stays exceeded: every later charge fails the same way, so
/// that a `try` or `can` around the costly call does not go on with another.
#[derive(Debug)]
pub struct Budget {
    byte_limit: usize,
    step_limit: usize,
    bytes_left: Cell<usize>,
    steps_left: Cell<usize>,
    exceeded: Cell<Option<BudgetExceeded>>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(DEFAULT_BYTES, DEFAULT_STEPS)
    }
}

impl Budget {
    /// A budget of so many bytes of values and so many steps.
    pub fn new(bytes: usize, steps: usize) -> Self {
        Self {
            byte_limit: bytes,
            step_limit: steps,
            bytes_left: Cell::new(bytes),
            steps_left: Cell::new(steps),
            exceeded: Cell::new(None),
        }
    }

    /// Takes `bytes` off what may still be created.
    ///
    /// # Errors
    /// When less is left, or the budget was exceeded before.
    pub fn charge_bytes(&self, bytes: usize) -> Result<(), BudgetExceeded> {
        let error = BudgetExceeded::Bytes { limit: self.byte_limit };
        self.charge(&self.bytes_left, bytes, error)
    }

    /// Takes `steps` off what may still be done. A step is about a tenth of a
    /// microsecond of work: one operation, one small item.
    ///
    /// # Errors
    /// When less is left, or the budget was exceeded before.
    pub fn charge_steps(&self, steps: usize) -> Result<(), BudgetExceeded> {
        let error = BudgetExceeded::Steps { limit: self.step_limit };
        self.charge(&self.steps_left, steps, error)
    }

    /// Charges the steps that going through `bytes` of values takes.
    ///
    /// # Errors
    /// As [`charge_steps`](Self::charge_steps).
    pub fn charge_handling(&self, bytes: usize) -> Result<(), BudgetExceeded> {
        self.charge_steps(bytes / BYTES_A_STEP + 1)
    }

    /// How it was exceeded, when it was.
    pub fn exceeded(&self) -> Option<BudgetExceeded> {
        self.exceeded.get()
    }

    /// How many bytes of values may still be created.
    pub fn bytes_left(&self) -> usize {
        self.bytes_left.get()
    }

    fn charge(
        &self,
        left: &Cell<usize>,
        amount: usize,
        error: BudgetExceeded,
    ) -> Result<(), BudgetExceeded> {
        if let Some(earlier) = self.exceeded.get() {
            return Err(earlier);
        }
        if let Some(rest) = left.get().checked_sub(amount) {
            left.set(rest);
            Ok(())
        } else {
            left.set(0);
            self.exceeded.set(Some(error));
            Err(error)
        }
    }
}

/// About how many bytes of memory `value` takes.
pub fn value_bytes(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Deferred(_) => 0,
            Value::String(text) => text.len(),
            Value::List(items) | Value::Set(items) => items.iter().map(value_bytes).sum(),
            // A map's nodes are partly empty and hold the key besides.
            Value::Object(map) => {
                map.iter().map(|(key, value)| 32 + key.len() + value_bytes(value)).sum()
            }
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_once_exceeded_stays_exceeded() {
        let budget = Budget::new(10, 10);
        budget.charge_bytes(4).unwrap();
        assert_eq!(budget.bytes_left(), 6);
        let error = budget.charge_bytes(7).unwrap_err();
        assert_eq!(error, BudgetExceeded::Bytes { limit: 10 });
        assert_eq!(budget.charge_steps(1), Err(error));
        assert_eq!(budget.charge_bytes(0), Err(error));
        assert_eq!(budget.exceeded(), Some(error));
    }

    #[test]
    fn the_whole_budget_can_be_spent() {
        let budget = Budget::new(10, 3);
        budget.charge_bytes(10).unwrap();
        budget.charge_steps(3).unwrap();
        assert_eq!(budget.exceeded(), None);
        assert!(budget.charge_handling(0).is_err());
    }
}
