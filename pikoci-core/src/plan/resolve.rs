//! Values at run time: secrets fetched, names expanded, nothing deferred left.
//!
//! Names are expanded first and only in texts that the pipeline's author
//! wrote; then secrets are put in. So neither the value of a name nor that of
//! a secret is ever expanded again.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;

use crate::context::StepRun;
use crate::mask::Masker;
use crate::params::{Attributes, Params};
use crate::pipeline::{Pipeline, SecretRef, Variable, VariableType};
use crate::secret::{ExposeSecret as _, SecretFields};
use crate::traits::TypeError;
use crate::types::Types;
use crate::value::{Deferred, Number, Value};

/// How many secrets may stand behind one another.
const MAX_CHAIN: usize = 10;

/// Replaces `$NAME` and `${NAME}` by what `lookup` gives for the name, in one
/// pass; a name without a value stays as it is written.
///
/// ```
/// let lookup = |name: &str| (name == "TAG").then(|| "v1 $TAG".to_owned());
/// assert_eq!(pikoci_core::plan::expand("${TAG}: $TAGS $TAG", &lookup), "v1 $TAG: $TAGS v1 $TAG");
/// ```
pub fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, from) = rest.split_at(dollar);
        out.push_str(before);
        let braced = from.starts_with("${");
        let inner = from.get(if braced { 2 } else { 1 }..).unwrap_or_default();
        let end =
            inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
        let (name, after) = inner.split_at(end);
        let after = if braced { after.strip_prefix('}') } else { Some(after) };
        match after.zip(lookup(name)) {
            Some((after, value)) if !name.is_empty() => {
                out.push_str(&value);
                rest = after;
            }
            _ => {
                out.push('$');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// `value` with `change` applied to every text in it that is known, those
/// between secrets included.
pub(super) fn map_texts(value: &Value, change: &dyn Fn(&str) -> String) -> Value {
    let all = |items: &[Value]| items.iter().map(|item| map_texts(item, change)).collect();
    match value {
        Value::String(text) => Value::String(change(text)),
        Value::List(items) => Value::List(all(items)),
        Value::Set(items) => Value::Set(all(items)),
        Value::Object(map) => Value::Object(
            map.iter().map(|(key, item)| (key.clone(), map_texts(item, change))).collect(),
        ),
        Value::Deferred(deferred) => Value::Deferred(Box::new(match deferred.as_ref() {
            Deferred::Template(parts) => Deferred::Template(all(parts)),
            Deferred::Call { function, arguments } => {
                Deferred::Call { function: function.clone(), arguments: all(arguments) }
            }
            secret @ Deferred::Secret { .. } => secret.clone(),
        })),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Attributes as a type's method gets them outside of a build, such as the stop
/// of a service after a crash: names expanded to the step's variables, secrets
/// fetched anew. What is fetched is not masked in `step`'s output.
///
/// # Errors
/// When a secret cannot be had.
pub async fn resolve(
    pipeline: &Pipeline,
    types: &Types,
    attributes: &Attributes,
    step: &mut StepRun<'_>,
) -> Result<Params, TypeError> {
    Resolver::new(pipeline, types, &Masker::new()).expanded(attributes, step).await
}

/// Resolves the values of one attempt of one step. A secret is fetched once
/// for all its uses in it.
pub(super) struct Resolver<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) types: &'a Types,
    pub(super) masker: &'a Masker,
    fetched: BTreeMap<String, Value>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(pipeline: &'a Pipeline, types: &'a Types, masker: &'a Masker) -> Self {
        Self { pipeline, types, masker, fetched: BTreeMap::new() }
    }

    /// Parameters with secrets put in and names left alone.
    pub(super) async fn params(
        &mut self,
        attributes: &Attributes,
        step: &mut StepRun<'_>,
    ) -> Result<Params, TypeError> {
        self.attributes(attributes, step, &mut Vec::new()).await.map(Params::new)
    }

    /// Parameters with names expanded to the step's variables and secrets put in.
    pub(super) async fn expanded(
        &mut self,
        attributes: &Attributes,
        step: &mut StepRun<'_>,
    ) -> Result<Params, TypeError> {
        let env = &step.context.env.0;
        let expanded = attributes
            .iter()
            .map(|(name, value)| {
                (name.clone(), map_texts(value, &|text| expand(text, &|it| env.get(it).cloned())))
            })
            .collect();
        self.params(&expanded, step).await
    }

    fn attributes<'b>(
        &'b mut self,
        attributes: &'b Attributes,
        step: &'b mut StepRun<'_>,
        behind: &'b mut Vec<String>,
    ) -> BoxFuture<'b, Result<BTreeMap<String, Value>, TypeError>> {
        Box::pin(async move {
            let mut out = BTreeMap::new();
            for (name, value) in attributes {
                for variable in value.secret_variables() {
                    if !self.fetched.contains_key(variable) {
                        let secret = self.variable(variable, step, behind).await?;
                        self.fetched.insert(variable.to_owned(), secret);
                    }
                }
                let value = if value.is_deferred() {
                    force(value, &self.fetched).map_err(|problem| {
                        TypeError::errored(format!(
                            "the value of `{name}` cannot be made: {problem}"
                        ))
                    })?
                } else {
                    value.clone()
                };
                out.insert(name.clone(), value);
            }
            Ok(out)
        })
    }

    /// The value of a secret-backed variable; `behind` are the variables that wait for it.
    async fn variable(
        &mut self,
        name: &str,
        step: &mut StepRun<'_>,
        behind: &mut Vec<String>,
    ) -> Result<Value, TypeError> {
        let errored = |problem: String| TypeError::errored(format!("variable `{name}`: {problem}"));
        if behind.iter().any(|waiting| waiting == name) {
            return Err(errored(format!(
                "its secret needs itself: {} -> {name}",
                behind.join(" -> ")
            )));
        }
        if behind.len() == MAX_CHAIN {
            return Err(errored(format!("more than {MAX_CHAIN} secrets stand behind one another")));
        }
        let pipeline = self.pipeline;
        let Some(variable) = pipeline.variables.get(name) else {
            return Err(errored("no such variable is declared".into()));
        };
        let Some(secret) = &variable.secret else {
            return variable
                .value
                .clone()
                .ok_or_else(|| errored("it has neither a value nor a secret".into()));
        };
        let Some(kind) = self.types.secret_types.get(&secret.secret_type) else {
            return Err(errored(format!("there is no secret type `{}` here", secret.secret_type)));
        };
        let mut attributes = pipeline
            .secret_types
            .get(&secret.secret_type)
            .map(|declared| declared.attributes.clone())
            .unwrap_or_default();
        attributes.extend(secret.params.clone());
        // Some types need to know which field is asked for: `env` knows no others.
        if let Some(key) = &secret.key {
            attributes.entry("key".into()).or_insert_with(|| key.as_str().into());
        }
        behind.push(name.to_owned());
        let params = self.attributes(&attributes, step, behind).await.map(Params::new);
        behind.pop();
        let fields = kind.get(step, &params?).await.map_err(|mut error| {
            error.message = format!("variable `{name}`: {}", error.message);
            error
        })?;
        for value in fields.values() {
            self.masker.register(value.expose_secret());
        }
        pick(secret, &fields).and_then(|text| typed(variable, text)).map_err(errored)
    }
}

