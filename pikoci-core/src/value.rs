//! Values of the pipeline language.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

/// A number: a whole one where it can be, else a 64-bit float (never NaN or infinite).
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
}

impl Number {
    /// The number for `value`, whole where it has no fraction and fits;
    /// `None` for NaN and infinities.
    pub fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            None
        } else if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
            Some(Self::Int(value as i64))
        } else {
            Some(Self::Float(value))
        }
    }

    /// The number as a float; whole numbers beyond 2^53 lose their last digits.
    pub fn as_f64(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "documented")]
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// The number when it is whole.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            Self::Float(_) => None,
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a == b,
            _ => self.as_f64() == other.as_f64(),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
        }
    }
}

/// A value of the pipeline language.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing was given.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text. Names that are left for run time stand in it as `${NAME}` or `$NAME`.
    String(String),
    /// A list or tuple.
    List(Vec<Value>),
    /// A set: no two equal, texts in order.
    Set(Vec<Value>),
    /// An object or map.
    Object(BTreeMap<String, Value>),
    /// A value that only the worker can know, at run time.
    Deferred(Box<Deferred>),
}

/// A value that is not known when the pipeline is read, because a secret is part of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Deferred {
    /// The value of a variable that a secret backs.
    Secret {
        /// The variable's name.
        variable: String,
    },
    /// Texts and other deferred values, joined.
    Template(Vec<Value>),
    /// A function of the language, applied at run time.
    Call {
        /// The function's name.
        function: String,
        /// Its arguments; at least one holds something deferred.
        arguments: Vec<Value>,
    },
}

impl Value {
    /// A text value.
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// The text, where this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this value, or anything in it, is known only at run time.
    pub fn is_deferred(&self) -> bool {
        match self {
            Self::Deferred(_) => true,
            Self::List(items) | Self::Set(items) => items.iter().any(Self::is_deferred),
            Self::Object(map) => map.values().any(Self::is_deferred),
            _ => false,
        }
    }

