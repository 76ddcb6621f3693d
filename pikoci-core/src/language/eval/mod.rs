//! Evaluates expressions of the pipeline language over the syntax tree, with
//! the semantics of HCL 2 as Terraform has them.
//!
//! [`Evaluator`] answers a [`Value`] or records [`Diagnostic`]s that point into
//! the text as written; [`Scope`] holds the names an expression may use;
//! [`force`] resolves, at run time, what was [`Value::Deferred`] when the
//! pipeline was read. Work and memory are charged to a
//! [`Budget`](functions::Budget), so that no expression runs away.

mod call;
mod collection;
mod complaint;
mod force;
mod scope;
mod template;
mod traversal;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Range;

use hcl_edit::Span as _;
use hcl_edit::expr::{BinaryOp, BinaryOperator, Conditional, Expression, UnaryOp};

use super::diagnostic::Diagnostic;
use super::functions::{self, value_bytes};
use super::operators::{self, Operand, OperatorError};
use super::source::{FileId, SourceMap, Span};
use crate::value::{Number, Value};

use complaint::{completed, deferred};

pub use force::{force, force_expanding};
pub use scope::{Binding, Scope, is_run_time_name};

/// How deep expressions may nest. The parser stops long before; this guards
/// the stack against trees that did not come from it.
const MAX_DEPTH: usize = 300;

/// The evaluation failed; what there was to say has been recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Failed;

/// One level of nesting, given back when it is dropped.
struct Level<'e>(&'e Cell<usize>);

impl Drop for Level<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Evaluates expressions and keeps what is wrong with them.
///
/// Cheap to make. One evaluator serves any number of expressions of any file
/// of its source map; its budget is shared by all of them.
pub struct Evaluator<'a> {
    context: functions::Context<'a>,
    sources: &'a SourceMap,
    diagnostics: RefCell<Vec<Diagnostic>>,
    file: Cell<FileId>,
    depth: Cell<usize>,
    exhausted: Cell<bool>,
    in_template_file: bool,
}

impl fmt::Debug for Evaluator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluator").field("diagnostics", &self.diagnostics).finish_non_exhaustive()
    }
}

impl<'a> Evaluator<'a> {
    /// An evaluator for expressions parsed from the texts of `sources`: the
    /// spans in a syntax tree must be places in the file of that map.
    pub fn new(sources: &'a SourceMap, context: functions::Context<'a>) -> Self {
        Self {
            context,
            sources,
            diagnostics: RefCell::default(),
            file: Cell::default(),
            depth: Cell::new(0),
            exhausted: Cell::new(false),
            in_template_file: false,
        }
    }

    /// The value of an expression of `file`.
    ///
    /// `None` means that it has none: diagnostics were recorded, or it uses a
    /// [`Binding::Failed`] whose fault was reported before.
    pub fn evaluate(&self, file: FileId, expr: &Expression, scope: &Scope<'_>) -> Option<Value> {
        self.file.set(file);
        self.eval(expr, scope).ok()
    }

    /// Everything recorded since the last call, in order of evaluation.
    pub fn take_diagnostics(&self) -> Vec<Diagnostic> {
        self.diagnostics.take()
    }

