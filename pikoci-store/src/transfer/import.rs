//! From lines of JSON to a store.

use std::sync::Arc;

use bytes::Bytes;
use pikoci_core::Store;
use pikoci_core::store::{Key, KeyRange};

use super::error::TransferError;
use super::lines::{Lines, Said};
use super::target::{Mode, Target};

/// How much is gathered before it is written.
const PAGE_ENTRIES: usize = 500;
const PAGE_BYTES: usize = 1024 * 1024;

/// An import that is being made, of bytes that come in pieces.
#[derive(Debug)]
pub struct Import {
    lines: Lines,
    /// `None` where the lines are only looked at.
    target: Option<Target>,
    /// What of the present part of the export was not written yet.
    rest: KeyRange,
    again: bool,
    page: Vec<(Key, Bytes)>,
    page_bytes: usize,
    is_consistent: bool,
}

impl Import {
    /// An import into `store`, to which nobody else may write meanwhile. When
    /// it is not brought to its end, `store` holds a part; the same again with
    /// [`Mode::Replace`] goes on.
    ///
    /// # Errors
    /// When `store` cannot be read, or is not empty and has to be.
    pub async fn new(store: Arc<dyn Store>, mode: Mode) -> Result<Self, TransferError> {
        Ok(Self::to(Some(Target::new(store, mode).await?)))
    }

    /// One that writes nothing, but finds out whether an export is whole.
    pub fn rehearsal() -> Self {
        Self::to(None)
    }

    fn to(target: Option<Target>) -> Self {
        Self {
            lines: Lines::new(),
            target,
            rest: KeyRange::all(),
            again: false,
            page: Vec::new(),
            page_bytes: 0,
            is_consistent: false,
        }
    }

    /// Takes the next bytes of the export. Not to be called again after an
    /// error or when its future was dropped.
    ///
    /// # Errors
    /// When they are not right, or the store cannot be written.
    pub async fn take(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        self.lines.push(bytes);
        while let Some(said) = self.lines.next()? {
            match said {
                Said::Entry(key, value) => self.entry(key, value).await?,
                Said::Again(range) => {
                    self.write(None).await?;
                    self.rest = range;
                    self.again = true;
                }
                Said::End { consistent } => {
                    self.is_consistent = consistent;
                    self.write(None).await?;
                }
            }
        }
        Ok(())
    }

    /// Ends the import after all bytes were taken: everything is durable then.
    /// Tells whether two readings of what was exported found the same.
    ///
    /// # Errors
    /// When the export is cut off, or the store cannot be written.
    pub async fn finish(mut self) -> Result<bool, TransferError> {
        self.lines.finish()?;
        if let Some(target) = &mut self.target {
            target.settle().await?;
        }
        Ok(self.is_consistent)
    }

    /// The number of lines with an entry so far.
    pub fn entries(&self) -> u64 {
        self.lines.entries()
    }

    async fn entry(&mut self, key: Key, value: Bytes) -> Result<(), TransferError> {
        if self.target.is_none() {
            return Ok(());
        }
        self.page_bytes += key.as_bytes().len() + value.len();
        self.page.push((key.clone(), value));
        if self.page.len() >= PAGE_ENTRIES || self.page_bytes >= PAGE_BYTES {
            self.write(Some(&key)).await?;
        }
        Ok(())
    }

    /// Writes what was gathered: up to `last`, or to the end of the part.
    async fn write(&mut self, last: Option<&Key>) -> Result<(), TransferError> {
        let Some(target) = &mut self.target else { return Ok(()) };
        let (range, rest) = match last {
            Some(last) => {
                let rest = self.rest.after(last);
                let end = Some(rest.start().clone());
                (KeyRange::new(self.rest.start().clone(), end), rest)
            }
            None => {
                let end = self.rest.end().cloned();
                // Nothing is left of it.
                let rest = KeyRange::new(Bytes::new(), Some(Bytes::new()));
                (KeyRange::new(self.rest.start().clone(), end), rest)
            }
        };
        self.page_bytes = 0;
        target.make(&range, std::mem::take(&mut self.page), self.again).await?;
        self.rest = rest;
        Ok(())
    }
}
