//! Conversions between values: one type to another, many values to one type, lists to sets.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::value::{Number, Value};

/// A number as texts show it: never with an exponent.
pub(super) fn number_text(number: Number) -> String {
    number.to_string()
}

/// The number that a text holds: decimal, perhaps signed, with a fraction or an
/// exponent, and nothing else around it.
pub fn parse_number(text: &str) -> Option<Number> {
    let looks_right =
        text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    if !looks_right {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Number::Int(whole));
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

/// A text, from a text, number or boolean; gives anything else back.
pub(super) fn to_text(value: Value) -> Result<String, Value> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number_text(number)),
        Value::Bool(value) => Ok(value.to_string()),
        other => Err(other),
    }
}

/// A number, from a number or a text that holds one.
pub(crate) fn to_number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(*number),
        Value::String(text) => parse_number(text),
        _ => None,
    }
}

/// A boolean, from a boolean or one of the texts `true`, `false`, `1` and `0`.
pub(crate) fn to_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => match text.as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Brings values to one type, as making a list of them needs: texts, numbers
/// and booleans together with a text become texts, lists and maps are unified
/// item by item, null fits anywhere. `None` when there is no such type.
pub fn unify(values: Vec<Value>) -> Option<Vec<Value>> {
    let mut seen = values.iter().filter(|value| !matches!(value, Value::Null));
    let Some(first) = seen.next() else {
        return Some(values);
    };
    match first {
        Value::Bool(_) | Value::Number(_) | Value::String(_) => unify_plain(values),
        Value::List(_) | Value::Set(_) => unify_lists(values),
        Value::Object(_) => unify_maps(values),
        Value::Null | Value::Deferred(_) => None,
    }
}

fn unify_plain(values: Vec<Value>) -> Option<Vec<Value>> {
    let (mut bools, mut numbers, mut texts) = (false, false, false);
    for value in &values {
        match value {
            Value::Null => {}
            Value::Bool(_) => bools = true,
            Value::Number(_) => numbers = true,
            Value::String(_) => texts = true,
            _ => return None,
        }
    }
    if texts && (bools || numbers) {
        let text = |value| match value {
            Value::Null => Some(Value::Null),
            value => to_text(value).ok().map(Value::String),
        };
        values.into_iter().map(text).collect()
    } else {
        (!(bools && numbers)).then_some(values)
    }
}

/// One row of a list of lists or maps while its items are being unified.
enum Row {
    Null,
    List(usize),
    Set(usize),
    Map(Vec<String>),
}

fn unify_lists(values: Vec<Value>) -> Option<Vec<Value>> {
    let mut rows = Vec::with_capacity(values.len());
    let mut items = Vec::new();
    for value in values {
        match value {
            Value::Null => rows.push(Row::Null),
            Value::List(list) => {
                rows.push(Row::List(list.len()));
                items.extend(list);
            }
            Value::Set(list) => {
                rows.push(Row::Set(list.len()));
                items.extend(list);
            }
            _ => return None,
        }
    }
    let width = |row: &Row| match row {
        Row::List(len) => Some(*len),
        _ => None,
    };
    // Lists of one length keep a type of their own for each position.
    let common = rows.iter().find_map(width);
    let columns = common.filter(|len| {
        *len > 0 && rows.iter().all(|row| matches!(row, Row::Null) || width(row) == Some(*len))
    });
    let unified = match columns {
        Some(columns) => unify_columns(items, columns)?,
        None => unify(items)?,
    };
    Some(rebuild(rows, unified))
}

/// Unifies items that stand in rows of `columns` each, column by column.
fn unify_columns(items: Vec<Value>, columns: usize) -> Option<Vec<Value>> {
    let mut sorted: Vec<Vec<Value>> = Vec::with_capacity(columns);
    sorted.resize_with(columns, Vec::new);
    for (index, item) in items.into_iter().enumerate() {
        sorted.get_mut(index % columns)?.push(item);
    }
    let mut unified = Vec::with_capacity(columns);
    for column in sorted {
        unified.push(unify(column)?.into_iter());
    }
    let mut out = Vec::new();
    loop {
        for column in &mut unified {
            match column.next() {
                Some(item) => out.push(item),
                None => return Some(out),
            }
        }
    }
}

