//! Reading one block: each attribute and nested block is asked for by name,
//! and what nobody asked for is an error with a suggestion.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use hcl_edit::Span as _;
use hcl_edit::structure::{Attribute, Block, Body, Structure};

use super::diagnostic::Diagnostic;
use super::eval::Scope;
use super::reader::Reader;
use super::source::{FileId, Span};
use super::suggest::{closest, did_you_mean, name_list};
use crate::params::Attributes;
use crate::pipeline::Location;
use crate::value::Value;

/// A block in its file.
#[derive(Clone, Copy)]
pub(super) struct Node<'b> {
    pub(super) file: FileId,
    pub(super) block: &'b Block,
}

impl<'b> Node<'b> {
    /// The word the block begins with.
    pub(super) fn word(self) -> &'b str {
        self.block.ident.as_str()
    }

    /// The span of that word.
    pub(super) fn word_span(self) -> Span {
        Span::new(self.file, self.block.ident.span().unwrap_or_default())
    }

    /// The span from the word to the last label.
    pub(super) fn header_span(self) -> Span {
        let start = self.block.ident.span().unwrap_or_default();
        let end = self.block.labels.last().and_then(hcl_edit::Span::span).unwrap_or(start.clone());
        Span::new(self.file, start.start..end.end)
    }

    /// The labels, with their spans.
    pub(super) fn labels(self) -> Vec<(&'b str, Span)> {
        self.block
            .labels
            .iter()
            .map(|label| (label.as_str(), Span::new(self.file, label.span().unwrap_or_default())))
            .collect()
    }

    /// The nested blocks, in order.
    pub(super) fn blocks(self) -> impl Iterator<Item = Node<'b>> {
        self.block.body.blocks().map(move |block| Node { file: self.file, block })
    }
}

/// The attributes and blocks of one body, taken one by one.
pub(super) struct Fields<'r, 'b> {
    pub(super) reader: &'r Reader<'r>,
    pub(super) file: FileId,
    pub(super) scope: &'r Scope<'r>,
    body: &'b Body,
    header: Span,
    what: String,
    asked_attributes: RefCell<Vec<&'static str>>,
    asked_blocks: RefCell<Vec<&'static str>>,
    rest_taken: RefCell<bool>,
}

impl<'r, 'b> Fields<'r, 'b> {
    pub(super) fn new(reader: &'r Reader<'r>, node: Node<'b>, scope: &'r Scope<'r>) -> Self {
        Self {
            reader,
            file: node.file,
            scope,
            body: &node.block.body,
            header: node.header_span(),
            what: node.word().to_owned(),
            asked_attributes: RefCell::default(),
            asked_blocks: RefCell::default(),
            rest_taken: RefCell::new(false),
        }
    }

    pub(super) fn header(&self) -> Span {
        self.header
    }

    pub(super) fn location(&self) -> Location {
        self.reader.location(self.header)
    }

    fn ask(&self, name: &'static str) {
        let mut asked = self.asked_attributes.borrow_mut();
        if !asked.contains(&name) {
            asked.push(name);
        }
    }

