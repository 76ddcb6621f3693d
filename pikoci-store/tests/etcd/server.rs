//! Starts members of etcd, and stops them with the test, however it ends.

use std::collections::HashSet;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pikoci_core::Store;
use pikoci_core::store::{Key, Txn};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Runs a program until its own input ends, as it does when the test's
/// process is gone; then kills it. Removes the folder if it is told to.
const UNTIL_INPUT_ENDS: &str = r#"
trap '' INT TERM HUP QUIT
dir=$1 remove=$2; shift 2
"$@" >>"$dir/log" 2>&1 &
child=$!
exec 2>/dev/null
cat >/dev/null
kill -9 $child
wait $child
[ "$remove" = no ] || rm -rf "$dir"
"#;

/// Whether tests that need etcd can run; says so where they cannot.
pub(crate) fn available(test: &str) -> bool {
    let set = std::env::var_os("PIKOCI_TEST_ETCD").is_some();
    if !set {
        let mut stderr = std::io::stderr();
        writeln!(stderr, "skipped: {test} needs PIKOCI_TEST_ETCD").expect("to say so");
    }
    set
}

/// A free port that the system gives to no connection: a member that was
/// killed must find it free again.
fn free_port() -> u16 {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().expect("not poisoned");
    let given = given.get_or_insert_default();
    loop {
        let (_, random) = Uuid::now_v7().as_u64_pair();
        let port = 10_000 + (random % 22_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && given.insert(port) {
            return port;
        }
    }
}

/// One member. Killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    /// Where clients connect: `host:port`.
    pub(crate) address: String,
    command: Vec<String>,
    dir: PathBuf,
    remove: bool,
    running: Option<Child>,
    _dir: Option<TempDir>,
}

impl Member {
    fn prepare(name: &str, scheme: &str, ports: (u16, u16), initial: &str, more: &[&str]) -> Self {
        let temporary = tempfile::tempdir().expect("a folder");
        let dir = temporary.path().to_owned();
        let address = format!("127.0.0.1:{}", ports.0);
        let (client, peer) =
            (format!("{scheme}://{address}"), format!("http://127.0.0.1:{}", ports.1));
        let data = dir.join("data").display().to_string();
        let command = ["etcd", "--name", name, "--data-dir", &data]
            .into_iter()
            .chain(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .chain(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .chain(["--initial-cluster", initial])
            .chain(more.iter().copied())
            .map(str::to_owned)
            .collect();
        Self { address, command, dir, remove: false, running: None, _dir: Some(temporary) }
    }

    /// A member that is a cluster of its own, with these further arguments.
    pub(crate) fn single(scheme: &str, more: &[&str]) -> Self {
        let (client, peer) = (free_port(), free_port());
        let initial = format!("single=http://127.0.0.1:{peer}");
        let mut member = Self::prepare("single", scheme, (client, peer), &initial, more);
        member.start();
        member
    }

    /// The three members of a cluster.
    pub(crate) fn cluster() -> Vec<Self> {
        let ports = [(); 3].map(|()| (free_port(), free_port()));
        let initial: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(at, (_, peer))| format!("m{at}=http://127.0.0.1:{peer}"))
            .collect();
        let start = |(at, ports): (usize, (u16, u16))| {
            let mut member =
                Self::prepare(&format!("m{at}"), "http", ports, &initial.join(","), &[]);
            member.start();
            member
        };
        ports.into_iter().enumerate().map(start).collect()
    }

    /// Starts it, again after it was killed.
    pub(crate) fn start(&mut self) {
        assert!(self.running.is_none(), "it runs");
        let child = Command::new("sh")
            .args(["-c", UNTIL_INPUT_ENDS, "sh"])
            .arg(&self.dir)
            .arg(if self.remove { "yes" } else { "no" })
            .args(&self.command)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        self.running = Some(child);
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            drop(child.stdin.take());
            child.wait().expect("the shell's end");
        }
    }

    /// The URL of a store of its own in it.
    pub(crate) fn fresh_url(&self) -> String {
        fresh_url(&[&self.address])
    }

    /// Runs `etcdctl` on it; what it wrote, if it worked.
    pub(crate) fn try_control(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.address))
            .args(arguments)
            .output()
            .expect("etcdctl");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Runs `etcdctl` on it.
    ///
    /// # Panics
    /// When it fails.
    pub(crate) fn control(&self, arguments: &[&str]) -> String {
        self.try_control(arguments).unwrap_or_else(|said| panic!("etcdctl {arguments:?}: {said}"))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            for line in tail.iter().rev() {
                let _ = writeln!(std::io::stderr(), "{}: {line}", self.address);
            }
        }
    }
}

/// The URL of a store of its own in the cluster of these members.
pub(crate) fn fresh_url(addresses: &[&str]) -> String {
    format!("etcd://{}/test/{}", addresses.join(","), Uuid::now_v7())
}

/// The one member that all tests share which harm nobody.
pub(crate) async fn shared() -> &'static Member {
    static SHARED: OnceCell<Member> = OnceCell::const_new();
    let start = async {
        let mut member = Member::prepare_shared();
        member.start();
        open(&member.fresh_url()).await;
        member
    };
    SHARED.get_or_init(|| start).await
}

impl Member {
    /// One that nobody drops: its shell removes the folder.
    fn prepare_shared() -> Self {
        let (client, peer) = (free_port(), free_port());
        let initial = format!("shared=http://127.0.0.1:{peer}");
        let mut member = Self::prepare("shared", "http", (client, peer), &initial, &[]);
        member.remove = true;
        if let Some(dir) = member._dir.take() {
            member.dir = dir.keep();
        }
        member
    }
}

/// Opens a store, also while the cluster is starting.
pub(crate) async fn open(url: &str) -> Arc<dyn Store> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match pikoci_store::open_store(url).await {
            Ok(store) => return store,
            Err(error) if Instant::now() > deadline => panic!("{url}: {error:?}"),
            Err(_) => {}
        }
    }
}

/// All that an error and its causes say.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", chain(cause)));
    format!("{error}{}", cause.unwrap_or_default())
}

/// A key.
pub(crate) fn key(name: &str) -> Key {
    Key::new(name.to_owned()).expect("a key")
}

/// A transaction with an id of its own.
pub(crate) fn txn() -> Txn {
    Txn::new(Uuid::now_v7())
}

/// Waits until `done`, for at most a minute.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done().await {
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
