//! Servers that a test starts itself, each in a directory of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::net::TcpStream;
use url::Url;

use super::{eventually, free_port};

/// Users that servers run as where a test runs as root, which they refuse to.
const POSTGRES_USER: &str = "postgres";
const MYSQL_USER: &str = "mysql";

/// A server that is killed when it is dropped.
#[derive(Debug)]
struct Server {
    child: Option<Child>,
    port: u16,
    directory: TempDir,
}

impl Server {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { child: None, port: free_port(), directory }
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts it, and again until it stays and listens.
    async fn run(&mut self, mut command: Command) {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let address = self.address();
        eventually("the server listens", async || {
            let ended = match &mut self.child {
                Some(child) => child.try_wait().expect("our own child").is_some(),
                None => true,
            };
            if ended {
                // After a crash what is left of the last one may be in the way.
                self.child = Some(command.spawn().expect("it starts"));
            }
            TcpStream::connect(address).await.is_ok()
        })
        .await;
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether this process is root.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("`id` runs");
    id.stdout == b"0\n"
}

/// `program`, as `user` where this is root.
fn as_user(user: &str, program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([format!("--reuid={user}"), format!("--regid={user}")])
        .args(["--clear-groups", "--"])
        .arg(program);
    command
}

/// Lets `user` have the directory where this is root.
fn give(user: &str, directory: &Path) {
    if is_root() {
        let done = Command::new("chown").arg(user).arg(directory).status().expect("`chown` runs");
        assert!(done.success());
    }
}

/// Runs to the end.
fn prepare(mut command: Command) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A PostgreSQL server.
#[derive(Debug)]
pub struct PostgresServer {
    server: Server,
    programs: PathBuf,
}

impl PostgresServer {
    /// Starts one whose programs are in the directory `programs`.
    pub async fn start(programs: &str) -> Self {
        let server = Server::new();
        give(POSTGRES_USER, server.directory.path());
        let programs = PathBuf::from(programs);
        let mut make = as_user(POSTGRES_USER, &programs.join("initdb"));
        make.args(["--auth=trust", "--username=ci", "--no-sync", "-D"]).arg(server.path("data"));
        prepare(make);
        let mut started = Self { server, programs };
        started.run().await;
        started
    }

    /// Where it is. Its one user may connect without a password.
    pub fn url(&self) -> Url {
        let url = format!("postgres://ci@{}/postgres?ssl-mode=disable", self.server.address());
        url.parse().expect("a URL")
    }

    /// Kills it and starts it again.
    pub async fn crash(&mut self) {
        self.server.kill();
        self.run().await;
    }

    async fn run(&mut self) {
        let mut command = as_user(POSTGRES_USER, &self.programs.join("postgres"));
        command
            .args(["-h", "127.0.0.1", "-p", &self.server.port.to_string(), "-D"])
            .arg(self.server.path("data"))
            .arg("-k")
            .arg(self.server.directory.path());
        self.server.run(command).await;
    }
}

/// A MariaDB server.
#[derive(Debug)]
pub struct MariaDbServer {
    server: Server,
    programs: PathBuf,
    settings: Vec<&'static str>,
}

impl MariaDbServer {
    /// Starts one whose server program is in the directory `programs`.
    pub async fn start(programs: &str, settings: &[&'static str]) -> Self {
        let server = Server::new();
        give(MYSQL_USER, server.directory.path());
        let mut make = as_user(MYSQL_USER, Path::new("mariadb-install-db"));
        make.args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .arg(format!("--datadir={}", server.path("data").display()))
            .arg(format!("--tmpdir={}", server.directory.path().display()));
        prepare(make);
        let mut started =
            Self { server, programs: PathBuf::from(programs), settings: settings.to_vec() };
        started.run().await;
        started
    }

    /// Where it is. Its user may connect without a password.
    pub fn url(&self) -> Url {
        let url = format!("mariadb://root@{}/test?ssl-mode=disabled", self.server.address());
        url.parse().expect("a URL")
    }

    /// Kills it and starts it again.
    pub async fn crash(&mut self) {
        self.server.kill();
        self.run().await;
    }

    async fn run(&mut self) {
        let mut command = as_user(MYSQL_USER, &self.programs.join("mariadbd"));
        command
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .arg(format!("--port={}", self.server.port))
            .arg(format!("--datadir={}", self.server.path("data").display()))
            .arg(format!("--socket={}", self.server.path("socket").display()))
            .arg(format!("--pid-file={}", self.server.path("pid").display()))
            .arg(format!("--tmpdir={}", self.server.directory.path().display()))
            .args(&self.settings);
        self.server.run(command).await;
    }
}

/// A PgBouncer that gives each transaction one of two connections to a server.
#[derive(Debug)]
pub struct PgBouncer {
    server: Server,
}

impl PgBouncer {
    /// Starts one before the server at `url`.
    pub async fn start(url: &Url) -> Self {
        let mut server = Server::new();
        give(POSTGRES_USER, server.directory.path());
        let name = url.path().trim_start_matches('/');
        let host = url.host_str().expect("a host");
        let (port, user) = (url.port().unwrap_or(5432), url.username());
        let settings = format!(
            "[databases]\n\
             {name} = host={host} port={port} dbname={name} user={user}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {}\n\
             unix_socket_dir =\n\
             auth_type = any\n\
             pool_mode = transaction\n\
             default_pool_size = 2\n",
            server.port
        );
        std::fs::write(server.path("pgbouncer.ini"), settings).expect("it is written");
        let mut command = as_user(POSTGRES_USER, Path::new("/usr/sbin/pgbouncer"));
        command.arg(server.path("pgbouncer.ini"));
        server.run(command).await;
        Self { server }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }
}
