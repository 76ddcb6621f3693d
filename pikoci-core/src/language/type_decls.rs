//! Declared types: their commands, where they come from, and which parameters they take.

use std::cell::RefCell;
use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::diagnostic::Diagnostic;
use super::eval::Scope;
use super::fields::{Fields, Node, with_suggestion};
use super::reader::Reader;
use super::source::Span;
use super::suggest::{closest, name_list};
use crate::catalog::{CatalogEntry, CatalogKind, ParamSpec};
use crate::params::Attributes;
use crate::pipeline::{
    CommandBlock, NotificationTypeDecl, Pipeline, ReadyCheck, ResourceTypeDecl, RunnerTypeDecl,
    SecretTypeDecl, ServiceTypeDecl, TypeOrigin,
};
use crate::value::Value;

/// Time between two questions whether a service is ready, when nothing is said.
const READY_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);
/// Time after which a service counts as not coming up, when nothing is said.
const READY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// One declaration, whatever its kind.
enum Decl {
    Resource(ResourceTypeDecl),
    Runner(RunnerTypeDecl),
    Service(ServiceTypeDecl),
    Secret(SecretTypeDecl),
    Notification(NotificationTypeDecl),
}

impl Decl {
    fn origin(&mut self) -> &mut TypeOrigin {
        match self {
            Self::Resource(it) => &mut it.origin,
            Self::Runner(it) => &mut it.origin,
            Self::Service(it) => &mut it.origin,
            Self::Secret(it) => &mut it.origin,
            Self::Notification(it) => &mut it.origin,
        }
    }

    fn runner(&mut self) -> Option<&mut Option<CommandBlock>> {
        match self {
            Self::Resource(it) => Some(&mut it.runner),
            Self::Service(it) => Some(&mut it.runner),
            Self::Secret(it) => Some(&mut it.runner),
            Self::Notification(it) => Some(&mut it.runner),
            Self::Runner(_) => None,
        }
    }

    fn params(&self) -> Option<&Vec<String>> {
        match self {
            Self::Resource(it) => it.params.as_ref(),
            Self::Runner(it) => it.params.as_ref(),
            Self::Service(it) => it.params.as_ref(),
            Self::Notification(it) => it.params.as_ref(),
            Self::Secret(_) => None,
        }
    }
}

/// Every declared type, and the built-in ones in HCL that the pipeline uses.
pub(super) struct TypeDecls<'r> {
    reader: &'r Reader<'r>,
    decls: RefCell<Decls>,
}

/// By kind and name, each with its place where the pipeline itself declares it.
type Decls = BTreeMap<(CatalogKind, String), (Decl, Option<Span>)>;

const KINDS: [CatalogKind; 5] = [
    CatalogKind::ResourceType,
    CatalogKind::RunnerType,
    CatalogKind::ServiceType,
    CatalogKind::SecretType,
    CatalogKind::NotificationType,
];

impl<'r> TypeDecls<'r> {
    pub(super) fn new(reader: &'r Reader<'r>) -> Self {
        Self { reader, decls: RefCell::default() }
    }

