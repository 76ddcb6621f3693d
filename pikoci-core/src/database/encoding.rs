//! The bytes of every typed value: an envelope that tells what is in it.
//!
//! The first byte is the format of the rest. It is never used again for
//! another one:
//!
//! | first byte | rest | used by |
//! |---|---|---|
//! | `01` | the version of the schema (`u32`, LEB128: 7 bits a byte, the lowest first, the high bit set on all but the last), then JSON to the end | records, counters, queues, feeds, flags, leases, heads of logs, references to blobs, what expires |
//! | `02` | parts of a key, as in [`KeyPath`] | entries of indexes: the id of the record |
//!
//! JSON, so that what is stored can be read without the code that wrote it.
//!
//! # Two versions on one store
//! While servers are upgraded one after the other, older and newer code share
//! a store:
//! - **Newer code reads what older code wrote**: with serde's defaults for
//!   fields that were added, and after [`Schema::upgrade`] where that is not enough.
//! - **A field that is added does not need a new version.** Older code ignores
//!   it, and *keeps* it when it writes a record again: what stood in an
//!   object and is unknown to the type stays there. (In an object; what is
//!   unknown in the elements of a list is lost with the next write. So is what
//!   is unknown in a lease, a head of a log or another value that is no
//!   record: such a field needs a new version.) So a
//!   record must not be `deny_unknown_fields`, and a field that gets another
//!   name gets a new version, not an `alias`.
//! - **A higher version is refused by older code**, with an error that says
//!   so. So it is raised only where older code would do harm, such as for a
//!   field with another meaning, and the older servers are stopped before.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use super::key_path::{KeyPart, KeyPath, Part};
use crate::store::Key;
use crate::store::limits::MAX_VALUE_SIZE_BYTES;

const JSON: u8 = 1;
const PARTS: u8 = 2;

/// Why a value could not be brought up to the version of the code.
pub type UpgradeError = Box<dyn std::error::Error + Send + Sync>;

/// A type that is stored as JSON in an envelope.
pub trait Schema: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What it is called, in keys and in errors; never changed.
    const KIND: &'static str;

    /// The version of what is written, 1 at first; see the
    /// [module](self) for when it is raised.
    const VERSION: u32 = 1;

    /// Brings a value that was written as version `from`, less than
    /// [`Self::VERSION`], up to it. As it is, unless told otherwise.
    ///
    /// # Errors
    /// When it makes no sense.
    fn upgrade(from: u32, value: Value) -> Result<Value, UpgradeError> {
        let _ = from;
        Ok(value)
    }
}

/// A typed value could not be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodingError {
    /// It was written by code that knows more.
    #[error(
        "{kind} `{key}` was written by a newer pikoci: it has version {found}, \
         this one knows versions up to {known}"
    )]
    Newer {
        /// The kind of value.
        kind: &'static str,
        /// Its key, for people.
        key: String,
        /// The version found.
        found: u32,
        /// The highest version known.
        known: u32,
    },
    /// It is something else, or damaged.
    #[error("what is stored under `{key}` is not a {kind} that can be read")]
    Unreadable {
        /// The kind of value that was looked for.
        kind: &'static str,
        /// Its key, for people.
        key: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It cannot be written as JSON.
    #[error("{kind} `{key}` cannot be written as JSON")]
    Unwritable {
        /// The kind of value.
        kind: &'static str,
        /// Its key, for people.
        key: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// It is larger than a store takes.
    #[error("{kind} `{key}` has {size_bytes} bytes, {MAX_VALUE_SIZE_BYTES} is the most")]
    TooLarge {
        /// The kind of value.
        kind: &'static str,
        /// Its key, for people.
        key: String,
        /// The size of the value with its envelope.
        size_bytes: usize,
    },
}

/// What an envelope holds, for those that do not know its type, such as an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// JSON of a schema.
    Json {
        /// The version of the schema.
        version: u32,
        /// The JSON, as it is stored.
        json: Bytes,
    },
    /// Parts of a key.
    Parts(Vec<Part>),
}

impl Envelope {
    /// What these bytes hold; `None` when they are no envelope. Whether the
    /// JSON is any is not looked at.
    pub fn open(bytes: &Bytes) -> Option<Self> {
        let (format, rest) = bytes.split_first()?;
        match *format {
            JSON => {
                let (version, json) = read_varint(rest)?;
                Some(Self::Json { version, json: bytes.slice_ref(json) })
            }
            PARTS => KeyPath::parts_of(rest).map(Self::Parts),
            _ => None,
        }
    }

    /// The bytes of it.
    pub fn seal(&self) -> Bytes {
        match self {
            Self::Json { version, json } => {
                let mut bytes = vec![JSON];
                push_varint(&mut bytes, *version);
                bytes.extend_from_slice(json);
                bytes.into()
            }
            Self::Parts(parts) => seal_parts(parts),
        }
    }
}

