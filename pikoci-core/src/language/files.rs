//! The files a pipeline may read: those in its own directory, and no others.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use regex::{Regex, RegexBuilder};
use thiserror::Error;

use super::functions::{Budget, BudgetExceeded};

/// How large a file may be, in bytes: 8 MiB.
pub const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;
/// How many files and directories one `fileset` may look at.
pub const MAX_ENTRIES: usize = 100_000;
/// How long a pattern of `fileset` may be, in bytes.
const MAX_PATTERN_BYTES: usize = 4096;

/// Why a file cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The path begins at the root of the file system.
    #[error("`{path}` is an absolute path: write it relative to the pipeline's directory")]
    Absolute {
        /// The path as written.
        path: String,
    },
    /// The path, or a link on its way, leads out of the directory.
    #[error("`{path}` leads out of the pipeline's directory: only files inside it can be read")]
    Outside {
        /// The path as written.
        path: String,
    },
    /// There is no such file.
    #[error("there is no file `{path}` in the pipeline's directory")]
    Missing {
        /// The path as written.
        path: String,
    },
    /// A directory, device or pipe.
    #[error("`{path}` is {kind}, not a file")]
    NotAFile {
        /// The path as written.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// More than [`MAX_FILE_BYTES`].
    #[error("`{path}` is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge {
        /// The path as written.
        path: String,
    },
    /// Something other than UTF-8 text.
    #[error("`{path}` is not UTF-8 text: byte {offset} begins no character")]
    NotText {
        /// The path as written.
        path: String,
        /// The first byte that is wrong, from 0.
        offset: usize,
    },
    /// A pattern of `fileset` that cannot be read.
    #[error("the pattern `{pattern}` cannot be read: {reason}")]
    Pattern {
        /// The pattern as written.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More than [`MAX_ENTRIES`] on the way.
    #[error("`{path}` holds more than {MAX_ENTRIES} files: begin the pattern with a directory")]
    TooMany {
        /// The directory that was searched.
        path: String,
    },
    /// The system refused.
    #[error("`{path}` cannot be read")]
    Io {
        /// The path as written.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The pipeline asks for too much.
    #[error(transparent)]
    Budget(#[from] BudgetExceeded),
}

/// The files of a pipeline's directory. Every path is relative to it; none leads out,
/// neither by `..` nor by a link.
#[derive(Debug, Clone)]
pub struct Files {
    root: PathBuf,
}

impl Files {
    /// The files in `directory`.
    ///
    /// # Errors
    /// When it does not exist or is no directory.
    pub fn new(directory: &Path) -> Result<Self, FilesError> {
        let path = || directory.display().to_string();
        let root = fs::canonicalize(directory)
            .map_err(|source| FilesError::Io { path: path(), source })?;
        if root.is_dir() {
            Ok(Self { root })
        } else {
            Err(FilesError::NotAFile { path: path(), kind: "not a directory" })
        }
    }

    /// The directory, with all links resolved.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The text of a file. Its size is charged to `budget` before it is read.
    ///
    /// # Errors
    /// When there is no such file in the directory, or it is too large or not UTF-8.
    pub fn read_text(&self, path: &str, budget: &Budget) -> Result<String, FilesError> {
        let bytes = self.read(path, budget)?;
        String::from_utf8(bytes).map_err(|error| FilesError::NotText {
            path: path.into(),
            offset: error.utf8_error().valid_up_to(),
        })
    }

    /// The content of a file. Its size is charged to `budget` before it is read.
    ///
    /// # Errors
    /// When there is no such file in the directory, or it is too large.
    pub fn read(&self, path: &str, budget: &Budget) -> Result<Vec<u8>, FilesError> {
        let failed = |source| FilesError::Io { path: path.into(), source };
        let real = self.resolve(path)?.ok_or_else(|| FilesError::Missing { path: path.into() })?;
        // Asked before opening: opening a pipe would wait for its writer.
        let metadata = fs::metadata(&real).map_err(failed)?;
        check_is_file(path, &metadata)?;
        if metadata.len() > MAX_FILE_BYTES {
            return Err(FilesError::TooLarge { path: path.into() });
        }
        let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        budget.charge_bytes(size)?;
        let mut bytes = Vec::with_capacity(size);
        // A file may grow between the look and the reading, or tell no size at all.
        File::open(&real)
            .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
            .map_err(failed)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(FilesError::TooLarge { path: path.into() });
        }
        budget.charge_bytes(bytes.len().saturating_sub(size))?;
        Ok(bytes)
    }

    /// Whether there is a file of that path.
    ///
    /// # Errors
    /// When the path leads out of the directory, or to something that is not a file.
    pub fn exists(&self, path: &str) -> Result<bool, FilesError> {
        let Some(real) = self.resolve(path)? else {
            return Ok(false);
        };
        let metadata =
            fs::metadata(&real).map_err(|source| FilesError::Io { path: path.into(), source })?;
        check_is_file(path, &metadata).map(|()| true)
    }

    /// The files below the directory `path` whose paths relative to it match
    /// `pattern`, in order: `*` is anything without `/`, `**` any number of
    /// directories, `?` one character, `{a,b}` either, `[a-z]` one of them.
    /// Linked directories are not entered. What does not exist matches nothing.
    ///
    /// # Errors
    /// When path or pattern leads out of the directory, the pattern cannot be read, a
    /// directory cannot be listed, or there is too much to look at.
    pub fn fileset(
        &self,
        path: &str,
        pattern: &str,
        budget: &Budget,
    ) -> Result<Vec<String>, FilesError> {
        let pattern = Pattern::new(pattern)?;
        let Some(base) = self.resolve(path)? else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        let mut looked_at = 0;
        // The part before the first wildcard is entered, not searched.
        let Some(start) = self.resolve_below(&base, &pattern.prefix)? else {
            return Ok(found);
        };
        let mut directories = vec![(start, pattern.prefix.clone(), pattern.prefix_segments)];
        while let Some((directory, relative, depth)) = directories.pop() {
            let failed = |source| FilesError::Io { path: relative.clone(), source };
            if !directory.is_dir() {
                continue;
            }
            for entry in fs::read_dir(&directory).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                looked_at += 1;
                budget.charge_steps(10)?;
                if looked_at > MAX_ENTRIES {
                    return Err(FilesError::TooMany { path: path.into() });
                }
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                let mut below = relative.clone();
                if !below.is_empty() {
                    below.push('/');
                }
                below.push_str(name);
                let kind = entry.file_type().map_err(failed)?;
                if kind.is_dir() {
                    if pattern.depth.is_none_or(|limit| depth + 1 < limit) {
                        budget.charge_bytes(below.len() + entry.path().as_os_str().len())?;
                        directories.push((entry.path(), below, depth + 1));
                    }
                } else if pattern.regex.is_match(&below) && self.is_file_inside(&entry.path()) {
                    budget.charge_bytes(below.len() + size_of::<String>())?;
                    found.push(below);
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Whether the path, links followed, is a plain file in the directory.
    fn is_file_inside(&self, path: &Path) -> bool {
        fs::canonicalize(path).is_ok_and(|real| real.starts_with(&self.root) && real.is_file())
    }

    /// Where `path` is, links followed; `None` when nothing is there.
    fn resolve(&self, path: &str) -> Result<Option<PathBuf>, FilesError> {
        self.resolve_below(&self.root, path)
    }

    fn resolve_below(&self, base: &Path, path: &str) -> Result<Option<PathBuf>, FilesError> {
        let outside = || FilesError::Outside { path: path.into() };
        let mut depth = base.components().count().saturating_sub(self.root.components().count());
        for component in Path::new(path).components() {
            match component {
                Component::Normal(_) => depth += 1,
                Component::CurDir => {}
                Component::ParentDir => depth = depth.checked_sub(1).ok_or_else(outside)?,
                Component::RootDir | Component::Prefix(_) => {
                    return Err(FilesError::Absolute { path: path.into() });
                }
            }
        }
        let full = base.join(path);
        let confine = |real: PathBuf| {
            if real.starts_with(&self.root) { Ok(real) } else { Err(outside()) }
        };
        match fs::canonicalize(&full) {
            Ok(real) => confine(real).map(Some),
            Err(error) if is_absence(&error) => {
                // What lies behind a link that leads out must not even be told to be absent.
                let nearest = full.ancestors().skip(1).find_map(|dir| fs::canonicalize(dir).ok());
                nearest.map(confine).transpose()?;
                Ok(None)
            }
            Err(source) => Err(FilesError::Io { path: path.into(), source }),
        }
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn check_is_file(path: &str, metadata: &fs::Metadata) -> Result<(), FilesError> {
    if metadata.is_file() {
        return Ok(());
    }
    let kind = if metadata.is_dir() { "a directory" } else { "a device or pipe" };
    Err(FilesError::NotAFile { path: path.into(), kind })
}

/// A pattern of `fileset`, ready to match paths.
struct Pattern {
    regex: Regex,
    /// The directories before the first wildcard.
    prefix: String,
    prefix_segments: usize,
    /// How many segments a match has at most; `None` when there is no limit.
    depth: Option<usize>,
}

impl Pattern {
    fn new(written: &str) -> Result<Self, FilesError> {
        let wrong = |reason: &str| FilesError::Pattern {
            pattern: written.chars().take(80).collect(),
            reason: reason.into(),
        };
        if written.len() > MAX_PATTERN_BYTES {
            return Err(wrong("it is too long"));
        }
        let mut segments = Vec::new();
        for segment in written.split('/') {
            match segment {
                "" | "." => {}
                ".." => return Err(wrong("`..` could lead out of the pipeline's directory")),
                other => segments.push(other),
            }
        }
        let plain = |segment: &&str| !segment.contains(['*', '?', '[', '{', '}', '\\']);
        let directories = segments.len().saturating_sub(1);
        let prefix_segments = segments.iter().take(directories).take_while(|s| plain(s)).count();
        let prefix = segments.iter().take(prefix_segments).copied().collect::<Vec<_>>().join("/");
        let pattern = segments.join("/");
        let endless = pattern.contains("**") || pattern.contains('{');
        let regex = translate(&pattern).map_err(wrong)?;
        let regex = RegexBuilder::new(&regex)
            .size_limit(1 << 20)
            .dfa_size_limit(1 << 20)
            .build()
            .map_err(|_| wrong("it is too complicated"))?;
        let depth = (!endless).then_some(segments.len());
        Ok(Self { regex, prefix, prefix_segments, depth })
    }
}

/// The regular expression for a pattern.
fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut out = String::from(r"(?s)\A");
    let mut braces = 0_usize;
    let mut segment_start = true;
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        let at_start = std::mem::replace(&mut segment_start, char == '/');
        match char {
            '*' if chars.peek() == Some(&'*') => {
                while chars.next_if_eq(&'*').is_some() {}
                match chars.peek() {
                    Some('/') if at_start => {
                        chars.next();
                        segment_start = true;
                        out.push_str("(?:[^/]*/)*");
                    }
                    None if at_start => out.push_str(".*"),
                    _ => out.push_str("[^/]*"),
                }
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => translate_class(&mut chars, &mut out)?,
            '{' => {
                braces += 1;
                segment_start = at_start;
                out.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                out.push(')');
            }
            ',' if braces > 0 => {
                segment_start = at_start;
                out.push('|');
            }
            '\\' => {
                let escaped = chars.next().ok_or("it ends in a backslash")?;
                push_literal(&mut out, escaped);
            }
            other => push_literal(&mut out, other),
        }
    }
    if braces > 0 {
        return Err("a `{` is not closed");
    }
    out.push_str(r"\z");
    Ok(out)
}

fn push_literal(out: &mut String, char: char) {
    let mut buffer = [0; 4];
    out.push_str(&regex::escape(char.encode_utf8(&mut buffer)));
}

/// The class behind a `[`, up to its `]`.
fn translate_class(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    out: &mut String,
) -> Result<(), &'static str> {
    const OPEN: &str = "a `[` is not closed";
    let negated = chars.next_if(|char| matches!(char, '^' | '!')).is_some();
    out.push_str(if negated { "[^/" } else { "[" });
    let mut empty = true;
    loop {
        let mut char = chars.next().ok_or(OPEN)?;
        match char {
            ']' if empty => return Err("a `[]` is empty"),
            ']' => break,
            '/' => return Err("a `/` cannot stand in `[]`"),
            '-' if !empty && chars.peek().is_some_and(|next| *next != ']') => {
                out.push('-');
                continue;
            }
            '\\' => char = chars.next().ok_or(OPEN)?,
            _ => {}
        }
        empty = false;
        push_literal(out, char);
    }
    out.push(']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A directory of its own for each test, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path =
                std::env::temp_dir().join(format!("pikoci-files-{}-{count}", std::process::id()));
            fs::create_dir_all(path.join("root")).expect("a directory for the test");
            Self(path)
        }

        fn write(&self, path: &str, content: impl AsRef<[u8]>) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, content).expect("a file");
        }

        fn files(&self) -> Files {
            Files::new(&self.0.join("root")).expect("the directory exists")
        }

        fn fileset(&self, path: &str, pattern: &str) -> Vec<String> {
            self.files().fileset(path, pattern, &Budget::default()).expect("the pattern is right")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn read(scratch: &Scratch, path: &str) -> Result<String, String> {
        let text = scratch.files().read_text(path, &Budget::default());
        text.map_err(|error| error.to_string())
    }

    #[test]
    fn files_in_the_directory_can_be_read() {
        let scratch = Scratch::new();
        scratch.write("root/a.txt", "a");
        scratch.write("root/sub/b.txt", "b");
        assert_eq!(read(&scratch, "a.txt"), Ok("a".into()));
        assert_eq!(read(&scratch, "./sub/../sub/b.txt"), Ok("b".into()));
        assert!(scratch.files().exists("sub/b.txt").unwrap());
        assert!(!scratch.files().exists("sub/c.txt").unwrap());
        assert!(!scratch.files().exists("a.txt/b").unwrap());
    }

    #[test]
    fn nothing_outside_the_directory_can_be_read_or_found() {
        let scratch = Scratch::new();
        scratch.write("secret.txt", "s");
        scratch.write("root/a.txt", "a");
        scratch.write("root/sub/b.txt", "b");
        for path in ["../secret.txt", "sub/../../secret.txt", "..", "../nothing"] {
            let error = read(&scratch, path).unwrap_err();
            assert!(error.contains("leads out of the pipeline's directory"), "{path}: {error}");
            assert!(scratch.files().exists(path).is_err(), "{path}");
            let budget = Budget::default();
            assert!(scratch.files().fileset(path, "*", &budget).is_err(), "{path}");
        }
        let absolute = scratch.0.join("root/a.txt").display().to_string();
        assert!(read(&scratch, &absolute).unwrap_err().contains("absolute path"));
        assert!(matches!(
            scratch.files().fileset(".", "../*", &Budget::default()),
            Err(FilesError::Pattern { .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_only_inside_the_directory() {
        use std::os::unix::fs::symlink;
        let scratch = Scratch::new();
        scratch.write("out/secret.txt", "s");
        scratch.write("root/a.txt", "a");
        let root = scratch.0.join("root");
        symlink(root.join("a.txt"), root.join("inside.txt")).unwrap();
        symlink(scratch.0.join("out/secret.txt"), root.join("outside.txt")).unwrap();
        symlink(scratch.0.join("out"), root.join("outside")).unwrap();
        symlink(&root, root.join("loop")).unwrap();
        assert_eq!(read(&scratch, "inside.txt"), Ok("a".into()));
        for path in ["outside.txt", "outside/secret.txt", "outside/nothing"] {
            assert!(read(&scratch, path).unwrap_err().contains("leads out"), "{path}");
            assert!(scratch.files().exists(path).is_err(), "{path}");
        }
        assert_eq!(scratch.fileset(".", "**"), ["a.txt", "inside.txt"]);
        assert!(scratch.files().fileset("outside", "*", &Budget::default()).is_err());
        assert!(scratch.files().fileset(".", "outside/*", &Budget::default()).is_err());
    }

    #[test]
    fn what_is_no_text_or_too_large_is_refused() {
        let scratch = Scratch::new();
        scratch.write("root/binary", b"ab\xff");
        scratch.write("root/large", vec![b'a'; 8 * 1024 * 1024 + 1]);
        assert_eq!(
            read(&scratch, "binary").unwrap_err(),
            "`binary` is not UTF-8 text: byte 2 begins no character"
        );
        assert!(read(&scratch, "large").unwrap_err().contains("larger than"));
        assert_eq!(read(&scratch, ".").unwrap_err(), "`.` is a directory, not a file");
        assert!(read(&scratch, "none").unwrap_err().contains("there is no file `none`"));
        assert!(read(&scratch, "a\0b").is_err());
        let budget = Budget::new(2, 1000);
        assert!(matches!(scratch.files().read("binary", &budget), Err(FilesError::Budget(_))));
    }

    #[test]
    fn patterns_match_as_people_expect() {
        let scratch = Scratch::new();
        for path in ["a.hcl", "b.HCL", ".hidden", "x/a.hcl", "x/y/a.hcl", "x/y/b.txt", "z/b1.txt"] {
            scratch.write(&format!("root/{path}"), "");
        }
        let table: &[(&str, &str, &[&str])] = &[
            (".", "*", &[".hidden", "a.hcl", "b.HCL"]),
            ("", "*.hcl", &["a.hcl"]),
            (".", "**/*.hcl", &["a.hcl", "x/a.hcl", "x/y/a.hcl"]),
            (".", "x/**", &["x/a.hcl", "x/y/a.hcl", "x/y/b.txt"]),
            (".", "x/*", &["x/a.hcl"]),
            ("x", "**", &["a.hcl", "y/a.hcl", "y/b.txt"]),
            ("x", "y/*.{txt,hcl}", &["y/a.hcl", "y/b.txt"]),
            (".", "{x,z}/**/*.txt", &["x/y/b.txt", "z/b1.txt"]),
            (".", "?.hcl", &["a.hcl"]),
            (".", "z/b[0-9].txt", &["z/b1.txt"]),
            (".", "z/b[!0-9].txt", &[]),
            (".", "[ab].*", &["a.hcl", "b.HCL"]),
            (".", "./x//a.hcl", &["x/a.hcl"]),
            (".", "a.hcl", &["a.hcl"]),
            (".", "\\*.hcl", &[]),
            (".", "none/*", &[]),
            ("none", "*", &[]),
            ("a.hcl", "*", &[]),
            (".", "x", &[]),
        ];
        for (path, pattern, expected) in table {
            assert_eq!(scratch.fileset(path, pattern), *expected, "{path} {pattern}");
        }
        for pattern in ["[", "[]", "{a", "a\\", "[a/b]", "x/../../*"] {
            let found = scratch.files().fileset(".", pattern, &Budget::default());
            assert!(matches!(found, Err(FilesError::Pattern { .. })), "{pattern}: {found:?}");
        }
    }

    #[test]
    fn searching_is_bounded() {
        let scratch = Scratch::new();
        for index in 0..50 {
            scratch.write(&format!("root/{index}"), "");
        }
        let found = scratch.files().fileset(".", "*", &Budget::new(1 << 20, 100));
        assert!(matches!(found, Err(FilesError::Budget(_))));
        let nested = "{a,".repeat(1000) + &"}".repeat(1000);
        assert!(scratch.files().fileset(".", &nested, &Budget::default()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics(pattern in "[a-c*?{},/\\[\\]!^\\\\.-]{0,16}", path in "[a/.]{0,6}") {
            let files = Files::new(Path::new("src")).expect("tests run beside the sources");
            let _ = files.fileset(&path, &pattern, &Budget::default());
        }
    }
}
