//! Runs the command block of a declared type: finds its runner, passes what the
//! method was called with as variables, and keeps what it prints where that is
//! the answer.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use pikoci_core::context::{StepContext, StepRun};
use pikoci_core::event::OutputStream;
use pikoci_core::params::Params;
use pikoci_core::pipeline::CommandBlock;
use pikoci_core::{Exit, Runner, StepIo, TypeError, Value};

use super::Runners;
use crate::runner::scripts;

/// The most of a command's standard output that is kept to be parsed, in bytes.
pub(crate) const CAPTURE_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// How many characters of a command's output an error shows.
const SHOWN_CHARS: usize = 300;

/// How much of the end of a command's output errors look at, in bytes and lines.
const TAIL_BYTES: usize = 16 * 1024;
const TAIL_LINES: usize = 50;

/// What happens to a command's output, besides being kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// It goes to the step.
    Shown,
    /// It goes to the step, and standard output is kept.
    Kept,
    /// Standard output is kept and not shown, for it is data and no word to people.
    Data,
    /// Standard output is kept and shown to no one; standard error is shown
    /// only if the command does not exit with 0. For answers that are secrets:
    /// when they are printed, nothing masks them yet.
    Secret,
}

/// How a command ended and what was kept of its output.
pub(crate) struct Ended {
    /// How it ended.
    pub(crate) exit: Exit,
    /// Its standard output, where it was kept.
    pub(crate) stdout: Vec<u8>,
    /// Whether there was more standard output than is kept.
    pub(crate) truncated: bool,
    /// The line it printed that says best what was wrong, see [`Tail`]; empty if none.
    pub(crate) telling_line: String,
}

/// The commands of one declared type.
#[derive(Clone)]
pub(crate) struct Commands {
    /// What people call the type: `resource type `git``.
    pub(crate) owner: String,
    /// What the blocks' labels stand for.
    pub(crate) runners: Runners,
    /// Where all of the type's commands run instead.
    pub(crate) instead: Option<CommandBlock>,
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Commands {
    /// Runs `block` with `vars` over the step's own variables.
    pub(crate) async fn run(
        &self,
        step: &mut StepRun<'_>,
        block: &CommandBlock,
        vars: BTreeMap<String, String>,
        output: Output,
    ) -> Result<Ended, TypeError> {
        let known = |name: &str| {
            vars.contains_key(name)
                || step.context.env.0.contains_key(name)
                || name == "RESOURCE_NAME"
                || (name == "CACHE_DIR" && step.context.cache_dir.is_some())
        };
        let Ready { runner, params, env } = self.ready(step, block, &known).await?;
        let mut context = step.context.clone();
        context.env.0.extend(env);
        context.env.0.extend(vars);
        if let Some(dir) = &context.cache_dir {
            let dir = dir.to_string_lossy().into_owned();
            context.env.0.entry("CACHE_DIR".to_owned()).or_insert(dir);
        }
        context
            .env
            .0
            .entry("RESOURCE_NAME".to_owned())
            .or_insert_with(|| resource_name(step.context).to_owned());
        let mut io = Capture {
            inner: step.io,
            output,
            stdout: Vec::new(),
            held: Vec::new(),
            truncated: false,
            tail: Tail::default(),
        };
        let exit = {
            let inner = StepRun::new(&context, &mut io, step.cancel);
            let mut inner = inner.with_secrets(step.secrets);
            runner.run(&mut inner, &params).await
        };
        let Capture { stdout, held, truncated, tail, inner, .. } = io;
        if !matches!(exit, Ok(Exit::Code(0))) {
            for chunk in held {
                inner.output(OutputStream::Stderr, chunk).await;
            }
        }
        Ok(Ended { exit: exit?, stdout, truncated, telling_line: tail.telling_line() })
    }

    /// What a block comes to on the runner that it, or the type, names, with
    /// its secrets put in. `known` are the names that the command will have as variables.
    async fn ready(
        &self,
        step: &mut StepRun<'_>,
        block: &CommandBlock,
        known: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Ready<'_>, TypeError> {
        let name = self.instead.as_ref().map_or(&block.runner, |instead| &instead.runner);
        let runner = self.runners.get(name).ok_or_else(|| {
            TypeError::errored(format!("{} runs on `{name}`, which is no known runner", self.owner))
        })?;
        let of_owner = |error: TypeError| TypeError {
            message: format!("{}: {}", self.owner, error.message),
            ..error
        };
        let mut params = step.resolve(&block.params).await.map_err(of_owner)?;
        let mut env = BTreeMap::new();
        if let Some(instead) = &self.instead {
            env = adapt(&mut params, runner.as_ref(), known);
            let own = step.resolve(&instead.params).await.map_err(of_owner)?;
            own.iter().for_each(|(name, value)| params.insert(name, value.clone()));
        }
        Ok(Ready { runner: runner.as_ref(), params, env })
    }
}

/// A command block ready to run.
struct Ready<'a> {
    runner: &'a dyn Runner,
    params: Params,
    /// Variables that stand in the block, for a runner that takes no `env`.
    env: BTreeMap<String, String>,
}