/// The bytes of an envelope that holds parts of a key.
pub(super) fn seal_parts(parts: impl KeyPart) -> Bytes {
    [&[PARTS], KeyPath::new(parts).as_bytes()].concat().into()
}

/// The bytes of `value`, which is to stand under `key`.
pub(super) fn encode<S: Schema>(key: &Key, value: &S) -> Result<Bytes, EncodingError> {
    encode_as::<S>(key, value)
}

/// The same of an `S` that is written just as `value` is, which may be borrowed.
pub(super) fn encode_as<S: Schema>(
    key: &Key,
    value: &impl Serialize,
) -> Result<Bytes, EncodingError> {
    sealed::<S>(key, |bytes| serde_json::to_writer(bytes, value))
}

/// The bytes of `value`, which is to take the place of `stored`, with what
/// newer code wrote into that and this code does not know.
pub(super) fn encode_over<S: Schema>(
    key: &Key,
    value: &S,
    (stored, old): (&Bytes, &S),
) -> Result<Bytes, EncodingError> {
    let Some(Envelope::Json { version, json }) = Envelope::open(stored) else {
        return encode(key, value);
    };
    if version != S::VERSION || encode(key, old).is_ok_and(|known| known == *stored) {
        return encode(key, value);
    }
    let unwritable =
        |source| EncodingError::Unwritable { kind: S::KIND, key: describe(key), source };
    let stored: Value = serde_json::from_slice(&json).map_err(unwritable)?;
    let old = serde_json::to_value(old).map_err(unwritable)?;
    let mut new = serde_json::to_value(value).map_err(unwritable)?;
    keep_unknown(stored, &old, &mut new);
    sealed::<S>(key, |bytes| serde_json::to_writer(bytes, &new))
}

/// Copies into `new` the fields of `stored` that are not in `old`, the same
/// as this code knows it.
fn keep_unknown(stored: Value, old: &Value, new: &mut Value) {
    let (Value::Object(stored), Value::Object(old), Value::Object(new)) = (stored, old, new) else {
        return;
    };
    for (name, value) in stored {
        match (old.get(&name), new.get_mut(&name)) {
            (None, None) => {
                new.insert(name, value);
            }
            (Some(old), Some(new)) => keep_unknown(value, old, new),
            // Set just now, or taken out just now.
            (None, Some(_)) | (Some(_), None) => {}
        }
    }
}

/// The value in `bytes`, which stand under `key`.
pub(super) fn decode<S: Schema>(key: &Key, bytes: &Bytes) -> Result<S, EncodingError> {
    let unreadable =
        |source| EncodingError::Unreadable { kind: S::KIND, key: describe(key), source };
    let Some(Envelope::Json { version, json }) = Envelope::open(bytes) else {
        return Err(unreadable("its envelope is unknown or damaged".into()));
    };
    if version > S::VERSION {
        return Err(EncodingError::Newer {
            kind: S::KIND,
            key: describe(key),
            found: version,
            known: S::VERSION,
        });
    }
    if version == S::VERSION {
        return serde_json::from_slice(&json).map_err(|error| unreadable(error.into()));
    }
    let value = serde_json::from_slice(&json).map_err(|error| unreadable(error.into()))?;
    let value = S::upgrade(version, value).map_err(unreadable)?;
    serde_json::from_value(value).map_err(|error| unreadable(error.into()))
}

fn sealed<S: Schema>(
    key: &Key,
    write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
) -> Result<Bytes, EncodingError> {
    let mut bytes = vec![JSON];
    push_varint(&mut bytes, S::VERSION);
    write(&mut bytes).map_err(|source| EncodingError::Unwritable {
        kind: S::KIND,
        key: describe(key),
        source,
    })?;
    if bytes.len() > MAX_VALUE_SIZE_BYTES {
        return Err(EncodingError::TooLarge {
            kind: S::KIND,
            key: describe(key),
            size_bytes: bytes.len(),
        });
    }
    Ok(bytes.into())
}

/// A key for people: its parts with slashes between them.
pub(super) fn describe(key: &Key) -> String {
    match KeyPath::parts(key) {
        Some(parts) => KeyPath::new(parts).to_string(),
        None => key.to_string(),
    }
}

