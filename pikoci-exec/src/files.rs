//! Trees of files: their digest, copies of them, and paths that must not lead out.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// How much of a file is in memory at once, in bytes.
const CHUNK_BYTES: usize = 128 * 1024;

/// How the names of things begin that are not yet, or no longer, in their place.
const STAGED_PREFIX: &str = ".pikoci-";

/// Why files could not be looked at or copied.
#[derive(Debug, Error)]
pub(crate) enum FilesError {
    /// Something about one path.
    #[error("`{path}`: {error}", path = path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        error: io::Error,
    },
    /// A pattern that is none.
    #[error("`{pattern}` is no pattern: {message}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// What is there must stay as it is.
    #[error("{0}")]
    Refused(String),
    /// The token fired.
    #[error("cancelled")]
    Cancelled,
}

/// Says which path an error is about.
fn at(path: &Path) -> impl FnOnce(io::Error) -> FilesError + use<> {
    let path = path.to_path_buf();
    move |error| FilesError::Io { path, error }
}

/// The absolute path of `path` below `root`, which need not exist.
///
/// # Errors
/// With [`io::ErrorKind::InvalidInput`] when it is absolute, has `..` in it, or
/// leads out of `root` by a symbolic link on the way.
pub(crate) fn inside(root: &Path, path: &str) -> Result<PathBuf, FilesError> {
    confine(root, path).map_err(at(Path::new(path)))
}

/// The same as [`inside`] for those who want an [`io::Error`].
pub(crate) fn confine(root: &Path, path: &str) -> io::Result<PathBuf> {
    let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why.to_owned()));
    if path.contains('\0') {
        return refuse("a path cannot hold a NUL");
    }
    let mut out = root.to_path_buf();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => out.push(part),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return refuse("only paths below the working directory are allowed");
            }
        }
    }
    // A link on the way may lead anywhere: look at where the part that exists really is.
    let real_root = fs::canonicalize(root)?;
    let mut existing = out.as_path();
    loop {
        match fs::canonicalize(existing) {
            Ok(real) if real.starts_with(&real_root) => return Ok(out),
            Ok(_) => return refuse("a symbolic link leads out of the working directory"),
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    || error.kind() == io::ErrorKind::NotADirectory =>
            {
                // A dangling link could be made to point outside by writing through it.
                if fs::symlink_metadata(existing).is_ok_and(|it| it.is_symlink()) {
                    return refuse("a symbolic link leads to nothing");
                }
                match existing.parent() {
                    Some(parent) if existing != root => existing = parent,
                    _ => return Err(error),
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// A matcher of `patterns`, written as in a `.gitignore` at `root`.
pub(crate) fn ignored(root: &Path, patterns: &[String]) -> Result<Gitignore, FilesError> {
    let mut builder = GitignoreBuilder::new(root);
    let wrong = |pattern: &str, error: ignore::Error| FilesError::Pattern {
        pattern: pattern.to_owned(),
        message: error.to_string(),
    };
    for pattern in patterns {
        builder.add_line(None, pattern).map_err(|error| wrong(pattern, error))?;
    }
    builder.build().map_err(|error| wrong(&patterns.join("`, `"), error))
}

/// The SHA-256 of the file or tree at `path`, in hex: over relative names in
/// order, contents, targets of links and executable bits.
pub(crate) fn digest(
    path: &Path,
    ignored: &Gitignore,
    cancel: &CancellationToken,
) -> Result<String, FilesError> {
    walk(path, None, ignored, cancel)
}

/// Copies the file or tree at `source` to `target` and answers what [`digest`]
/// would of it. Links are copied as links. What is neither file, directory nor
/// link is left out.
pub(crate) fn copy(
    source: &Path,
    target: &Path,
    ignored: &Gitignore,
    cancel: &CancellationToken,
) -> Result<String, FilesError> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(at(parent))?;
    }
    walk(source, Some((target, Appear::Direct)), ignored, cancel)
}

/// How files come into being in a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Appear {
    /// Under their own name, which is fine where nobody looks meanwhile.
    Direct,
    /// Under another name until they are whole; what is in their place stays until then.
    Atomic,
}

/// Goes through the tree in a stable order, takes its digest and copies it to
/// `target` where there is one. What else is in the target stays as it is.
fn walk(
    root: &Path,
    target: Option<(&Path, Appear)>,
    ignored: &Gitignore,
    cancel: &CancellationToken,
) -> Result<String, FilesError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    // Each entry is a path relative to `root`; the empty one is the root itself.
    let mut todo = vec![PathBuf::new()];
    // Modes of copied directories are set last: one may forbid writing into it.
    let mut modes = Vec::new();
    while let Some(relative) = todo.pop() {
        if cancel.is_cancelled() {
            return Err(FilesError::Cancelled);
        }
        let is_root = relative.as_os_str().is_empty();
        let source = if is_root { root.to_path_buf() } else { root.join(&relative) };
        let copy = target.map(|(target, appear)| {
            (if is_root { target.to_path_buf() } else { target.join(&relative) }, appear)
        });
        // The root may be given by way of a link; nothing below it is followed.
        let meta = if is_root { fs::metadata(&source) } else { fs::symlink_metadata(&source) };
        let meta = meta.map_err(at(&source))?;
        if !is_root && ignored.matched(&relative, meta.is_dir()).is_ignore() {
            continue;
        }
        let mode = meta.permissions().mode();
        let executable = if mode & 0o111 == 0 { "" } else { "x" };
        if meta.is_dir() {
            note(&mut hash, "dir", &relative);
            if let Some((copy, _)) = &copy {
                match fs::create_dir(copy) {
                    Ok(()) => modes.push((copy.clone(), mode)),
                    // Only the root may be there by way of a link.
                    Err(error)
                        if error.kind() == io::ErrorKind::AlreadyExists
                            && (kind(copy) == Some(Kind::Directory)
                                || (is_root && copy.is_dir())) => {}
                    Err(error) => return Err(at(copy)(error)),
                }
            }
            let mut names = BTreeSet::<OsString>::new();
            for entry in fs::read_dir(&source).map_err(at(&source))? {
                names.insert(entry.map_err(at(&source))?.file_name());
            }
            todo.extend(names.into_iter().rev().map(|name| relative.join(name)));
        } else if meta.is_symlink() {
            let link = fs::read_link(&source).map_err(at(&source))?;
            note(&mut hash, "link", &relative);
            note(&mut hash, "to", &link);
            if let Some((copy, appear)) = &copy {
                let make = |path: &Path| std::os::unix::fs::symlink(&link, path);
                match appear {
                    Appear::Direct => {
                        remove_file(copy)?;
                        make(copy).map_err(at(copy))?;
                    }
                    Appear::Atomic => persist(staged(copy, make)?, copy)?,
                }
            }
        } else if meta.is_file() {
            note(&mut hash, "file", &relative);
            note(&mut hash, executable, Path::new(""));
            let mut from = File::open(&source).map_err(at(&source))?;
            let mut to = match &copy {
                None => None,
                Some((copy, Appear::Direct)) => {
                    remove_file(copy)?;
                    Some((File::create_new(copy).map_err(at(copy))?, copy, None))
                }
                Some((copy, Appear::Atomic)) => {
                    let (file, path) = staged(copy, |path| File::create_new(path))?.into_parts();
                    Some((file, copy, Some(path)))
                }
            };
            let mut length = 0u64;
            loop {
                let count = match from.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(at(&source)(error)),
                };
                let chunk = buffer.get(..count).unwrap_or_default();
                hash.update(chunk);
                if let Some((to, copy, _)) = &mut to {
                    to.write_all(chunk).map_err(at(copy))?;
                }
                length += count as u64;
                if cancel.is_cancelled() {
                    return Err(FilesError::Cancelled);
                }
            }
            hash.update(length.to_be_bytes());
            if let Some((to, copy, staged)) = to {
                to.set_permissions(fs::Permissions::from_mode(mode & 0o777)).map_err(at(copy))?;
                if let Some(staged) = staged {
                    staged.persist(copy).map_err(|error| at(copy)(error.error))?;
                }
            }
        }
    }
    for (path, mode) in modes.into_iter().rev() {
        // What the build's own user cannot enter could not be removed with the workspace either.
        let mode = fs::Permissions::from_mode((mode & 0o777) | 0o700);
        fs::set_permissions(&path, mode).map_err(at(&path))?;
    }
    Ok(hex(&hash.finalize()))
}

