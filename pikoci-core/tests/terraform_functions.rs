//! Compares the functions with Terraform's, over a table of edge cases and
//! over calls made up from a fixed seed. Where there is no `terraform` program
//! nothing is compared, and the test says so.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use jiff::Timestamp;
use pikoci_core::Value;
use pikoci_core::language::functions::{self, Budget, Context};
use pikoci_core::value::Number;

/// Calls whose result is meant to differ, each with the reason. The
/// documentation of `language::functions` tells them in prose.
#[rustfmt::skip]
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("timeadd", r#"["9999-12-31T23:12:01Z","24h"]"#, "years end with 9999"),
    ("regex", r#"["a**","a"]"#, "repeated repetitions are accepted"),
    ("jsondecode", r#"["\"\\ud83d\""]"#, "half a surrogate pair is refused"),
    ("yamldecode", r#"["x: !!int \"5\""]"#, "a tag makes a number of a quoted text"),
    ("yamldecode", r#"["- yes\n- no\n- on\n- off\n- y\n- n\n- Yes\n- NO\n- tRue\n- False"]"#, "any case of `true`"),
    ("yamldecode", r#"["- 010\n- 0x1F\n- 0o17\n- 0b11\n- 1_000\n- +1\n- -1\n- 1e3\n- 1.\n- .5\n- 1.5e-3\n- 12e03"]"#, "`0b11` and `1_000` are numbers"),
    ("yamldecode", r#"["- Null\n- NULL\n- nUll\n- ''\n-"]"#, "any case of `null`"),
    ("yamldecode", r#"["- 1.0\n- \"1\"\n- 2018-01-02\n- 12:30:45"]"#, "dates stay texts"),
];

struct Call {
    function: &'static str,
    arguments: Vec<Value>,
}

/// What a call gave, as JSON; `None` for an error.
type Outcome = Option<serde_json::Value>;

fn sets_in_order(value: Value) -> Value {
    match value {
        Value::Set(items) => functions::set(items.into_iter().map(sets_in_order).collect()),
        Value::List(items) => Value::List(items.into_iter().map(sets_in_order).collect()),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (key, sets_in_order(value))).collect())
        }
        other => other,
    }
}

fn table() -> Vec<Call> {
    let parse = |&(function, arguments): &(&'static str, &str)| {
        let arguments: Vec<Value> = serde_json::from_str(arguments).expect("the table is JSON");
        Call { function, arguments: arguments.into_iter().map(sets_in_order).collect() }
    };
    TABLE.iter().map(parse).collect()
}

/// What an argument is made from.
#[derive(Clone, Copy)]
enum Pool {
    Text,
    Word,
    Whole,
    Small,
    Number,
    Bool,
    List,
    Words,
    Wholes,
    Set,
    Map,
    MapOfLists,
    Pattern,
    Replacement,
    Time,
    Duration,
    DateSpec,
    Spec,
    Any,
}

/// Which arguments make sense where, so that most calls have a result.
const SHAPES: &[(&str, &[Pool])] = {
    use Pool::*;
    &[
        ("abs", &[Number]),
        ("alltrue", &[List]),
        ("anytrue", &[List]),
        ("base64decode", &[Word]),
        ("base64encode", &[Text]),
        ("ceil", &[Number]),
        ("chomp", &[Text]),
        ("chunklist", &[Words, Small]),
        ("chunklist", &[List, Small]),
        ("coalesce", &[Word, Whole, Word]),
        ("coalesce", &[Any, Any]),
        ("coalescelist", &[List, List]),
        ("compact", &[Words]),
        ("compact", &[List]),
        ("concat", &[List, Words, List]),
        ("contains", &[Words, Word]),
        ("contains", &[List, Word]),
        ("csvdecode", &[Text]),
        ("distinct", &[List]),
        ("distinct", &[Words]),
        ("element", &[List, Small]),
        ("endswith", &[Text, Word]),
        ("flatten", &[List]),
        ("floor", &[Number]),
        ("format", &[Spec, Word]),
        ("format", &[Spec, Number]),
        ("format", &[Spec, Whole]),
        ("format", &[Spec, Word, Whole]),
        ("formatdate", &[DateSpec, Time]),
        ("formatlist", &[Spec, Words]),
        ("formatlist", &[Spec, Wholes, Word]),
        ("indent", &[Small, Text]),
        ("index", &[Words, Word]),
        ("join", &[Word, Words]),
        ("join", &[Word, Wholes, List]),
        ("jsondecode", &[Text]),
        ("jsonencode", &[Any]),
        ("keys", &[Map]),
        ("length", &[Any]),
        ("lookup", &[Map, Word, Whole]),
        ("lower", &[Text]),
        ("matchkeys", &[Words, Words, Words]),
        ("max", &[Number, Whole]),
        ("merge", &[Map, Map]),
        ("min", &[Number, Whole, Number]),
        ("one", &[List]),
        ("parseint", &[Word, Small]),
        ("range", &[Small]),
        ("range", &[Small, Whole]),
        ("range", &[Whole, Whole, Small]),
        ("regex", &[Pattern, Text]),
        ("regexall", &[Pattern, Text]),
        ("replace", &[Text, Word, Replacement]),
        ("reverse", &[List]),
        ("setintersection", &[Set, Set]),
        ("setintersection", &[Words, Words, Words]),
        ("setproduct", &[Words, Wholes]),
        ("setproduct", &[Set, Set]),
        ("setsubtract", &[Set, Words]),
        ("setunion", &[Set, Wholes]),
        ("sha256", &[Text]),
        ("signum", &[Whole]),
        ("slice", &[List, Small, Small]),
        ("sort", &[Words]),
        ("sort", &[List]),
        ("split", &[Word, Text]),
        ("startswith", &[Text, Word]),
        ("strcontains", &[Text, Word]),
        ("strrev", &[Text]),
        ("substr", &[Text, Whole, Whole]),
        ("sum", &[Wholes]),
        ("timeadd", &[Time, Duration]),
        ("title", &[Text]),
        ("tobool", &[Any]),
        ("tolist", &[List]),
        ("tomap", &[Map]),
        ("tonumber", &[Any]),
        ("toset", &[List]),
        ("tostring", &[Any]),
        ("transpose", &[MapOfLists]),
        ("trim", &[Text, Word]),
        ("trimprefix", &[Text, Word]),
        ("trimspace", &[Text]),
        ("trimsuffix", &[Text, Word]),
        ("upper", &[Text]),
        ("urlencode", &[Text]),
        ("values", &[Map]),
        ("yamlencode", &[Any]),
        ("yamlencode", &[Map]),
        ("zipmap", &[Words, List]),
        ("signum", &[Bool]),
    ]
};

/// How many calls are made up for each line of [`SHAPES`].
const CALLS_A_SHAPE: usize = 12;

/// Numbers that look random and are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        // Xorshift: good enough to pick from short lists.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (limit as u64)).expect("the limit fits")
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn text(&mut self) -> String {
        const PIECES: &[&str] = &[
            "a",
            "b",
            "Hello",
            "world",
            " ",
            "  ",
            "\n",
            "\n\n",
            "\t",
            ",",
            "-",
            "_",
            ".",
            "/",
            "é",
            "q\u{323}",
            "日本",
            "👨‍👩‍👧",
            "\"",
            "\\",
            "<x>",
            "&",
            "${",
            "%{",
            "$",
            "1",
            "42",
            "x=y",
            ": ",
            "#",
            "'",
            "{",
            "}",
            "[",
            "]",
            "\r\n",
            "ß",
            "ǆ",
            "a long stretch of words without an end ",
        ];
        (0..self.below(7)).map(|_| self.pick(PIECES)).collect()
    }

    fn word(&mut self) -> String {
        const WORDS: &[&str] = &[
            "", "a", "b", "ab", "abc", "Hello", "true", "false", "1", "42", "-7", "1.5", " ", "\n",
            ",", "é", "日本", "_", "zz", "10", "x y", "aGVsbG8=", "ff",
        ];
        self.pick(WORDS).to_owned()
    }

    fn number(&mut self) -> Value {
        let halves = i32::try_from(self.below(41)).expect("it is small") - 20;
        Value::Number(Number::from_f64(f64::from(halves) / 4.0).expect("it is finite"))
    }

    fn whole(&mut self, least: i64, count: usize) -> Value {
        Value::from(least + i64::try_from(self.below(count)).expect("it is small"))
    }

    fn many(&mut self, mut one: impl FnMut(&mut Self) -> Value) -> Vec<Value> {
        (0..self.below(5)).map(|_| one(self)).collect()
    }

    fn any(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => Value::String(self.text()),
            1 => Value::String(self.word()),
            2 => self.number(),
            3 => Value::Bool(self.below(2) == 0),
            4 => self.whole(-5, 11),
            5 | 6 => Value::List(self.many(|random| random.any(depth - 1))),
            _ => self.map(depth - 1),
        }
    }

    fn map(&mut self, depth: usize) -> Value {
        let entries = (0..self.below(4)).map(|_| (self.word(), self.any(depth)));
        Value::Object(entries.collect())
    }

    fn value(&mut self, pool: Pool) -> Value {
        match pool {
            Pool::Text => Value::String(self.text()),
            Pool::Word => Value::String(self.word()),
            Pool::Whole => self.whole(-10, 21),
            Pool::Small => self.whole(-1, 8),
            Pool::Number => self.number(),
            Pool::Bool => Value::Bool(self.below(2) == 0),
            Pool::List => Value::List(self.many(|random| random.any(1))),
            Pool::Words => Value::List(self.many(|random| Value::String(random.word()))),
            Pool::Wholes => Value::List(self.many(|random| random.whole(-3, 7))),
            Pool::Set => functions::set(self.many(|random| Value::String(random.word()))),
            Pool::Map => self.map(1),
            Pool::MapOfLists => {
                let entries = (0..self.below(4)).map(|_| {
                    let items = self.many(|random| Value::String(random.word()));
                    (self.word(), Value::List(items))
                });
                Value::Object(entries.collect())
            }
            Pool::Pattern => Value::from(self.pick(&[
                "a",
                "[a-z]+",
                "(a)(b)?",
                "(?P<first>[a-z])(?P<rest>\\w*)",
                "^\\s*",
                "\\d+$",
                "l+",
                "[^a-z ]",
                "(?i)HELLO",
                "x|(y)",
                "\\bworld\\b",
                "",
                ".",
                "(?s).+",
                "[[:upper:]]",
                "\\p{Han}+",
                "(",
                "a{2}",
            ])),
            Pool::Replacement => Value::from(self.pick(&["", "-", "$1", "xx", "a", "${0}", "\\1"])),
            Pool::Time => Value::from(self.pick(&[
                "2020-02-29T00:00:00Z",
                "1999-12-31T23:59:59.999Z",
                "2026-11-21T07:30:00+05:45",
                "2026-03-29T02:30:00-03:00",
                "1970-01-01T12:00:00Z",
                "2026-13-01T00:00:00Z",
                "2026-11-21",
            ])),
            Pool::Duration => Value::from(self.pick(&[
                "1s", "-1h", "36h", "1h30m5s", "1.25h", "100ms", "0", "1d", "", "-0.5m", "8760h",
            ])),
            Pool::DateSpec => Value::from(self.pick(&[
                "YYYY-MM-DD",
                "DD MMM YYYY hh:mm ZZZ",
                "EEEE, D MMMM",
                "H:mmaa",
                "HH AA",
                "ss's'",
                "YY/M/D h:m:s",
                "Z",
                "ZZZZZ",
                "QQ",
                "EEE ZZZZ",
                "'day' D",
            ])),
            Pool::Spec => Value::from(self.pick(&[
                "%s",
                "%d",
                "%v",
                "%q",
                "%5s|",
                "%-5s|",
                "%05d",
                "%x",
                "%#x",
                "%f",
                "%.1f",
                "%g",
                "%e",
                "%t",
                "%+d",
                "%%",
                "%[1]s %[1]v",
                "<%s>",
                "%8.2f|",
                "%#v",
                "%o",
                "%b",
                "%s %s",
                "%s %d",
                "%.2s",
                "% d",
                "%X",
            ])),
            Pool::Any => self.any(2),
        }
    }
}

fn made_up() -> Vec<Call> {
    let mut random = Random(0x5eed_0f71_c0c1);
    let mut calls = Vec::new();
    for (function, pools) in SHAPES {
        for _ in 0..CALLS_A_SHAPE {
            let arguments = pools.iter().map(|pool| random.value(*pool)).collect();
            calls.push(Call { function, arguments });
        }
    }
    calls
}

/// Writes a value as an expression.
fn write_hcl(value: &Value, out: &mut String) {
    let list = |items: &[Value], out: &mut String| {
        out.push('[');
        for item in items {
            write_hcl(item, out);
            out.push(',');
        }
        out.push(']');
    };
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => write!(out, "{value}").expect("a string takes it"),
        Value::Number(number) => write!(out, "{number}").expect("a string takes it"),
        Value::String(text) => write_hcl_text(text, out),
        Value::List(items) => list(items, out),
        Value::Set(items) => {
            out.push_str("toset(");
            list(items, out);
            out.push(')');
        }
        Value::Object(map) => {
            out.push('{');
            for (key, item) in map {
                write_hcl_text(key, out);
                out.push('=');
                write_hcl(item, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Deferred(_) => unreachable!("no call has deferred values"),
    }
}

fn write_hcl_text(text: &str, out: &mut String) {
    out.push('"');
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' | '\\' => {
                out.push('\\');
                out.push(char);
            }
            '$' | '%' if chars.peek() == Some(&'{') => {
                out.push(char);
                out.push(char);
            }
            ' '..='~' => out.push(char),
            other => {
                write!(out, "\\U{:08x}", u32::from(other)).expect("a string takes it");
            }
        }
    }
    out.push('"');
}

impl Call {
    fn expression(&self) -> String {
        let mut out = format!("{}(", self.function);
        for (index, argument) in self.arguments.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_hcl(argument, &mut out);
        }
        out.push(')');
        out
    }

    fn run(&self) -> Result<Outcome, String> {
        let budget = Budget::default();
        let cx = Context { now: Timestamp::UNIX_EPOCH, files: None, budget: &budget };
        match functions::call(self.function, self.arguments.clone(), &cx) {
            Ok(value) => Ok(Some(value.to_json())),
            Err(error) if error.argument.is_some_and(|index| index >= self.arguments.len()) => {
                Err(format!("blames an argument that was not given: {error}"))
            }
            Err(_) => Ok(None),
        }
    }

    /// Whether the two results are meant to differ.
    fn may_differ(&self) -> bool {
        DIFFERENT.iter().any(|(function, arguments, _)| {
            let parsed: Vec<Value> = serde_json::from_str(arguments).expect("the list is JSON");
            *function == self.function && parsed == self.arguments
        })
    }
}