    /// Reads every block that declares a type with this word.
    pub(super) fn declare(&self, word: &str, nodes: &[Node<'_>], scope: &Scope<'_>) {
        let Some(kind) = KINDS.into_iter().find(|kind| kind.block() == word) else { return };
        for node in nodes {
            let Some([(name, span)]) = self.reader.labels(*node, ["NAME"]) else { continue };
            self.reader.check_name(word, name, span);
            let key = (kind, name.to_owned());
            let first = self.decls.borrow().get(&key).map(|(_, first)| *first);
            if let Some(first) = first {
                let mut diagnostic = Diagnostic::error(
                    "duplicate-name",
                    span,
                    format!("the {word} `{name}` is declared twice"),
                );
                if let Some(first) = first {
                    diagnostic = diagnostic.other(first, "the first declaration is here");
                }
                self.reader.report(diagnostic);
                continue;
            }
            let decl = self.decl(kind, *node, scope, name);
            self.decls.borrow_mut().insert(key, (decl, Some(span)));
        }
    }

    fn decl(&self, kind: CatalogKind, node: Node<'_>, scope: &Scope<'_>, name: &str) -> Decl {
        let fields = Fields::new(self.reader, node, scope);
        let location = self.reader.location(fields.header());
        if fields.attribute("source").is_none() {
            let mut decl = self.inline(kind, &fields);
            decl.origin().location = location;
            fields.finish();
            return decl;
        }
        let source = fields.text("source").unwrap_or_default();
        let source_span = fields.value_span("source");
        let mut decl =
            self.fetched(kind, &source, source_span, name, scope).unwrap_or_else(|| empty(kind));
        if let Some(own) = decl.runner()
            && let Some(node) = fields.block("runner")
        {
            *own = self.command(node, scope);
        }
        match &mut decl {
            Decl::Resource(it) => it.cache = fields.flag("cache").unwrap_or(it.cache),
            Decl::Secret(it) => it.attributes.extend(fields.rest()),
            _ => {}
        }
        for command in
            ["check", "pull", "push", "run", "start", "ready_check", "stop", "get", "notify"]
        {
            for node in fields.blocks(command) {
                self.reader.report(
                    Diagnostic::error(
                        "source-and-commands",
                        node.header_span(),
                        format!(
                            "a `{}` takes its own commands or a `source`, never both",
                            kind.block()
                        ),
                    )
                    .other(source_span, "the source is given here")
                    .help("leave one of them out"),
                );
            }
        }
        if kind != CatalogKind::SecretType && fields.attribute("params").is_some() {
            self.reader.report(
                Diagnostic::error(
                    "source-and-commands",
                    fields.value_span("params"),
                    "the parameters of a type with a `source` are told by the source",
                )
                .help("leave `params` out"),
            );
        }
        fields.finish();
        let origin = decl.origin();
        origin.source = Some(source);
        origin.location = location;
        decl
    }

    /// The declaration behind a `source`; `None` when something about it was reported.
    fn fetched(
        &self,
        kind: CatalogKind,
        source: &str,
        span: Span,
        name: &str,
        scope: &Scope<'_>,
    ) -> Option<Decl> {
        let word = kind.block();
        let report = |message: String, help: &str| {
            let diagnostic = Diagnostic::error("bad-source", span, message);
            self.reader.report(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
        };
        if let Some(built_in) = source.strip_prefix("pikoci://") {
            return self.built_in(kind, built_in, span, scope);
        }
        let (address, wanted) = match source.split_once('#') {
            None => (source, None),
            Some((address, fragment)) => match fragment.strip_prefix("sha256=") {
                Some(digest)
                    if digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit()) =>
                {
                    (address, Some(digest.to_ascii_lowercase()))
                }
                _ => {
                    report(
                        format!("`#{fragment}` is not a digest"),
                        "write `#sha256=` and 64 hexadecimal digits",
                    );
                    return None;
                }
            },
        };
        let text = if let Some(path) = address.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            match self.reader.files() {
                None => {
                    report(
                        "a `file:` source needs a directory to be relative to".into(),
                        "read the pipeline from a file",
                    );
                    return None;
                }
                Some(files) => {
                    files.read_text(path, self.reader.budget()).map_err(|error| error.to_string())
                }
            }
        } else if address.starts_with("https://") || address.starts_with("http://") {
            self.reader.options.loader.load(address)
        } else {
            report(
                format!("`{source}` is not a source"),
                "a source is `pikoci://NAME`, `https://…`, `http://…` or `file:./path.hcl`",
            );
            return None;
        };
        let text = match text {
            Ok(text) => text,
            Err(reason) => {
                report(format!("cannot read `{address}`: {reason}"), "");
                return None;
            }
        };
        let digest = hex(&Sha256::digest(text.as_bytes()));
        if let Some(wanted) = wanted
            && wanted != digest
        {
            report(
                format!("`{address}` has another content than the pipeline expects"),
                &format!(
                    "its digest is now sha256={digest}; look at what changed before you take it over"
                ),
            );
            return None;
        }
        let mut decl = self.definition(kind, address, &text, name, scope).or_else(|| {
            report(
                format!(
                    "`{address}` declares no `{word}`, or more than one and none is named `{name}`"
                ),
                "",
            );
            None
        })?;
        decl.origin().sha256 = Some(digest);
        Some(decl)
    }

