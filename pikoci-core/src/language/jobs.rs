//! `job` blocks: instances, steps and hooks.

use std::collections::BTreeMap;

use super::diagnostic::Diagnostic;
use super::eval::Scope;
use super::fields::{Fields, Node, article, with_suggestion};
use super::instances::{Instances, instances};
use super::reader::Reader;
use super::resources::{params, tags};
use super::source::Span;
use super::syntax::layout::TEMPLATE_IN_LABEL;
use super::type_decls::TypeDecls;
use super::variables::{convert, type_name};
use crate::catalog::CatalogKind;
use crate::condition::Condition;
use crate::name::{StepId, slug};
use crate::params::Attributes;
use crate::pipeline::{
    Approval, Branch, CommandBlock, Get, Hook, HookBody, Hooks, Instance, Job, JobInput,
    Notification, Notify, Put, Resource, Retention, Service, Step, StepKind, Task, VariableType,
    VersionChoice,
};
use crate::value::Value;

/// The blocks that are steps.
pub(super) const STEP_WORDS: [&str; 11] = [
    "get",
    "task",
    "put",
    "service",
    "notify",
    "in_parallel",
    "do",
    "try",
    "if",
    "else_if",
    "else",
];
const HOOK_WORDS: [&str; 5] = ["on_success", "on_failure", "on_cancel", "on_error", "ensure"];
const JOB_BLOCKS: [&str; 4] = ["input", "approve", "retention", "matrix"];

/// What jobs may refer to.
#[derive(Clone, Copy)]
pub(super) struct Known<'k> {
    pub(super) types: &'k TypeDecls<'k>,
    pub(super) resources: &'k [Resource],
    pub(super) notifications: &'k [Notification],
}

/// A job with the places that the last phase points at.
pub(super) struct ReadJob {
    pub(super) job: Job,
    pub(super) name_span: Span,
    /// For each `get`: where it stands, and where each name of its `passed` does.
    pub(super) gets: BTreeMap<StepId, (Span, BTreeMap<String, Span>)>,
}

/// Reads every `job`, instances expanded.
pub(super) fn jobs(
    reader: &Reader<'_>,
    nodes: &[Node<'_>],
    scope: &Scope<'_>,
    known: &Known<'_>,
) -> Vec<ReadJob> {
    let mut out: Vec<ReadJob> = Vec::new();
    let mut seen: BTreeMap<String, Span> = BTreeMap::new();
    for node in nodes {
        let Some([(name, span)]) = reader.labels(*node, ["NAME"]) else { continue };
        reader.check_name("job", name, span);
        let mut add = |job: Option<Instance>, scope: &Scope<'_>| {
            let full = match &job {
                Some(instance) => format!("{name}--{}", slug(&instance.key)),
                None => name.to_owned(),
            };
            if let Some(first) = seen.get(&full) {
                let diagnostic = Diagnostic::error(
                    "duplicate-job",
                    span,
                    match &job {
                        Some(instance) => format!(
                            "the instance for `{}` would be named `{full}`, and that name is taken",
                            instance.key
                        ),
                        None => format!("the job `{name}` is declared twice"),
                    },
                );
                reader.report(if *first == span {
                    diagnostic.help("choose keys that differ in letters and digits")
                } else {
                    diagnostic.other(*first, "the name is taken here")
                });
            }
            // Read in any case, for what else may be wrong with it.
            let fresh = !seen.contains_key(&full);
            seen.entry(full.clone()).or_insert(span);
            let mut context = JobReader { reader, known: *known, gets: BTreeMap::new() };
            let job = context.job(*node, scope, full, job);
            if !fresh {
                return;
            }
            out.push(ReadJob { job, name_span: span, gets: context.gets });
        };
        match instances(reader, *node, scope, name) {
            Instances::One => add(None, scope),
            Instances::Bad => {}
            Instances::Many(instances) => {
                for instance in instances {
                    let key = Value::string(instance.key.as_str());
                    let inner = scope.child().with_each(key, instance.value.clone());
                    add(Some(instance), &inner);
                }
            }
        }
    }
    out
}

/// Reads one instance of one job.
struct JobReader<'k, 'r> {
    reader: &'r Reader<'r>,
    known: Known<'k>,
    gets: BTreeMap<StepId, (Span, BTreeMap<String, Span>)>,
}

