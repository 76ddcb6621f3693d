//! What the tests of this crate share: a step to run things in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pikoci_core::context::{BuildContext, Environment, StepContext, StepRun};
use pikoci_core::event::OutputStream;
use pikoci_core::name::{BuildId, BuildName, StepId};
use pikoci_core::params::Params;
use pikoci_core::pipeline::{CommandBlock, Location};
use pikoci_core::{StepIo, Value};
use tokio_util::sync::CancellationToken;

/// A working directory with a step in it.
pub(crate) struct Bench {
    _dir: tempfile::TempDir,
    pub(crate) workdir: PathBuf,
    pub(crate) context: StepContext,
    pub(crate) cancel: CancellationToken,
    pub(crate) io: Collect,
}

impl Bench {
    /// A step that people call `name`.
    pub(crate) fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let workdir = dir.path().join("work");
        std::fs::create_dir(&workdir).unwrap();
        let build = BuildId(uuid::Uuid::now_v7());
        let context = StepContext {
            build: Arc::new(BuildContext { id: build, name: build_name(), url: None }),
            step: StepId::root(0),
            name: name.into(),
            workdir: workdir.clone(),
            cache_dir: None,
            env: Environment(
                [
                    ("WORKDIR", workdir.to_str().unwrap().to_owned()),
                    ("BUILD_ID", build.to_string()),
                ]
                .map(|(key, value)| (key.to_owned(), value))
                .into(),
            ),
            grace: Duration::from_secs(2),
            detached: false,
            location: Location::default(),
        };
        let cancel = CancellationToken::new();
        Self { _dir: dir, workdir, context, cancel, io: Collect::default() }
    }

    /// The step at work.
    pub(crate) fn step(&mut self) -> StepRun<'_> {
        StepRun::new(&self.context, &mut self.io, &self.cancel)
    }
}

/// Keeps what a step prints.
#[derive(Debug, Default)]
pub(crate) struct Collect(pub(crate) Vec<(OutputStream, u8)>);

impl Collect {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.iter().map(|it| it.1).collect()).unwrap()
    }
}

#[async_trait]
impl StepIo for Collect {
    async fn output(&mut self, stream: OutputStream, chunk: Bytes) {
        self.0.extend(chunk.iter().map(|byte| (stream, *byte)));
    }
}

pub(crate) fn build_name() -> BuildName {
    BuildName {
        team: "main".into(),
        pipeline: "app".into(),
        job: "test".into(),
        number: "1".into(),
    }
}

/// Parameters of texts.
pub(crate) fn params(pairs: &[(&str, &str)]) -> Params {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::string(*value))).collect()
}

/// A block of a shell script.
pub(crate) fn shell(cmd: &str) -> CommandBlock {
    CommandBlock {
        runner: "shell".into(),
        params: [("cmd".to_owned(), Value::string(cmd))].into(),
        location: Location::default(),
    }
}

/// Runs `git` in a directory, as somebody with a name, and answers its output.
pub(crate) fn git(directory: &Path, args: &[&str]) -> String {
    let out = std::process::Command::new("git")
        .args([
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.org",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(args)
        .current_dir(directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// The pipeline that `text` describes.
pub(crate) fn pipeline(text: &str) -> pikoci_core::Pipeline {
    use pikoci_core::language::{ReadOptions, read};
    let catalog = crate::catalog();
    let files = vec![("pipeline.hcl".into(), text.into())];
    let outcome = read(files, &ReadOptions::new("app", &catalog));
    let diagnostics = outcome.diagnostics;
    outcome.pipeline.unwrap_or_else(|| panic!("{diagnostics:#?}"))
}
