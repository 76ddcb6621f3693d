//! Masking of secrets in texts and in streams of output.
//!
//! Every secret is replaced by `***`: as it is, and as the commands of a build
//! are likely to print it by accident (`forms`). At each place the longest
//! secret wins; a match starts where the one before it ended. What is printed
//! in pieces is masked as if it had been printed whole: a [`MaskStream`] holds
//! back the end of a piece only while it may be the beginning of a secret.
//!
//! A secret shorter than [`MIN_SECRET_CHARS`] characters, or one of the words
//! `true`, `false` and `null`, is not masked: it would blank half of the
//! output and hide nothing that cannot be guessed.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};
use bytes::Bytes;

mod forms;
#[cfg(test)]
mod tests;

pub use forms::MIN_SECRET_CHARS;

/// Most bytes that all patterns together may have for a DFA; it takes some
/// hundred times as much memory.
const MAX_DFA_PATTERN_BYTES: usize = 16 << 10;

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// The secrets of a build, and what takes them out of its output. Cloning
/// gives another handle on the same secrets. Secrets are kept in plain memory
/// for as long as a handle lives.
#[derive(Clone, Default)]
pub struct Masker {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// How often the secrets changed; 0 while there are none, which readers
    /// learn without a lock.
    generation: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    patterns: BTreeSet<Vec<u8>>,
    /// Made when it is first needed after a change, so that registering many
    /// secrets in a row builds one.
    matcher: Option<Arc<Matcher>>,
}

impl Masker {
    /// A masker without secrets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret. Streams that are open mask it from their next piece on;
    /// what they held back is masked as well. Adding one twice is harmless.
    pub fn register(&self, secret: &str) {
        let forms = forms::forms(secret);
        if forms.is_empty() {
            return;
        }
        let mut state = self.shared.state();
        let before = state.patterns.len();
        state.patterns.extend(forms);
        if state.patterns.len() > before {
            state.matcher = None;
            self.shared.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether there is nothing to mask.
    pub fn is_empty(&self) -> bool {
        self.shared.generation.load(Ordering::Acquire) == 0
    }

    /// The text without its secrets; borrowed where it holds none.
    ///
    /// ```
    /// let masker = pikoci_core::mask::Masker::new();
    /// masker.register("hunter2!");
    /// assert_eq!(masker.redact("password: hunter2!"), "password: ***");
    /// assert_eq!(masker.redact("?pw=hunter2%21&a"), "?pw=***&a");
    /// ```
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(matcher) = self.matcher() else {
            return Cow::Borrowed(text);
        };
        match matcher.redact_all(text.as_bytes()) {
            None => Cow::Borrowed(text),
            Some(bytes) => Cow::Owned(
                // Secrets are texts, so what is between them is text too.
                String::from_utf8(bytes)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            ),
        }
    }

    /// A masker for one stream of output.
    pub fn stream(&self) -> MaskStream {
        MaskStream { masker: self.clone(), generation: 0, matcher: None, held: Vec::new() }
    }

    fn matcher(&self) -> Option<Arc<Matcher>> {
        if self.is_empty() {
            return None;
        }
        let mut state = self.shared.state();
        let State { patterns, matcher } = &mut *state;
        Some(Arc::clone(matcher.get_or_insert_with(|| Arc::new(Matcher::new(patterns)))))
    }
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masker").finish_non_exhaustive()
    }
}

