//! The names an expression may use.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::value::Value;

/// What a declared variable stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum Binding {
    /// Its value.
    Known(Value),
    /// A secret backs it: the value is known only at run time.
    Secret,
    /// It has no value and that was reported; uses of it fail without another word.
    Failed,
}

/// The names an expression may use: `var.…`, `each.…` and those bound by `for`.
#[derive(Debug, Clone, Default)]
pub struct Scope<'a> {
    parent: Option<&'a Scope<'a>>,
    variables: Option<&'a BTreeMap<String, Binding>>,
    each: Option<Each>,
    names: Vec<(&'a str, Cow<'a, Value>)>,
}

/// The instance of a `for_each` or a `matrix`.
#[derive(Debug, Clone)]
struct Each {
    key: Value,
    value: Value,
}

impl<'a> Scope<'a> {
    /// A scope with the declared variables.
    pub fn new(variables: &'a BTreeMap<String, Binding>) -> Self {
        Self { variables: Some(variables), ..Self::default() }
    }

    /// A scope without any names, `var` included.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A scope inside this one, with the same names.
    #[must_use]
    pub fn child(&'a self) -> Self {
        Self { parent: Some(self), ..Self::default() }
    }

    /// This scope with `each.key` and `each.value`.
    #[must_use]
    pub fn with_each(mut self, key: Value, value: Value) -> Self {
        self.each = Some(Each { key, value });
        self
    }

    /// This scope with one more bare name, hiding any other of that name.
    #[must_use]
    pub fn bind(mut self, name: &'a str, value: Cow<'a, Value>) -> Self {
        self.names.push((name, value));
        self
    }

    /// The value of a bare name bound here or further out.
    pub fn name(&self, name: &str) -> Option<&Value> {
        self.chain()
            .flat_map(|scope| scope.names.iter().rev())
            .find_map(|(bound, value)| (*bound == name).then(|| value.as_ref()))
    }

    /// The declared variables; `None` where `var` is not available at all.
    pub fn variables(&self) -> Option<&BTreeMap<String, Binding>> {
        self.chain().find_map(|scope| scope.variables)
    }

    /// `each.key` and `each.value`.
    pub fn each(&self) -> Option<(&Value, &Value)> {
        self.chain().find_map(|scope| scope.each.as_ref()).map(|each| (&each.key, &each.value))
    }

    /// Every bare name that is bound, the innermost first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.chain().flat_map(|scope| scope.names.iter().rev()).map(|(name, _)| *name)
    }

    fn chain(&self) -> impl Iterator<Item = &Scope<'a>> {
        std::iter::successors(Some(self), |scope| scope.parent)
    }
}

/// Whether `${name}` in a text is left for run time instead of being evaluated.
///
/// That is so for names in capitals (`BUILD_NUMBER`, `WORKDIR`) and those that
/// begin with `param_`, `version_`, `put_` or `notify_`.
pub fn is_run_time_name(name: &str) -> bool {
    let in_capitals = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    in_capitals
        || ["param_", "version_", "put_", "notify_"].iter().any(|prefix| name.starts_with(prefix))
}
