//! Scripts on their way to a shell: by a private file, because everyone on the
//! machine can read the arguments of a program and a script may hold a secret.

use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use pikoci_core::{StepContext, TypeError};
use tempfile::TempDir;

/// A directory that only this user can enter; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct PrivateDir(TempDir);

impl PrivateDir {
    /// Makes one beside `$PIKOCI_OUTPUT`, where a build's private files are,
    /// so that they are removed with it even after a crash; else among the
    /// temporary files of the machine.
    pub(super) fn new(context: &StepContext) -> Result<Self, TypeError> {
        let parent = context
            .env
            .0
            .get("PIKOCI_OUTPUT")
            .and_then(|file| Path::new(file).parent())
            .filter(|parent| parent.is_absolute() && parent.is_dir())
            .map_or_else(std::env::temp_dir, Path::to_owned);
        // Made with mode 0700.
        match tempfile::Builder::new().prefix("step-").tempdir_in(&parent) {
            Ok(dir) => Ok(Self(dir)),
            Err(error) => Err(TypeError::errored(format!(
                "cannot make a private directory in `{}`: {error}",
                parent.display()
            ))),
        }
    }

    /// Writes a new file with that mode and answers its path.
    pub(super) fn write(
        &self,
        name: &str,
        mode: u32,
        content: &[u8],
    ) -> Result<PathBuf, TypeError> {
        use io::Write as _;
        let path = self.0.path().join(name);
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .and_then(|mut file| file.write_all(content))
            .map_err(|error| {
                TypeError::errored(format!("cannot write `{}`: {error}", path.display()))
            })?;
        Ok(path)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}
