//! The one stream of events: numbering, time, masking; and where steps put out.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::sync::Mutex;

use super::EventSink;
use crate::clock::Clock;
use crate::event::{Event, EventKind, OutputData, OutputStream};
use crate::mask::{MaskStream, Masker};
use crate::name::StepId;
use crate::traits::StepIo;
use crate::version::Version;

/// The most bytes of one event's output, as text in JSON: an event has to fit
/// into an entry of a log, which is 64 KiB in the strictest store.
const MAX_OUTPUT_BYTES: usize = 60 << 10;

/// The most bytes of one event's output as it is: in base64 they are no more
/// than [`MAX_OUTPUT_BYTES`].
const MAX_RAW_BYTES: usize = 45 << 10;

/// The most bytes of a text in an event that is shown to people; six times as
/// many in JSON, at worst.
const MAX_TEXT_BYTES: usize = 8 << 10;

/// Numbers the events of a build and hands them on, one at a time.
pub(super) struct Recorder {
    sink: Arc<dyn EventSink>,
    clock: Arc<dyn Clock>,
    pub(super) masker: Masker,
    /// The next number. The lock is held while an event is handed on, so that
    /// events arrive in the order of their numbers.
    next: Mutex<u64>,
}

impl Recorder {
    /// One whose first event has the number `next`.
    pub(super) fn new(
        sink: Arc<dyn EventSink>,
        clock: Arc<dyn Clock>,
        masker: Masker,
        next: u64,
    ) -> Self {
        Self { sink, clock, masker, next: Mutex::new(next) }
    }

    /// Hands on an event. What it holds is masked by the caller.
    pub(super) async fn emit(&self, kind: EventKind) {
        let mut next = self.next.lock().await;
        let event = Event { number: *next, time: self.clock.now(), kind };
        *next += 1;
        self.sink.event(event).await;
    }

    /// The text without secrets, and without its end where it is too long for an event.
    pub(super) fn mask(&self, text: &str) -> String {
        let mut text = self.masker.redact(text).into_owned();
        if text.len() > MAX_TEXT_BYTES {
            text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
            text.push('…');
        }
        text
    }

    /// The version without secrets in its texts.
    pub(super) fn mask_version(&self, version: &Version) -> Version {
        fn walk(masker: &Masker, value: &serde_json::Value) -> serde_json::Value {
            match value {
                serde_json::Value::String(text) => masker.redact(text).into(),
                serde_json::Value::Array(items) => {
                    items.iter().map(|item| walk(masker, item)).collect()
                }
                serde_json::Value::Object(map) => serde_json::Value::Object(
                    map.iter()
                        .map(|(key, item)| (masker.redact(key).into_owned(), walk(masker, item)))
                        .collect(),
                ),
                other => other.clone(),
            }
        }
        if self.masker.is_empty() {
            return version.clone();
        }
        Version(
            version
                .0
                .iter()
                .map(|(key, value)| (self.mask(key), walk(&self.masker, value)))
                .collect(),
        )
    }

    /// The texts without secrets.
    pub(super) fn mask_map(&self, map: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        map.iter().map(|(key, value)| (self.mask(key), self.mask(value))).collect()
    }
}

/// Takes the output of one attempt of one step: masks each stream by itself
/// and keeps a character that a piece cuts in two together.
pub(super) struct Output<'a> {
    recorder: &'a Recorder,
    step: StepId,
    /// Made when a stream first says something: most steps use one, many none.
    streams: [Option<Stream>; STREAMS.len()],
}

const STREAMS: [OutputStream; 3] =
    [OutputStream::Stdout, OutputStream::Stderr, OutputStream::Engine];

struct Stream {
    mask: MaskStream,
    /// The beginning of a character, at most 3 bytes.
    cut: BytesMut,
}

impl<'a> Output<'a> {
    pub(super) fn new(recorder: &'a Recorder, step: StepId) -> Self {
        Self { recorder, step, streams: [None, None, None] }
    }

    /// Puts out what is held back. To be called before the step is told to be over.
    pub(super) async fn flush(&mut self) {
        for (which, stream) in STREAMS.into_iter().zip(&mut self.streams) {
            let Some(stream) = stream else { continue };
            let held = stream.mask.finish();
            let mut rest = stream.join(held);
            if !stream.cut.is_empty() {
                let mut whole = BytesMut::from(rest.as_ref());
                whole.put(stream.cut.split());
                rest = whole.freeze();
            }
            emit(self.recorder, &self.step, which, rest).await;
        }
    }
}

async fn emit(recorder: &Recorder, step: &StepId, stream: OutputStream, mut data: Bytes) {
    while !data.is_empty() {
        let piece = OutputData(data.split_to(fitting(&data)));
        recorder.emit(EventKind::StepOutput { step: step.clone(), stream, data: piece }).await;
    }
}

/// How many bytes of `data` one event can hold, at least one.
fn fitting(data: &[u8]) -> usize {
    if data.len() <= MAX_OUTPUT_BYTES / 6 {
        return data.len();
    }
    let mut bytes = 0;
    let fits = data.iter().take(MAX_RAW_BYTES).take_while(|byte| {
        bytes += match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
            0..0x20 => 6,
            _ => 1,
        };
        bytes <= MAX_OUTPUT_BYTES
    });
    let fits = fits.count();
    let head = data.get(..fits).unwrap_or_default();
    if fits == data.len() { fits } else { fits - cut_length(head) }
}

