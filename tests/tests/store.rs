//! `pikoci store …` through the real program.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pikoci_core::Store;
use pikoci_core::database::{Envelope, KeyPath};
use pikoci_core::store::{Key, Txn};
use pikoci_store::open_store;
use pikoci_tests::{World, finish, signal, until};
use rustix::process::Signal;
use serde_json::Value;
use uuid::Uuid;

fn key(number: u64) -> Key {
    KeyPath::new("r").then("build").then(number).key().expect("a key")
}

fn entry(number: u64) -> (Key, bytes::Bytes) {
    let json = format!("{{\"number\":{number},\"text\":\"{}\"}}", "é".repeat(50));
    (key(number), Envelope::Json { version: 1, json: json.into() }.seal())
}

async fn put(store: &dyn Store, numbers: std::ops::Range<u64>) {
    let numbers: Vec<u64> = numbers.collect();
    for some in numbers.chunks(50) {
        let txn = some.iter().fold(Txn::new(Uuid::now_v7()), |txn, number| {
            let (key, value) = entry(*number);
            let odd = Key::new([&[0xff_u8][..], &number.to_be_bytes()].concat()).expect("a key");
            txn.put(key, value).put(odd, vec![*number as u8; 20])
        });
        store.commit(&txn).await.expect("it is committed");
    }
}

/// A store in `world` with twice `count` entries.
fn filled(world: &World, name: &str, count: u64) -> String {
    let url = format!("sled:{}", world.path().join(name).display());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = open_store(&url).await.expect("it opens");
        put(&*store, 0..count).await;
        store.close().await.expect("it closes");
    });
    url
}

/// The export of a store in `world`.
fn exported(world: &World, url: &str) -> String {
    world.pikoci(&["store", "export", url]).expect(0).stdout
}

#[test]
fn what_is_exported_imported_and_copied_stays_the_same_byte_for_byte() {
    let world = World::new();
    let first = filled(&world, "first", 700);
    world
        .pikoci(&["store", "export", &first, "a.jsonl"])
        .expect(0)
        .says("exported 1400 entries")
        .says("to a.jsonl");
    let text = world.read("a.jsonl");
    assert!(text.starts_with("{\"format\":\"pikoci-store\",\"version\":1}\n"));
    assert!(
        text.contains(
            "{\"key\":[\"r\",\"build\",7],\"value\":{\"version\":1,\"json\":{\"number\":7,"
        )
    );
    world.pikoci(&["store", "import", "sqlite:b", "a.jsonl"]).expect(0).says("imported 1400");
    world.pikoci(&["store", "copy", "sqlite:b", "sled:c"]).expect(0).says("copied 1400 entries");
    assert!(exported(&world, "sled:c") == text);
    // The same through a pipe, and told to a program.
    let mut import = world.command(&["store", "import", "sqlite:d", "-", "--output", "json"]);
    import.stdin(File::open(world.path().join("a.jsonl")).expect("a file"));
    let output = finish(import.spawn().expect("it starts")).expect(0);
    assert_eq!(output.json_lines()[0]["entries"], 1400);
    assert_eq!(output.json_lines()[0]["consistent"], true);
    assert!(exported(&world, "sqlite:d") == text);
}

#[test]
fn a_store_that_is_not_empty_is_left_alone_unless_it_is_to_be_replaced() {
    let world = World::new();
    let (from, to) = (filled(&world, "from", 30), filled(&world, "to", 90));
    let before = exported(&world, &to);
    world.pikoci(&["store", "copy", &from, &to]).expect(2).says("is not empty").says("--replace");
    world.pikoci(&["store", "export", &from, "a.jsonl"]).expect(0);
    world.pikoci(&["store", "import", &to, "a.jsonl"]).expect(2).says("is not empty");
    assert!(exported(&world, &to) == before);
    world.pikoci(&["store", "copy", &from, &to, "--replace"]).expect(0).says("copied 60");
    assert!(exported(&world, &to) == exported(&world, &from));
    world
        .pikoci(&["store", "copy", &from, &from])
        .expect(2)
        .says("as the source and as the target");
}

#[test]
fn a_broken_export_is_refused_by_its_line_before_anything_is_written() {
    let world = World::new();
    let text = exported(&world, &filled(&world, "first", 200));
    let lines: Vec<&str> = text.lines().collect();
    let cut = lines[..150].join("\n");
    let mut damaged = lines.clone();
    damaged[99] = &lines[99][..30];
    for (name, broken, says) in [
        ("cut", cut, "cut: it is cut off after line 149"),
        ("damaged", damaged.join("\n"), "damaged: line 100 is not JSON"),
        ("other", "{\"name\":1}\n".to_owned(), "other: line 1 is no line of an export"),
    ] {
        world.write(name, &broken);
        world.pikoci(&["store", "import", "sled:target", name]).expect(2).says(says);
        assert!(!world.has("target"), "nothing was made");
    }
}

#[test]
fn an_import_that_was_killed_goes_on() {
    let world = World::new();
    let first = filled(&world, "first", 20_000);
    world.pikoci(&["store", "export", &first, "a.jsonl"]).expect(0);
    let mut child = world.start(&["store", "import", "sled:target", "a.jsonl"]);
    let size = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let file = world.path().join("target/db");
    until("the import is under way", || size(&file) > 1024 * 1024);
    signal(&child, Signal::KILL);
    child.wait().expect("it is dead");
    world.pikoci(&["store", "import", "sled:target", "a.jsonl"]).expect(2).says("is not empty");
    world.pikoci(&["store", "import", "sled:target", "a.jsonl", "--replace"]).expect(0);
    assert!(exported(&world, "sled:target") == world.read("a.jsonl"));
}

