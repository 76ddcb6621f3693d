//! The lines of an export, written and read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use pikoci_core::database::{Envelope, KeyPath, Part};
use pikoci_core::store::limits::MAX_VALUE_SIZE_BYTES;
use pikoci_core::store::{Key, KeyRange};
use serde_json::{Map, Value, json};

/// What the first line says it is.
const FORMAT: &str = "pikoci-store";

/// The version that is written, and the highest that is read.
const VERSION: u64 = 1;

/// A line of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    Header,
    Entry(Key, Bytes),
    Again(KeyRange),
    End { entries: u64, consistent: bool, sha256: String },
}

impl Line {
    /// Adds it to `out`, with its line feed.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let value = match self {
            Self::Header => json!({ "format": FORMAT, "version": VERSION }),
            Self::Entry(key, value) => json!({ "key": from_key(key), "value": from_value(value) }),
            Self::Again(range) => {
                let to = range.end().map(|end| STANDARD.encode(end));
                json!({ "again": { "from": STANDARD.encode(range.start()), "to": to } })
            }
            Self::End { entries, consistent, sha256 } => json!({
                "end": { "entries": entries, "consistent": consistent, "sha256": sha256 }
            }),
        };
        out.extend_from_slice(value.to_string().as_bytes());
        out.push(b'\n');
    }

    /// Reads a line without its line feed; what is wrong with it otherwise,
    /// as it follows "line 7".
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            // The error counts lines of its own.
            format!("is not JSON, at column {}", error.column())
        })?;
        let Value::Object(mut line) = value else { return Err(unknown()) };
        let read = if let Some(format) = line.remove("format") {
            header(&format, line.remove("version"))?
        } else if let Some(key) = line.remove("key") {
            let key = to_key(&key).ok_or("has a `key` that cannot be read")?;
            let value = line.remove("value").as_ref().and_then(to_value);
            Self::Entry(key, value.ok_or("has a `value` that cannot be read")?)
        } else if let Some(Value::Object(again)) = line.remove("again") {
            let bound = |text: &Value| STANDARD.decode(text.as_str()?).ok();
            let from = again.get("from").and_then(bound).ok_or_else(unknown)?;
            let to = match again.get("to") {
                Some(Value::Null) => None,
                to => Some(to.and_then(bound).ok_or_else(unknown)?.into()),
            };
            Self::Again(KeyRange::new(from, to))
        } else if let Some(Value::Object(end)) = line.remove("end") {
            Self::End {
                entries: end.get("entries").and_then(Value::as_u64).ok_or_else(unknown)?,
                consistent: end.get("consistent").and_then(Value::as_bool).ok_or_else(unknown)?,
                sha256: end.get("sha256").and_then(Value::as_str).ok_or_else(unknown)?.to_owned(),
            }
        } else {
            return Err(unknown());
        };
        if line.is_empty() { Ok(read) } else { Err(unknown()) }
    }
}

fn unknown() -> String {
    "is no line of an export".to_owned()
}

fn header(format: &Value, version: Option<Value>) -> Result<Line, String> {
    match (format.as_str(), version.as_ref().and_then(Value::as_u64)) {
        (Some(FORMAT), Some(VERSION)) => Ok(Line::Header),
        (Some(FORMAT), Some(newer)) => Err(format!(
            "has version {newer} of the format; this program reads {VERSION}, use a newer one"
        )),
        _ => Err("does not say that this is an export of a store".to_owned()),
    }
}

fn from_key(key: &Key) -> Value {
    match KeyPath::parts(key).filter(|parts| same_key(parts, key)) {
        Some(parts) => from_parts(&parts),
        None => from_bytes(key.as_bytes()),
    }
}

fn same_key(parts: &[Part], key: &Key) -> bool {
    path(parts).and_then(|path| path.key().ok()).as_ref() == Some(key)
}

fn path(parts: &[Part]) -> Option<KeyPath> {
    let (first, rest) = parts.split_first()?;
    Some(KeyPath::new(first).then(rest))
}

fn to_key(value: &Value) -> Option<Key> {
    match value {
        Value::Array(parts) => path(&to_parts(parts)?)?.key().ok(),
        other => Key::new(to_bytes(other)?).ok(),
    }
}

fn from_value(bytes: &Bytes) -> Value {
    let readable = match Envelope::open(bytes) {
        Some(Envelope::Json { version, json }) => {
            let json = serde_json::from_slice::<Value>(&json).ok();
            json.map(|json| json!({ "version": version, "json": json }))
        }
        Some(Envelope::Parts(parts)) => Some(json!({ "parts": from_parts(&parts) })),
        None => None,
    };
    // What is not written back to the same bytes is kept as they are.
    readable
        .filter(|readable| to_value(readable).as_ref() == Some(bytes))
        .unwrap_or_else(|| from_bytes(bytes))
}

fn to_value(value: &Value) -> Option<Bytes> {
    let fields = value.as_object()?;
    let only = |count: usize| (fields.len() == count).then_some(());
    let bytes = match (fields.get("json"), fields.get("parts")) {
        (Some(json), None) => {
            only(2)?;
            let version = u32::try_from(fields.get("version")?.as_u64()?).ok()?;
            Envelope::Json { version, json: json.to_string().into() }.seal()
        }
        (None, Some(parts)) => {
            only(1)?;
            Envelope::Parts(to_parts(parts.as_array()?)?).seal()
        }
        _ => to_bytes(value)?,
    };
    (bytes.len() <= MAX_VALUE_SIZE_BYTES).then_some(bytes)
}