impl Shared {
    /// The state; a panic elsewhere cannot leave it half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Masks one stream of output piece by piece. Dropping it without
/// [`finish`](Self::finish) loses what it holds back.
pub struct MaskStream {
    masker: Masker,
    /// The generation that `matcher` was made for.
    generation: u64,
    matcher: Option<Arc<Matcher>>,
    /// The end of what came so far, while it may be the beginning of a secret.
    held: Vec<u8>,
}

impl MaskStream {
    /// Takes the next piece and gives what can be shown of the stream now,
    /// possibly nothing. Without secrets the piece itself comes back; with
    /// secrets, a piece that holds none is not copied.
    pub fn push(&mut self, piece: Bytes) -> Bytes {
        let generation = self.masker.shared.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.generation = generation;
            self.matcher = self.masker.matcher();
        }
        let Some(matcher) = &self.matcher else {
            return piece;
        };
        let mut piece = piece;
        if !self.held.is_empty() {
            self.held.extend_from_slice(&piece);
            piece = Bytes::from(std::mem::take(&mut self.held));
        }
        let mut masked = Vec::new();
        let mut shown = 0;
        let mut hold = matcher.open_end(&piece, 0);
        loop {
            match matcher.find(&piece, shown) {
                // A secret that may still become a longer one, or that an
                // earlier, unfinished one may swallow, has to wait.
                Some((start, end)) if start < hold => {
                    masked.extend_from_slice(&piece[shown..start]);
                    masked.extend_from_slice(MASK.as_bytes());
                    shown = end;
                    if hold < end {
                        hold = matcher.open_end(&piece, end);
                    }
                }
                _ => break,
            }
        }
        self.held.extend_from_slice(&piece[hold..]);
        if masked.is_empty() {
            piece.truncate(hold);
            return piece;
        }
        masked.extend_from_slice(&piece[shown..hold]);
        masked.into()
    }

    /// Gives what was held back, at the end of the stream. The stream can be used again.
    pub fn finish(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held);
        match &self.matcher {
            Some(matcher) => matcher.redact_all(&held).unwrap_or(held).into(),
            None => held.into(),
        }
    }

    /// Whether nothing is held back.
    pub fn is_idle(&self) -> bool {
        self.held.is_empty()
    }
}

impl std::fmt::Debug for MaskStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MaskStream").field("held_bytes", &self.held.len()).finish_non_exhaustive()
    }
}

/// Finds the patterns of one generation.
struct Matcher {
    /// `None` where the patterns are too many to be searched for; then
    /// everything counts as secret.
    automaton: Option<AhoCorasick>,
    /// In order, so that a prefix is found by halving.
    patterns: Vec<Vec<u8>>,
    /// Whether a pattern starts with a byte.
    first: [bool; 256],
    longest: usize,
}

impl Matcher {
    fn new(patterns: &BTreeSet<Vec<u8>>) -> Self {
        let mut first = [false; 256];
        for byte in patterns.iter().filter_map(|pattern| pattern.first()) {
            first[usize::from(*byte)] = true;
        }
        // A DFA searches several times as fast as what the library would choose for
        // more than a few patterns, and takes room for each of their bytes.
        let small = patterns.iter().map(Vec::len).sum::<usize>() <= MAX_DFA_PATTERN_BYTES;
        Self {
            automaton: AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .kind(small.then_some(AhoCorasickKind::DFA))
                .build(patterns)
                .ok(),
            first,
            longest: patterns.iter().map(Vec::len).max().unwrap_or(0),
            patterns: patterns.iter().cloned().collect(),
        }
    }

    /// The first, then longest, secret at or after `from`.
    fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        match &self.automaton {
            Some(automaton) => automaton
                .find(Input::new(text).range(from..))
                .map(|found| (found.start(), found.end())),
            None => (from < text.len()).then_some((from, text.len())),
        }
    }

    /// Where, at or after `from`, the end of `text` begins that may be the
    /// beginning of a secret; the length of `text` where there is none.
    fn open_end(&self, text: &[u8], from: usize) -> usize {
        let earliest = text.len().saturating_sub(self.longest.saturating_sub(1)).max(from);
        (earliest..text.len())
            .find(|&at| self.first[usize::from(text[at])] && self.is_open(&text[at..]))
            .unwrap_or(text.len())
    }

    /// Whether a pattern starts with `tail` and is longer.
    fn is_open(&self, tail: &[u8]) -> bool {
        // Patterns that start with `tail` stand together, the shortest, which
        // may be `tail` itself, first.
        let at = self.patterns.partition_point(|pattern| pattern.as_slice() <= tail);
        self.patterns.get(at).is_some_and(|pattern| pattern.starts_with(tail))
    }

    /// The text without its secrets, unless it holds none.
    fn redact_all(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut found = self.find(text, 0)?;
        let mut out = Vec::with_capacity(text.len());
        let mut shown = 0;
        loop {
            out.extend_from_slice(&text[shown..found.0]);
            out.extend_from_slice(MASK.as_bytes());
            shown = found.1;
            match self.find(text, shown) {
                Some(next) => found = next,
                None => break,
            }
        }
        out.extend_from_slice(&text[shown..]);
        Some(out)
    }
}
