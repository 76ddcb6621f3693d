//! YAML: written as Terraform writes it, read by `serde-saphyr`.
//!
//! Texts are written in double quotes, those of several lines as a block (`|`)
//! where YAML allows it; lists in a map are not indented.

use std::collections::BTreeMap;

use serde::de::DeserializeSeed as _;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};

use super::arguments::{Arguments, wrong};
use super::convert;
use super::encoding::{Keys, Seed, push};
use super::{Budget, FunctionError, Signature};
use crate::value::Value;

/// A quoted text is broken at the next blank once a line is longer than this.
const WIDTH: usize = 80;
/// A longer key is written in the form `? key`.
const MAX_SIMPLE_KEY: usize = 128;
/// How deep collections may be nested in what is read.
const MAX_DEPTH: usize = 64;

pub(super) const FUNCTIONS: &[Signature] = &[
    Signature::new("yamldecode", &["string"], decode).charges(),
    Signature::new("yamlencode", &["value"], encode).charges(),
];

type Outcome<T> = Result<T, FunctionError>;

fn decode(args: &mut Arguments<'_>) -> Outcome<Value> {
    let text = args.text(0)?;
    let budget = args.cx.budget;
    // The reader keeps events of anchors besides what the values take.
    budget.charge_bytes(text.len().saturating_mul(2))?;
    budget.charge_steps(text.len() / 16)?;
    if text.trim().is_empty() {
        return Err(wrong(0, "must be a YAML document, got an empty text"));
    }
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        merge_keys: MergeKeyPolicy::Merge,
        ignore_binary_tag_for_string: true,
        reject_unsupported_tags: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_documents: 1,
        },
    };
    let seed = Seed { budget, keys: Keys::AnyScalar };
    serde_saphyr::with_deserializer_from_str_with_options(&text, options, |reader| {
        seed.deserialize(reader)
    })
    .map_err(|error| match budget.exceeded() {
        Some(exceeded) => exceeded.into(),
        None => wrong(0, format!("must be YAML: {error}")),
    })
}

fn encode(args: &mut Arguments<'_>) -> Outcome<Value> {
    let value = args.take(0);
    let mut writer =
        Writer { out: String::new(), column: 0, blank: true, fresh: true, budget: args.cx.budget };
    match &value {
        Value::List(items) | Value::Set(items) if !items.is_empty() => writer.list(items, 0)?,
        Value::Object(map) if !map.is_empty() => writer.map(map, 0)?,
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            // A bare scalar could go on: the document's end must be said.
            writer.node(&value, 2)?;
            writer.put("\n...")?;
        }
        scalar => writer.node(scalar, 2)?,
    }
    if writer.column > 0 {
        writer.put("\n")?;
    }
    Ok(Value::String(writer.out))
}

