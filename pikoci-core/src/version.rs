//! A version of a resource, as its check reports it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

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
/// STUB
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VersionDigest([u8; 16]);
impl fmt::Display for VersionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for b in self.0 {
            write!(f, "{b:02x}")?;
        }
        Ok(())
    }
}
impl Version {
    /// STUB
    pub fn digest(&self) -> VersionDigest {
        use sha2::Digest;
        let h = sha2::Sha256::digest(serde_json::to_vec(self).unwrap());
        let mut o = [0; 16];
        o.copy_from_slice(&h[..16]);
        VersionDigest(o)
    }
}
