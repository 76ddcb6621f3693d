//! Files that were damaged are told, and nothing wrong is read.

use std::fs;
use std::path::{Path, PathBuf};

use pikoci_core::store::StoreErrorKind;
use pikoci_store::{OpenError, OpenErrorKind};

use super::{Place, all, key, try_open, txn, url};

/// Lists what is wrong with the store at a path.
pub(crate) trait Verify: AsyncFn(PathBuf) -> Result<Vec<String>, OpenError> {}
impl<V: AsyncFn(PathBuf) -> Result<Vec<String>, OpenError>> Verify for V {}

/// How many places of each file are damaged.
const PLACES: u64 = 24;

/// Damages each file of a store, except those whose name ends in `spared`, in
/// many places, and cuts it off in many places.
pub(crate) async fn damage_is_told_and_nothing_wrong_is_read(
    scheme: &'static str,
    spared: &[&str],
    verify: impl Verify,
) {
    let place = Place::new(scheme);
    let store = place.open().await;
    for round in 0..40_usize {
        let mut write = txn();
        for number in 0..50 {
            let name = format!("key-{:03}", (number * 7 + round * 13) % 400);
            write = write.put(key(name), vec![round as u8; 20 + number * 5]);
        }
        store.commit(&write).await.expect("a commit");
        let large = txn().put(key(format!("large-{}", round % 8)), vec![round as u8; 60_000]);
        store.commit(&large).await.expect("a commit");
    }
    let expected = all(&*store).await.expect("all there is");
    store.close().await.expect("a close");
    drop(store);

    let nothing = verify(place.path()).await.expect("a check");
    assert!(nothing.is_empty(), "{nothing:?}");

    let (mut told, mut whole) = (0, 0);
    for file in files(place.directory.path()) {
        if spared.iter().any(|ending| file.to_string_lossy().ends_with(ending)) {
            continue;
        }
        let length = fs::metadata(place.directory.path().join(&file)).expect("a file").len();
        for number in 0..PLACES {
            let at = length * number / PLACES;
            for cut in [false, true] {
                let copy = tempfile::tempdir().expect("a directory");
                copy_all(place.directory.path(), copy.path());
                damage(&copy.path().join(&file), at, cut);
                let path = copy.path().join("store");
                let what =
                    format!("{} {} at {at}", file.display(), ["garbled", "cut"][usize::from(cut)]);
                let store = match try_open(&url(scheme, &path)).await {
                    Ok(store) => store,
                    Err(error) => {
                        let fits =
                            matches!(error.kind, OpenErrorKind::Damaged | OpenErrorKind::Format);
                        assert!(fits, "{what}: {:?} {error}", error.kind);
                        let path = path.display().to_string();
                        assert!(error.message.contains(&path), "{what}: {error}");
                        if error.kind == OpenErrorKind::Damaged {
                            let check = format!("pikoci store check {scheme}:{path}");
                            assert!(error.message.contains(&check), "{what}: {error}");
                        }
                        told += 1;
                        if number % 3 == 0 {
                            assert_listed(&what, copy.path(), &verify).await;
                        }
                        continue;
                    }
                };
                match all(&*store).await {
                    Ok(found) => {
                        assert!(found == expected, "{what}: something wrong was read");
                        whole += 1;
                    }
                    Err(error) => {
                        assert_eq!(error.kind, StoreErrorKind::Damaged, "{what}: {error}");
                        told += 1;
                    }
                }
                // A damaged file may well not close in order.
                let _ = store.close().await;
            }
        }
    }
    assert!(told >= PLACES as usize, "{told} told, {whole} whole");
}

/// The check lists what is wrong and changes nothing.
async fn assert_listed(what: &str, directory: &Path, verify: &impl Verify) {
    // The lock is new, and so may be what SQLite keeps in memory.
    let kept = |file: &PathBuf| {
        !["lock", "-shm", "-wal"].iter().any(|end| file.to_string_lossy().ends_with(end))
    };
    let contents = || -> Vec<(PathBuf, Vec<u8>)> {
        let files = files(directory).into_iter().filter(kept);
        files.map(|file| (file.clone(), fs::read(directory.join(file)).expect("a file"))).collect()
    };
    let before = contents();
    match verify(directory.join("store")).await {
        Ok(lines) => {
            let [.., _, last] = &lines[..] else { panic!("{what}: nothing is listed: {lines:?}") };
            assert!(last.ends_with("entries can be read"), "{what}: {lines:?}");
        }
        Err(error) => assert_eq!(error.kind, OpenErrorKind::Format, "{what}: {error}"),
    }
    assert!(contents() == before, "{what}: the check changed something");
}

fn damage(path: &Path, at: u64, cut: bool) {
    let mut bytes = fs::read(path).expect("a file");
    let at = at as usize;
    if cut {
        bytes.truncate(at);
    } else {
        for byte in bytes.iter_mut().skip(at).take(16) {
            *byte ^= 0x5a;
        }
    }
    fs::write(path, bytes).expect("to damage it");
}

/// The files below a directory, from there.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        for entry in fs::read_dir(path).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path.strip_prefix(directory).expect("below it").to_owned());
            }
        }
    }
    found.sort();
    found
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let copy = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            fs::create_dir(&copy).expect("a directory");
            copy_all(&path, &copy);
        } else {
            fs::copy(&path, &copy).expect("a copy");
        }
    }
}