    /// The attribute of that name, as written.
    pub(super) fn attribute(&self, name: &'static str) -> Option<&'b Attribute> {
        self.ask(name);
        self.body.attributes().find(|attribute| attribute.key.as_str() == name)
    }

    /// The span of an attribute's value; of the header when it is not there.
    pub(super) fn value_span(&self, name: &'static str) -> Span {
        self.attribute(name)
            .and_then(|attribute| attribute.value.span())
            .map_or(self.header, |range| Span::new(self.file, range))
    }

    /// The span of one literal item of a list attribute; of the whole list when it is not literal.
    pub(super) fn item_span(&self, name: &'static str, text: &str) -> Span {
        let items = self.attribute(name).and_then(|attribute| attribute.value.as_array());
        items
            .into_iter()
            .flatten()
            .find(|item| item.as_str() == Some(text))
            .and_then(hcl_edit::Span::span)
            .map_or_else(|| self.value_span(name), |range| Span::new(self.file, range))
    }

    fn evaluate(&self, attribute: &Attribute) -> Option<Value> {
        self.reader.evaluate(self.file, &attribute.value, self.scope)
    }

    /// The value of an attribute; `None` when absent, null or in error (which is then reported).
    pub(super) fn value(&self, name: &'static str) -> Option<Value> {
        let value = self.evaluate(self.attribute(name)?)?;
        (value != Value::Null).then_some(value)
    }

    fn known(&self, name: &'static str, wanted: &str) -> Option<Value> {
        let value = self.value(name)?;
        if value.is_deferred() {
            self.reader.report(
                Diagnostic::error(
                    "known-at-run-time",
                    self.value_span(name),
                    format!("`{name}` must be known when the pipeline is read"),
                )
                .label("holds a secret, which is known only at run time")
                .help(format!("give {wanted} that no secret is part of")),
            );
            return None;
        }
        Some(value)
    }

    fn wrong_type(&self, name: &'static str, wanted: &str, value: &Value) {
        self.reader.report(
            Diagnostic::error(
                "wrong-type",
                self.value_span(name),
                format!("`{name}` must be {wanted}"),
            )
            .label(format!("this is {}", article(value.kind()))),
        );
    }

    /// A text attribute; numbers and booleans are taken as written.
    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        let value = self.known(name, "a text")?;
        match value {
            Value::String(text) => Some(text),
            Value::Number(_) | Value::Bool(_) => value.to_text(),
            _ => {
                self.wrong_type(name, "a string", &value);
                None
            }
        }
    }

    /// A text attribute whose value may be a bare word, as in `type = string`.
    pub(super) fn word(&self, name: &'static str) -> Option<String> {
        match self.attribute(name)?.value.as_variable() {
            Some(word) => Some(word.as_str().to_owned()),
            None => self.text(name),
        }
    }

    /// Reports that an attribute must be there and is not.
    pub(super) fn missing_attribute(&self, name: &str) {
        self.reader.report(
            Diagnostic::error(
                "missing-attribute",
                self.header,
                format!("`{}` needs the attribute `{name}`", self.what),
            )
            .help(format!("add `{name} = …` to this block")),
        );
    }

