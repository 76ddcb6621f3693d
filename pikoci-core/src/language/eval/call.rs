//! Function calls, and the three functions whose arguments are expressions:
//! `can`, `try` and `templatefile`.

use std::cell::{Cell, RefCell};

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, FuncCall};
use hcl_edit::template::Template;

use super::scope::Scope;
use super::{Evaluator, Failed};
use crate::language::diagnostic::Diagnostic;
use crate::language::functions;
use crate::language::operators::describe;
use crate::language::source::{SourceMap, Span};
use crate::language::suggest::did_you_mean;
use crate::value::{Deferred, Value};

use std::borrow::Cow;

impl Evaluator<'_> {
    /// A function call.
    pub(super) fn eval_call(
        &self,
        expr: &Expression,
        call: &FuncCall,
        scope: &Scope<'_>,
    ) -> Result<Value, Failed> {
        let name = call.name.name.value().as_str();
        let name_span = self.span(call.name.name.span());
        if call.name.is_namespaced() {
            let start = call.name.namespace.first().and_then(|first| first.span());
            let span = Span { start: start.map_or(name_span.start, |at| at.start), ..name_span };
            return Err(self.report(
                Diagnostic::error("unknown-function", span, "functions have no namespaces here")
                    .help(format!("write `{name}(…)`")),
            ));
        }
        let Some(signature) = functions::signature(name) else {
            let diagnostic = Diagnostic::error(
                "unknown-function",
                name_span,
                format!("unknown function `{name}`"),
            );
            self.report(did_you_mean(diagnostic, name_span, name, functions::names()));
            // The arguments' own faults are worth knowing, too.
            for argument in call.args.iter() {
                let _ = self.eval_ref(argument, scope);
            }
            return Err(Failed);
        };
        let by_hand = !call.args.expand_final();
        if by_hand {
            self.check_count(signature, call.args.len(), name_span)?;
        }
        match name {
            "try" if by_hand => return self.eval_try(expr, call, scope),
            "can" if by_hand => return self.eval_can(call, scope),
            "templatefile" if by_hand => return self.eval_templatefile(expr, call, scope),
            "try" | "can" | "templatefile" => {
                return Err(self.report(Diagnostic::error(
                    "function-argument",
                    name_span,
                    format!("`{name}` does not take its arguments from a list"),
                )));
            }
            _ => {}
        }
        let (arguments, places) = self.arguments(call, scope)?;
        self.check_count(signature, arguments.len(), name_span)?;
        if arguments.iter().any(Value::is_deferred) {
            return Ok(Value::Deferred(Box::new(Deferred::Call {
                function: name.to_owned(),
                arguments,
            })));
        }
        functions::call(name, arguments, &self.context).map_err(|error| {
            if let Some(exceeded) = self.context.budget.exceeded() {
                return self.exhaust(name_span, &exceeded);
            }
            let place = error.argument.and_then(|index| places.get(index).or(places.last()));
            let span = place.map_or_else(|| self.span_of(expr), |argument| self.span_of(argument));
            self.report(
                Diagnostic::error("function-argument", span, error.message)
                    .help(format!("it is called as `{signature}`")),
            )
        })
    }

    fn check_count(
        &self,
        signature: &functions::Signature,
        given: usize,
        span: Span,
    ) -> Result<(), Failed> {
        signature.check_count(given).map_err(|error| {
            self.report(
                Diagnostic::error("function-arguments", span, error.message)
                    .help(format!("it is called as `{signature}`")),
            )
        })
    }

    /// The values of a call's arguments, `...` expanded, and where each comes from.
    fn arguments<'c>(
        &self,
        call: &'c FuncCall,
        scope: &Scope<'_>,
    ) -> Result<(Vec<Value>, Vec<&'c Expression>), Failed> {
        let mut values = Vec::with_capacity(call.args.len());
        let mut places: Vec<&Expression> = Vec::with_capacity(call.args.len());
        let mut failed = false;
        let last = call.args.len().saturating_sub(1);
        for (index, argument) in call.args.iter().enumerate() {
            let Ok(value) = self.eval(argument, scope) else {
                failed = true;
                continue;
            };
            if index < last || !call.args.expand_final() {
                values.push(value);
                places.push(argument);
                continue;
            }
            let span = self.span_of(argument);
            self.known(&value, span)?;
            match value {
                Value::List(items) | Value::Set(items) => {
                    self.charge(argument, items.len(), 0)?;
                    places.resize(places.len() + items.len(), argument);
                    values.extend(items);
                }
                other => {
                    self.report(Diagnostic::error(
                        "expanded-argument",
                        span,
                        format!(
                            "`...` needs a list or a set before it, but this is {}",
                            describe(&other)
                        ),
                    ));
                    failed = true;
                }
            }
        }
        if failed { Err(Failed) } else { Ok((values, places)) }
    }

    /// `try(…)`: the first argument that has a value.
    fn eval_try(
        &self,
        expr: &Expression,
        call: &FuncCall,
        scope: &Scope<'_>,
    ) -> Result<Value, Failed> {
        let mut reasons = Vec::new();
        for argument in call.args.iter() {
            let (result, said) = self.silently(|| self.eval(argument, scope));
            if let Ok(value) = result {
                return Ok(value);
            }
            if self.exhausted.get() {
                return Err(Failed);
            }
            reasons.extend(said);
        }
        let mut diagnostic = Diagnostic::error(
            "no-value",
            self.span_of(expr),
            "none of the arguments of `try` has a value",
        );
        if reasons.is_empty() && !call.args.is_empty() {
            // Their faults were reported before, where the variables were.
            return Err(Failed);
        }
        for reason in reasons.into_iter().take(4) {
            diagnostic = diagnostic.other(reason.span, reason.message);
        }
        Err(self.report(diagnostic))
    }

    /// `can(…)`: whether the argument has a value.
    fn eval_can(&self, call: &FuncCall, scope: &Scope<'_>) -> Result<Value, Failed> {
        let argument = call.args.get(0).ok_or(Failed)?;
        let (result, _) = self.silently(|| self.eval_ref(argument, scope).map(|_| ()));
        if self.exhausted.get() { Err(Failed) } else { Ok(Value::Bool(result.is_ok())) }
    }

    /// `templatefile(path, vars)`: a file's text as a template with names of its own.
    fn eval_templatefile(
        &self,
        expr: &Expression,
        call: &FuncCall,
        scope: &Scope<'_>,
    ) -> Result<Value, Failed> {
        let (Some(path_expr), Some(vars_expr)) = (call.args.get(0), call.args.get(1)) else {
            return Err(Failed);
        };
        let path_span = self.span_of(path_expr);
        if self.in_template_file {
            return Err(self.report(
                Diagnostic::error(
                    "template-file",
                    self.span(call.name.name.span()),
                    "a template file cannot call `templatefile`",
                )
                .help("render the inner one where this one is called, and pass it as a variable"),
            ));
        }
        let path = self.eval(path_expr, scope);
        let vars = self.eval(vars_expr, scope);
        let (path, vars) = (path?, vars?);
        self.known(&path, path_span)?;
        self.known(&vars, self.span_of(vars_expr))?;
        let Value::Object(vars) = vars else {
            return Err(self.report(Diagnostic::error(
                "function-argument",
                self.span_of(vars_expr),
                format!(
                    "`templatefile`: argument `vars` must be an object, but this is {}",
                    describe(&vars)
                ),
            )));
        };
        let Value::String(path) = path else {
            return Err(self.report(Diagnostic::error(
                "function-argument",
                path_span,
                format!(
                    "`templatefile`: argument `path` must be a string, but this is {}",
                    describe(&path)
                ),
            )));
        };
        let Some(files) = self.context.files else {
            return Err(self.report(Diagnostic::error(
                "template-file",
                path_span,
                "there is no directory to read files from",
            )));
        };
        let text = files.read_text(&path, self.context.budget).map_err(|error| {
            if let Some(exceeded) = self.context.budget.exceeded() {
                return self.exhaust(path_span, &exceeded);
            }
            let message = format!("`templatefile`: {error}");
            self.report(Diagnostic::error("template-file", path_span, message))
        })?;
        self.charge(expr, 0, text.len().saturating_mul(4))?;
        self.template_file(&path, &text, &vars, path_span)
    }

    fn template_file(
        &self,
        path: &str,
        text: &str,
        vars: &std::collections::BTreeMap<String, Value>,
        place: Span,
    ) -> Result<Value, Failed> {
        let template: Template = text.parse().map_err(|error: hcl_edit::parser::Error| {
            let at = error.location();
            self.report(Diagnostic::error(
                "template-file",
                place,
                format!(
                    "in `{path}`, line {}, column {}: {}",
                    at.line(),
                    at.column(),
                    error.message()
                ),
            ))
        })?;
        let mut sources = SourceMap::new();
        let file = sources.add(path, text);
        let inner = Evaluator {
            context: self.context,
            sources: &sources,
            diagnostics: RefCell::default(),
            file: Cell::new(file),
            depth: Cell::new(self.depth.get()),
            exhausted: Cell::new(false),
            in_template_file: true,
        };
        let scope = vars
            .iter()
            .fold(Scope::empty(), |scope, (name, value)| scope.bind(name, Cow::Borrowed(value)));
        // Stands for the file's beginning where the template as a whole is at fault.
        let whole = Expression::null();
        let result = inner.eval_template_file(&whole, &template, &scope);
        self.exhausted.set(self.exhausted.get() || inner.exhausted.get());
        for fault in inner.take_diagnostics() {
            let at = sources.location(fault.span);
            let mut moved = Diagnostic::error(
                fault.code,
                place,
                format!("in `{path}`, line {}, column {}: {}", at.line, at.column, fault.message),
            );
            moved.label = "in this file".into();
            moved.help = fault.help;
            self.report(moved);
        }
        if result == Ok(Value::Null) {
            return Err(self.report(Diagnostic::error(
                "template-value",
                place,
                format!("the template `{path}` comes to null, which has no text"),
            )));
        }
        result
    }
}
