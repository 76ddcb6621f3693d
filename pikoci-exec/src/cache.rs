//! Caches: directories that outlive builds, with a bound on all together.
//!
//! For a key there is a directory and, beside it under the same name with a
//! dot before it, a record:
//!
//! - its modification time says when the cache was used last;
//! - its content says how many bytes the cache had then, nothing while it is in use;
//! - a shared lock on it says that the cache is in use by a process that lives.
//!
//! Whoever removes a cache has the lock for itself, moves the directory out of
//! the way, removes the record and only then the files.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};

use crate::workspace::{at, file_name, private_dir, remove_tree};

/// How the names of caches begin that are being removed. No record is called
/// so, because the name of a key never begins with a dot.
const GONE: &str = "..gone-";

/// Directories that outlive builds, one for each key. When all together have
/// more bytes than they may, those go that were not used for the longest time;
/// never one that a living process uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
    limit_bytes: u64,
}

/// A cache in use. Dropping it ends the use; only [`Cache::release`] also
/// looks how large it has become.
#[derive(Debug)]
pub struct CacheUse {
    directory: PathBuf,
    /// Open, and so locked, as long as the cache is in use.
    record: File,
}

impl CacheUse {
    /// The directory; it exists.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for CacheUse {
    fn drop(&mut self) {
        // A process that is just being started may have a copy of the open
        // file for a moment; closing ours alone would not end the lock.
        let _ = flock(&self.record, FlockOperation::Unlock);
    }
}

impl Cache {
    /// How many bytes all caches together may have when nothing else is said: 10 GiB.
    pub const DEFAULT_LIMIT_BYTES: u64 = 10 << 30;

    /// Caches below `root`, which is made with the first one.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), limit_bytes: Self::DEFAULT_LIMIT_BYTES }
    }

    /// The same with another bound.
    #[must_use]
    pub fn with_limit_bytes(mut self, limit_bytes: u64) -> Self {
        self.limit_bytes = limit_bytes;
        self
    }

    /// Takes the cache of `key` into use. Waits while it is being removed,
    /// which is for a moment.
    ///
    /// # Errors
    /// When its directory or its record cannot be made.
    pub fn take(&self, key: &str) -> io::Result<CacheUse> {
        private_dir(&self.root)?;
        let name = file_name(key);
        let path = self.record_of(&name);
        let record = loop {
            let record = open(&path).map_err(|it| at(&path, it))?;
            flock(&record, FlockOperation::LockShared).map_err(|it| at(&path, it.into()))?;
            // It may have been removed between the opening and the lock.
            if is_linked(&record).map_err(|it| at(&path, it))? {
                break record;
            }
        };
        let directory = self.root.join(name);
        private_dir(&directory)?;
        note(&record, "").map_err(|it| at(&path, it))?;
        Ok(CacheUse { directory, record })
    }

    /// Ends the use of caches, then removes old ones while all together have
    /// more bytes than they may. Looks at every file of those it is given; of
    /// others it reads the record.
    ///
    /// # Errors
    /// When the caches cannot be looked at or one cannot be removed; the rest
    /// is done all the same.
    pub fn release(&self, used: impl IntoIterator<Item = CacheUse>) -> io::Result<()> {
        let mut first_problem = Ok(());
        for it in used {
            let noted = note(&it.record, &size_of(&it.directory).to_string());
            first_problem = first_problem.and(noted.map_err(|error| at(&it.directory, error)));
        }
        first_problem.and(self.sweep())
    }

    fn record_of(&self, name: &str) -> PathBuf {
        self.root.join(format!(".{name}"))
    }

    /// Removes the least recently used caches until the bound holds.
    fn sweep(&self) -> io::Result<()> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(|it| at(&self.root, it))? {
            let entry = entry.map_err(|it| at(&self.root, it))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(GONE) {
                // Whoever was at it died, or is still at it: either way it is to go.
                let _ = remove_tree(&entry.path());
            } else if !name.starts_with('.') && entry.file_type().is_ok_and(|it| it.is_dir()) {
                all.push(self.entry(name));
            }
        }
        let mut total: u64 = all.iter().map(|it| it.bytes).sum();
        all.sort_by_key(|it| it.last_use);
        let mut first_problem = Ok(());
        for it in all {
            if total <= self.limit_bytes {
                break;
            }
            match self.remove(&it.name) {
                Ok(true) => {
                    tracing::info!(cache = it.name, bytes = it.bytes, "removed an old cache");
                    total -= it.bytes;
                }
                Ok(false) => {}
                Err(error) => first_problem = first_problem.and(Err(error)),
            }
        }
        first_problem
    }

    /// What is known of a cache. One without a size died in use, is in use, or
    /// is older than records: its files are looked at.
    fn entry(&self, name: String) -> Entry {
        let directory = self.root.join(&name);
        let record = self.record_of(&name);
        let last_use = fs::metadata(&record)
            .or_else(|_| fs::metadata(&directory))
            .and_then(|it| it.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH);
        let known = fs::read_to_string(&record).ok().and_then(|it| it.trim().parse().ok());
        let bytes = known.unwrap_or_else(|| size_of(&directory));
        Entry { name, last_use, bytes }
    }

    /// Removes a cache unless it is in use; whether it did.
    fn remove(&self, name: &str) -> io::Result<bool> {
        let path = self.record_of(name);
        let record = open(&path).map_err(|it| at(&path, it))?;
        if flock(&record, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(false);
        }
        if !is_linked(&record).map_err(|it| at(&path, it))? {
            return Ok(false);
        }
        let directory = self.root.join(name);
        let gone = self.root.join(format!("{GONE}{}", uuid::Uuid::now_v7()));
        match fs::rename(&directory, &gone) {
            // A step, or a person, may have removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(|it| at(&directory, it))?,
        }
        fs::remove_file(&path).map_err(|it| at(&path, it))?;
        drop(record);
        match remove_tree(&gone) {
            // Another process that sweeps may have helped.
            Err(_) if !gone.exists() => Ok(true),
            other => other.map(|()| true),
        }
    }
}

