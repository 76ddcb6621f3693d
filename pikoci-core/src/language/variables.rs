//! `variable` blocks: where each value comes from, and their types.

use std::collections::{BTreeMap, BTreeSet};

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, Traversal};
use hcl_edit::visit::Visit;

use super::diagnostic::Diagnostic;
use super::eval::{Binding, Scope};
use super::fields::{Fields, Node, article, with_suggestion};
use super::functions::{to_bool, to_number};
use super::reader::Reader;
use super::source::Span;
use super::type_decls::TypeDecls;
use crate::catalog::CatalogKind;
use crate::pipeline::{SecretRef, Variable, VariableType};
use crate::value::Value;

/// How long a chain of secrets that need each other may be.
const MAX_SECRET_CHAIN: usize = 10;

/// Finds the value of every declared variable, and reports those without one.
pub(super) fn bind(reader: &Reader<'_>, nodes: &[Node<'_>]) -> BTreeMap<String, Binding> {
    let scope = Scope::empty();
    let mut bindings = BTreeMap::new();
    let mut declared: BTreeMap<&str, Span> = BTreeMap::new();
    for node in nodes {
        let Some([(name, span)]) = reader.labels(*node, ["name"]) else { continue };
        if let Some(first) = declared.insert(name, span) {
            reader.report(
                Diagnostic::error(
                    "duplicate-variable",
                    span,
                    format!("the variable `{name}` is declared twice"),
                )
                .other(first, "the first declaration is here"),
            );
            continue;
        }
        bindings.insert(name.to_owned(), binding(reader, *node, name, &scope));
    }
    for (name, text) in &reader.options.vars {
        if !declared.contains_key(name.as_str()) && !reader.is_broken("variable", &[name]) {
            let argument = format!("{name}={text}");
            let file = reader.add_source("--var", &argument);
            let span = Span::new(file, 0..name.len());
            reader.report(with_suggestion(
                Diagnostic::error(
                    "unknown-variable",
                    span,
                    format!("the pipeline declares no variable `{name}`"),
                ),
                span,
                name,
                declared.keys().copied(),
            ));
        }
    }
    bindings
}

fn binding(reader: &Reader<'_>, node: Node<'_>, name: &str, scope: &Scope<'_>) -> Binding {
    let fields = Fields::new(reader, node, scope);
    // A type that is in error was reported by `declare`; anything goes here.
    let kind = variable_type(reader, &fields, false).unwrap_or(VariableType::Any);
    let options = reader.options;
    let from_env = || options.env.get(&format!("PIKOCI_VAR_{name}"));
    let given = options
        .vars
        .get(name)
        .map(|text| ("--var", Value::string(text.as_str())))
        .or_else(|| options.file_vars.get(name).map(|value| ("the vars file", value.clone())))
        .or_else(|| from_env().map(|text| ("the environment", Value::string(text.as_str()))));
    if let Some((origin, value)) = given {
        return convert(&value, kind).map_or_else(
            || {
                let wanted = article(type_name(kind));
                let given = value.to_text().unwrap_or_default();
                let message =
                    format!("the variable `{name}` is {wanted}, and {origin} gives `{given}`");
                let diagnostic = Diagnostic::error("wrong-type", fields.header(), message);
                reader.report(diagnostic.label("declared here"));
                Binding::Failed
            },
            Binding::Known,
        );
    }
    if fields.block("secret").is_some() {
        return Binding::Secret;
    }
    if fields.attribute("default").is_some() {
        if let Some(span) = fields.attribute("default").and_then(|it| uses_variable(&it.value)) {
            reader.report(
                Diagnostic::error(
                    "variable-in-default",
                    Span::new(node.file, span),
                    "the default of a variable cannot use other variables",
                )
                .help("put the values together where they are used"),
            );
            return Binding::Failed;
        }
        let Some(value) = fields
            .attribute("default")
            .and_then(|attribute| reader.evaluate(node.file, &attribute.value, scope))
        else {
            return Binding::Failed;
        };
        return convert(&value, kind).map_or_else(
            || {
                let message =
                    format!("the default of `{name}` must be {}", article(type_name(kind)));
                let diagnostic =
                    Diagnostic::error("wrong-type", fields.value_span("default"), message);
                reader.report(diagnostic.label(format!("this is {}", article(value.kind()))));
                Binding::Failed
            },
            Binding::Known,
        );
    }
    reader.report(
        Diagnostic::error(
            "missing-variable",
            fields.header(),
            format!("the variable `{name}` has no value"),
        )
        .help(format!(
            "give it with `--var {name}=…`, in a vars file, as PIKOCI_VAR_{name} in the environment, or as its `default`"
        )),
    );
    Binding::Failed
}

