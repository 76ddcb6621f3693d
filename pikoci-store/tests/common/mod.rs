//! What the tests of several backends share.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::io::Write;
use std::time::{Duration, Instant};

pub mod load;
pub mod proxy;
pub mod servers;
pub mod sql;

/// What the environment variable `name` says; without it, says that `what` is skipped.
pub fn needs(what: &str, name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        // Print macros are captured.
        let _ = writeln!(std::io::stderr(), "skipped: {what} needs {name}");
    }
    value
}

/// Waits until `condition` holds, half a minute at most.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition().await {
        assert!(Instant::now() < deadline, "{what}: it never came to that");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
