//! The reading of one pipeline: what all phases share, and their order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use hcl_edit::expr::Expression;
use hcl_edit::structure::{Body, Structure};

use super::diagnostic::{Diagnostic, Severity};
use super::eval::{Evaluator, Scope};
use super::fields::{Node, with_suggestion};
use super::files::Files;
use super::functions::{Budget, Context};
use super::references;
use super::source::{FileId, SourceMap, Span};
use super::syntax::{self, BrokenBlock};
use super::type_decls::TypeDecls;
use super::{ReadOptions, ReadOutcome, jobs, resources, variables};
use crate::name::slug;
use crate::pipeline::{Location, Pipeline};
use crate::value::Value;

/// How many diagnostics a reading reports; what comes after is counted only.
const MAX_DIAGNOSTICS: usize = 200;

/// What all phases of one reading share.
pub(super) struct Reader<'a> {
    pub(super) options: &'a ReadOptions<'a>,
    sources: RefCell<SourceMap>,
    diagnostics: RefCell<Vec<Diagnostic>>,
    dropped: Cell<usize>,
    broken: RefCell<Vec<BrokenBlock>>,
    files: Option<Files>,
    budget: Budget,
}

/// The blocks that may stand at the top of a pipeline.
pub(super) const TOP_BLOCKS: [&str; 9] = [
    "variable",
    "resource_type",
    "runner_type",
    "service_type",
    "secret_type",
    "notification_type",
    "resource",
    "notification",
    "job",
];

impl<'a> Reader<'a> {
    /// Reports what is wrong; the same thing twice (instances of one job) counts once.
    pub(super) fn report(&self, mut diagnostic: Diagnostic) {
        if let Some(suggestion) = &mut diagnostic.suggestion {
            // What replaces a quoted text must be one.
            let sources = self.sources.borrow();
            let text = sources.file(suggestion.span.file).text();
            if text.get(suggestion.span.range()).is_some_and(|text| text.starts_with('"'))
                && suggestion
                    .replacement
                    .chars()
                    .all(|c| c.is_alphanumeric() || "-_./:".contains(c))
            {
                suggestion.replacement = format!("\"{}\"", suggestion.replacement);
            }
        }
        let mut all = self.diagnostics.borrow_mut();
        if all.len() >= MAX_DIAGNOSTICS {
            self.dropped.set(self.dropped.get() + 1);
        } else if !all.contains(&diagnostic) {
            all.push(diagnostic);
        }
    }

    /// Evaluates an expression; `None` when something in it was reported.
    pub(super) fn evaluate(
        &self,
        file: FileId,
        expression: &Expression,
        scope: &Scope<'_>,
    ) -> Option<Value> {
        let sources = self.sources.borrow();
        let evaluator = Evaluator::new(
            &sources,
            Context { now: self.options.now, files: self.files.as_ref(), budget: &self.budget },
        );
        let value = evaluator.evaluate(file, expression, scope);
        for diagnostic in evaluator.take_diagnostics() {
            self.report(diagnostic);
        }
        value
    }

    /// Where a span begins, as people read it.
    pub(super) fn location(&self, span: Span) -> Location {
        self.sources.borrow().location(span)
    }

    /// Parses one more text and reports what is wrong with it.
    pub(super) fn parse(&self, name: &str, text: &str) -> (FileId, Body) {
        let file = self.sources.borrow_mut().add(name, text);
        let parsed = syntax::parse(file, text);
        for diagnostic in parsed.diagnostics {
            self.report(diagnostic);
        }
        self.broken.borrow_mut().extend(parsed.broken);
        (file, parsed.body)
    }

    /// Adds a text that is no pipeline, such as an argument, for diagnostics to point at.
    pub(super) fn add_source(&self, name: &str, text: &str) -> FileId {
        self.sources.borrow_mut().add(name, text)
    }

    /// Whether a declaration of that kind and these labels was there but could not be parsed.
    pub(super) fn is_broken(&self, kind: &str, labels: &[&str]) -> bool {
        self.broken
            .borrow()
            .iter()
            .any(|broken| broken.kind == kind && broken.labels.iter().eq(labels.iter()))
    }

