//! Templates: quoted texts, heredocs and template files.
//!
//! A template is flattened into tokens as HCL has them (one literal per line
//! outside of quotes), because `~` trims and `<<-` dedents single literals,
//! also across the borders of directives.

use std::borrow::Cow;

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::template::{
    Directive, Element, ForDirective, HeredocTemplate, IfDirective, Interpolation, StringTemplate,
    Strip, Template,
};

use super::scope::{Scope, is_run_time_name};
use super::{Evaluator, Failed};
use crate::language::diagnostic::Diagnostic;
use crate::language::operators::{describe, to_text};
use crate::value::{Deferred, Value};

/// Where a template stands, which decides how its literals are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between quotes.
    Quoted,
    /// In a heredoc; the flag says that it begins with `<<-`.
    Heredoc { dedent: bool },
    /// In a file of its own.
    File,
}

/// A template as a flat sequence. Positions point into the sequence itself.
enum Token<'t> {
    Literal(Cow<'t, str>),
    Interpolation(&'t Interpolation),
    /// `%{ if }`, with where its `%{ else }` (or end) and its end stand.
    If {
        directive: &'t IfDirective,
        otherwise: usize,
        end: usize,
    },
    /// `%{ for }`, with where its end stands.
    For {
        directive: &'t ForDirective,
        end: usize,
    },
    /// `%{ else }`, `%{ endif }` or `%{ endfor }`.
    Mark,
}

/// A text under construction, some of it known only at run time.
#[derive(Default)]
struct Parts {
    done: Vec<Value>,
    text: String,
}

impl Parts {
    fn push_deferred(&mut self, value: Value) {
        if !self.text.is_empty() {
            self.done.push(Value::String(std::mem::take(&mut self.text)));
        }
        self.done.push(value);
    }

    fn finish(mut self) -> Value {
        if self.done.is_empty() {
            return Value::String(self.text);
        }
        if !self.text.is_empty() {
            self.done.push(Value::String(self.text));
        }
        Value::Deferred(Box::new(Deferred::Template(self.done)))
    }
}

impl Evaluator<'_> {
    pub(super) fn eval_string_template(
        &self,
        expr: &Expression,
        template: &StringTemplate,
        scope: &Scope<'_>,
    ) -> Result<Value, Failed> {
        let plain = template.iter().all(|element| match element {
            Element::Literal(_) => true,
            Element::Interpolation(interpolation) => interpolation.strip == Strip::None,
            Element::Directive(_) => false,
        });
        if !plain {
            return self.render_template(expr, template, Place::Quoted, scope);
        }
        if let Some(Element::Interpolation(only)) = template.as_single_element()
            && run_time_name(only, scope).is_none()
        {
            return self.eval(&only.expr, scope);
        }
        let mut parts = Parts::default();
        let mut failed = false;
        for element in template.iter() {
            failed |= match element {
                Element::Literal(text) => self.push_text(expr, &mut parts, text),
                Element::Interpolation(interpolation) => {
                    self.interpolate(interpolation, scope, &mut parts)
                }
                Element::Directive(_) => Ok(()),
            }
            .is_err();
        }
        if failed { Err(Failed) } else { Ok(parts.finish()) }
    }

    pub(super) fn eval_heredoc(
        &self,
        expr: &Expression,
        heredoc: &HeredocTemplate,
        scope: &Scope<'_>,
    ) -> Result<Value, Failed> {
        let start = self.written(expr.span());
        let dedent = start.is_some_and(|text| text.starts_with("<<-"));
        self.render_template(expr, &heredoc.template, Place::Heredoc { dedent }, scope)
    }

    /// The template of a file; `expr` is what asked for it.
    pub(super) fn eval_template_file(
        &self,
        expr: &Expression,
        template: &Template,
        scope: &Scope<'_>,
    ) -> Result<Value, Failed> {
        self.render_template(expr, template, Place::File, scope)
    }

    /// The text as written at a place of the current file.
    fn written(&self, range: Option<std::ops::Range<usize>>) -> Option<&str> {
        self.sources.file(self.file.get()).text().get(range?)
    }

    fn render_template(
        &self,
        expr: &Expression,
        template: &Template,
        place: Place,
        scope: &Scope<'_>,
    ) -> Result<Value, Failed> {
        let mut flat = Flat { evaluator: self, place, tokens: Vec::new(), trim_next: false };
        flat.template(template, 0);
        let mut tokens = flat.tokens;
        self.charge(expr, tokens.len(), 0)?;
        if place == (Place::Heredoc { dedent: true }) {
            dedent(&mut tokens);
        }
        if let [Token::Interpolation(only)] = tokens.as_slice()
            && run_time_name(only, scope).is_none()
        {
            return self.eval(&only.expr, scope);
        }
        let mut parts = Parts::default();
        self.render(expr, &tokens, 0..tokens.len(), scope, &mut parts)?;
        Ok(parts.finish())
    }

    /// Renders the tokens of `range`; all of them are tried, to report every fault.
    fn render(
        &self,
        expr: &Expression,
        tokens: &[Token<'_>],
        range: std::ops::Range<usize>,
        scope: &Scope<'_>,
        parts: &mut Parts,
    ) -> Result<(), Failed> {
        let mut failed = false;
        let mut at = range.start;
        while let Some(token) = tokens.get(at).filter(|_| at < range.end) {
            let here = at;
            at += 1;
            failed |= match token {
                Token::Literal(text) => self.push_text(expr, parts, text),
                Token::Interpolation(interpolation) => {
                    self.interpolate(interpolation, scope, parts)
                }
                Token::If { directive, otherwise, end } => {
                    at = *end;
                    self.if_directive(directive, scope).and_then(|holds| {
                        let chosen = if holds { here + 1..*otherwise } else { *otherwise..*end };
                        self.render(expr, tokens, chosen, scope, parts)
                    })
                }
                Token::For { directive, end } => {
                    at = *end;
                    self.for_directive(expr, directive, tokens, here + 1..*end, scope, parts)
                }
                Token::Mark => Ok(()),
            }
            .is_err();
        }
        if failed { Err(Failed) } else { Ok(()) }
    }

    fn if_directive(&self, directive: &IfDirective, scope: &Scope<'_>) -> Result<bool, Failed> {
        let condition = &directive.if_expr.cond_expr;
        let value = self.eval_ref(condition, scope)?;
        self.condition(&value, "the condition of `if`", self.span_of(condition))
    }

    fn for_directive(
        &self,
        expr: &Expression,
        directive: &ForDirective,
        tokens: &[Token<'_>],
        body: std::ops::Range<usize>,
        scope: &Scope<'_>,
        parts: &mut Parts,
    ) -> Result<(), Failed> {
        let intro = &directive.for_expr;
        let collection = self.eval_ref(&intro.collection_expr, scope)?;
        for (key, item) in self.pairs(&collection, self.span_of(&intro.collection_expr))? {
            self.charge(expr, 1, 0)?;
            let mut inner = scope.child();
            if let Some(name) = &intro.key_var {
                inner = inner.bind(name.value().as_str(), Cow::Owned(key));
            }
            let inner = inner.bind(intro.value_var.value().as_str(), Cow::Borrowed(item));
            self.render(expr, tokens, body.clone(), &inner, parts)?;
        }
        Ok(())
    }

    fn push_text(&self, expr: &Expression, parts: &mut Parts, text: &str) -> Result<(), Failed> {
        self.charge(expr, 0, text.len())?;
        parts.text.push_str(text);
        Ok(())
    }

    fn interpolate(
        &self,
        interpolation: &Interpolation,
        scope: &Scope<'_>,
        parts: &mut Parts,
    ) -> Result<(), Failed> {
        let expr = &interpolation.expr;
        if let Some(name) = run_time_name(interpolation, scope) {
            self.charge(expr, 1, name.len() + 3)?;
            parts.text.push_str("${");
            parts.text.push_str(name);
            parts.text.push('}');
            return Ok(());
        }
        let value = self.eval_ref(expr, scope)?;
        match value.as_ref() {
            Value::String(text) => self.push_text(expr, parts, text),
            Value::Deferred(_) => {
                parts.push_deferred(value.into_owned());
                Ok(())
            }
            other => match to_text(other) {
                Some(text) => self.push_text(expr, parts, &text),
                None => {
                    let what = match other {
                        Value::Null => "null has no text".to_owned(),
                        _ => format!("{} cannot be put into a text", describe(other)),
                    };
                    let diagnostic = Diagnostic::error("template-value", self.span_of(expr), what);
                    Err(self.report(match other {
                        Value::Null => {
                            diagnostic
                            .label("null")
                            .help("give it a value: `coalesce(…, \"none\")`")
                        }
                        Value::List(_) | Value::Set(_) => diagnostic
                            .help("join its items, `join(\", \", …)`, or write it as JSON, `jsonencode(…)`"),
                        _ => diagnostic,
                    }))
                }
            },
        }
    }
}

/// The name that an interpolation leaves for run time, if it is such a one.
fn run_time_name<'t>(interpolation: &'t Interpolation, scope: &Scope<'_>) -> Option<&'t str> {
    match &interpolation.expr {
        Expression::Variable(name) => {
            let name = name.value().as_str();
            (is_run_time_name(name) && scope.name(name).is_none()).then_some(name)
        }
        _ => None,
    }
}

/// Flattens a template, trimming at `~` on the way.
struct Flat<'e, 't> {
    evaluator: &'e Evaluator<'e>,
    place: Place,
    tokens: Vec<Token<'t>>,
    trim_next: bool,
}

impl<'e: 't, 't> Flat<'e, 't> {
    fn template(&mut self, template: &'t Template, nesting: usize) {
        for element in template.iter() {
            match element {
                Element::Literal(text) => self.literal(text, text.span(), nesting),
                Element::Interpolation(interpolation) => {
                    self.open(interpolation.strip);
                    self.tokens.push(Token::Interpolation(interpolation));
                    self.trim_next = interpolation.strip.strip_end();
                }
                Element::Directive(directive) => match directive.as_ref() {
                    Directive::If(directive) => self.if_directive(directive, nesting),
                    Directive::For(directive) => self.for_directive(directive, nesting),
                },
            }
        }
    }

    fn if_directive(&mut self, directive: &'t IfDirective, nesting: usize) {
        let start = self.tokens.len();
        self.mark(directive.if_expr.strip);
        self.template(&directive.if_expr.template, nesting + 1);
        let otherwise = self.tokens.len();
        if let Some(else_expr) = &directive.else_expr {
            self.mark(else_expr.strip);
            self.template(&else_expr.template, nesting + 1);
        }
        self.mark(directive.endif_expr.strip);
        let end = self.tokens.len();
        if let Some(token) = self.tokens.get_mut(start) {
            *token = Token::If { directive, otherwise, end };
        }
    }

    fn for_directive(&mut self, directive: &'t ForDirective, nesting: usize) {
        let start = self.tokens.len();
        self.mark(directive.for_expr.strip);
        self.template(&directive.for_expr.template, nesting + 1);
        self.mark(directive.endfor_expr.strip);
        let end = self.tokens.len();
        if let Some(token) = self.tokens.get_mut(start) {
            *token = Token::For { directive, end };
        }
    }

    fn mark(&mut self, strip: Strip) {
        self.open(strip);
        self.tokens.push(Token::Mark);
        self.trim_next = strip.strip_end();
    }

    /// What stands before `${~` or `%{~` loses its trailing white space.
    fn open(&mut self, strip: Strip) {
        if strip.strip_start()
            && let Some(Token::Literal(text)) = self.tokens.last_mut()
        {
            let kept = text.trim_end().len();
            match text {
                Cow::Borrowed(text) => *text = &text[..kept],
                Cow::Owned(text) => text.truncate(kept),
            }
        }
        self.trim_next = false;
    }

    fn literal(&mut self, text: &'t str, span: Option<std::ops::Range<usize>>, nesting: usize) {
        match self.place {
            // Inside of directives the parser does not read escapes.
            Place::Quoted if nesting > 0 && text.contains('\\') => {
                self.push_literal(Cow::Owned(unescape(text)));
            }
            Place::Quoted => self.push_literal(Cow::Borrowed(text)),
            Place::Heredoc { dedent: true } => match self.evaluator.written(span) {
                // The parser has dedented by rules of its own.
                Some(written) => {
                    for line in written.split_inclusive('\n') {
                        self.push_literal(unescape_markers(line));
                    }
                }
                None => self.lines(text),
            },
            Place::Heredoc { dedent: false } | Place::File => self.lines(text),
        }
    }

    fn lines(&mut self, text: &'t str) {
        for line in text.split_inclusive('\n') {
            self.push_literal(Cow::Borrowed(line));
        }
    }

    fn push_literal(&mut self, text: Cow<'t, str>) {
        let trimmed = if std::mem::take(&mut self.trim_next) {
            match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim_start()),
                Cow::Owned(text) => Cow::Owned(text.trim_start().to_owned()),
            }
        } else {
            text
        };
        self.tokens.push(Token::Literal(trimmed));
    }
}