    /// The one declaration of that kind in a text.
    fn definition(
        &self,
        kind: CatalogKind,
        file_name: &str,
        text: &str,
        name: &str,
        scope: &Scope<'_>,
    ) -> Option<Decl> {
        let (file, body) = self.reader.parse(file_name, text);
        let nodes: Vec<Node<'_>> = body
            .blocks()
            .filter(|block| block.ident.as_str() == kind.block())
            .map(|block| Node { file, block })
            .collect();
        let node = match nodes.as_slice() {
            [only] => *only,
            several => *several
                .iter()
                .find(|node| node.labels().first().is_some_and(|(label, _)| *label == name))?,
        };
        let fields = Fields::new(self.reader, node, scope);
        let decl = self.inline(kind, &fields);
        fields.finish();
        Some(decl)
    }

    fn built_in(
        &self,
        kind: CatalogKind,
        name: &str,
        span: Span,
        scope: &Scope<'_>,
    ) -> Option<Decl> {
        let catalog = self.reader.options.catalog;
        let Some(entry) = catalog.get(kind, name) else {
            let diagnostic = Diagnostic::error(
                "unknown-type",
                span,
                format!("there is no built-in {} `{name}`", kind.block()),
            );
            let names: Vec<&str> = catalog.iter(kind).map(|(name, _)| name).collect();
            let diagnostic = match closest(name, names.iter().copied()) {
                Some(best) => diagnostic
                    .help(format!("did you mean `pikoci://{best}`?"))
                    .suggest(span, format!("\"pikoci://{best}\"")),
                None => diagnostic.help(format!("there is {}", name_list(names, 24))),
            };
            self.reader.report(diagnostic);
            return None;
        };
        self.warn_unavailable(kind, name, span);
        match entry.definition {
            Some(text) => self.definition(kind, &format!("pikoci://{name}"), text, name, scope),
            None => {
                let mut decl = empty(kind);
                decl.origin().built_in = Some(name.to_owned());
                Some(decl)
            }
        }
    }

    fn inline(&self, kind: CatalogKind, fields: &Fields<'_, '_>) -> Decl {
        let scope = fields.scope;
        let params = || {
            fields.attribute("params")?;
            Some(fields.texts("params"))
        };
        let command =
            |name: &'static str| fields.block(name).and_then(|node| self.command(node, scope));
        let origin = TypeOrigin::default();
        match kind {
            CatalogKind::ResourceType => Decl::Resource(ResourceTypeDecl {
                origin,
                params: params(),
                check: command("check"),
                pull: command("pull"),
                push: command("push"),
                runner: command("runner"),
                cache: fields.flag("cache").unwrap_or(false),
            }),
            CatalogKind::RunnerType => self.runner_type(fields, params()),
            CatalogKind::ServiceType => {
                let start = command("start");
                if start.is_none() && fields.block("start").is_none() {
                    self.missing_command(fields, "start");
                }
                Decl::Service(ServiceTypeDecl {
                    origin,
                    params: params(),
                    start,
                    ready_check: fields.block("ready_check").and_then(|node| {
                        let inner = Fields::new(self.reader, node, scope);
                        let interval = inner.duration("interval").unwrap_or(READY_INTERVAL);
                        let timeout = inner.duration("timeout").unwrap_or(READY_TIMEOUT);
                        let command = self.command_of(node, &inner)?;
                        inner.finish();
                        Some(ReadyCheck { command, interval, timeout })
                    }),
                    stop: command("stop"),
                    runner: command("runner"),
                })
            }
            CatalogKind::SecretType => {
                let get = command("get");
                if get.is_none() && fields.block("get").is_none() {
                    self.missing_command(fields, "get");
                }
                let runner = command("runner");
                Decl::Secret(SecretTypeDecl { origin, attributes: fields.rest(), get, runner })
            }
            CatalogKind::NotificationType => {
                let notify = command("notify");
                if notify.is_none() && fields.block("notify").is_none() {
                    self.missing_command(fields, "notify");
                }
                Decl::Notification(NotificationTypeDecl {
                    origin,
                    params: params(),
                    notify,
                    runner: command("runner"),
                })
            }
        }
    }

    fn missing_command(&self, fields: &Fields<'_, '_>, name: &str) {
        self.reader.report(
            Diagnostic::error(
                "missing-block",
                fields.header(),
                format!("this type needs a `{name}` block or a `source`"),
            )
            .help(format!(
                "add `{name} \"exec\" {{ path = \"…\" }}`, or `source = \"pikoci://…\"`"
            )),
        );
    }

