//! Finding and reading the files of a pipeline.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pikoci_core::language::suggest::closest;

use super::Stop;

/// More than any pipeline needs; what is larger is some other file.
const LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// What a pipeline looks like, for those who gave an empty one.
const EXAMPLE: &str = r#"  a pipeline looks like this:

  job "test" {
    task "unit" {
      run "shell" { cmd = "make test" }
    }
  }"#;

/// The texts of one pipeline.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Files {
    /// The pipeline's name, from the name of its file or directory.
    pub(crate) name: String,
    /// Where `file(…)` looks.
    pub(crate) directory: Option<PathBuf>,
    /// Names and texts.
    pub(crate) texts: Vec<(String, String)>,
}

/// Reads the pipeline at `path`: a file, all `*.hcl` of a directory, or standard input for `-`.
pub(crate) fn load(path: &Path) -> Result<Files, Stop> {
    if path == Path::new("-") {
        let text = standard_input()?;
        let directory = std::env::current_dir().ok();
        let name = directory.as_deref().and_then(slug_of).unwrap_or_else(|| "pipeline".into());
        return not_empty(
            Files { name, directory, texts: vec![("<stdin>".into(), text)] },
            "standard input",
        );
    }
    let shown = path.display().to_string();
    let found = fs::metadata(path).map_err(|error| cannot_read(path, &error))?;
    if found.is_dir() {
        let paths = hcl_files(path)?;
        if paths.is_empty() {
            return Err(Stop::usage(format!("no `*.hcl` file in directory `{shown}`\n{EXAMPLE}")));
        }
        let mut texts = Vec::new();
        for path in paths {
            texts.push((path.display().to_string(), read_text(&path)?));
        }
        let name = path.canonicalize().ok().as_deref().and_then(slug_of);
        let name = name.unwrap_or_else(|| "pipeline".into());
        return not_empty(
            Files { name, directory: Some(path.into()), texts },
            &format!("`{shown}`"),
        );
    }
    let text = read_text(path)?;
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let name =
        path.file_stem().map(Path::new).and_then(slug_of).unwrap_or_else(|| "pipeline".into());
    let texts = vec![(shown.clone(), text)];
    not_empty(Files { name, directory: Some(directory), texts }, &format!("`{shown}`"))
}

/// The `*.hcl` files in a directory, by name.
pub(crate) fn hcl_files(directory: &Path) -> Result<Vec<PathBuf>, Stop> {
    let entries = fs::read_dir(directory).map_err(|error| cannot_read(directory, &error))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| cannot_read(directory, &error))?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|ext| ext == "hcl") && !hidden && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The text in a file.
pub(crate) fn read_text(path: &Path) -> Result<String, Stop> {
    let shown = path.display();
    let file = fs::File::open(path).map_err(|error| cannot_read(path, &error))?;
    let bytes = read_limited(file).map_err(|error| cannot_read(path, &error))?;
    let bytes = bytes.ok_or_else(|| too_large(&format!("`{shown}`")))?;
    text(bytes, &format!("`{shown}`"))
}

/// The text on standard input.
pub(crate) fn standard_input() -> Result<String, Stop> {
    let bytes = read_limited(io::stdin().lock())
        .map_err(|error| Stop::usage(format!("cannot read standard input: {error}")))?;
    text(bytes.ok_or_else(|| too_large("standard input"))?, "standard input")
}

fn read_limited(source: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(LIMIT_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= LIMIT_BYTES).then_some(bytes))
}

fn too_large(what: &str) -> Stop {
    Stop::usage(format!("{what} is larger than {} MiB: is it a pipeline?", LIMIT_BYTES >> 20))
}

fn text(bytes: Vec<u8>, what: &str) -> Result<String, Stop> {
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let byte = bytes.get(offset).copied().unwrap_or_default();
        let line = bytes.iter().take(offset).filter(|byte| **byte == b'\n').count() + 1;
        let hint = if bytes.contains(&0) { ": it looks like a binary file" } else { "" };
        Stop::usage(format!(
            "{what} is not UTF-8 text: byte 0x{byte:02x} at offset {offset} (line {line}){hint}"
        ))
    })
}

fn not_empty(files: Files, what: &str) -> Result<Files, Stop> {
    let blank = |text: &String| text.trim_start_matches('\u{feff}').trim().is_empty();
    if files.texts.iter().all(|(_, text)| blank(text)) {
        return Err(Stop::usage(format!("{what} is empty\n{EXAMPLE}")));
    }
    Ok(files)
}

fn slug_of(path: &Path) -> Option<String> {
    let slug = pikoci_core::name::slug(&path.file_name()?.to_string_lossy());
    (!slug.is_empty()).then_some(slug)
}

fn cannot_read(path: &Path, error: &io::Error) -> Stop {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => Stop::usage(match similar(path) {
            Some(other) => format!("no such file `{shown}`; did you mean `{}`?", other.display()),
            None => format!("no such file `{shown}`"),
        }),
        io::ErrorKind::PermissionDenied => {
            Stop::usage(format!("cannot read `{shown}`: permission denied"))
        }
        _ => Stop::usage(format!("cannot read `{shown}`: {error}")),
    }
}

/// A file beside `path` that has nearly its name.
fn similar(path: &Path) -> Option<PathBuf> {
    let wanted = path.file_name()?.to_str()?;
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    let mut names: Vec<String> = fs::read_dir(parent.unwrap_or(Path::new(".")))
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".hcl") || Path::new(name).extension().is_none())
        .collect();
    names.sort();
    let name = closest(wanted, names.iter().map(String::as_str))?;
    Some(path.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(path: &Path) -> String {
        let stop = load(path).unwrap_err();
        assert_eq!(stop.exit, crate::exit::Exit::Usage);
        stop.message
    }

    #[test]
    fn files_that_are_no_pipeline_are_refused_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        for (path, says) in [
            (dir.path().to_owned(), "no `*.hcl` file in directory"),
            (file("empty", b""), "is empty"),
            (file("blank", b"\xef\xbb\xbf \n\n"), "is empty"),
            (
                file("elf", b"\x7fELF\x00\xff"),
                "byte 0xff at offset 5 (line 1): it looks like a binary",
            ),
            (file("latin1", b"# \n# caf\xe9"), "byte 0xe9 at offset 8 (line 2)"),
            (dir.path().join("nowhere.hcl"), "no such file"),
        ] {
            let message = message(&path);
            assert!(message.contains(says), "{message}");
        }
        file("pipeline.hcl", b"job \"a\" {}");
        assert!(message(&dir.path().join("pipelin.hcl")).contains("did you mean"));
    }

    #[test]
    fn a_directory_is_all_its_hcl_files_by_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.hcl", "a.hcl", ".hidden.hcl", "c.txt"] {
            fs::write(dir.path().join(name), "# text").unwrap();
        }
        let files = load(dir.path()).unwrap();
        let names: Vec<_> = files.texts.iter().map(|(name, _)| name.rsplit('/').next()).collect();
        assert_eq!(names, [Some("a.hcl"), Some("b.hcl")]);
    }

    #[test]
    fn a_pipeline_is_named_after_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("My App.hcl");
        fs::write(&path, "# text").unwrap();
        let files = load(&path).unwrap();
        assert_eq!(files.name, "my-app");
        assert_eq!(files.directory.as_deref(), Some(dir.path()));
    }
}
