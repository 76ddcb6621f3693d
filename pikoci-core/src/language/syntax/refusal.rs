//! Why the parser refused an item, for a person: what the tokens show comes
//! before what the parser says.

use std::ops::Range;

use super::super::diagnostic::Diagnostic;
use super::super::lexer::{Item, Token, TokenKind};
use super::super::source::{FileId, Span};
use super::explain::duplicate;
use super::layout::{Layout, Oddity, Statement};
use super::{PartError, parse_part};

/// An item that the parser refused.
pub(super) struct Refusal<'a> {
    pub(super) file: FileId,
    /// The text as written.
    pub(super) text: &'a str,
    /// The text as parsed.
    pub(super) parsed: &'a str,
    pub(super) tokens: &'a [Token],
    pub(super) item: &'a Item,
    pub(super) layout: &'a Layout,
}

impl Refusal<'_> {
    /// Why, for a person.
    pub(super) fn explain(&self, error: &PartError) -> Diagnostic {
        let at = self.item.bytes.start + error.offset;
        if error.message.contains("unique attribute key") {
            return self.duplicate_attribute(at);
        }
        if let Some((oddity, token)) = self.layout.oddities.first() {
            return self.oddity(*oddity, *token);
        }
        if let Some(diagnostic) = self.template_labels() {
            return diagnostic;
        }
        match self.narrow() {
            Some((offset, message)) => self.parser_words(offset, &message),
            None => self.parser_words(at, &error.message),
        }
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, range)
    }

    fn token(&self, index: usize) -> Option<Token> {
        self.tokens.get(index).copied()
    }

    fn range(&self, index: usize) -> Range<usize> {
        let end = self.item.bytes.end;
        self.token(index).filter(|token| token.start < end).map_or(end..end, |token| {
            match token.kind {
                TokenKind::Newline => token.start..token.start,
                _ => token.range(),
            }
        })
    }

    fn text(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }

    fn name(&self, index: usize) -> &str {
        self.text(self.range(index))
    }

    /// The first attribute that cannot be parsed alone, and why.
    fn narrow(&self) -> Option<(usize, String)> {
        self.layout.statements.iter().find_map(|statement| {
            let range = self.statement(statement)?;
            let part = self.parsed.get(range.clone())?;
            let error = parse_part(part).err()?;
            Some((range.start + error.offset, error.message))
        })
    }

    fn statement(&self, statement: &Statement) -> Option<Range<usize>> {
        Some(self.token(statement.name)?.start..self.token(statement.last)?.end)
    }

    fn duplicate_attribute(&self, at: usize) -> Diagnostic {
        let statements = &self.layout.statements;
        let second = statements.iter().find(|statement| self.range(statement.name).start == at);
        let Some(second) = second else {
            let end = self
                .text(at..self.item.bytes.end)
                .find([' ', '=', '\t'])
                .map_or(at, |len| at + len);
            return duplicate(self.file, self.text, at..end, at..end);
        };
        let name = self.name(second.name);
        let first = statements
            .iter()
            .find(|other| other.body == second.body && self.name(other.name) == name)
            .map_or(at..at, |first| self.range(first.name));
        duplicate(self.file, self.text, self.range(second.name), first)
    }

    /// What stands at a token, in words.
    fn found(&self, index: usize) -> String {
        match self.token(index) {
            Some(token) if token.start < self.item.bytes.end => match token.kind {
                TokenKind::Newline | TokenKind::LineComment => "the end of the line".into(),
                TokenKind::QuoteOpen => "a string".into(),
                TokenKind::HeredocOpen => "a text of several lines".into(),
                _ => format!("`{}`", token.text(self.text)),
            },
            _ => "the end of the line".into(),
        }
    }

    fn oddity(&self, oddity: Oddity, at: usize) -> Diagnostic {
        let place = self.range(at);
        let span = self.span(place.clone());
        match oddity {
            Oddity::BadStart => self.bad_start(at),
            Oddity::LoneHeader { name } => self.lone_header(name),
            Oddity::BadHeader { name } => self.bad_header(name, at),
            Oddity::ColonForAssign { name } => {
                let name = self.name(name);
                Diagnostic::error(
                    "colon-for-equals",
                    span,
                    format!("`:` stands where `=` belongs behind `{name}`"),
                )
                .help("an attribute is written `name = value`")
                .suggest(span, self.padded_equals(at))
            }
            Oddity::EqualsForAssign => {
                Diagnostic::error("double-equals", span, "`==` compares; a value is set with `=`")
                    .suggest(span, "=")
            }
            Oddity::BlockWithAssign { name } => {
                let kind = self.name(name);
                Diagnostic::error(
                    "block-with-equals",
                    span,
                    format!("`{kind}` has labels, so it is a block, and a block has no `=`"),
                )
                .help(format!("write `{kind} \"label\" {{ … }}`, or `{kind} = …` for an attribute"))
                .suggest(self.span(self.with_blank_before(place)), "")
            }
            Oddity::NoValue { name } => {
                let name = self.range(name);
                let end = self.line_end(name.end);
                let text = self.text(name.clone()).to_owned();
                Diagnostic::error(
                    "missing-value",
                    self.span(name.start..end),
                    format!("`{text}` has no value"),
                )
                .help("a value, or its opening bracket, begins on the line of the `=`")
            }
            Oddity::Garbage { value } => self.garbage(value, at),
            Oddity::MissingComma { before, object } => {
                let end = self.range(before).end;
                let point = self.span(end..end);
                let what = if object { "a `,` or a line break" } else { "a `,`" };
                Diagnostic::error(
                    "missing-comma",
                    span,
                    format!("{what} is missing before {}", self.found(at)),
                )
                .other(self.span(self.range(before)), "behind this")
                .suggest(point, ",")
            }
            Oddity::TrailingComma => Diagnostic::error(
                "trailing-comma",
                span,
                "an attribute of a block ends with its line, not with `,`",
            )
            .help("remove it")
            .suggest(span, ""),
            Oddity::BareList { value } => {
                let start = self.range(value).start;
                let list = start..self.raw_end(start);
                let brackets = format!("[{}]", self.text(list.clone()));
                Diagnostic::error(
                    "bare-list",
                    self.span(list.clone()),
                    "several values need brackets around them",
                )
                .suggest(self.span(list), brackets)
            }
            Oddity::NeedsBlank => {
                let point = self.span(place.start..place.start);
                Diagnostic::error("one-line-block", point, "a blank or a line break is missing here")
                    .help("in a block on one line, blanks stand inside its braces and between its attributes")
                    .suggest(point, " ")
            }
        }
    }

    fn padded_equals(&self, at: usize) -> &'static str {
        let range = self.range(at);
        let before = self.text(range.start.saturating_sub(1)..range.start) == " ";
        let behind = self.text(range.end..range.end + 1) == " ";
        match (before, behind) {
            (true, true) => "=",
            (true, false) => "= ",
            (false, true) => " =",
            (false, false) => " = ",
        }
    }

    fn with_blank_before(&self, range: Range<usize>) -> Range<usize> {
        let blank = self.text(range.start.saturating_sub(1)..range.start) == " ";
        range.start - usize::from(blank)..range.end
    }

    fn line_end(&self, from: usize) -> usize {
        let rest = self.text(from..self.item.bytes.end);
        from + rest.lines().next().unwrap_or_default().trim_end().len()
    }

    fn bad_start(&self, at: usize) -> Diagnostic {
        let range = self.range(at);
        let span = self.span(range.clone());
        let next = |kind: TokenKind, from: usize| {
            (from..from + 4)
                .find(|index| self.token(*index).is_some_and(|token| token.kind == kind))
        };
        match self.token(at).map(|token| token.kind) {
            Some(TokenKind::QuoteOpen) => {
                let close = next(TokenKind::QuoteClose, at)
                    .map_or(range.clone(), |index| self.range(index));
                let quoted = range.start..close.end;
                let name = self.text(quoted.clone()).trim_matches('"').to_owned();
                let diagnostic = Diagnostic::error(
                    "quoted-name",
                    self.span(quoted.clone()),
                    "the name of an attribute or block stands without quotes",
                );
                let plain = hcl_edit::Ident::try_new(name.as_str()).is_ok();
                if plain { diagnostic.suggest(self.span(quoted), name) } else { diagnostic }
            }
            Some(TokenKind::BraceOpen) => Diagnostic::error("unexpected", span, "`{` stands alone")
                .help("a block begins with its name, on the same line: `job \"test\" {`"),
            Some(TokenKind::Operator) if self.text(range) == "-" => Diagnostic::error(
                "unexpected",
                span,
                "a line begins with `-`: lists are not written as in YAML",
            )
            .help("write `name = [\"a\", \"b\"]`, or a block for each item"),
            _ => Diagnostic::error(
                "unexpected",
                span,
                format!("an attribute or a block is expected here, not {}", self.found(at)),
            )
            .help("write `name = value` or `name \"label\" { … }`; a comment begins with `#`"),
        }
    }

    fn lone_header(&self, name: usize) -> Diagnostic {
        let kind = self.range(name);
        let word = self.text(kind.clone()).to_owned();
        let line = kind.start..self.line_end(kind.start);
        let rest = self.text(kind.end..line.end).trim().trim_end_matches('}').trim().to_owned();
        let mut behind = self.tokens.iter().skip(name).skip_while(|token| token.start < line.end);
        let brace =
            behind.find(|token| token.kind != TokenKind::Newline && !token.kind.is_comment());
        if let Some(brace) = brace.filter(|token| token.kind == TokenKind::BraceOpen) {
            let header = self.text(line.clone()).to_owned();
            return Diagnostic::error(
                "brace-on-next-line",
                self.span(brace.range()),
                format!("the `{{` of `{header}` stands on another line"),
            )
            .other(self.span(line.clone()), "the block")
            .help("put it at the end of the block's first line")
            .suggest(self.span(line.end..brace.end), " {");
        }
        if rest.is_empty() {
            return Diagnostic::error(
                "lone-name",
                self.span(kind),
                format!("`{word}` stands alone"),
            )
            .help(format!("write `{word} = …` for an attribute or `{word} {{ … }}` for a block"));
        }
        let point = self.span(kind.end..kind.end);
        let diagnostic = Diagnostic::error(
            "missing-equals",
            self.span(line.clone()),
            format!("`=` or `{{` is missing behind `{word}`"),
        );
        if is_block_word(&word) {
            return Diagnostic::error(
                "missing-body",
                self.span(line),
                format!("`{{` is missing behind `{word} {rest}`"),
            )
            .help(format!("a block has a body: `{word} {rest} {{ … }}`"));
        }
        let labels = rest.matches('"').count();
        if labels <= 2 {
            diagnostic
                .help(format!("write `{word} = {rest}` for an attribute or `{word} {rest} {{ … }}` for a block"))
                .suggest(point, " =")
        } else {
            diagnostic.help(format!("a block has a body: `{word} {rest} {{ … }}`"))
        }
    }

    fn bad_header(&self, name: usize, at: usize) -> Diagnostic {
        let word = self.name(name).to_owned();
        let range = self.range(at);
        let span = self.span(range.clone());
        match self.token(at).map(|token| token.kind) {
            Some(TokenKind::SingleQuoted) => self.single_quotes(span),
            Some(TokenKind::Comma) => Diagnostic::error(
                "label-comma",
                span,
                format!("the labels of `{word}` are separated by blanks, not by `,`"),
            )
            .suggest(span, ""),
            Some(TokenKind::ParenOpen) => Diagnostic::error(
                "call-for-block",
                span,
                format!("`{word}(…)` is a call, and a call can only stand in a value"),
            )
            .help(format!("a block is written `{word} \"label\" {{ … }}`")),
            Some(TokenKind::Unknown) => {
                self.unknown_character(at).unwrap_or_else(|| self.unquoted_label(name, at))
            }
            Some(TokenKind::Operator) if matches!(word.as_str(), "if" | "else_if") => {
                Diagnostic::error(
                    "unquoted-condition",
                    span,
                    format!("the condition of `{word}` is one text in quotes"),
                )
                .help(format!("write `{word} \"$BUILD_STATUS == failed\" {{ … }}`"))
            }
            Some(TokenKind::Number | TokenKind::Dot | TokenKind::Operator) => {
                self.unquoted_label(name, at)
            }
            Some(TokenKind::BracketOpen) => {
                Diagnostic::error("missing-equals", span, format!("`=` is missing behind `{word}`"))
                    .suggest(self.span(range.start..range.start), "= ")
            }
            _ => Diagnostic::error(
                "unexpected",
                span,
                format!("`=`, a label or `{{` is expected behind `{word}`, not {}", self.found(at)),
            ),
        }
    }

    fn unquoted_label(&self, name: usize, at: usize) -> Diagnostic {
        let word = self.name(name).to_owned();
        let from = self.range(name).end;
        let line = self.text(from..self.line_end(from));
        let label = line.split('{').next().unwrap_or_default();
        let start = from + (label.len() - label.trim_start().len());
        let label = start..start + label.trim().len();
        let range = if line.contains('{') { label } else { self.range(at) };
        let text = self.text(range.clone());
        let diagnostic = Diagnostic::error(
            "unquoted-label",
            self.span(range.clone()),
            format!("the label of `{word}` needs quotes"),
        );
        if line.contains('{') && !text.contains('"') {
            diagnostic.suggest(self.span(range), format!("\"{text}\""))
        } else {
            diagnostic.help(format!("write `{word} \"label\" {{ … }}`"))
        }
    }

    fn single_quotes(&self, span: Span) -> Diagnostic {
        let inner = self.text(span.range()).trim_matches('\'');
        let diagnostic = Diagnostic::error(
            "single-quotes",
            span,
            "text stands in double quotes, not in single ones",
        );
        if inner.contains(['"', '\\']) {
            diagnostic.help("write `\"…\"`, with `\\\"` for a quote inside it")
        } else {
            let text = format!("\"{inner}\"");
            diagnostic.suggest(span, text)
        }
    }

    /// Characters that come from word processors and other languages.
    fn unknown_character(&self, at: usize) -> Option<Diagnostic> {
        let range = self.range(at);
        let span = self.span(range.clone());
        let diagnostic = match self.text(range).chars().next()? {
            '“' | '”' | '„' | '‘' | '’' | '«' | '»' => Diagnostic::error(
                "curly-quotes",
                span,
                "text stands in straight double quotes, not in typographic ones",
            )
            .suggest(span, "\""),
            '`' => Diagnostic::error(
                "backquote",
                span,
                "text stands in double quotes, not in backquotes",
            )
            .help("text of several lines is written as `<<-EOT … EOT`"),
            '\'' => Diagnostic::error(
                "single-quotes",
                span,
                "text stands in double quotes, not in single ones",
            ),
            '\u{a0}' | '\u{200b}' | '\u{feff}' | '\u{2003}' | '\u{2009}' => {
                Diagnostic::error("odd-blank", span, "an invisible character that is no blank")
                    .help("it looks like one, and often comes with copied text")
                    .suggest(span, " ")
            }
            sign @ ('&' | '|') => {
                Diagnostic::error("single-operator", span, format!("`{sign}` is no operator"))
                    .help(format!("write `{sign}{sign}`"))
                    .suggest(span, format!("{sign}{sign}"))
            }
            _ => return None,
        };
        Some(diagnostic)
    }

    /// Something behind a value, or something that is no value: mostly text
    /// without its quotes.
    fn garbage(&self, value: usize, at: usize) -> Diagnostic {
        let found = self.range(at);
        let kind = self.token(at).map(|token| token.kind);
        if kind == Some(TokenKind::SingleQuoted) && at == value {
            return self.single_quotes(self.span(found));
        }
        if kind == Some(TokenKind::Unknown)
            && let Some(diagnostic) = self.unknown_character(at)
        {
            return diagnostic;
        }
        let start = self.range(value).start;
        let end = self.raw_end(start);
        let raw = self.text(start..end);
        let begins_text = matches!(
            self.token(value).map(|token| token.kind),
            Some(
                TokenKind::Ident
                    | TokenKind::Number
                    | TokenKind::Unknown
                    | TokenKind::Operator
                    | TokenKind::Dot
            )
        );
        if begins_text && !raw.contains(['"', '\\', '{']) {
            let quoted = format!("\"{raw}\"");
            return Diagnostic::error(
                "unquoted-text",
                self.span(start..end),
                format!("the text `{raw}` needs quotes"),
            )
            .suggest(self.span(start..end), quoted);
        }
        Diagnostic::error(
            "unexpected",
            self.span(found),
            format!("the value ends before {}", self.found(at)),
        )
        .other(self.span(start..self.range(at.saturating_sub(1)).end.max(start)), "the value")
        .help("end the line behind the value, or put an operator or `,` in between")
    }

    /// Where a value without quotes ends: with its line, a comment that
    /// follows a blank, or a `}` or `,` behind a blank.
    fn raw_end(&self, start: usize) -> usize {
        let line = self.text(start..self.line_end(start));
        let stop = [" #", " //", "\t#", " }", " {"].iter().filter_map(|stop| line.find(stop)).min();
        start
            + line
                .get(..stop.unwrap_or(line.len()))
                .unwrap_or_default()
                .trim_end()
                .trim_end_matches(',')
                .len()
    }

    /// The parser's own words, made clearer where it is known how.
    fn parser_words(&self, offset: usize, message: &str) -> Diagnostic {
        let token = self.tokens.iter().position(|token| token.end > offset);
        let token = token.unwrap_or(self.tokens.len());
        let place = self.range(token);
        let place = offset.max(place.start).min(place.end)..place.end.max(offset);
        let span = self.span(place.start.min(self.item.bytes.end)..place.end);
        let found = self.found(token);
        if message.contains("object value assignment") {
            return self.key_without_value(offset);
        }
        if message.contains("nesting depth") || message.contains("chained binary") {
            return Diagnostic::error(
                "nested-too-deeply",
                span,
                "the expression is nested too deeply",
            )
            .help("at most 64 levels and 128 operators; give parts of it a name as variables");
        }
        if message.contains("unique object key") {
            return Diagnostic::error(
                "duplicate-key",
                span,
                format!("the key {found} is there twice in the object"),
            )
            .help("remove one of the two");
        }
        if let Some(odd) = self.token(token).filter(|odd| odd.kind == TokenKind::SingleQuoted) {
            return self.single_quotes(self.span(odd.range()));
        }
        if let Some(diagnostic) = self.unknown_character(token) {
            return diagnostic;
        }
        if message.contains("object item") {
            return Diagnostic::error(
                "missing-comma",
                span,
                format!("a `,` or a line break is missing before {found}"),
            );
        }
        if message.contains("invalid expression") {
            let help = match self.before(token) {
                Some(before) => format!("something is missing behind `{before}`"),
                None => "a value is text in quotes, a number, `true`, `false`, `[…]`, `{…}` or an expression".into(),
            };
            return Diagnostic::error(
                "missing-value",
                span,
                format!("a value is expected here, not {found}"),
            )
            .help(help);
        }
        if message.contains("traversal operator") {
            return Diagnostic::error(
                "unexpected",
                span,
                format!("a name is expected behind `.`, not {found}"),
            );
        }
        if let Some(diagnostic) = self.missing_operand(token) {
            return diagnostic;
        }
        if message == "unexpected token" {
            return self.unexpected_token(token);
        }
        let wanted = message.rsplit("; ").next().and_then(|rest| rest.strip_prefix("expected "));
        match wanted {
            Some("newline or eof") => Diagnostic::error(
                "unexpected",
                span,
                format!("the value ends before {found}, which does not belong here"),
            )
            .help("end the line behind the value, or put an operator in between"),
            Some(wanted) if wanted.ends_with("expression") => Diagnostic::error(
                "missing-value",
                span,
                format!("a value is expected here, not {found}"),
            ),
            Some(wanted) if wanted.len() < 40 => {
                Diagnostic::error("unexpected", span, format!("expected {wanted}, found {found}"))
            }
            _ => Diagnostic::error(
                "unexpected",
                span,
                format!("this cannot be read: unexpected {found}"),
            ),
        }
    }

    /// The parser has taken one character too many when it misses a `=`.
    fn key_without_value(&self, offset: usize) -> Diagnostic {
        let at = self.text(0..offset).char_indices().next_back().map_or(0, |(at, _)| at);
        let token = self.tokens.iter().position(|token| token.end > at);
        let token = token.unwrap_or(self.tokens.len());
        Diagnostic::error(
            "missing-equals",
            self.span(self.range(token)),
            format!("`=` is expected behind the key, not {}", self.found(token)),
        )
        .help("an item of an object is written `key = value`")
    }

    /// The parser knows nothing but the statement, at best.
    fn unexpected_token(&self, token: usize) -> Diagnostic {
        if let Some(diagnostic) = self.unclosed_directive(token) {
            return diagnostic;
        }
        let statement = self.layout.statements.iter().find(|statement| statement.name == token);
        let end = statement.map_or(token, |statement| statement.last);
        if let Some(diagnostic) = self.missing_operand(end) {
            return diagnostic;
        }
        let place = self.range(token).start..self.range(end).end;
        let found = self.found(token);
        Diagnostic::error(
            "unexpected",
            self.span(place),
            format!("{found} begins something that cannot be read"),
        )
    }

    /// An operator with nothing behind it: the parser stops before it.
    fn missing_operand(&self, at: usize) -> Option<Diagnostic> {
        let token = self.token(at)?;
        let what = match token.kind {
            TokenKind::Operator | TokenKind::Question => "a value",
            TokenKind::Dot => "a name",
            _ => return None,
        };
        let next = self.token(at + 1).filter(|next| next.start < self.item.bytes.end);
        if next.is_some_and(|next| next.kind.starts_term()) {
            return None;
        }
        let operator = token.text(self.text);
        Some(
            Diagnostic::error(
                "missing-value",
                self.span(token.range()),
                format!("{what} is missing behind `{operator}`"),
            )
            .help("an expression goes on over the end of a line only within brackets"),
        )
    }

    /// A `%{ if … }` or `%{ for … }` that is not ended, or an end too many.
    fn unclosed_directive(&self, from: usize) -> Option<Diagnostic> {
        let mut open: Vec<(usize, &str)> = Vec::new();
        let tokens = self.tokens.get(from..self.item.tokens.end)?;
        for (offset, pair) in tokens.windows(2).enumerate() {
            let [directive, word] = pair else { continue };
            if directive.kind != TokenKind::Directive {
                continue;
            }
            let word = word.text(self.text);
            let index = from + offset;
            match (word, open.last().map(|(_, word)| *word)) {
                ("if" | "for", _) => open.push((index, word)),
                ("else", Some("if")) => {}
                ("endif", Some("if")) | ("endfor", Some("for")) => {
                    open.pop();
                }
                _ => return Some(self.odd_directive(index, word)),
            }
        }
        let (index, word) = open.last().copied()?;
        let end = if word == "if" { "endif" } else { "endfor" };
        Some(
            Diagnostic::error(
                "unclosed-directive",
                self.directive(index),
                format!("`%{{ {word} }}` has no `%{{ {end} }}`"),
            )
            .help(format!("put `%{{ {end} }}` behind the text it is for, in the same string")),
        )
    }

    fn odd_directive(&self, index: usize, word: &str) -> Diagnostic {
        Diagnostic::error(
            "unclosed-directive",
            self.directive(index),
            format!("`%{{ {word} }}` does not belong here"),
        )
        .help("directives are `%{ if … }`, `%{ else }`, `%{ endif }`, `%{ for … in … }` and `%{ endfor }`; the text `%{` is written `%%{`")
    }

    /// A directive from its `%{` to its `}`.
    fn directive(&self, index: usize) -> Span {
        let start = self.range(index);
        let mut tokens =
            self.tokens.iter().skip(index).take_while(|token| token.kind != TokenKind::Newline);
        let close = tokens.find(|token| token.kind == TokenKind::TemplateClose);
        self.span(start.start..close.map_or(start.end, |close| close.end))
    }

    fn template_labels(&self) -> Option<Diagnostic> {
        let mut names: Vec<usize> = self.layout.statements.iter().map(|s| s.name).collect();
        names.sort_unstable();
        names.into_iter().find_map(|name| self.template_label(name))
    }

    /// A label with a template in it.
    fn template_label(&self, name: usize) -> Option<Diagnostic> {
        let mut tokens = self.tokens.iter().skip(name + 1);
        let template = tokens.find(|token| {
            !matches!(
                token.kind,
                TokenKind::QuoteOpen | TokenKind::QuoteClose | TokenKind::Text | TokenKind::Ident
            )
        })?;
        matches!(template.kind, TokenKind::Interpolation | TokenKind::Directive).then(|| {
            let word = self.name(name);
            Diagnostic::error(
                "template-label",
                self.span(template.range()),
                format!(
                    "a label of `{word}` is plain text and cannot contain `{}`",
                    template.text(self.text)
                ),
            )
            .help("to make several of a kind, use `for_each`")
        })
    }

    /// The operator or separator before a token.
    fn before(&self, token: usize) -> Option<&str> {
        let before = self.token(token.checked_sub(1)?)?;
        matches!(
            before.kind,
            TokenKind::Operator
                | TokenKind::Comma
                | TokenKind::Question
                | TokenKind::Colon
                | TokenKind::Assign
        )
        .then(|| before.text(self.text))
    }
}

/// Words that only ever begin a block.
fn is_block_word(word: &str) -> bool {
    matches!(
        word,
        "job"
            | "task"
            | "get"
            | "put"
            | "run"
            | "resource"
            | "variable"
            | "service"
            | "notify"
            | "resource_type"
            | "runner_type"
            | "service_type"
            | "secret_type"
            | "notification_type"
            | "notification"
    )
}
