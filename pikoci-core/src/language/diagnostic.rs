//! What is wrong with a pipeline, where, and how to mend it.

use serde::Serialize;

use super::source::{SourceMap, Span};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The pipeline cannot be used.
    Error,
    /// It can, but this is likely not what was meant.
    Warning,
}

/// A place that a diagnostic points at besides its main one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is there.
    pub text: String,
}

/// Text to put in place of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// What to replace.
    pub span: Span,
    /// What with.
    pub replacement: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name for this kind of mistake, such as `unknown-attribute`.
    pub code: &'static str,
    /// What is wrong: one lower-case sentence without a full stop, names in backticks.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What stands there, in a few words; empty says nothing more than `message`.
    pub label: String,
    /// Other places that matter.
    pub others: Vec<Label>,
    /// What to do about it, each a sentence.
    pub help: Vec<String>,
    /// A text that would mend it.
    pub suggestion: Option<Suggestion>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            span,
            label: String::new(),
            others: Vec::new(),
            help: Vec::new(),
            suggestion: None,
        }
    }

    /// A warning at a place.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// Says what stands at the place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    /// Points at another place.
    #[must_use]
    pub fn other(mut self, span: Span, text: impl Into<String>) -> Self {
        self.others.push(Label { span, text: text.into() });
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Offers a text that would mend it.
    #[must_use]
    pub fn suggest(mut self, span: Span, replacement: impl Into<String>) -> Self {
        self.suggestion = Some(Suggestion { span, replacement: replacement.into() });
        self
    }

    /// This diagnostic as data: the documented form of `--output json`.
    pub fn to_json(&self, sources: &SourceMap) -> serde_json::Value {
        let place = |span: Span| {
            let file = sources.file(span.file);
            let (line, column) = file.line_column(span.start);
            let (end_line, end_column) = file.line_column(span.end);
            serde_json::json!({
                "file": file.name(), "line": line, "column": column,
                "end_line": end_line, "end_column": end_column,
            })
        };
        serde_json::json!({
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "label": self.label,
            "place": place(self.span),
            "others": self.others.iter()
                .map(|other| serde_json::json!({"place": place(other.span), "text": other.text}))
                .collect::<Vec<_>>(),
            "help": self.help,
            "suggestion": self.suggestion.as_ref().map(|suggestion| serde_json::json!({
                "place": place(suggestion.span), "replacement": suggestion.replacement,
            })),
        })
    }
}
