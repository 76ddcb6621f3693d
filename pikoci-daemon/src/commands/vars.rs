//! Reading values of variables from files.

use std::collections::BTreeMap;
use std::path::Path;

use hcl::expr::{Expression, UnaryOperator};
use hcl::structure::Structure;
use hcl::template::{Element, Template};
use pikoci_core::value::{Number, Value};

use super::Stop;
use super::load::read_text;

/// The values in `files`; later ones win.
pub(crate) fn read<'a>(
    files: impl IntoIterator<Item = &'a Path>,
) -> Result<BTreeMap<String, Value>, Stop> {
    let mut values = BTreeMap::new();
    for path in files {
        let text = read_text(path)?;
        let text = text.trim_start_matches('\u{feff}');
        let is_json =
            path.extension().is_some_and(|ext| ext == "json") || text.trim_start().starts_with('{');
        let read = if is_json { from_json(text) } else { from_hcl(text) };
        values.extend(read.map_err(|message| {
            Stop::usage(format!("cannot use vars file `{}`: {message}", path.display()))
        })?);
    }
    Ok(values)
}

fn from_json(text: &str) -> Result<BTreeMap<String, Value>, String> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match Value::from_json(&json) {
        Value::Object(map) => Ok(map),
        other => {
            Err(format!("it must hold one object of names and values, not a {}", other.kind()))
        }
    }
}

fn from_hcl(text: &str) -> Result<BTreeMap<String, Value>, String> {
    let body = hcl::parse(text).map_err(|error| error.to_string())?;
    body.into_iter()
        .map(|structure| match structure {
            Structure::Attribute(attribute) => {
                let name = attribute.key.to_string();
                let value = literal(&attribute.expr).ok_or_else(|| {
                    format!("`{name}` must be a plain value, without names, functions or operators")
                })?;
                Ok((name, value))
            }
            Structure::Block(block) => Err(format!(
                "a block `{}` does not belong here; write `name = value` lines",
                block.identifier.as_str()
            )),
        })
        .collect()
}

/// The value of an expression that needs no evaluation.
fn literal(expression: &Expression) -> Option<Value> {
    Some(match expression {
        Expression::Null => Value::Null,
        Expression::Bool(value) => Value::Bool(*value),
        Expression::Number(number) => Value::Number(number_of(number)?),
        Expression::String(text) => Value::String(text.clone()),
        Expression::Array(items) => Value::List(items.iter().map(literal).collect::<Option<_>>()?),
        Expression::Object(object) => Value::Object(
            object
                .iter()
                .map(|(key, value)| {
                    let key = match key {
                        hcl::expr::ObjectKey::Identifier(name) => name.to_string(),
                        hcl::expr::ObjectKey::Expression(key) => literal(key)?.to_text()?,
                        _ => return None,
                    };
                    Some((key, literal(value)?))
                })
                .collect::<Option<_>>()?,
        ),
        Expression::Parenthesis(inner) => literal(inner)?,
        Expression::Operation(operation) => match operation.as_ref() {
            hcl::expr::Operation::Unary(unary) if unary.operator == UnaryOperator::Neg => {
                match literal(&unary.expr)? {
                    Value::Number(Number::Int(value)) => {
                        Value::Number(Number::Int(value.checked_neg()?))
                    }
                    Value::Number(Number::Float(value)) => Value::Number(Number::Float(-value)),
                    _ => return None,
                }
            }
            _ => return None,
        },
        Expression::TemplateExpr(template) => {
            let template = Template::from_expr(template).ok()?;
            let mut text = String::new();
            for element in template.elements() {
                match element {
                    Element::Literal(part) => text.push_str(part),
                    _ => return None,
                }
            }
            Value::String(text)
        }
        _ => return None,
    })
}

fn number_of(number: &hcl::Number) -> Option<Number> {
    number.as_i64().map(Number::Int).or_else(|| number.as_f64().and_then(Number::from_f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(name: &str, text: &str) -> Result<BTreeMap<String, Value>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        read([path.as_path()]).map_err(|stop| stop.message)
    }

    #[test]
    fn json_and_hcl_say_the_same() {
        let json = r#"{"a": "x", "n": -2, "f": 1.5, "b": true, "l": [1, "y"], "o": {"k": null}}"#;
        let hcl = "a = \"x\"\nn = -2\nf = 1.5\nb = true\nl = [1, \"y\"]\no = { k = null }\n";
        assert_eq!(read_one("v.json", json).unwrap(), read_one("v.hcl", hcl).unwrap());
        assert_eq!(read_one("v", json).unwrap(), read_one("v.hcl", hcl).unwrap());
    }

    #[test]
    fn a_heredoc_is_a_text() {
        let values = read_one("v.hcl", "a = <<-EOT\n  one\n  two\n  EOT\n").unwrap();
        assert_eq!(values["a"], Value::from("one\ntwo\n"));
    }

    #[test]
    fn later_files_win() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join("1.json"), dir.path().join("2.hcl")];
        std::fs::write(&paths[0], r#"{"a": 1, "b": 1}"#).unwrap();
        std::fs::write(&paths[1], "b = 2").unwrap();
        let values = read(paths.iter().map(|path| path.as_path())).unwrap();
        assert_eq!((&values["a"], &values["b"]), (&Value::from(1), &Value::from(2)));
    }

    #[test]
    fn what_is_no_list_of_values_is_refused() {
        for (name, text, says) in [
            ("v.json", "[1]", "one object"),
            ("v.json", "{", "line 1"),
            ("v.hcl", "a = upper(\"x\")", "`a` must be a plain value"),
            ("v.hcl", "a = \"${b}\"", "`a` must be a plain value"),
            ("v.hcl", "a = 1 +", "cannot use vars file"),
            ("v.hcl", "variable \"a\" {\n}\n", "a block `variable`"),
        ] {
            let message = read_one(name, text).unwrap_err();
            assert!(message.contains(says), "{text}: {message}");
        }
    }
}
