//! A lock on files of a store, which tells who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::error::{OpenError, OpenErrorKind};

/// How long to wait for a lock that this very process holds: a store that was
/// dropped lets go of it a moment later.
const OWN_PATIENCE: Duration = Duration::from_secs(3);

/// How often to look whether it was let go.
const LOOK: Duration = Duration::from_millis(10);

/// A file that is locked as long as this lives, and no longer than the process.
#[derive(Debug)]
pub(crate) struct HolderLock {
    /// Locked by the system: let go when it is closed, also by a kill.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "it is held, not used"))]
    file: File,
    /// Whether it was noted before that a store is here.
    #[cfg(feature = "sqlite")]
    known: bool,
}

/// What is noted in the second line when a store is known to be here.
const KNOWN: &str = "a store is here";

/// What a lock file begins with.
const START: &[u8] = b"pid ";

/// The most that is read of it.
const MAX_SIZE_BYTES: u64 = 512;

impl HolderLock {
    /// Locks `path`, which is made if it is not there, for the store at `store`.
    /// Waits, in the thread, if this process holds it.
    ///
    /// # Errors
    /// [`Locked`](OpenErrorKind::Locked) with the holder's name when it is
    /// held; [`Format`](OpenErrorKind::Format) when the file at `path` is of
    /// something else, which is left as it is.
    pub(crate) fn take(path: &Path, store: &Path) -> Result<Self, OpenError> {
        let failed = |error: io::Error| {
            let message = format!("cannot lock `{}`", path.display());
            OpenError::new(io_kind(&error), message).caused_by(error)
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        if !is_ours(&mut file).map_err(failed)? {
            return Err(not_ours(path, store));
        }
        let patience = Instant::now() + OWN_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            let holder = Holder::read(&mut file).map_err(failed)?;
            let own = holder.pid == Some(std::process::id());
            if !own || Instant::now() >= patience {
                return Err(locked(store, path, &holder, own));
            }
            std::thread::sleep(LOOK);
        }
        let known = Holder::read(&mut file).map_err(failed)?.known;
        Holder::write(&mut file, known).map_err(failed)?;
        Ok(Self {
            file,
            #[cfg(feature = "sqlite")]
            known,
        })
    }

    /// Whether it was noted that a store is here.
    #[cfg(feature = "sqlite")]
    pub(crate) fn is_known(&self) -> bool {
        self.known
    }

    /// Notes that a store is here, so that a file that is empty later is one
    /// that lost all.
    #[cfg(feature = "sqlite")]
    pub(crate) fn note(&mut self) -> io::Result<()> {
        Holder::write(&mut self.file, true)
    }
}

/// Whether it is a lock of a store: it is new, begins like one, or is what a
/// loss of power left of one.
fn is_ours(file: &mut File) -> io::Result<bool> {
    let bytes = Holder::bytes(file)?;
    Ok(bytes.starts_with(START) || START.starts_with(&bytes) || bytes.iter().all(|byte| *byte == 0))
}

fn not_ours(path: &Path, store: &Path) -> OpenError {
    let message = format!(
        "`{}`, where the lock of `{}` would be, is a file of something else; choose another name",
        path.display(),
        store.display(),
    );
    OpenError::new(OpenErrorKind::Format, message)
}

fn locked(store: &Path, path: &Path, holder: &Holder, own: bool) -> OpenError {
    let who = if own { "this process" } else { "another process" };
    let mut message = format!("`{}` is in use by {who}", store.display());
    if !holder.text.is_empty() {
        message = format!("{message}: {}", holder.text);
    }
    message = format!("{message}; one process at a time can open it (lock: `{}`)", path.display());
    OpenError::new(OpenErrorKind::Locked, message)
}

/// What the lock file says.
struct Holder {
    pid: Option<u32>,
    text: String,
    known: bool,
}

impl Holder {
    fn bytes(file: &mut File) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.take(MAX_SIZE_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read(file: &mut File) -> io::Result<Self> {
        let bytes = Self::bytes(file)?;
        let text = String::from_utf8_lossy(&bytes);
        let (text, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let pid = text.strip_prefix("pid ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        Ok(Self { pid, text: text.to_owned(), known: rest.contains(KNOWN) })
    }

    fn write(file: &mut File, known: bool) -> io::Result<()> {
        let program = std::env::current_exe().ok();
        let program = program.as_deref().and_then(Path::file_name).unwrap_or_default();
        let system = rustix::system::uname();
        let mut text = format!(
            "pid {} (`{}`) on host `{}` since {:.0}\n",
            std::process::id(),
            program.to_string_lossy(),
            system.nodename().to_string_lossy(),
            jiff::Timestamp::now(),
        );
        if known {
            text = format!("{text}{KNOWN}\n");
        }
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(text.as_bytes())
    }
}

/// What an error of the file system means for who opens a store.
pub(crate) fn io_kind(error: &io::Error) -> OpenErrorKind {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            OpenErrorKind::Refused
        }
        _ => OpenErrorKind::Unavailable,
    }
}

/// Where `path` stands after a name was added to it: `a/b` and `.lock` make `a/b.lock`.
#[cfg(feature = "sqlite")]
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