    /// The names of the secret-backed variables that this value needs, in order of appearance.
    pub fn secret_variables(&self) -> Vec<&str> {
        fn walk<'a>(value: &'a Value, out: &mut Vec<&'a str>) {
            match value {
                Value::List(items) | Value::Set(items) => {
                    items.iter().for_each(|item| walk(item, out));
                }
                Value::Object(map) => map.values().for_each(|item| walk(item, out)),
                Value::Deferred(deferred) => match deferred.as_ref() {
                    Deferred::Secret { variable } => out.push(variable),
                    Deferred::Template(items) | Deferred::Call { arguments: items, .. } => {
                        items.iter().for_each(|item| walk(item, out));
                    }
                },
                _ => {}
            }
        }
        let mut out = Vec::new();
        walk(self, &mut out);
        out
    }

    /// This value with `change` applied to every text in it that is known,
    /// those between secrets included.
    #[must_use]
    pub fn map_texts(&self, change: &dyn Fn(&str) -> String) -> Self {
        let all = |items: &[Self]| items.iter().map(|item| item.map_texts(change)).collect();
        match self {
            Self::String(text) => Self::String(change(text)),
            Self::List(items) => Self::List(all(items)),
            Self::Set(items) => Self::Set(all(items)),
            Self::Object(map) => Self::Object(
                map.iter().map(|(key, item)| (key.clone(), item.map_texts(change))).collect(),
            ),
            Self::Deferred(deferred) => Self::Deferred(Box::new(match deferred.as_ref() {
                Deferred::Template(parts) => Deferred::Template(all(parts)),
                Deferred::Call { function, arguments } => {
                    Deferred::Call { function: function.clone(), arguments: all(arguments) }
                }
                secret @ Deferred::Secret { .. } => secret.clone(),
            })),
            Self::Null | Self::Bool(_) | Self::Number(_) => self.clone(),
        }
    }

    /// What kind of value this is, as messages call it: `string`, `list`, `a secret`…
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::Object(_) => "object",
            Self::Deferred(_) => "secret",
        }
    }

    /// The text a template or an environment variable shows for this value:
    /// texts as they are, numbers and booleans as written, nothing for null,
    /// anything else as JSON. `None` where something in it is known only at run time.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Null => Some(String::new()),
            Self::Bool(value) => Some(value.to_string()),
            Self::Number(value) => Some(value.to_string()),
            Self::String(text) => Some(text.clone()),
            Self::List(_) | Self::Set(_) | Self::Object(_) => {
                (!self.is_deferred()).then(|| self.to_json().to_string())
            }
            Self::Deferred(_) => None,
        }
    }

    /// This value as plain JSON: sets become arrays. Deferred values appear as
    /// the placeholder text `(secret)`; use serde to keep them whole.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => json!(value),
            Self::Number(Number::Int(value)) => json!(value),
            Self::Number(Number::Float(value)) => json!(value),
            Self::String(text) => json!(text),
            Self::List(items) | Self::Set(items) => items.iter().map(Self::to_json).collect(),
            Self::Object(map) => serde_json::Value::Object(
                map.iter().map(|(key, value)| (key.clone(), value.to_json())).collect(),
            ),
            Self::Deferred(_) => json!("(secret)"),
        }
    }

    /// The value for plain JSON.
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => Self::Number(number.as_i64().map_or_else(
                || number.as_f64().and_then(Number::from_f64).unwrap_or(Number::Int(0)),
                Number::Int,
            )),
            serde_json::Value::String(text) => Self::String(text.clone()),
            serde_json::Value::Array(items) => {
                Self::List(items.iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(map) => Self::Object(
                map.iter().map(|(key, value)| (key.clone(), Self::from_json(value))).collect(),
            ),
        }
    }

    fn tagged(&self) -> serde_json::Value {
        let list =
            |items: &[Self]| -> serde_json::Value { items.iter().map(Self::tagged).collect() };
        match self {
            Self::List(items) => list(items),
            Self::Set(items) => json!({ "$set": list(items) }),
            Self::Object(map) => {
                let plain = serde_json::Value::Object(
                    map.iter().map(|(key, value)| (key.clone(), value.tagged())).collect(),
                );
                if map.keys().any(|key| key.starts_with('$')) {
                    json!({ "$object": plain })
                } else {
                    plain
                }
            }
            Self::Deferred(deferred) => match deferred.as_ref() {
                Deferred::Secret { variable } => json!({ "$secret": variable }),
                Deferred::Template(parts) => json!({ "$template": list(parts) }),
                Deferred::Call { function, arguments } => {
                    json!({ "$call": function, "arguments": list(arguments) })
                }
            },
            other => other.to_json(),
        }
    }

    fn from_tagged(json: &serde_json::Value) -> Result<Self, String> {
        let list = |json: &serde_json::Value| -> Result<Vec<Self>, String> {
            json.as_array()
                .ok_or("a tagged value must hold a list")?
                .iter()
                .map(Self::from_tagged)
                .collect()
        };
        let object = |map: &serde_json::Map<String, serde_json::Value>| {
            map.iter()
                .map(|(key, value)| Ok((key.clone(), Self::from_tagged(value)?)))
                .collect::<Result<BTreeMap<_, _>, String>>()
                .map(Self::Object)
        };
        match json {
            serde_json::Value::Array(_) => Ok(Self::List(list(json)?)),
            serde_json::Value::Object(map) => {
                if let Some(items) = map.get("$set") {
                    Ok(Self::Set(list(items)?))
                } else if let Some(inner) = map.get("$object") {
                    object(inner.as_object().ok_or("`$object` must hold an object")?)
                } else if let Some(variable) = map.get("$secret") {
                    let variable = variable.as_str().ok_or("`$secret` must name a variable")?;
                    Ok(Self::Deferred(Box::new(Deferred::Secret { variable: variable.into() })))
                } else if let Some(parts) = map.get("$template") {
                    Ok(Self::Deferred(Box::new(Deferred::Template(list(parts)?))))
                } else if let Some(function) = map.get("$call") {
                    Ok(Self::Deferred(Box::new(Deferred::Call {
                        function: function.as_str().ok_or("`$call` must name a function")?.into(),
                        arguments: list(map.get("arguments").unwrap_or(&json!([])))?,
                    })))
                } else {
                    object(map)
                }
            }
            other => Ok(Self::from_json(other)),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(Number::Int(value))
    }
}

/// As JSON; what JSON cannot say is an object with one `$` key: `{"$set": […]}`,
/// `{"$secret": "variable"}`, `{"$template": […]}`, `{"$call": "f", "arguments": […]}`,
/// and `{"$object": {…}}` around an object that has such a key of its own.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        self.tagged().serialize(out)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let json = serde_json::Value::deserialize(input)?;
        Self::from_tagged(&json).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_cannot_say_survives_a_round_trip() {
        let secret = Value::Deferred(Box::new(Deferred::Secret { variable: "pw".into() }));
        let value = Value::Object(BTreeMap::from([
            ("$set".to_owned(), Value::from("not a set")),
            ("set".to_owned(), Value::Set(vec![Value::from("a"), Value::from(2)])),
            (
                "text".to_owned(),
                Value::Deferred(Box::new(Deferred::Template(vec!["x".into(), secret.clone()]))),
            ),
            (
                "call".to_owned(),
                Value::Deferred(Box::new(Deferred::Call {
                    function: "upper".into(),
                    arguments: vec![secret],
                })),
            ),
        ]));
        let json = serde_json::to_string(&value).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
        assert_eq!(value.secret_variables(), ["pw", "pw"]);
    }
}
