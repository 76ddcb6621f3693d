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
    force_at(value, secrets, context, 0)
}

fn force_at(
    value: &Value,
    secrets: &dyn Fn(&str) -> Option<String>,
    context: &functions::Context<'_>,
    depth: usize,
) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err("a value that depends on secrets nests too deeply".into());
    }
    let all = |items: &[Value]| -> Result<Vec<Value>, String> {
        items
            .iter()
            .map(|item| force_at(item, secrets, context, depth + 1))
            .collect()
    };
    match value {
        Value::List(items) => Ok(Value::List(all(items)?)),
        Value::Set(items) => {
            let mut distinct = Vec::with_capacity(items.len());
            for item in all(items)? {
                if !distinct.contains(&item) {
                    distinct.push(item);
                }
            }
            Ok(Value::Set(distinct))
        }
        Value::Object(map) => map
            .iter()
            .map(|(key, item)| Ok((key.clone(), force_at(item, secrets, context, depth + 1)?)))
            .collect::<Result<_, String>>()
            .map(Value::Object),
        Value::Deferred(deferred) => match deferred.as_ref() {
            Deferred::Secret { variable } => secrets(variable)
                .map(Value::String)
                .ok_or_else(|| format!("the secret behind `var.{variable}` has no value")),
            Deferred::Template(parts) => {
                let mut text = String::new();
                for part in all(parts)? {
                    let part = operators::to_text(&part).ok_or_else(|| {
                        format!(
                            "a text with {} in it cannot be made: one part is {}, not a text",
                            who(value),
                            part.kind()
                        )
                    })?;
                    text.push_str(&part);
                }
                Ok(Value::String(text))
            }
            Deferred::Call {
                function,
                arguments,
            } => {
                let arguments = all(arguments)?;
                functions::call(function, arguments, context).map_err(|error| {
                    // The function's own message may quote its argument.
                    let place = error.argument.map_or_else(String::new, |index| {
                        format!(" as its argument {}", index + 1)
                    });
                    format!(
                        "`{function}` cannot take the value of {}{place}",
                        who(value)
                    )
                })
            }
        },
        plain => Ok(plain.clone()),
    }
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
