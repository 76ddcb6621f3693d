//! The condition of an `if`: parsed once when the pipeline is set, decided at run time.
//!
//! ```text
//! or      = and { "||" and }
//! and     = not { "&&" not }
//! not     = "!" not | compare
//! compare = operand [ ( "==" | "!=" | "<" | ">" | "<=" | ">=" | "contains" | "matches" ) operand ]
//! operand = "(" or ")" | $NAME | ${NAME} | "text with $NAME" | 'text as it stands' | word
//! ```
//!
//! - A name stands for its value; the value is never read as part of the
//!   condition, nor as part of a regular expression. A name that is not set is empty.
//! - `==` and `!=` compare numbers where both sides are numbers, else texts.
//!   `<`, `>`, `<=` and `>=` want numbers on both sides; anything else is an
//!   error when the condition is decided.
//! - `contains` looks for a text in a text, `matches` for a regular expression
//!   (anywhere, unless anchored).
//! - An operand alone is false when it is empty, `false` or `0`, else true.
//!   An empty condition is false, so that a template may make one.
//! - `!` turns round a whole comparison: `! $A == b` is `!($A == b)`.
//! - `&&` and `||` look at their right side only when they must.

use std::fmt;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

mod parse;
#[cfg(test)]
mod tests;

/// Most bytes that a compiled regular expression of a condition may take.
const REGEX_SIZE_BYTES: usize = 1 << 20;

/// A parsed condition; its text is its serialised form.
#[derive(Clone)]
pub struct Condition {
    text: String,
    expr: Arc<Expr>,
}

/// Why a text is not a condition.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ConditionError {
    /// Where in the text, in bytes; at most its length and on a character's border.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead, where that is known.
    pub help: Option<String>,
}

/// A node of a condition. `And` and `Or` hold all their parts flat, so that
/// only brackets and `!` make it deep, and those are bounded when parsing.
#[derive(Debug)]
enum Expr {
    Or(Vec<Expr>),
    And(Vec<Expr>),
    Not(Box<Expr>),
    Compare(Box<Expr>, Operator, Box<Expr>),
    /// A comparison with a regular expression that is known when parsing.
    Matches(Box<Expr>, Regex),
    Text(Vec<Part>),
}

/// A piece of an operand.
#[derive(Debug, Clone)]
enum Part {
    Literal(String),
    Name(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    Matches,
}

impl Operator {
    fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Contains => "contains",
            Self::Matches => "matches",
        }
    }
}

type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Condition {
    /// Parses a condition; see the [module's page](self) for the language.
    ///
    /// # Errors
    /// When the text is no condition, nests brackets deeper than 64 or is
    /// longer than 64 KiB.
    ///
    /// ```
    /// use pikoci_core::condition::Condition;
    ///
    /// let condition = Condition::parse("$BUILD_NUMBER > 9 && $GET_APP_REF matches '^v'").unwrap();
    /// let lookup = |name: &str| match name {
    ///     "BUILD_NUMBER" => Some("10".to_owned()),
    ///     "GET_APP_REF" => Some("v1.2".to_owned()),
    ///     _ => None,
    /// };
    /// assert_eq!(condition.evaluate(&lookup), Ok(true));
    /// assert_eq!(Condition::parse("$A = b").unwrap_err().offset, 3);
    /// ```
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        let expr = parse::parse(text)?;
        Ok(Self { text: text.to_owned(), expr: Arc::new(expr) })
    }

    /// The condition as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Decides the condition; `lookup` gives the value of each name, `None` counting as empty.
    ///
    /// # Errors
    /// A sentence that says why it cannot be decided: `<` and its kin on
    /// something that is no number. It may hold values of names.
    pub fn evaluate(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<bool, String> {
        self.expr.decide(lookup)
    }

    /// The names that the condition looks up, in order of appearance.
    pub fn names(&self) -> Vec<&str> {
        fn walk<'a>(expr: &'a Expr, out: &mut Vec<&'a str>) {
            match expr {
                Expr::Or(parts) | Expr::And(parts) => parts.iter().for_each(|it| walk(it, out)),
                Expr::Not(inner) | Expr::Matches(inner, _) => walk(inner, out),
                Expr::Compare(left, _, right) => {
                    walk(left, out);
                    walk(right, out);
                }
                Expr::Text(parts) => out.extend(parts.iter().filter_map(|part| match part {
                    Part::Name(name) => Some(name.as_str()),
                    Part::Literal(_) => None,
                })),
            }
        }
        let mut out = Vec::new();
        walk(&self.expr, &mut out);
        out
    }
}

