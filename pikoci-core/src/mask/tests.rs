//! Tests of masking: every form, and that pieces never make a difference.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::*;

fn masker(secrets: &[&str]) -> Masker {
    let masker = Masker::new();
    secrets.iter().for_each(|secret| masker.register(secret));
    masker
}

/// The stream's output for the text cut at `cuts`.
fn streamed(masker: &Masker, text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut stream = masker.stream();
    let mut out = Vec::new();
    let mut at = 0;
    for &cut in cuts {
        let cut = cut.clamp(at, text.len());
        out.extend_from_slice(&stream.push(Bytes::copy_from_slice(&text[at..cut])));
        at = cut;
    }
    out.extend_from_slice(&stream.push(Bytes::copy_from_slice(&text[at..])));
    out.extend_from_slice(&stream.finish());
    out
}

#[test]
fn each_form_of_a_secret_is_masked() {
    let secret = "p@ss\"w'ö/rd<1> \\$x";
    let masker = masker(&[secret]);
    for text in [
        secret.to_owned(),
        serde_json::to_string(secret).unwrap(),
        serde_json::to_string(secret).unwrap().replace('/', "\\/"),
        serde_json::to_string(secret).unwrap().replace('ö', "\\u00f6"),
        serde_json::to_string(secret).unwrap().replace('<', "\\u003c").replace('>', "\\u003e"),
        form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        "p%40ss%22w%27%C3%B6%2Frd%3C1%3E%20%5C%24x".to_owned(),
        "p%40ss%22w%27%c3%b6%2frd%3c1%3e%20%5c%24x".to_owned(),
        "p%40ss%22w'%C3%B6%2Frd%3C1%3E%20%5C%24x".to_owned(),
        format!("'{}'", secret.replace('\'', "'\\''")),
        format!("'{}'", secret.replace('\'', "'\"'\"'")),
        "\"p@ss\\\"w'ö/rd<1> \\\\\\$x\"".to_owned(),
        "p@ss\\\"w\\'ö/rd\\<1\\>\\ \\\\\\$x".to_owned(),
    ] {
        let shown = masker.redact(&text);
        assert!(shown.contains(MASK), "{text} gives {shown}");
        assert!(!shown.contains("ss") && !shown.contains("rd"), "{text} gives {shown}");
    }
}

#[test]
fn base64_is_masked_at_every_alignment() {
    let secret = "sw0rd~fish?>";
    let masker = masker(&[secret]);
    for before in ["", "a", "ab", "abc", "user:"] {
        for after in ["", "x", "xy", "\n", ":more"] {
            for engine in [&STANDARD, &URL_SAFE] {
                let text = engine.encode(format!("{before}{secret}{after}"));
                let shown = masker.redact(&text).into_owned();
                assert!(shown.contains(MASK), "{before}|{after}: {text} gives {shown}");
                let rest = shown.replace(MASK, "").trim_end_matches('=').len();
                let around = (before.len() + after.len()) * 8 / 6 + 4;
                assert!(rest <= around, "{before}|{after}: {text} gives {shown}");
            }
        }
    }
}

#[test]
fn wrapped_base64_of_a_long_secret_is_masked() {
    let secret: String = (0..40).map(|n| format!("line{n}!")).collect();
    let masker = masker(&[&secret]);
    let encoded = STANDARD.encode(&secret);
    for width in [64, 76] {
        let lines: Vec<&str> = encoded
            .as_bytes()
            .chunks(width)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        for line in masker.redact(&lines.join("\n")).lines() {
            assert!(line.trim_end_matches('=').len() <= 4, "{line} is left");
        }
    }
}

#[test]
fn each_line_of_a_secret_is_masked_unless_it_says_nothing() {
    let masker = masker(&["{\n  \"key\": \"abcdefgh\",\n  \"b\": 1\n}\n"]);
    assert_eq!(masker.redact("> \"key\": \"abcdefgh\", <"), "> *** <");
    assert_eq!(masker.redact("{ }"), "{ }");
}

#[test]
fn a_trailing_newline_of_a_secret_need_not_be_printed() {
    assert_eq!(masker(&["tok3n\n"]).redact("a tok3n b"), "a *** b");
}

#[test]
fn what_is_too_short_or_says_nothing_is_left_alone() {
    let masker = masker(&["", " ", "abc", "ab ", "true", "null"]);
    assert!(masker.is_empty());
    assert_eq!(masker.redact("abc true null"), "abc true null");
    masker.register("abcd");
    assert_eq!(masker.redact("abcd"), "***");
}

