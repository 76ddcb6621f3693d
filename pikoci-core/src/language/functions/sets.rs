//! Functions on sets. Lists are taken as the sets of their items.

use std::collections::BTreeMap;

use super::arguments::{Arguments, failed, wrong};
use super::convert::{self, SortKey};
use super::{FunctionError, Signature, value_bytes};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Signature] = &[
    Signature::new("setintersection", &["first_set", "other_sets"], |args| {
        let count = args.len();
        combine(args, |seen| seen.len() == count)
    })
    .variadic(),
    Signature::new("setproduct", &["sets"], product).variadic().charges(),
    Signature::new("setsubtract", &["a", "b"], |args| combine(args, |seen| seen == [0])),
    Signature::new("setsymmetricdifference", &["first_set", "other_sets"], |args| {
        combine(args, |seen| seen.len() % 2 == 1)
    })
    .variadic(),
    Signature::new("setunion", &["first_set", "other_sets"], |args| combine(args, |_| true))
        .variadic(),
];

type Outcome = Result<Value, FunctionError>;

/// The set of what `keep` says yes to: it is given the numbers of the sets that an item is in.
fn combine(args: &mut Arguments<'_>, keep: impl Fn(&[usize]) -> bool) -> Outcome {
    let mut items = Vec::new();
    let mut sources = Vec::new();
    for index in 0..args.len() {
        let set = args.items(index)?;
        sources.extend(std::iter::repeat_n(index, set.len()));
        items.extend(set);
    }
    let items =
        convert::unify(items).ok_or_else(|| failed("all sets must have items of one type"))?;
    let mut seen: BTreeMap<SortKey, (Value, Vec<usize>)> = BTreeMap::new();
    for (item, source) in items.into_iter().zip(sources) {
        let (_, sets) = seen.entry(convert::sort_key(&item)).or_insert_with(|| (item, Vec::new()));
        if sets.last() != Some(&source) {
            sets.push(source);
        }
    }
    let kept = seen.into_values().filter(|(_, sets)| keep(sets)).map(|(item, _)| item);
    Ok(Value::Set(kept.collect()))
}

fn product(args: &mut Arguments<'_>) -> Outcome {
    let count = args.len();
    if count < 2 {
        return Err(failed("at least two sets must be given"));
    }
    let ordered = (0..count).any(|index| matches!(args.get(index), Value::List(_)));
    let mut sets = Vec::with_capacity(count);
    for index in 0..count {
        sets.push(args.unified(index)?);
    }
    let total = sets.iter().fold(1_usize, |total, set| total.saturating_mul(set.len()));
    if total == 0 {
        return Ok(if ordered { Value::List(Vec::new()) } else { Value::Set(Vec::new()) });
    }
    let own = total.saturating_mul((count + 1) * size_of::<Value>());
    let bytes = sets.iter().fold(own, |bytes, set| {
        let once: usize = set.iter().map(value_bytes).sum();
        bytes.saturating_add((total / set.len()).saturating_mul(once))
    });
    args.charge(bytes)?;
    args.charge_steps(total.saturating_mul(count))?;
    let mut rows = Vec::with_capacity(total);
    for row in 0..total {
        let mut rest = row;
        let mut items = Vec::with_capacity(count);
        // The last set changes fastest.
        for set in sets.iter().rev() {
            let item = set.get(rest % set.len()).ok_or_else(|| wrong(0, "is too large"))?;
            items.push(item.clone());
            rest /= set.len();
        }
        items.reverse();
        rows.push(Value::List(items));
    }
    Ok(if ordered { Value::List(rows) } else { convert::set(rows) })
}
