//! Workspaces: a directory of its own for every build, removed at its end.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use pikoci_core::Workspace;
use pikoci_core::name::{BuildId, StepId};

use crate::cache::{Cache, CacheUse};
use crate::files;

/// A build's files in a directory.
///
/// The build has `ROOT/BUILD_ID` to itself: `work` in it is the working
/// directory, `out` holds the files that steps write their `KEY=VALUE` lines
/// to. Directories that outlive builds are in a [`Cache`].
#[derive(Debug)]
pub struct DirWorkspace {
    directory: PathBuf,
    work: PathBuf,
    cache: Option<Cache>,
    /// The caches that the build has had, each in use until the build ends.
    used: Mutex<BTreeMap<String, CacheUse>>,
    /// Output files that nobody wrote to, for the steps to come: most steps
    /// write nothing, and making and removing a file for each takes a good part
    /// of what a short step costs.
    spare: Mutex<Vec<PathBuf>>,
}

impl DirWorkspace {
    /// Makes the directory for a build below `root`; with `cache`, steps get
    /// persistent directories from it.
    ///
    /// # Errors
    /// When it cannot be made; the message names the directory.
    pub fn create(root: &Path, build: BuildId, cache: Option<Cache>) -> io::Result<Self> {
        let directory = Self::directory_of(root, build);
        private_dir(root)?;
        // The build's name is in no way secret, but what it holds may be.
        fs::DirBuilder::new().mode(0o700).create(&directory).map_err(|it| at(&directory, it))?;
        // Symbolic links are resolved once, so that a step's `pwd` is the `WORKDIR` it is told.
        let directory = fs::canonicalize(&directory).map_err(|it| at(&directory, it))?;
        let work = directory.join("work");
        fs::create_dir(&work).map_err(|it| at(&work, it))?;
        Ok(Self { directory, work, cache, used: Mutex::default(), spare: Mutex::default() })
    }

    /// The directory that [`create`](Self::create) makes for a build.
    pub fn directory_of(root: &Path, build: BuildId) -> PathBuf {
        root.join(build.to_string())
    }

    /// Where workspaces are by default: a directory in the system's temporary
    /// one that only this user may enter.
    ///
    /// # Errors
    /// When something else is in its place, such as another user's directory.
    pub fn default_root() -> io::Result<PathBuf> {
        let uid = rustix::process::geteuid().as_raw();
        let root = std::env::temp_dir().join(format!("pikoci-{uid}"));
        private_dir(&root)?;
        let meta = fs::symlink_metadata(&root).map_err(|it| at(&root, it))?;
        // Its name can be guessed: someone else may have made it, to look on.
        if !meta.is_dir() || meta.uid() != uid || meta.mode() & 0o077 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "`{}` is not a directory of this user alone; remove it or set TMPDIR",
                    root.display()
                ),
            ));
        }
        Ok(root)
    }

    /// Where caches are by default: `$XDG_CACHE_HOME/pikoci` or
    /// `~/.cache/pikoci`; `None` where neither is known.
    pub fn default_cache() -> Option<PathBuf> {
        base_dir("XDG_CACHE_HOME", ".cache").map(|base| base.join("pikoci"))
    }

    /// The directory that holds all of the build's files.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Gives back the caches that the build has had and removes old ones where
    /// all together have become too large. To be called once the build has
    /// ended; without, other processes take its caches for used until this is
    /// dropped. Looks at every file of the caches it had, at nothing without any.
    ///
    /// # Errors
    /// When the caches cannot be looked at or one cannot be removed.
    pub fn release_caches(&self) -> io::Result<()> {
        self.take_caches().map_or(Ok(()), UsedCaches::release)
    }

    /// The caches that the build has had since the last time, to be given back
    /// at leisure; `None` where there are none.
    pub(crate) fn take_caches(&self) -> Option<UsedCaches> {
        let cache = self.cache.clone()?;
        let used = std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
        (!used.is_empty()).then_some(UsedCaches { cache, used })
    }

    /// Removes all of the build's files.
    ///
    /// # Errors
    /// When something of it cannot be removed; the rest is.
    pub fn remove(&self) -> io::Result<()> {
        remove_tree(&self.directory)
    }
}