fn unify_maps(values: Vec<Value>) -> Option<Vec<Value>> {
    let mut rows = Vec::with_capacity(values.len());
    let mut items = Vec::new();
    for value in values {
        match value {
            Value::Null => rows.push(Row::Null),
            Value::Object(map) => {
                let mut keys = Vec::with_capacity(map.len());
                for (key, item) in map {
                    keys.push(key);
                    items.push(item);
                }
                rows.push(Row::Map(keys));
            }
            _ => return None,
        }
    }
    let mut keys = rows.iter().filter_map(|row| match row {
        Row::Map(keys) => Some(keys),
        _ => None,
    });
    let first = keys.next();
    let same = first.is_some_and(|first| !first.is_empty() && keys.all(|keys| keys == first));
    let unified = match first {
        Some(first) if same => unify_columns(items, first.len())?,
        _ => unify(items)?,
    };
    Some(rebuild(rows, unified))
}

fn rebuild(rows: Vec<Row>, items: Vec<Value>) -> Vec<Value> {
    let mut items = items.into_iter();
    rows.into_iter()
        .map(|row| match row {
            Row::Null => Value::Null,
            Row::List(len) => Value::List(items.by_ref().take(len).collect()),
            Row::Set(len) => set(items.by_ref().take(len).collect()),
            Row::Map(keys) => Value::Object(keys.into_iter().zip(items.by_ref()).collect()),
        })
        .collect()
}

/// The set of `items`: sorted, equal ones once.
pub fn set(mut items: Vec<Value>) -> Value {
    items.sort_by_cached_key(sort_key);
    items.dedup_by(|a, b| a == b);
    Value::Set(items)
}

/// What sets are ordered by: booleans, numbers, texts by their own order,
/// lists and maps by their text, null last.
pub(super) fn sort_key(value: &Value) -> SortKey {
    match value {
        Value::Bool(value) => SortKey::Bool(*value),
        Value::Number(number) => SortKey::Number(*number),
        Value::String(text) => SortKey::Text(text.clone()),
        Value::Null => SortKey::Null,
        other => {
            let mut text = String::new();
            write_key(other, &mut text);
            SortKey::Other(text)
        }
    }
}

/// A key that values are ordered by.
#[derive(Debug, Clone)]
pub(super) enum SortKey {
    Bool(bool),
    Number(Number),
    Text(String),
    Other(String),
    Null,
}

impl SortKey {
    fn rank(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
            Self::Other(_) => 3,
            Self::Null => 4,
        }
    }
}

/// Orders numbers exactly, also whole ones beyond what a float holds; a sort
/// needs that to be a total order.
pub(super) fn compare_numbers(a: Number, b: Number) -> Ordering {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => a.cmp(&b),
        (Number::Int(a), Number::Float(b)) => compare_mixed(a, b),
        (Number::Float(a), Number::Int(b)) => compare_mixed(b, a).reverse(),
        (Number::Float(a), Number::Float(b)) => a.total_cmp(&b),
    }
}

fn compare_mixed(whole: i64, float: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if float >= LIMIT {
        return Ordering::Less;
    }
    if float < -LIMIT {
        return Ordering::Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
    let floor = float.floor() as i64;
    let fraction = if float.fract() == 0.0 { Ordering::Equal } else { Ordering::Less };
    whole.cmp(&floor).then(fraction)
}

impl Ord for SortKey {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => compare_numbers(*a, *b),
            (Self::Text(a), Self::Text(b)) | (Self::Other(a), Self::Other(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SortKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for SortKey {}

/// A text that is the same for equal values only, and orders lists and maps
/// of texts as people expect.
fn write_key(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Deferred(_) => out.push_str("null"),
        Value::Bool(value) => out.push(if *value { '1' } else { '0' }),
        Value::Number(number) => out.push_str(&number_text(*number)),
        Value::String(text) => {
            let _ = write!(out, "{text:?}");
        }
        Value::List(items) => {
            out.push('<');
            for item in items {
                write_key(item, out);
                out.push(';');
            }
            out.push('>');
        }
        Value::Set(items) => {
            out.push('[');
            for item in items {
                write_key(item, out);
                out.push(';');
            }
            out.push(']');
        }
        Value::Object(map) => write_map_key(map, out),
    }
}

fn write_map_key(map: &BTreeMap<String, Value>, out: &mut String) {
    out.push('{');
    for (key, item) in map {
        let _ = write!(out, "{key:?}:");
        write_key(item, out);
        out.push(';');
    }
    out.push('}');
}