/// The field that a variable takes.
fn pick<'a>(secret: &SecretRef, fields: &'a SecretFields) -> Result<&'a str, String> {
    let names = || fields.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let value = match &secret.key {
        Some(key) => fields.get(key).ok_or_else(|| {
            if fields.is_empty() {
                format!("its secret has no field `{key}`; it has none at all")
            } else {
                format!("its secret has no field `{key}`; it has {}", names())
            }
        })?,
        None => match fields.len() {
            0 => return Err("its secret is empty".into()),
            1 => fields.values().next().ok_or("its secret is empty")?,
            _ => {
                return Err(format!(
                    "its secret has several fields; set `key` to one of {}",
                    names()
                ));
            }
        },
    };
    Ok(value.expose_secret())
}

/// The text as the variable's type wants it. The error never holds the text.
fn typed(variable: &Variable, text: &str) -> Result<Value, String> {
    match variable.kind {
        VariableType::String => Ok(text.into()),
        VariableType::Number => {
            let text = text.trim();
            let whole = text.parse().ok().map(Number::Int);
            whole
                .or_else(|| text.parse().ok().and_then(Number::from_f64))
                .map(Value::Number)
                .ok_or_else(|| "its secret is not a number".into())
        }
        VariableType::Bool => match text.trim() {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => Err("its secret is neither `true` nor `false`".into()),
        },
        VariableType::Any => {
            Ok(serde_json::from_str(text)
                .map_or_else(|_| text.into(), |json| Value::from_json(&json)))
        }
    }
}

