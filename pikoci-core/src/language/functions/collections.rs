//! Functions on lists and maps.

use std::collections::{BTreeMap, BTreeSet};

use super::arguments::{Arguments, failed, wrong};
use super::convert;
use super::numbers::{add, finite};
use super::strings;
use super::{FunctionError, Signature, value_bytes};
use crate::value::{Number, Value};

/// How many numbers `range` makes at most.
const MAX_RANGE: usize = 1024;

pub(super) const FUNCTIONS: &[Signature] = &[
    Signature::new("alltrue", &["list"], |args| {
        Ok(Value::Bool(bools(args)?.into_iter().all(|item| item == Some(true))))
    }),
    Signature::new("anytrue", &["list"], |args| {
        Ok(Value::Bool(bools(args)?.into_iter().any(|item| item == Some(true))))
    }),
    Signature::new("chunklist", &["list", "size"], chunklist),
    Signature::new("coalesce", &["values"], coalesce).variadic(),
    Signature::new("coalescelist", &["lists"], coalesce_list).variadic(),
    Signature::new("compact", &["list"], |args| {
        let texts = args.texts_or_null(0)?.into_iter().flatten();
        Ok(Value::List(texts.filter(|text| !text.is_empty()).map(Value::String).collect()))
    }),
    Signature::new("concat", &["lists"], concat).variadic(),
    Signature::new("contains", &["list", "value"], |args| {
        let wanted = args.some(1)?;
        Ok(Value::Bool(args.items(0)?.contains(&wanted)))
    }),
    Signature::new("distinct", &["list"], distinct),
    Signature::new("element", &["list", "index"], element),
    Signature::new("flatten", &["list"], |args| {
        let mut flat = Vec::new();
        flatten_into(args.items(0)?, &mut flat);
        Ok(Value::List(flat))
    }),
    Signature::new("index", &["list", "value"], index),
    Signature::new("keys", &["map"], |args| {
        Ok(Value::List(args.map(0)?.into_keys().map(Value::String).collect()))
    }),
    Signature::new("length", &["value"], length),
    Signature::new("lookup", &["map", "key", "default"], lookup).optional_after(2),
    Signature::new("matchkeys", &["values", "keys", "search"], match_keys),
    Signature::new("merge", &["maps"], merge).variadic(),
    Signature::new("one", &["list"], one),
    Signature::new("range", &["start_or_limit", "limit", "step"], range).optional_after(1),
    Signature::new("reverse", &["list"], |args| {
        let mut items = args.items(0)?;
        items.reverse();
        Ok(Value::List(items))
    }),
    Signature::new("slice", &["list", "start", "end"], slice),
    Signature::new("sort", &["list"], |args| {
        let mut texts = args.texts(0)?;
        texts.sort_unstable();
        Ok(Value::List(texts.into_iter().map(Value::String).collect()))
    }),
    Signature::new("transpose", &["map"], transpose).charges(),
    Signature::new("values", &["map"], |args| {
        Ok(Value::List(args.map(0)?.into_values().collect()))
    }),
    Signature::new("zipmap", &["keys", "values"], zipmap),
];

type Outcome = Result<Value, FunctionError>;

fn bools(args: &mut Arguments<'_>) -> Result<Vec<Option<bool>>, FunctionError> {
    let items = args.items(0)?;
    items
        .iter()
        .enumerate()
        .map(|(position, item)| match item {
            Value::Null => Ok(None),
            item => convert::to_bool(item).map(Some).ok_or_else(|| {
                wrong(0, format!("must be a list of bools, got {} at {position}", item.kind()))
            }),
        })
        .collect()
}

fn chunklist(args: &mut Arguments<'_>) -> Outcome {
    let items = args.unified(0)?;
    let size = usize::try_from(args.whole(1)?).map_err(|_| wrong(1, "must not be negative"))?;
    let size = if size == 0 { items.len() } else { size };
    let mut chunks = Vec::new();
    let mut items = items.into_iter().peekable();
    while items.peek().is_some() {
        chunks.push(Value::List(items.by_ref().take(size).collect()));
    }
    Ok(Value::List(chunks))
}

