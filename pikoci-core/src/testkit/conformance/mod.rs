//! What every implementation of the engine's traits must do, as checks that
//! anyone can run against their own.
//!
//! Each module has a *case*, which says what to run and what it should come
//! to, one `async` function for each behaviour, and `run_all`. A check panics
//! when the behaviour is missing, so it belongs in a test. It needs a runtime
//! with tokio's clock, and makes directories below the system's temporary one.
//!
//! The suites for [`store`], [`pubsub`] and [`blob`] take a *fixture*, one for
//! each behaviour, which is fresh and is lost; a macro makes a test of each.
//!
//! ```
//! use std::sync::Arc;
//!
//! use pikoci_core::testkit::conformance::secret::{self, SecretCase};
//! use pikoci_core::testkit::script::{Calls, ScriptedSecret, params};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mine = ScriptedSecret::new(&Calls::new()).holds("team/db", "password", "hunter2");
//! secret::run_all(&SecretCase {
//!     secret: Arc::new(mine),
//!     params: params([("path", "team/db")]),
//!     fields: [("password".into(), "hunter2".into())].into(),
//!     missing: params([("path", "team/nothing")]),
//! })
//! .await;
//! # }
//! ```

pub mod blob;
pub mod notification;
pub mod pubsub;
pub mod resource;
pub mod runner;
pub mod secret;
pub mod service;
pub mod store;
mod suite;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::context::{BuildContext, Environment, StepContext, StepRun};
use crate::event::OutputStream;
use crate::name::{BuildId, BuildName, StepId};
use crate::pipeline::Location;
use crate::traits::{StepIo, TypeError, TypeErrorKind};

/// The longest that anything which should come to an end may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The longest that something which was told to stop may take.
pub const PROMPTLY: Duration = Duration::from_secs(15);

/// A step in a directory of its own, which goes when this is dropped.
#[derive(Debug)]
pub struct Scene {
    directory: PathBuf,
    /// What the step knows. Its polite end takes longer than [`PROMPTLY`]:
    /// what can end at once must not wait for the hard one.
    pub context: StepContext,
    /// Tells it to stop.
    pub cancel: CancellationToken,
    io: Printed,
}

impl Scene {
    /// A step that people call `name`.
    ///
    /// # Panics
    /// When its directory cannot be made.
    pub fn new(name: &str) -> Self {
        let id = Uuid::now_v7();
        let directory = std::env::temp_dir().join(format!("pikoci-conformance-{id}"));
        let workdir = directory.join("work");
        let output = directory.join("private").join("output");
        let made = std::fs::create_dir_all(&workdir)
            .and_then(|()| std::fs::create_dir_all(directory.join("private")))
            .and_then(|()| std::fs::write(&output, ""))
            // Some systems reach their temporary directory by a link.
            .and_then(|()| directory.canonicalize());
        let directory = match made {
            Ok(directory) => directory,
            Err(error) => panic!("cannot make `{}`: {error}", directory.display()),
        };
        let workdir = directory.join("work");
        let output = directory.join("private").join("output");
        let env = [
            ("BUILD_ID", id.to_string()),
            ("PIKOCI_OUTPUT", output.display().to_string()),
            ("WORKDIR", workdir.display().to_string()),
        ];
        let build_name = BuildName {
            team: "main".into(),
            pipeline: "conformance".into(),
            job: "check".into(),
            number: "1".into(),
        };
        let context = StepContext {
            build: Arc::new(BuildContext { id: BuildId(id), name: build_name, url: None }),
            step: StepId::root(0),
            name: name.into(),
            workdir,
            cache_dir: None,
            env: Environment(env.map(|(name, value)| (name.to_owned(), value)).into()),
            grace: 2 * PROMPTLY,
            detached: false,
            location: Location::default(),
        };
        let cancel = CancellationToken::new();
        let io = Printed { streams: BTreeMap::new(), cancels: None };
        Self { directory, context, cancel, io }
    }

    /// The step at work.
    pub fn step(&mut self) -> StepRun<'_> {
        StepRun::new(&self.context, &mut self.io, &self.cancel)
    }

    /// Has the step told to stop as soon as it has put out `word`.
    #[must_use]
    pub fn cancelled_at(mut self, word: &'static str) -> Self {
        self.io.cancels = Some((word, self.cancel.clone()));
        self
    }

    /// The directory it runs in.
    pub fn workdir(&self) -> &Path {
        &self.context.workdir
    }

    /// What was put out on one stream, as text.
    pub fn printed(&self, stream: OutputStream) -> String {
        let bytes = self.io.streams.get(name_of(stream)).map(Vec::as_slice).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// What was put out on all streams, one after the other, as text.
    pub fn all_printed(&self) -> String {
        self.io.streams.values().map(|bytes| String::from_utf8_lossy(bytes)).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // What cannot be removed lies in a place that the system empties.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[derive(Debug)]
struct Printed {
    streams: BTreeMap<&'static str, Vec<u8>>,
    cancels: Option<(&'static str, CancellationToken)>,
}

fn name_of(stream: OutputStream) -> &'static str {
    match stream {
        OutputStream::Stdout => "stdout",
        OutputStream::Stderr => "stderr",
        OutputStream::Engine => "engine",
    }
}

#[async_trait]
impl StepIo for Printed {
    async fn output(&mut self, stream: OutputStream, chunk: Bytes) {
        let all = self.streams.entry(name_of(stream)).or_default();
        all.extend_from_slice(&chunk);
        if let Some((word, cancel)) = &self.cancels
            && String::from_utf8_lossy(all).contains(word)
        {
            cancel.cancel();
        }
    }
}

/// What `work` comes to, which must be within `limit`.
async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what} took longer than {limit:?}"),
    }
}

/// Whether some text that shows a URL shows a password in it.
fn assert_tells_no_password(text: &str) {
    for (_, rest) in text.match_indices("://").map(|(at, found)| text.split_at(at + found.len())) {
        let end = rest.find(|end: char| end.is_whitespace() || "/?#\"".contains(end));
        let authority = &rest[..end.unwrap_or(rest.len())];
        let Some((user, _)) = authority.rsplit_once('@') else { continue };
        let password = user.split_once(':').map_or("", |(_, password)| password);
        assert!(password.chars().all(|it| it == '*'), "a URL is shown with its password: {text}");
    }
}

/// What must have worked.
fn worked<T>(what: &str, result: Result<T, TypeError>) -> T {
    match result {
        Ok(done) => done,
        Err(error) => panic!("{what} did not work: {error}"),
    }
}

/// The error that must have come, and must say something.
fn refused<T>(what: &str, result: Result<T, TypeError>) -> TypeError {
    let Err(error) = result else { panic!("{what} is no error") };
    assert!(error.kind != TypeErrorKind::Cancelled, "{what} counts as cancelled");
    assert!(!error.message.trim().is_empty(), "{what} is an error that says nothing");
    error
}

/// What was told to stop before it began may have been quick enough to be
/// done, or was cancelled; anything else is another error.
fn heard<T>(what: &str, result: Result<T, TypeError>) {
    if let Err(error) = result {
        assert!(
            error.kind == TypeErrorKind::Cancelled,
            "{what} was told to stop and said instead: {error}"
        );
    }
}