/// The name of the resource a step is about: the engine calls such steps
/// `get NAME`, `put NAME` and `check NAME`.
pub(crate) fn resource_name(context: &StepContext) -> &str {
    context.name.split_once(' ').map_or(context.name.as_str(), |(_, name)| name)
}

/// Says how a command ended that was meant to exit with 0, or nothing.
pub(crate) fn exit_error(what: &str, exit: Exit) -> Option<TypeError> {
    match exit {
        Exit::Code(0) => None,
        Exit::Code(code) => Some(
            TypeError::errored(format!("`{what}` exited with code {code}")).with_exit_code(code),
        ),
        Exit::Signal(signal) => {
            Some(TypeError::errored(format!("`{what}` was ended by signal {signal}")))
        }
        Exit::Cancelled => Some(TypeError::cancelled()),
    }
}

/// Output as an error shows it: trimmed, on one line, not too long.
pub(crate) fn shown(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let text = text.trim();
    if text.is_empty() {
        return "nothing".into();
    }
    let mut out: String = text.chars().take(SHOWN_CHARS).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    format!("`{}`", out.replace('\n', "\\n"))
}

/// `message` with the line that explains it, where there is one.
pub(crate) fn with_line(message: &str, line: &str) -> String {
    match line {
        "" => message.to_owned(),
        line => format!("{message}: {}", shown(line.as_bytes())),
    }
}

/// Turns the parameters of a command for one kind of runner into those of
/// another: `path` and `args` into one `cmd`, and the other way round. Answers
/// the variables that must come with it: those of an `env` that the other one
/// does not take, and a script, which may hold a secret and so is kept out of
/// the arguments that everyone on the machine can read.
fn adapt(
    params: &mut Params,
    runner: &dyn Runner,
    known: &dyn Fn(&str) -> bool,
) -> BTreeMap<String, String> {
    let mut vars = BTreeMap::new();
    let Some(accepted) = runner.params().accepted else { return vars };
    let takes = |name: &str| accepted.iter().any(|it| it == name);
    if let Some(path) = params.text("path")
        && !takes("path")
        && takes("cmd")
    {
        let mut words = vec![shell_word(&path, known)];
        let args = params.texts("args");
        words.extend(
            scripts(&args)
                .map(|(arg, is_script)| shell_word(arg, |name| !is_script && known(name))),
        );
        params.remove("path");
        params.remove("args");
        params.insert("cmd", words.join(" "));
    } else if let Some(cmd) = params.text("cmd")
        && !takes("cmd")
        && takes("path")
    {
        vars.insert(SCRIPT.to_owned(), cmd);
        params.remove("cmd");
        params.insert("path", "/bin/sh");
        params.insert("args", Value::List(vec!["-ec".into(), RUN_SCRIPT.into()]));
    }
    if !takes("env")
        && let Some(Value::Object(env)) = params.remove("env")
    {
        vars.extend(env.iter().filter_map(|(name, it)| Some((name.clone(), it.to_text()?))));
    }
    vars
}

/// The variable by which a script reaches a shell that a runner starts by `path`.
const SCRIPT: &str = "PIKOCI_SCRIPT";

/// Runs the script in [`SCRIPT`], out of the sight of what it starts itself.
const RUN_SCRIPT: &str = r#"set -- "$PIKOCI_SCRIPT"; unset PIKOCI_SCRIPT; eval "shift; $1""#;

