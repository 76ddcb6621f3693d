//! Putting files to where others already are, without losing any.

use super::*;

/// Puts a copy of the file or tree `source` at `target`.
///
/// A file appears whole or not at all. A directory on a directory is merged
/// into it: its files appear one by one, what else is there stays. With
/// `replace` the whole directory is exchanged instead, at once where the
/// system can; only then may a file take the place of a directory or a
/// directory that of a file. A `target` that is a link means what it leads to.
///
/// # Errors
/// [`FilesError::Refused`], with everything as it was, where that would need
/// `replace`, or where one of the two lies in the other.
pub(crate) fn put(
    source: &Path,
    target: &Path,
    replace: bool,
    cancel: &CancellationToken,
) -> Result<(), FilesError> {
    let source = fs::canonicalize(source).map_err(at(source))?;
    let target = &resolved(target)?;
    if target.starts_with(&source) || source.starts_with(target) {
        return Err(FilesError::Refused(format!(
            "cannot put `{}` to `{}`: one lies in the other",
            source.display(),
            target.display()
        )));
    }
    if !replace {
        conflict(&source, target)?;
        if kind(target) == Some(Kind::Directory) {
            let merged = Some((target.as_path(), Appear::Atomic));
            return walk(&source, merged, &Gitignore::empty(), cancel).map(drop);
        }
    }
    let parent = target.parent().unwrap_or(target);
    let staging =
        tempfile::Builder::new().prefix(STAGED_PREFIX).tempdir_in(parent).map_err(at(parent))?;
    let fresh = staging.path().join("new");
    walk(&source, Some((&fresh, Appear::Direct)), &Gitignore::empty(), cancel)?;
    let old = staging.path().join("old");
    let placed = take_place(&fresh, target, &old);
    if placed.is_err() && kind(&old).is_some() {
        // It could not go back: it must not go with the directory it is in now.
        let _ = staging.keep();
    }
    placed.map_err(at(target))
}

/// Where `target` really is; its parent directories are made.
fn resolved(target: &Path) -> Result<PathBuf, FilesError> {
    if let Ok(real) = fs::canonicalize(target) {
        return Ok(real);
    }
    let Some(name) = target.file_name() else {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "it does not end in a name");
        return Err(at(target)(error));
    };
    let parent = target.parent().filter(|it| !it.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(at(parent))?;
    Ok(fs::canonicalize(parent).map_err(at(parent))?.join(name))
}

/// Refuses where a directory would come on something else, or something else
/// on a directory, anywhere in the trees.
fn conflict(source: &Path, target: &Path) -> Result<(), FilesError> {
    let refuse = |what: &str, there: &str| {
        Err(FilesError::Refused(format!(
            "`{}` is {there}, and {what} would come in its place; \
             `replace = true` puts it there all the same",
            target.display()
        )))
    };
    match (kind(source), kind(target)) {
        (Some(Kind::Directory), Some(Kind::Directory)) => {
            for entry in fs::read_dir(source).map_err(at(source))? {
                let name = entry.map_err(at(source))?.file_name();
                conflict(&source.join(&name), &target.join(&name))?;
            }
            Ok(())
        }
        (Some(Kind::Directory), Some(Kind::File)) => refuse("a directory", "a file"),
        (Some(Kind::Directory), Some(Kind::Link)) => refuse("a directory", "a link"),
        (Some(Kind::File), Some(Kind::Directory)) => refuse("a file", "a directory"),
        (Some(Kind::Link), Some(Kind::Directory)) => refuse("a link", "a directory"),
        _ => Ok(()),
    }
}

/// Renames `fresh` to `target`. A directory that is in the way, or a file in
/// the way of a directory, ends at `old` or `fresh`.
fn take_place(fresh: &Path, target: &Path, old: &Path) -> io::Result<()> {
    let directory = [fresh, target].into_iter().any(|it| kind(it) == Some(Kind::Directory));
    if !directory || kind(target).is_none() {
        return fs::rename(fresh, target);
    }
    if exchange(fresh, target) {
        return Ok(());
    }
    fs::rename(target, old)?;
    fs::rename(fresh, target).inspect_err(|_| {
        // What was there is there again, or else still at `old`.
        let _ = fs::rename(old, target);
    })
}