fn push_varint(bytes: &mut Vec<u8>, number: u32) {
    let mut rest = number;
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

/// A number that was written in as few bytes as it needs, and what follows it.
fn read_varint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let shortest = at == 0 || *byte != 0;
            let number = u32::try_from(number).ok().filter(|_| shortest)?;
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Car {
        name: String,
        #[serde(default)]
        wheels: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        engine: Option<Engine>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Engine {
        power: u32,
    }

    impl Schema for Car {
        const KIND: &'static str = "car";
        const VERSION: u32 = 200;

        fn upgrade(from: u32, mut value: Value) -> Result<Value, UpgradeError> {
            if from < 7 {
                return Err("too old".into());
            }
            if let Some(car) = value.as_object_mut()
                && let Some(title) = car.remove("title")
            {
                car.insert("name".into(), title);
            }
            Ok(value)
        }
    }

    fn key() -> Key {
        KeyPath::new("r").then("car").then(7_u64).key().unwrap()
    }

    fn car() -> Car {
        Car { name: "beetle".into(), wheels: 4, engine: None }
    }

    fn stored(version: u32, json: &'static str) -> Bytes {
        Envelope::Json { version, json: json.into() }.seal()
    }

    fn told(bytes: &Bytes) -> String {
        decode::<Car>(&key(), bytes).unwrap_err().to_string()
    }

    #[test]
    fn the_envelope_stays_as_it_is() {
        let bytes = encode(&key(), &car()).unwrap();
        assert_eq!(&bytes[..], b"\x01\xc8\x01{\"name\":\"beetle\",\"wheels\":4}");
        assert_eq!(decode::<Car>(&key(), &bytes).unwrap(), car());
        assert_eq!(&seal_parts((1_u64, "a"))[..], b"\x02\x03\0\0\0\0\0\0\0\x01\x02a\0");
    }

    #[test]
    fn older_values_are_brought_up_to_date() {
        let old = stored(7, r#"{"title":"beetle","wheels":4}"#);
        assert_eq!(decode::<Car>(&key(), &old).unwrap(), car());
        let old = stored(6, r#"{"title":"beetle"}"#);
        assert_eq!(told(&old), "what is stored under `r/car/7` is not a car that can be read");
        let added_since = stored(200, r#"{"name":"beetle"}"#);
        assert_eq!(decode::<Car>(&key(), &added_since).unwrap().wheels, 0);
    }

    #[test]
    fn a_newer_value_is_refused_and_says_why() {
        assert_eq!(
            told(&stored(201, "{}")),
            "car `r/car/7` was written by a newer pikoci: it has version 201, \
             this one knows versions up to 200"
        );
    }

    #[test]
    fn what_is_no_value_is_told_with_its_key() {
        let expected = "what is stored under `r/car/7` is not a car that can be read";
        for bytes in
            [&b""[..], b"\x01", b"\x01\xc8", b"\x01\xc8\x01", b"\x01\xc8\x01{", b"\x02", b"{}"]
        {
            assert_eq!(told(&Bytes::from_static(bytes)), expected, "{}", bytes.escape_ascii());
        }
        // Numbers that are not written in as few bytes as they need, or too large.
        for bytes in [&b"\x01\x81\x00{}"[..], b"\x01\xff\xff\xff\xff\x1f{}"] {
            assert_eq!(Envelope::open(&Bytes::from_static(bytes)), None);
        }
    }

    #[test]
    fn a_value_that_is_too_large_is_named_with_its_size() {
        let mut large = car();
        large.name = "x".repeat(MAX_VALUE_SIZE_BYTES);
        assert_eq!(
            encode(&key(), &large).unwrap_err().to_string(),
            "car `r/car/7` has 65561 bytes, 65536 is the most"
        );
        large.name = "x".repeat(MAX_VALUE_SIZE_BYTES - 25);
        assert_eq!(encode(&key(), &large).unwrap().len(), MAX_VALUE_SIZE_BYTES);
    }

    #[test]
    fn fields_that_newer_code_wrote_are_kept_when_older_code_writes() {
        let bytes = stored(
            200,
            r#"{"name":"beetle","colour":"red","engine":{"power":34,"fuel":"petrol"},"wheels":4}"#,
        );
        let old: Car = decode(&key(), &bytes).unwrap();
        let rewritten = |new: &Car| {
            let bytes = encode_over(&key(), new, (&bytes, &old)).unwrap();
            let Some(Envelope::Json { version: 200, json }) = Envelope::open(&bytes) else {
                panic!("another envelope")
            };
            String::from_utf8(json.to_vec()).unwrap()
        };
        assert_eq!(
            rewritten(&Car { name: "bus".into(), wheels: 6, engine: Some(Engine { power: 44 }) }),
            r#"{"name":"bus","wheels":6,"engine":{"power":44,"fuel":"petrol"},"colour":"red"}"#
        );
        assert_eq!(rewritten(&car()), r#"{"name":"beetle","wheels":4,"colour":"red"}"#);
    }

    proptest! {
        #[test]
        fn an_envelope_reads_back(version in any::<u32>(), json in ".{0,9}") {
            let envelope = Envelope::Json { version, json: json.into() };
            prop_assert_eq!(Envelope::open(&envelope.seal()), Some(envelope));
        }

        #[test]
        fn any_bytes_are_an_envelope_that_seals_to_them_or_none(
            format in 0_u8..4,
            rest in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            let bytes = Bytes::from([vec![format], rest].concat());
            if let Some(envelope) = Envelope::open(&bytes) {
                prop_assert_eq!(envelope.seal(), bytes);
            }
        }
    }
}
