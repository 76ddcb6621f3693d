//! Lists, objects and `for` expressions.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use hcl_edit::expr::{Array, Expression, ForExpr, Object, ObjectKey};

use super::scope::Scope;
use super::{Evaluator, Failed, ITEM_BYTES};
use crate::language::diagnostic::Diagnostic;
use crate::language::operators::{describe, to_text};
use crate::language::source::Span;
use crate::value::Value;

/// One item of a collection as `for` sees it: its key or index, and itself.
type Pair<'v> = (Value, &'v Value);

impl Evaluator<'_> {
    /// A list; the faults of all its items are reported.
    pub(super) fn eval_array(
        &self,
        expr: &Expression,
        array: &Array,
        scope: &Scope<'_>,
    ) -> Result<Value, Failed> {
        self.charge(expr, 0, array.len() * ITEM_BYTES)?;
        // Collected first, so that a failing item does not hide the next ones.
        let items: Vec<_> = array.iter().map(|item| self.eval(item, scope)).collect();
        items.into_iter().collect::<Result<_, _>>().map(Value::List)
    }

    /// An object; the faults of all its items are reported. A later item wins
    /// over an earlier one with the same key.
    pub(super) fn eval_object(
        &self,
        expr: &Expression,
        object: &Object,
        scope: &Scope<'_>,
    ) -> Result<Value, Failed> {
        self.charge(expr, 0, object.len() * 2 * ITEM_BYTES)?;
        let mut map = BTreeMap::new();
        let mut failed = false;
        for (key, value) in object.iter() {
            let key = self.object_key(key, scope);
            let value = self.eval(value.expr(), scope);
            match (key, value) {
                (Ok(key), Ok(value)) => {
                    map.insert(key, value);
                }
                _ => failed = true,
            }
        }
        if failed { Err(Failed) } else { Ok(Value::Object(map)) }
    }

    fn object_key(&self, key: &ObjectKey, scope: &Scope<'_>) -> Result<String, Failed> {
        match key {
            ObjectKey::Ident(name) => Ok(name.value().as_str().to_owned()),
            // `null` alone is as much a bare word as any other.
            ObjectKey::Expression(Expression::Null(_)) => Ok("null".into()),
            ObjectKey::Expression(expr @ Expression::Traversal(traversal))
                if matches!(traversal.expr, Expression::Variable(_)) =>
            {
                Err(self.report(
                    Diagnostic::error("object-key", self.span_of(expr), "this key is ambiguous")
                        .label("a word or an expression?")
                        .help("for the value of an expression put the key into parentheses, for a text into quotes"),
                ))
            }
            ObjectKey::Expression(expr) => {
                let value = self.eval_ref(expr, scope)?;
                self.key_text(&value, self.span_of(expr))
            }
        }
    }

    /// A value as the key of an object.
    fn key_text(&self, value: &Value, span: Span) -> Result<String, Failed> {
        self.known(value, span)?;
        to_text(value).ok_or_else(|| {
            self.report(Diagnostic::error(
                "object-key",
                span,
                format!("the key of an object must be a string, but this is {}", describe(value)),
            ))
        })
    }

    /// The items of a collection, with their keys as `for` gives them: the
    /// index in a list, the key in an object, the item itself in a set.
    pub(super) fn pairs<'v>(
        &self,
        collection: &'v Value,
        span: Span,
    ) -> Result<Box<dyn Iterator<Item = Pair<'v>> + 'v>, Failed> {
        self.known(collection, span)?;
        match collection {
            Value::List(items) => {
                Ok(Box::new((0i64..).zip(items).map(|(index, item)| (Value::from(index), item))))
            }
            Value::Set(items) => Ok(Box::new(items.iter().map(|item| (item.clone(), item)))),
            Value::Object(map) => {
                Ok(Box::new(map.iter().map(|(key, item)| (Value::from(key.as_str()), item))))
            }
            other => Err(self.report(Diagnostic::error(
                "for-collection",
                span,
                format!("`for` needs a list, a set or an object, but this is {}", describe(other)),
            ))),
        }
    }

    /// A `for` expression, of either form.
    pub(super) fn eval_for(
        &self,
        expr: &Expression,
        for_expr: &ForExpr,
        scope: &Scope<'_>,
    ) -> Result<Value, Failed> {
        let intro = &for_expr.intro;
        let collection = self.eval_ref(&intro.collection_expr, scope)?;
        let pairs = self.pairs(&collection, self.span_of(&intro.collection_expr))?;
        let mut result = match for_expr.key_expr {
            None => Gathered::List(Vec::new()),
            Some(_) if for_expr.grouping => Gathered::Groups(BTreeMap::new()),
            Some(_) => Gathered::Object(BTreeMap::new()),
        };
        for (key, item) in pairs {
            let mut inner = scope.child();
            if let Some(name) = &intro.key_var {
                inner = inner.bind(name.value().as_str(), Cow::Owned(key));
            }
            let inner = inner.bind(intro.value_var.value().as_str(), Cow::Borrowed(item));
            if let Some(condition) = &for_expr.cond {
                let span = self.span_of(&condition.expr);
                let value = self.eval_ref(&condition.expr, &inner)?;
                if !self.condition(&value, "the condition of `for`", span)? {
                    continue;
                }
            }
            self.charge(expr, 1, ITEM_BYTES)?;
            match &for_expr.key_expr {
                None => {
                    result.push(None, self.eval(&for_expr.value_expr, &inner)?);
                }
                Some(key_expr) => {
                    let key = self.eval_ref(key_expr, &inner);
                    let value = self.eval(&for_expr.value_expr, &inner);
                    let span = self.span_of(key_expr);
                    let key = self.key_text(&*key?, span)?;
                    self.charge(expr, 0, ITEM_BYTES + key.len())?;
                    if let Some(twice) = result.push(Some(key), value?) {
                        return Err(self.report(Diagnostic::error(
                            "duplicate-key",
                            span,
                            format!("two items have the key `{twice}`"),
                        )));
                    }
                }
            }
        }
        Ok(result.finish())
    }
}

/// What a `for` expression has gathered so far.
enum Gathered {
    List(Vec<Value>),
    Object(BTreeMap<String, Value>),
    Groups(BTreeMap<String, Vec<Value>>),
}

impl Gathered {
    /// Adds an item; answers its key where that was taken already.
    fn push(&mut self, key: Option<String>, value: Value) -> Option<String> {
        let key = key.unwrap_or_default();
        match self {
            Self::List(items) => items.push(value),
            Self::Groups(groups) => groups.entry(key).or_default().push(value),
            Self::Object(map) => match map.entry(key) {
                Entry::Occupied(taken) => return Some(taken.key().clone()),
                Entry::Vacant(free) => {
                    free.insert(value);
                }
            },
        }
        None
    }

    fn finish(self) -> Value {
        match self {
            Self::List(items) => Value::List(items),
            Self::Object(map) => Value::Object(map),
            Self::Groups(groups) => Value::Object(
                groups.into_iter().map(|(key, items)| (key, Value::List(items))).collect(),
            ),
        }
    }
}