fn from_parts(parts: &[Part]) -> Value {
    let from_part = |part: &Part| match part {
        Part::Text(text) => json!(text),
        Part::Number(number) => json!(number),
        Part::Signed(number) => json!({ "signed": number }),
        Part::Id(id) => json!({ "id": id.to_string() }),
        Part::Bytes(bytes) => json!({ "bytes": STANDARD.encode(bytes) }),
    };
    parts.iter().map(from_part).collect()
}

fn to_parts(parts: &[Value]) -> Option<Vec<Part>> {
    let tagged = |fields: &Map<String, Value>| {
        let (tag, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
        match tag.as_str() {
            "signed" => value.as_i64().map(Part::Signed),
            "id" => value.as_str()?.parse().ok().map(Part::Id),
            "bytes" => STANDARD.decode(value.as_str()?).ok().map(Part::Bytes),
            _ => None,
        }
    };
    let to_part = |part: &Value| match part {
        Value::String(text) => Some(Part::Text(text.clone())),
        Value::Number(number) => number.as_u64().map(Part::Number),
        Value::Object(fields) => tagged(fields),
        _ => None,
    };
    parts.iter().map(to_part).collect()
}

fn from_bytes(bytes: &[u8]) -> Value {
    json!({ "base64": STANDARD.encode(bytes) })
}

fn to_bytes(value: &Value) -> Option<Bytes> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    STANDARD.decode(fields.get("base64")?.as_str()?).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn written(line: &Line) -> String {
        let mut out = Vec::new();
        line.write(&mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(text.ends_with('\n') && text.matches('\n').count() == 1, "{text:?}");
        assert_eq!(Line::read(text.trim_end().as_bytes()).as_ref(), Ok(line), "{text}");
        text.trim_end().to_owned()
    }

    fn entry(key: Key, value: impl Into<Bytes>) -> String {
        written(&Line::Entry(key, value.into()))
    }

    #[test]
    fn what_is_typed_can_be_read_by_people() {
        let key = KeyPath::new("r").then("build").then(7_u64).then(-1_i64).then(Uuid::nil());
        let key = key.then(&b"\0"[..]).key().expect("a key");
        assert_eq!(
            entry(key, &b"\x01\x03{\"a\":[1.5,null,\"\\n\"]}"[..]),
            "{\"key\":[\"r\",\"build\",7,{\"signed\":-1},\
             {\"id\":\"00000000-0000-0000-0000-000000000000\"},{\"bytes\":\"AA==\"}],\
             \"value\":{\"version\":3,\"json\":{\"a\":[1.5,null,\"\\n\"]}}}"
        );
        let key = KeyPath::new("i").key().expect("a key");
        let value = Envelope::Parts(vec![Part::Number(7)]).seal();
        assert_eq!(entry(key, value), "{\"key\":[\"i\"],\"value\":{\"parts\":[7]}}");
    }

    #[test]
    fn every_other_key_and_value_keeps_its_bytes() {
        for key in [&b"\x02text"[..], b"plain", b"\xff\0", b"\x02a\0\x09"] {
            let key = Key::new(key).expect("a key");
            assert!(entry(key, "").contains("{\"key\":{\"base64\":"));
        }
        let values: [&[u8]; 6] = [
            b"",
            b"\x01\x01{\"a\": 1}",
            b"\x01\x01{\"a\":1,\"a\":2}",
            b"\x01\x01nonsense",
            b"\x01\x01\"\\u0061\"",
            b"\x09?",
        ];
        for value in values {
            let line = entry(Key::new("k").expect("a key"), value);
            assert!(line.contains("\"value\":{\"base64\":"), "{line}");
        }
    }

    #[test]
    fn other_lines_are_read_back_too() {
        let key = Key::new("k").expect("a key");
        written(&Line::Header);
        written(&Line::Again(KeyRange::all()));
        written(&Line::Again(KeyRange::all().after(&key)));
        written(&Line::Again(KeyRange::all().before(&key)));
        written(&Line::End { entries: 3, consistent: true, sha256: "00".into() });
    }

    #[test]
    fn what_is_wrong_with_a_line_is_told() {
        let long = STANDARD.encode(vec![0; MAX_VALUE_SIZE_BYTES + 1]);
        for (line, says) in [
            ("", "is not JSON"),
            ("{\"key\":", "is not JSON, at column 7"),
            ("[]", "is no line"),
            ("{\"key\":[\"a\"]}", "`value`"),
            ("{\"key\":[],\"value\":{\"base64\":\"\"}}", "`key`"),
            ("{\"key\":[\"a\"],\"value\":{\"base64\":\"?\"}}", "`value`"),
            ("{\"key\":[\"a\"],\"value\":{\"base64\":\"\"},\"more\":1}", "is no line"),
            (&format!("{{\"key\":[\"a\"],\"value\":{{\"base64\":\"{long}\"}}}}"), "`value`"),
            ("{\"format\":\"other\"}", "does not say"),
            ("{\"format\":\"pikoci-store\",\"version\":2}", "use a newer one"),
            ("{\"again\":{\"from\":null}}", "is no line"),
            ("{\"end\":{\"entries\":1}}", "is no line"),
        ] {
            let problem = Line::read(line.as_bytes()).expect_err(line);
            assert!(problem.contains(says), "{line}: {problem}");
        }
    }
}