/// Caches that a build has had; in use until they are released or dropped.
#[derive(Debug)]
pub(crate) struct UsedCaches {
    cache: Cache,
    used: BTreeMap<String, CacheUse>,
}

impl UsedCaches {
    /// Gives them back, as [`DirWorkspace::release_caches`] does.
    pub(crate) fn release(self) -> io::Result<()> {
        self.cache.release(self.used.into_values())
    }
}

impl Workspace for DirWorkspace {
    fn root(&self) -> &Path {
        &self.work
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        let path = files::confine(&self.work, path)?;
        match fs::symlink_metadata(&path) {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn directory(&self, path: &str) -> io::Result<PathBuf> {
        let path = files::confine(&self.work, path)?;
        if fs::metadata(&path)?.is_dir() {
            Ok(path)
        } else {
            Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a directory"))
        }
    }

    fn create_output_file(&self, step: &StepId) -> io::Result<PathBuf> {
        if let Some(spare) = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(spare);
        }
        let out = self.directory.join("out");
        // Made with the first file: many builds never need one.
        let path = out.join(file_name(step.as_str()));
        match fs::File::create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&out).map_err(|it| at(&out, it))?;
                fs::File::create(&path).map_err(|it| at(&path, it))?;
            }
            other => drop(other.map_err(|it| at(&path, it))?),
        }
        Ok(path)
    }

    fn take_output_file(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        // A step may put something in its place that would block or lead elsewhere.
        let found = fs::symlink_metadata(path)?;
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file"));
        }
        // What a service's start leaves behind may still write to it.
        let of_service = path.extension().is_some_and(|it| it == "start");
        if found.len() == 0 && !of_service {
            self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_path_buf());
            return Ok(out);
        }
        fs::File::open(path)?.take(limit as u64 + 1).read_to_end(&mut out)?;
        fs::remove_file(path)?;
        Ok(out)
    }

    fn cache_dir(&self, key: &str) -> io::Result<Option<PathBuf>> {
        let Some(cache) = &self.cache else { return Ok(None) };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(it) = used.get(key) {
            return Ok(Some(it.directory().to_path_buf()));
        }
        let it = cache.take(key)?;
        let directory = it.directory().to_path_buf();
        used.insert(key.to_owned(), it);
        Ok(Some(directory))
    }
}

/// A directory of the user's by the XDG rules: `$VARIABLE` where it is an
/// absolute path, else `~/HOME_PART`.
pub(crate) fn base_dir(variable: &str, home_part: &str) -> Option<PathBuf> {
    let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    set.or_else(|| {
        let home = std::env::var_os("HOME").map(PathBuf::from)?;
        home.is_absolute().then(|| home.join(home_part))
    })
}

/// Makes a directory, and those above it, that others cannot enter.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|it| at(path, it))
}

/// Removes a tree, also where directories in it forbid that (module caches do).
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path);
            fs::remove_dir_all(path).map_err(|it| at(path, it))
        }
        Err(error) => Err(at(path, error)),
    }
}

/// Lets the owner into every directory of a tree, as far as that is possible.
fn open_up(root: &Path) {
    let mut todo = vec![root.to_path_buf()];
    while let Some(path) = todo.pop() {
        if !fs::symlink_metadata(&path).is_ok_and(|it| it.is_dir()) {
            continue;
        }
        let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o700));
        todo.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|it| it.path()));
    }
}

/// `text` as the name of one file: no two texts share a name.
pub(crate) fn file_name(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(byte.into()),
            b'.' if !out.is_empty() => out.push('.'),
            other => drop(write!(out, "%{other:02x}")),
        }
    }
    if out.len() > 200 {
        use sha2::{Digest, Sha256};
        out.truncate(100);
        out.push('-');
        out.push_str(&files::hex(&Sha256::digest(text.as_bytes())));
    }
    if out.is_empty() { "%".into() } else { out }
}

