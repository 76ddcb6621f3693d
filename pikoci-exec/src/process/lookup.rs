//! Finding the program of a command, and saying why it cannot be started.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use pikoci_core::TypeError;
use rustix::io::Errno;
use thiserror::Error;

/// Where programs are looked for when the command has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Why a command could not be run at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// No directory of `PATH` has the program.
    #[error(
        "program `{program}` not found in PATH `{path}`: install it, or give its path with a `/` in it"
    )]
    NotFound {
        /// The name looked for.
        program: String,
        /// The `PATH` of the command.
        path: String,
    },
    /// A program given by its path does not exist.
    #[error("program `{}` does not exist", file.display())]
    Missing {
        /// The path, made absolute.
        file: PathBuf,
    },
    /// The file is there but may not be executed.
    #[error("`{}` is not executable: `chmod +x` it, or run it with its interpreter", file.display())]
    NotExecutable {
        /// The file.
        file: PathBuf,
    },
    /// What the program's path names is a directory or a device.
    #[error("`{}` is not a file that can be run", file.display())]
    NotAFile {
        /// The path.
        file: PathBuf,
    },
    /// The file's `#!` line names a program that is not there.
    #[error("`{}` cannot be run: its first line asks for `{interpreter}`, which does not exist", file.display())]
    Interpreter {
        /// The script.
        file: PathBuf,
        /// What its first line names.
        interpreter: String,
    },
    /// The file is executable but neither a program of this machine nor a script with a `#!` line.
    #[error("`{}` is no program for this machine and has no `#!` line: run it with its interpreter", file.display())]
    NotAProgram {
        /// The file.
        file: PathBuf,
    },
    /// The working directory is missing or no directory.
    #[error("working directory `{}` {what}", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Arguments and environment are more than the system takes.
    #[error(
        "arguments and environment of `{program}` are too long for the system ({bytes} bytes): pass large values by a file"
    )]
    TooLong {
        /// The program.
        program: String,
        /// Their length in bytes.
        bytes: usize,
    },
    /// An argument or variable holds a zero byte, which no program can receive.
    #[error("{what} holds a zero byte, which no program can receive")]
    ZeroByte {
        /// Which one: `argument 2`, `variable X`.
        what: String,
    },
    /// The system refused for another reason.
    #[error("program `{program}` could not be started")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl From<ProcessError> for TypeError {
    fn from(error: ProcessError) -> Self {
        let message = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self::errored(message)
    }
}

/// The absolute path of `program` for a command that runs in `dir` with `path`
/// as its `PATH`. A name with a `/` in it is relative to `dir`.
///
/// # Errors
/// When there is no such program or it is not executable.
pub fn find_program(
    program: &OsStr,
    dir: &Path,
    path: Option<&OsStr>,
) -> Result<PathBuf, ProcessError> {
    if program.is_empty() {
        return Err(ProcessError::NotFound {
            program: String::new(),
            path: path.unwrap_or_default().to_string_lossy().into_owned(),
        });
    }
    if program.as_bytes().contains(&b'/') {
        let file = dir.join(program);
        return match look(&file) {
            Look::Fine => Ok(file),
            Look::Absent => Err(ProcessError::Missing { file }),
            Look::NotExecutable => Err(ProcessError::NotExecutable { file }),
            Look::NotAFile => Err(ProcessError::NotAFile { file }),
        };
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut refused = None;
    for entry in path.as_bytes().split(|&byte| byte == b':') {
        let file = dir.join(OsStr::from_bytes(entry)).join(program);
        match look(&file) {
            Look::Fine => return Ok(file),
            Look::NotExecutable if refused.is_none() => refused = Some(file),
            _ => {}
        }
    }
    Err(match refused {
        Some(file) => ProcessError::NotExecutable { file },
        None => ProcessError::NotFound {
            program: program.to_string_lossy().into_owned(),
            path: path.to_string_lossy().into_owned(),
        },
    })
}

enum Look {
    Fine,
    Absent,
    NotExecutable,
    NotAFile,
}

fn look(file: &Path) -> Look {
    let Ok(metadata) = file.metadata() else {
        return Look::Absent;
    };
    if !metadata.is_file() {
        Look::NotAFile
    } else if rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok() {
        Look::Fine
    } else {
        Look::NotExecutable
    }
}

/// What it means that the system refused to start `file` in `dir`.
pub(super) fn explain(
    error: io::Error,
    file: &Path,
    dir: &Path,
    bytes: impl FnOnce() -> usize,
) -> ProcessError {
    let program = file.display().to_string();
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::TOOBIG) => {
            return ProcessError::TooLong { program, bytes: bytes() };
        }
        Some(Errno::NOEXEC) => return ProcessError::NotAProgram { file: file.into() },
        _ => {}
    }
    if let Some(error) = directory(dir) {
        return error;
    }
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT | Errno::ACCESS | Errno::NOTDIR) => {
            if let Some(interpreter) = interpreter(file) {
                let missing = Path::new(&interpreter).metadata().is_err();
                if missing {
                    return ProcessError::Interpreter {
                        file: file.into(),
                        interpreter: interpreter.to_string_lossy().into_owned(),
                    };
                }
            }
            ProcessError::Start { program, source: error }
        }
        _ => ProcessError::Start { program, source: error },
    }
}

/// What is wrong with a working directory, if anything is.
pub(super) fn directory(dir: &Path) -> Option<ProcessError> {
    let what = match dir.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            if rustix::fs::access(dir, rustix::fs::Access::EXEC_OK).is_ok() {
                return None;
            }
            "may not be entered"
        }
        Ok(_) => "is not a directory",
        Err(error) if error.kind() == io::ErrorKind::NotFound => "does not exist",
        Err(_) => "cannot be read",
    };
    Some(ProcessError::Directory { dir: dir.into(), what })
}

/// The program that a script's `#!` line names.
fn interpreter(file: &Path) -> Option<OsString> {
    use std::io::Read as _;
    let mut head = Vec::new();
    std::fs::File::open(file).ok()?.take(256).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?;
    let line = line.split(|&byte| byte == b'\n').next()?.trim_ascii();
    let name = line.split(|byte| byte.is_ascii_whitespace() && *byte != b'\r').next()?;
    Some(OsString::from_vec(name.to_vec()))
}