    /// A boolean attribute.
    pub(super) fn flag(&self, name: &'static str) -> Option<bool> {
        let value = self.known(name, "`true` or `false`")?;
        match &value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text == "true" => Some(true),
            Value::String(text) if text == "false" => Some(false),
            _ => {
                self.wrong_type(name, "`true` or `false`", &value);
                None
            }
        }
    }

    /// A whole number of at least `least`.
    pub(super) fn count(&self, name: &'static str, least: u32) -> Option<u32> {
        let value = self.known(name, "a whole number")?;
        let number = match &value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        match number.and_then(|number| u32::try_from(number).ok()) {
            Some(number) if number >= least => Some(number),
            _ if matches!(value, Value::Number(_)) => {
                self.reader.report(Diagnostic::error(
                    "invalid-value",
                    self.value_span(name),
                    format!("`{name}` must be a whole number of at least {least}"),
                ));
                None
            }
            _ => {
                self.wrong_type(name, &format!("a whole number of at least {least}"), &value);
                None
            }
        }
    }

    /// A duration above zero.
    pub(super) fn duration(&self, name: &'static str) -> Option<Duration> {
        let value = self.known(name, "a duration")?;
        let Value::String(text) = &value else {
            let diagnostic = Diagnostic::error(
                "wrong-type",
                self.value_span(name),
                format!("`{name}` must be a duration"),
            )
            .label(format!("this is {}", article(value.kind())));
            let diagnostic = match &value {
                Value::Number(number) => diagnostic
                    .help("a duration has a unit: `30s`, `5m` or `1h30m`")
                    .suggest(self.value_span(name), format!("\"{number}s\"")),
                _ => diagnostic.help("write it as `\"30s\"`, `\"5m\"` or `\"1h30m\"`"),
            };
            self.reader.report(diagnostic);
            return None;
        };
        match crate::duration::parse(text) {
            Ok(duration) if !duration.is_zero() => Some(duration),
            Ok(_) => {
                self.reader.report(
                    Diagnostic::error(
                        "invalid-value",
                        self.value_span(name),
                        format!("`{name}` must be longer than nothing"),
                    )
                    .help("leave the attribute out for no limit"),
                );
                None
            }
            Err(error) => {
                self.reader.report(
                    Diagnostic::error("invalid-value", self.value_span(name), error.to_string())
                        .help("units are `h`, `m`, `s` and `ms`"),
                );
                None
            }
        }
    }

    /// A list of texts; empty when absent.
    pub(super) fn texts(&self, name: &'static str) -> Vec<String> {
        let Some(value) = self.known(name, "a list of texts") else { return Vec::new() };
        match &value {
            Value::List(items) | Value::Set(items) => {
                let mut out = Vec::with_capacity(items.len());
                for item in items {
                    match item {
                        Value::String(_) | Value::Number(_) | Value::Bool(_) => {
                            out.extend(item.to_text());
                        }
                        other => {
                            self.reader.report(
                                Diagnostic::error(
                                    "wrong-type",
                                    self.value_span(name),
                                    format!("`{name}` must be a list of strings"),
                                )
                                .label(format!("one of its items is {}", article(other.kind()))),
                            );
                            return Vec::new();
                        }
                    }
                }
                out
            }
            Value::String(text) => {
                self.reader.report(
                    Diagnostic::error(
                        "wrong-type",
                        self.value_span(name),
                        format!("`{name}` must be a list of strings"),
                    )
                    .label("this is a string")
                    .help("put it in brackets")
                    .suggest(self.value_span(name), format!("[{text:?}]")),
                );
                Vec::new()
            }
            other => {
                self.wrong_type(name, "a list of strings", other);
                Vec::new()
            }
        }
    }

    /// An object, written as an attribute (`env = { … }`) or as a block (`env { … }`).
    pub(super) fn object(&self, name: &'static str) -> Attributes {
        let mut out = Attributes::new();
        if let Some(value) = self.value(name) {
            match value {
                Value::Object(map) => out = map,
                other => {
                    self.wrong_type(name, "an object", &other);
                }
            }
        }
        if let Some(node) = self.block(name) {
            let fields = Fields::new(self.reader, node, self.scope);
            for (key, value) in fields.rest() {
                out.insert(key, value);
            }
            fields.finish();
        }
        out
    }

    /// Every nested block of that name.
    pub(super) fn blocks(&self, name: &'static str) -> Vec<Node<'b>> {
        let mut asked = self.asked_blocks.borrow_mut();
        if !asked.contains(&name) {
            asked.push(name);
        }
        self.body
            .blocks()
            .filter(|block| block.ident.as_str() == name)
            .map(|block| Node { file: self.file, block })
            .collect()
    }

    /// The nested block of that name; a second one is an error.
    pub(super) fn block(&self, name: &'static str) -> Option<Node<'b>> {
        let blocks = self.blocks(name);
        let first = *blocks.first()?;
        for extra in blocks.iter().skip(1) {
            self.reader.report(
                Diagnostic::error(
                    "duplicate-block",
                    extra.header_span(),
                    format!("`{}` takes only one `{name}` block", self.what),
                )
                .other(first.header_span(), "the first one is here"),
            );
        }
        Some(first)
    }

    /// Every attribute that was not asked for, evaluated; after this none is unknown.
    pub(super) fn rest(&self) -> Attributes {
        *self.rest_taken.borrow_mut() = true;
        let mut out = BTreeMap::new();
        for attribute in self.body.attributes() {
            let name = attribute.key.as_str();
            if self.asked_attributes.borrow().contains(&name) {
                continue;
            }
            if let Some(value) = self.evaluate(attribute) {
                out.insert(name.to_owned(), value);
            }
        }
        out
    }

    /// The name and place of every attribute that was not asked for, whether it has a value or not.
    pub(super) fn given(&self) -> Vec<(&'b str, Span)> {
        let asked = self.asked_attributes.borrow();
        self.body
            .attributes()
            .filter(|attribute| !asked.contains(&attribute.key.as_str()))
            .map(|attribute| {
                let span = attribute.key.span().unwrap_or_default();
                (attribute.key.as_str(), Span::new(self.file, span))
            })
            .collect()
    }

    /// Whether a block of that name was written as an attribute, which [`finish`](Self::finish) reports.
    pub(super) fn is_attribute(&self, name: &str) -> bool {
        self.body.has_attribute(name)
    }

    /// The span of the key of an attribute that [`rest`](Self::rest) answered.
    pub(super) fn key_span(&self, name: &str) -> Span {
        self.body
            .attributes()
            .find(|attribute| attribute.key.as_str() == name)
            .and_then(|attribute| attribute.key.span())
            .map_or(self.header, |range| Span::new(self.file, range))
    }

    /// Reports what nobody asked for.
    pub(super) fn finish(self) {
        let attributes = self.asked_attributes.borrow();
        let blocks = self.asked_blocks.borrow();
        for structure in self.body {
            match structure {
                Structure::Attribute(attribute) => {
                    let name = attribute.key.as_str();
                    if *self.rest_taken.borrow() || attributes.contains(&name) {
                        continue;
                    }
                    let span = Span::new(self.file, attribute.key.span().unwrap_or_default());
                    let mut diagnostic = Diagnostic::error(
                        "unknown-attribute",
                        span,
                        format!("`{}` has no attribute `{name}`", self.what),
                    );
                    if blocks.contains(&name) {
                        diagnostic = diagnostic.help(format!(
                            "`{name}` is a block: write `{name} {{ … }}` without `=`"
                        ));
                    } else {
                        diagnostic =
                            with_suggestion(diagnostic, span, name, attributes.iter().copied());
                    }
                    self.reader.report(diagnostic);
                }
                Structure::Block(block) => {
                    let name = block.ident.as_str();
                    if blocks.contains(&name) {
                        continue;
                    }
                    let span = Span::new(self.file, block.ident.span().unwrap_or_default());
                    let mut diagnostic = Diagnostic::error(
                        "unknown-block",
                        span,
                        format!("`{}` has no block `{name}`", self.what),
                    );
                    if attributes.contains(&name) {
                        diagnostic = diagnostic
                            .help(format!("`{name}` is an attribute: write `{name} = …`"));
                    } else {
                        diagnostic =
                            with_suggestion(diagnostic, span, name, blocks.iter().copied());
                    }
                    self.reader.report(diagnostic);
                }
            }
        }
    }
}

/// Adds "did you mean" with a replacement, or else the list of what there is.
pub(super) fn with_suggestion<'a>(
    diagnostic: Diagnostic,
    span: Span,
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let mut candidates: Vec<&str> = candidates.into_iter().collect();
    if closest(name, candidates.iter().copied()).is_some() {
        return did_you_mean(diagnostic, span, name, candidates);
    }
    candidates.sort_unstable();
    candidates.dedup();
    match candidates.as_slice() {
        [] => diagnostic,
        known if known.len() <= 24 => {
            diagnostic.help(format!("there is {}", name_list(known.iter().copied(), known.len())))
        }
        _ => diagnostic,
    }
}

/// `a string`, `an object`.
pub(super) fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
    match noun {
        "null" => "null".into(),
        _ if vowel => format!("an {noun}"),
        _ => format!("a {noun}"),
    }
}
