//! `format` and `formatlist`.

use super::arguments::{Arguments, failed, wrong};
use super::convert;
use super::decimal::Decimal;
use super::encoding::json_text;
use super::{Budget, FunctionError, Signature};
use crate::value::{Number, Value};
use unicode_segmentation::UnicodeSegmentation as _;

pub(super) const FUNCTIONS: &[Signature] = &[
    Signature::new("format", &["spec", "values"], format).variadic().charges(),
    Signature::new("formatlist", &["spec", "lists"], format_list).variadic().charges(),
];

type Outcome<T> = Result<T, FunctionError>;

fn format(args: &mut Arguments<'_>) -> Outcome<Value> {
    let spec = args.text(0)?;
    let values: Vec<Value> = (1..args.len()).map(|index| args.take(index)).collect();
    let budget = args.cx.budget;
    let parts = parse(&spec, budget)?;
    let mut out = String::new();
    render(&parts, &values, budget, &mut out)?;
    Ok(Value::String(out))
}

fn format_list(args: &mut Arguments<'_>) -> Outcome<Value> {
    let spec = args.text(0)?;
    let mut columns = Vec::new();
    let mut rows: Option<(usize, usize)> = None;
    for index in 1..args.len() {
        let column = match args.some(index)? {
            Value::List(items) | Value::Set(items) => {
                match rows {
                    Some((other, count)) if count != items.len() => {
                        let name = other + 1;
                        return Err(wrong(
                            index,
                            format!(
                                "must have as many items as argument {name} ({count}), got {}",
                                items.len()
                            ),
                        ));
                    }
                    _ => rows = Some((index, items.len())),
                }
                Column::Each(items.into_iter())
            }
            single => Column::Same(single),
        };
        columns.push(column);
    }
    let count = rows.map_or(1, |(_, count)| count);
    let budget = args.cx.budget;
    let parts = parse(&spec, budget)?;
    let mut texts = Vec::new();
    for _ in 0..count {
        let mut row = Vec::with_capacity(columns.len());
        for column in &mut columns {
            row.push(match column {
                Column::Each(items) => items.next().unwrap_or_default(),
                Column::Same(value) => {
                    budget.charge_bytes(super::value_bytes(value))?;
                    value.clone()
                }
            });
        }
        budget.charge_bytes(size_of::<Value>())?;
        let mut out = String::new();
        render(&parts, &row, budget, &mut out)?;
        texts.push(Value::String(out));
    }
    Ok(Value::List(texts))
}

/// An argument of `formatlist`: one value for each row, or one for all.
enum Column {
    Each(std::vec::IntoIter<Value>),
    Same(Value),
}

/// A stretch of a format.
enum Part<'s> {
    Text(&'s str),
    Verb(Verb<'s>),
}

/// `%-08.3[2]f`, taken apart.
struct Verb<'s> {
    raw: &'s str,
    mode: char,
    /// Which value, from 0.
    value: usize,
    width: Option<usize>,
    precision: Option<usize>,
    zero: bool,
    minus: bool,
    plus: bool,
    space: bool,
    sharp: bool,
}

/// What is wrong with a format; the first argument is to blame.
fn bad(message: impl Into<String>) -> FunctionError {
    wrong(0, message)
}

