//! From a store to lines of JSON.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use pikoci_core::Store;
use pikoci_core::blob::Hasher;

use super::error::TransferError;
use super::format::Line;
use super::pages::{Pages, Progress, Summary};

/// An export that is being made, piece by piece.
pub struct Export {
    pages: Pages,
    hasher: Hasher,
    /// The lines with an entry so far.
    entries: u64,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Header,
    Pages,
    Ended,
}

impl Export {
    /// An export of `store`, which is read at most `passes` times; the
    /// [module](super) says why, and what the format is.
    pub fn new(store: Arc<dyn Store>, passes: u32) -> Self {
        Self {
            pages: Pages::new(store, passes),
            hasher: Hasher::new(),
            entries: 0,
            stage: Stage::Header,
        }
    }

    /// The next lines; `None` after the last. Dropping the future and calling
    /// again may lose lines: then begin anew.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next(&mut self) -> Result<Option<Bytes>, TransferError> {
        let mut out = Vec::new();
        match self.stage {
            Stage::Ended => return Ok(None),
            Stage::Header => {
                Line::Header.write(&mut out);
                self.stage = Stage::Pages;
            }
            Stage::Pages => match self.pages.next().await? {
                Some(page) => {
                    if page.again {
                        Line::Again(page.range).write(&mut out);
                    }
                    for (key, entry) in page.entries {
                        self.entries += 1;
                        Line::Entry(key, entry.value).write(&mut out);
                    }
                }
                None => {
                    self.stage = Stage::Ended;
                    let end = Line::End {
                        entries: self.entries,
                        consistent: self.pages.summary().is_consistent,
                        sha256: self.hasher.clone().finish().to_hex(),
                    };
                    end.write(&mut out);
                }
            },
        }
        self.hasher.update(&out);
        Ok(Some(out.into()))
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.pages.progress()
    }

    /// What was exported, once [`Self::next`] answered `None`.
    pub fn summary(&self) -> &Summary {
        self.pages.summary()
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("progress", &self.progress()).finish_non_exhaustive()
    }
}
