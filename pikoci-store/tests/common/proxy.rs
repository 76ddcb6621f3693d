//! A TCP proxy on loopback that cuts, holds back and counts.
//!
//! It stands between a client and a real server, so that a test can break the
//! connection at a chosen byte of a call.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Request,
    /// From the server to the client.
    Answer,
}

/// A proxy; ends, and cuts all its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Counts the cuts: a connection ends when it changes.
    cuts: watch::Sender<u64>,
    /// Connections with smaller numbers are held back.
    held: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    target: String,
    refuse: bool,
    /// The way and how many more bytes may go it.
    cut_after: Option<(Direction, u64)>,
    connections: u64,
    requests: u64,
    received: u64,
    bytes: [u64; 2],
}

impl Proxy {
    /// A proxy on a free port, before the server at `target` (`host:port`).
    pub async fn start(target: impl Into<String>) -> Self {
        let state = State { target: target.into(), ..State::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            cuts: watch::Sender::new(0),
            held: watch::Sender::new(0),
        });
        let accepting = Arc::clone(&shared);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(Arc::clone(&accepting), client));
            }
        });
        Self { address, shared, listening }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads new connections to the server at `target`; those there are stay
    /// where they are.
    pub fn lead_to(&self, target: impl Into<String>) {
        self.shared.state().target = target.into();
    }

    /// Cuts all connections; new ones are taken.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Cuts all connections when `bytes` more have gone `direction`, counted
    /// over all of them; none beyond these go. Once; a later call replaces it.
    pub fn cut_after(&self, direction: Direction, bytes: u64) {
        self.shared.state().cut_after = Some((direction, bytes));
    }

    /// Whether the cut of [`cut_after`](Self::cut_after) is still to come.
    pub fn cut_is_due(&self) -> bool {
        self.shared.state().cut_after.is_some()
    }

    /// Whether new connections are closed at once.
    pub fn refuse(&self, refuse: bool) {
        self.shared.state().refuse = refuse;
    }

    /// Whether bytes are held back, both ways. What a client that is gone
    /// meanwhile had sent still goes to the server afterwards.
    pub fn hold(&self, hold: bool) {
        self.shared.held.send_replace(if hold { u64::MAX } else { 0 });
    }

    /// Holds back what goes over the connections there are; those that are
    /// made from now on go freely.
    pub fn hold_present(&self) {
        self.shared.held.send_replace(self.connections());
    }

    /// How many bytes came from clients so far, those held back included.
    pub fn received(&self) -> u64 {
        self.shared.state().received
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> u64 {
        self.shared.state().connections
    }

    /// How often a client began to send after an answer, or first: the round
    /// trips so far, those that make a connection included.
    pub fn round_trips(&self) -> u64 {
        self.shared.state().requests
    }

    /// How many bytes went `direction` so far.
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.shared.state().bytes[direction as usize]
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.shared.cut();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// How many of `length` bytes may go `direction`.
    fn pass(&self, direction: Direction, length: usize, turned: bool) -> usize {
        let mut state = self.state();
        let allowed = match &mut state.cut_after {
            Some((way, left)) if *way == direction => {
                let allowed = length.min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= allowed as u64;
                allowed
            }
            _ => length,
        };
        state.bytes[direction as usize] += allowed as u64;
        if direction == Direction::Request && turned && allowed > 0 {
            state.requests += 1;
        }
        allowed
    }

    /// Cuts when the bytes of `cut_after` have gone.
    fn cut_if_due(&self) {
        let mut state = self.state();
        if matches!(state.cut_after, Some((_, 0))) {
            state.cut_after = None;
            drop(state);
            self.cut();
        }
    }
}

/// Serves one client until one side ends or the connection is cut.
async fn connect(shared: Arc<Shared>, client: TcpStream) {
    let cuts = shared.cuts.subscribe();
    let (number, target) = {
        let mut state = shared.state();
        if state.refuse {
            return;
        }
        state.connections += 1;
        (state.connections - 1, state.target.clone())
    };
    let Ok(server) = TcpStream::connect(&target).await else { return };
    for socket in [&client, &server] {
        socket.set_nodelay(true).expect("an open socket");
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // True while the server has the word, so that the next request is a new one.
    let answered = Arc::new(Mutex::new(true));
    let requests = pump(
        Arc::clone(&shared),
        (number, Direction::Request),
        Arc::clone(&answered),
        cuts.clone(),
        from_client,
        to_server,
    );
    let answers = pump(shared, (number, Direction::Answer), answered, cuts, from_server, to_client);
    tokio::join!(requests, answers);
}

/// Carries the bytes of one way.
async fn pump(
    shared: Arc<Shared>,
    (number, direction): (u64, Direction),
    answered: Arc<Mutex<bool>>,
    mut cuts: watch::Receiver<u64>,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
) {
    let mut held = shared.held.subscribe();
    let mut buffer = vec![0; 64 * 1024];
    let carry = async {
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            if direction == Direction::Request {
                shared.state().received += read as u64;
            }
            if held.wait_for(|held| *held <= number).await.is_err() {
                break;
            }
            let answer = direction == Direction::Answer;
            let before = std::mem::replace(&mut *answered.lock().expect("not poisoned"), answer);
            let allowed = shared.pass(direction, read, before);
            let written = to.write_all(&buffer[..allowed]).await;
            shared.cut_if_due();
            if allowed < read {
                // Nothing may go after what is missing.
                return;
            }
            if written.is_err() {
                break;
            }
        }
        // The other side may have more to say.
        let _ = to.shutdown().await;
    };
    tokio::select! {
        () = carry => {}
        _ = cuts.changed() => {}
    }
}
