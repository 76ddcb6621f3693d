//! The kinds of mistakes an expression can have.

use crate::language::diagnostic::Diagnostic;
use crate::language::source::Span;
use crate::value::Value;

/// Every code that the evaluator gives, with the label and the help of a
/// diagnostic that has none of its own.
const KINDS: &[(&str, &str, &str)] = &[
    ("attribute-type", "not an object", "use `try(…, default)` where the value may be missing"),
    ("condition-type", "neither `true` nor `false`", "compare it with something: `x == \"…\"`"),
    (
        "deferred-value",
        "comes from a secret",
        "a secret can be passed on, put into a text or given to a function; it cannot be compared, indexed or looped over",
    ),
    ("division-by-zero", "this is 0", "test it first: `x == 0 ? … : y / x`"),
    (
        "duplicate-key",
        "the same for two items",
        "make the keys differ, or gather the values of equal keys in lists with `...` behind the value",
    ),
    (
        "each-outside",
        "no instance here",
        "give the block a `for_each` or a `matrix`, or use a variable",
    ),
    (
        "evaluation-limit",
        "evaluation stopped here",
        "reading a pipeline may only take a bounded amount of work; make the lists or texts smaller",
    ),
    (
        "expanded-argument",
        "cannot be expanded into arguments",
        "leave the `...` out to pass the value as it is",
    ),
    ("for-collection", "cannot be looped over", "to loop over one value put it into a list: `[…]`"),
    ("function-argument", "wrong argument", "give it a value of the type it takes"),
    ("function-arguments", "wrong number of arguments", "give it the arguments it takes"),
    ("index-range", "out of range", "use `try(…, default)` where the list may be shorter"),
    (
        "index-type",
        "cannot be used like this",
        "lists are indexed by whole numbers from 0, objects by strings",
    ),
    ("missing-key", "no such key", "use `try(…, default)` where it may be missing"),
    ("nesting-limit", "too deep", "give parts of it a name, in a `variable` with a `default`"),
    ("no-value", "no value", "add a last argument that always has a value"),
    ("number-range", "too large", "numbers go up to about 1.8e308"),
    ("object-key", "not a string", "write the key as a word or in quotes"),
    ("operand-type", "wrong type", "convert it: `tonumber(…)`, `tobool(…)`"),
    ("run-time-name", "known only at run time", "write it as text: `\"$NAME\"`"),
    ("template-file", "this file", "paths are relative to the pipeline's directory"),
    ("template-value", "not a text", "write it as JSON, `jsonencode(…)`"),
    (
        "unknown-function",
        "no such function",
        "the functions are those of Terraform that make sense in a pipeline",
    ),
    (
        "unknown-name",
        "no such name",
        "an expression can use `var.NAME`, and `each.key` and `each.value` inside of `for_each` or `matrix`",
    ),
    ("unknown-variable", "not declared", "declare it: `variable \"NAME\" { … }`"),
];

/// The diagnostic with a label and a help, if it has none yet.
pub(super) fn completed(mut diagnostic: Diagnostic) -> Diagnostic {
    if let Some((_, label, help)) = KINDS.iter().find(|(code, ..)| *code == diagnostic.code) {
        if diagnostic.label.is_empty() {
            diagnostic.label = (*label).to_owned();
        }
        if diagnostic.help.is_empty() {
            diagnostic.help.push((*help).to_owned());
        }
    }
    diagnostic
}

/// The complaint about a value that is needed now but known only at run time.
pub(super) fn deferred(value: &Value, span: Span) -> Diagnostic {
    let message = value.secret_variables().first().map_or_else(
        || "this value is known only at run time".to_owned(),
        |name| format!("the value of `var.{name}` is known only at run time"),
    );
    Diagnostic::error("deferred-value", span, message)
}
