//! A version of a resource, as its check reports it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// A version: a JSON object that names one state of a resource.
///
/// Two versions are the same when their objects are equal; the order of the
/// fields does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Version(pub BTreeMap<String, serde_json::Value>);

impl Version {
    /// A version of text fields.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(key, value)| (key.into(), serde_json::Value::String(value.into())))
                .collect(),
        )
    }

    /// Every leaf with its path joined by `_`, lists by index: `{"a":{"b":[1]}}`
    /// gives `a_b_0 = 1`. Text stands as it is, anything else as JSON; `null`
    /// gives an empty text.
    pub fn flatten(&self) -> BTreeMap<String, String> {
        fn walk(path: &str, value: &serde_json::Value, out: &mut BTreeMap<String, String>) {
            let join = |part: &str| {
                if path.is_empty() { part.to_owned() } else { format!("{path}_{part}") }
            };
            match value {
                serde_json::Value::Object(map) => {
                    for (key, value) in map {
                        walk(&join(key), value, out);
                    }
                }
                serde_json::Value::Array(items) => {
                    for (index, value) in items.iter().enumerate() {
                        walk(&join(&index.to_string()), value, out);
                    }
                }
                serde_json::Value::String(text) => {
                    out.insert(path.to_owned(), text.clone());
                }
                serde_json::Value::Null => {
                    out.insert(path.to_owned(), String::new());
                }
                other => {
                    out.insert(path.to_owned(), other.to_string());
                }
            }
        }
        let mut out = BTreeMap::new();
        for (key, value) in &self.0 {
            walk(key, value, &mut out);
        }
        out
    }

    /// Whether every flattened field of `pin` stands in this version with the same value.
    pub fn contains(&self, pin: &Version) -> bool {
        let mine = self.flatten();
        pin.flatten().iter().all(|(key, value)| mine.get(key) == Some(value))
    }

    /// What tells this version from others; equal versions have equal digests.
    pub fn digest(&self) -> VersionDigest {
        let mut text = String::new();
        canonical_object(self.0.iter(), &mut text);
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let mut first = [0; DIGEST_BYTES];
        first.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        VersionDigest(first)
    }
}

impl fmt::Display for Version {
    /// The flattened fields, `key:value`, one space between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.flatten().iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{key}:{value}")?;
        }
        Ok(())
    }
}

/// Facts about a version or a put that people like to see, such as a commit's
/// author. Never used to tell versions apart.
pub type Metadata = BTreeMap<String, String>;

/// How many bytes a digest has: few enough to keep very many of them, enough
/// that no two versions share one.
const DIGEST_BYTES: usize = 16;

/// What tells versions of a resource apart: the first 16 bytes of the SHA-256
/// of the version as JSON without blanks, with the fields sorted at every
/// depth. Written as 32 hexadecimal digits in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionDigest([u8; DIGEST_BYTES]);

/// A text that is not the digest of a version.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not the digest of a version: that has 32 hexadecimal digits in lower case")]
pub struct ParseVersionDigestError {
    /// The text.
    pub text: String,
}

impl fmt::Display for VersionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for VersionDigest {
    type Err = ParseVersionDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseVersionDigestError { text: text.into() };
        let digits = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 2 * DIGEST_BYTES || !text.bytes().all(digits) {
            return Err(wrong());
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| wrong())?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl TryFrom<String> for VersionDigest {
    type Error = ParseVersionDigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<VersionDigest> for String {
    fn from(digest: VersionDigest) -> Self {
        digest.to_string()
    }
}

fn canonical(value: &serde_json::Value, out: &mut String) {
    match value {
        serde_json::Value::Object(map) => {
            canonical_object(map.iter().collect::<BTreeMap<_, _>>().into_iter(), out);
        }
        serde_json::Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        // The two zeros are equal, but are not written alike.
        serde_json::Value::Number(number) if number.is_f64() && number.as_f64() == Some(0.0) => {
            out.push_str("0.0");
        }
        other => out.push_str(&other.to_string()),
    }
}

/// Writes fields that come in their order.
fn canonical_object<'a>(
    fields: impl Iterator<Item = (&'a String, &'a serde_json::Value)>,
    out: &mut String,
) {
    out.push('{');
    for (index, (key, value)) in fields.enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&serde_json::Value::from(key.as_str()).to_string());
        out.push(':');
        canonical(value, out);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(json: &str) -> Version {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_order_of_fields_does_not_change_a_digest() {
        let one = version(r#"{"b":{"y":[{"q":1,"p":"\"\n"}],"x":null},"a":"1"}"#);
        let two = version(r#"{"a":"1","b":{"x":null,"y":[{"p":"\"\n","q":1}]}}"#);
        assert_eq!(one, two);
        assert_eq!(one.digest(), two.digest());
    }

    #[test]
    fn versions_that_differ_have_digests_that_differ() {
        let texts = [
            "{}",
            r#"{"a":""}"#,
            r#"{"a":null}"#,
            r#"{"a":1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":"1"}"#,
            r#"{"a":[1]}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":["1","2"]}"#,
            r#"{"a":["1,2"]}"#,
            r#"{"a":"1","b":"2"}"#,
            r#"{"a":"1\",\"b\":\"2"}"#,
        ];
        let digests: std::collections::BTreeSet<_> =
            texts.iter().map(|text| version(text).digest()).collect();
        assert_eq!(digests.len(), texts.len());
    }

    #[test]
    fn the_two_zeros_are_one() {
        let (plus, minus) = (version(r#"{"a":0.0}"#), version(r#"{"a":-0.0}"#));
        assert_eq!(plus, minus);
        assert_eq!(plus.digest(), minus.digest());
    }

    #[test]
    fn a_digest_stays_the_same_for_ever() {
        // What is stored has these as keys.
        let digest = Version::from_pairs([("ref", "abc")]).digest();
        assert_eq!(digest.to_string(), "cfef58d061cf5b5b5f35aa38ad482b99");
    }

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = Version::from_pairs([("ref", "abc")]).digest();
        let text = digest.to_string();
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(serde_json::to_string(&digest).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<VersionDigest>(&format!("\"{text}\"")).unwrap(), digest);
        for wrong in
            ["", "00", &text.to_uppercase(), &format!("{text}0"), &format!("+{}", &text[1..])]
        {
            assert!(wrong.parse::<VersionDigest>().is_err(), "{wrong}");
        }
    }
}