#[test]
fn the_longest_secret_wins() {
    let masker = masker(&["abcd", "abcdef"]);
    assert_eq!(masker.redact("xabcdefx abcdex"), "x***x ***ex");
    for cut in 0..16 {
        assert_eq!(streamed(&masker, b"xabcdefx abcdex", &[cut]), b"x***x ***ex");
    }
}

#[test]
fn a_long_secret_is_masked_in_pieces() {
    let secret: String = (0..9000).map(|n| format!("{n};")).collect();
    let shown = masker(&[&secret]).redact(&secret).into_owned();
    assert!(shown.replace(MASK, "").len() <= 8, "left: {}", shown.replace(MASK, ""));
}

#[test]
fn nothing_is_copied_when_there_is_nothing_to_mask() {
    let piece = Bytes::from_static(b"plain output");
    let mut stream = Masker::new().stream();
    assert_eq!(stream.push(piece.clone()).as_ptr(), piece.as_ptr());
    let mut stream = masker(&["secret-value"]).stream();
    assert_eq!(stream.push(piece.clone()).as_ptr(), piece.as_ptr());
    assert!(stream.is_idle());
}

#[test]
fn only_the_beginning_of_a_secret_is_held_back() {
    let masker = masker(&["secret-value"]);
    let mut stream = masker.stream();
    assert_eq!(stream.push("login: ".into()), "login: ");
    assert_eq!(stream.push("my sec".into()), "my ");
    assert_eq!(stream.push("ond".into()), "second");
    assert_eq!(stream.push("secret-v".into()), "");
    assert_eq!(stream.push("alue\n".into()), "***\n");
    assert_eq!(stream.push("secret".into()), "");
    assert_eq!(stream.finish(), "secret");
    assert_eq!(stream.finish(), "");
}

#[test]
fn a_secret_registered_while_a_stream_is_open_takes_effect() {
    let masker = masker(&["first-one"]);
    let mut stream = masker.stream();
    assert_eq!(stream.push("second-one fir".into()), "second-one ");
    masker.register("second-one");
    assert_eq!(stream.push("st-one second-one".into()), "*** ***");

    let fresh = Masker::new();
    let mut stream = fresh.stream();
    assert_eq!(stream.push("second-one".into()), "second-one");
    fresh.register("second-one");
    assert_eq!(stream.push("second-one".into()), "***");
}

#[test]
fn maskers_and_streams_cross_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Masker>();
    shared::<MaskStream>();
}

/// Texts over few letters, so that secrets, parts of secrets and overlaps abound.
fn letters(min: usize, max: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[abö]{{{min},{max}}}")).expect("a valid pattern")
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        secrets in proptest::collection::vec(letters(1, 7), 0..5),
        text in letters(0, 60),
        mut cuts in proptest::collection::vec(0_usize..80, 0..8),
    ) {
        let masker = Masker::new();
        secrets.iter().for_each(|secret| masker.register(secret));
        let whole = masker.redact(&text).into_owned();
        cuts.sort_unstable();
        prop_assert_eq!(streamed(&masker, text.as_bytes(), &cuts), whole.as_bytes());
        let each: Vec<usize> = (0..text.len()).collect();
        prop_assert_eq!(streamed(&masker, text.as_bytes(), &each), whole.as_bytes());
        for secret in secrets.iter().filter(|secret| secret.chars().count() >= MIN_SECRET_CHARS) {
            prop_assert!(!whole.contains(secret.as_str()), "{} in {}", secret, whole);
        }
    }

    #[test]
    fn any_secret_in_any_text_is_gone(
        secret in "\\PC{4,20}",
        before in "\\PC{0,20}",
        after in "\\PC{0,20}",
        cut in 0_usize..40,
    ) {
        prop_assume!(!secret.contains('*') && secret.trim().chars().count() >= MIN_SECRET_CHARS);
        let masker = Masker::new();
        masker.register(&secret);
        let text = format!("{before}{secret}{after}");
        let shown = masker.redact(&text).into_owned();
        prop_assert!(!shown.contains(&secret));
        prop_assert_eq!(streamed(&masker, text.as_bytes(), &[cut]), shown.as_bytes());
    }

    #[test]
    fn any_bytes_pass_a_stream(
        text in proptest::collection::vec(any::<u8>(), 0..200),
        cut in 0_usize..200,
    ) {
        let masker = Masker::new();
        masker.register("not in there, I hope");
        prop_assert_eq!(streamed(&masker, &text, &[cut]), text);
    }
}
