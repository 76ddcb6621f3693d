//! Functions that encode values as text and read them back: base64, CSV, JSON, URL escapes, SHA-256.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::DeserializeSeed};
use sha2::{Digest as _, Sha256};

use super::arguments::{Arguments, wrong};
use super::convert;
use super::{Budget, FunctionError, Signature};
use crate::value::{Number, Value};

pub(super) const FUNCTIONS: &[Signature] = &[
    Signature::new("base64decode", &["string"], base64_decode),
    Signature::new("base64encode", &["string"], |args| {
        Ok(Value::String(STANDARD.encode(args.text(0)?)))
    }),
    Signature::new("csvdecode", &["string"], csv_decode).charges(),
    Signature::new("jsondecode", &["string"], json_decode).charges(),
    Signature::new("jsonencode", &["value"], |args| {
        json_text(args.get(0), args.cx.budget).map(Value::String)
    })
    .charges(),
    Signature::new("sha256", &["string"], |args| {
        let digest = Sha256::digest(args.text(0)?);
        Ok(Value::String(digest.iter().map(|byte| format!("{byte:02x}")).collect()))
    }),
    Signature::new("urlencode", &["string"], url_encode),
];

type Outcome = Result<Value, FunctionError>;

/// Bits behind the last byte may be set, as some encoders leave them.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

fn base64_decode(args: &mut Arguments<'_>) -> Outcome {
    // Line breaks are skipped, as encoders of long texts put them in.
    let text = args.text(0)?.replace(['\n', '\r'], "");
    let bytes = LENIENT.decode(text).map_err(|error| {
        wrong(0, format!("must be base64: {}", lower_first(&error.to_string())))
    })?;
    String::from_utf8(bytes)
        .map(Value::String)
        .map_err(|_| wrong(0, "must be the base64 of UTF-8 text"))
}

/// What other libraries say, as part of a sentence.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect()
}

fn url_encode(args: &mut Arguments<'_>) -> Outcome {
    let text = args.text(0)?;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    Ok(Value::String(out))
}

fn csv_decode(args: &mut Arguments<'_>) -> Outcome {
    let text = args.text(0)?;
    let not_csv =
        |error: &csv::Error| wrong(0, format!("must be CSV: {}", lower_first(&error.to_string())));
    args.charge(text.len())?;
    check_quotes(&text).map_err(|message| wrong(0, format!("must be CSV: {message}")))?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| not_csv(&error))?.clone();
    if headers.is_empty() {
        return Err(wrong(0, "must be CSV with a header line, got an empty text"));
    }
    let mut names = std::collections::BTreeSet::new();
    if let Some(twice) = headers.iter().find(|name| !names.insert(*name)) {
        return Err(wrong(0, format!("must name each column once, got `{twice}` twice")));
    }
    let row_bytes = headers.iter().map(|name| name.len() + 32 + size_of::<Value>()).sum::<usize>()
        + size_of::<Value>();
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| not_csv(&error))? {
        args.charge(row_bytes + record.as_slice().len())?;
        args.charge_steps(headers.len())?;
        let row = headers.iter().zip(record.iter());
        rows.push(Value::Object(row.map(|(name, cell)| (name.into(), cell.into())).collect()));
    }
    Ok(Value::List(rows))
}

/// Refuses quotes where they mean nothing: the reader below would take them as
/// they stand, and what was likely meant would be lost silently.
fn check_quotes(text: &str) -> Result<(), String> {
    enum At {
        FieldStart,
        Plain,
        Quoted,
        BehindQuote,
    }
    let mut at = At::FieldStart;
    let mut line = 1;
    for byte in text.bytes() {
        line += usize::from(byte == b'\n');
        at = match (at, byte) {
            (At::FieldStart, b'"') | (At::BehindQuote, b'"') => At::Quoted,
            (At::Quoted, b'"') => At::BehindQuote,
            (At::Quoted, _) => At::Quoted,
            (_, b',' | b'\n' | b'\r') => At::FieldStart,
            (At::Plain, b'"') => {
                return Err(format!("a quote in line {line} stands inside an unquoted field"));
            }
            (At::BehindQuote, _) => {
                return Err(format!("text in line {line} stands behind a field's closing quote"));
            }
            (At::FieldStart | At::Plain, _) => At::Plain,
        };
    }
    match at {
        At::Quoted => Err("a quoted field is not closed".into()),
        _ => Ok(()),
    }
}

