//! What the shim recorded, and the disk as a loss of power could leave it.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Disks write sectors whole, and the system hands them pages.
const SECTOR: usize = 512;
const PAGE: usize = 4096;

/// One record of the shim, see `shim.c`.
#[derive(Debug)]
struct Record {
    kind: u8,
    file: u64,
    offset: u64,
    size_before: u64,
    old: Vec<u8>,
    /// Where it stands in the journal.
    position: u64,
}

fn read(journal: &Path) -> Vec<Record> {
    let bytes = fs::read(journal).expect("the journal");
    let mut records = Vec::new();
    let mut rest = &bytes[..];
    // The last record may be cut where the kill hit an append.
    while rest.len() >= 41 {
        let number = |at: usize| u64::from_ne_bytes(rest[at..at + 8].try_into().expect("eight"));
        let old_length = usize::try_from(number(33)).expect("a length");
        let Some(old) = rest.get(41..41 + old_length) else { break };
        records.push(Record {
            kind: rest[0],
            file: number(1),
            offset: number(9),
            size_before: number(25),
            old: old.to_vec(),
            position: (bytes.len() - rest.len()) as u64,
        });
        rest = &rest[41 + old_length..];
    }
    records
}

/// The shim's name of a file.
fn name_of(about: &Metadata) -> u64 {
    let made = about.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    let made = made.map_or(0, |made| u64::try_from(made.as_nanos()).expect("nanoseconds"));
    about.ino() ^ (made << 20)
}

fn files_below(dir: &Path, found: &mut HashMap<u64, PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        let about = fs::symlink_metadata(&path).expect("metadata");
        if about.is_dir() {
            files_below(&path, found);
        } else if about.is_file() {
            found.insert(name_of(&about), path);
        }
    }
}

/// The files below `dir` that had writes not yet synced at each acknowledgement.
pub(crate) fn unsynced_at_acknowledgements(dir: &Path, journal: &Path) -> Vec<BTreeSet<PathBuf>> {
    let mut files = HashMap::new();
    files_below(dir, &mut files);
    let mut pending: Vec<(u64, u64)> = Vec::new();
    let mut at_acknowledgements = Vec::new();
    for record in read(journal) {
        match record.kind {
            b'A' => at_acknowledgements
                .push(pending.iter().filter_map(|(file, _)| files.get(file).cloned()).collect()),
            b'S' => pending
                .retain(|(file, position)| *file != record.file || *position >= record.offset),
            _ => pending.push((record.file, record.position)),
        }
    }
    at_acknowledgements
}

/// What becomes of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It is all there: a kill that leaves the page cache.
    None,
    /// It is gone.
    All,
    /// Some pages are there, some not, some in part.
    Torn,
}

/// Makes the files below `dir` what a loss of power could have left of them;
/// returns how many bytes that changed.
pub(crate) fn lose(
    dir: &Path,
    journal: &Path,
    loss: Loss,
    random: &mut impl FnMut(usize) -> usize,
) -> usize {
    if loss == Loss::None {
        return 0;
    }
    let mut files = HashMap::new();
    files_below(dir, &mut files);
    let records = read(journal);
    let mut covered: HashMap<u64, u64> = HashMap::new();
    for record in records.iter().filter(|record| record.kind == b'S') {
        let upto = covered.entry(record.file).or_default();
        *upto = record.offset.max(*upto);
    }
    let mut changed = 0;
    for (name, path) in files {
        let synced = covered.get(&name).copied().unwrap_or(0);
        let unsynced = records.iter().rev().filter(|record| {
            record.file == name && record.kind != b'S' && record.position >= synced
        });
        let now = fs::read(&path).expect("a file");
        let mut before = now.clone();
        for record in unsynced {
            let offset = usize::try_from(record.offset).expect("an offset");
            let end = offset + record.old.len();
            before.resize(before.len().max(end), 0);
            before[offset..end].copy_from_slice(&record.old);
            before.resize(usize::try_from(record.size_before).expect("a size"), 0);
        }
        let left = match loss {
            Loss::None => continue,
            Loss::All => before,
            Loss::Torn => torn(&before, &now, random),
        };
        changed += left.iter().zip(&now).filter(|(left, now)| left != now).count();
        changed += left.len().abs_diff(now.len());
        // In place: the file must stay the one it is.
        fs::write(&path, left).expect("a file");
    }
    changed
}

/// A mix of two states of a file, page by page.
fn torn(before: &[u8], now: &[u8], random: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let size = if random(2) == 0 { before.len() } else { now.len() };
    let mut left = before.to_vec();
    left.resize(size, 0);
    for start in (0..size.min(now.len())).step_by(PAGE) {
        let end = (start + PAGE).min(size).min(now.len());
        if left[start..end] == now[start..end] {
            continue;
        }
        let written = match random(3) {
            0 => 0,
            1 => PAGE,
            _ => SECTOR * random(PAGE / SECTOR),
        };
        let end = end.min(start + written);
        left[start..end].copy_from_slice(&now[start..end]);
    }
    left
}