/// Where a list of steps stands; some steps may not stand everywhere.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Job,
    Sequence,
    Parallel,
    Hook,
}

/// The parameters of a step, written as its attributes or in a `params` block;
/// and where each stands.
fn step_params<'b>(fields: &Fields<'_, 'b>) -> (Attributes, Vec<(&'b str, Span)>) {
    let mut params = fields.object("params");
    let mut given = Vec::new();
    if let Some(node) = fields.block("params") {
        given = Fields::new(fields.reader, node, fields.scope).given();
    }
    given.extend(fields.given());
    params.extend(fields.rest());
    (params, given)
}

impl JobReader<'_, '_> {
    fn job(
        &mut self,
        node: Node<'_>,
        scope: &Scope<'_>,
        name: String,
        instance: Option<Instance>,
    ) -> Job {
        let fields = Fields::new(self.reader, node, scope);
        fields.attribute("for_each");
        fields.block("matrix");
        let retention = fields.block("retention").map(|node| {
            let inner = Fields::new(self.reader, node, scope);
            let retention = Retention {
                builds: inner.count("builds", 1),
                days: inner.count("days", 1),
                succeeded: inner.count("succeeded", 0),
            };
            inner.finish();
            retention
        });
        let job = Job {
            name,
            instance,
            concurrency: fields.count("concurrency", 0).unwrap_or(0),
            serial_groups: fields.texts("serial_groups"),
            timeout: fields.duration("timeout"),
            tags: tags(self.reader, &fields),
            interruptible: fields.flag("interruptible").unwrap_or(false),
            allow_failure: fields.flag("allow_failure").unwrap_or(false),
            disable_retry: fields.flag("disable_retry").unwrap_or(false),
            disable_manual_trigger: fields.flag("disable_manual_trigger").unwrap_or(false),
            enabled: fields.flag("enabled").unwrap_or(true),
            retry_on_worker_loss: fields.flag("retry_on_worker_loss").unwrap_or(false),
            retention,
            public: fields.flag("public").unwrap_or(false),
            inputs: self.inputs(&fields, scope),
            approvals: self.approvals(&fields, scope),
            steps: self.steps(&fields, node, scope, Place::Job, &StepId::root),
            hooks: self.hooks(&fields, scope, &|part| StepId::new(part)),
            location: fields.location(),
        };
        // Where a step is broken or misspelt, that is said already.
        let ours = |word: &str| HOOK_WORDS.contains(&word) || JOB_BLOCKS.contains(&word);
        if job.steps.is_empty() && node.blocks().all(|node| ours(node.word())) {
            self.reader.report(
                Diagnostic::warning("empty-job", fields.header(), "this job has no steps")
                    .help("add a `task \"…\" { run \"exec\" { … } }`"),
            );
        }
        fields.finish();
        job
    }

    fn inputs(&self, fields: &Fields<'_, '_>, scope: &Scope<'_>) -> Vec<JobInput> {
        let mut out: Vec<JobInput> = Vec::new();
        for node in fields.blocks("input") {
            let Some([(name, span)]) = self.reader.labels(node, ["NAME"]) else { continue };
            self.reader.check_name("input", name, span);
            if out.iter().any(|input| input.name == name) {
                self.reader.report(Diagnostic::error(
                    "duplicate-name",
                    span,
                    format!("the input `{name}` is declared twice"),
                ));
                continue;
            }
            let inner = Fields::new(self.reader, node, scope);
            let kind = match inner.word("type").as_deref() {
                None | Some("string") => VariableType::String,
                Some("number") => VariableType::Number,
                Some("bool") => VariableType::Bool,
                Some(other) => {
                    let span = inner.value_span("type");
                    self.reader.report(with_suggestion(
                        Diagnostic::error("invalid-value", span, "there is no such type of input"),
                        span,
                        other,
                        ["string", "number", "bool"],
                    ));
                    VariableType::String
                }
            };
            let options = inner.texts("options");
            let multiple = inner.flag("multiple").unwrap_or(false);
            let default = inner.value("default").and_then(|value| {
                let converted = convert(&value, kind);
                if converted.is_none() && !(multiple && matches!(value, Value::List(_))) {
                    self.reader.report(
                        Diagnostic::error(
                            "wrong-type",
                            inner.value_span("default"),
                            format!("the default of `{name}` must be {}", article(type_name(kind))),
                        )
                        .label(format!("this is {}", article(value.kind()))),
                    );
                }
                if let Some(text) = converted.as_ref().and_then(Value::to_text)
                    && !options.is_empty()
                    && !multiple
                    && !options.contains(&text)
                {
                    self.reader.report(
                        Diagnostic::error(
                            "invalid-value",
                            inner.value_span("default"),
                            format!("the default `{text}` is not among the options of `{name}`"),
                        )
                        .help(format!("the options are {}", options.join(", "))),
                    );
                }
                converted
            });
            out.push(JobInput {
                name: name.to_owned(),
                kind,
                description: inner.text("description"),
                default,
                options,
                multiple,
                location: inner.location(),
            });
            inner.finish();
        }
        out
    }