/// `text` as one word of a POSIX shell. `$NAME` and `${NAME}` of the names that
/// `expand` accepts stay expansions, because `exec` would have expanded them.
fn shell_word(text: &str, expand: impl Fn(&str) -> bool) -> String {
    fn literal(out: &mut String, text: &str) {
        if !text.is_empty() {
            out.push('\'');
            out.push_str(&text.replace('\'', r"'\''"));
            out.push('\'');
        }
    }
    let mut out = String::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(at) = rest.get(from..).and_then(|tail| tail.find('$')).map(|at| at + from) {
        let tail = rest.get(at + 1..).unwrap_or_default();
        if tail.starts_with('$') {
            // As in every expansion, the second one begins no name.
            from = at + 2;
            continue;
        }
        let (name, length) = match tail.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2),
            None => {
                let end = tail
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(tail.len());
                (tail.get(..end).unwrap_or_default(), end)
            }
        };
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_name && expand(name) {
            literal(&mut out, rest.get(..at).unwrap_or_default());
            out.push_str("\"${");
            out.push_str(name);
            out.push_str("}\"");
            rest = tail.get(length..).unwrap_or_default();
            from = 0;
        } else {
            from = at + 1;
        }
    }
    literal(&mut out, rest);
    if out.is_empty() { "''".into() } else { out }
}

/// Hands output on and keeps what is asked for.
struct Capture<'a> {
    inner: &'a mut dyn StepIo,
    output: Output,
    stdout: Vec<u8>,
    held: Vec<Bytes>,
    truncated: bool,
    tail: Tail,
}

#[async_trait]
impl StepIo for Capture<'_> {
    async fn output(&mut self, stream: OutputStream, chunk: Bytes) {
        if self.output != Output::Secret {
            self.tail.push(stream, &chunk);
        }
        if stream == OutputStream::Stdout && self.output != Output::Shown {
            let room = CAPTURE_LIMIT_BYTES - self.stdout.len();
            self.truncated |= chunk.len() > room;
            self.stdout.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        match (self.output, stream) {
            (Output::Secret | Output::Data, OutputStream::Stdout) => {}
            (Output::Secret, OutputStream::Stderr) => {
                let held: usize = self.held.iter().map(Bytes::len).sum();
                if held + chunk.len() <= CAPTURE_LIMIT_BYTES {
                    self.held.push(chunk);
                }
            }
            _ => self.inner.output(stream, chunk).await,
        }
    }
}

/// The end of what a command printed, in which an error looks for the line to quote.
#[derive(Default)]
struct Tail {
    text: Vec<u8>,
    stream: Option<OutputStream>,
    /// Whether something came before `text`.
    cut: bool,
}

impl Tail {
    fn push(&mut self, stream: OutputStream, chunk: &[u8]) {
        // A line that one stream left open must not run into the other's.
        if self.stream.replace(stream).is_some_and(|last| last != stream)
            && !self.text.ends_with(b"\n")
        {
            self.text.push(b'\n');
        }
        let (before, end) = chunk.split_at(chunk.len().saturating_sub(TAIL_BYTES));
        if !before.is_empty() {
            self.cut = true;
            self.text.clear();
        }
        self.text.extend_from_slice(end);
        if self.text.len() > 2 * TAIL_BYTES {
            self.cut = true;
            self.text.drain(..self.text.len() - TAIL_BYTES);
        }
    }

    /// The first of the last lines that begins as an error does, or else the
    /// last one: what follows the error is often only advice.
    fn telling_line(&self) -> String {
        // Never a line without its beginning: a secret in it could not be told from other text.
        let whole = match self.cut {
            true => self.text.splitn(2, |byte| *byte == b'\n').nth(1).unwrap_or_default(),
            false => &self.text,
        };
        let text = String::from_utf8_lossy(whole);
        let lines: Vec<&str> = text
            .rsplit(['\n', '\r'])
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .take(TAIL_LINES)
            .collect();
        let error = lines.iter().rev().find(|line| begins_as_error(line));
        error.or(lines.first()).map_or_else(String::new, |line| (*line).to_owned())
    }
}

