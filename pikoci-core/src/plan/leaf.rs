//! The steps that do something: get, task, put, notify, and the commands of hooks.

use std::path::PathBuf;

use super::environment::Scope;
use super::exports::{ExportsError, MAX_EXPORTS_BYTES, parse};
use super::interpret::{Run, guarded, unwound};
use super::outcome::Outcome;
use super::recorder::Output;
use super::resolve::{Resolver, Secrets, expand};
use super::stop::Stop;
use crate::context::{StepContext, StepRun};
use crate::duration::exact;
use crate::event::EventKind;
use crate::name::{BuildName, StepId, env_name};
use crate::params::Attributes;
use crate::pipeline::{
    CommandBlock, Get, Hook, Location, Notification, Put, Resource, Step, StepKind, Task,
};
use crate::status::Status;
use crate::traits::{Exit, StepIo, Workspace};
use crate::value::Value;

/// What a leaf comes to: nothing, or why it did not succeed.
pub(super) type Work<T = ()> = Result<T, Outcome>;

/// What one attempt of a leaf has at hand.
pub(super) struct Bench<'a, 'b> {
    pub(super) context: StepContext,
    pub(super) io: &'b mut Output<'a>,
    pub(super) stop: &'b Stop,
    pub(super) secrets: &'b Secrets<'a>,
}

impl Bench<'_, '_> {
    pub(super) fn step(&mut self) -> StepRun<'_> {
        StepRun::new(&self.context, self.io, self.stop.token()).with_secrets(self.secrets)
    }
}

/// The key of the directory that a resource with `cache = true` keeps on a worker.
pub fn cache_key(build: &BuildName, resource: &Resource) -> String {
    format!("{}.{}.{}.{}", build.team, build.pipeline, resource.kind, resource.name)
}

impl<'r> Run<'r> {
    /// Awaits the work of a leaf: a panic, a cancellation and one that never
    /// comes back become outcomes.
    pub(super) async fn settle(&self, stop: &Stop, work: impl Future<Output = Work>) -> Outcome {
        let work = Box::pin(work);
        let work = unwound(async { work.await.err().unwrap_or_else(Outcome::succeeded) });
        let Some(mut outcome) = stop.bounded(self.host.grace, work).await else {
            return Outcome::errored(format!(
                "it was told to stop ({}) and did not come back in time",
                stop.reason()
            ));
        };
        if stop.is_cancelled() && !outcome.is_ok() {
            outcome.status = Status::Cancelled;
            outcome.reason = Some(stop.reason());
        } else if outcome.status == Status::Cancelled {
            outcome.status = Status::Errored;
            outcome.reason = Some("it ended as if cancelled, though nothing was".into());
        }
        outcome
    }