    /// Whether anything was broken so badly that names may be missing without a trace.
    pub(super) fn any_broken(&self, kind: &str) -> bool {
        self.broken.borrow().iter().any(|broken| broken.kind == kind || broken.kind.is_empty())
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(super) fn files(&self) -> Option<&Files> {
        self.files.as_ref()
    }

    /// Checks the number of labels and their form, and answers them.
    pub(super) fn labels<'b, const N: usize>(
        &self,
        node: Node<'b>,
        names: [&str; N],
    ) -> Option<[(&'b str, Span); N]> {
        let labels = node.labels();
        let word = node.word();
        let Ok(labels) = <[(&str, Span); N]>::try_from(labels) else {
            let pattern: String = names.iter().map(|name| format!(" \"{name}\"")).collect();
            let count = node.block.labels.len();
            self.report(
                Diagnostic::error(
                    "wrong-labels",
                    node.header_span(),
                    format!(
                        "`{word}` takes {} and has {}",
                        match N {
                            0 => "no label".to_owned(),
                            1 => "one label".to_owned(),
                            n => format!("{n} labels"),
                        },
                        if count == 0 { "none".to_owned() } else { count.to_string() }
                    ),
                )
                .help(format!("write `{word}{pattern} {{ … }}`")),
            );
            return None;
        };
        Some(labels)
    }

    /// Checks that a declared name can stand in ids, paths and commands.
    pub(super) fn check_name(&self, what: &str, name: &str, span: Span) -> bool {
        let fine = name.len() <= 100
            && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if !fine {
            let diagnostic = Diagnostic::error(
                "invalid-name",
                span,
                format!("`{name}` cannot be the name of a {what}"),
            )
            .help("names are made of letters, digits, `-`, `_` and `.`, begin with a letter or digit, and are at most 100 long");
            let better = slug(name);
            let better_fits = !better.is_empty() && better.is_ascii();
            self.report(if better_fits {
                diagnostic.suggest(span, format!("\"{better}\""))
            } else {
                diagnostic
            });
        }
        fine
    }
}

/// Reads a pipeline from its files (name and text each).
pub(super) fn read(files: Vec<(String, String)>, options: &ReadOptions<'_>) -> ReadOutcome {
    let reader = Reader {
        options,
        sources: RefCell::default(),
        diagnostics: RefCell::default(),
        dropped: Cell::new(0),
        broken: RefCell::default(),
        files: options.directory.as_ref().and_then(|directory| Files::new(directory).ok()),
        budget: Budget::default(),
    };
    let bodies: Vec<(FileId, Body)> =
        files.iter().map(|(name, text)| reader.parse(name, text)).collect();
    let pipeline = read_bodies(&reader, &bodies);

    let mut diagnostics = reader.diagnostics.into_inner();
    diagnostics.sort_by_key(|it| (it.span.file, it.span.start, it.span.end));
    let dropped = reader.dropped.get();
    if dropped > 0
        && let Some(last) = diagnostics.last_mut()
    {
        last.help.push(format!("{dropped} more errors are not shown"));
    }
    let failed = diagnostics.iter().any(|it| it.severity == Severity::Error);
    ReadOutcome {
        pipeline: (!failed).then_some(pipeline),
        diagnostics,
        sources: reader.sources.into_inner(),
    }
}

fn read_bodies(reader: &Reader<'_>, bodies: &[(FileId, Body)]) -> Pipeline {
    let mut blocks: BTreeMap<&str, Vec<Node<'_>>> = BTreeMap::new();
    let mut any = false;
    for (file, body) in bodies {
        for structure in body {
            any = true;
            match structure {
                Structure::Block(block) => {
                    let node = Node { file: *file, block };
                    if TOP_BLOCKS.contains(&node.word()) {
                        blocks.entry(node.word()).or_default().push(node);
                    } else {
                        unknown_top_block(reader, node);
                    }
                }
                Structure::Attribute(attribute) => {
                    use hcl_edit::Span as _;
                    let span = Span::new(*file, attribute.key.span().unwrap_or_default());
                    reader.report(
                        Diagnostic::error(
                            "unknown-attribute",
                            span,
                            format!("`{}` stands outside of any block", attribute.key.as_str()),
                        )
                        .help(format!(
                            "a pipeline has blocks only at its top: {}",
                            TOP_BLOCKS.map(|name| format!("`{name}`")).join(", ")
                        )),
                    );
                }
            }
        }
    }
    if !any && reader.diagnostics.borrow().is_empty() {
        let span = Span::new(bodies.first().map_or_else(FileId::default, |(file, _)| *file), 0..0);
        if bodies.is_empty() {
            reader.add_source("pipeline", "");
        }
        reader.report(
            Diagnostic::error("empty-pipeline", span, "the pipeline is empty")
                .help("the smallest one is: job \"hello\" { task \"say\" { run \"exec\" { path = \"echo\" args = [\"hello\"] } } }"),
        );
    }
    let of = |word: &str| blocks.get(word).map_or(&[][..], Vec::as_slice);

    let bindings = variables::bind(reader, of("variable"));
    let scope = Scope::new(&bindings);

    let types = TypeDecls::new(reader);
    for word in ["runner_type", "resource_type", "service_type", "secret_type", "notification_type"]
    {
        types.declare(word, of(word), &scope);
    }
    let variables = variables::declare(reader, of("variable"), &scope, &types);
    let mut pipeline =
        Pipeline { name: reader.options.name.clone(), variables, ..Pipeline::default() };
    let resources = resources::resources(reader, of("resource"), &scope, &types);
    let (notifications, notification_spans) =
        resources::notifications(reader, of("notification"), &scope, &types);
    let read_jobs = jobs::jobs(
        reader,
        of("job"),
        &scope,
        &jobs::Known { types: &types, resources: &resources, notifications: &notifications },
    );
    pipeline.resources = resources;
    pipeline.notifications = notifications;
    types.finish(&mut pipeline);
    references::check(reader, &mut pipeline, read_jobs, &notification_spans);
    pipeline
}

fn unknown_top_block(reader: &Reader<'_>, node: Node<'_>) {
    let word = node.word();
    let span = node.word_span();
    let diagnostic =
        Diagnostic::error("unknown-block", span, format!("a pipeline has no block `{word}`"));
    let steps = jobs::STEP_WORDS;
    reader.report(if steps.contains(&word) {
        diagnostic.help(format!("`{word}` is a step: put it into a `job \"…\" {{ … }}`"))
    } else {
        with_suggestion(diagnostic, span, word, TOP_BLOCKS)
    });
}