fn json_decode(args: &mut Arguments<'_>) -> Outcome {
    let text = args.text(0)?;
    let mut reader = serde_json::Deserializer::from_str(&text);
    Seed { budget: args.cx.budget, keys: Keys::Texts }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| match args.cx.budget.exceeded() {
            Some(exceeded) => exceeded.into(),
            None => wrong(0, format!("must be JSON: {error}")),
        })
}

/// What may be a key of a map.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keys {
    /// Texts only.
    Texts,
    /// Numbers and booleans too: they become texts.
    AnyScalar,
}

/// Reads a value from any format, charging the budget as it grows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed<'a> {
    pub(super) budget: &'a Budget,
    pub(super) keys: Keys,
}

impl Seed<'_> {
    fn charge<E: serde::de::Error>(self, bytes: usize) -> Result<(), E> {
        let charged = self.budget.charge_bytes(bytes).and_then(|()| self.budget.charge_steps(1));
        charged.map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        self.charge(size_of::<Value>())?;
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers beyond 2^63 are floats")]
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        match i64::try_from(value) {
            Ok(value) => Ok(Value::from(value)),
            Err(_) => self.visit_f64(value as f64),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.charge(text.len())?;
        Ok(Value::from(text))
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Value, E> {
        self.charge(text.len())?;
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = input.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(key) = input.next_key_seed(KeySeed(self))? {
            let value = input.next_value_seed(self)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// Reads a map's key: a text, or what can be one.
struct KeySeed<'a>(Seed<'a>);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<String, D::Error> {
        self.0.charge(32)?;
        let key = match self.0.keys {
            Keys::Texts => String::deserialize(input)?.into(),
            Keys::AnyScalar => input.deserialize_any(self.0)?,
        };
        convert::to_text(key)
            .map_err(|key| D::Error::custom(format!("{} cannot be a key", key.kind())))
    }
}

/// A value as JSON in one line, keys in order, and `<`, `>`, `&` escaped so that
/// the text may stand in HTML.
pub(super) fn json_text(value: &Value, budget: &Budget) -> Result<String, FunctionError> {
    let mut out = String::new();
    write_json(value, budget, &mut out)?;
    Ok(out)
}

fn write_json(value: &Value, budget: &Budget, out: &mut String) -> Result<(), FunctionError> {
    budget.charge_steps(1)?;
    match value {
        Value::Null | Value::Deferred(_) => push(out, "null", budget),
        Value::Bool(value) => push(out, if *value { "true" } else { "false" }, budget),
        Value::Number(number) => push(out, &convert::number_text(*number), budget),
        Value::String(text) => write_json_text(text, budget, out),
        Value::List(items) | Value::Set(items) => {
            for (index, item) in items.iter().enumerate() {
                push(out, if index == 0 { "[" } else { "," }, budget)?;
                write_json(item, budget, out)?;
            }
            push(out, if items.is_empty() { "[]" } else { "]" }, budget)
        }
        Value::Object(map) => {
            for (index, (key, item)) in map.iter().enumerate() {
                push(out, if index == 0 { "{" } else { "," }, budget)?;
                write_json_text(key, budget, out)?;
                push(out, ":", budget)?;
                write_json(item, budget, out)?;
            }
            push(out, if map.is_empty() { "{}" } else { "}" }, budget)
        }
    }
}

/// Appends to a text that the budget pays for.
pub(super) fn push(out: &mut String, text: &str, budget: &Budget) -> Result<(), FunctionError> {
    budget.charge_bytes(text.len())?;
    out.push_str(text);
    Ok(())
}

fn write_json_text(text: &str, budget: &Budget, out: &mut String) -> Result<(), FunctionError> {
    budget.charge_bytes(text.len() + 2)?;
    out.push('"');
    for char in text.chars() {
        let escape = match char {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                push(out, &format!("\\u{:04x}", u32::from(char)), budget)?;
                continue;
            }
            other => {
                out.push(other);
                continue;
            }
        };
        push(out, escape, budget)?;
    }
    out.push('"');
    Ok(())
}
