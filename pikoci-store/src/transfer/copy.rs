//! From store to store.

use std::sync::Arc;

use pikoci_core::Store;

use super::error::TransferError;
use super::pages::{Pages, Progress, Summary};
use super::target::{Mode, Target};

/// Makes the store `to` hold what `from` does, reading it at most `passes`
/// times; the [module](super) says why. `told` hears how far it is.
///
/// Nobody else may write to `to` meanwhile. When this ends early, or is
/// dropped, `to` holds a part; the same again with [`Mode::Replace`] goes on.
///
/// # Errors
/// When a store cannot be read or written, or `to` is not empty and has to be.
pub async fn copy(
    from: Arc<dyn Store>,
    to: Arc<dyn Store>,
    mode: Mode,
    passes: u32,
    mut told: impl FnMut(Progress),
) -> Result<Summary, TransferError> {
    let mut target = Target::new(to, mode).await?;
    let mut pages = Pages::new(from, passes);
    while let Some(page) = pages.next().await? {
        let entries = page.entries.into_iter().map(|(key, entry)| (key, entry.value)).collect();
        target.make(&page.range, entries, page.again).await?;
        told(pages.progress());
    }
    target.settle().await?;
    Ok(pages.summary().clone())
}
