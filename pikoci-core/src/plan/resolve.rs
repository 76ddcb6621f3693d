//! Values at run time: secrets fetched, names expanded, nothing deferred left.
//!
//! Names are expanded first and only in texts that the pipeline's author
//! wrote; then secrets are put in. So neither the value of a name nor that of
//! a secret is ever expanded again.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::context::{Resolve, StepRun};
use crate::event::OutputStream;
use crate::language::eval::force_expanding;
use crate::language::functions::{Budget, Context};
use crate::mask::{MIN_SECRET_CHARS, Masker};
use crate::params::{Attributes, Params};
use crate::pipeline::{Pipeline, Variable, VariableType};
use crate::secret::{ExposeSecret as _, SecretFields};
use crate::traits::TypeError;
use crate::types::Types;
use crate::value::{Deferred, Value};

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

/// Calls `f` with every function that is applied to a secret in `value`.
fn calls(value: &Value, f: &mut dyn FnMut(&Value)) {
    match value {
        Value::List(items) | Value::Set(items) => items.iter().for_each(|item| calls(item, f)),
        Value::Object(map) => map.values().for_each(|item| calls(item, f)),
        Value::Deferred(deferred) => match deferred.as_ref() {
            Deferred::Call { arguments, .. } => {
                f(value);
                arguments.iter().for_each(|item| calls(item, f));
            }
            Deferred::Template(parts) => parts.iter().for_each(|item| calls(item, f)),
            Deferred::Secret { .. } => {}
        },
        _ => {}
    }
}

/// Calls `f` with every text in `value`.
fn texts(value: &Value, f: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => f(text),
        Value::List(items) | Value::Set(items) => items.iter().for_each(|item| texts(item, f)),
        Value::Object(map) => map.values().for_each(|item| texts(item, f)),
        _ => {}
    }
}

/// The secrets of a pipeline: fetches them by its declarations and registers
/// every value with a masker before anyone gets it.
#[derive(Debug, Clone)]
pub struct Secrets<'a> {
    pipeline: &'a Pipeline,
    types: &'a Types,
    masker: Masker,
    /// The variables whose values wait for what is resolved here.
    behind: Vec<String>,
}

impl<'a> Secrets<'a> {
    /// The secrets of `pipeline`, fetched by its secret types in `types`.
    pub fn new(pipeline: &'a Pipeline, types: &'a Types, masker: &Masker) -> Self {
        Self { pipeline, types, masker: masker.clone(), behind: Vec::new() }
    }

    /// Attributes of a step with names expanded to what `step` sees and secrets
    /// put in.
    ///
    /// # Errors
    /// When a secret cannot be had or a value cannot be made of it.
    pub async fn expanded(
        &self,
        attributes: &Attributes,
        step: &mut StepRun<'_>,
    ) -> Result<Params, TypeError> {
        self.resolver().expanded(attributes, step).await
    }

    pub(super) fn resolver(&self) -> Resolver<'_> {
        Resolver { secrets: self, behind: self.behind.clone(), fetched: BTreeMap::new() }
    }
}

#[async_trait]
impl Resolve for Secrets<'_> {
    async fn resolve(
        &self,
        attributes: &Attributes,
        step: &mut StepRun<'_>,
    ) -> Result<Params, TypeError> {
        self.resolver().params(attributes, step).await
    }
}

/// Resolves the values of one attempt of one step. A secret is fetched once
/// for all its uses in it.
pub(super) struct Resolver<'a> {
    secrets: &'a Secrets<'a>,
    /// The variables that wait for the value being fetched, the first one first.
    behind: Vec<String>,
    fetched: BTreeMap<String, String>,
}

