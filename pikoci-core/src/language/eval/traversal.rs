//! Names, attributes, indexes and splats.

use std::borrow::Cow;

use hcl_edit::expr::{Expression, Traversal, TraversalOperator};
use hcl_edit::{Decorated, Span as _};

use super::scope::{Binding, Scope, is_run_time_name};
use super::{Evaluator, Failed};
use crate::language::diagnostic::Diagnostic;
use crate::language::functions::to_number;
use crate::language::functions::value_bytes;
use crate::language::operators::{describe, to_text};
use crate::language::source::Span;
use crate::language::suggest::{did_you_mean, name_list};
use crate::value::{Deferred, Value};

/// The operators of a traversal.
type Steps<'t> = &'t [Decorated<TraversalOperator>];

impl Evaluator<'_> {
    /// A name that stands alone.
    pub(super) fn eval_name<'s>(
        &self,
        expr: &Expression,
        name: &str,
        scope: &'s Scope<'_>,
    ) -> Result<Cow<'s, Value>, Failed> {
        if let Some(value) = scope.name(name) {
            return Ok(Cow::Borrowed(value));
        }
        let span = self.span_of(expr);
        Err(self.report(match name {
            "var" if scope.variables().is_some() => {
                Diagnostic::error("unknown-name", span, "`var` stands for no value by itself")
                    .help("name a variable: `var.NAME`")
            }
            "each" => match scope.each() {
                Some(_) => {
                    Diagnostic::error("unknown-name", span, "`each` stands for no value by itself")
                        .help("write `each.key` or `each.value`")
                }
                None => each_outside(span),
            },
            _ => self.unknown_name(name, span, scope, false),
        }))
    }

    fn unknown_name(
        &self,
        name: &str,
        span: Span,
        scope: &Scope<'_>,
        traversed: bool,
    ) -> Diagnostic {
        if is_run_time_name(name) && !traversed {
            return Diagnostic::error(
                "run-time-name",
                span,
                format!("`{name}` has no value until the build runs"),
            )
            .label("known only at run time")
            .help(format!("write it as text: `\"${name}\"`"))
            .suggest(span, format!("\"${name}\""));
        }
        let diagnostic = Diagnostic::error("unknown-name", span, format!("unknown name `{name}`"));
        let variables = scope.variables();
        if variables.is_some_and(|variables| variables.contains_key(name)) {
            return diagnostic
                .help(format!("variables are used as `var.{name}`"))
                .suggest(span, format!("var.{name}"));
        }
        if traversed && matches!(name, "local" | "path" | "data" | "module" | "terraform") {
            return diagnostic.help(format!(
                "pipelines have no `{name}`; what an expression can use is `var.NAME`, `each.key` and `each.value`"
            ));
        }
        let mut roots: Vec<&str> = scope.names().collect();
        if variables.is_some() {
            roots.push("var");
        }
        if scope.each().is_some() {
            roots.push("each");
        }
        let near = did_you_mean(diagnostic, span, name, roots);
        if near.suggestion.is_some() || traversed {
            near
        } else {
            near.help(format!("if text was meant, quote it: `\"{name}\"`"))
                .suggest(span, format!("\"{name}\""))
        }
    }

    /// An expression with attributes, indexes or splats behind it.
    pub(super) fn eval_traversal<'s>(
        &self,
        traversal: &Traversal,
        scope: &'s Scope<'_>,
    ) -> Result<Cow<'s, Value>, Failed> {
        let (start, rest) = self.traversal_root(traversal, scope)?;
        self.walk(start, rest, scope)
    }

    /// Where a traversal starts and what is left of it from there.
    fn traversal_root<'s, 't>(
        &self,
        traversal: &'t Traversal,
        scope: &'s Scope<'_>,
    ) -> Result<(Cow<'s, Value>, Steps<'t>), Failed> {
        let steps = traversal.operators.as_slice();
        let Expression::Variable(name) = &traversal.expr else {
            return Ok((self.eval_ref(&traversal.expr, scope)?, steps));
        };
        let root = name.value().as_str();
        if let Some(value) = scope.name(root) {
            return Ok((Cow::Borrowed(value), steps));
        }
        let root_span = self.span_of(&traversal.expr);
        let first = steps.split_first().map(|(first, rest)| (first.value(), rest));
        match (root, first) {
            ("var", Some((TraversalOperator::GetAttr(attribute), rest)))
                if scope.variables().is_some() =>
            {
                let span = self.span(attribute.span());
                Ok((self.variable(attribute.value(), span, scope)?, rest))
            }
            ("each", Some((TraversalOperator::GetAttr(attribute), rest))) => {
                let Some((key, value)) = scope.each() else {
                    let end = attribute.span().map_or(root_span.end, |range| range.end);
                    return Err(self.report(each_outside(Span { end, ..root_span })));
                };
                match attribute.value().as_str() {
                    "key" => Ok((Cow::Borrowed(key), rest)),
                    "value" => Ok((Cow::Borrowed(value), rest)),
                    other => {
                        let span = self.span(attribute.span());
                        let diagnostic = Diagnostic::error(
                            "unknown-name",
                            span,
                            format!("`each` has no `{other}`, only `key` and `value`"),
                        );
                        Err(self.report(did_you_mean(diagnostic, span, other, ["key", "value"])))
                    }
                }
            }
            ("var" | "each", _) => {
                self.eval_name(&traversal.expr, root, scope).map(|it| (it, steps))
            }
            _ => Err(self.report(self.unknown_name(root, root_span, scope, true))),
        }
    }

    fn variable<'s>(
        &self,
        name: &str,
        span: Span,
        scope: &'s Scope<'_>,
    ) -> Result<Cow<'s, Value>, Failed> {
        let variables = scope.variables();
        match variables.and_then(|variables| variables.get(name)) {
            Some(Binding::Known(value)) => Ok(Cow::Borrowed(value)),
            Some(Binding::Secret) => Ok(Cow::Owned(Value::Deferred(Box::new(Deferred::Secret {
                variable: name.into(),
            })))),
            Some(Binding::Failed) => Err(Failed),
            None => {
                let declared = variables.into_iter().flatten().map(|(name, _)| name.as_str());
                let diagnostic = did_you_mean(
                    Diagnostic::error(
                        "unknown-variable",
                        span,
                        format!("unknown variable `{name}`"),
                    ),
                    span,
                    name,
                    declared,
                );
                Err(self.report(if diagnostic.suggestion.is_some() {
                    diagnostic
                } else {
                    diagnostic.help(format!("declare it: `variable \"{name}\" {{ … }}`"))
                }))
            }
        }
    }

    /// Applies the operators one after the other.
    fn walk<'s>(
        &self,
        start: Cow<'s, Value>,
        steps: Steps<'_>,
        scope: &Scope<'_>,
    ) -> Result<Cow<'s, Value>, Failed> {
        let mut value = start;
        let mut steps = steps;
        while let Some((step, rest)) = steps.split_first() {
            steps = rest;
            let span = self.span(step.value().span().or_else(|| step.span()));
            match step.value() {
                TraversalOperator::GetAttr(name) => {
                    value = self.attribute(value, name.value(), span)?;
                }
                TraversalOperator::LegacyIndex(index) => {
                    let index = i64::try_from(*index.value()).unwrap_or(i64::MAX);
                    value = self.index(value, &Value::from(index), span)?;
                }
                TraversalOperator::Index(expr) => {
                    let index = self.eval_ref(expr, scope)?;
                    self.known(&index, self.span_of(expr))?;
                    value = self.index(value, &index, self.span_of(expr))?;
                }
                TraversalOperator::FullSplat(_) => {
                    return self.splat(value, rest, span, scope).map(Cow::Owned);
                }
                TraversalOperator::AttrSplat(_) => {
                    // Only attributes apply to each item; an index in brackets
                    // is one of the resulting list.
                    let own = rest
                        .iter()
                        .take_while(|step| {
                            matches!(
                                step.value(),
                                TraversalOperator::GetAttr(_) | TraversalOperator::LegacyIndex(_)
                            )
                        })
                        .count();
                    let (each, behind) = rest.split_at(own);
                    value = Cow::Owned(self.splat(value, each, span, scope)?);
                    steps = behind;
                }
            }
        }
        Ok(value)
    }

    fn splat(
        &self,
        value: Cow<'_, Value>,
        each: Steps<'_>,
        span: Span,
        scope: &Scope<'_>,
    ) -> Result<Value, Failed> {
        self.known(&value, span)?;
        let _deeper = self.deeper(|| span)?;
        let single;
        let items = match value.as_ref() {
            Value::Null => return Ok(Value::List(Vec::new())),
            Value::List(items) | Value::Set(items) => items.as_slice(),
            other => {
                single = std::slice::from_ref(other);
                single
            }
        };
        let mut results = Vec::new();
        for item in items {
            self.charge_at(|| span, 1, 0)?;
            let result = self.walk(Cow::Borrowed(item), each, scope)?;
            self.charge_at(|| span, 0, value_bytes(&result))?;
            results.push(result.into_owned());
        }
        Ok(Value::List(results))
    }

    fn attribute<'s>(
        &self,
        value: Cow<'s, Value>,
        name: &str,
        span: Span,
    ) -> Result<Cow<'s, Value>, Failed> {
        self.known(&value, span)?;
        if matches!(value.as_ref(), Value::Object(_)) {
            return self.member(value, name, span, true);
        }
        let diagnostic = Diagnostic::error(
            "attribute-type",
            span,
            format!(
                "only objects have attributes like `.{name}`, but this is {}",
                describe(&value)
            ),
        );
        let of_objects = matches!(value.as_ref(), Value::List(items) | Value::Set(items)
            if items.iter().any(|item| matches!(item, Value::Object(_))));
        Err(self.report(if of_objects {
            diagnostic.help(format!("for `.{name}` of every item write `[*].{name}`"))
        } else {
            diagnostic
        }))
    }

    /// The item of an object.
    fn member<'s>(
        &self,
        value: Cow<'s, Value>,
        key: &str,
        span: Span,
        bare: bool,
    ) -> Result<Cow<'s, Value>, Failed> {
        let found = match value {
            Cow::Borrowed(Value::Object(map)) => map.get(key).map(Cow::Borrowed).ok_or(value),
            Cow::Owned(Value::Object(mut map)) => {
                map.remove(key).map(Cow::Owned).ok_or(Cow::Owned(Value::Object(map)))
            }
            other => Err(other),
        };
        found.map_err(|object| {
            let keys = match object.as_ref() {
                Value::Object(map) => map.keys().map(String::as_str).collect(),
                _ => Vec::new(),
            };
            let diagnostic =
                Diagnostic::error("missing-key", span, format!("the object has no `{key}`"));
            if !bare {
                // The index may be any expression, so there is no text to put in its place.
                let near = crate::language::suggest::closest(key, keys.iter().copied());
                return self.report(match near {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => with_keys(diagnostic, &keys),
                });
            }
            let diagnostic = did_you_mean(diagnostic, span, key, keys.iter().copied());
            self.report(if diagnostic.suggestion.is_some() {
                diagnostic
            } else {
                with_keys(diagnostic, &keys)
            })
        })
    }

    fn index<'s>(
        &self,
        value: Cow<'s, Value>,
        index: &Value,
        span: Span,
    ) -> Result<Cow<'s, Value>, Failed> {
        self.known(&value, span)?;
        let wrong =
            |code, message: String| Err(self.report(Diagnostic::error(code, span, message)));
        match value.as_ref() {
            Value::Object(_) => match to_text(index) {
                Some(key) => self.member(value, &key, span, false),
                None => wrong(
                    "index-type",
                    format!(
                        "the key of an object must be a string, but this is {}",
                        describe(index)
                    ),
                ),
            },
            Value::List(items) => {
                let length = items.len();
                let Some(whole) = to_number(index) else {
                    return wrong(
                        "index-type",
                        format!(
                            "the index of a list must be a number, but this is {}",
                            describe(index)
                        ),
                    );
                };
                let Some(position) = whole.as_i64() else {
                    return wrong(
                        "index-type",
                        format!("the index of a list must be a whole number, but this is {whole}"),
                    );
                };
                let in_range = usize::try_from(position).ok().filter(|position| *position < length);
                let Some(position) = in_range else {
                    let diagnostic = Diagnostic::error(
                        "index-range",
                        span,
                        format!(
                            "the list has {}, so there is no index {position}",
                            items_of(length)
                        ),
                    );
                    return Err(self.report(match (position, length) {
                        (_, 0) => diagnostic,
                        (..0, _) => diagnostic.help(
                            "indexes start at 0 and cannot be negative; the last item is `element(list, length(list) - 1)`",
                        ),
                        _ => diagnostic.help(format!("indexes go from 0 to {}", length - 1)),
                    }));
                };
                let item = match value {
                    Cow::Borrowed(Value::List(items)) => items.get(position).map(Cow::Borrowed),
                    Cow::Owned(Value::List(mut items)) => {
                        Some(Cow::Owned(items.swap_remove(position)))
                    }
                    _ => None,
                };
                item.ok_or(Failed)
            }
            Value::Set(_) => Err(self.report(
                Diagnostic::error("index-type", span, "a set has no order, so it has no indexes")
                    .help("make a list of it: `tolist(…)[0]`"),
            )),
            other => wrong("index-type", format!("{} cannot be indexed", describe(other))),
        }
    }
}

fn with_keys(diagnostic: Diagnostic, keys: &[&str]) -> Diagnostic {
    if keys.is_empty() {
        diagnostic.help("the object is empty")
    } else {
        diagnostic.help(format!("it has {}", name_list(keys.iter().copied(), 6)))
    }
}

fn items_of(length: usize) -> String {
    match length {
        0 => "no items".into(),
        1 => "1 item".into(),
        _ => format!("{length} items"),
    }
}

fn each_outside(span: Span) -> Diagnostic {
    Diagnostic::error("each-outside", span, "`each` is only known inside of `for_each` or `matrix`")
}