/// Whether a line begins with `fatal:` or `error:`, also after `NAME: `.
fn begins_as_error(line: &str) -> bool {
    let begins = |line: &str| {
        line.split_once(':').is_some_and(|(word, _)| {
            word.eq_ignore_ascii_case("fatal") || word.eq_ignore_ascii_case("error")
        })
    };
    let after_name = line
        .split_once(": ")
        .filter(|(name, _)| !name.contains(char::is_whitespace))
        .is_some_and(|(_, rest)| begins(rest.trim_start()));
    begins(line) || after_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell_as_they_are() {
        for text in ["", "a b", "it's", "$HOME", "`id`", "$(id)", "\\", "a\nb", "$", "${", "é$x"] {
            let script = format!("printf %s {}", shell_word(text, |_| false));
            let out = std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), text, "{script}");
        }
    }

    #[test]
    fn accepted_names_stay_expansions() {
        let text = "cd $WORKDIR/it's ${WORKDIR}x $WORKDIRS $$WORKDIR";
        let word = shell_word(text, |name| name == "WORKDIR");
        let script = format!("WORKDIR='/a b'; printf %s {word}");
        let out = std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
        assert_eq!(
            String::from_utf8(out.stdout).unwrap(),
            "cd /a b/it's /a bx $WORKDIRS $$WORKDIR"
        );
    }

    fn telling_line(chunks: &[&str]) -> String {
        let mut tail = Tail::default();
        chunks.iter().for_each(|chunk| tail.push(OutputStream::Stderr, chunk.as_bytes()));
        tail.telling_line()
    }

    #[test]
    fn the_last_line_is_found_over_chunk_borders() {
        let table: &[(&[&str], &str)] = &[
            (&["a\nb\n"], "b"),
            (&["a\nb", "c\n"], "bc"),
            (&["a\n", "b"], "b"),
            (&["a\n", "\n\n", "  \n"], "a"),
            (&[], ""),
            (&["a", "\n", "b\n"], "b"),
            (&["1%\r50%\r99%\r"], "99%"),
        ];
        for (chunks, expected) in table {
            assert_eq!(telling_line(chunks), *expected, "{chunks:?}");
        }
    }

    #[test]
    fn a_line_that_begins_as_an_error_is_told_before_the_last_one() {
        let table = [
            (
                "Cloning\nfatal: '/x' does not appear to be a git repository\nfatal: Could not \
                 read from remote repository.\n\nPlease make sure you have the correct access \
                 rights\nand the repository exists.\n",
                "fatal: '/x' does not appear to be a git repository",
            ),
            ("ERROR: Repository not found.\nfatal: x\nbye", "ERROR: Repository not found."),
            ("git: error: no\nlast", "git: error: no"),
            ("remote:  Fatal: no\nlast", "remote:  Fatal: no"),
            ("  error: indented\nlast", "error: indented"),
            ("there was an error: no\nlast", "last"),
            ("an error\nlast", "last"),
            ("errors: 3\nlast", "last"),
            ("a b: error: no\nlast", "last"),
        ];
        for (text, expected) in table {
            assert_eq!(telling_line(&[text]), expected);
        }
        let old = format!("error: long ago\n{}last\n", "line\n".repeat(TAIL_LINES));
        assert_eq!(telling_line(&[&old]), "last");
    }

    #[test]
    fn what_is_kept_of_output_is_bounded_and_streams_do_not_mix() {
        let mut tail = Tail::default();
        for _ in 0..100 {
            tail.push(OutputStream::Stdout, &[b'x'; TAIL_BYTES]);
            tail.push(OutputStream::Stdout, b"yy");
            assert!(tail.text.len() <= 2 * TAIL_BYTES + 3, "{}", tail.text.len());
        }
        assert_eq!(tail.telling_line(), "", "a line without its beginning was told");
        tail.push(OutputStream::Stderr, b"error: no\n");
        tail.push(OutputStream::Stdout, b"last\n");
        assert_eq!(tail.telling_line(), "error: no");
        tail.push(OutputStream::Stdout, format!("{}\nend", "x".repeat(TAIL_BYTES)).as_bytes());
        assert_eq!(tail.telling_line(), "end");
    }
}