/// Whether the two changed their places, in one moment; not every system can.
fn exchange(one: &Path, other: &Path) -> bool {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).is_ok()
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    {
        let _ = (one, other);
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A directory with files, by path; what ends in `/` is an empty directory
    /// and `>` before a text makes a link.
    fn tree(root: &Path, entries: &[(&str, &str)]) {
        fs::create_dir_all(root).unwrap();
        for (path, text) in entries {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text.strip_prefix('>') {
                _ if path.as_os_str().as_bytes().ends_with(b"/") => {
                    fs::create_dir_all(&path).unwrap();
                }
                Some(to) => std::os::unix::fs::symlink(to, &path).unwrap(),
                None => fs::write(&path, text).unwrap(),
            }
        }
    }

    /// What is in a directory, as [`tree`] takes it.
    fn seen(root: &Path) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        for entry in fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            match kind(&path).unwrap() {
                Kind::File => drop(out.insert(name, fs::read_to_string(&path).unwrap())),
                Kind::Link => {
                    let to = fs::read_link(&path).unwrap();
                    out.insert(name, format!(">{}", to.display()));
                }
                Kind::Directory => {
                    let inner = seen(&path);
                    if inner.is_empty() {
                        out.insert(format!("{name}/"), String::new());
                    }
                    out.extend(inner.into_iter().map(|(key, it)| (format!("{name}/{key}"), it)));
                }
            }
        }
        out
    }

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, it)| ((*key).to_owned(), (*it).to_owned())).collect()
    }

    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        /// `new` beside `out/target`, and a link that leads there.
        fn new(source: &[(&str, &str)], target: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            tree(&dir.path().join("new"), source);
            tree(&dir.path().join("out/target"), target);
            tree(dir.path(), &[("link", ">out/target")]);
            Self { dir }
        }

        fn put(&self, from: &str, to: &str, replace: bool) -> Result<(), FilesError> {
            let path = |name| self.dir.path().join(name);
            let done = put(&path(from), &path(to), replace, &CancellationToken::new());
            let beside: Vec<_> = seen(&path("out")).into_keys().collect();
            assert!(!beside.iter().any(|it| it.contains(STAGED_PREFIX)), "{beside:?}");
            done
        }

        fn target(&self) -> BTreeMap<String, String> {
            seen(&self.dir.path().join("out/target"))
        }
    }

    #[test]
    fn a_directory_is_merged_and_what_else_is_there_stays() {
        let new = [("a", "new"), ("sub/b", "new"), ("l", ">a"), ("m", "file"), ("more/c/", "")];
        let old = [("a", "old"), ("keep", "old"), ("sub/keep", "old"), ("l", ">x"), ("m", ">keep")];
        for to in ["out/target", "link"] {
            let place = Place::new(&new, &old);
            place.put("new", to, false).unwrap();
            let expected = [
                ("a", "new"),
                ("keep", "old"),
                ("l", ">a"),
                ("m", "file"),
                ("more/c/", ""),
                ("sub/b", "new"),
                ("sub/keep", "old"),
            ];
            assert_eq!(place.target(), map(&expected), "{to}");
        }
    }

    #[test]
    fn a_merge_leaves_the_modes_of_directories_alone_and_takes_those_of_files() {
        let place = Place::new(&[("sub/run", "")], &[("sub/keep", "")]);
        let mode = |path: &str, mode| {
            fs::set_permissions(place.dir.path().join(path), fs::Permissions::from_mode(mode))
        };
        mode("new", 0o700).unwrap();
        mode("new/sub/run", 0o751).unwrap();
        mode("out/target", 0o755).unwrap();
        place.put("new", "out/target", false).unwrap();
        let mode =
            |path| fs::metadata(place.dir.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("out/target"), 0o755);
        assert_eq!(mode("out/target/sub/run"), 0o751);
    }

    #[test]
    fn replacing_exchanges_the_whole_directory() {
        for to in ["out/target", "link"] {
            let place = Place::new(&[("a", "new"), ("x/y", "")], &[("keep", "old"), ("x", "file")]);
            place.put("new", to, true).unwrap();
            assert_eq!(place.target(), map(&[("a", "new"), ("x/y", "")]), "{to}");
            assert!(place.dir.path().join("link").is_symlink());
        }
    }

    #[test]
    fn other_kinds_take_a_place_only_when_told_to() {
        let new = [("file", "new"), ("dir/f", "new"), ("tree/x/y", ""), ("l/x", ">y")];
        let old = [("file", "old"), ("dir/f", "old"), ("tree/x", "old"), ("l/x/y", "old")];
        for (from, to, says) in [
            ("new/file", "dir", "target/dir` is a directory, and a file would come"),
            ("new/dir", "file", "target/file` is a file, and a directory would come"),
            ("new/tree", "tree", "target/tree/x` is a file, and a directory would come"),
            ("new/l", "l", "target/l/x` is a directory, and a link would come"),
        ] {
            let place = Place::new(&new, &old);
            let to = format!("out/target/{to}");
            let error = place.put(from, &to, false).unwrap_err();
            assert!(matches!(error, FilesError::Refused(_)), "{error:?}");
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.to_string().contains("`replace = true`"), "{error}");
            assert_eq!(place.target(), map(&old), "something was changed");
            place.put(from, &to, true).unwrap();
            let digest = |path: &str| {
                digest(&place.dir.path().join(path), &Gitignore::empty(), &CancellationToken::new())
            };
            assert_eq!(digest(&to).unwrap(), digest(from).unwrap());
        }
    }

    #[test]
    fn a_directory_never_goes_through_a_link_in_a_merge() {
        let place = Place::new(&[("sub/a", "new")], &[("sub", ">../elsewhere")]);
        tree(&place.dir.path().join("out/elsewhere"), &[("a", "old")]);
        let error = place.put("new", "out/target", false).unwrap_err();
        assert!(error.to_string().contains("target/sub` is a link"), "{error}");
        assert_eq!(seen(&place.dir.path().join("out/elsewhere")), map(&[("a", "old")]));
    }

    #[test]
    fn nothing_is_put_into_itself() {
        let place = Place::new(&[("sub/a", "")], &[]);
        for (from, to) in
            [("new", "new/sub"), ("new/sub", "new"), ("new", "new"), ("new", "new/x/y")]
        {
            for replace in [false, true] {
                let error = place.put(from, to, replace).unwrap_err();
                assert!(error.to_string().ends_with("one lies in the other"), "{error}");
            }
        }
        assert_eq!(seen(&place.dir.path().join("new/sub")), map(&[("a", "")]));
    }

    #[test]
    fn what_was_there_moves_away_where_places_cannot_be_exchanged() {
        let place = Place::new(&[("a", "new")], &[("a", "old")]);
        let path = |name| place.dir.path().join(name);
        // Nothing can take the place: what was there comes back.
        take_place(&path("absent"), &path("out/target"), &path("old")).unwrap_err();
        assert_eq!(place.target(), map(&[("a", "old")]));
        take_place(&path("new"), &path("out/target"), &path("old")).unwrap();
        assert_eq!(place.target(), map(&[("a", "new")]));
    }

    #[test]
    fn a_cancelled_put_leaves_no_half_of_a_file() {
        let place = Place::new(&[("a", "new")], &[("a", "old")]);
        let cancel = CancellationToken::new();
        cancel.cancel();
        for replace in [false, true] {
            let (new, target) = (place.dir.path().join("new"), place.dir.path().join("out/target"));
            let done = put(&new, &target, replace, &cancel);
            assert!(matches!(done, Err(FilesError::Cancelled)));
            assert_eq!(place.target(), map(&[("a", "old")]));
        }
    }
}