/// `$${` and `%%{` as they are meant.
fn unescape_markers(text: &str) -> Cow<'_, str> {
    if text.contains("$${") || text.contains("%%{") {
        Cow::Owned(text.replace("$${", "${").replace("%%{", "%{"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A quoted text with its backslash escapes read; unknown ones stay as written.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let digits = match escape.chars().next() {
            Some('u') => 4,
            Some('U') => 8,
            _ => 0,
        };
        let (character, length) = match escape.chars().next() {
            Some('n') => (Some('\n'), 1),
            Some('r') => (Some('\r'), 1),
            Some('t') => (Some('\t'), 1),
            Some('"') => (Some('"'), 1),
            Some('\\') => (Some('\\'), 1),
            Some('u' | 'U') => (
                escape
                    .get(1..=digits)
                    .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                    .and_then(char::from_u32),
                1 + digits,
            ),
            _ => (None, 0),
        };
        match character {
            Some(character) => {
                out.push(character);
                rest = &escape[length..];
            }
            None => {
                out.push('\\');
                rest = escape;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Takes the indentation that all lines of a heredoc share off each of them.
///
/// A line counts where its first token stands; one of nothing but white space
/// does not count and stays as it is, and one that begins with `${` or `%{`
/// counts as not indented.
fn dedent(tokens: &mut [Token<'_>]) {
    let indentation = |text: &str| text.chars().take_while(|c| c.is_whitespace()).count();
    let mut least = usize::MAX;
    let mut adjust = Vec::new();
    let mut line_begins = true;
    for (index, token) in tokens.iter().enumerate() {
        let literal = match token {
            Token::Literal(text) => Some(text.as_ref()),
            _ => None,
        };
        if std::mem::take(&mut line_begins) {
            match literal {
                Some(text) if text.ends_with('\n') && text.trim().is_empty() => {}
                Some(text) => {
                    least = least.min(indentation(text));
                    adjust.push(index);
                }
                None => least = 0,
            }
        }
        line_begins = literal.is_some_and(|text| text.ends_with('\n'));
    }
    for index in adjust {
        if let Some(Token::Literal(text)) = tokens.get_mut(index) {
            let cut = text.char_indices().nth(least).map_or(text.len(), |(at, _)| at);
            match text {
                Cow::Borrowed(text) => *text = &text[cut..],
                Cow::Owned(text) => {
                    text.drain(..cut);
                }
            }
        }
    }
}
