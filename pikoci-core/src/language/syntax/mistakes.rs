//! What a person is told about each mistake: place, message and help, as a table.

use super::tests::told;

/// A text and what is said about it.
const MISTAKES: &[(&str, &str)] = &[
    (
        r##"job "a" {
  path = "make
}
job "b" {}
"##,
        r##"2:10 `"` [unclosed-string] the string is not closed on its line
  label: this `"` opens it
  2:15 ``: no closing `"` up to here
  help: close it with `"`; text of several lines is written as `<<-EOT … EOT`"##,
    ),
    (
        r##"job "a" {
  path = "make ${foo"
}
job "b" {}
"##,
        r##"2:16 `${` [unclosed-template] `${` is not closed
  label: opened here
  2:22 ``: no closing `}` up to here
  help: close it with `}`; for the plain text `${` double the sign: `$${`"##,
    ),
    (
        r##"job "a" {
  cmd = <<-EOT
    echo hi
  }
}
job "b" {
}
"##,
        r##"2:9 `<<-EOT` [unclosed-heredoc] the text that ends with `EOT` is not closed
  label: opened here
  6:1 ``: another block begins here
  help: put `EOT` on a line of its own behind the text"##,
    ),
    (
        r##"/* abc
job "b" {
}
"##,
        r##"1:1 `/*` [unclosed-comment] the comment is not closed
  label: opened here
  help: close it with `*/`"##,
    ),
    (
        r##"job "a" {
  args = ["a", "b"
}
job "b" {}
"##,
        r##"2:10 `[` [unclosed-bracket] `[` is not closed
  label: opened here
  3:1 `}`: `]` is missing before this
  help: close it with `]`"##,
    ),
    (
        r##"job "a" {
  args = ["a", "b")
}
job "b" {}
"##,
        r##"2:10 `[` [unclosed-bracket] `[` is not closed
  label: opened here
  2:19 `)`: `]` is missing before this
  help: close it with `]`"##,
    ),
    (
        r##"job "a" {
  task "x" {
    run "exec" {
      path = "x"
  }
}
job "b" {}
"##,
        r##"3:16 `{` [unclosed-bracket] `{` is not closed
  label: opened here
  5:3 `}`: closed here, which by the indentation belongs to an outer block
  help: close it with `}`"##,
    ),
    (
        r##"job "a" {
  task "x" {
  }
  }
}
job "b" {}
"##,
        r##"5:1 `}` [stray-bracket] `}` closes nothing
  label: nothing is open here
  1:9 `{`: this block
  4:3 `}`: is closed here already, against the indentation
  help: remove one of the two"##,
    ),
    (
        r##"job "a" {
  path: "make"
}
"##,
        r##"2:7 `:` [colon-for-equals] `:` stands where `=` belongs behind `path`
  help: an attribute is written `name = value`
  put ` =` at 2:7 `:`"##,
    ),
    (
        r##"job "a" {
  path "make"
}
"##,
        r##"2:3 `path "make"` [missing-equals] `=` or `{` is missing behind `path`
  help: write `path = "make"` for an attribute or `path "make" { … }` for a block
  put ` =` at 2:7 ``"##,
    ),
    (
        r##"job "a" {
  image = golang:1.25
}
"##,
        r##"2:11 `golang:1.25` [unquoted-text] the text `golang:1.25` needs quotes
  put `"golang:1.25"` at 2:11 `golang:1.25`"##,
    ),
    (
        r##"job "a" {
  check_interval = 30s
}
"##,
        r##"2:20 `30s` [unquoted-text] the text `30s` needs quotes
  put `"30s"` at 2:20 `30s`"##,
    ),
    (
        r##"job "a" {
  check_interval = @every 1m
}
"##,
        r##"2:20 `@every 1m` [unquoted-text] the text `@every 1m` needs quotes
  put `"@every 1m"` at 2:20 `@every 1m`"##,
    ),
    (
        r##"job "a" {
  url = https://github.com/a/b
}
"##,
        r##"2:9 `https://github.com/a/b` [unquoted-text] the text `https://github.com/a/b` needs quotes
  put `"https://github.com/a/b"` at 2:9 `https://github.com/a/b`"##,
    ),
    (
        r##"job "a" {
  path = /bin/sh
}
"##,
        r##"2:10 `/bin/sh` [unquoted-text] the text `/bin/sh` needs quotes
  put `"/bin/sh"` at 2:10 `/bin/sh`"##,
    ),
    (
        r##"job "a" {
  cmd = make test
}
"##,
        r##"2:9 `make test` [unquoted-text] the text `make test` needs quotes
  put `"make test"` at 2:9 `make test`"##,
    ),
    (
        r##"job "a" {
  cmd = 'make test'
}
"##,
        r##"2:9 `'make test'` [single-quotes] text stands in double quotes, not in single ones
  put `"make test"` at 2:9 `'make test'`"##,
    ),
    (
        r##"job "a" {
  args = ["-c", "echo ${name:-default}"]
}
"##,
        r##"2:23 `${name:-default}` [shell-syntax] `${name:-default}` is shell syntax, not an expression
  help: to leave it to the shell, write `$${name:-default}`
  put `$` at 2:23 ``"##,
    ),
    (
        r##"job "a" {
  cmd = <<EOT
    echo ${x##*/} ${#arr}
EOT
}
"##,
        r##"3:10 `${x##*/}` [shell-syntax] `${x##*/}` is shell syntax, not an expression
  help: to leave it to the shell, write `$${x##*/}`
  put `$` at 3:10 ``"##,
    ),
    (
        r##"job "a" {
  x = 1
  y = 2
  x = 3
}
"##,
        r##"4:3 `x` [duplicate-attribute] `x` is set twice
  label: again here
  2:3 `x`: first here
  help: remove one of the two"##,
    ),
    (
        r##"job "a" {
  path = "a\d"
}
"##,
        r##"2:12 `\d` [bad-escape] `\d` is not an escape
  help: a backslash is written `\\`; the escapes are `\n`, `\r`, `\t`, `\"`, `\\`, `\uNNNN` and `\UNNNNNNNN`
  put `\` at 2:12 ``"##,
    ),
    (
        r##"job "a" {
  args = ["a" "b"]
}
"##,
        r##"2:15 `"` [missing-comma] a `,` is missing before a string
  2:13 `"`: behind this
  put `,` at 2:14 ``"##,
    ),
    (
        r##"job "a" {
  args = [
    "a"
    "b"
  ]
}
"##,
        r##"4:5 `"` [missing-comma] a `,` is missing before a string
  3:7 `"`: behind this
  put `,` at 3:8 ``"##,
    ),
    (
        r##"job "a" {
  x = "a" "b"
}
"##,
        r##"2:11 `"` [unexpected] the value ends before a string
  2:7 `"a"`: the value
  help: end the line behind the value, or put an operator or `,` in between"##,
    ),
    (
        r##"job my.job {
}
"##,
        r##"1:5 `my.job` [unquoted-label] the label of `job` needs quotes
  put `"my.job"` at 1:5 `my.job`"##,
    ),
    (
        r##"job 'test' {
}
"##,
        r##"1:5 `'test'` [single-quotes] text stands in double quotes, not in single ones
  put `"test"` at 1:5 `'test'`"##,
    ),
    (
        r##"job "test"
{
}
job "b" {}
"##,
        r##"2:1 `{` [brace-on-next-line] the `{` of `job "test"` stands on another line
  1:1 `job "test"`: the block
  help: put it at the end of the block's first line
  put ` {` at 1:11 `⏎{`"##,
    ),
    (
        r##"job "a" = {
}
"##,
        r##"1:9 `=` [block-with-equals] `job` has labels, so it is a block, and a block has no `=`
  help: write `job "label" { … }`, or `job = …` for an attribute
  put `` at 1:8 ` =`"##,
    ),
    (
        r##"job "a" {
  trigger
}
"##,
        r##"2:3 `trigger` [lone-name] `trigger` stands alone
  help: write `trigger = …` for an attribute or `trigger { … }` for a block"##,
    ),
    (
        r##"job "a" {
  x =
}
"##,
        r##"2:3 `x =` [missing-value] `x` has no value
  help: a value, or its opening bracket, begins on the line of the `=`"##,
    ),
    (
        r##"job "a" {
  x = 1 +
}
"##,
        r##"2:10 `` [missing-value] a value is expected here, not the end of the line
  help: something is missing behind `+`"##,
    ),
    (
        r##"job "a" {
  x == 1
}
"##,
        r##"2:5 `==` [double-equals] `==` compares; a value is set with `=`
  put `=` at 2:5 `==`"##,
    ),
    (
        r##"job "a" {
  "x" = 1
}
"##,
        r##"2:3 `"x"` [quoted-name] the name of an attribute or block stands without quotes
  put `x` at 2:3 `"x"`"##,
    ),
    (
        r##"jobs:
  - name: test
    image: foo
"##,
        r##"1:5 `:` [colon-for-equals] `:` stands where `=` belongs behind `jobs`
  help: an attribute is written `name = value`
  put ` = ` at 1:5 `:`"##,
    ),
    (
        r##"{ "job": 1 }
"##,
        r##"1:1 `{` [not-hcl] this looks like JSON, not like a pipeline
  help: a pipeline is written in HCL: blocks such as `job "test" { … }`"##,
    ),
    (
        r##"job “a” {
}
"##,
        r##"1:5 `“` [curly-quotes] text stands in straight double quotes, not in typographic ones
  put `"` at 1:5 `“`"##,
    ),
    (
        r##"job "a" {
  env = { a b }
}
"##,
        r##"2:13 `b` [missing-comma] a `,` or a line break is missing before `b`
  2:11 `a`: behind this
  put `,` at 2:12 ``"##,
    ),
    (
        r##"job "a" {
  env = { a = 1 b = 2 }
}
"##,
        r##"2:17 `b` [missing-comma] a `,` or a line break is missing before `b`
  2:15 `1`: behind this
  put `,` at 2:16 ``"##,
    ),
    (
        r##"job "a" {
  env = { a = 1, a = 2 }
}
"##,
        r##"2:18 `a` [duplicate-key] the key `a` is there twice in the object
  help: remove one of the two"##,
    ),
    (
        r##"job "a", "b" {
}
"##,
        r##"1:8 `,` [label-comma] the labels of `job` are separated by blanks, not by `,`
  put `` at 1:8 `,`"##,
    ),
    (
        r##"job("a") {
}
"##,
        r##"1:4 `(` [call-for-block] `job(…)` is a call, and a call can only stand in a value
  help: a block is written `job "label" { … }`"##,
    ),
    (
        r##"job "a" {
  x = 1,
  y = 2
}
"##,
        r##"2:8 `,` [trailing-comma] an attribute of a block ends with its line, not with `,`
  help: remove it
  put `` at 2:8 `,`"##,
    ),
    (
        r##"job "a" {
  x = var.
}
"##,
        r##"2:10 `.` [missing-value] a name is missing behind `.`
  help: an expression goes on over the end of a line only within brackets"##,
    ),
    (
        r##"job "a" {
  x = a & b
}
"##,
        r##"2:9 `&` [single-operator] `&` is no operator
  help: write `&&`
  put `&&` at 2:9 `&`"##,
    ),
    (
        r##"job "${x}" {
}
"##,
        r##"1:6 `${` [template-label] a label of `job` is plain text and cannot contain `${`
  help: to make several of a kind, use `for_each`"##,
    ),
    (
        r##"job "a" {
  cmd = << EOT
  foo
EOT
}
"##,
        r##"2:9 `<< EOT` [bad-heredoc] a text of several lines begins with `<<` and a marker, at the end of its line
  help: write `<<-EOT`, the text on the lines below, and `EOT` on a line of its own"##,
    ),
    (
        r##"job "a" {
  x = foo(1 2)
}
"##,
        r##"2:13 `2` [missing-comma] a `,` is missing before `2`
  2:11 `1`: behind this
  put `,` at 2:12 ``"##,
    ),
    (
        r##"job "a" {
  x = a ? b
}
"##,
        r##"2:12 `` [unexpected] expected `:`, found the end of the line"##,
    ),
    (
        r##"job "a" {
  run "exec" {path="make" args=["test"]}
}
"##,
        r##"2:40 `` [one-line-block] a blank or a line break is missing here
  help: in a block on one line, blanks stand inside its braces and between its attributes
  put ` ` at 2:40 ``"##,
    ),
    (
        r##"job "a" {
  $FOO = 1
  x = $FOO
}
"##,
        r##"2:3 `$` [unexpected] an attribute or a block is expected here, not `$`
  help: write `name = value` or `name "label" { … }`; a comment begins with `#`"##,
    ),
    (
        r##"job "a" {
  x = $FOO
}
"##,
        r##"2:7 `$FOO` [unquoted-text] the text `$FOO` needs quotes
  put `"$FOO"` at 2:7 `$FOO`"##,
    ),
    (
        r##"x = [for a in b]
"##,
        r##"1:16 `]` [unexpected] expected `:`, found `]`"##,
    ),
    (
        r##"job "a" {
  x = "%{ if a }b"
}
"##,
        r##"2:8 `%{ if a }` [unclosed-directive] `%{ if }` has no `%{ endif }`
  help: put `%{ endif }` behind the text it is for, in the same string"##,
    ),
    (
        r##"job "a" {
  get "git" "app" { trigger = true
  task "t" {}
}
job "b" {}
"##,
        r##"2:19 `{` [unclosed-bracket] `{` is not closed
  label: opened here
  4:1 `}`: closed here, which by the indentation belongs to an outer block
  help: close it with `}`"##,
    ),
    (
        r##"a = 1
job "b" {}
a = 2
"##,
        r##"3:1 `a` [duplicate-attribute] `a` is set twice
  label: again here
  1:1 `a`: first here
  help: remove one of the two"##,
    ),
    (
        r##"job "a" {
  x = 1
}}
job "b" {}
"##,
        r##"3:2 `}` [stray-bracket] `}` closes nothing
  label: nothing is open here
  help: remove it, or open what it is to close"##,
    ),
    (
        r##"job "a" {
  task "t" { run "exec" { path = "x" } 
}
"##,
        r##"2:12 `{` [unclosed-bracket] `{` is not closed
  label: opened here
  3:1 `}`: closed here, which by the indentation belongs to an outer block
  help: close it with `}`"##,
    ),
    (
        r##"job "a" {
  args = "a", "b"
}
"##,
        r##"2:10 `"a", "b"` [bare-list] several values need brackets around them
  put `["a", "b"]` at 2:10 `"a", "b"`"##,
    ),
    (
        r##"job "a" {
  x = "a" + 
}
"##,
        r##"2:13 `` [missing-value] a value is expected here, not the end of the line
  help: something is missing behind `+`"##,
    ),
    (
        r##"job "a" {
  x = 1 2
}
"##,
        r##"2:7 `1 2` [unquoted-text] the text `1 2` needs quotes
  put `"1 2"` at 2:7 `1 2`"##,
    ),
    (
        r##"job "a" {
  x = true false
}
"##,
        r##"2:7 `true false` [unquoted-text] the text `true false` needs quotes
  put `"true false"` at 2:7 `true false`"##,
    ),
    (
        r##"job "a" {
  path = "C:\Users\x"
}
"##,
        r##"2:13 `\U` [bad-escape] `\U` needs the eight hexadecimal digits of a character
  help: a backslash is written `\\`; the escapes are `\n`, `\r`, `\t`, `\"`, `\\`, `\uNNNN` and `\UNNNNNNNN`
  put `\` at 2:13 ``"##,
    ),
    (
        r##"job "a" {
  path = "\u12"
}
"##,
        r##"2:11 `\u` [bad-escape] `\u` needs the four hexadecimal digits of a character
  help: a backslash is written `\\`; the escapes are `\n`, `\r`, `\t`, `\"`, `\\`, `\uNNNN` and `\UNNNNNNNN`
  put `\` at 2:11 ``"##,
    ),
    (
        r##"job "a" {
  cmd = "a\$b"
}
"##,
        r##"2:11 `\$` [bad-escape] `\$` is not an escape
  help: a `$` needs no escape; the text `${` is written `$${`"##,
    ),
    (
        r##"job "a" {
  cmd = "make
test"
}
"##,
        r##"2:9 `"` [unclosed-string] the string is not closed on its line
  label: this `"` opens it
  2:14 ``: no closing `"` up to here
  help: close it with `"`; text of several lines is written as `<<-EOT … EOT`"##,
    ),
    (
        r##"job "a" {
  cmd = `make`
}
"##,
        r##"2:9 ``` [backquote] text stands in double quotes, not in backquotes
  help: text of several lines is written as `<<-EOT … EOT`"##,
    ),
    (
        r##"job "a"
"##,
        r##"1:1 `job "a"` [missing-body] `{` is missing behind `job "a"`
  help: a block has a body: `job "a" { … }`"##,
    ),
    (
        r##"job {
  x = 1
"##,
        r##"1:5 `{` [unclosed-bracket] `{` is not closed
  label: opened here
  3:1 ``: the file ends here
  help: close it with `}`"##,
    ),
    (
        r##"job "a" {
  x = [1, 2
  y = 3
}
"##,
        r##"2:7 `[` [unclosed-bracket] `[` is not closed
  label: opened here
  4:1 `}`: `]` is missing before this
  help: close it with `]`"##,
    ),
    (
        r##"job "a" {
  x = foo(1, 2
  y = 3
}
"##,
        r##"2:10 `(` [unclosed-bracket] `(` is not closed
  label: opened here
  4:1 `}`: `)` is missing before this
  help: close it with `)`"##,
    ),
    (
        r##"job "a" {
  env = {
    A = 1
  y = 3
}
job "b" {}
"##,
        r##"2:9 `{` [unclosed-bracket] `{` is not closed
  label: opened here
  5:1 `}`: closed here, which by the indentation belongs to an outer block
  help: close it with `}`"##,
    ),
    (
        r##"job "a" {
  x = foo(1,, 2)
}
"##,
        r##"2:13 `,` [missing-value] a value is expected here, not `,`"##,
    ),
    (
        r##"job "a" {
  x = [,1]
}
"##,
        r##"2:8 `,` [missing-value] a value is expected here, not `,`
  help: a value is text in quotes, a number, `true`, `false`, `[…]`, `{…}` or an expression"##,
    ),
    (
        r##"job "a" {
  x = {1}
}
"##,
        r##"2:9 `}` [missing-equals] `=` is expected behind the key, not `}`
  help: an item of an object is written `key = value`"##,
    ),
    (
        r##"job "a" {
  x = {a: }
}
"##,
        r##"2:11 `}` [missing-value] a value is expected here, not `}`
  help: something is missing behind `:`"##,
    ),
    (
        r##"job "a" {
  x = (1
}
"##,
        r##"2:7 `(` [unclosed-bracket] `(` is not closed
  label: opened here
  3:1 `}`: `)` is missing before this
  help: close it with `)`"##,
    ),
    (
        r##"job "a" {
  x = "${}"
}
"##,
        r##"2:10 `}` [missing-value] a value is expected here, not `}`
  help: a value is text in quotes, a number, `true`, `false`, `[…]`, `{…}` or an expression"##,
    ),
    (
        r##"job "a" {
  x = "${a b}"
}
"##,
        r##"2:12 `b` [unexpected] expected `}`, found `b`"##,
    ),
    (
        r##"job "a" {
  x = "%{ endif }"
}
"##,
        r##"2:8 `%{ endif }` [unclosed-directive] `%{ endif }` does not belong here
  help: directives are `%{ if … }`, `%{ else }`, `%{ endif }`, `%{ for … in … }` and `%{ endfor }`; the text `%{` is written `%%{`"##,
    ),
    (
        r##"job "a" {
  for_each = [a, b}
}
"##,
        r##"2:14 `[` [unclosed-bracket] `[` is not closed
  label: opened here
  2:19 `}`: `]` is missing before this
  help: close it with `]`"##,
    ),
    (
        r##"job "a" {
  x = a.b.
  y = 1
}
"##,
        r##"2:10 `.` [missing-value] a name is missing behind `.`
  help: an expression goes on over the end of a line only within brackets"##,
    ),
    (
        r##"job "a" {
  get "git" app.x { }
}
"##,
        r##"2:7 `"git" app.x` [unquoted-label] the label of `get` needs quotes
  help: write `get "label" { … }`"##,
    ),
    (
        r##"job "a" {
  x = 1 = 2
}
"##,
        r##"2:9 `=` [unexpected] the value ends before `=`, which does not belong here
  help: end the line behind the value, or put an operator in between"##,
    ),
    (
        r##"job "a" {
  x = a => b
}
"##,
        r##"2:9 `=>` [unexpected] the value ends before `=>`, which does not belong here
  help: end the line behind the value, or put an operator in between"##,
    ),
    (
        r##"if "$A" == "b" {
}
"##,
        r##"1:9 `==` [unquoted-condition] the condition of `if` is one text in quotes
  help: write `if "$BUILD_STATUS == failed" { … }`"##,
    ),
    (
        r##"job "a" {
  x = !
}
"##,
        r##"2:8 `` [missing-value] a value is expected here, not the end of the line
  help: something is missing behind `!`"##,
    ),
    (
        r##"job "a" {
  x = 08:30
}
"##,
        r##"2:7 `08:30` [unquoted-text] the text `08:30` needs quotes
  put `"08:30"` at 2:7 `08:30`"##,
    ),
    (
        r##"job "a" {
  x = 50%
}
"##,
        r##"2:10 `` [missing-value] a value is expected here, not the end of the line
  help: something is missing behind `%`"##,
    ),
    (
        r##"job "a" {
  x = a || b {
}
"##,
        r##"2:14 `{` [unclosed-bracket] `{` is not closed
  label: opened here
  3:1 `}`: closed here, which by the indentation belongs to an outer block
  help: close it with `}`"##,
    ),
];

#[test]
fn each_mistake_is_told_with_its_place_and_its_cure() {
    let mut wrong = String::new();
    for (text, expected) in MISTAKES {
        let told = told(text);
        if told.trim_end() != *expected {
            wrong += &format!("--- text\n{text}--- told\n{told}--- expected\n{expected}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn each_suggestion_mends_its_text_or_leads_on() {
    use crate::language::source::FileId;
    let mut mended = 0;
    for (text, _) in MISTAKES {
        let before = super::parse(FileId(0), text).diagnostics;
        let Some(put) = before.first().and_then(|found| found.suggestion.as_ref()) else {
            continue;
        };
        let mut text = (*text).to_owned();
        text.replace_range(put.span.range(), &put.replacement);
        let after = super::parse(FileId(0), &text).diagnostics;
        assert_ne!(before, after, "{text}");
        mended += usize::from(after.is_empty());
    }
    assert!(mended >= 25, "only {mended} texts are mended by what is suggested");
}
