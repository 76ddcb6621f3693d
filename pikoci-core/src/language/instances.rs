//! The instances of a job: `for_each` and `matrix`.

use std::collections::BTreeMap;

use super::diagnostic::Diagnostic;
use super::eval::Scope;
use super::fields::{Fields, Node, article};
use super::reader::Reader;
use super::source::Span;
use crate::name::slug;
use crate::pipeline::Instance;
use crate::value::Value;

/// How many instances a `for_each` or `matrix` may have.
const MAX_INSTANCES: usize = 1000;

/// What a job block stands for.
pub(super) enum Instances {
    /// One job.
    One,
    /// Something that was reported.
    Bad,
    /// A job for each of these.
    Many(Vec<Instance>),
}

/// The instances of a job block, in the order of their keys.
pub(super) fn instances(
    reader: &Reader<'_>,
    node: Node<'_>,
    scope: &Scope<'_>,
    name: &str,
) -> Instances {
    let fields = Fields::new(reader, node, scope);
    let for_each = fields.attribute("for_each");
    let matrix = fields.block("matrix");
    let instance = |key: String, value: Value| Instance { job: name.to_owned(), key, value };
    match (for_each, matrix) {
        (None, None) => Instances::One,
        (Some(_), Some(matrix)) => {
            reader.report(
                Diagnostic::error(
                    "for-each-and-matrix",
                    matrix.header_span(),
                    "a job takes `for_each` or `matrix`, not both",
                )
                .other(fields.value_span("for_each"), "`for_each` is here"),
            );
            // Without any, nothing else that is wrong with the job would be told.
            Instances::One
        }
        (Some(_), None) => {
            let span = fields.value_span("for_each");
            let Some(value) = fields.value("for_each") else { return Instances::Bad };
            let out: Vec<Instance> = match value {
                Value::Object(map) => {
                    map.into_iter().map(|(key, value)| instance(key, value)).collect()
                }
                Value::Set(items) if items.iter().all(|item| matches!(item, Value::String(_))) => {
                    items
                        .into_iter()
                        .filter_map(|item| item.to_text().map(|key| instance(key, item)))
                        .collect()
                }
                other => {
                    let diagnostic = Diagnostic::error(
                        "wrong-type",
                        span,
                        "`for_each` must be a set of strings or a map",
                    )
                    .label(format!("this is {}", article(other.kind())));
                    reader.report(if matches!(other, Value::List(_)) {
                        diagnostic.help("wrap the list in `toset(…)`")
                    } else {
                        diagnostic
                    });
                    return Instances::Bad;
                }
            };
            many(reader, out, span)
        }
        (None, Some(matrix)) => {
            let span = matrix.header_span();
            let inner = Fields::new(reader, matrix, scope);
            let mut rows: Vec<(Vec<String>, BTreeMap<String, Value>)> =
                vec![(Vec::new(), BTreeMap::new())];
            // In the order written, so that keys read as the author wrote the axes.
            let axes: Vec<&str> =
                matrix.block.body.attributes().map(|axis| axis.key.as_str()).collect();
            let mut values = inner.rest();
            for axis in axes {
                let Some(value) = values.remove(axis) else { return Instances::Bad };
                let items = match value {
                    Value::List(items) | Value::Set(items) if !items.is_empty() => items,
                    other => {
                        reader.report(
                            Diagnostic::error(
                                "wrong-type",
                                inner.key_span(axis),
                                format!("the axis `{axis}` must be a list with at least one item"),
                            )
                            .label(format!("this is {}", article(other.kind()))),
                        );
                        return Instances::Bad;
                    }
                };
                if rows.len().saturating_mul(items.len()) > MAX_INSTANCES {
                    too_many(reader, rows.len().saturating_mul(items.len()), span);
                    return Instances::Bad;
                }
                rows = rows
                    .iter()
                    .flat_map(|(keys, row)| {
                        items.iter().map(move |item| {
                            let mut keys = keys.clone();
                            keys.push(item.to_text().unwrap_or_default());
                            let mut row = row.clone();
                            row.insert(axis.to_owned(), item.clone());
                            (keys, row)
                        })
                    })
                    .collect();
            }
            inner.finish();
            if rows.len() == 1 && rows[0].0.is_empty() {
                reader.report(
                    Diagnostic::error(
                        "missing-attribute",
                        span,
                        "a `matrix` needs at least one axis",
                    )
                    .help("write `matrix { os = [\"linux\", \"macos\"] }`"),
                );
                return Instances::Bad;
            }
            many(
                reader,
                rows.into_iter()
                    .map(|(keys, row)| instance(keys.join("-"), Value::Object(row)))
                    .collect(),
                span,
            )
        }
    }
}

fn many(reader: &Reader<'_>, instances: Vec<Instance>, span: Span) -> Instances {
    if instances.len() > MAX_INSTANCES {
        too_many(reader, instances.len(), span);
        return Instances::Bad;
    }
    for instance in &instances {
        if slug(&instance.key).is_empty() {
            reader.report(Diagnostic::error(
                "invalid-name",
                span,
                format!("the key `{}` has no letter or digit to name an instance by", instance.key),
            ));
            return Instances::Bad;
        }
    }
    if instances.iter().any(|instance| instance.value.is_deferred()) {
        reader.report(Diagnostic::error(
            "known-at-run-time",
            span,
            "the instances of a job must be known when the pipeline is read",
        ));
        return Instances::Bad;
    }
    Instances::Many(instances)
}

fn too_many(reader: &Reader<'_>, count: usize, span: Span) {
    reader.report(Diagnostic::error(
        "too-many-instances",
        span,
        format!("this makes {count} jobs, and {MAX_INSTANCES} is the most"),
    ));
}
