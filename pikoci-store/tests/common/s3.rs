//! An S3 server in this process, over a temporary directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, RetryConfig};
use pikoci_core::BlobStore;
use pikoci_store::blob::ObjectBlobStore;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) const BUCKET: &str = "blobs";
pub(crate) const KEY: &str = "TESTKEY";
pub(crate) const SECRET: &str = "test-secret";

/// A running server.
pub(crate) struct Server {
    port: u16,
    directory: TempDir,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// Connections are closed without an answer.
    refuse: AtomicBool,
    /// Parts are not taken.
    hold: watch::Sender<bool>,
    /// Uploads are not completed.
    hold_ends: watch::Sender<bool>,
    held: AtomicUsize,
    /// So many more questions for an object's length are not answered.
    mute_heads: AtomicUsize,
}

impl Server {
    pub(crate) async fn start() -> Self {
        // What opens by URL does this by itself.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join(BUCKET)).expect("a bucket");
        let files = s3s_fs::FileSystem::new(directory.path()).expect("a server's directory");
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State::default());
        let accepting = tokio::spawn(accept(listener, service.build(), state.clone()));
        Self { port, directory, state, accepting }
    }

    /// Ends it with all its connections.
    pub(crate) async fn stop(mut self) {
        self.accepting.abort();
        assert!((&mut self.accepting).await.is_err_and(|error| error.is_cancelled()));
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A client that is quick to give up.
    pub(crate) fn blobs(&self, prefix: &str) -> Arc<dyn BlobStore> {
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(1),
                max_backoff: Duration::from_millis(10),
                base: 2.0,
            },
            max_retries: 2,
            retry_timeout: Duration::from_secs(5),
        };
        let store = AmazonS3Builder::new()
            .with_bucket_name(BUCKET)
            .with_endpoint(self.endpoint())
            .with_allow_http(true)
            .with_access_key_id(KEY)
            .with_secret_access_key(SECRET)
            .with_retry(retry)
            .build()
            .expect("a client");
        Arc::new(ObjectBlobStore::new(format!("s3://{BUCKET}"), Arc::new(store), prefix))
    }

    pub(crate) fn refuse(&self, refuse: bool) {
        self.state.refuse.store(refuse, Ordering::SeqCst);
    }

    pub(crate) fn hold_parts(&self, hold: bool) {
        self.state.hold.send_replace(hold);
    }

    /// Uploads are not completed.
    pub(crate) fn hold_ends(&self, hold: bool) {
        self.state.hold_ends.send_replace(hold);
    }

    /// The next questions for the length of an object are not answered.
    pub(crate) fn mute_heads(&self, count: usize) {
        self.state.mute_heads.store(count, Ordering::SeqCst);
    }

    /// How many parts, and ends of uploads, are held up.
    pub(crate) fn held(&self) -> impl Fn() -> usize + Send + use<> {
        let state = self.state.clone();
        move || state.held.load(Ordering::SeqCst)
    }

    /// The objects below a name.
    pub(crate) fn objects(&self, below: &str) -> Vec<String> {
        names(&self.directory.path().join(BUCKET).join(below))
    }

    /// All that the server keeps: objects, parts, records of uploads.
    pub(crate) fn everything(&self) -> Vec<String> {
        names(self.directory.path())
    }

    pub(crate) fn watch(&self) -> impl Fn() -> Vec<String> + Send + use<> {
        let path = self.directory.path().to_owned();
        move || names(&path)
    }

    pub(crate) fn overwrite(&self, name: &str, bytes: &[u8]) {
        fs::write(self.directory.path().join(BUCKET).join(name), bytes).expect("it is written");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries: Vec<PathBuf> = match fs::read_dir(directory) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => return Vec::new(),
    };
    entries
        .into_iter()
        .flat_map(|path| match path.is_dir() {
            true => names(&path),
            false => vec![path.display().to_string()],
        })
        .collect()
}

async fn accept(listener: TcpListener, service: S3Service, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        connections.spawn(serve(connection, service.clone(), state.clone()));
    }
}

async fn serve(connection: TcpStream, service: S3Service, state: Arc<State>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, state) = (service.clone(), state.clone());
        async move {
            if state.refuse.load(Ordering::SeqCst) {
                return Err(io::Error::other("refused"));
            }
            let query = request.uri().query().unwrap_or_default();
            let fewer = |left: usize| left.checked_sub(1);
            if request.method() == Method::HEAD
                && state.mute_heads.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer).is_ok()
            {
                return Err(io::Error::other("no answer"));
            }
            if request.method() == Method::POST && query.contains("uploadId=") {
                state.held.fetch_add(1, Ordering::SeqCst);
                let _ = state.hold_ends.subscribe().wait_for(|hold| !hold).await;
                state.held.fetch_sub(1, Ordering::SeqCst);
            }
            if request.method() == Method::PUT && query.contains("partNumber=") {
                state.held.fetch_add(1, Ordering::SeqCst);
                let _ = state.hold.subscribe().wait_for(|hold| !hold).await;
                state.held.fetch_sub(1, Ordering::SeqCst);
            }
            service
                .call(request.map(s3s::Body::from))
                .await
                .map_err(|error| io::Error::other(format!("{error:?}")))
        }
    });
    // A client that goes away in the middle is no matter.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), answer).await;
}