/// `value` with the secrets put in.
fn force(value: &Value, secrets: &BTreeMap<String, Value>) -> Result<Value, String> {
    let all = |items: &[Value]| -> Result<Vec<Value>, String> {
        items.iter().map(|item| force(item, secrets)).collect()
    };
    match value {
        Value::List(items) => Ok(Value::List(all(items)?)),
        Value::Set(items) => Ok(Value::Set(all(items)?)),
        Value::Object(map) => Ok(Value::Object(
            map.iter()
                .map(|(key, item)| Ok((key.clone(), force(item, secrets)?)))
                .collect::<Result<_, String>>()?,
        )),
        Value::Deferred(deferred) => match deferred.as_ref() {
            Deferred::Secret { variable } => secrets
                .get(variable)
                .cloned()
                .ok_or_else(|| format!("variable `{variable}` is not known")),
            Deferred::Template(parts) => {
                let parts = all(parts)?;
                Ok(Value::String(parts.iter().filter_map(Value::to_text).collect()))
            }
            Deferred::Call { function, arguments } => call(function, &all(arguments)?),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(value.clone()),
    }
}

fn call(function: &str, _arguments: &[Value]) -> Result<Value, String> {
    Err(format!("`{function}` cannot be applied to a secret"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_expanded_once_and_only_where_known() {
        let lookup = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "B" => Some("$A ${A}".to_owned()),
            "a_b" => Some("x".to_owned()),
            "" => Some("never".to_owned()),
            _ => None,
        };
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$A", "1"),
            ("${A}", "1"),
            ("<$A>$A.$A", "<1>1.1"),
            ("$B", "$A ${A}"),
            ("$AB ${AB} $a_b-", "$AB ${AB} x-"),
            ("$", "$"),
            ("$$A", "$1"),
            ("${A", "${A"),
            ("${}", "${}"),
            ("${A B}", "${A B}"),
            ("$ä$A", "$ä1"),
            ("100%$", "100%$"),
        ] {
            assert_eq!(expand(text, &lookup), expected, "{text}");
        }
    }

    #[test]
    fn texts_between_secrets_change_and_secrets_do_not() {
        let secret = Value::Deferred(Box::new(Deferred::Secret { variable: "x".into() }));
        let value = Value::List(vec![Value::Deferred(Box::new(Deferred::Template(vec![
            "a".into(),
            secret,
            "b".into(),
        ])))]);
        let changed = map_texts(&value, &|text| text.to_uppercase());
        let forced = force(&changed, &BTreeMap::from([("x".to_owned(), "quiet $A".into())]));
        assert_eq!(forced, Ok(Value::List(vec!["Aquiet $AB".into()])));
        assert!(force(&changed, &BTreeMap::new()).is_err());
    }
}