    pub(super) fn bench<'b>(
        &'b self,
        id: StepId,
        name: String,
        location: &Location,
        scope: &Scope,
        io: &'b mut Output<'r>,
        stop: &'b Stop,
    ) -> Bench<'r, 'b> {
        let context = self.context_of(id, name, location, scope);
        Bench { context, io, stop, secrets: &self.secrets }
    }

    pub(super) fn context_of(
        &self,
        id: StepId,
        name: String,
        location: &Location,
        scope: &Scope,
    ) -> StepContext {
        StepContext {
            build: self.context.clone(),
            step: id,
            name,
            workdir: self.host.workspace.root().to_path_buf(),
            cache_dir: None,
            env: scope.environment(),
            grace: self.host.grace,
            detached: false,
            location: location.clone(),
        }
    }

    pub(super) fn step_run<'b>(
        &'b self,
        context: &'b StepContext,
        io: &'b mut dyn StepIo,
        stop: &'b Stop,
    ) -> StepRun<'b> {
        StepRun::new(context, io, stop.token()).with_secrets(&self.secrets)
    }

    pub(super) fn resolver(&self) -> Resolver<'_> {
        self.secrets.resolver()
    }

    /// One attempt of a get, task, put or notify.
    pub(super) async fn leaf(&self, step: &Step, scope: &mut Scope, stop: &Stop) -> Outcome {
        let mut io = Output::new(&self.recorder, step.id.clone());
        let work = async {
            let bench =
                self.bench(step.id.clone(), step.title(), &step.location, scope, &mut io, stop);
            match &step.kind {
                StepKind::Get(get) => self.get(step, get, bench, scope).await,
                StepKind::Task(task) => self.task(task, bench, scope).await,
                StepKind::Put(put) => self.put(step, put, bench).await,
                StepKind::Notify(notify) => {
                    let declared = self.spec.pipeline.notification(&notify.kind, &notify.name);
                    let declared = declared.ok_or_else(|| {
                        Outcome::errored(format!(
                            "no notification `{}` of type `{}` is declared",
                            notify.name, notify.kind
                        ))
                    })?;
                    self.notify(declared, &notify.params, bench).await
                }
                _ => Ok(()),
            }
        };
        let outcome = self.settle(stop, work).await;
        io.flush().await;
        outcome
    }

    /// The command of a hook.
    pub(super) async fn hook_command(
        &self,
        hook: &Hook,
        name: &str,
        command: &CommandBlock,
        scope: &Scope,
        stop: &Stop,
    ) -> Outcome {
        let mut io = Output::new(&self.recorder, hook.id.clone());
        let work = async {
            let bench =
                self.bench(hook.id.clone(), name.to_owned(), &hook.location, scope, &mut io, stop);
            // What a hook writes to `$PIKOCI_OUTPUT` is for nobody.
            self.command(command, bench).await.map(drop)
        };
        let outcome = self.settle(stop, work).await;
        io.flush().await;
        outcome
    }

    pub(super) fn resource(&self, kind: &str, name: &str) -> Work<&Resource> {
        self.spec.pipeline.resource(kind, name).ok_or_else(|| {
            Outcome::errored(format!("no resource `{name}` of type `{kind}` is declared"))
        })
    }

    pub(super) fn use_cache(&self, resource: &Resource, context: &mut StepContext) -> Work {
        let of_type = self.spec.pipeline.resource_types.get(&resource.kind);
        if !resource.cache && !of_type.is_some_and(|declared| declared.cache) {
            return Ok(());
        }
        let key = cache_key(&context.build.name, resource);
        let dir = self.host.workspace.cache_dir(&key).map_err(|error| {
            Outcome::errored(format!("the cache directory cannot be made: {error}"))
        })?;
        if let Some(dir) = dir {
            context.env.0.insert("CACHE_DIR".into(), dir.to_string_lossy().into_owned());
            context.cache_dir = Some(dir);
        }
        Ok(())
    }

    async fn get(
        &self,
        step: &Step,
        get: &Get,
        mut bench: Bench<'_, '_>,
        scope: &mut Scope,
    ) -> Work {
        let resource = self.resource(&get.kind, &get.name)?;
        let kind = self.host.types.resource_types.get(&get.kind).ok_or_else(|| {
            Outcome::errored(format!("there is no resource type `{}` here", get.kind))
        })?;
        let version = self.input(&get.name).ok_or_else(|| {
            Outcome::errored(format!("no version of `{}` was chosen for this build", get.name))
        })?;
        self.use_cache(resource, &mut bench.context)?;
        let mut attributes = resource.params.clone();
        attributes.extend(get.params.clone());
        let mut run = bench.step();
        let params =
            self.resolver().expanded(&attributes, &mut run).await.map_err(Outcome::broken)?;
        let metadata = kind.pull(&mut run, &params, version).await.map_err(Outcome::broken)?;
        self.emit(EventKind::VersionFetched {
            step: step.id.clone(),
            resource: format!("{}.{}", get.kind, get.name),
            version: self.recorder.mask_version(version),
            metadata: self.recorder.mask_map(&metadata),
        })
        .await;
        self.fetched(&get.name, version);
        scope.set_version(&get.name, version);
        Ok(())
    }

    async fn put(&self, step: &Step, put: &Put, mut bench: Bench<'_, '_>) -> Work {
        let resource = self.resource(&put.kind, &put.name)?;
        let kind = self.host.types.resource_types.get(&put.kind).ok_or_else(|| {
            Outcome::errored(format!("there is no resource type `{}` here", put.kind))
        })?;
        self.use_cache(resource, &mut bench.context)?;
        let mut run = bench.step();
        let mut resolver = self.resolver();
        let params =
            resolver.expanded(&resource.params, &mut run).await.map_err(Outcome::broken)?;
        let says = resolver.expanded(&put.params, &mut run).await.map_err(Outcome::broken)?;
        let made = kind.push(&mut run, &params, &says).await.map_err(Outcome::refused)?;
        if let Some(version) = made {
            let resource = format!("{}.{}", put.kind, put.name);
            self.emit(EventKind::VersionMade {
                step: step.id.clone(),
                resource: resource.clone(),
                version: self.recorder.mask_version(&version),
            })
            .await;
            self.made(resource, version);
        }
        Ok(())
    }

    /// Sends what `notification` says with `says` over it.
    pub(super) async fn notify(
        &self,
        notification: &Notification,
        says: &Attributes,
        mut bench: Bench<'_, '_>,
    ) -> Work {
        let kind = self.host.types.notification_types.get(&notification.kind).ok_or_else(|| {
            Outcome::errored(format!("there is no notification type `{}` here", notification.kind))
        })?;
        let mut says = says.clone();
        if let Some(message) = &notification.message {
            says.entry("message".into()).or_insert_with(|| message.clone());
        }
        if let Some(message) = says.get_mut("message") {
            // Before names are expanded: the newlines are the author's.
            *message = message.map_texts(&|text| text.replace("\\n", "\n"));
        }
        if let Some(status) = bench.context.env.0.get("BUILD_STATUS") {
            says.entry("status".into()).or_insert_with(|| Value::from(status.as_str()));
        }
        let mut run = bench.step();
        let mut resolver = self.resolver();
        let params =
            resolver.expanded(&notification.params, &mut run).await.map_err(Outcome::broken)?;
        let says = resolver.expanded(&says, &mut run).await.map_err(Outcome::broken)?;
        kind.notify(&mut run, &params, &says).await.map_err(Outcome::refused)
    }

    async fn task(&self, task: &Task, mut bench: Bench<'_, '_>, scope: &mut Scope) -> Work {
        for input in &task.inputs {
            let path = expand(input, &|name| scope.lookup(name));
            if !self.exists(&path)? {
                return Err(Outcome::errored(format!(
                    "the declared input `{path}` does not exist"
                )));
            }
        }
        let mut resolver = self.resolver();
        if !task.env.is_empty() {
            let env =
                resolver.expanded(&task.env, &mut bench.step()).await.map_err(Outcome::broken)?;
            for (name, value) in env.iter() {
                bench.context.env.0.insert(name.to_owned(), value.to_text().unwrap_or_default());
            }
        }
        if let Some(dir) = &task.dir {
            let dir = Attributes::from([("dir".to_owned(), dir.clone())]);
            let dir = resolver.expanded(&dir, &mut bench.step()).await.map_err(Outcome::broken)?;
            if let Some(dir) = dir.text("dir") {
                bench.context.workdir = self.host.workspace.directory(&dir).map_err(|error| {
                    Outcome::errored(format!("the task cannot run in `{dir}`: {error}"))
                })?;
            }
        }
        let step = bench.context.step.clone();
        let written = self.command(&task.run, bench).await?;
        for output in &task.outputs {
            let path = expand(output, &|name| scope.lookup(name));
            if !self.exists(&path)? {
                return Err(Outcome::failed(format!(
                    "the declared output `{path}` does not exist"
                )));
            }
        }
        let prefix = format!("TASK_{}", env_name(&task.name));
        self.export(&step, &prefix, self.exports(&written)?, scope).await;
        Ok(())
    }

    fn exists(&self, path: &str) -> Work<bool> {
        self.host
            .workspace
            .exists(path)
            .map_err(|error| Outcome::errored(format!("`{path}` cannot be looked at: {error}")))
    }

    /// The values in what a command wrote to `$PIKOCI_OUTPUT`.
    pub(super) fn exports(
        &self,
        written: &[u8],
    ) -> Work<std::collections::BTreeMap<String, String>> {
        parse(written).map_err(|error: ExportsError| Outcome::errored(error.to_string()))
    }

    /// Sets variables for later steps and tells them.
    pub(super) async fn export(
        &self,
        step: &StepId,
        prefix: &str,
        values: impl IntoIterator<Item = (String, String)>,
        scope: &mut Scope,
    ) {
        for (key, value) in values {
            let name = format!("{prefix}_{}", env_name(&key));
            self.emit(EventKind::VariableExported {
                step: step.clone(),
                name: name.clone(),
                value: self.recorder.mask(&value),
            })
            .await;
            scope.set(name, value);
        }
    }

    /// Gives a command a file to write variables to.
    pub(super) fn output_file(&self, context: &mut StepContext) -> Work<OutputFile<'_>> {
        let workspace = self.host.workspace.as_ref();
        let path = workspace.create_output_file(&context.step).map_err(|error| {
            Outcome::errored(format!("the file for `$PIKOCI_OUTPUT` cannot be made: {error}"))
        })?;
        context.env.0.insert("PIKOCI_OUTPUT".into(), path.to_string_lossy().into_owned());
        Ok(OutputFile { workspace, path: Some(path) })
    }

    /// Runs a command block to its end; gives what it wrote to `$PIKOCI_OUTPUT`.
    async fn command(&self, command: &CommandBlock, mut bench: Bench<'_, '_>) -> Work<Vec<u8>> {
        let runner = self.host.types.runners.get(&command.runner).ok_or_else(|| {
            Outcome::errored(format!("there is no runner `{}` here", command.runner))
        })?;
        let params = self
            .resolver()
            .params(&command.params, &mut bench.step())
            .await
            .map_err(Outcome::broken)?;
        let file = self.output_file(&mut bench.context)?;
        let ended = runner.run(&mut bench.step(), &params).await;
        match ended.map_err(Outcome::broken)? {
            Exit::Code(0) => file.take().map_err(|error| {
                Outcome::errored(format!("`$PIKOCI_OUTPUT` cannot be read: {error}"))
            }),
            Exit::Code(code) => {
                let mut outcome = Outcome::failed(format!("exit code {code}"));
                outcome.exit_code = Some(code);
                Err(outcome)
            }
            Exit::Signal(signal) => Err(Outcome::failed(format!("ended by signal {signal}"))),
            Exit::Cancelled => Err(Outcome::cancelled(bench.stop.reason())),
        }
    }

    /// Why what runs after something else is ended when that was cancelled.
    pub(super) fn overdue(limit: std::time::Duration) -> String {
        format!("it took longer than {}", exact(limit))
    }
}

/// A file that a command writes variables to; taken or not, it is removed in the end.
pub(super) struct OutputFile<'a> {
    workspace: &'a dyn Workspace,
    path: Option<PathBuf>,
}

impl OutputFile<'_> {
    /// What was written, at most one byte more than allowed.
    pub(super) fn take(mut self) -> std::io::Result<Vec<u8>> {
        match self.path.take() {
            Some(path) => self.workspace.take_output_file(&path, MAX_EXPORTS_BYTES),
            None => Ok(Vec::new()),
        }
    }
}

impl Drop for OutputFile<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // Taking removes it; what a command that did not succeed wrote is for nobody.
            let _ = self.workspace.take_output_file(&path, 0);
        }
    }
}

/// The same as [`guarded`] for outcomes.
pub(super) fn guarded_work<T>(what: &str, call: impl FnOnce() -> std::io::Result<T>) -> Work<T> {
    guarded(call).map_err(|problem| Outcome::errored(format!("{what}: {problem}")))
}