fn all(args: &mut Arguments<'_>) -> Vec<Value> {
    (0..args.len()).map(|index| args.take(index)).collect()
}

fn coalesce(args: &mut Arguments<'_>) -> Outcome {
    let values =
        convert::unify(all(args)).ok_or_else(|| failed("all arguments must have one type"))?;
    values
        .into_iter()
        .find(|value| !matches!(value, Value::Null) && value.as_str() != Some(""))
        .ok_or_else(|| failed("no argument is other than null or an empty string"))
}

fn coalesce_list(args: &mut Arguments<'_>) -> Outcome {
    for index in 0..args.len() {
        let items = args.ordered(index)?;
        if !items.is_empty() {
            return Ok(Value::List(items));
        }
    }
    Err(failed("no argument is a list with something in it"))
}

fn concat(args: &mut Arguments<'_>) -> Outcome {
    if args.len() == 0 {
        return Err(failed("at least one list must be given"));
    }
    let mut joined = Vec::new();
    for index in 0..args.len() {
        joined.append(&mut args.ordered(index)?);
    }
    Ok(Value::List(joined))
}

fn distinct(args: &mut Arguments<'_>) -> Outcome {
    let mut seen = BTreeSet::new();
    let mut items = args.unified(0)?;
    items.retain(|item| seen.insert(convert::sort_key(item)));
    Ok(Value::List(items))
}

fn element(args: &mut Arguments<'_>) -> Outcome {
    let index = args.whole(1)?;
    let mut items = args.ordered(0)?;
    let index = usize::try_from(index).map_err(|_| wrong(1, "must not be negative"))?;
    if items.is_empty() {
        return Err(wrong(0, "must not be empty"));
    }
    Ok(items.swap_remove(index % items.len()))
}

fn flatten_into(items: Vec<Value>, flat: &mut Vec<Value>) {
    for item in items {
        match item {
            Value::List(items) | Value::Set(items) => flatten_into(items, flat),
            other => flat.push(other),
        }
    }
}

fn index(args: &mut Arguments<'_>) -> Outcome {
    let items = args.ordered(0)?;
    let wanted = args.get(1);
    items
        .iter()
        .position(|item| item == wanted)
        .map(strings::number)
        .ok_or_else(|| wrong(1, "must be in the list; it is not"))
}

fn length(args: &mut Arguments<'_>) -> Outcome {
    Ok(match args.get(0) {
        Value::String(text) => strings::count(text),
        Value::List(items) | Value::Set(items) => strings::number(items.len()),
        Value::Object(map) => strings::number(map.len()),
        _ => return Err(args.unexpected(0, "a list, a map or a string")),
    })
}

fn lookup(args: &mut Arguments<'_>) -> Outcome {
    let mut map = args.map(0)?;
    let key = args.text(1)?;
    match map.remove(&key) {
        Some(value) => Ok(value),
        None if args.len() > 2 => Ok(args.take(2)),
        None => Err(wrong(1, format!("must be a key of the map, which has no `{key}`"))),
    }
}

fn match_keys(args: &mut Arguments<'_>) -> Outcome {
    let (values, mut keys, search) = (args.unified(0)?, args.unified(1)?, args.unified(2)?);
    if values.len() != keys.len() {
        let message =
            format!("must have as many items as `values` ({}), got {}", values.len(), keys.len());
        return Err(wrong(1, message));
    }
    let count = keys.len();
    keys.extend(search);
    let mut keys =
        convert::unify(keys).ok_or_else(|| wrong(2, "must have items of the type of `keys`"))?;
    let wanted: BTreeSet<_> = keys.split_off(count).iter().map(convert::sort_key).collect();
    let matching = values
        .into_iter()
        .zip(keys)
        .filter(|(_, key)| wanted.contains(&convert::sort_key(key)))
        .map(|(value, _)| value);
    Ok(Value::List(matching.collect()))
}

fn merge(args: &mut Arguments<'_>) -> Outcome {
    let mut merged = BTreeMap::new();
    for index in 0..args.len() {
        if !matches!(args.get(index), Value::Null) {
            merged.append(&mut args.map(index)?);
        }
    }
    Ok(Value::Object(merged))
}