impl Expr {
    fn decide(&self, lookup: Lookup<'_>) -> Result<bool, String> {
        match self {
            Self::Or(parts) => {
                for part in parts {
                    if part.decide(lookup)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::And(parts) => {
                for part in parts {
                    if !part.decide(lookup)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Not(inner) => Ok(!inner.decide(lookup)?),
            Self::Compare(left, operator, right) => {
                if *operator == Operator::Matches {
                    let pattern = right.pattern(lookup)?;
                    let regex = compile(&pattern).map_err(|error| {
                        format!("`matches` cannot use this regular expression: {error}")
                    })?;
                    return Ok(regex.is_match(&left.text(lookup)?));
                }
                compare(&left.text(lookup)?, *operator, &right.text(lookup)?)
            }
            Self::Matches(left, regex) => Ok(regex.is_match(&left.text(lookup)?)),
            Self::Text(_) => {
                let text = self.text(lookup)?;
                Ok(!matches!(text.trim(), "" | "false" | "0"))
            }
        }
    }

    fn text(&self, lookup: Lookup<'_>) -> Result<String, String> {
        match self {
            Self::Text(parts) => Ok(parts
                .iter()
                .map(|part| match part {
                    Part::Literal(text) => text.clone(),
                    Part::Name(name) => lookup(name).unwrap_or_default(),
                })
                .collect()),
            other => other.decide(lookup).map(|decided| decided.to_string()),
        }
    }

    /// The text as a regular expression, in which values stand for themselves.
    fn pattern(&self, lookup: Lookup<'_>) -> Result<String, String> {
        match self {
            Self::Text(parts) => Ok(parts
                .iter()
                .map(|part| match part {
                    Part::Literal(text) => text.clone(),
                    Part::Name(name) => regex::escape(&lookup(name).unwrap_or_default()),
                })
                .collect()),
            other => other.text(lookup),
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(REGEX_SIZE_BYTES).build().map_err(|error| {
        // The library draws the pattern over several lines; its last line is the reason.
        let text = error.to_string();
        text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

fn compare(left: &str, operator: Operator, right: &str) -> Result<bool, String> {
    use std::cmp::Ordering;
    let order = match (number(left), number(right)) {
        (Some(left), Some(right)) => left.compare(right),
        _ => None,
    };
    let ordered = |wanted: &dyn Fn(Ordering) -> bool| match order {
        Some(order) => Ok(wanted(order)),
        None => {
            let odd = if number(left).is_none() { left } else { right };
            let odd = if odd.is_empty() { "an empty value".into() } else { format!("`{odd}`") };
            Err(format!("`{}` compares numbers, and {odd} is none", operator.as_str()))
        }
    };
    match operator {
        Operator::Equal => Ok(order.map_or_else(|| left == right, Ordering::is_eq)),
        Operator::NotEqual => Ok(order.map_or_else(|| left != right, Ordering::is_ne)),
        Operator::Less => ordered(&Ordering::is_lt),
        Operator::LessOrEqual => ordered(&Ordering::is_le),
        Operator::Greater => ordered(&Ordering::is_gt),
        Operator::GreaterOrEqual => ordered(&Ordering::is_ge),
        Operator::Contains => Ok(left.contains(right)),
        Operator::Matches => Ok(compile(right)?.is_match(left)),
    }
}

/// A number as conditions know it: whole ones exactly, so that ids beyond 2^53 differ.
#[derive(Clone, Copy)]
enum Numeric {
    Whole(i128),
    Other(f64),
}

impl Numeric {
    fn compare(self, other: Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        }
    }

    fn float(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "compared with an inexact number")]
            Self::Whole(value) => value as f64,
            Self::Other(value) => value,
        }
    }
}

/// The number that a text is: digits, with a sign and a fraction where wanted.
/// Not `1e9`, which is as likely the short form of a commit.
fn number(text: &str) -> Option<Numeric> {
    let text = text.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !fraction.is_none_or(plain) {
        return None;
    }
    if fraction.is_none()
        && let Ok(value) = text.parse()
    {
        return Some(Numeric::Whole(value));
    }
    text.parse().ok().map(Numeric::Other)
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.text).finish()
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(input)?).map_err(serde::de::Error::custom)
    }
}
