//! Parameters with every value known, as runners and types receive them.

use std::collections::BTreeMap;
use std::fmt;

use crate::value::Value;

/// Attributes as a pipeline holds them: names to values, secrets still placeholders.
pub type Attributes = BTreeMap<String, Value>;

/// Parameters with every value known. Because secrets are among them, `Debug`
/// shows names only and there is no serialised form.
#[derive(Clone, Default, PartialEq)]
pub struct Params(BTreeMap<String, Value>);

impl Params {
    /// Parameters from values that hold nothing deferred.
    pub fn new(values: BTreeMap<String, Value>) -> Self {
        Self(values)
    }

    /// The value of a parameter; null and absent are the same.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !matches!(value, Value::Null))
    }

    /// The value of a parameter as text (lists and objects as JSON).
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).and_then(Value::to_text)
    }

    /// The items of a list parameter as texts; a single text counts as a list of one.
    pub fn texts(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Some(Value::List(items) | Value::Set(items)) => {
                items.iter().filter_map(Value::to_text).collect()
            }
            Some(value) => value.to_text().into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Whether a boolean parameter is true; the text `true` counts.
    pub fn flag(&self, name: &str) -> bool {
        match self.get(name) {
            Some(Value::Bool(value)) => *value,
            Some(Value::String(text)) => text == "true",
            _ => false,
        }
    }

    /// Sets a parameter, whatever it was.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// Takes a parameter out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// All parameters, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The environment variables for these parameters: `PREFIX_name` for each,
    /// objects and lists flattened (`PREFIX_name_key`, `PREFIX_name_0`) and also
    /// whole, as JSON, under the parameter's own name.
    pub fn environment(&self, prefix: &str) -> BTreeMap<String, String> {
        fn walk(name: String, value: &Value, out: &mut BTreeMap<String, String>) {
            match value {
                Value::Object(map) => {
                    for (key, value) in map {
                        walk(format!("{name}_{}", variable(key)), value, out);
                    }
                }
                Value::List(items) | Value::Set(items) => {
                    for (index, value) in items.iter().enumerate() {
                        walk(format!("{name}_{index}"), value, out);
                    }
                }
                _ => {}
            }
            if let Some(text) = value.to_text() {
                out.insert(name, text);
            }
        }
        fn variable(name: &str) -> String {
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
        }
        let mut out = BTreeMap::new();
        for (name, value) in &self.0 {
            walk(format!("{prefix}_{}", variable(name)), value, &mut out);
        }
        out
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl FromIterator<(String, Value)> for Params {
    fn from_iter<T: IntoIterator<Item = (String, Value)>>(iter: T) -> Self {
        Self(iter.into_iter().collect())
    }
}