/// What YAML 1.1 takes for a line break.
fn is_break(char: char) -> bool {
    matches!(char, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What may stand in a document unescaped.
fn is_printable(char: char) -> bool {
    matches!(char,
        '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Whether a text of several lines can be a block: no blank before the end of a
/// line, and nothing that needs an escape.
fn fits_block(text: &str) -> bool {
    let mut previous = None;
    for char in text.chars() {
        if !is_printable(char) || (is_break(char) && previous == Some(' ')) {
            return false;
        }
        previous = Some(char);
    }
    previous != Some(' ')
}

/// A document as far as it is written.
struct Writer<'a> {
    out: String,
    /// How many characters the last line has.
    column: usize,
    /// Whether a blank, or nothing, stands before the next character.
    blank: bool,
    /// Whether only indentation and `- ` stand on the last line, so that the
    /// first entry of a collection goes on in it.
    fresh: bool,
    budget: &'a Budget,
}

impl Writer<'_> {
    fn put(&mut self, text: &str) -> Outcome<()> {
        push(&mut self.out, text, self.budget)?;
        match text.rsplit_once('\n') {
            Some((_, last)) => self.column = last.chars().count(),
            None => self.column += text.chars().count(),
        }
        Ok(())
    }

    /// Begins a line at `indent`, unless the last one is there already.
    fn line(&mut self, indent: usize) -> Outcome<()> {
        if !self.fresh || self.column > indent || (self.column == indent && !self.blank) {
            self.put("\n")?;
        }
        let missing = indent.saturating_sub(self.column);
        self.budget.charge_bytes(missing)?;
        self.out.extend(std::iter::repeat_n(' ', missing));
        self.column += missing;
        self.blank = true;
        self.fresh = true;
        Ok(())
    }

    /// A sign that opens an entry (`-`, `?`, `:`) or follows its key.
    fn sign(&mut self, sign: &str, separate: bool, opens: bool) -> Outcome<()> {
        if separate && !self.blank {
            self.put(" ")?;
        }
        self.put(sign)?;
        self.blank = false;
        self.fresh &= opens;
        Ok(())
    }

    fn list(&mut self, items: &[Value], indent: usize) -> Outcome<()> {
        for item in items {
            self.line(indent)?;
            self.sign("-", true, true)?;
            self.node(item, indent + 2)?;
        }
        Ok(())
    }

    fn map(&mut self, map: &BTreeMap<String, Value>, indent: usize) -> Outcome<()> {
        for (key, value) in map {
            self.line(indent)?;
            if key.len() <= MAX_SIMPLE_KEY && !key.contains(is_break) {
                self.quoted(key, None)?;
                self.sign(":", false, false)?;
            } else {
                self.sign("?", true, true)?;
                self.text(key, indent + 2)?;
                self.line(indent)?;
                self.sign(":", true, true)?;
            }
            match value {
                Value::List(items) | Value::Set(items) if !items.is_empty() && !self.fresh => {
                    self.list(items, indent)?;
                }
                value => self.node(value, indent + 2)?,
            }
        }
        Ok(())
    }

    /// A value whose entries or further lines stand at `indent`.
    fn node(&mut self, value: &Value, indent: usize) -> Outcome<()> {
        self.budget.charge_steps(1)?;
        match value {
            Value::Null | Value::Deferred(_) => self.sign("null", true, false),
            Value::Bool(value) => self.sign(if *value { "true" } else { "false" }, true, false),
            Value::Number(number) => self.sign(&convert::number_text(*number), true, false),
            Value::String(text) => self.text(text, indent),
            Value::List(items) | Value::Set(items) if items.is_empty() => {
                self.sign("[]", true, false)
            }
            Value::List(items) | Value::Set(items) => self.list(items, indent),
            Value::Object(map) if map.is_empty() => self.sign("{}", true, false),
            Value::Object(map) => self.map(map, indent),
        }
    }

    fn text(&mut self, text: &str, indent: usize) -> Outcome<()> {
        if text.contains('\n') && fits_block(text) {
            self.block(text, indent)
        } else {
            self.quoted(text, Some(indent))
        }
    }

    /// A text as a block: `|`, what is special about its beginning and end, its lines.
    fn block(&mut self, text: &str, indent: usize) -> Outcome<()> {
        let hint = if text.starts_with(|char| char == ' ' || is_break(char)) { "2" } else { "" };
        let mut last = text.chars().rev();
        let chomp = match (last.next().is_some_and(is_break), last.next()) {
            (false, _) => "-",
            (true, Some(before)) if !is_break(before) => "",
            (true, _) => "+",
        };
        self.sign(&format!("|{hint}{chomp}\n"), true, false)?;
        let mut at_start = true;
        for char in text.chars() {
            if is_break(char) {
                self.put(char.encode_utf8(&mut [0; 4]))?;
                self.column = 0;
            } else {
                if at_start {
                    self.put(&" ".repeat(indent))?;
                }
                self.put(char.encode_utf8(&mut [0; 4]))?;
            }
            at_start = is_break(char);
        }
        self.blank = true;
        self.fresh = at_start;
        Ok(())
    }

    /// A text in double quotes; long ones go on at `indent` in the next line, where there is one.
    fn quoted(&mut self, text: &str, indent: Option<usize>) -> Outcome<()> {
        self.sign("\"", true, false)?;
        // Terraform's writer escapes all of a text that begins with a byte order mark.
        let escape_all = text.starts_with('\u{feff}');
        let mut after_blank = false;
        let mut chars = text.chars().peekable();
        let mut first = true;
        while let Some(char) = chars.next() {
            self.budget.charge_bytes(char.len_utf8())?;
            let special =
                escape_all || !is_printable(char) || is_break(char) || matches!(char, '"' | '\\');
            if special {
                self.put(&escape(char))?;
                after_blank = false;
            } else if char == ' ' {
                let may_break = !after_blank && !first && chars.peek().is_some();
                match indent {
                    Some(indent) if may_break && self.column > WIDTH => {
                        self.fresh = false;
                        self.line(indent)?;
                        if chars.peek() == Some(&' ') {
                            self.put("\\")?;
                        }
                    }
                    _ => self.put(" ")?,
                }
                after_blank = true;
            } else {
                self.out.push(char);
                self.column += 1;
                after_blank = false;
            }
            first = false;
        }
        self.put("\"")?;
        self.blank = false;
        self.fresh = false;
        Ok(())
    }
}

fn escape(char: char) -> String {
    let short = match char {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            let code = u32::from(char);
            return match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}