#[async_trait]
impl StepIo for Output<'_> {
    async fn output(&mut self, stream: OutputStream, chunk: Bytes) {
        let slot = match stream {
            OutputStream::Stdout => 0,
            OutputStream::Stderr => 1,
            OutputStream::Engine => 2,
        };
        let recorder = self.recorder;
        let held = self.streams[slot]
            .get_or_insert_with(|| Stream { mask: recorder.masker.stream(), cut: BytesMut::new() });
        let masked = held.mask.push(chunk);
        let whole = held.join(masked);
        emit(recorder, &self.step, stream, whole).await;
    }
}

impl Stream {
    /// `piece` with what was cut off before it, and without what is cut off at its end.
    fn join(&mut self, mut piece: Bytes) -> Bytes {
        if !self.cut.is_empty() && !piece.is_empty() {
            self.cut.put(piece);
            piece = self.cut.split().freeze();
        }
        let cut = piece.split_off(piece.len() - cut_length(&piece));
        if !cut.is_empty() {
            self.cut.put(cut);
        }
        piece
    }
}

/// How many bytes at the end begin a UTF-8 character that ends later; at most 3.
fn cut_length(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    for (back, &byte) in tail.iter().rev().enumerate() {
        let length = match byte {
            0x80..=0xBF => continue,
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 1,
        };
        return if length > back + 1 { back + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{ManualClock, MemoryEvents};

    fn printed(events: &MemoryEvents) -> Vec<Bytes> {
        events
            .all()
            .into_iter()
            .filter_map(|event| match event.kind {
                EventKind::StepOutput { data, .. } => Some(data.0),
                _ => None,
            })
            .collect()
    }

    async fn put_out(secret: &str, pieces: &[&[u8]]) -> Vec<Bytes> {
        let events = MemoryEvents::new();
        let clock = Arc::new(ManualClock::new());
        let recorder = Recorder::new(Arc::new(events.clone()), clock, Masker::new(), 0);
        recorder.masker.register(secret);
        let mut output = Output::new(&recorder, StepId::root(0));
        for piece in pieces {
            output.output(OutputStream::Stdout, Bytes::copy_from_slice(piece)).await;
        }
        output.flush().await;
        printed(&events)
    }

    #[tokio::test]
    async fn a_character_cut_in_two_stays_whole() {
        let text = "aä€😀".as_bytes();
        for cut in 0..=text.len() {
            let shown = put_out("", &[&text[..cut], &text[cut..]]).await;
            assert!(shown.iter().all(|piece| std::str::from_utf8(piece).is_ok()), "cut at {cut}");
            assert_eq!(shown.concat(), text, "cut at {cut}");
        }
        let each: Vec<&[u8]> = text.chunks(1).collect();
        let shown = put_out("", &each).await;
        assert_eq!(shown, ["a", "ä", "€", "😀"]);
    }

    #[tokio::test]
    async fn every_event_fits_into_an_entry_of_a_log() {
        let limit = crate::database::log::MAX_ENTRY_SIZE_BYTES;
        let many = |piece: &[u8]| piece.repeat(300_000 / piece.len());
        for text in [&b"x"[..], b"line\n", b"\x01", b"\"", "€".as_bytes(), b"\xff"].map(many) {
            let events = MemoryEvents::new();
            let clock = Arc::new(ManualClock::new());
            let recorder = Recorder::new(Arc::new(events.clone()), clock, Masker::new(), 0);
            let mut output = Output::new(&recorder, StepId::root(0));
            output.output(OutputStream::Stdout, text.clone().into()).await;
            output.flush().await;
            for event in events.all() {
                assert!(serde_json::to_vec(&event).unwrap().len() <= limit);
            }
            assert_eq!(printed(&events).concat(), text);
        }
        let recorder = Recorder::new(
            Arc::new(MemoryEvents::new()),
            Arc::new(ManualClock::new()),
            Masker::new(),
            0,
        );
        let shown = recorder.mask(&"ä".repeat(100_000));
        assert!(shown.len() < limit / 6 && shown.ends_with("ä…"), "{}", shown.len());
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_all_pass() {
        for bytes in [&b"\xff\xfe\x80\x80\x80\x80"[..], b"ok\xe2\x82", b"\xf0\x9f", b"\xc3"] {
            for cut in 0..=bytes.len() {
                assert_eq!(put_out("", &[&bytes[..cut], &bytes[cut..]]).await.concat(), bytes);
            }
        }
    }

    #[tokio::test]
    async fn a_secret_cut_in_two_is_masked() {
        let shown = put_out("geh€im", &["so geh".as_bytes(), b"\xe2", b"\x82", b"\xacim!"]).await;
        assert_eq!(shown.concat(), b"so ***!");
        assert_eq!(put_out("geheim", &[b"geh"]).await.concat(), b"geh");
    }
}