fn parse<'s>(spec: &'s str, budget: &Budget) -> Outcome<Vec<Part<'s>>> {
    budget.charge_bytes(spec.matches('%').count().saturating_mul(2 * size_of::<Part<'_>>()))?;
    let mut parts = Vec::new();
    let mut next = 0;
    let mut rest = spec;
    while let Some(start) = rest.find('%') {
        let (text, from) = rest.split_at(start);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        if from.starts_with("%%") {
            let (percent, behind) = from.split_at(1);
            parts.push(Part::Text(percent));
            rest = behind.get(1..).unwrap_or_default();
            continue;
        }
        let verb = parse_verb(from, next)?;
        next = verb.value.saturating_add(1);
        rest = from.get(verb.raw.len()..).unwrap_or_default();
        parts.push(Part::Verb(verb));
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// Takes the digits at the beginning of `rest`; as many as there may be, a
/// number too large for any purpose stays the largest there is.
fn digits(rest: &mut &str) -> Option<usize> {
    let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, behind) = rest.split_at(end);
    *rest = behind;
    (!digits.is_empty()).then(|| digits.parse().unwrap_or(usize::MAX))
}

fn parse_verb(from: &str, next: usize) -> Outcome<Verb<'_>> {
    let unfinished = || bad("must not end in an unfinished `%`: write `%%` for a percent sign");
    let mut rest = from.get(1..).unwrap_or_default();
    let mut verb = Verb {
        raw: "",
        mode: ' ',
        value: next,
        width: None,
        precision: None,
        zero: false,
        minus: false,
        plus: false,
        space: false,
        sharp: false,
    };
    loop {
        let flag = match rest.chars().next().ok_or_else(unfinished)? {
            '0' => &mut verb.zero,
            '-' => &mut verb.minus,
            '+' => &mut verb.plus,
            ' ' => &mut verb.space,
            '#' => &mut verb.sharp,
            _ => break,
        };
        *flag = true;
        rest = rest.get(1..).unwrap_or_default();
    }
    verb.width = digits(&mut rest);
    if let Some(behind) = rest.strip_prefix('.') {
        rest = behind;
        verb.precision = Some(digits(&mut rest).unwrap_or(0));
    }
    if let Some(behind) = rest.strip_prefix('[') {
        rest = behind;
        let index = digits(&mut rest).and_then(|index| index.checked_sub(1));
        verb.value = index.ok_or_else(|| bad("must count values from 1 in `%[1]s`"))?;
        rest = rest.strip_prefix(']').ok_or_else(unfinished)?;
    }
    verb.mode = rest.chars().next().ok_or_else(unfinished)?;
    let length = from.len() - rest.len() + verb.mode.len_utf8();
    verb.raw = from.get(..length).unwrap_or(from);
    if "vtbdoxXeEfgGsq".contains(verb.mode) {
        Ok(verb)
    } else {
        let raw = verb.raw;
        Err(bad(format!(
            "must use verbs `%s %d %f %v %q %t %x %X %o %b %e %g`, got `{raw}`; write `%%` for a percent sign"
        )))
    }
}

fn render(parts: &[Part<'_>], values: &[Value], budget: &Budget, out: &mut String) -> Outcome<()> {
    let mut used = 0;
    for part in parts {
        budget.charge_steps(1)?;
        match part {
            Part::Text(text) => {
                budget.charge_bytes(text.len())?;
                out.push_str(text);
            }
            Part::Verb(verb) => {
                let value = values.get(verb.value).ok_or_else(|| {
                    failed(format!(
                        "`{}` needs value {}, but {} given",
                        verb.raw,
                        verb.value.saturating_add(1),
                        match values.len() {
                            0 => "none is".to_owned(),
                            1 => "only one is".to_owned(),
                            count => format!("only {count} are"),
                        }
                    ))
                })?;
                used = used.max(verb.value + 1);
                render_verb(verb, value, budget, out)?;
            }
        }
    }
    if used < values.len() {
        return Err(wrong(used + 1, format!("is not used: the format uses only {used} of them")));
    }
    Ok(())
}

fn render_verb(verb: &Verb<'_>, value: &Value, budget: &Budget, out: &mut String) -> Outcome<()> {
    let expected = |expected: &str| {
        let got = value.kind();
        wrong(verb.value + 1, format!("must be {expected} for `{}`, got {got}", verb.raw))
    };
    match verb.mode {
        'v' => {
            let text = match value {
                Value::String(text) if !verb.sharp => {
                    budget.charge_bytes(text.len())?;
                    text.clone()
                }
                Value::Number(number) if !verb.sharp => {
                    signed(Decimal::new(*number), |decimal| decimal.general(None, 'e'))
                }
                other => json_text(other, budget)?,
            };
            pad(verb, &text, budget, out)
        }
        't' => {
            let value = convert::to_bool(value).ok_or_else(|| expected("a bool"))?;
            // Terraform pads everything but this.
            out.push_str(if value { "true" } else { "false" });
            Ok(())
        }
        's' | 'q' => {
            budget.charge_bytes(super::value_bytes(value))?;
            let text = convert::to_text(value.clone()).map_err(|_| expected("a string"))?;
            if verb.mode == 'q' {
                let quoted = json_text(&Value::String(text), budget)?;
                return pad(verb, &quoted, budget, out);
            }
            match verb.precision.and_then(|count| text.grapheme_indices(true).nth(count)) {
                Some((end, _)) => pad(verb, text.get(..end).unwrap_or(&text), budget, out),
                None => pad(verb, &text, budget, out),
            }
        }
        _ => {
            let number = convert::to_number(value).ok_or_else(|| expected("a number"))?;
            render_number(verb, number, budget, out)?
                .then_some(())
                .ok_or_else(|| expected("a whole number"))
        }
    }
}

fn signed(decimal: Decimal, digits: impl Fn(Decimal) -> String) -> String {
    let sign = if decimal.negative { "-" } else { "" };
    format!("{sign}{}", digits(decimal))
}

/// Pads to the verb's width, counted in characters as people see them.
fn pad(verb: &Verb<'_>, text: &str, budget: &Budget, out: &mut String) -> Outcome<()> {
    let width = verb.width.unwrap_or(0);
    let missing = width.saturating_sub(text.graphemes(true).count());
    budget.charge_bytes(missing.saturating_add(text.len()))?;
    let fill = if verb.zero { '0' } else { ' ' };
    if verb.minus {
        out.push_str(text);
        out.extend(std::iter::repeat_n(fill, missing));
    } else {
        out.extend(std::iter::repeat_n(fill, missing));
        out.push_str(text);
    }
    Ok(())
}

/// Answers false where the verb is for whole numbers and this is not one.
fn render_number(
    verb: &Verb<'_>,
    number: Number,
    budget: &Budget,
    out: &mut String,
) -> Outcome<bool> {
    let decimal = Decimal::new(number);
    let negative = decimal.negative;
    // A float has up to 309 digits before its point.
    budget.charge_bytes(verb.precision.unwrap_or(0).saturating_add(320))?;
    let sign = match (negative, verb.plus, verb.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    };
    let (mut prefix, mut whole) = ("", false);
    let mut digits = match verb.mode {
        'e' | 'E' => decimal.scientific(Some(verb.precision.unwrap_or(6)), verb.mode),
        'f' => decimal.fixed(Some(verb.precision.unwrap_or(6))),
        'g' => decimal.general(verb.precision, 'e'),
        'G' => decimal.general(verb.precision, 'E'),
        mode => {
            let Some(magnitude) = magnitude(number) else { return Ok(false) };
            whole = true;
            let (mark, digits) = match mode {
                'b' => ("0b", format!("{magnitude:b}")),
                'o' => ("0", format!("{magnitude:o}")),
                'x' => ("0x", format!("{magnitude:x}")),
                'X' => ("0X", format!("{magnitude:X}")),
                _ => ("", decimal.fixed(None)),
            };
            prefix = if verb.sharp { mark } else { "" };
            digits
        }
    };
    if let (true, Some(least)) = (whole, verb.precision) {
        if least == 0 && digits == "0" {
            return Ok(true);
        }
        let zeros = least.saturating_sub(digits.len());
        digits.insert_str(0, &"0".repeat(zeros));
    }
    let length = sign.len() + prefix.len() + digits.len();
    let missing = verb.width.unwrap_or(0).saturating_sub(length);
    budget.charge_bytes(missing)?;
    let zeros = verb.zero && !verb.minus && !(whole && verb.precision.is_some());
    let fill = |char, out: &mut String| out.extend(std::iter::repeat_n(char, missing));
    if !zeros && !verb.minus {
        fill(' ', out);
    }
    out.push_str(sign);
    out.push_str(prefix);
    if zeros {
        fill('0', out);
    }
    out.push_str(&digits);
    if verb.minus {
        fill(' ', out);
    }
    Ok(true)
}

/// A whole number without its sign; floats are whole beyond 2^53.
fn magnitude(number: Number) -> Option<u128> {
    match number {
        Number::Int(value) => Some(u128::from(value.unsigned_abs())),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be whole and in range"
        )]
        Number::Float(value) => {
            let magnitude = value.abs();
            (magnitude.fract() == 0.0 && magnitude < 1e38).then_some(magnitude as u128)
        }
    }
}