fn one(args: &mut Arguments<'_>) -> Outcome {
    let mut items = args.items(0)?;
    match items.len() {
        0 | 1 => Ok(items.pop().unwrap_or_default()),
        count => Err(wrong(0, format!("must have no item or one, got {count}"))),
    }
}

fn range(args: &mut Arguments<'_>) -> Outcome {
    let (start, limit) = match args.len() {
        1 => (Number::Int(0), args.number(0)?),
        _ => (args.number(0)?, args.number(1)?),
    };
    let falls = convert::compare_numbers(limit, start).is_lt();
    let step = match args.len() {
        3 => args.number(2)?,
        _ => Number::Int(if falls { -1 } else { 1 }),
    };
    let zero = Number::Int(0);
    let step_sign = convert::compare_numbers(step, zero);
    if convert::compare_numbers(limit, start).is_eq() {
        return Ok(Value::List(Vec::new()));
    }
    if step_sign.is_eq() {
        return Err(wrong(2, "must not be zero"));
    }
    if falls != step_sign.is_lt() {
        return Err(wrong(2, format!("must lead from {start} to {limit}, got {step}")));
    }
    let mut numbers = Vec::new();
    loop {
        let next = nth(start, step, numbers.len())?;
        let order = convert::compare_numbers(next, limit);
        if order.is_eq() || order == step_sign {
            return Ok(Value::List(numbers));
        }
        if numbers.len() == MAX_RANGE {
            return Err(failed(format!("makes at most {MAX_RANGE} numbers")));
        }
        args.charge_steps(1)?;
        numbers.push(Value::Number(next));
    }
}

/// `start + step * index`; whole while it fits.
fn nth(start: Number, step: Number, index: usize) -> Result<Number, FunctionError> {
    let count = i64::try_from(index).unwrap_or(i64::MAX);
    let offset = match step {
        Number::Int(step) => step.checked_mul(count).map(Number::Int),
        Number::Float(_) => None,
    };
    let offset = match offset {
        Some(offset) => offset,
        None => match finite(step.as_f64() * Number::Int(count).as_f64())? {
            Value::Number(offset) => offset,
            _ => step,
        },
    };
    add(start, offset).ok_or_else(|| failed("has no result that is a finite number"))
}

fn slice(args: &mut Arguments<'_>) -> Outcome {
    let mut items = args.ordered(0)?;
    let (start, end) = (args.whole(1)?, args.whole(2)?);
    let within = |index: i64| usize::try_from(index).ok().filter(|index| *index <= items.len());
    let count = items.len();
    let start = within(start)
        .ok_or_else(|| wrong(1, format!("must be from 0 to {count}, the list's length")))?;
    let end = within(end)
        .ok_or_else(|| wrong(2, format!("must be from 0 to {count}, the list's length")))?;
    if start > end {
        return Err(wrong(1, "must not be greater than `end`"));
    }
    items.truncate(end);
    Ok(Value::List(items.split_off(start)))
}

fn transpose(args: &mut Arguments<'_>) -> Outcome {
    let mut transposed: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (key, value) in args.map(0)? {
        let (Value::List(items) | Value::Set(items)) = value else {
            let kind = value.kind();
            return Err(wrong(0, format!("must be a map of lists, got {kind} at `{key}`")));
        };
        for item in items {
            args.charge(value_bytes(&item) + key.len() + 3 * size_of::<Value>())?;
            args.charge_steps(1)?;
            let name = convert::to_text(item).map_err(|item| {
                wrong(
                    0,
                    format!("must be a map of lists of strings, got {} in `{key}`", item.kind()),
                )
            })?;
            transposed.entry(name).or_default().push(Value::from(key.as_str()));
        }
    }
    let lists = transposed.into_iter().map(|(key, items)| (key, Value::List(items)));
    Ok(Value::Object(lists.collect()))
}

fn zipmap(args: &mut Arguments<'_>) -> Outcome {
    let (keys, values) = (args.texts(0)?, args.ordered(1)?);
    if keys.len() != values.len() {
        let message =
            format!("must have as many items as `keys` ({}), got {}", keys.len(), values.len());
        return Err(wrong(1, message));
    }
    Ok(Value::Object(keys.into_iter().zip(values).collect()))
}