    fn approvals(&self, fields: &Fields<'_, '_>, scope: &Scope<'_>) -> Vec<Approval> {
        fields
            .blocks("approve")
            .into_iter()
            .filter_map(|node| {
                let [(label, _)] = self.reader.labels(node, ["LABEL"])?;
                let inner = Fields::new(self.reader, node, scope);
                let approval = Approval {
                    label: label.to_owned(),
                    approvals: inner.count("approvals", 1).unwrap_or(1),
                    timeout: inner.duration("timeout"),
                    location: inner.location(),
                };
                inner.finish();
                Some(approval)
            })
            .collect()
    }

    fn steps(
        &mut self,
        fields: &Fields<'_, '_>,
        node: Node<'_>,
        scope: &Scope<'_>,
        place: Place,
        id: &dyn Fn(usize) -> StepId,
    ) -> Vec<Step> {
        for word in STEP_WORDS {
            fields.blocks(word);
        }
        let mut out: Vec<Step> = Vec::new();
        // Whether the block before was an `if` that can still take branches.
        let mut open_if = false;
        for node in node.blocks() {
            let word = node.word();
            if !STEP_WORDS.contains(&word) {
                continue;
            }
            if matches!(word, "else_if" | "else") {
                if !open_if {
                    self.reader.report(
                        Diagnostic::error(
                            "else-without-if",
                            node.header_span(),
                            format!("this `{word}` does not follow an `if`"),
                        )
                        .help("an `else_if` or `else` stands right behind its `if`"),
                    );
                    continue;
                }
                let Some(step) = out.last_mut() else { continue };
                open_if = word == "else_if";
                self.branch(node, scope, place, step);
                continue;
            }
            let step_id = id(out.len());
            open_if = word == "if";
            match self.step(node, scope, place, step_id) {
                Some(step) => out.push(step),
                None => open_if = false,
            }
        }
        out
    }

    /// Adds an `else_if` or `else` to the `if` before it.
    fn branch(&mut self, node: Node<'_>, scope: &Scope<'_>, place: Place, step: &mut Step) {
        let StepKind::If { branches, otherwise } = &mut step.kind else { return };
        let fields = Fields::new(self.reader, node, scope);
        let prefix = step.id.child(branches.len());
        let place = if place == Place::Job { Place::Sequence } else { place };
        let id = |position: usize| prefix.child(position);
        if node.word() == "else" {
            self.reader.labels::<0>(node, []);
            *otherwise = self.steps(&fields, node, scope, place, &id);
        } else if let Some(condition) = self.condition(node, scope) {
            let steps = self.steps(&fields, node, scope, place, &id);
            branches.push(Branch { condition, steps });
        } else {
            self.steps(&fields, node, scope, place, &id);
        }
        fields.finish();
    }

