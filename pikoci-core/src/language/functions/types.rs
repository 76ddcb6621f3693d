//! Conversions from one type to another. Null stays null.

use super::arguments::{Arguments, wrong};
use super::convert;
use super::{FunctionError, Signature};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Signature] = &[
    Signature::new("tobool", &["value"], |args| {
        scalar(args, "a bool or one of the texts `true` and `false`", |value| {
            convert::to_bool(&value).map(Value::Bool)
        })
    }),
    Signature::new("tolist", &["value"], to_list),
    Signature::new("tomap", &["value"], to_map),
    Signature::new("tonumber", &["value"], |args| {
        scalar(args, "a number or a text that holds one", |value| {
            convert::to_number(&value).map(Value::Number)
        })
    }),
    Signature::new("toset", &["value"], to_set),
    Signature::new("tostring", &["value"], |args| {
        scalar(args, "a string, number or bool", |value| {
            convert::to_text(value).ok().map(Value::String)
        })
    }),
];

type Outcome = Result<Value, FunctionError>;

fn scalar(
    args: &mut Arguments<'_>,
    expected: &str,
    convert: impl Fn(Value) -> Option<Value>,
) -> Outcome {
    let error = args.unexpected(0, expected);
    match args.take(0) {
        Value::Null => Ok(Value::Null),
        value => convert(value).ok_or(error),
    }
}

fn to_list(args: &mut Arguments<'_>) -> Outcome {
    match args.get(0) {
        Value::Null => Ok(Value::Null),
        _ => args.unified(0).map(Value::List),
    }
}

fn to_set(args: &mut Arguments<'_>) -> Outcome {
    match args.get(0) {
        Value::Null => Ok(Value::Null),
        _ => args.unified(0).map(convert::set),
    }
}

fn to_map(args: &mut Arguments<'_>) -> Outcome {
    if matches!(args.get(0), Value::Null) {
        return Ok(Value::Null);
    }
    let (keys, items): (Vec<_>, Vec<_>) = args.map(0)?.into_iter().unzip();
    let items = convert::unify(items).ok_or_else(|| wrong(0, "must have values of one type"))?;
    Ok(Value::Object(keys.into_iter().zip(items).collect()))
}
