//! `pikoci pipeline fmt`: the one way to lay out a pipeline's text.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pikoci_core::language::format::format;
use pikoci_core::language::source::SourceMap;

use super::diagnostics::tell;
use super::load::{hcl_files, read_text, standard_input};
use super::{Stop, print};
use crate::cli::Fmt;
use crate::exit::Exit;

/// Formats files in place, or standard input to standard output.
pub(crate) fn fmt(arguments: &Fmt) -> Result<Exit, Stop> {
    let named = arguments.pipelines.paths();
    let only_stdin = matches!(named.as_slice(), [path] if path == Path::new("-"));
    if arguments.stdin || only_stdin {
        let text = standard_input()?;
        let formatted = formatted("<stdin>", &text).ok_or_else(|| Stop::silent(Exit::Usage))?;
        if arguments.check {
            return Ok(if formatted == text { Exit::Success } else { Exit::Failed });
        }
        print(&formatted)?;
        return Ok(Exit::Success);
    }
    let mut files = Vec::new();
    for path in if named.is_empty() { vec![PathBuf::from(".")] } else { named } {
        if path.is_dir() {
            files.extend(hcl_files(&path)?);
        } else {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Stop::usage("no `*.hcl` file in this directory"));
    }
    let mut broken = false;
    let mut changed = false;
    for path in files {
        let text = read_text(&path)?;
        let name = path.display().to_string();
        let Some(formatted) = formatted(&name, &text) else {
            broken = true;
            continue;
        };
        if formatted == text {
            continue;
        }
        changed = true;
        if !arguments.check {
            replace(&path, &formatted)
                .map_err(|error| Stop::errored(format!("cannot write `{name}`: {error}")))?;
        }
        print(&format!("{}\n", name.strip_prefix("./").unwrap_or(&name)))?;
    }
    Ok(match (broken, changed && arguments.check) {
        (true, _) => Exit::Usage,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Success,
    })
}

/// The text as it should be; `None`, and told, when it cannot be read.
fn formatted(name: &str, text: &str) -> Option<String> {
    let mut sources = SourceMap::new();
    let file = sources.add(name, text);
    match format(file, text) {
        Ok(formatted) => Some(formatted),
        Err(diagnostics) => {
            tell(&diagnostics, &sources);
            None
        }
    }
}

/// Puts `text` in the place of what is in the file at `path`: all of it or
/// nothing, whatever happens meanwhile. Links and permissions stay.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".pikoci-fmt-").tempfile_in(directory)?;
    new.write_all(text.as_bytes())?;
    new.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
    new.as_file().sync_all()?;
    new.persist(&path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn replacing_keeps_permissions_and_links() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("a.hcl"), dir.path().join("link.hcl"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        replace(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