impl Resolver<'_> {
    /// Parameters with secrets put in and names left alone.
    pub(super) async fn params(
        &mut self,
        attributes: &Attributes,
        step: &mut StepRun<'_>,
    ) -> Result<Params, TypeError> {
        self.attributes(attributes, &str::to_owned, step).await.map(Params::new)
    }

    /// Parameters with names expanded to the step's variables and secrets put in.
    pub(super) async fn expanded(
        &mut self,
        attributes: &Attributes,
        step: &mut StepRun<'_>,
    ) -> Result<Params, TypeError> {
        let env = &step.context.env.0;
        let names = |text: &str| expand(text, &|name| env.get(name).cloned());
        self.attributes(attributes, &names, step).await.map(Params::new)
    }

    fn attributes<'b>(
        &'b mut self,
        attributes: &'b Attributes,
        expand: &'b (dyn Fn(&str) -> String + Sync),
        step: &'b mut StepRun<'_>,
    ) -> BoxFuture<'b, Result<BTreeMap<String, Value>, TypeError>> {
        Box::pin(async move {
            let mut out = BTreeMap::new();
            for (name, value) in attributes {
                for variable in value.secret_variables() {
                    if !self.fetched.contains_key(variable) {
                        let secret = self.variable(variable, step).await?;
                        self.fetched.insert(variable.to_owned(), secret);
                    }
                }
                let made = self.force(value, expand).map_err(|problem| {
                    TypeError::errored(format!("the value of `{name}` cannot be made: {problem}"))
                })?;
                // What a function makes of a secret is one as well.
                calls(value, &mut |call| {
                    if let Ok(made) = self.force(call, expand) {
                        texts(&made, &mut |text| self.secrets.masker.register(text));
                    }
                });
                out.insert(name.clone(), made);
            }
            Ok(out)
        })
    }

    /// The value with names expanded where the author wrote them, then the
    /// fetched secrets put in.
    fn force(&self, value: &Value, expand: &dyn Fn(&str) -> String) -> Result<Value, String> {
        if !value.is_deferred() {
            return Ok(value.map_texts(expand));
        }
        let budget = Budget::default();
        // Only `timestamp()` asks for the time, and it takes no secret.
        let context = Context { now: Timestamp::UNIX_EPOCH, files: None, budget: &budget };
        force_expanding(value, &|name| self.fetched.get(name).cloned(), expand, &context)
    }

    /// The value of a secret-backed variable.
    async fn variable(&mut self, name: &str, step: &mut StepRun<'_>) -> Result<String, TypeError> {
        let errored = |problem: String| TypeError::errored(format!("variable `{name}`: {problem}"));
        if self.behind.iter().any(|waiting| waiting == name) {
            return Err(errored(format!(
                "its secret needs itself: {} -> {name}",
                self.behind.join(" -> ")
            )));
        }
        if self.behind.len() == MAX_CHAIN {
            return Err(errored(format!("more than {MAX_CHAIN} secrets stand behind one another")));
        }
        let Secrets { pipeline, types, masker, .. } = self.secrets;
        let Some(variable) = pipeline.variables.get(name) else {
            return Err(errored("no such variable is declared".into()));
        };
        let Some(secret) = &variable.secret else {
            return variable
                .value
                .as_ref()
                .and_then(Value::to_text)
                .ok_or_else(|| errored("it has neither a value nor a secret".into()));
        };
        let Some(kind) = types.secret_types.get(&secret.secret_type) else {
            return Err(errored(format!("there is no secret type `{}` here", secret.secret_type)));
        };
        let mut attributes = pipeline
            .secret_types
            .get(&secret.secret_type)
            .map(|declared| declared.attributes.clone())
            .unwrap_or_default();
        attributes.extend(secret.params.clone());
        // Some types need to know which field is asked for: `env` has one for each name.
        if let Some(key) = &secret.key {
            attributes.insert("key".into(), key.clone());
        }
        self.behind.push(name.to_owned());
        let params = self.attributes(&attributes, &str::to_owned, step).await.map(Params::new);
        let key = match (&params, &secret.key) {
            (Ok(params), Some(_)) => params.text("key"),
            _ => None,
        };
        // The type's own command may hold secrets, which this one waits for as well.
        let nested = Secrets { behind: self.behind.clone(), ..self.secrets.clone() };
        self.behind.pop();
        let mut asking = StepRun::new(step.context, step.io, step.cancel).with_secrets(&nested);
        let fields = kind.get(&mut asking, &params?).await.map_err(|mut error| {
            error.message = format!("variable `{name}`: {}", error.message);
            error
        })?;
        for value in fields.values() {
            masker.register(value.expose_secret());
        }
        let value = pick(key.as_deref(), &fields).and_then(|text| fits(variable, text));
        let value = value.map_err(errored)?;
        if !value.is_empty() && value.chars().count() < MIN_SECRET_CHARS {
            let warning = format!(
                "the secret of variable `{name}` is shorter than {MIN_SECRET_CHARS} characters and is not masked\n"
            );
            step.io.output(OutputStream::Engine, warning.into()).await;
        }
        Ok(value)
    }
}

/// The field that a variable takes.
fn pick<'a>(key: Option<&str>, fields: &'a SecretFields) -> Result<&'a str, String> {
    let names = || fields.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let value = match key {
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

/// The text, if it is what the variable's type wants. The error never holds it.
fn fits(variable: &Variable, text: &str) -> Result<String, String> {
    let bare = text.trim();
    match variable.kind {
        VariableType::String | VariableType::Any => Ok(text.to_owned()),
        VariableType::Number if bare.parse::<f64>().is_ok_and(f64::is_finite) => Ok(bare.into()),
        VariableType::Number => Err("its secret is not a number".into()),
        VariableType::Bool if matches!(bare, "true" | "false") => Ok(bare.into()),
        VariableType::Bool => Err("its secret is neither `true` nor `false`".into()),
    }
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
}
