//! Servers that a test starts itself, so that it can kill them.
#![allow(dead_code, reason = "which backends are built is chosen by features")]

use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// A server on a free port of loopback; killed when it is dropped.
pub(crate) struct Server {
    program: String,
    arguments: Vec<String>,
    pub(crate) port: u16,
    /// Where it may keep things.
    pub(crate) directory: TempDir,
    process: Option<Child>,
}

impl Server {
    /// Starts `program`. In its arguments `PORT` and `DIR` stand for the port
    /// that it is to listen on, and its directory.
    pub(crate) async fn start(program: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let port = free_port().await;
        let path = directory.path().display().to_string();
        let arguments = arguments
            .iter()
            .map(|argument| argument.replace("PORT", &port.to_string()).replace("DIR", &path))
            .collect();
        let mut server =
            Self { program: program.to_owned(), arguments, port, directory, process: None };
        server.start_again().await;
        server
    }

    /// Starts it where it was.
    pub(crate) async fn start_again(&mut self) {
        let process = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the program is installed");
        self.process = Some(process);
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "`{}` never came", self.program);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills it without a chance to say goodbye.
    pub(crate) async fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().await.expect("it is killed");
    }
}

/// A port that is free now.
pub(crate) async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// The body of what a server on loopback answers over HTTP.
pub(crate) async fn http_get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned())
}