    fn condition(&self, node: Node<'_>, scope: &Scope<'_>) -> Option<Condition> {
        let [(label, span)] = self.reader.labels(node, ["CONDITION"])?;
        let label = &label.replace(char::from(TEMPLATE_IN_LABEL), "{");
        let text = super::condition_text::evaluate(self.reader, label, span, scope)?;
        match Condition::parse(&text) {
            Ok(condition) => Some(condition),
            Err(error) => {
                // The label's span has its quotes. Where values were put in, or the label has
                // escapes, the place within is not known.
                let at = if text == *label && label.len() + 2 == span.end - span.start {
                    let start = (span.start + 1 + error.offset).min(span.end.saturating_sub(1));
                    Span { start, end: (start + 1).min(span.end), ..span }
                } else {
                    span
                };
                let mut diagnostic = Diagnostic::error("bad-condition", at, error.message);
                if let Some(help) = error.help {
                    diagnostic = diagnostic.help(help);
                }
                self.reader.report(diagnostic);
                None
            }
        }
    }

    fn step(
        &mut self,
        node: Node<'_>,
        scope: &Scope<'_>,
        place: Place,
        id: StepId,
    ) -> Option<Step> {
        let fields = Fields::new(self.reader, node, scope);
        let timeout = fields.duration("timeout");
        let attempts = fields.count("attempts", 1).unwrap_or(1);
        if attempts > 100 {
            self.reader.report(Diagnostic::error(
                "invalid-value",
                fields.value_span("attempts"),
                format!("{attempts} attempts are too many: 100 is the most"),
            ));
        }
        let hooks = self.hooks(&fields, scope, &|part| id.child(part));
        let inner_place = match (node.word(), place) {
            ("in_parallel", _) => Place::Parallel,
            (_, Place::Job) => Place::Sequence,
            (_, other) => other,
        };
        let inner_id = |position: usize| id.child(position);
        let kind = match node.word() {
            "get" => self.get(node, &fields, &id),
            "task" => self.task(node, &fields),
            "put" => self.put(node, &fields),
            "service" => self.service(node, &fields, place),
            "notify" => self.notify(node, &fields),
            "in_parallel" => Some(StepKind::InParallel {
                limit: fields.count("limit", 0).unwrap_or(0),
                fail_fast: fields.flag("fail_fast").unwrap_or(false),
                steps: self.steps(&fields, node, scope, inner_place, &inner_id),
            }),
            "do" => Some(StepKind::Do {
                steps: self.steps(&fields, node, scope, inner_place, &inner_id),
            }),
            "try" => Some(StepKind::Try {
                steps: self.steps(&fields, node, scope, inner_place, &inner_id),
            }),
            _ => {
                let condition = self.condition(node, scope);
                let branch_id = |position: usize| id.child(0).child(position);
                let steps = self.steps(&fields, node, scope, inner_place, &branch_id);
                // Kept without its condition, so that an `else` behind it makes sense.
                let branches = condition
                    .map(|condition| vec![Branch { condition, steps }])
                    .unwrap_or_default();
                Some(StepKind::If { branches, otherwise: Vec::new() })
            }
        };
        if matches!(node.word(), "in_parallel" | "do" | "try") {
            self.reader.labels::<0>(node, []);
        }
        let location = fields.location();
        fields.finish();
        Some(Step { id, kind: kind?, timeout, attempts, hooks, location })
    }

    fn get(&mut self, node: Node<'_>, fields: &Fields<'_, '_>, id: &StepId) -> Option<StepKind> {
        let labels = self.reader.labels(node, ["TYPE", "NAME"]);
        let mut get = Get {
            kind: labels.map_or_else(String::new, |[(kind, _), _]| kind.to_owned()),
            name: labels.map_or_else(String::new, |[_, (name, _)]| name.to_owned()),
            trigger: fields.flag("trigger").unwrap_or(false),
            passed: fields.texts("passed"),
            version: self.version(fields),
            params: Attributes::new(),
            paths: fields.texts("paths"),
            ignore_paths: fields.texts("ignore_paths"),
        };
        let [(kind, kind_span), (name, name_span)] = labels?;
        let passed = get.passed.iter();
        let passed = passed.map(|name| (name.clone(), fields.item_span("passed", name)));
        self.gets.insert(id.clone(), (fields.header(), passed.collect()));
        let found = self.resource(kind, kind_span, name, name_span);
        let types = self.known.types;
        get.params = params(fields, types, CatalogKind::ResourceType, kind, found, false);
        if found && !types.resource_type_has(kind, "check") {
            self.no_command(fields.header(), kind, "check", "got");
        }
        Some(StepKind::Get(get))
    }

