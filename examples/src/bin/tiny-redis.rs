//! A key-value server of the size of a page that speaks enough of the Redis
//! protocol to stand in for it, and a client for both.
//!
//! It needs nothing but the standard library, so that the example pipeline can
//! build it with `rustc` alone: `rustc -O tiny-redis.rs`.
//!
//! ```text
//! tiny-redis free-port          prints a port nobody listens on
//! tiny-redis serve PORT         serves until SHUTDOWN
//! tiny-redis PORT WORD…         sends one command, prints the answer
//! ```

use std::collections::HashMap;
use std::env;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["free-port"] => free_port(),
        ["serve", port] => serve(port),
        [port, command @ ..] if !command.is_empty() => send(port, command),
        _ => Err(io::Error::other("usage: tiny-redis free-port | serve PORT | PORT WORD…")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "tiny-redis: {error}");
            ExitCode::FAILURE
        }
    }
}

fn free_port() -> io::Result<()> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    writeln!(io::stdout(), "{port}")
}

fn serve(port: &str) -> io::Result<()> {
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    let store = Arc::new(Mutex::new(HashMap::new()));
    for stream in listener.incoming() {
        let (stream, store) = (stream?, Arc::clone(&store));
        thread::spawn(move || {
            // A client that goes away in the middle is none of the server's business.
            let _ = answer(stream, &store);
        });
    }
    Ok(())
}

fn answer(stream: TcpStream, store: &Mutex<HashMap<String, String>>) -> io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream.take(1 << 20)).lines();
    while let Some(line) = lines.next().transpose()? {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = match words.as_slice() {
            ["PING"] => "+PONG\r\n".to_owned(),
            ["SET", key, value] => {
                store.insert((*key).to_owned(), (*value).to_owned());
                "+OK\r\n".to_owned()
            }
            ["GET", key] => match store.get(*key) {
                Some(value) => format!("${}\r\n{value}\r\n", value.len()),
                None => "$-1\r\n".to_owned(),
            },
            ["SHUTDOWN", ..] => std::process::exit(0),
            _ => "-ERR unknown command\r\n".to_owned(),
        };
        out.write_all(reply.as_bytes())?;
    }
    Ok(())
}

fn send(port: &str, words: &[&str]) -> io::Result<()> {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("{}\r\n", words.join(" ")).as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    // A bulk answer has its length on a line of its own; people want the value.
    let value = reply.lines().find(|line| !line.starts_with('$')).unwrap_or_default();
    writeln!(io::stdout(), "{}", value.trim_start_matches('+'))?;
    if value.starts_with('-') { Err(io::Error::other("the server refused")) } else { Ok(()) }
}
