//! Operators and the conversions between the primitive types, on plain values.
//!
//! Nothing here knows about source text: an error says which operand is wrong
//! and the evaluator points at it. Arithmetic is exact in decimal where the
//! operands are short decimals (`0.1 + 0.2` is `0.3`), else that of 64-bit floats.

use hcl_edit::expr::{BinaryOperator, UnaryOperator};

use super::functions::{to_bool, to_number};
use crate::value::{Number, Value};

/// Which operand is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operand {
    /// The one before the operator.
    Left,
    /// The one behind it.
    Right,
    /// The two together.
    Both,
}

/// Why an operator does not apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OperatorError {
    /// A stable name for the kind of mistake.
    pub(crate) code: &'static str,
    /// Where the mistake is.
    pub(crate) operand: Operand,
    /// What is wrong.
    pub(crate) message: String,
}

/// A value with its article and, for short texts, itself: what messages call it.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => format!("the bool `{value}`"),
        Value::Number(value) => format!("the number `{value}`"),
        Value::String(text) if text.chars().count() <= 40 && !text.contains(char::is_control) => {
            format!("the string `{text}`")
        }
        Value::String(_) => "a string".into(),
        Value::List(_) => "a list".into(),
        Value::Set(_) => "a set".into(),
        Value::Object(_) => "an object".into(),
        Value::Deferred(_) => "a secret".into(),
    }
}

/// A primitive value as text; `None` for null, collections and deferred values.
pub(crate) fn to_text(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// Whether two values are equal: types count, so `1 == "1"` is false.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    left == right
}

/// Applies a unary operator.
pub(crate) fn unary(operator: UnaryOperator, value: &Value) -> Result<Value, OperatorError> {
    match operator {
        UnaryOperator::Not => Ok(Value::Bool(!bool_operand("!", value, Operand::Right)?)),
        UnaryOperator::Neg => {
            let number = number_operand("-", value, Operand::Right)?;
            let negated = match number {
                Number::Int(whole) => whole.checked_neg().map(Number::Int),
                Number::Float(_) => None,
            };
            negated
                .or_else(|| Number::from_f64(-number.as_f64()))
                .map(Value::Number)
                .ok_or_else(|| too_large(Operand::Right))
        }
    }
}

/// Applies a binary operator to two values that are both known.
pub(crate) fn binary(
    operator: BinaryOperator,
    left: &Value,
    right: &Value,
) -> Result<Value, OperatorError> {
    let sign = operator.as_str();
    let numbers = || {
        Ok((
            number_operand(sign, left, Operand::Left)?,
            number_operand(sign, right, Operand::Right)?,
        ))
    };
    let compared = |test: fn(std::cmp::Ordering) -> bool| {
        let (left, right) = numbers()?;
        Ok(Value::Bool(test(compare(left, right))))
    };
    match operator {
        BinaryOperator::Eq => Ok(Value::Bool(equal(left, right))),
        BinaryOperator::NotEq => Ok(Value::Bool(!equal(left, right))),
        BinaryOperator::And => Ok(Value::Bool(
            bool_operand(sign, left, Operand::Left)? & bool_operand(sign, right, Operand::Right)?,
        )),
        BinaryOperator::Or => Ok(Value::Bool(
            bool_operand(sign, left, Operand::Left)? | bool_operand(sign, right, Operand::Right)?,
        )),
        BinaryOperator::Less => compared(std::cmp::Ordering::is_lt),
        BinaryOperator::LessEq => compared(std::cmp::Ordering::is_le),
        BinaryOperator::Greater => compared(std::cmp::Ordering::is_gt),
        BinaryOperator::GreaterEq => compared(std::cmp::Ordering::is_ge),
        BinaryOperator::Plus
        | BinaryOperator::Minus
        | BinaryOperator::Mul
        | BinaryOperator::Div
        | BinaryOperator::Mod => {
            let (left, right) = numbers()?;
            let divides = matches!(operator, BinaryOperator::Div | BinaryOperator::Mod);
            if divides && right.as_f64() == 0.0 {
                return Err(OperatorError {
                    code: "division-by-zero",
                    operand: Operand::Right,
                    message: "division by zero".into(),
                });
            }
            arithmetic(operator, left, right)
                .map(Value::Number)
                .ok_or_else(|| too_large(Operand::Both))
        }
    }
}