    fn no_command(&self, span: Span, kind: &str, command: &str, verb: &str) {
        self.reader.report(
            Diagnostic::error(
                "missing-command",
                span,
                format!("resources of type `{kind}` cannot be {verb}: the type has no `{command}`"),
            )
            .help(format!("add `{command} \"exec\" {{ … }}` to `resource_type \"{kind}\"`")),
        );
    }

    fn version(&self, fields: &Fields<'_, '_>) -> VersionChoice {
        match fields.value("version") {
            None => VersionChoice::Latest,
            Some(Value::String(word)) if word == "latest" => VersionChoice::Latest,
            Some(Value::String(word)) if word == "every" => VersionChoice::Every,
            Some(Value::Object(pin))
                if !pin.is_empty() && !Value::Object(pin.clone()).is_deferred() =>
            {
                VersionChoice::Pinned(pin)
            }
            Some(other) => {
                let span = fields.value_span("version");
                let mut diagnostic = Diagnostic::error(
                    "invalid-value",
                    span,
                    "`version` must be \"latest\", \"every\" or an object such as { ref = \"…\" }",
                );
                if let Some(best) = other
                    .as_str()
                    .and_then(|word| super::suggest::closest(word, ["latest", "every"]))
                {
                    diagnostic = diagnostic.help(format!("did you mean `{best}`?"));
                }
                self.reader.report(diagnostic);
                VersionChoice::Latest
            }
        }
    }

    fn resource(&self, kind: &str, kind_span: Span, name: &str, name_span: Span) -> bool {
        let resources = self.known.resources;
        if resources.iter().any(|it| it.kind == kind && it.name == name) {
            return true;
        }
        if self.reader.is_broken("resource", &[kind, name]) || self.reader.any_broken("") {
            return false;
        }
        let both = Span { end: name_span.end, ..kind_span };
        let mut diagnostic = Diagnostic::error(
            "unknown-resource",
            both,
            format!("there is no resource `{kind}.{name}`"),
        );
        if let Some(other) = resources.iter().find(|it| it.name == name) {
            diagnostic = diagnostic
                .help(format!("did you mean `{}.{name}`? that is the type of `{name}`", other.kind))
                .suggest(kind_span, format!("\"{}\"", other.kind));
        } else if let Some(best) = super::suggest::closest(
            name,
            resources.iter().filter(|it| it.kind == kind).map(|it| it.name.as_str()),
        ) {
            diagnostic = diagnostic
                .help(format!("did you mean `{best}`?"))
                .suggest(name_span, format!("\"{best}\""));
        } else {
            diagnostic = diagnostic
                .help(format!("declare it with `resource \"{kind}\" \"{name}\" {{ … }}`"));
        }
        self.reader.report(diagnostic);
        false
    }

    fn task(&self, node: Node<'_>, fields: &Fields<'_, '_>) -> Option<StepKind> {
        let label = self.reader.labels(node, ["NAME"]);
        if let Some([(name, span)]) = label {
            self.reader.check_name("task", name, span);
        }
        let run = match fields.block("run") {
            Some(run) => self.known.types.command(run, fields.scope),
            None if fields.is_attribute("run") => None,
            None => {
                self.reader.report(
                    Diagnostic::error(
                        "missing-block",
                        fields.header(),
                        "a task needs a `run` block",
                    )
                    .help("add `run \"exec\" { path = \"…\" }`"),
                );
                None
            }
        };
        let inputs = fields.texts("inputs");
        let outputs = fields.texts("outputs");
        let env = fields.object("env");
        let dir = fields.value("dir");
        let [(name, _)] = label?;
        Some(StepKind::Task(Task { name: name.to_owned(), run: run?, inputs, outputs, env, dir }))
    }

    fn put(&self, node: Node<'_>, fields: &Fields<'_, '_>) -> Option<StepKind> {
        let labels = self.reader.labels(node, ["TYPE", "NAME"]);
        let (params, given) = step_params(fields);
        let [(kind, kind_span), (name, name_span)] = labels?;
        if self.resource(kind, kind_span, name, name_span) {
            if self.known.types.resource_type_has(kind, "push") {
                self.known.types.check_put(kind, given, fields.header());
            } else {
                self.no_command(fields.header(), kind, "push", "put");
            }
        }
        Some(StepKind::Put(Put { kind: kind.to_owned(), name: name.to_owned(), params }))
    }