#[test]
fn an_export_that_is_stopped_leaves_what_was_there() {
    let world = World::new();
    let first = filled(&world, "first", 20_000);
    world.write("a.jsonl", "older");
    let child = world.start(&["store", "export", &first, "a.jsonl"]);
    let files = || world.path().read_dir().expect("a directory").flatten().count();
    until("the export is under way", || files() > 2);
    signal(&child, Signal::INT);
    finish(child).expect(4);
    assert_eq!(world.read("a.jsonl"), "older");
    assert_eq!(files(), 2, "no half of a file is left");
}

#[test]
fn a_check_tells_what_is_there_and_what_is_damaged() {
    let world = World::new();
    let url = filled(&world, "first", 300);
    world
        .pikoci(&["store", "check", &url])
        .expect(0)
        .says("records of `build`")
        .says("is fine: 600 entries");
    world.pikoci(&["store", "check", "--db-system", "sled", "--db-name", "first"]).expect(0);
    let output = world.pikoci(&["store", "check", &url, "--output", "json"]).expect(0);
    let found: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(found["kinds"]["records of `build`"]["entries"], 300);
    assert_eq!(found["problems"], 0);
    assert!(output.stdout.lines().count() == 1);

    // A few bytes in the middle of the file.
    let path = world.path().join("first/db");
    let mut bytes = std::fs::read(&path).expect("a file");
    let middle = bytes.iter().position(|byte| *byte == 0xc3).expect("some text");
    bytes[middle..middle + 64].fill(0x55);
    std::fs::write(&path, &bytes).expect("it is written");
    let output = world.pikoci(&["store", "check", &url]).expect(1).says("is damaged");
    assert!(output.stdout.contains("entries can be read"), "{}", output.stdout);
    assert!(std::fs::read(&path).expect("a file") == bytes, "it only looks");
    world.pikoci(&["store", "export", &url, "a.jsonl"]).expect(1);
    assert!(!world.has("a.jsonl"));
}

#[test]
fn what_cannot_be_reached_is_told_without_passwords() {
    let world = World::new();
    for command in ["check", "export"] {
        world.pikoci(&["store", command, "sled:nosuch"]).expect(5).says("there is no store");
        assert!(!world.has("nosuch"));
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    drop(listener);
    let url = format!("postgres://ci:hush-hush@127.0.0.1:{port}/ci");
    world.pikoci(&["store", "check", &url]).expect(5).never_says("hush");
    world.write("url", format!("{url}\n"));
    world.pikoci(&["store", "check", "@url"]).expect(5).says("ci:***@").never_says("hush");
    world.write("password", "hush-hush\n");
    let parts = ["--db-system", "postgres", "--db-host", "127.0.0.1", "--db-port", &port];
    let with = ["--db-user", "ci", "--db-password-file", "password"];
    let words = [&["store", "check"][..], &parts, &with].concat();
    world.pikoci(&words).expect(5).never_says("hush");
    world.pikoci(&["store", "check"]).expect(2).says("no store given");
    world.pikoci(&["store", "check", "nonsense"]).expect(2).says("sled:ci-data");
    world.pikoci(&["store", "check", "@nosuch"]).expect(2).says("nosuch");
}

#[test]
fn a_store_that_another_process_has_is_told_with_its_holder() {
    let world = World::new();
    let url = filled(&world, "first", 10);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = runtime.block_on(open_store(&url)).expect("it opens");
    let pid = std::process::id().to_string();
    world.pikoci(&["store", "export", &url]).expect(5).says("in use").says(&pid);
    runtime.block_on(store.close()).expect("it closes");
}

#[test]
fn a_store_in_use_is_copied_once_two_readings_agree_or_it_is_told_that_not() {
    let Ok(server) = std::env::var("PIKOCI_TEST_POSTGRES") else {
        let skipped = "skipped: a_store_in_use_is_copied… needs PIKOCI_TEST_POSTGRES";
        writeln!(std::io::stderr(), "{skipped}").expect("someone reads it");
        return;
    };
    let world = World::new();
    let sign = if server.contains('?') { '&' } else { '?' };
    let url = format!("{server}{sign}schema=copy_{}", Uuid::now_v7().simple());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = runtime.block_on(open_store(&url)).expect("it opens");
    runtime.block_on(put(&*store, 0..2000));
    let stop = Arc::new(AtomicBool::new(false));
    let writing = runtime.spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move {
            for round in 0_u64.. {
                let (key, value) = entry(round % 3000);
                let txn = Txn::new(Uuid::now_v7());
                let txn =
                    if round.is_multiple_of(5) { txn.delete(key) } else { txn.put(key, value) };
                store.commit(&txn).await.expect("it is committed");
                if stop.load(Ordering::SeqCst) {
                    break;
                }
            }
        }
    });
    world
        .pikoci(&["store", "copy", &url, "sled:a", "--passes", "3"])
        .expect(1)
        .says("copied")
        .says("warning: the store was written to all the time");
    let child = world.start(&["store", "copy", &url, "sled:b", "--passes", "1000"]);
    until("the copy is under way", || world.has("b/db"));
    stop.store(true, Ordering::SeqCst);
    runtime.block_on(writing).expect("it ends");
    finish(child).expect(0);
    let (here, there) = (exported(&world, "sled:b"), exported(&world, &url));
    assert!(here == there);
    runtime.block_on(store.close()).expect("it closes");
}