    /// Whether the budget has run out; from then on every evaluation fails.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    fn span(&self, range: Option<Range<usize>>) -> Span {
        Span::new(self.file.get(), range.unwrap_or_default())
    }

    fn span_of(&self, expr: &Expression) -> Span {
        self.span(expr.span())
    }

    fn report(&self, diagnostic: Diagnostic) -> Failed {
        self.diagnostics.borrow_mut().push(completed(diagnostic));
        Failed
    }

    /// Runs `work` and forgets what it reported; running out of budget stays known.
    fn silently<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<Diagnostic>) {
        let before = self.diagnostics.borrow().len();
        let result = work();
        let said = if self.exhausted.get() {
            Vec::new()
        } else {
            self.diagnostics.borrow_mut().split_off(before)
        };
        (result, said)
    }

    /// Charges the budget; running out is reported once, at `expr`.
    fn charge(&self, expr: &Expression, steps: usize, bytes: usize) -> Result<(), Failed> {
        self.charge_at(|| self.span_of(expr), steps, bytes)
    }

    fn charge_at(
        &self,
        span: impl FnOnce() -> Span,
        steps: usize,
        bytes: usize,
    ) -> Result<(), Failed> {
        if self.exhausted.get() {
            return Err(Failed);
        }
        let budget = self.context.budget;
        budget
            .charge_steps(steps)
            .and_then(|()| budget.charge_bytes(bytes))
            .map_err(|exceeded| self.exhaust(span(), &exceeded))
    }

    /// Says, once, that the budget has run out.
    fn exhaust(&self, span: Span, exceeded: &functions::BudgetExceeded) -> Failed {
        if self.exhausted.replace(true) {
            return Failed;
        }
        self.report(Diagnostic::error("evaluation-limit", span, exceeded.to_string()))
    }

    /// Evaluates to an owned value.
    fn eval(&self, expr: &Expression, scope: &Scope<'_>) -> Result<Value, Failed> {
        match self.eval_ref(expr, scope)? {
            Cow::Owned(value) => Ok(value),
            Cow::Borrowed(value) => {
                self.charge(expr, 0, value_bytes(value))?;
                Ok(value.clone())
            }
        }
    }

    /// Evaluates without copying what a name of the scope holds.
    fn eval_ref<'s>(
        &self,
        expr: &Expression,
        scope: &'s Scope<'_>,
    ) -> Result<Cow<'s, Value>, Failed> {
        self.charge(expr, 1, 0)?;
        let _deeper = self.deeper(|| self.span_of(expr))?;
        self.eval_node(expr, scope)
    }

    /// Counts one more level of nesting for as long as the answer is kept.
    fn deeper(&self, span: impl FnOnce() -> Span) -> Result<Level<'_>, Failed> {
        let depth = self.depth.get();
        if depth >= MAX_DEPTH {
            return Err(self.report(Diagnostic::error(
                "nesting-limit",
                span(),
                "this nests too deeply",
            )));
        }
        self.depth.set(depth + 1);
        Ok(Level(&self.depth))
    }

    fn eval_node<'s>(
        &self,
        expr: &Expression,
        scope: &'s Scope<'_>,
    ) -> Result<Cow<'s, Value>, Failed> {
        let owned = |value: Result<Value, Failed>| value.map(Cow::Owned);
        match expr {
            Expression::Null(_) => Ok(Cow::Owned(Value::Null)),
            Expression::Bool(value) => Ok(Cow::Owned(Value::Bool(*value.value()))),
            Expression::Number(number) => owned(self.eval_number(expr, number.value())),
            Expression::String(text) => owned(self.eval_text(expr, text.value())),
            Expression::Array(array) => owned(self.eval_array(expr, array, scope)),
            Expression::Object(object) => owned(self.eval_object(expr, object, scope)),
            Expression::StringTemplate(template) => {
                owned(self.eval_string_template(expr, template, scope))
            }
            Expression::HeredocTemplate(heredoc) => owned(self.eval_heredoc(expr, heredoc, scope)),
            Expression::Parenthesis(inner) => self.eval_ref(inner.inner(), scope),
            Expression::Variable(name) => self.eval_name(expr, name.value(), scope),
            Expression::Conditional(conditional) => {
                owned(self.eval_conditional(conditional, scope))
            }
            Expression::FuncCall(call) => owned(self.eval_call(expr, call, scope)),
            Expression::Traversal(traversal) => self.eval_traversal(traversal, scope),
            Expression::UnaryOp(operation) => owned(self.eval_unary(operation, scope)),
            Expression::BinaryOp(operation) => owned(self.eval_binary(expr, operation, scope)),
            Expression::ForExpr(for_expr) => owned(self.eval_for(expr, for_expr, scope)),
        }
    }

    fn eval_number(&self, expr: &Expression, number: &hcl_edit::Number) -> Result<Value, Failed> {
        number
            .as_i64()
            .map(Number::Int)
            .or_else(|| number.as_f64().and_then(Number::from_f64))
            .map(Value::Number)
            .ok_or_else(|| {
                self.report(Diagnostic::error(
                    "number-range",
                    self.span_of(expr),
                    "this number is too large",
                ))
            })
    }

    fn eval_text(&self, expr: &Expression, text: &str) -> Result<Value, Failed> {
        self.charge(expr, 0, text.len())?;
        Ok(Value::from(text))
    }

    fn eval_conditional(
        &self,
        conditional: &Conditional,
        scope: &Scope<'_>,
    ) -> Result<Value, Failed> {
        let condition = &conditional.cond_expr;
        let value = self.eval_ref(condition, scope)?;
        let holds = self.condition(&value, "the condition", self.span_of(condition))?;
        let (chosen, other) = if holds {
            (&conditional.true_expr, &conditional.false_expr)
        } else {
            (&conditional.false_expr, &conditional.true_expr)
        };
        let value = self.eval(chosen, scope)?;
        self.of_one_type(chosen, value, other, scope)
    }

    /// The chosen result of a conditional, converted as Terraform does to the
    /// type that both results have in common: `true ? 1 : "a"` is `"1"`. The
    /// other result's own faults do not matter, nor that there is no such type.
    fn of_one_type(
        &self,
        chosen: &Expression,
        value: Value,
        other: &Expression,
        scope: &Scope<'_>,
    ) -> Result<Value, Failed> {
        if matches!(value, Value::Null | Value::String(_)) || value.is_deferred() {
            return Ok(value);
        }
        let (other, _) = self.silently(|| self.eval_ref(other, scope));
        if self.exhausted.get() {
            return Err(Failed);
        }
        let Ok(other) = other else { return Ok(value) };
        let alike = matches!(
            (&value, other.as_ref()),
            (_, Value::Null)
                | (Value::Bool(_), Value::Bool(_))
                | (Value::Number(_), Value::Number(_))
        );
        if alike || other.is_deferred() {
            return Ok(value);
        }
        let bytes = value_bytes(&value) + value_bytes(&other);
        self.charge(chosen, bytes / ITEM_BYTES, bytes)?;
        let unified = functions::unify(vec![value.clone(), other.into_owned()]);
        Ok(unified.and_then(|both| both.into_iter().next()).unwrap_or(value))
    }

    /// A value as a condition.
    fn condition(&self, value: &Value, what: &str, span: Span) -> Result<bool, Failed> {
        self.known(value, span)?;
        functions::to_bool(value).ok_or_else(|| {
            self.report(Diagnostic::error(
                "condition-type",
                span,
                format!("{what} must be a bool, but this is {}", operators::describe(value)),
            ))
        })
    }

    /// Refuses a value that is known only at run time.
    fn known(&self, value: &Value, span: Span) -> Result<(), Failed> {
        match value {
            Value::Deferred(_) => Err(self.report(deferred(value, span))),
            _ => Ok(()),
        }
    }

    /// Refuses a value that is, or holds, something known only at run time.
    fn wholly_known(&self, value: &Value, span: Span) -> Result<(), Failed> {
        if value.is_deferred() { Err(self.report(deferred(value, span))) } else { Ok(()) }
    }

    fn eval_unary(&self, operation: &UnaryOp, scope: &Scope<'_>) -> Result<Value, Failed> {
        let value = self.eval_ref(&operation.expr, scope)?;
        self.known(&value, self.span_of(&operation.expr))?;
        operators::unary(*operation.operator.value(), &value)
            .map_err(|error| self.report(self.operator_error(error, None, &operation.expr, None)))
    }

    fn eval_binary(
        &self,
        expr: &Expression,
        operation: &BinaryOp,
        scope: &Scope<'_>,
    ) -> Result<Value, Failed> {
        let operator = *operation.operator.value();
        let (left_expr, right_expr) = (&operation.lhs_expr, &operation.rhs_expr);
        let fail = |error| {
            Err(self.report(self.operator_error(error, Some(left_expr), right_expr, Some(expr))))
        };
        let left = self.eval_ref(left_expr, scope);
        if let (BinaryOperator::And | BinaryOperator::Or, Ok(left)) = (operator, &left) {
            self.known(left, self.span_of(left_expr))?;
            match operators::bool_operand(operator.as_str(), left, Operand::Left) {
                Ok(left) if left == (operator == BinaryOperator::Or) => {
                    return Ok(Value::Bool(left));
                }
                Ok(_) => {}
                Err(error) => return fail(error),
            }
        }
        // The right side is evaluated even after a failure, to report both.
        let right = self.eval_ref(right_expr, scope);
        let (left, right) = (left?, right?);
        for (value, side) in [(&left, left_expr), (&right, right_expr)] {
            self.wholly_known(value, self.span_of(side))?;
        }
        if matches!(operator, BinaryOperator::Eq | BinaryOperator::NotEq) {
            self.charge(expr, value_bytes(&left).min(value_bytes(&right)) / ITEM_BYTES, 0)?;
        }
        operators::binary(operator, &left, &right).or_else(fail)
    }

    fn operator_error(
        &self,
        error: OperatorError,
        left: Option<&Expression>,
        right: &Expression,
        whole: Option<&Expression>,
    ) -> Diagnostic {
        let place = match error.operand {
            Operand::Left => left.unwrap_or(right),
            Operand::Right => right,
            Operand::Both => whole.unwrap_or(right),
        };
        let joins_texts = error.code == "operand-type"
            && error.message.starts_with("`+`")
            && error.message.contains("string");
        let diagnostic = Diagnostic::error(error.code, self.span_of(place), error.message);
        if joins_texts {
            diagnostic.help("to join texts, write them in one: `\"${a}${b}\"`")
        } else {
            diagnostic
        }
    }
}

/// What one place in a list or an object costs, in bytes, besides the value in it.
const ITEM_BYTES: usize = 64;