    fn service(&self, node: Node<'_>, fields: &Fields<'_, '_>, place: Place) -> Option<StepKind> {
        match place {
            Place::Parallel => self.reader.report(
                Diagnostic::error(
                    "misplaced-step",
                    fields.header(),
                    "a service cannot stand in `in_parallel`",
                )
                .help("put it before; neighbouring services come up at the same time anyway"),
            ),
            Place::Hook => self.reader.report(
                Diagnostic::error(
                    "misplaced-step",
                    fields.header(),
                    "a service cannot stand in a hook",
                )
                .help("services live as long as their job: start it in the job's plan"),
            ),
            Place::Job | Place::Sequence => {}
        }
        let label = self.reader.labels(node, ["TYPE"]);
        let (params, given) = step_params(fields);
        let [(kind, span)] = label?;
        if self.known.types.require(CatalogKind::ServiceType, kind, span) {
            self.known.types.check_params(
                CatalogKind::ServiceType,
                kind,
                given,
                fields.header(),
                true,
            );
        }
        Some(StepKind::Service(Service { kind: kind.to_owned(), params }))
    }

    fn notify(&self, node: Node<'_>, fields: &Fields<'_, '_>) -> Option<StepKind> {
        let labels = self.reader.labels(node, ["TYPE", "NAME"]);
        let (params, _) = step_params(fields);
        let [(kind, kind_span), (name, name_span)] = labels?;
        let known = self.known.notifications;
        if !known.iter().any(|it| it.kind == kind && it.name == name)
            && !self.reader.is_broken("notification", &[kind, name])
        {
            let both = Span { end: name_span.end, ..kind_span };
            let diagnostic = Diagnostic::error(
                "unknown-notification",
                both,
                format!("there is no notification `{kind}.{name}`"),
            );
            let names = known.iter().filter(|it| it.kind == kind).map(|it| it.name.as_str());
            self.reader.report(match super::suggest::closest(name, names) {
                Some(best) => diagnostic
                    .help(format!("did you mean `{best}`?"))
                    .suggest(name_span, format!("\"{best}\"")),
                None => diagnostic
                    .help(format!("declare it with `notification \"{kind}\" \"{name}\" {{ … }}`")),
            });
        }
        Some(StepKind::Notify(Notify { kind: kind.to_owned(), name: name.to_owned(), params }))
    }

    fn hooks(
        &mut self,
        fields: &Fields<'_, '_>,
        scope: &Scope<'_>,
        id: &dyn Fn(&str) -> StepId,
    ) -> Hooks {
        let [on_success, on_failure, on_cancel, on_error, ensure] = HOOK_WORDS.map(|word| {
            fields
                .blocks(word)
                .into_iter()
                .enumerate()
                .filter_map(|(index, node)| {
                    let part = if index == 0 { word.to_owned() } else { format!("{word}_{index}") };
                    self.hook(node, scope, id(&part))
                })
                .collect()
        });
        Hooks { on_success, on_failure, on_cancel, on_error, ensure }
    }

    fn hook(&mut self, node: Node<'_>, scope: &Scope<'_>, id: StepId) -> Option<Hook> {
        let fields = Fields::new(self.reader, node, scope);
        let fail_build = fields.flag("fail_build").unwrap_or(false);
        let location = fields.location();
        let body = if node.block.labels.is_empty() {
            let steps =
                self.steps(&fields, node, scope, Place::Hook, &|position| id.child(position));
            if steps.is_empty() {
                self.reader.report(
                    Diagnostic::error(
                        "missing-block",
                        fields.header(),
                        format!("this `{}` does nothing", node.word()),
                    )
                    .help(format!(
                        "name a runner, `{} \"exec\" {{ path = \"…\" }}`, or put steps into it",
                        node.word()
                    )),
                );
            }
            Some(HookBody::Steps(steps))
        } else {
            let command: Option<CommandBlock> = self.known.types.command_of(node, &fields);
            command.map(HookBody::Run)
        };
        fields.finish();
        Some(Hook { id, body: body?, fail_build, location })
    }
}