fn terraform() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("terraform")).find(|file| file.is_file())
}

/// The longest line that the console takes, with room to spare.
const MAX_LINE: usize = 50_000;

/// What Terraform makes of the calls, many in one expression.
fn ask(terraform: &PathBuf, calls: &[Call]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut line = String::new();
    for (index, call) in calls.iter().enumerate() {
        let expression = format!("try([jsonencode({})],[]),", call.expression());
        if line.len() + expression.len() > MAX_LINE {
            outcomes.extend(ask_line(terraform, &line, calls.get(outcomes.len()..index)));
            line.clear();
        }
        line.push_str(&expression);
    }
    outcomes.extend(ask_line(terraform, &line, calls.get(outcomes.len()..)));
    outcomes
}

fn ask_line(terraform: &PathBuf, line: &str, calls: Option<&[Call]>) -> Vec<Outcome> {
    let mut child = Command::new(terraform)
        .arg("console")
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .env("CHECKPOINT_DISABLE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("terraform starts");
    let mut input = child.stdin.take().expect("its input is piped");
    // Base64 keeps the console from quoting the answer its own way.
    let text = format!("base64encode(jsonencode([{line}]))\n");
    std::io::Write::write_all(&mut input, text.as_bytes()).expect("terraform reads");
    drop(input);
    let output = child.wait_with_output().expect("terraform ends");
    let answer = String::from_utf8_lossy(&output.stdout);
    let decoded = base64::engine::general_purpose::STANDARD.decode(answer.trim().trim_matches('"'));
    let Ok(decoded) = decoded else {
        let calls = calls.unwrap_or_default();
        // One call without an answer spoils them all: find it.
        if calls.len() > 1 {
            let (some, rest) = calls.split_at(calls.len() / 2);
            return [some, rest].into_iter().flat_map(|calls| ask(terraform, calls)).collect();
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        panic!("terraform does not answer to {line}: {answer} {errors}");
    };
    let rows: Vec<Vec<String>> = serde_json::from_slice(&decoded).expect("the answer is JSON");
    rows.into_iter()
        .map(|row| row.first().map(|json| serde_json::from_str(json).expect("a result is JSON")))
        .collect()
}

/// Whether two results are the same, floats up to their last digits.
fn same(ours: &serde_json::Value, theirs: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (ours, theirs) {
        (Json::Number(a), Json::Number(b)) => {
            let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) else { return false };
            (a - b).abs() <= 1e-14 * a.abs().max(b.abs())
        }
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "that nothing was compared must be seen")]
fn results_are_those_of_terraform() {
    let Some(terraform) = terraform() else {
        eprintln!("SKIPPED: no `terraform` on PATH, the functions were not compared with it");
        return;
    };
    let mut calls = table();
    calls.extend(made_up());
    let theirs = ask(&terraform, &calls);
    assert_eq!(theirs.len(), calls.len());
    let mut wrong = Vec::new();
    let mut with_result = 0;
    for (call, theirs) in calls.iter().zip(&theirs) {
        let ours = call.run();
        let equal = match (&ours, theirs) {
            (Ok(Some(ours)), Some(theirs)) => same(ours, theirs),
            (Ok(None), None) => true,
            _ => false,
        };
        with_result += usize::from(theirs.is_some());
        if equal == call.may_differ() {
            let shown = |outcome: &Outcome| {
                outcome.as_ref().map_or_else(|| "an error".to_owned(), ToString::to_string)
            };
            let ours = ours.as_ref().map_or_else(Clone::clone, shown);
            let theirs = shown(theirs);
            wrong.push(format!("{}\n    ours   {ours}\n    theirs {theirs}", call.expression()));
        }
    }
    assert!(with_result > 1000, "only {with_result} of {} calls had a result", calls.len());
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), calls.len(), wrong.join("\n"));
}