/// Reads every `variable` block whole, secrets included, and checks chains of secrets.
pub(super) fn declare(
    reader: &Reader<'_>,
    nodes: &[Node<'_>],
    scope: &Scope<'_>,
    types: &TypeDecls<'_>,
) -> BTreeMap<String, Variable> {
    let mut variables = BTreeMap::new();
    let mut spans = BTreeMap::new();
    for node in nodes {
        let [(name, span)] = match node.labels().as_slice() {
            [label] => [*label],
            _ => continue,
        };
        let fields = Fields::new(reader, *node, scope);
        reader.check_name("variable", name, span);
        let kind = variable_type(reader, &fields, true).unwrap_or(VariableType::String);
        let description = fields.text("description");
        fields.attribute("default");
        let secret = fields.block("secret").and_then(|node| secret(reader, node, scope, types));
        fields.finish();
        let value = match scope.variables().and_then(|variables| variables.get(name)) {
            Some(Binding::Known(value)) => Some(value.clone()),
            _ => None,
        };
        let location = reader.location(span);
        let secret = if value.is_some() { None } else { secret };
        variables.entry(name.to_owned()).or_insert(Variable {
            kind,
            description,
            value,
            secret,
            location,
        });
        spans.insert(name.to_owned(), span);
    }
    for (name, span) in &spans {
        check_chain(reader, name, *span, &variables, types);
    }
    variables
}

fn secret(
    reader: &Reader<'_>,
    node: Node<'_>,
    scope: &Scope<'_>,
    types: &TypeDecls<'_>,
) -> Option<SecretRef> {
    let [(secret_type, span)] = reader.labels(node, ["TYPE"])?;
    let fields = Fields::new(reader, node, scope);
    let found = types.require(CatalogKind::SecretType, secret_type, span);
    let key = fields.value("key");
    if let Some(other @ (Value::List(_) | Value::Set(_) | Value::Object(_))) = &key {
        reader.report(
            Diagnostic::error("wrong-type", fields.value_span("key"), "`key` must be a string")
                .label(format!("this is {}", article(other.kind()))),
        );
    }
    let params = fields.rest();
    if found {
        // `key` also goes to types for which it is a parameter (`env`).
        let mut given = fields.given();
        given.extend(key.is_some().then(|| ("key", fields.key_span("key"))));
        types.check_secret_params(secret_type, given, fields.header());
    }
    fields.finish();
    Some(SecretRef { secret_type: secret_type.to_owned(), params, key })
}

/// The variables that resolving `name` needs: those in its secret's parameters
/// and in the attributes of its secret type.
fn needs<'v>(
    name: &str,
    variables: &'v BTreeMap<String, Variable>,
    types: &TypeDecls<'_>,
) -> BTreeSet<String> {
    let Some(secret) = variables.get(name).and_then(|it: &'v Variable| it.secret.as_ref()) else {
        return BTreeSet::new();
    };
    let mut out: BTreeSet<String> =
        secret.params.values().flat_map(Value::secret_variables).map(str::to_owned).collect();
    out.extend(types.secret_type_variables(&secret.secret_type));
    out
}

