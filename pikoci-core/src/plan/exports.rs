//! What a command writes to `$PIKOCI_OUTPUT`.
//!
//! Lines `KEY=VALUE`, and for values of several lines
//!
//! ```text
//! KEY<<END
//! first line
//! second line
//! END
//! ```
//!
//! where `END` is any word. Empty lines between values are fine. A key holds
//! letters, digits, `_`, `-` and `.`; the last value of a key counts.

use std::collections::BTreeMap;

use thiserror::Error;

/// Most bytes that a step may write to `$PIKOCI_OUTPUT`.
pub const MAX_EXPORTS_BYTES: usize = 1 << 20;

/// Why what was written to `$PIKOCI_OUTPUT` cannot be used. The message never
/// holds a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExportsError {
    /// There is more than [`MAX_EXPORTS_BYTES`].
    #[error("more than 1 MiB was written to `$PIKOCI_OUTPUT`")]
    TooLarge,
    /// It is not UTF-8, or holds a NUL.
    #[error("line {line} of `$PIKOCI_OUTPUT` is not text")]
    NotText {
        /// The line, from 1.
        line: usize,
    },
    /// A line is neither `KEY=VALUE` nor `KEY<<END`.
    #[error("line {line} of `$PIKOCI_OUTPUT` is neither `KEY=VALUE` nor `KEY<<END`")]
    NoKey {
        /// The line, from 1.
        line: usize,
    },
    /// A key has characters that a key cannot have.
    #[error(
        "the key in line {line} of `$PIKOCI_OUTPUT` may hold only letters, digits, `_`, `-` and `.`"
    )]
    BadKey {
        /// The line, from 1.
        line: usize,
    },
    /// The line that ends a value never comes.
    #[error("the value that begins in line {line} of `$PIKOCI_OUTPUT` is never ended")]
    NeverEnded {
        /// The line of the key, from 1.
        line: usize,
    },
}

/// The values by key.
///
/// # Errors
/// When a line is not as the format says, or there is too much.
///
/// ```
/// let values = pikoci_core::plan::parse_exports(b"tag=v1\nnotes<<.\none\ntwo\n.\n").unwrap();
/// assert_eq!(values["tag"], "v1");
/// assert_eq!(values["notes"], "one\ntwo");
/// ```
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<String, String>, ExportsError> {
    if bytes.len() > MAX_EXPORTS_BYTES {
        return Err(ExportsError::TooLarge);
    }
    let line_of =
        |offset: usize| 1 + bytes.iter().take(offset).filter(|byte| **byte == b'\n').count();
    let text = std::str::from_utf8(bytes)
        .map_err(|error| ExportsError::NotText { line: line_of(error.valid_up_to()) })?;
    if let Some(offset) = text.find('\0') {
        return Err(ExportsError::NotText { line: line_of(offset) });
    }
    let mut out = BTreeMap::new();
    let mut lines = text.lines().zip(1..);
    while let Some((content, line)) = lines.next() {
        if content.trim().is_empty() {
            continue;
        }
        let equals = content.find('=').unwrap_or(usize::MAX);
        let (key, value) = match content.split_once("<<") {
            Some((key, end)) if key.len() < equals => {
                let end = end.trim();
                let mut value = Vec::new();
                loop {
                    match lines.next() {
                        Some((content, _)) if content == end => break,
                        Some((content, _)) => value.push(content),
                        None => return Err(ExportsError::NeverEnded { line }),
                    }
                }
                if end.is_empty() {
                    return Err(ExportsError::NoKey { line });
                }
                (key, value.join("\n"))
            }
            _ => match content.split_once('=') {
                Some((key, value)) => (key, value.to_owned()),
                None => return Err(ExportsError::NoKey { line }),
            },
        };
        let key = key.trim();
        if key.is_empty()
            || !key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        {
            return Err(ExportsError::BadKey { line });
        }
        out.insert(key.to_owned(), value);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Result<Vec<(String, String)>, ExportsError> {
        parse(text.as_bytes()).map(|map| map.into_iter().collect())
    }

    #[test]
    fn each_form_is_read() {
        for (text, expected) in [
            ("", &[][..]),
            ("\n\n", &[]),
            ("a=1", &[("a", "1")]),
            ("a=1\nb=\n", &[("a", "1"), ("b", "")]),
            ("a=1\r\nb=x=y << z\r\n", &[("a", "1"), ("b", "x=y << z")]),
            ("a=1\na=2\n", &[("a", "2")]),
            (" my-key.x =v", &[("my-key.x", "v")]),
            ("a<<EOF\nx\n\n y=1\nEOF\nb=2", &[("a", "x\n\n y=1"), ("b", "2")]),
            ("a<< E \nE\n", &[("a", "")]),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            assert_eq!(pairs(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn each_mistake_names_its_line() {
        for (text, expected) in [
            (&b"a=1\nhello\n"[..], ExportsError::NoKey { line: 2 }),
            (b"a<<\nx\n\n", ExportsError::NoKey { line: 1 }),
            (b"=1", ExportsError::BadKey { line: 1 }),
            (b"a=1\n\nb c=1", ExportsError::BadKey { line: 3 }),
            (b"x=1\na<<E\nb\n", ExportsError::NeverEnded { line: 2 }),
            (b"a=1\nb=\xff", ExportsError::NotText { line: 2 }),
            (b"a=\0", ExportsError::NotText { line: 1 }),
        ] {
            assert_eq!(parse(text), Err(expected), "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(parse(&vec![b'\n'; MAX_EXPORTS_BYTES + 1]), Err(ExportsError::TooLarge));
        assert_eq!(parse(&vec![b'\n'; MAX_EXPORTS_BYTES]), Ok(BTreeMap::new()));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn values_of_many_lines_come_back(value in "[ -~]{0,10}(\n[ -~]{0,10}){0,3}") {
            prop_assume!(value.lines().all(|line| line != "__END__"));
            let map = parse(format!("k<<__END__\n{value}\n__END__\n").as_bytes()).unwrap();
            prop_assert_eq!(&map["k"], &value);
        }
    }
}
