//! Trees with everything in them that trees can have.

use super::*;

fn nothing() -> Gitignore {
    Gitignore::empty()
}

fn tree(root: &Path) {
    fs::create_dir_all(root.join("b/c")).unwrap();
    fs::write(root.join("a"), "a").unwrap();
    fs::write(root.join("b/c/d"), vec![7; 3 * CHUNK_BYTES + 1]).unwrap();
    fs::write(root.join("b/run"), "#!").unwrap();
    fs::set_permissions(root.join("b/run"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
}

fn digest_of(path: &Path) -> String {
    digest(path, &nothing(), &CancellationToken::new()).unwrap()
}

#[test]
fn a_digest_tells_every_change_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    tree(&root);
    let first = digest_of(&root);
    let other = dir.path().join("other");
    tree(&other);
    assert_eq!(digest_of(&other), first, "its own name and times do not matter");
    let changes: &[&dyn Fn()] = &[
        &|| fs::write(root.join("a"), "b").unwrap(),
        &|| fs::rename(root.join("a"), root.join("z")).unwrap(),
        &|| fs::create_dir(root.join("empty")).unwrap(),
        &|| fs::set_permissions(root.join("z"), fs::Permissions::from_mode(0o755)).unwrap(),
        &|| {
            fs::remove_file(root.join("link")).unwrap();
            std::os::unix::fs::symlink("/etc/group", root.join("link")).unwrap();
        },
    ];
    let mut seen = BTreeSet::from([first]);
    for (index, change) in changes.iter().enumerate() {
        change();
        assert!(seen.insert(digest_of(&root)), "change {index} was not seen");
    }
}

#[test]
fn a_copy_is_the_same_tree_with_links_as_links() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    tree(&root);
    let target = dir.path().join("deep/target");
    for attempt in 0..2 {
        let copied = copy(&root, &target, &nothing(), &CancellationToken::new()).unwrap();
        assert_eq!(copied, digest_of(&root), "attempt {attempt}");
        assert_eq!(digest_of(&target), copied);
    }
    assert!(target.join("link").is_symlink());
    assert_eq!(fs::metadata(target.join("b/run")).unwrap().permissions().mode() & 0o111, 0o111);
}

#[test]
fn a_copy_never_writes_through_a_link_in_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    let source = dir.path().join("source");
    fs::write(&source, "new").unwrap();
    let target = dir.path().join("target");
    std::os::unix::fs::symlink(&victim, &target).unwrap();
    copy(&source, &target, &nothing(), &CancellationToken::new()).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(fs::read_to_string(&target).unwrap(), "new");
}

#[test]
fn ignored_paths_are_neither_looked_at_nor_copied() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    tree(&root);
    let patterns = ignored(&root, &["*.log".into(), "/b/".into()]).unwrap();
    let before = digest(&root, &patterns, &CancellationToken::new()).unwrap();
    fs::write(root.join("x.log"), "").unwrap();
    fs::write(root.join("b/c/d"), "changed").unwrap();
    let target = dir.path().join("target");
    let after = copy(&root, &target, &patterns, &CancellationToken::new()).unwrap();
    assert_eq!(after, before);
    assert!(target.join("a").exists() && !target.join("x.log").exists());
    assert!(!target.join("b").exists());
    assert!(matches!(ignored(&root, &["{".into()]), Err(FilesError::Pattern { .. })));
}

#[test]
fn a_fired_token_stops_the_work() {
    let dir = tempfile::tempdir().unwrap();
    tree(dir.path());
    let cancel = CancellationToken::new();
    cancel.cancel();
    assert!(matches!(digest(dir.path(), &nothing(), &cancel), Err(FilesError::Cancelled)));
}

#[test]
fn a_missing_path_is_named() {
    let path = Path::new("/nonexistent/path");
    let error = digest(path, &nothing(), &CancellationToken::new()).unwrap_err();
    assert!(error.to_string().starts_with("`/nonexistent/path`: "), "{error}");
}

proptest::proptest! {
    // Each case makes directories: fewer of them than usual.
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// Whatever a path says, what comes out is below the root or an error.
    #[test]
    fn no_path_leads_out(path in "[./a\\-~\\\\]{0,12}") {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap().join("root");
        fs::create_dir_all(root.join("a")).unwrap();
        if let Ok(found) = confine(&root, &path) {
            proptest::prop_assert!(found.starts_with(&root));
            proptest::prop_assert!(!found.components().any(|it| it == Component::ParentDir));
        }
    }
}