fn check_chain(
    reader: &Reader<'_>,
    start: &str,
    span: Span,
    variables: &BTreeMap<String, Variable>,
    types: &TypeDecls<'_>,
) {
    // Depth first with the path in hand; the bound on its length also bounds the work.
    let mut path = vec![start.to_owned()];
    let mut pending: Vec<Vec<String>> = vec![needs(start, variables, types).into_iter().collect()];
    let mut steps = 0usize;
    while let Some(next) = pending.last_mut() {
        let Some(name) = next.pop() else {
            pending.pop();
            path.pop();
            continue;
        };
        steps += 1;
        if name == start {
            if path.iter().any(|other| *other < name) {
                // Told once for the whole circle, at the first of its names.
                return;
            }
            path.push(name);
            reader.report(
                Diagnostic::error(
                    "secret-cycle",
                    span,
                    format!("the secret of `{start}` needs itself"),
                )
                .label(path.join(" → "))
                .help("give one of them a value that needs no secret"),
            );
            return;
        }
        if path.len() > MAX_SECRET_CHAIN {
            reader.report(
                Diagnostic::error(
                    "secret-chain",
                    span,
                    format!("the secret of `{start}` needs a chain of more than {MAX_SECRET_CHAIN} others"),
                )
                .label(path.join(" → ")),
            );
            return;
        }
        if path.contains(&name) || steps > 10_000 {
            // A cycle further down is reported where it starts.
            continue;
        }
        let more = needs(&name, variables, types).into_iter().collect();
        path.push(name);
        pending.push(more);
    }
}

fn variable_type(
    reader: &Reader<'_>,
    fields: &Fields<'_, '_>,
    report: bool,
) -> Option<VariableType> {
    let Some(attribute) = fields.attribute("type") else {
        let default = fields.attribute("default").map(|attribute| &attribute.value);
        return Some(match default {
            None | Some(Expression::Null(_)) => VariableType::String,
            Some(Expression::Bool(_)) => VariableType::Bool,
            Some(Expression::Number(_) | Expression::UnaryOp(_)) => VariableType::Number,
            Some(
                Expression::String(_)
                | Expression::StringTemplate(_)
                | Expression::HeredocTemplate(_),
            ) => VariableType::String,
            Some(_) => VariableType::Any,
        });
    };
    let word = match &attribute.value {
        Expression::Variable(name) => name.as_str(),
        Expression::String(text) => text.as_str(),
        _ => "",
    };
    let kind = match word {
        "string" => Some(VariableType::String),
        "number" => Some(VariableType::Number),
        "bool" => Some(VariableType::Bool),
        "any" => Some(VariableType::Any),
        _ => None,
    };
    if kind.is_none() && report {
        let span = Span::new(fields.file, attribute.value.span().unwrap_or_default());
        reader.report(with_suggestion(
            Diagnostic::error("invalid-value", span, "there is no such type of variable"),
            span,
            word,
            ["string", "number", "bool"],
        ));
    }
    kind
}

pub(super) fn type_name(kind: VariableType) -> &'static str {
    match kind {
        VariableType::String => "string",
        VariableType::Number => "number",
        VariableType::Bool => "bool",
        VariableType::Any => "value of any type",
    }
}

/// The value as the variable's type has it; `None` when it cannot be that.
pub(super) fn convert(value: &Value, kind: VariableType) -> Option<Value> {
    match (kind, value) {
        (_, Value::Null) => Some(Value::Null),
        (VariableType::Any, Value::String(text)) => Some(
            serde_json::from_str(text)
                .ok()
                .filter(|json: &serde_json::Value| json.is_array() || json.is_object())
                .map_or_else(|| value.clone(), |json| Value::from_json(&json)),
        ),
        (VariableType::Any, other) => Some(other.clone()),
        (VariableType::String, Value::String(_)) => Some(value.clone()),
        (VariableType::String, Value::Number(_) | Value::Bool(_)) => {
            value.to_text().map(Value::String)
        }
        (VariableType::Number, value) => to_number(value).map(Value::Number),
        (VariableType::Bool, value) => to_bool(value).map(Value::Bool),
        _ => None,
    }
}

/// Where an expression names `var`, if it does.
fn uses_variable(expression: &Expression) -> Option<std::ops::Range<usize>> {
    struct Finder(Option<std::ops::Range<usize>>);
    impl Visit for Finder {
        fn visit_traversal(&mut self, traversal: &Traversal) {
            if traversal.expr.as_variable().is_some_and(|name| name.as_str() == "var") {
                self.0 = self.0.take().or(traversal.span());
            }
            hcl_edit::visit::visit_traversal(self, traversal);
        }
    }
    let mut finder = Finder(None);
    finder.visit_expr(expression);
    finder.0
}