pub(crate) fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(root: &Path) -> DirWorkspace {
        let cache = Cache::new(root.join("cache"));
        DirWorkspace::create(root, BuildId(uuid::Uuid::now_v7()), Some(cache)).unwrap()
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let it = workspace(dir.path());
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(it.root().join("in")).unwrap();
        fs::write(it.root().join("in/file"), "").unwrap();
        std::os::unix::fs::symlink(outside.path(), it.root().join("out")).unwrap();
        std::os::unix::fs::symlink("/nonexistent", it.root().join("dangling")).unwrap();
        std::os::unix::fs::symlink("in", it.root().join("link")).unwrap();
        std::os::unix::fs::symlink("loop", it.root().join("loop")).unwrap();
        for path in [
            "..",
            "in/../..",
            "/",
            "/etc/passwd",
            "out",
            "out/x",
            "in/../out",
            "dangling",
            "dangling/x",
            "a\0b",
        ] {
            let kind = it.exists(path).unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::InvalidInput, "{path}");
            let kind = it.directory(path).unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::InvalidInput, "{path}");
        }
        assert!(it.exists("loop").is_err());
        for (path, expected) in [
            ("in", true),
            ("./in/", true),
            ("in/file", true),
            ("link/file", true),
            ("", true),
            ("nothing", false),
            ("in/nothing/more", false),
            ("in/file/below", false),
        ] {
            assert_eq!(it.exists(path).unwrap(), expected, "{path}");
        }
        assert_eq!(it.directory("in").unwrap(), it.root().join("in"));
        assert_eq!(it.directory("in/file").unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert_eq!(it.directory("nothing").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn output_files_stand_outside_of_the_working_directory_and_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let it = workspace(dir.path());
        let path = it.create_output_file(&StepId::new("2.on_failure.0")).unwrap();
        assert!(!path.starts_with(it.root()), "{path:?}");
        fs::write(&path, "0123456789").unwrap();
        assert_eq!(it.take_output_file(&path, 4).unwrap(), b"01234");
        assert!(!path.exists());
        // One that was not used serves again, unless a service may still hold it.
        let unused = it.create_output_file(&StepId::new("3")).unwrap();
        assert_eq!(it.take_output_file(&unused, 4).unwrap(), b"");
        let second = it.create_output_file(&StepId::new("4")).unwrap();
        assert_eq!(second, unused);
        let of_service = it.create_output_file(&StepId::new("5.start")).unwrap();
        assert_ne!(of_service, second);
        assert_eq!(it.take_output_file(&of_service, 4).unwrap(), b"");
        assert_ne!(it.create_output_file(&StepId::new("6")).unwrap(), of_service);
        let path = it.create_output_file(&StepId::new("2")).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_eq!(it.take_output_file(&path, 4).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_workspace_with_closed_directories_is_removed_whole() {
        let dir = tempfile::tempdir().unwrap();
        let it = workspace(dir.path());
        let closed = it.root().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("file"), "").unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
        it.remove().unwrap();
        assert!(!it.path().exists());
        it.remove().expect("a second time is fine");
    }

    #[test]
    fn caches_outlive_the_build_and_do_not_mix() {
        let dir = tempfile::tempdir().unwrap();
        let first = workspace(dir.path());
        let a = first.cache_dir("main/app/git.app").unwrap().unwrap();
        fs::write(a.join("kept"), "").unwrap();
        first.remove().unwrap();
        let second = workspace(dir.path());
        assert_eq!(second.cache_dir("main/app/git.app").unwrap().unwrap(), a);
        assert!(a.join("kept").exists());
        for key in ["main/app/git_app", "main%2fapp/git.app", "..", ".", "", &"x".repeat(500)] {
            let other = second.cache_dir(key).unwrap().unwrap();
            assert_ne!(other, a, "{key}");
            assert_eq!(other.parent(), a.parent(), "{key}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = DirWorkspace::create(&file, BuildId(uuid::Uuid::now_v7()), None).unwrap_err();
        assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    }
}
