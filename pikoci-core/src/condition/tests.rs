//! Tests of conditions: a table per rule, and that no text panics.

use proptest::prelude::*;

use super::Condition;

fn lookup(name: &str) -> Option<String> {
    let value = match name {
        "N" => "10",
        "TAG" => "v1.2.3",
        "EVIL" => "x' || 'a' == 'a",
        "DOTS" => ".*",
        "YES" => "true",
        "NO" => "false",
        "WORDS" => "a quick fox",
        "EMPTY" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

fn decide(text: &str) -> Result<bool, String> {
    Condition::parse(text).map_err(|error| format!("parse: {error}"))?.evaluate(&lookup)
}

#[test]
fn every_operator_decides() {
    for (text, expected) in [
        ("$N == 10", true),
        ("$N == 10.0", true),
        ("$N==9", false),
        ("$N != 9", true),
        ("$N > 9", true),
        ("$N > 10", false),
        ("$N >= 10", true),
        ("$N < 10", false),
        ("$N <= 10", true),
        ("9007199254740993 == 9007199254740992", false),
        ("1e1 == 10", false),
        ("$TAG == v1.2.3", true),
        ("$TAG == \"v1.2.3\"", true),
        ("'v1.2.3' == $TAG", true),
        ("${TAG} == v1.2.3", true),
        ("\"$TAG-x\" == v1.2.3-x", true),
        ("\"${TAG}x\" == v1.2.3x", true),
        ("'$TAG' == $TAG", false),
        ("\"\\$TAG\" == '$TAG'", true),
        ("$TAG != other", true),
        ("$WORDS contains quick", true),
        ("$WORDS contains 'quick fox'", true),
        ("$WORDS contains slow", false),
        ("$TAG matches '^v[0-9]+'", true),
        ("$TAG matches \"^v\\d+\\.\"", true),
        ("$TAG matches \"3$\"", true),
        ("$TAG matches ^w", false),
        ("$TAG matches \"^$TAG$\"", true),
        ("contains == contains", true),
        ("$MISSING == ''", true),
        ("$MISSING == $EMPTY", true),
        ("refs/heads/main == refs/heads/main", true),
    ] {
        assert_eq!(decide(text), Ok(expected), "{text}");
    }
}

#[test]
fn operators_join_with_the_usual_precedence() {
    for (text, expected) in [
        ("true || false && false", true),
        ("(true || false) && false", false),
        ("!false && true", true),
        ("!!true", true),
        ("! $N == 9", true),
        ("!($N == 10)", false),
        ("!(true && (false || !true))", true),
        ("($N == 10) == true", true),
        ("$YES && !$NO && !$EMPTY && !$MISSING && !0 && $WORDS", true),
    ] {
        assert_eq!(decide(text), Ok(expected), "{text}");
    }
}

#[test]
fn a_literal_alone_is_a_condition() {
    for (text, expected) in
        [("true", true), ("false", false), ("", false), ("  ", false), ("''", false), ("1", true)]
    {
        assert_eq!(decide(text), Ok(expected), "{text:?}");
    }
}

#[test]
fn a_value_is_never_read_as_part_of_the_condition() {
    assert_eq!(decide("$EVIL == safe"), Ok(false));
    assert_eq!(decide("\"$EVIL\" == safe"), Ok(false));
    assert_eq!(decide("$TAG matches $DOTS"), Ok(false));
    assert_eq!(decide("$TAG matches \"^$DOTS\""), Ok(false));
    assert_eq!(decide("$DOTS matches \"^$DOTS$\""), Ok(true));
}

#[test]
fn order_wants_numbers() {
    assert_eq!(decide("$TAG > 3"), Err("`>` compares numbers, and `v1.2.3` is none".to_owned()));
    assert_eq!(
        decide("3 <= $MISSING"),
        Err("`<=` compares numbers, and an empty value is none".to_owned())
    );
    assert_eq!(decide("false && $TAG > 3"), Ok(false), "the right side is not looked at");
    assert_eq!(decide("true || $TAG > 3"), Ok(true), "the right side is not looked at");
}

#[test]
fn a_mistake_is_told_with_its_place() {
    for (text, offset, message) in [
        ("$A = b", 3, "`=` does not compare"),
        ("$A == ", 6, "the condition ends where a value should be"),
        ("$A & $B", 3, "`&` joins nothing"),
        ("$A | $B", 3, "`|` joins nothing"),
        ("== b", 0, "`==` has nothing to work on"),
        ("$A == b c", 8, "`c` stands where an operator should"),
        ("($A == b", 0, "this bracket is never closed"),
        ("$A == b)", 7, "this bracket was never opened"),
        ("$A == \"b", 6, "this quoted text is never closed"),
        ("$A == 'b", 6, "this quoted text is never closed"),
        ("$ == b", 0, "`$` is not followed by a name"),
        ("${A == b", 0, "`$` is not followed by a name"),
        ("$A == b == c", 8, "comparisons cannot be chained"),
        ("ä == (", 7, "the condition ends where a value should be"),
    ] {
        let error = Condition::parse(text).unwrap_err();
        assert_eq!((error.offset, error.message.as_str()), (offset, message), "{text}");
    }
    let error = Condition::parse("$A matches '('").unwrap_err();
    assert_eq!(error.offset, 11);
    assert!(error.message.contains("unclosed group"), "{}", error.message);
}

#[test]
fn depth_and_size_are_bounded() {
    assert!(Condition::parse(&"(".repeat(60_000)).unwrap_err().message.contains("deeper"));
    assert!(Condition::parse(&"!".repeat(60_000)).unwrap_err().message.contains("deeper"));
    assert!(Condition::parse(&"a".repeat(100_000)).unwrap_err().message.contains("too long"));
    assert!(Condition::parse("a matches '(\\w{900}){900}'").is_err());
    assert_eq!(decide(&vec!["true"; 8000].join(" && ")), Ok(true));
}

#[test]
fn it_is_text_when_serialised() {
    let condition = Condition::parse("$A == b").unwrap();
    let json = serde_json::to_string(&condition).unwrap();
    assert_eq!(json, "\"$A == b\"");
    assert_eq!(serde_json::from_str::<Condition>(&json).unwrap(), condition);
    assert!(serde_json::from_str::<Condition>("\"$A =\"").is_err());
    assert_eq!(condition.names(), ["A"]);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        match Condition::parse(&text) {
            Ok(condition) => drop(condition.evaluate(&lookup)),
            Err(error) => prop_assert!(text.is_char_boundary(error.offset)),
        }
    }

    #[test]
    fn no_text_of_its_own_signs_panics(
        tokens in proptest::collection::vec(
            proptest::sample::select(vec![
                "$N", "${TAG}", "$", "${", "==", "!=", "<", ">=", "contains", "matches", "!",
                "&&", "||", "&", "=", "(", ")", "'a'", "\"$N\"", "\"", "'", "word", "10", " ", "ä", "\\",
            ]),
            0..24,
        )
    ) {
        let text = tokens.concat();
        match Condition::parse(&text) {
            Ok(condition) => drop(condition.evaluate(&lookup)),
            Err(error) => prop_assert!(text.is_char_boundary(error.offset)),
        }
    }

    #[test]
    fn no_value_decides_anything_but_its_own_comparison(value in "\\PC{0,40}") {
        let condition = Condition::parse("$V == 'the only one'").unwrap();
        let decided = condition.evaluate(&|_| Some(value.clone()));
        prop_assert_eq!(decided, Ok(value == "the only one"));
    }
}