/// The value of one operand of `&&` or `||`, or of `!`.
pub(crate) fn bool_operand(
    sign: &str,
    value: &Value,
    operand: Operand,
) -> Result<bool, OperatorError> {
    to_bool(value).ok_or_else(|| wrong_operand(sign, "a bool", value, operand))
}

fn number_operand(sign: &str, value: &Value, operand: Operand) -> Result<Number, OperatorError> {
    to_number(value).ok_or_else(|| wrong_operand(sign, "a number", value, operand))
}

fn wrong_operand(sign: &str, wanted: &str, value: &Value, operand: Operand) -> OperatorError {
    OperatorError {
        code: "operand-type",
        operand,
        message: format!("`{sign}` needs {wanted} here, but this is {}", describe(value)),
    }
}

fn too_large(operand: Operand) -> OperatorError {
    OperatorError {
        code: "number-range",
        operand,
        message: "the result is too large for a number".into(),
    }
}

fn compare(left: Number, right: Number) -> std::cmp::Ordering {
    match (left, right) {
        (Number::Int(left), Number::Int(right)) => left.cmp(&right),
        // Numbers are never NaN.
        _ => left.as_f64().total_cmp(&(right.as_f64() + 0.0)),
    }
}

fn arithmetic(operator: BinaryOperator, left: Number, right: Number) -> Option<Number> {
    if let Some(exact) = exact(operator, left, right) {
        return Some(exact);
    }
    let (left, right) = (left.as_f64(), right.as_f64());
    Number::from_f64(match operator {
        BinaryOperator::Plus => left + right,
        BinaryOperator::Minus => left - right,
        BinaryOperator::Mul => left * right,
        BinaryOperator::Div => left / right,
        _ => left % right,
    })
}

/// The result by whole-number arithmetic on decimals, where it fits.
fn exact(operator: BinaryOperator, left: Number, right: Number) -> Option<Number> {
    let (a, a_scale) = decimal(left)?;
    let (b, b_scale) = decimal(right)?;
    if operator == BinaryOperator::Mul {
        return from_decimal(a.checked_mul(b)?, a_scale + b_scale);
    }
    let scale = a_scale.max(b_scale);
    let a = a.checked_mul(10i128.checked_pow(scale - a_scale)?)?;
    let b = b.checked_mul(10i128.checked_pow(scale - b_scale)?)?;
    match operator {
        BinaryOperator::Plus => from_decimal(a.checked_add(b)?, scale),
        BinaryOperator::Minus => from_decimal(a.checked_sub(b)?, scale),
        BinaryOperator::Mod => from_decimal(a.checked_rem(b)?, scale),
        _ if a.checked_rem(b)? == 0 => from_decimal(a.checked_div(b)?, 0),
        // Scaled to whole numbers that floats hold exactly, one division rounds once.
        _ if a.unsigned_abs() < 1 << 53 && b.unsigned_abs() < 1 << 53 =>
        {
            #[expect(clippy::cast_precision_loss, reason = "both are below 2^53")]
            Number::from_f64(a as f64 / b as f64)
        }
        _ => None,
    }
}

/// A number as digits and how many of them stand behind the point.
fn decimal(number: Number) -> Option<(i128, u32)> {
    match number {
        Number::Int(whole) => Some((whole.into(), 0)),
        Number::Float(float) => {
            if !(1e-12..1e15).contains(&float.abs()) {
                return None;
            }
            let text = float.to_string();
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            let digits = format!("{whole}{fraction}").parse().ok()?;
            Some((digits, u32::try_from(fraction.len()).ok()?))
        }
    }
}

fn from_decimal(digits: i128, scale: u32) -> Option<Number> {
    if let Some(power) = 10i128.checked_pow(scale)
        && digits % power == 0
        && let Ok(whole) = i64::try_from(digits / power)
    {
        return Some(Number::Int(whole));
    }
    Number::from_f64(format!("{digits}e-{scale}").parse().ok()?)
}