    fn runner_type(&self, fields: &Fields<'_, '_>, params: Option<Vec<String>>) -> Decl {
        let mut decl = RunnerTypeDecl { params, ..RunnerTypeDecl::default() };
        let Some(node) = fields.block("run") else {
            self.missing_command(fields, "run");
            return Decl::Runner(decl);
        };
        if let Some((_, span)) = node.labels().first() {
            self.reader.report(
                Diagnostic::error("wrong-labels", *span, "the `run` of a runner_type has no label")
                    .help("write `run { path = … args = […] }`"),
            );
        }
        let run = Fields::new(self.reader, node, fields.scope);
        if run.attribute("path").is_none() {
            run.missing_attribute("path");
        }
        decl.path = run.value("path").unwrap_or_default();
        match run.value("args") {
            None => {}
            Some(Value::List(items)) => decl.args = items,
            Some(_) => {
                run.texts("args");
            }
        }
        decl.env = run.object("env");
        run.finish();
        Decl::Runner(decl)
    }

    /// Reads a command block, `check "exec" { … }`, and checks it against its runner.
    pub(super) fn command(&self, node: Node<'_>, scope: &Scope<'_>) -> Option<CommandBlock> {
        let fields = Fields::new(self.reader, node, scope);
        let command = self.command_of(node, &fields);
        fields.finish();
        command
    }

    /// The same, from fields of which some were taken already.
    pub(super) fn command_of(
        &self,
        node: Node<'_>,
        fields: &Fields<'_, '_>,
    ) -> Option<CommandBlock> {
        let label = self.reader.labels(node, ["RUNNER"]);
        // Runners take maps such as `env` as a block, too.
        let mut params = fields.rest();
        let mut given = fields.given();
        if let Some(env) = fields.block("env") {
            given.push(("env", env.word_span()));
            params.insert("env".into(), Value::Object(fields.object("env")));
        }
        let [(runner, span)] = label?;
        if self.require(CatalogKind::RunnerType, runner, span) {
            // The override of a type says only what is different.
            let whole = node.word() != "runner";
            self.check_params(CatalogKind::RunnerType, runner, given, fields.header(), whole);
        }
        Some(CommandBlock { runner: runner.to_owned(), params, location: fields.location() })
    }

    fn warn_unavailable(&self, kind: CatalogKind, name: &str, span: Span) {
        if self.reader.options.catalog.get(kind, name).is_some_and(|entry| !entry.available) {
            self.reader.report(
                Diagnostic::warning(
                    "not-available",
                    span,
                    format!("`pikoci://{name}` is not in this version yet: what uses it errors when it runs"),
                )
                .help(format!("until then, declare a {} of your own", kind.block())),
            );
        }
    }

    /// Whether there is a type of that name, declared or built in; reports it when not.
    pub(super) fn require(&self, kind: CatalogKind, name: &str, span: Span) -> bool {
        let key = (kind, name.to_owned());
        if self.decls.borrow().contains_key(&key) {
            return true;
        }
        let catalog = self.reader.options.catalog;
        if let Some(entry) = catalog.get(kind, name) {
            self.warn_unavailable(kind, name, span);
            if entry.definition.is_some()
                && let Some(mut decl) = self.built_in(kind, name, span, &Scope::empty())
            {
                decl.origin().source = Some(format!("pikoci://{name}"));
                decl.origin().location = self.reader.location(span);
                self.decls.borrow_mut().insert(key, (decl, None));
            }
            return true;
        }
        if self.reader.is_broken(kind.block(), &[name]) {
            return false;
        }
        let what = match kind {
            CatalogKind::RunnerType => "runner",
            other => other.block(),
        };
        let declared: Vec<String> = self
            .decls
            .borrow()
            .keys()
            .filter(|(declared, _)| *declared == kind)
            .map(|(_, name)| name.clone())
            .collect();
        let names =
            declared.iter().map(String::as_str).chain(catalog.iter(kind).map(|(name, _)| name));
        let quoted: Vec<&str> = names.collect();
        let mut diagnostic =
            Diagnostic::error("unknown-type", span, format!("there is no {what} `{name}`"));
        diagnostic = match closest(name, quoted.iter().copied()) {
            Some(best) => diagnostic
                .help(format!("did you mean `{best}`?"))
                .suggest(span, format!("\"{best}\"")),
            None => diagnostic
                .help(format!("declare it with `{} \"{name}\" {{ … }}`", kind.block()))
                .help(format!("there is {}", name_list(quoted.iter().copied(), 24))),
        };
        self.reader.report(diagnostic);
        false
    }

