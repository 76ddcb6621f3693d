//! Reads the text of a condition into its tree.

use super::{ConditionError, Expr, Operator, Part, compile};

/// How deep brackets and `!` may nest.
const MAX_DEPTH: usize = 64;
/// Longest text of a condition, in bytes.
const MAX_LENGTH: usize = 64 << 10;

pub(super) fn parse(text: &str) -> Result<Expr, ConditionError> {
    if text.len() > MAX_LENGTH {
        return Err(error(
            0,
            format!("a condition of {} bytes is too long: {MAX_LENGTH} are the most", text.len()),
            None,
        ));
    }
    let mut parser = Parser { text, at: 0, depth: 0 };
    parser.blanks();
    if parser.rest().is_empty() {
        return Ok(Expr::Text(Vec::new()));
    }
    let expr = parser.or()?;
    if parser.rest().is_empty() { Ok(expr) } else { Err(parser.unexpected()) }
}

fn error(offset: usize, message: impl Into<String>, help: Option<&str>) -> ConditionError {
    ConditionError { offset, message: message.into(), help: help.map(Into::into) }
}

struct Parser<'a> {
    text: &'a str,
    /// Always on a character's border.
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes `token` and the blanks after it, if it comes next.
    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
            self.blanks();
        }
        found
    }

    /// Takes a word that is an operator, if it comes next and ends there.
    fn take_word(&mut self, word: &str) -> bool {
        let ends = self
            .rest()
            .strip_prefix(word)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'));
        ends && self.take(word)
    }

    fn or(&mut self) -> Result<Expr, ConditionError> {
        self.chain("||", Self::and, Expr::Or)
    }

    fn and(&mut self) -> Result<Expr, ConditionError> {
        self.chain("&&", Self::not, Expr::And)
    }

    fn chain(
        &mut self,
        operator: &str,
        part: fn(&mut Self) -> Result<Expr, ConditionError>,
        join: fn(Vec<Expr>) -> Expr,
    ) -> Result<Expr, ConditionError> {
        let first = part(self)?;
        if !self.rest().starts_with(operator) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take(operator) {
            parts.push(part(self)?);
        }
        Ok(join(parts))
    }

    fn deeper(
        &mut self,
        inner: fn(&mut Self) -> Result<Expr, ConditionError>,
    ) -> Result<Expr, ConditionError> {
        if self.depth == MAX_DEPTH {
            return Err(error(
                self.at,
                format!("brackets and `!` nest deeper than {MAX_DEPTH}"),
                None,
            ));
        }
        self.depth += 1;
        let expr = inner(self);
        self.depth -= 1;
        expr
    }

    fn not(&mut self) -> Result<Expr, ConditionError> {
        if self.rest().starts_with('!') && !self.rest().starts_with("!=") {
            self.take("!");
            return self.deeper(Self::not).map(|inner| Expr::Not(Box::new(inner)));
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Expr, ConditionError> {
        let left = self.operand()?;
        let Some(operator) = self.operator() else {
            return Ok(left);
        };
        let place = self.at;
        let right = self.operand()?;
        let again = self.at;
        if self.operator().is_some() {
            return Err(error(
                again,
                "comparisons cannot be chained",
                Some("join two comparisons with `&&`"),
            ));
        }
        if operator == Operator::Matches
            && let Expr::Text(parts) = &right
        {
            // Names stand for themselves in a regular expression; a digit in
            // their place, which may stand anywhere, checks the rest of it now.
            let pattern: String = parts
                .iter()
                .map(|part| match part {
                    Part::Literal(text) => text.as_str(),
                    Part::Name(_) => "1",
                })
                .collect();
            let regex = compile(&pattern).map_err(|reason| {
                error(
                    place,
                    format!("`matches` wants a regular expression: {reason}"),
                    Some("put a backslash before a character that stands for itself"),
                )
            })?;
            if parts.iter().all(|part| matches!(part, Part::Literal(_))) {
                return Ok(Expr::Matches(Box::new(left), regex));
            }
        }
        Ok(Expr::Compare(Box::new(left), operator, Box::new(right)))
    }

    fn operator(&mut self) -> Option<Operator> {
        const SIGNS: [Operator; 6] = [
            Operator::Equal,
            Operator::NotEqual,
            Operator::LessOrEqual,
            Operator::GreaterOrEqual,
            Operator::Less,
            Operator::Greater,
        ];
        SIGNS.into_iter().find(|operator| self.take(operator.as_str())).or_else(|| {
            [Operator::Contains, Operator::Matches]
                .into_iter()
                .find(|operator| self.take_word(operator.as_str()))
        })
    }

    fn operand(&mut self) -> Result<Expr, ConditionError> {
        let start = self.at;
        let Some(first) = self.rest().chars().next() else {
            return Err(error(
                start,
                "the condition ends where a value should be",
                Some("write a `$NAME`, a quoted text or a word"),
            ));
        };
        let parts = match first {
            '(' => {
                self.take("(");
                let inner = self.deeper(Self::or)?;
                if !self.take(")") {
                    return Err(if self.rest().is_empty() {
                        error(start, "this bracket is never closed", Some("add a `)`"))
                    } else {
                        self.unexpected()
                    });
                }
                return Ok(inner);
            }
            '$' => vec![self.name()?],
            '"' => self.double_quoted()?,
            '\'' => self.single_quoted()?,
            _ => vec![self.word()?],
        };
        self.blanks();
        Ok(Expr::Text(parts))
    }

    /// `$NAME` or `${NAME}`.
    fn name(&mut self) -> Result<Part, ConditionError> {
        let start = self.at;
        match name_at(self.rest()) {
            Some((name, length)) => {
                self.at += length;
                Ok(Part::Name(name.to_owned()))
            }
            None => Err(error(
                start,
                "`$` is not followed by a name",
                Some("write `$NAME` or `${NAME}`, or put a plain `$` in single quotes"),
            )),
        }
    }

    fn single_quoted(&mut self) -> Result<Vec<Part>, ConditionError> {
        let start = self.at;
        let inner = &self.text[start + 1..];
        let Some(end) = inner.find('\'') else {
            return Err(error(start, "this quoted text is never closed", Some("add a `'`")));
        };
        self.at = start + 1 + end + 1;
        Ok(vec![Part::Literal(inner[..end].to_owned())])
    }

    /// `\"`, `\\` and `\$` stand for the second character; any other backslash
    /// stays, so that `"\d+"` is the regular expression it looks like.
    fn double_quoted(&mut self) -> Result<Vec<Part>, ConditionError> {
        let start = self.at;
        let mut parts = Vec::new();
        let mut literal = String::new();
        self.at += 1;
        loop {
            let rest = self.rest();
            let mut chars = rest.chars();
            match chars.next() {
                None => {
                    return Err(error(
                        start,
                        "this quoted text is never closed",
                        Some("add a `\"`"),
                    ));
                }
                Some('"') => {
                    self.at += 1;
                    if !literal.is_empty() || parts.is_empty() {
                        parts.push(Part::Literal(literal));
                    }
                    return Ok(parts);
                }
                Some('\\') => {
                    self.at += 1;
                    match chars.next() {
                        Some(c @ ('"' | '\\' | '$')) => {
                            self.at += 1;
                            literal.push(c);
                        }
                        _ => literal.push('\\'),
                    }
                }
                Some('$') => {
                    if let Some((name, length)) = name_at(rest) {
                        if !literal.is_empty() {
                            parts.push(Part::Literal(std::mem::take(&mut literal)));
                        }
                        parts.push(Part::Name(name.to_owned()));
                        self.at += length;
                    } else {
                        literal.push('$');
                        self.at += 1;
                    }
                }
                Some(c) => {
                    literal.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
    }

    fn word(&mut self) -> Result<Part, ConditionError> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| c.is_whitespace() || "()\"'$=!<>&|".contains(c))
            .unwrap_or(rest.len());
        if end == 0 {
            return Err(self.unexpected());
        }
        self.at += end;
        Ok(Part::Literal(rest[..end].to_owned()))
    }

    /// The error for what comes next, which does not belong here.
    fn unexpected(&self) -> ConditionError {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return error(self.at, "the condition ends too early", None);
        };
        let (message, help) = match first {
            '=' if !rest.starts_with("==") => {
                ("`=` does not compare".to_owned(), Some("write `==`"))
            }
            '&' if !rest.starts_with("&&") => ("`&` joins nothing".to_owned(), Some("write `&&`")),
            '|' if !rest.starts_with("||") => ("`|` joins nothing".to_owned(), Some("write `||`")),
            ')' => ("this bracket was never opened".to_owned(), Some("remove it or add a `(`")),
            '=' | '&' | '|' | '<' | '>' | '!' => {
                let sign: String =
                    rest.chars().take_while(|c| "=&|<>!".contains(*c)).take(2).collect();
                (format!("`{sign}` has nothing to work on"), Some("write a value before it"))
            }
            _ => {
                let word: String =
                    rest.chars().take_while(|c| !c.is_whitespace()).take(40).collect();
                (
                    format!("`{word}` stands where an operator should"),
                    Some(
                        "operators are ==, !=, <, >, <=, >=, contains, matches, && and ||; put a text with spaces in quotes",
                    ),
                )
            }
        };
        error(self.at, message, help)
    }
}

/// The name that `$…` at the start of `text` stands for, and the bytes it takes.
fn name_at(text: &str) -> Option<(&str, usize)> {
    let after = text.strip_prefix('$')?;
    let (inner, braces) = match after.strip_prefix('{') {
        Some(inner) => (inner, true),
        None => (after, false),
    };
    let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
    let name = &inner[..end];
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match (braces, inner[end..].starts_with('}')) {
        (false, _) => Some((name, 1 + end)),
        (true, true) => Some((name, 3 + end)),
        (true, false) => None,
    }
}
