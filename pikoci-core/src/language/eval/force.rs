//! Resolving at run time what a secret made unknown when the pipeline was read.

use crate::language::{functions, operators};
use crate::value::{Deferred, Value};

/// How deep calls and texts may nest in a deferred value.
const MAX_DEPTH: usize = 200;

/// The value with every deferred part resolved: secrets looked up by their
/// variable's name, texts joined, functions applied.
///
/// # Errors
/// A sentence for people that names the variable or the function at fault. It
/// never holds a secret, nor anything computed from one.
pub fn force(
    value: &Value,
    secrets: &dyn Fn(&str) -> Option<String>,
    context: &functions::Context<'_>,
) -> Result<Value, String> {
    force_expanding(value, secrets, &str::to_owned, context)
}

/// As [`force`], with `expand` applied to every text that was written in the
/// pipeline, before secrets are put beside it: a `$NAME` in a secret, or in what
/// a function made of it, stays as it is. Keys of objects are not expanded.
///
/// # Errors
/// As [`force`].
pub fn force_expanding(
    value: &Value,
    secrets: &dyn Fn(&str) -> Option<String>,
    expand: &dyn Fn(&str) -> String,
    context: &functions::Context<'_>,
) -> Result<Value, String> {
    Forcing { secrets, expand, context }.force(value, 0)
}

/// What resolving needs.
struct Forcing<'a> {
    secrets: &'a dyn Fn(&str) -> Option<String>,
    expand: &'a dyn Fn(&str) -> String,
    context: &'a functions::Context<'a>,
}

impl Forcing<'_> {
    fn force(&self, value: &Value, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err("a value nests too deeply to be resolved".into());
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
            Value::String(text) => Ok(Value::String((self.expand)(text))),
            Value::List(items) => self.all(items, depth).map(Value::List),
            Value::Set(items) => self.all(items, depth).map(functions::set),
            Value::Object(map) => map
                .iter()
                .map(|(key, item)| Ok((key.clone(), self.force(item, depth + 1)?)))
                .collect::<Result<_, String>>()
                .map(Value::Object),
            Value::Deferred(deferred) => match deferred.as_ref() {
                Deferred::Secret { variable } => (self.secrets)(variable)
                    .map(Value::String)
                    .ok_or_else(|| format!("the secret behind `var.{variable}` has no value")),
                Deferred::Template(parts) => {
                    let parts = self.all(parts, depth)?;
                    join(&parts).map_err(|part| {
                        format!(
                            "a text with {} in it cannot be made: one part is {}, not a text",
                            who(value),
                            part.kind()
                        )
                    })
                }
                Deferred::Call { function, arguments } => {
                    let arguments = self.all(arguments, depth)?;
                    functions::call(function, arguments, self.context).map_err(|error| {
                        // The function's own message may quote its argument.
                        let place = error.argument.map_or_else(String::new, |index| {
                            format!(" as its argument {}", index + 1)
                        });
                        format!("`{function}` cannot take the value of {}{place}", who(value))
                    })
                }
            },
        }
    }

    fn all(&self, items: &[Value], depth: usize) -> Result<Vec<Value>, String> {
        items.iter().map(|item| self.force(item, depth + 1)).collect()
    }
}

/// The texts of all parts, joined; the part that has none.
fn join(parts: &[Value]) -> Result<Value, &Value> {
    let mut text = String::new();
    for part in parts {
        text.push_str(&operators::to_text(part).ok_or(part)?);
    }
    Ok(Value::String(text))
}

/// The secret-backed variables of a value, for a message.
fn who(value: &Value) -> String {
    let mut names: Vec<String> = Vec::new();
    for variable in value.secret_variables() {
        let name = format!("`var.{variable}`");
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" and ")
}