/// Edge cases: the function, and its arguments as JSON; a set is `{"$set": […]}`.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    ("element", r#"[["a","b","c"],-1]"#),
    ("split", r#"[",",""]"#),
    ("split", r#"["","abc"]"#),
    ("tolist", r#"[[true,1]]"#),
    ("contains", r#"[["1"],1]"#),
    ("contains", r#"[[1,"a"],"1"]"#),
    ("index", r#"[["1"],1]"#),
    ("index", r#"[[1,2],"1"]"#),
    ("distinct", r#"[[1,"1"]]"#),
    ("ceil", r#"[-0.5]"#),
    ("format", r#"["%v",1000000]"#),
    ("format", r#"["%v %v",0.00001,12345.678]"#),
    ("format", r#"["%g %e %f",1234567,1234567,1234567]"#),
    ("format", r#"["%5.1f|%-8s|%08.3f|%+d|% d|%x|%X|%o|%b|%#x",3.14159,"ab",3.14159,5,5,255,255,8,5,255]"#),
    ("format", r#"["%q %#v %v %t","a<b",{"a":1},[1,"x"],"true"]"#),
    ("format", r#"["%[2]s %[1]s","a","b"]"#),
    ("format", r#"["%s %s","a"]"#),
    ("format", r#"["%s","a","b"]"#),
    ("formatlist", r#"["%s-%s",["a","b"],"c"]"#),
    ("formatlist", r#"["%s",[]]"#),
    ("formatlist", r#"["x"]"#),
    ("formatlist", r#"["%s","a"]"#),
    ("flatten", r#"[[[1,[2,[]]],3,{"a":[1]}]]"#),
    ("flatten", r#"[[null]]"#),
    ("flatten", r#"[[[null],{"$set":[1]}]]"#),
    ("setproduct", r#"[["b","a"],[1,2]]"#),
    ("setproduct", r#"[{"$set":["b","a"]},{"$set":[1,2]}]"#),
    ("setproduct", r#"[["a"],[]]"#),
    ("setproduct", r#"[["a"]]"#),
    ("merge", r#"[{"a":1},null,{"b":2}]"#),
    ("merge", r#"[]"#),
    ("merge", r#"[{"a":{"x":1}},{"a":{"y":1}}]"#),
    ("lookup", r#"[{"a":1},"b",2]"#),
    ("lookup", r#"[{"a":1},"b","x"]"#),
    ("lookup", r#"[{"a":1},"b"]"#),
    ("coalesce", r#"["",null,"x"]"#),
    ("coalesce", r#"[1,"x"]"#),
    ("coalesce", r#"[null,""]"#),
    ("coalesce", r#"[[],[1]]"#),
    ("coalescelist", r#"[[],[1,2]]"#),
    ("coalescelist", r#"[[],[]]"#),
    ("sum", r#"[[1,"2",3.5]]"#),
    ("sum", r#"[[]]"#),
    ("range", r#"[3]"#),
    ("range", r#"[5,0]"#),
    ("range", r#"[0,1,0.25]"#),
    ("range", r#"[1024]"#),
    ("range", r#"[1025]"#),
    ("range", r#"[0,5,0]"#),
    ("range", r#"[0,5,-1]"#),
    ("regex", r#"["a(b)?c","ac"]"#),
    ("regex", r#"["(?P<x>a)(?P<y>b)?","a"]"#),
    ("regex", r#"["(?P<x>a)(b)?","a"]"#),
    ("regex", r#"["a","b"]"#),
    ("regexall", r#"["[a-z]","a1b"]"#),
    ("regexall", r#"["([a-z])([0-9])","a1b2"]"#),
    ("regexall", r#"["x","a"]"#),
    ("regex", r#"["\\d+","٣4"]"#),
    ("regex", r#"["[[a]]","[]"]"#),
    ("replace", r#"["abc","","X"]"#),
    ("replace", r#"["hello world","/w(.)r/","$1x-1y"]"#),
    ("replace", r#"["a/b","/","-"]"#),
    ("replace", r#"["abc","/(?P<q>b)/","[$q]"]"#),
    ("slice", r#"[["a","b","c"],1,2]"#),
    ("slice", r#"[["a"],1,1]"#),
    ("slice", r#"[["a"],0,2]"#),
    ("substr", r#"["hello",-3,2]"#),
    ("substr", r#"["hello",1,-1]"#),
    ("substr", r#"["hello",1,0]"#),
    ("substr", r#"["hello",10,1]"#),
    ("substr", r#"["hello",-10,3]"#),
    ("substr", r#"["hello",0,-2]"#),
    ("title", r#"["hello wORLD foo-bar o'neil ünder_s"]"#),
    ("upper", r#"["straße ŉ ǆ"]"#),
    ("title", r#"["ǆabc"]"#),
    ("trim", r#"["?!hello?!","!?"]"#),
    ("trimspace", r#"["   a　"]"#),
    ("chomp", r#"["a\r\n\n\r"]"#),
    ("indent", r#"[2,"a\nb\n"]"#),
    ("indent", r#"[-1,"a\nb"]"#),
    ("strrev", r#"["héllo👨‍👩‍👧"]"#),
    ("length", r#"["héllo👨‍👩‍👧"]"#),
    ("length", r#"[""]"#),
    ("zipmap", r#"[["a","b"],[1,"x"]]"#),
    ("zipmap", r#"[["a","b"],[1]]"#),
    ("zipmap", r#"[["a","a"],[1,2]]"#),
    ("transpose", r#"[{"a":["x","y"],"b":["y"]}]"#),
    ("matchkeys", r#"[["i1","i2","i3"],["a","b","a"],["a"]]"#),
    ("matchkeys", r#"[[],[],["a"]]"#),
    ("keys", r#"[{"a":2,"b":1}]"#),
    ("values", r#"[{"a":"x","b":1}]"#),
    ("keys", r#"[{}]"#),
    ("one", r#"[[]]"#),
    ("one", r#"[[1]]"#),
    ("one", r#"[[1,2]]"#),
    ("one", r#"[{"$set":["x"]}]"#),
    ("one", r#"["a"]"#),
    ("log", r#"[8,2]"#),
    ("log", r#"[0,10]"#),
    ("log", r#"[-1,10]"#),
    ("pow", r#"[2,0.5]"#),
    ("pow", r#"[2,100]"#),
    ("pow", r#"[0,-1]"#),
    ("signum", r#"[-2.5]"#),
    ("parseint", r#"["ff",16]"#),
    ("parseint", r#"["-0x1",16]"#),
    ("parseint", r#"["z",62]"#),
    ("parseint", r#"["Z",62]"#),
    ("parseint", r#"["9",8]"#),
    ("parseint", r#"[100,2]"#),
    ("max", r#"[1,"2",3]"#),
    ("max", r#"[]"#),
    ("min", r#"[1.5,-2]"#),
    ("abs", r#"[-1.5]"#),
    ("floor", r#"[-1.5]"#),
    ("alltrue", r#"[[]]"#),
    ("alltrue", r#"[[true,false]]"#),
    ("anytrue", r#"[[]]"#),
    ("anytrue", r#"[[false,"true"]]"#),
    ("chunklist", r#"[[1,2,3],2]"#),
    ("chunklist", r#"[[1,2,3],0]"#),
    ("chunklist", r#"[[],2]"#),
    ("chunklist", r#"[[1],-1]"#),
    ("compact", r#"[["a","",null,"b"]]"#),
    ("concat", r#"[[1],["a"]]"#),
    ("concat", r#"[[]]"#),
    ("concat", r#"[{"$set":["a"]},["b"]]"#),
    ("reverse", r#"[[1,"a"]]"#),
    ("reverse", r#"[{"$set":["b","a"]}]"#),
    ("sort", r#"[["b",1,"A"]]"#),
    ("sort", r#"[[10,9]]"#),
    ("setunion", r#"[[1],["a"]]"#),
    ("setunion", r#"[["b"],["a"],["b"]]"#),
    ("setintersection", r#"[["a","b"],["b"]]"#),
    ("setsubtract", r#"[["a","b"],["b"]]"#),
    ("setsubtract", r#"[[],["b"]]"#),
    ("toset", r#"[[3,1,2,10]]"#),
    ("toset", r#"[[true,false]]"#),
    ("toset", r#"[[["b"],["a"]]]"#),
    ("toset", r#"[[{"b":1},{"a":1}]]"#),
    ("toset", r#"[[{"b":2},{"b":1}]]"#),
    ("toset", r#"[[1,null,"a"]]"#),
    ("tolist", r#"[[1,"a",null]]"#),
    ("tolist", r#"[[[1],["a"]]]"#),
    ("tolist", r#"[[[1],["a","b"]]]"#),
    ("tolist", r#"[[{"a":1},{"b":"x"}]]"#),
    ("tolist", r#"[[{"a":1},{"a":"x"}]]"#),
    ("tomap", r#"[{"a":1,"b":"x"}]"#),
    ("tomap", r#"[{"a":1,"b":[]}]"#),
    ("tolist", r#"["a"]"#),
    ("tonumber", r#"["0x10"]"#),
    ("tonumber", r#"["1e3"]"#),
    ("tonumber", r#"[" 1"]"#),
    ("tonumber", r#"[""]"#),
    ("tonumber", r#"[".5"]"#),
    ("tonumber", r#"["+5"]"#),
    ("tonumber", r#"["Inf"]"#),
    ("tonumber", r#"[true]"#),
    ("tobool", r#"["1"]"#),
    ("tobool", r#"["TRUE"]"#),
    ("tobool", r#"[1]"#),
    ("tostring", r#"[1.5]"#),
    ("tostring", r#"[1000000000000000000000]"#),
    ("tostring", r#"[0.0000001]"#),
    ("tostring", r#"[null]"#),
    ("tostring", r#"[[]]"#),
    ("jsonencode", r#"["<a&b>\u2028\u0001\b\f"]"#),
    ("jsonencode", r#"[{"a":0.0000001,"b":1000000000000000000000,"c":null,"d":[true]}]"#),
    ("jsondecode", r#"["[1] x"]"#),
    ("jsondecode", r#"["{\"a\":1,\"a\":2}"]"#),
    ("csvdecode", r#"["a,b\n1,2\n3,4\n"]"#),
    ("csvdecode", r#"["a,b\n1\n"]"#),
    ("csvdecode", r#"["a,a\n1,2\n"]"#),
    ("csvdecode", r#"[""]"#),
    ("csvdecode", r#"["a,b\n"]"#),
    ("csvdecode", r#"["a,b\nx\"y,2\n"]"#),
    ("csvdecode", r#"["a,b\n\"x\",\"y\"\"z\"\n\n1,2"]"#),
    ("base64decode", r#"["aGVsbG8="]"#),
    ("base64decode", r#"["aGVsbG8"]"#),
    ("base64decode", r#"["/w=="]"#),
    ("base64encode", r#"["héllo"]"#),
    ("urlencode", r#"["a b&c/é~*-_."]"#),
    ("sha256", r#"["hello"]"#),
    ("formatdate", r#"["YYYY-MM-DD'T'hh:mm:ssZ","2018-01-02T23:12:01Z"]"#),
    ("formatdate", r#"["EEEE, DD-MMM-YY hh:mm:ss ZZZ EEE MMMM M D YY h H HH AA aa m s Z ZZZZ ZZZZZ","2018-01-02T03:02:01-08:00"]"#),
    ("formatdate", r#"["'it''s'","2018-01-02T03:02:01Z"]"#),
    ("formatdate", r#"["''","2018-01-02T03:02:01Z"]"#),
    ("formatdate", r#"["X","2018-01-02T03:02:01Z"]"#),
    ("formatdate", r#"["YYY","2018-01-02T03:02:01Z"]"#),
    ("formatdate", r#"["AAA hhh","2018-01-02T03:02:01Z"]"#),
    ("formatdate", r#"["'abc","2018-01-02T03:02:01Z"]"#),
    ("formatdate", r#"["h AA","2018-01-02T00:02:01+00:00"]"#),
    ("formatdate", r#"["H ZZZ","2018-01-02T00:02:01+00:00"]"#),
    ("formatdate", r#"["Z","2018-01-02t00:02:01z"]"#),
    ("formatdate", r#"["YYYY","2018-1-2T00:02:01Z"]"#),
    ("formatdate", r#"["YYYY","2018-02-30T00:02:01Z"]"#),
    ("timeadd", r#"["2018-01-02T23:12:01Z","1h30m"]"#),
    ("timeadd", r#"["2018-01-02T23:12:01.5Z","-1.5h"]"#),
    ("timeadd", r#"["2018-01-02T23:12:01+02:00","10m"]"#),
    ("timeadd", r#"["2018-01-02T23:12:01.7Z","400ms"]"#),
    ("timeadd", r#"["2018-01-02T23:12:01Z","0"]"#),
    ("timeadd", r#"["2018-01-02T23:12:01Z","1d"]"#),
    ("timeadd", r#"["2018-01-02T23:12:01Z",""]"#),
    ("timeadd", r#"["9999-12-31T23:12:01Z","24h"]"#),
    ("startswith", r#"["abc","ab"]"#),
    ("endswith", r#"["abc",""]"#),
    ("strcontains", r#"["abc","b"]"#),
    ("join", r#"["-",["a",1,true]]"#),
    ("join", r#"[",",["a"],["b"]]"#),
    ("join", r#"[",",[]]"#),
    ("join", r#"[",",{"$set":["b","a"]}]"#),
    ("lower", r#"["ÀİΣ"]"#),
    ("element", r#"[[],0]"#),
    ("element", r#"[["a","b"],3]"#),
    ("element", r#"[["a","b"],1.5]"#),
    ("index", r#"[["a"],"b"]"#),
    ("length", r#"[null]"#),
    ("length", r#"[{"a":1}]"#),
    ("length", r#"[5]"#),
    ("values", r#"[null]"#),
    ("trimprefix", r#"["abab","ab"]"#),
    ("trimsuffix", r#"["abab","ab"]"#),
    ("upper", r#"[5]"#),
    ("upper", r#"[true]"#),
    ("upper", r#"[["a"]]"#),
    ("sort", r#"[[]]"#),
    ("distinct", r#"[[[1],[1]]]"#),
    ("distinct", r#"[[]]"#),
    ("yamldecode", r#"["a: yes\nb: 010\nc: 0x10\nd: ~\ne: 1e3\nf: 2018-01-02\ng: on\nh: True\ni: 'x'\nj: .inf"]"#),
    ("yamldecode", r#"["a: 1\na: 2"]"#),
    ("yamldecode", r#"["a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2"]"#),
    ("yamldecode", r#"[""]"#),
    ("yamldecode", r#"["---\na: 1\n---\nb: 2"]"#),
    ("yamldecode", r#"["1: a\ntrue: b"]"#),
    ("yamldecode", r#"["[1, a, \"b\", null]"]"#),
    ("yamldecode", r#"["!!binary aGVsbG8="]"#),
    ("yamldecode", r#"["!foo bar"]"#),
    ("yamlencode", r#"[{"a":[1,"x",null,true],"b":1}]"#),
    ("yamlencode", r#"[[[1,[2,3]],{"a":{"b":[]}},{}]]"#),
    ("yamlencode", r#"["multi\nline\n"]"#),
    ("yamlencode", r#"[{"a":"multi\nline","b":"x\n\n","c":"\nlead","d":"  lead\nx","e":"trail \nx","f":"tab\tx","g":"q\"uo\\te","h":"é☃😀","i":"\u0007bell","j":"long word long word long word long word long word long word long word long word long word long word long word","k":"","l":"x: y #z","m":" nb","n":"\u2028","o":"﻿x"}]"#),
    ("yamlencode", r#"[1.5]"#),
    ("yamlencode", r#"[null]"#),
    ("yamlencode", r#"[[]]"#),
    ("yamlencode", r#"[{}]"#),
    ("yamlencode", r#"[[{"a":1,"b":2},{"c":[{"d":1}]}]]"#),
    ("yamlencode", r#"[{"1":2,"multi\nkey":3,"x y":1}]"#),
    ("yamlencode", r#"[[[]]]"#),
    ("yamlencode", r#"[{"a":[[1,2],[3]]}]"#),
    ("yamlencode", r#"[{"a":{"b":{"c":"x\ny\n"}}}]"#),
    ("yamlencode", r#"[["x\ny","z"]]"#),
    ("yamlencode", r#"[{"$set":["b","a"]}]"#),
    ("yamlencode", r#"["simple"]"#),
    ("yamlencode", r#"["a\r\nb"]"#),
    ("yamlencode", r#"["a\n  b\n"]"#),
    ("yamlencode", r#"["\n"]"#),
    ("yamlencode", r#"[" \n"]"#),
    ("yamlencode", r#"["a\n\n\n"]"#),
    ("yamlencode", r#"["a\tb\nc"]"#),
    ("yamlencode", r#"["\ta\nc"]"#),
    ("yamlencode", r#"["a\n\n b"]"#),
    ("yamlencode", r#"[1000000000000000000000]"#),
    ("yamlencode", r#"[0.0000001]"#),
    ("yamlencode", r#"[true]"#),
    ("element", r#"[{"$set":["a"]},0]"#),
    ("coalescelist", r#"[null,[1]]"#),
    ("coalescelist", r#"[[1],["a"]]"#),
    ("coalescelist", r#"[{"$set":["x"]},[1]]"#),
    ("coalesce", r#"[]"#),
    ("concat", r#"[]"#),
    ("setunion", r#"[]"#),
    ("setunion", r#"[["a"]]"#),
    ("setproduct", r#"[[1,"a"],[true,false]]"#),
    ("setproduct", r#"[[1],{"$set":["a"]}]"#),
    ("setsubtract", r#"[["a"],[1]]"#),
    ("setintersection", r#"[[1],["1"]]"#),
    ("contains", r#"[{"$set":["1"]},1]"#),
    ("contains", r#"[{"$set":["1"]},"1"]"#),
    ("contains", r#"[{"a":1},1]"#),
    ("reverse", r#"["abc"]"#),
    ("slice", r#"[{"$set":["a"]},0,1]"#),
    ("slice", r#"[["a","b"],-1,1]"#),
    ("slice", r#"[[1,2,3],2,1]"#),
    ("index", r#"[{"$set":["a"]},"a"]"#),
    ("keys", r#"[null]"#),
    ("keys", r#"[[]]"#),
    ("keys", r#"["a"]"#),
    ("values", r#"[[]]"#),
    ("lookup", r#"[{},"a",null]"#),
    ("lookup", r#"[{"a":null},"a",1]"#),
    ("lookup", r#"[null,"a",1]"#),
    ("lookup", r#"[[],"a",1]"#),
    ("matchkeys", r#"[[1,2],["a"],["a"]]"#),
    ("matchkeys", r#"[[1,2],["1","2"],[1]]"#),
    ("merge", r#"[{"a":1},{}]"#),
    ("merge", r#"[{"a":1},[]]"#),
    ("merge", r#"[null]"#),
    ("merge", r#"[null,null]"#),
    ("range", r#"[-3]"#),
    ("range", r#"[0]"#),
    ("range", r#"[1,1]"#),
    ("range", r#"[0,-5,-2]"#),
    ("range", r#"[5,0,1]"#),
    ("range", r#"[0,5,2]"#),
    ("range", r#"["3"]"#),
    ("range", r#"[0,1,0.1]"#),
    ("range", r#"[0,0,1]"#),
    ("range", r#"[0,0,0]"#),
    ("sort", r#"[["b",null]]"#),
    ("sort", r#"[{"$set":["b","a"]}]"#),
    ("sum", r#"[{"$set":[1,1,2]}]"#),
    ("sum", r#"[["a"]]"#),
    ("sum", r#"[null]"#),
    ("sum", r#"[[null]]"#),
    ("sum", r#"[[0.1,0.2]]"#),
    ("transpose", r#"[{}]"#),
    ("transpose", r#"[{"a":[1,1],"b":["1"]}]"#),
    ("transpose", r#"[{"a":"x"}]"#),
    ("transpose", r#"[{"a":{"$set":["y","x"]}}]"#),
    ("zipmap", r#"[[],[]]"#),
    ("zipmap", r#"[{"$set":["b","a"]},[1,2]]"#),
    ("zipmap", r#"[[1,2],["a","b"]]"#),
    ("zipmap", r#"[["a"],{"$set":["b"]}]"#),
    ("chunklist", r#"[["a",1],1]"#),
    ("chunklist", r#"[{"$set":["a","b"]},1]"#),
    ("compact", r#"[{"$set":["a",""]}]"#),
    ("compact", r#"[[1,null]]"#),
    ("compact", r#"[[[]]]"#),
    ("distinct", r#"[[1,true]]"#),
    ("distinct", r#"[[null,null]]"#),
    ("distinct", r#"[{"$set":[1]}]"#),
    ("flatten", r#"["a"]"#),
    ("flatten", r#"[{"a":1}]"#),
    ("flatten", r#"[{"$set":[["a"],["b"]]}]"#),
    ("length", r#"[[]]"#),
    ("length", r#"[{"$set":[1,1]}]"#),
    ("one", r#"[null]"#),
    ("one", r#"[{}]"#),
    ("max", r#"["a"]"#),
    ("abs", r#"["-5"]"#),
    ("abs", r#"[null]"#),
    ("ceil", r#"["1.2"]"#),
    ("floor", r#"[2]"#),
    ("log", r#"[2,1]"#),
    ("log", r#"[2,0]"#),
    ("log", r#"[10,10]"#),
    ("log", r#"[1000,10]"#),
    ("pow", r#"[2,-1]"#),
    ("pow", r#"[-8,1]"#),
    ("pow", r#"[0,0]"#),
    ("pow", r#"[10,400]"#),
    ("pow", r#"[-2,0.5]"#),
    ("pow", r#"[3,40]"#),
    ("signum", r#"["-3"]"#),
    ("signum", r#"[0]"#),
    ("parseint", r#"["",10]"#),
    ("parseint", r#"["+5",10]"#),
    ("parseint", r#"["-5",10]"#),
    ("parseint", r#"["FF",16]"#),
    ("parseint", r#"["fF",16]"#),
    ("parseint", r#"["1",1]"#),
    ("parseint", r#"["1",63]"#),
    ("parseint", r#"["1_000",10]"#),
    ("parseint", r#"["9223372036854775807",10]"#),
    ("parseint", r#"["-9223372036854775808",10]"#),
    ("parseint", r#"[12,10]"#),
    ("parseint", r#"["12",10.5]"#),
    ("parseint", r#"["a",36]"#),
    ("parseint", r#"["A",36]"#),
    ("parseint", r#"["aA",37]"#),
    ("join", r#"[","]"#),
    ("join", r#"[1,["a","b"]]"#),
    ("join", r#"[",",[[1]]]"#),
    ("split", r#"[",","a,b,,c"]"#),
    ("split", r#"["",""]"#),
    ("split", r#"["abc",""]"#),
    ("split", r#"[null,""]"#),
    ("substr", r#"["日本語",1,1]"#),
    ("substr", r#"["abc",1.5,1]"#),
    ("substr", r#"["abc","1","1"]"#),
    ("trim", r#"["aaa","a"]"#),
    ("trim", r#"["abc",""]"#),
    ("trimprefix", r#"["abc",""]"#),
    ("replace", r#"["abc","b",""]"#),
    ("replace", r#"["","","x"]"#),
    ("replace", r#"["aXbX","X","$1"]"#),
    ("replace", r#"["abc","/","x"]"#),
    ("replace", r#"["a//b","//","x"]"#),
    ("replace", r#"["abc","/b","x"]"#),
    ("replace", r#"["abc","/(b/","x"]"#),
    ("replace", r#"["abc","/x*/","-"]"#),
    ("replace", r#"["日本","/(?i)日/","$0$0"]"#),
    ("regex", r#"["^a.c$","abc"]"#),
    ("regex", r#"["(?i)ABC","abc"]"#),
    ("regex", r#"["(?s)a.c","a\nc"]"#),
    ("regex", r#"["a.c","a\nc"]"#),
    ("regex", r#"["(?m)^b$","a\nb\nc"]"#),
    ("regex", r#"["[[:alpha:]]+","12abc"]"#),
    ("regex", r#"["\\pL+","12日本"]"#),
    ("regex", r#"["\\p{Greek}","xα"]"#),
    ("regex", r#"["a{2,3}","aaaa"]"#),
    ("regex", r#"["a{2,3}?","aaaa"]"#),
    ("regex", r#"["(a","a"]"#),
    ("regex", r#"["","abc"]"#),
    ("regex", r#"["\\bfoo\\b","a foo b"]"#),
    ("regex", r#"["\\Qa.b\\E","xa.b"]"#),
    ("regex", r#"["[\\d-]+","a1-2"]"#),
    ("regex", r#"["[^\\D]+","a12b"]"#),
    ("regex", r#"["[a&&b]+","xa&b"]"#),
    ("regex", r#"["[]a]+","x]a"]"#),
    ("regex", r#"["\\w+","日本 abc"]"#),
    ("regex", r#"["\\s","a  b"]"#),
    ("regexall", r#"["","abc"]"#),
    ("regexall", r#"["(?P<l>[a-z])","ab"]"#),
    ("regexall", r#"["a*","baac"]"#),
    ("regexall", r#"["(a)|(b)","ab"]"#),
    ("regex", r#"["(?<n>a)","a"]"#),
    ("regex", r#"["a**","a"]"#),
    ("regex", r#"["a{1001}","a"]"#),
    ("regex", r#"["\\/","a/b"]"#),
    ("regex", r#"["\\<","a<b"]"#),
    ("regex", r#"["\\x41","A"]"#),
    ("regex", r#"["\\z","A"]"#),
    ("regex", r#"["\\Z","A"]"#),
    ("regex", r#"["(?=a)","A"]"#),
    ("regex", r#"["[a-\\d]","a"]"#),
    ("format", r#"["%5[1]s|","a"]"#),
    ("format", r#"["%[1]5s|","a"]"#),
    ("format", r#"["%[3]s %s","a","b","c"]"#),
    ("format", r#"["%[1]s %s","a","b"]"#),
    ("format", r#"["%[1]s","a","b"]"#),
    ("format", r#"["%d",1.5]"#),
    ("format", r#"["%d","12"]"#),
    ("format", r#"["%d",true]"#),
    ("format", r#"["%s",true]"#),
    ("format", r#"["%s",1.5]"#),
    ("format", r#"["%s",[1]]"#),
    ("format", r#"["%t","yes"]"#),
    ("format", r#"["%t",1]"#),
    ("format", r#"["%t|%8t|%-8t|",true,true,false]"#),
    ("format", r#"["%v|%v|%v|%v|%v",100000,999999,1234567,0.0001,0.00001]"#),
    ("format", r#"["%#v",1000000]"#),
    ("format", r#"["%#v %#v","a",1.5]"#),
    ("format", r#"["%v",{"a":"<"}]"#),
    ("format", r#"["%10v|%-10v|%010v","a","b","c"]"#),
    ("format", r#"["%05s","日"]"#),
    ("format", r#"["%.2s","日本語"]"#),
    ("format", r#"["%5.1s|","日本語"]"#),
    ("format", r#"["%q","a\"b\n"]"#),
    ("format", r#"["%10q|","a"]"#),
    ("format", r#"["%05d|%-5d|%+05d|% 5d|%5d",5,5,5,5,-5]"#),
    ("format", r#"["%.3d|%8.3d|%08.3d|%.0d",5,5,5,0]"#),
    ("format", r#"["%x|%#x|%X|%o|%#o|%b|%#b",-255,255,255,8,8,5,5]"#),
    ("format", r#"["%e|%.2e|%E|%.0e",123456.789,123456.789,0.00012,5]"#),
    ("format", r#"["%f|%.0f|%.1f|%.2f|%10.2f|%-10.2f|%+.2f",1.5,2.5,0.25,1.005,3.14159,3.14159,2]"#),
    ("format", r#"["%g|%.3g|%G|%10g|%g|%g",123456789,123456789,0.0000000001,1.5,0,100000000000000000000]"#),
    ("format", r#"["%g|%g|%g|%.10g|%.1g",100000,1000000,123456,123456,123456]"#),
    ("format", r#"["%%|%5%"]"#),
    ("format", r#"["%"]"#),
    ("format", r#"["%z",1]"#),
    ("format", r#"["%[0]s","a"]"#),
    ("format", r#"["%[a]s","a"]"#),
    ("format", r#"["%*d",5,1]"#),
    ("format", r#"["abc"]"#),
    ("format", r#"["%s","é́"]"#),
    ("format", r#"["%3s|%-3s|","ab","ab"]"#),
    ("format", r#"["%d",1000000000000000000000000000000]"#),
    ("format", r#"["%x","ff"]"#),
    ("format", r#"["%s%s%s","a",1,true]"#),
    ("format", r#"["%#b",5]"#),
    ("format", r#"["%+s","a"]"#),
    ("format", r#"["%-05d|",5]"#),
    ("format", r#"["%-05s|","a"]"#),
    ("format", r#"["%.f",1.7]"#),
    ("format", r#"["%6.2f%%",99.5]"#),
    ("format", r#"["%v",true]"#),
    ("format", r#"["%v",[]]"#),
    ("format", r#"["%1$s","a"]"#),
    ("formatlist", r#"["%s-%d",["a","b"],[1,2]]"#),
    ("formatlist", r#"["%s-%d",["a","b"],[1]]"#),
    ("formatlist", r#"["%s",{"$set":["b","a"]}]"#),
    ("formatlist", r#"["%s",{"a":1}]"#),
    ("formatlist", r#"["%v",{"a":1}]"#),
    ("formatlist", r#"["%s-%s",[],"a"]"#),
    ("formatlist", r#"["%s",["a",1,true]]"#),
    ("formatlist", r#"["%s",["a"],["b"]]"#),
    ("formatdate", r#"["YYYY 'year' MM","2020-02-29T12:00:00.123+05:30"]"#),
    ("formatdate", r#"["ZZZ Z ZZZZ ZZZZZ","2020-02-29T12:00:00+05:30"]"#),
    ("formatdate", r#"["h:mm aa","2020-02-29T12:00:00Z"]"#),
    ("formatdate", r#"["H:mm aa","2020-02-29T23:59:59Z"]"#),
    ("formatdate", r#"["","2020-02-29T23:59:59Z"]"#),
    ("formatdate", r#"["é-D","2020-02-29T23:59:59Z"]"#),
    ("formatdate", r#"["MMMMM","2020-02-29T23:59:59Z"]"#),
    ("formatdate", r#"["DDD","2020-02-29T23:59:59Z"]"#),
    ("formatdate", r#"["EE","2020-02-29T23:59:59Z"]"#),
    ("formatdate", r#"["A","2020-02-29T23:59:59Z"]"#),
    ("formatdate", r#"["ZZ","2020-02-29T23:59:59Z"]"#),
    ("formatdate", r#"["YYYY","2019-02-29T23:59:59Z"]"#),
    ("formatdate", r#"["YYYY","2020-02-29 23:59:59Z"]"#),
    ("formatdate", r#"["YYYY","2020-02-29T23:59:59"]"#),
    ("formatdate", r#"["YYYY","2020-02-29T24:00:00Z"]"#),
    ("formatdate", r#"["YYYY","2020-02-29T23:59:60Z"]"#),
    ("formatdate", r#"["YYYY","2020-02-29T23:59:59+0100"]"#),
    ("formatdate", r#"["YYYY","2020-02-29T23:59:59+25:00"]"#),
    ("formatdate", r#"["YYYY","0000-01-01T00:00:00Z"]"#),
    ("formatdate", r#"["YYYY","2020-02-29T23:59:59,5Z"]"#),
    ("formatdate", r#"["YYYY","2020-02-29T23:59:59.Z"]"#),
    ("formatdate", r#"["YYYY","2020-02-29"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z","1s"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z","24h"]"#),
    ("timeadd", r#"["2020-03-29T01:30:00+01:00","1h"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z","-1ns"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z","1us"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z","1µs"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z","+1m"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z","1h1m1s1ms"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z",".5h"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z","1.h"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z",".h"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z","1"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z","h"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z","- 1h"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z","1h "]"#),
    ("timeadd", r#"["2020-02-28T23:59:59Z","9999999h"]"#),
    ("timeadd", r#"["2020-02-28T23:59:59-00:00","1s"]"#),
    ("timeadd", r#"["0000-01-01T00:00:00Z","1s"]"#),
    ("timeadd", r#"["1969-12-31T23:59:59.999Z","1ms"]"#),
    ("yamldecode", r#"["a: {b: [1, 2], c: \"x\"}"]"#),
    ("yamldecode", r#"["- 1\n- -2\n- 1.5\n- 'a'\n- b c\n- \"d\"\n- null\n- true"]"#),
    ("yamldecode", r#"["a: |\n  x\n  y\nb: >\n  x\n  y\n"]"#),
    ("yamldecode", r#"["a: 'it''s'"]"#),
    ("yamldecode", r#"["a: b: c"]"#),
    ("yamldecode", r#"["[1"]"#),
    ("yamldecode", r#"["a:\n  - b\n  - c: d\n"]"#),
    ("yamldecode", r#"["x: !!str 5"]"#),
    ("yamldecode", r#"["x: !!int \"5\""]"#),
    ("yamldecode", r#"["*a"]"#),
    ("yamldecode", r#"["x: 1 # c"]"#),
    ("yamldecode", r#"["12"]"#),
    ("yamldecode", r#"["hello"]"#),
    ("yamldecode", r#"["\"hello\""]"#),
    ("yamldecode", r#"["~"]"#),
    ("yamldecode", r#"["true"]"#),
    ("yamldecode", r#"["{}"]"#),
    ("yamldecode", r#"["- yes\n- no\n- on\n- off\n- y\n- n\n- Yes\n- NO\n- tRue\n- False"]"#),
    ("yamldecode", r#"["- 010\n- 0x1F\n- 0o17\n- 0b11\n- 1_000\n- +1\n- -1\n- 1e3\n- 1.\n- .5\n- 1.5e-3\n- 12e03"]"#),
    ("yamldecode", r#"["- Null\n- NULL\n- nUll\n- ''\n-"]"#),
    ("yamldecode", r#"["- 1.0\n- \"1\"\n- 2018-01-02\n- 12:30:45"]"#),
    ("yamldecode", r#"["? a\n: b"]"#),
    ("yamldecode", r#"["- &a x\n- *a"]"#),
    ("yamldecode", r#"["a: .nan"]"#),
    ("csvdecode", r#"["a\n\"x\ny\"\n"]"#),
    ("csvdecode", r#"["a,b\r\n1,2\r\n"]"#),
    ("csvdecode", r#"["a, b\n1, 2\n"]"#),
    ("csvdecode", r#"["a;b\n1;2\n"]"#),
    ("csvdecode", r#"["a\n\n\n1\n"]"#),
    ("csvdecode", r#"["a,b\n1,2,3\n"]"#),
    ("csvdecode", r#"["é,b\n1,\n"]"#),
    ("csvdecode", r#"["\"a\",b\n1,2"]"#),
    ("csvdecode", r#"["a,b\n\"x\"y,2\n"]"#),
    ("csvdecode", r#"["a,b\n\"x,2\n"]"#),
    ("csvdecode", r#"["a"]"#),
    ("csvdecode", r#"["\n"]"#),
    ("jsondecode", r#"["[]"]"#),
    ("jsondecode", r#"["\"a\\u00e9\\ud83d\\ude00\""]"#),
    ("jsondecode", r#"["\"\\ud83d\""]"#),
    ("jsondecode", r#"["1"]"#),
    ("jsondecode", r#"["-0"]"#),
    ("jsondecode", r#"["01"]"#),
    ("jsondecode", r#"[""]"#),
    ("jsondecode", r#"["{"]"#),
    ("jsondecode", r#"[" {\"a\" : [1, 2.50, 1e2, -1.5E-2]} "]"#),
    ("jsondecode", r#"["{\"b\":1,\"a\":{\"x\":null}}"]"#),
    ("jsondecode", r#"["NaN"]"#),
    ("jsondecode", r#"["[1,]"]"#),
    ("jsondecode", r#"["9223372036854775807"]"#),
    ("jsonencode", r#"[[1,1.5,-0.25,"a",null,true,{}]]"#),
    ("jsonencode", r#"[{}]"#),
    ("jsonencode", r#"[[]]"#),
    ("jsonencode", r#"[""]"#),
    ("jsonencode", r#"["é\"\\/"]"#),
    ("jsonencode", r#"[{"$set":["b","a"]}]"#),
    ("base64encode", r#"[""]"#),
    ("base64decode", r#"[""]"#),
    ("base64decode", r#"["aGVs\nbG8="]"#),
    ("base64decode", r#"["aGVsbG8=\n"]"#),
    ("base64decode", r#"[" aGVsbG8="]"#),
    ("base64decode", r#"["aGVsbG9="]"#),
    ("urlencode", r#"[""]"#),
    ("urlencode", r#"["日本 +%"]"#),
    ("sha256", r#"[""]"#),
    ("sha256", r#"["é"]"#),
    ("upper", r#"["ΐ ǰ ﬁ ⅷ ⓐ ა ᾳ ᾠ ß ı ſ"]"#),
    ("lower", r#"["ÀÉ ẞ Σ Ω K Å Ⅷ Ა"]"#),
    ("title", r#"["ᾳa ﬁ ა ǉx 1a _a a.b a b a—b"]"#),
    ("strrev", r#"[""]"#),
    ("strrev", r#"["🇩🇪a"]"#),
    ("length", r#"["🇩🇪a"]"#),
    ("length", r#"["\r\n"]"#),
    ("trimspace", r#"["\n\t x \u200b"]"#),
    ("chomp", r#"["a\n\n"]"#),
    ("chomp", r#"["\n"]"#),
    ("chomp", r#"["a\r"]"#),
    ("chomp", r#"["a \n"]"#),
    ("indent", r#"[0,"a\nb"]"#),
    ("indent", r#"[2,""]"#),
    ("indent", r#"[2,"a\r\nb"]"#),
    ("indent", r#"[1.5,"a\nb"]"#),
    ("startswith", r#"["",""]"#),
    ("startswith", r#"["abc",""]"#),
    ("strcontains", r#"["",""]"#),
    ("endswith", r#"["abc","abc"]"#),
    ("coalesce", r#"["","a"]"#),
    ("coalesce", r#"[null,1,"b"]"#),
    ("coalesce", r#"[false,true]"#),
    ("coalesce", r#"[[1],["a"]]"#),
    ("coalesce", r#"[{},{"a":1}]"#),
    ("concat", r#"[[1],[],[2]]"#),
    ("contains", r#"[[],1]"#),
    ("contains", r#"[[[1]],[1]]"#),
    ("contains", r#"[[1],1]"#),
    ("distinct", r#"[["b","a","b"]]"#),
    ("distinct", r#"[[[1],["1"]]]"#),
    ("distinct", r#"[[{"a":1},{"a":"1"}]]"#),
    ("element", r#"[["a"],0]"#),
    ("element", r#"[[1,"a"],5]"#),
    ("flatten", r#"[[[[]],[]]]"#),
    ("flatten", r#"[[{"$set":[1,2]},[3]]]"#),
    ("index", r#"[[1,"a"],"a"]"#),
    ("keys", r#"[{"B":2,"a":1}]"#),
    ("lookup", r#"[{"a":1},"a"]"#),
    ("lookup", r#"[{"a":[1]},"b",[]]"#),
    ("lookup", r#"[{"a":1},1,2]"#),
    ("merge", r#"[{"a":1},{"a":null}]"#),
    ("range", r#"[0.5]"#),
    ("range", r#"[1,3,0.5]"#),
    ("range", r#"[3,1,-0.5]"#),
    ("range", r#"["a"]"#),
    ("range", r#"[1.5,-1.5]"#),
    ("reverse", r#"[[]]"#),
    ("slice", r#"[[],0,0]"#),
    ("slice", r#"[[1,2,3],0,3]"#),
    ("slice", r#"[[1,2,3],1.5,2]"#),
    ("setintersection", r#"[["a"],["b"]]"#),
    ("setintersection", r#"[["a","b"],["b","a"],["a"]]"#),
    ("setunion", r#"[[1,2],[2,3]]"#),
    ("setunion", r#"[[[1]],[["a"]]]"#),
    ("setsubtract", r#"[[1,2],["2"]]"#),
    ("setproduct", r#"[[],[]]"#),
    ("setproduct", r#"[["a"],["b"],["c","d"]]"#),
    ("setproduct", r#"[{"$set":[]},["a"]]"#),
    ("sort", r#"[["é","z","a","Z"]]"#),
    ("tolist", r#"[{"$set":["b","a"]}]"#),
    ("tolist", r#"[[[],[1]]]"#),
    ("tolist", r#"[[{},{"a":1}]]"#),
    ("tolist", r#"[[true,"a"]]"#),
    ("tomap", r#"[{}]"#),
    ("tomap", r#"[{"a":null,"b":"x"}]"#),
    ("tomap", r#"[{"a":[1],"b":["x"]}]"#),
    ("toset", r#"[["a","A","b","a"]]"#),
    ("toset", r#"[[1.5,1,2]]"#),
    ("toset", r#"[[null,null]]"#),
    ("toset", r#"[{"a":1}]"#),
    ("toset", r#"["a"]"#),
    ("tonumber", r#"["1.50"]"#),
    ("tonumber", r#"["-0"]"#),
    ("tonumber", r#"["1e-3"]"#),
    ("tonumber", r#"["1E5"]"#),
    ("tonumber", r#"["1_0"]"#),
    ("tonumber", r#"["--1"]"#),
    ("tonumber", r#"["1.2.3"]"#),
    ("tonumber", r#"["0010"]"#),
    ("tonumber", r#"["e5"]"#),
    ("tonumber", r#"["."]"#),
    ("tostring", r#"[-0.5]"#),
    ("tostring", r#"["a"]"#),
    ("tostring", r#"[true]"#),
    ("tobool", r#"["0"]"#),
    ("tobool", r#"["false"]"#),
    ("tobool", r#"[""]"#),
    ("tobool", r#"[true]"#),
    ("values", r#"[{}]"#),
    ("transpose", r#"[{"a":[]}]"#),
    ("transpose", r#"[{"a":["x"],"b":["x","y"],"c":["y"]}]"#),
    ("zipmap", r#"[["b","a"],[1,2]]"#),
    ("alltrue", r#"[[null]]"#),
    ("alltrue", r#"[["true"]]"#),
    ("alltrue", r#"[["yes"]]"#),
    ("alltrue", r#"[[1]]"#),
    ("anytrue", r#"[[null]]"#),
    ("anytrue", r#"[[null,true]]"#),
    ("alltrue", r#"[{"$set":[true,false]}]"#),
    ("sum", r#"[[1.5,2.5]]"#),
    ("sum", r#"[["1","2"]]"#),
    ("max", r#"[1.5,"2"]"#),
    ("min", r#"["a"]"#),
    ("min", r#"["-1",0]"#),
    ("abs", r#"[0]"#),
    ("ceil", r#"[1.0000001]"#),
    ("ceil", r#"[-1.5]"#),
    ("floor", r#"[-0.5]"#),
    ("floor", r#"["3.7"]"#),
    ("log", r#"[16,2]"#),
    ("log", r#"[27,3]"#),
    ("log", r#"[1,10]"#),
    ("pow", r#"[2,10]"#),
    ("pow", r#"[2,0]"#),
    ("pow", r#"[4,0.5]"#),
    ("pow", r#"[1.5,2]"#),
    ("pow", r#"[3,39]"#),
    ("signum", r#"["5"]"#),
    ("signum", r#"[-7]"#),
    ("parseint", r#"["101",2]"#),
    ("parseint", r#"["7f",16]"#),
    ("parseint", r#"["-101",2]"#),
    ("parseint", r#"["zz",36]"#),
    ("parseint", r#"[" 1",10]"#),
    ("compact", r#"[[]]"#),
    ("compact", r#"[["","",""]]"#),
    ("chunklist", r#"[["a","b","c"],5]"#),
    ("chunklist", r#"[["a","b","c"],1.5]"#),
    ("join", r#"[", ",["a"],[],["b","c"]]"#),
    ("join", r#"["",["a","b"]]"#),
    ("split", r#"["ab","xabyabz"]"#),
    ("split", r#"["a","aa"]"#),
];