/// Makes something beside `path` that is to take its place.
fn staged<T>(
    path: &Path,
    make: impl FnMut(&Path) -> io::Result<T>,
) -> Result<tempfile::NamedTempFile<T>, FilesError> {
    let parent = path.parent().unwrap_or(path);
    tempfile::Builder::new().prefix(STAGED_PREFIX).make_in(parent, make).map_err(at(path))
}

/// Lets it take the place.
fn persist<T>(staged: tempfile::NamedTempFile<T>, path: &Path) -> Result<(), FilesError> {
    staged.into_temp_path().persist(path).map_err(|error| at(path)(error.error))
}

/// What is at a path, without following a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    Link,
    /// A file, or what is like one to those who put something in its place.
    File,
}

/// What is at `path`, if anything.
fn kind(path: &Path) -> Option<Kind> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some(match () {
        () if meta.is_dir() => Kind::Directory,
        () if meta.is_symlink() => Kind::Link,
        () => Kind::File,
    })
}

/// Removes what is in the way of a copy, from an attempt before this one.
fn remove_file(path: &Path) -> Result<(), FilesError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(at(path)),
    }
}

/// Adds a fact to a digest so that no two trees can look the same.
fn note(hash: &mut Sha256, kind: &str, path: &Path) {
    let bytes = path.as_os_str().as_bytes();
    hash.update(kind.as_bytes());
    hash.update([0]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

mod put;

pub(crate) use put::put;

#[cfg(test)]
mod tests;
