//! `resource` and `notification` blocks.

use std::collections::BTreeMap;

use super::diagnostic::Diagnostic;
use super::eval::Scope;
use super::fields::{Fields, Node, with_suggestion};
use super::reader::Reader;
use super::source::Span;
use super::type_decls::TypeDecls;
use crate::catalog::CatalogKind;
use crate::params::Attributes;
use crate::pipeline::{Notification, NotifyOn, Resource};
use crate::schedule::Schedule;
use crate::value::Value;

/// How often a resource is checked when nothing is said.
pub(super) const DEFAULT_CHECK_INTERVAL: &str = "@every 1m";

fn duplicate(
    reader: &Reader<'_>,
    seen: &mut BTreeMap<(String, String), Span>,
    what: &str,
    kind: &str,
    name: &str,
    span: Span,
) -> bool {
    if let Some(first) = seen.get(&(kind.to_owned(), name.to_owned())) {
        reader.report(
            Diagnostic::error(
                "duplicate-name",
                span,
                format!("the {what} `{kind}.{name}` is declared twice"),
            )
            .other(*first, "the first declaration is here"),
        );
        return true;
    }
    seen.insert((kind.to_owned(), name.to_owned()), span);
    false
}

/// The `params` of an instance of a type, checked against the type where that
/// was found; `whole` also checks that none is missing.
pub(super) fn params(
    fields: &Fields<'_, '_>,
    types: &TypeDecls<'_>,
    kind: CatalogKind,
    name: &str,
    found: bool,
    whole: bool,
) -> Attributes {
    let node = fields.block("params");
    let params = fields.object("params");
    if found {
        let inner = node.map(|node| Fields::new(fields.reader, node, fields.scope));
        let span = |key: &str| match &inner {
            Some(inner) => inner.key_span(key),
            None => fields.value_span("params"),
        };
        let given = match &inner {
            Some(inner) => inner.given(),
            None => params.keys().map(|key| (key.as_str(), span(key))).collect(),
        };
        types.check_params(kind, name, given, fields.header(), whole);
        types.check_values(kind, name, &params, &span);
    }
    params
}

/// Reads every `resource`.
pub(super) fn resources(
    reader: &Reader<'_>,
    nodes: &[Node<'_>],
    scope: &Scope<'_>,
    types: &TypeDecls<'_>,
) -> Vec<Resource> {
    let mut out = Vec::new();
    let mut seen = BTreeMap::new();
    for node in nodes {
        let Some([(kind, kind_span), (name, name_span)]) = reader.labels(*node, ["TYPE", "NAME"])
        else {
            continue;
        };
        let fields = Fields::new(reader, *node, scope);
        reader.check_name("resource", name, name_span);
        if duplicate(reader, &mut seen, "resource", kind, name, fields.header()) {
            continue;
        }
        let found = types.require(CatalogKind::ResourceType, kind, kind_span);
        let params = params(&fields, types, CatalogKind::ResourceType, kind, found, true);
        let check_interval =
            fields.text("check_interval").unwrap_or_else(|| DEFAULT_CHECK_INTERVAL.into());
        if let Err(error) = Schedule::parse(&check_interval) {
            reader.report(
                Diagnostic::error(
                    "invalid-schedule",
                    fields.value_span("check_interval"),
                    error.to_string(),
                )
                .help("write `@every 30s`, `@hourly`, a cron expression such as `0 2 * * *`, or `never`"),
            );
        }
        let declared_cache = types.resource_type_caches(kind);
        out.push(Resource {
            kind: kind.to_owned(),
            name: name.to_owned(),
            params,
            check_interval,
            check_timeout: fields.duration("check_timeout"),
            tags: tags(reader, &fields),
            cache: fields.flag("cache").unwrap_or(declared_cache),
            webhook: fields.flag("webhook").unwrap_or(false),
            icon: fields.text("icon"),
            public_versions: fields.flag("public_versions").unwrap_or(false),
            location: fields.location(),
        });
        fields.finish();
    }
    out
}

/// Reads the attribute `tags`: at most 10 slugs.
pub(super) fn tags(reader: &Reader<'_>, fields: &Fields<'_, '_>) -> Vec<String> {
    let tags = fields.texts("tags");
    if tags.len() > 10 {
        reader.report(Diagnostic::error(
            "invalid-value",
            fields.value_span("tags"),
            format!("there are {} tags, and 10 is the most", tags.len()),
        ));
    }
    for tag in &tags {
        let slug = crate::name::slug(tag);
        if slug != *tag || tag.is_empty() {
            let diagnostic = Diagnostic::error(
                "invalid-value",
                fields.item_span("tags", tag),
                format!("`{tag}` cannot be a tag"),
            );
            reader.report(if slug.is_empty() {
                diagnostic.help("tags are lower-case slugs such as `gpu` or `linux-arm64`")
            } else {
                diagnostic.help(format!("tags are lower-case slugs: write `{slug}`"))
            });
        }
    }
    tags
}

/// Where each job that a notification names stands, by the attribute and the name.
pub(super) type NotificationSpans = BTreeMap<(&'static str, String), Span>;

/// Reads every `notification`.
pub(super) fn notifications(
    reader: &Reader<'_>,
    nodes: &[Node<'_>],
    scope: &Scope<'_>,
    types: &TypeDecls<'_>,
) -> (Vec<Notification>, Vec<NotificationSpans>) {
    const ON: [(&str, NotifyOn); 7] = [
        ("success", NotifyOn::Success),
        ("failure", NotifyOn::Failure),
        ("error", NotifyOn::Error),
        ("cancel", NotifyOn::Cancel),
        ("broken", NotifyOn::Broken),
        ("fixed", NotifyOn::Fixed),
        ("all", NotifyOn::All),
    ];
    let mut out = Vec::new();
    let mut all_spans = Vec::new();
    let mut seen = BTreeMap::new();
    for node in nodes {
        let Some([(kind, kind_span), (name, name_span)]) = reader.labels(*node, ["TYPE", "NAME"])
        else {
            continue;
        };
        let fields = Fields::new(reader, *node, scope);
        reader.check_name("notification", name, name_span);
        if duplicate(reader, &mut seen, "notification", kind, name, fields.header()) {
            continue;
        }
        let found = types.require(CatalogKind::NotificationType, kind, kind_span);
        let params = params(&fields, types, CatalogKind::NotificationType, kind, found, true);
        let mut on = Vec::new();
        for word in fields.texts("on") {
            match ON.iter().find(|(name, _)| *name == word) {
                Some((_, it)) => on.push(*it),
                None => {
                    let span = fields.item_span("on", &word);
                    reader.report(with_suggestion(
                        Diagnostic::error(
                            "invalid-value",
                            span,
                            format!("a notification cannot be sent on `{word}`"),
                        ),
                        span,
                        &word,
                        ON.map(|(name, _)| name),
                    ));
                }
            }
        }
        let (jobs, exclude) = (fields.texts("jobs"), fields.texts("exclude"));
        let mut spans = NotificationSpans::new();
        for (what, list) in [("jobs", &jobs), ("exclude", &exclude)] {
            for name in list {
                spans.insert((what, name.clone()), fields.item_span(what, name));
            }
        }
        all_spans.push(spans);
        out.push(Notification {
            kind: kind.to_owned(),
            name: name.to_owned(),
            params,
            message: fields.value("message").map(unescape_newlines),
            on,
            jobs,
            exclude,
            location: fields.location(),
        });
        fields.finish();
    }
    (out, all_spans)
}

/// In a message, a backslash followed by `n` is a newline.
fn unescape_newlines(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("\\n", "\n")),
        other => other,
    }
}