    /// The catalog's entry behind a type, unless the pipeline has commands of its own for it.
    fn entry(&self, kind: CatalogKind, name: &str) -> Option<&'r CatalogEntry> {
        let catalog = self.reader.options.catalog;
        let mut decls = self.decls.borrow_mut();
        let Some((decl, _)) = decls.get_mut(&(kind, name.to_owned())) else {
            return catalog.get(kind, name);
        };
        let origin = decl.origin();
        let source = origin.source.as_deref().and_then(|source| source.strip_prefix("pikoci://"));
        catalog.get(kind, origin.built_in.as_deref().or(source)?)
    }

    fn spec(&self, kind: CatalogKind, name: &str) -> Option<ParamSpec> {
        if let Some(entry) = self.entry(kind, name) {
            return Some(entry.params.clone());
        }
        let decls = self.decls.borrow();
        let (decl, _) = decls.get(&(kind, name.to_owned()))?;
        // What a runner_type's own attributes refer to is not known to be complete:
        // without `params`, anything goes.
        Some(ParamSpec { accepted: decl.params().cloned(), ..ParamSpec::default() })
    }

    /// Reports parameters that a type does not know, and (`whole`) those that are missing.
    pub(super) fn check_params(
        &self,
        kind: CatalogKind,
        name: &str,
        given: Vec<(&str, Span)>,
        header: Span,
        whole: bool,
    ) {
        let Some(spec) = self.spec(kind, name) else { return };
        let what = match kind {
            CatalogKind::RunnerType => "runner",
            other => other.block(),
        };
        self.check_against(&spec, &format!("the {what} `{name}`"), given, header, whole);
    }

    /// The same for what a `put` pushes to a resource of a type.
    pub(super) fn check_put(&self, name: &str, given: Vec<(&str, Span)>, header: Span) {
        if let Some(entry) = self.entry(CatalogKind::ResourceType, name) {
            let what = format!("a `put` to a resource of type `{name}`");
            self.check_against(&entry.put, &what, given, header, true);
        }
    }

    /// Reports values that a type knows to be wrong.
    pub(super) fn check_values(
        &self,
        kind: CatalogKind,
        name: &str,
        values: &Attributes,
        span: &dyn Fn(&str) -> Span,
    ) {
        let known = values.iter().filter(|(_, value)| !value.is_deferred());
        let known = known.map(|(name, value)| (name.clone(), value.clone())).collect();
        let check = self.entry(kind, name).and_then(|entry| entry.check);
        if let Some(Err(problem)) = check.map(|check| check(&known)) {
            self.reader.report(Diagnostic::error(
                "invalid-value",
                span(&problem.param),
                problem.message,
            ));
        }
    }

    fn check_against(
        &self,
        spec: &ParamSpec,
        what: &str,
        given: Vec<(&str, Span)>,
        header: Span,
        whole: bool,
    ) {
        let mut meant: Vec<&str> = Vec::new();
        if let Some(accepted) = &spec.accepted {
            for (param, span) in &given {
                if !accepted.iter().any(|known| known == param) {
                    meant.extend(closest(param, accepted.iter().map(String::as_str)));
                    self.reader.report(with_suggestion(
                        Diagnostic::error(
                            "unknown-parameter",
                            *span,
                            format!("{what} has no parameter `{param}`"),
                        ),
                        *span,
                        param,
                        accepted.iter().map(String::as_str),
                    ));
                }
            }
        }
        for required in spec.required.iter().filter(|_| whole) {
            // One that is only misspelt was reported already.
            if !given.iter().any(|(param, _)| param == required)
                && !meant.contains(&required.as_str())
            {
                self.reader.report(
                    Diagnostic::error(
                        "missing-parameter",
                        header,
                        format!("{what} needs the parameter `{required}`"),
                    )
                    .help(format!("add `{required} = …`")),
                );
            }
        }
        for group in spec.exactly_one.iter().filter(|_| whole) {
            let names = name_list(group.iter().map(String::as_str), group.len());
            let mut found = given.iter().filter(|(param, _)| group.iter().any(|it| it == param));
            let meant = group.iter().any(|name| meant.contains(&name.as_str()));
            match (found.next(), found.next()) {
                (None, _) if !meant => self.reader.report(Diagnostic::error(
                    "missing-parameter",
                    header,
                    format!("{what} needs one of the parameters {names}"),
                )),
                (Some((_, first)), Some((_, second))) => self.reader.report(
                    Diagnostic::error(
                        "too-many-parameters",
                        *second,
                        format!("{what} takes only one of the parameters {names}"),
                    )
                    .other(*first, "one is here"),
                ),
                _ => {}
            }
        }
    }

    /// The same for a `secret` block, whose type may have some of them already.
    pub(super) fn check_secret_params(&self, name: &str, given: Vec<(&str, Span)>, header: Span) {
        let key = (CatalogKind::SecretType, name.to_owned());
        let own: Vec<String> = match self.decls.borrow().get(&key) {
            Some((Decl::Secret(decl), _)) => decl.attributes.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let mut given: Vec<(&str, Span)> = given;
        given.extend(own.iter().map(|name| (name.as_str(), header)));
        if let Some(spec) = self.spec(CatalogKind::SecretType, name) {
            // `key` picks a field of the answer for every type.
            if !spec.accepted.as_ref().is_some_and(|it| it.iter().any(|name| name == "key")) {
                given.retain(|(name, _)| *name != "key");
            }
        }
        self.check_params(CatalogKind::SecretType, name, given, header, true);
    }

    /// The secret-backed variables in a secret type's own attributes and command.
    pub(super) fn secret_type_variables(&self, name: &str) -> Vec<String> {
        match self.decls.borrow().get(&(CatalogKind::SecretType, name.to_owned())) {
            Some((Decl::Secret(decl), _)) => decl
                .attributes
                .values()
                .chain(
                    [&decl.get, &decl.runner]
                        .into_iter()
                        .flatten()
                        .flat_map(|it| it.params.values()),
                )
                .flat_map(Value::secret_variables)
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether a resource type says that its resources have a cache.
    pub(super) fn resource_type_caches(&self, name: &str) -> bool {
        let key = (CatalogKind::ResourceType, name.to_owned());
        matches!(self.decls.borrow().get(&key), Some((Decl::Resource(decl), _)) if decl.cache)
    }

    /// Whether a resource type has a `check` or a `push`; built-in ones have both.
    pub(super) fn resource_type_has(&self, name: &str, command: &str) -> bool {
        let key = (CatalogKind::ResourceType, name.to_owned());
        match self.decls.borrow().get(&key) {
            Some((Decl::Resource(decl), _)) if decl.origin.built_in.is_none() => match command {
                "check" => decl.check.is_some(),
                _ => decl.push.is_some(),
            },
            _ => true,
        }
    }

    /// Puts the types into the pipeline.
    pub(super) fn finish(self, pipeline: &mut Pipeline) {
        for ((_, name), (decl, _)) in self.decls.into_inner() {
            match decl {
                Decl::Resource(it) => {
                    pipeline.resource_types.insert(name, it);
                }
                Decl::Runner(it) => {
                    pipeline.runner_types.insert(name, it);
                }
                Decl::Service(it) => {
                    pipeline.service_types.insert(name, it);
                }
                Decl::Secret(it) => {
                    pipeline.secret_types.insert(name, it);
                }
                Decl::Notification(it) => {
                    pipeline.notification_types.insert(name, it);
                }
            }
        }
    }
}

fn empty(kind: CatalogKind) -> Decl {
    match kind {
        CatalogKind::ResourceType => Decl::Resource(ResourceTypeDecl::default()),
        CatalogKind::RunnerType => Decl::Runner(RunnerTypeDecl::default()),
        CatalogKind::ServiceType => Decl::Service(ServiceTypeDecl::default()),
        CatalogKind::SecretType => Decl::Secret(SecretTypeDecl::default()),
        CatalogKind::NotificationType => Decl::Notification(NotificationTypeDecl::default()),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