/// What is known of a cache.
struct Entry {
    name: String,
    last_use: SystemTime,
    bytes: u64,
}

/// Opens a record, made where there is none.
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Writes a record; that it does sets the time of the last use.
fn note(mut record: &File, text: &str) -> io::Result<()> {
    record.set_len(0)?;
    record.rewind()?;
    record.write_all(text.as_bytes())?;
    record.set_modified(SystemTime::now())
}

fn is_linked(file: &File) -> io::Result<bool> {
    Ok(rustix::fs::fstat(file)?.st_nlink > 0)
}

/// How many bytes the files of a tree have, as far as it can be looked at.
fn size_of(root: &Path) -> u64 {
    let mut bytes = 0u64;
    let mut todo = vec![root.to_path_buf()];
    while let Some(path) = todo.pop() {
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            bytes = bytes.saturating_add(meta.len());
            if meta.is_dir() {
                todo.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A cache of three keys with 1000 bytes each, `a` used the longest time ago.
    fn three(root: &Path) -> Cache {
        let cache = Cache::new(root).with_limit_bytes(10_000);
        for (age, key) in [(300, "a"), (200, "b"), (100, "c")] {
            fill(&cache, key, 1000);
            let record = File::options().write(true).open(cache.record_of(key)).unwrap();
            record.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        cache
    }

    fn fill(cache: &Cache, key: &str, bytes: usize) {
        let it = cache.take(key).unwrap();
        fs::write(it.directory().join("file"), vec![b'x'; bytes]).unwrap();
        cache.release([it]).unwrap();
    }

    fn left(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root).unwrap().map(|it| it.unwrap().file_name());
        let mut out: Vec<_> = entries.map(|it| it.into_string().unwrap()).collect();
        out.sort();
        out
    }

    #[test]
    fn the_least_recently_used_goes_first_and_only_as_many_as_must() {
        let dir = tempfile::tempdir().unwrap();
        let cache = three(dir.path());
        cache.release([]).unwrap();
        assert_eq!(left(dir.path()), [".a", ".b", ".c", "a", "b", "c"], "the bound holds");
        let cache = cache.with_limit_bytes(2500);
        // A use without a change makes `a` the newest.
        cache.release([cache.take("a").unwrap()]).unwrap();
        assert_eq!(left(dir.path()), [".a", ".c", "a", "c"]);
        fill(&cache, "d", 2000);
        assert_eq!(left(dir.path()), [".d", "d"]);
        fill(&cache, "e", 3000);
        assert_eq!(left(dir.path()), [""; 0], "a bound is a bound");
    }

    #[test]
    fn a_cache_in_use_stays_and_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let cache = three(dir.path()).with_limit_bytes(1500);
        let used = cache.take("a").unwrap();
        fs::write(used.directory().join("more"), vec![b'x'; 400]).unwrap();
        cache.release([cache.take("b").unwrap()]).unwrap();
        assert_eq!(left(dir.path()), [".a", "a"]);
        assert!(used.directory().join("more").exists());
        drop(used);
        cache.with_limit_bytes(0).release([]).unwrap();
        assert_eq!(left(dir.path()), [""; 0]);
    }

    #[test]
    fn what_a_death_or_an_older_program_left_is_measured_and_swept() {
        let dir = tempfile::tempdir().unwrap();
        let cache = three(dir.path());
        // Without a record.
        fs::create_dir(dir.path().join("old")).unwrap();
        fs::write(dir.path().join("old/file"), vec![b'x'; 4000]).unwrap();
        // In use when the process died: the record says nothing.
        let died = cache.take("died").unwrap();
        fs::write(died.directory().join("file"), vec![b'x'; 4000]).unwrap();
        drop(died);
        // Half removed.
        fs::create_dir_all(dir.path().join(format!("{GONE}1/deep"))).unwrap();
        cache.release([]).unwrap();
        assert_eq!(left(dir.path()), [".b", ".c", ".died", "b", "c", "died", "old"]);
        cache.with_limit_bytes(0).release([]).unwrap();
        assert_eq!(left(dir.path()), [""; 0]);
    }

    #[test]
    fn a_directory_that_a_step_removed_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let cache = three(dir.path()).with_limit_bytes(0);
        let it = cache.take("a").unwrap();
        fs::remove_dir_all(it.directory()).unwrap();
        cache.release([it]).unwrap();
        assert!(!left(dir.path()).contains(&"a".to_owned()));
        assert!(cache.remove("a").unwrap());
        assert_eq!(left(dir.path()), [""; 0]);
    }

    #[test]
    fn taking_and_removing_at_once_never_loses_a_directory_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path()).with_limit_bytes(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let it = cache.take("k").unwrap();
                        fs::write(it.directory().join("file"), "x").unwrap();
                        assert!(it.directory().join("file").exists());
                        cache.release([it]).unwrap();
                    }
                });
            }
        });
        assert_eq!(left(dir.path()), [""; 0]);
    }
}
