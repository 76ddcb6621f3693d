//! Functions on numbers. `max`, `min` and `sum` take texts that hold numbers, as all of them do.

use super::arguments::{Arguments, failed, wrong};
use super::convert;
use super::{FunctionError, Signature};
use crate::value::{Number, Value};

pub(super) const FUNCTIONS: &[Signature] = &[
    Signature::new("abs", &["number"], abs),
    Signature::new("ceil", &["number"], |args| rounded(args, f64::ceil)),
    Signature::new("floor", &["number"], |args| rounded(args, f64::floor)),
    Signature::new("log", &["number", "base"], log),
    Signature::new("max", &["numbers"], |args| extreme(args, std::cmp::Ordering::Greater))
        .variadic(),
    Signature::new("min", &["numbers"], |args| extreme(args, std::cmp::Ordering::Less)).variadic(),
    Signature::new("parseint", &["string", "base"], parse_int),
    Signature::new("pow", &["number", "power"], pow),
    Signature::new("signum", &["number"], |args| Ok(Value::from(args.whole(0)?.signum()))),
    Signature::new("sum", &["list"], sum),
];

type Outcome = Result<Value, FunctionError>;

/// A float as a value; an error for what is no number.
pub(super) fn finite(value: f64) -> Outcome {
    Number::from_f64(value)
        .map(Value::Number)
        .ok_or_else(|| failed("has no result that is a finite number"))
}

fn abs(args: &mut Arguments<'_>) -> Outcome {
    match args.number(0)? {
        Number::Int(value) => match value.checked_abs() {
            Some(value) => Ok(Value::from(value)),
            None => finite(Number::Int(value).as_f64().abs()),
        },
        Number::Float(value) => finite(value.abs()),
    }
}

fn rounded(args: &mut Arguments<'_>, round: fn(f64) -> f64) -> Outcome {
    match args.number(0)? {
        Number::Int(value) => Ok(Value::from(value)),
        Number::Float(value) => finite(round(value)),
    }
}

fn log(args: &mut Arguments<'_>) -> Outcome {
    let (number, base) = (args.number(0)?.as_f64(), args.number(1)?.as_f64());
    finite(number.ln() / base.ln())
}

fn pow(args: &mut Arguments<'_>) -> Outcome {
    let (number, power) = (args.number(0)?, args.number(1)?);
    if let (Number::Int(number), Number::Int(power)) = (number, power)
        && let Some(exact) = u32::try_from(power).ok().and_then(|power| number.checked_pow(power))
        && exact.unsigned_abs() < 1 << 53
    {
        return Ok(Value::from(exact));
    }
    finite(number.as_f64().powf(power.as_f64()))
}

fn extreme(args: &mut Arguments<'_>, wanted: std::cmp::Ordering) -> Outcome {
    let mut best: Option<Number> = None;
    for index in 0..args.len() {
        let number = args.number(index)?;
        if best.is_none_or(|best| convert::compare_numbers(number, best) == wanted) {
            best = Some(number);
        }
    }
    best.map(Value::Number).ok_or_else(|| failed("at least one number must be given"))
}

fn sum(args: &mut Arguments<'_>) -> Outcome {
    let items = args.items(0)?;
    if items.is_empty() {
        return Err(wrong(0, "must not be empty"));
    }
    let mut total = Number::Int(0);
    for (position, item) in items.iter().enumerate() {
        let number = convert::to_number(item).ok_or_else(|| {
            wrong(0, format!("must be a list of numbers, got {} at {position}", item.kind()))
        })?;
        total =
            add(total, number).ok_or_else(|| failed("has no result that is a finite number"))?;
    }
    Ok(Value::Number(total))
}

/// The sum of two numbers; `None` when it is too large even for a float.
pub(super) fn add(a: Number, b: Number) -> Option<Number> {
    if let (Number::Int(a), Number::Int(b)) = (a, b)
        && let Some(sum) = a.checked_add(b)
    {
        return Some(Number::Int(sum));
    }
    Number::from_f64(a.as_f64() + b.as_f64())
}

fn parse_int(args: &mut Arguments<'_>) -> Outcome {
    let Value::String(text) = args.take(0) else {
        return Err(wrong(0, "must be a string that holds a number"));
    };
    let base = args.whole(1)?;
    if !(2..=62).contains(&base) {
        return Err(wrong(1, "must be a base from 2 to 62"));
    }
    let wrong_text = || wrong(0, format!("must be a whole number in base {base}, got {text:?}"));
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text.as_str()),
    };
    if digits.is_empty() {
        return Err(wrong_text());
    }
    let mut exact: Option<i64> = Some(0);
    let mut float = 0.0_f64;
    for char in digits.bytes() {
        let digit = digit(char, base).ok_or_else(wrong_text)?;
        let signed = if negative { -digit } else { digit };
        exact = exact.and_then(|value| value.checked_mul(base)?.checked_add(signed));
        float = float * Number::Int(base).as_f64() + Number::Int(signed).as_f64();
    }
    exact.map_or_else(|| finite(float), |value| Ok(Value::from(value)))
}

/// The value of a digit: case matters only where there are more than 36 digits.
fn digit(char: u8, base: i64) -> Option<i64> {
    let value = match char {
        b'0'..=b'9' => char - b'0',
        b'a'..=b'z' => char - b'a' + 10,
        b'A'..=b'Z' if base <= 36 => char - b'A' + 10,
        b'A'..=b'Z' => char - b'A' + 36,
        _ => return None,
    };
    Some(i64::from(value)).filter(|value| *value < base)
}
