//! Jobs and steps in few words, and a build of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::script::{
    Calls, ScriptedNotification, ScriptedResource, ScriptedRunner, ScriptedSecret, ScriptedService,
};
use super::world::{ManualClock, MemoryEvents, MemoryJournal, MemoryWorkspace};
use crate::clock::Clock as _;
use crate::condition::Condition;
use crate::context::BuildContext;
use crate::event::{BuildView, EventKind};
use crate::name::{BuildId, BuildName, StepId};
use crate::params::Attributes;
use crate::pipeline::{
    Branch, CommandBlock, Get, Hook, HookBody, Hooks, Job, Location, Notification, Notify,
    Pipeline, Put, Resource, Service, Step, StepKind, Task, VersionChoice,
};
use crate::plan::{Begun, BuildResult, BuildSpec, Cancellation, Host, ResumeAt, execute};
use crate::types::Types;
use crate::value::Value;
use crate::version::Version;

fn step(kind: StepKind) -> Step {
    Step {
        id: StepId::root(0),
        kind,
        timeout: None,
        attempts: 1,
        hooks: Hooks::default(),
        location: Location::default(),
    }
}

/// A command that the runner `scripted` plays by name.
pub fn command(name: &str) -> CommandBlock {
    CommandBlock {
        runner: "scripted".into(),
        params: Attributes::from([("cmd".into(), name.into())]),
        location: Location::default(),
    }
}

/// A task whose command has the task's name.
pub fn task(name: &str) -> Step {
    step(StepKind::Task(Task {
        name: name.into(),
        run: command(name),
        inputs: Vec::new(),
        outputs: Vec::new(),
        env: Attributes::new(),
        dir: None,
    }))
}

/// A get of the resource of that name and of type `scripted`.
pub fn get(name: &str) -> Step {
    step(StepKind::Get(Get {
        kind: "scripted".into(),
        name: name.into(),
        trigger: false,
        passed: Vec::new(),
        version: VersionChoice::Latest,
        params: Attributes::new(),
        paths: Vec::new(),
        ignore_paths: Vec::new(),
    }))
}

/// A put to the resource of that name and of type `scripted`.
pub fn put(name: &str) -> Step {
    step(StepKind::Put(Put {
        kind: "scripted".into(),
        name: name.into(),
        params: Attributes::new(),
    }))
}

/// A service of that type.
pub fn service(kind: &str) -> Step {
    step(StepKind::Service(Service { kind: kind.into(), params: Attributes::new() }))
}

/// A notify of the notification of that name and of type `scripted`.
pub fn notify(name: &str) -> Step {
    step(StepKind::Notify(Notify {
        kind: "scripted".into(),
        name: name.into(),
        params: Attributes::new(),
    }))
}

/// An `in_parallel`.
pub fn in_parallel(limit: u32, fail_fast: bool, steps: Vec<Step>) -> Step {
    step(StepKind::InParallel { limit, fail_fast, steps })
}

/// A `do`.
pub fn sequence(steps: Vec<Step>) -> Step {
    step(StepKind::Do { steps })
}

/// A `try`.
pub fn attempt(steps: Vec<Step>) -> Step {
    step(StepKind::Try { steps })
}

/// An `if` with its branches and its `else`.
///
/// # Panics
/// When a condition is none.
pub fn when(branches: Vec<(&str, Vec<Step>)>, otherwise: Vec<Step>) -> Step {
    let branches = branches
        .into_iter()
        .map(|(condition, steps)| Branch {
            condition: Condition::parse(condition).expect("a test's condition is one"),
            steps,
        })
        .collect();
    step(StepKind::If { branches, otherwise })
}

impl Step {
    /// The same with a timeout.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same with so many attempts.
    #[must_use]
    pub fn tried(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The same with a hook.
    #[must_use]
    pub fn hooked(mut self, kind: &str, body: HookBody) -> Self {
        add_hook(&mut self.hooks, kind, body, false);
        self
    }
}

/// Adds a hook of the kind (`on_failure`…).
///
/// # Panics
/// When there is no such kind.
pub fn add_hook(hooks: &mut Hooks, kind: &str, body: HookBody, fail_build: bool) {
    let list = match kind {
        "on_success" => &mut hooks.on_success,
        "on_failure" => &mut hooks.on_failure,
        "on_cancel" => &mut hooks.on_cancel,
        "on_error" => &mut hooks.on_error,
        "ensure" => &mut hooks.ensure,
        other => panic!("`{other}` is no hook"),
    };
    list.push(Hook { id: StepId::new(kind), body, fail_build, location: Location::default() });
}

/// A hook's body that is a command which the runner `scripted` plays by name.
pub fn run(name: &str) -> HookBody {
    HookBody::Run(command(name))
}

/// A job of these steps, with their ids set.
pub fn job(name: &str, mut steps: Vec<Step>) -> Job {
    number(&mut steps, None);
    Job {
        name: name.into(),
        instance: None,
        concurrency: 0,
        serial_groups: Vec::new(),
        timeout: None,
        tags: Vec::new(),
        interruptible: false,
        allow_failure: false,
        disable_retry: false,
        disable_manual_trigger: false,
        enabled: true,
        retry_on_worker_loss: false,
        retention: None,
        public: false,
        inputs: Vec::new(),
        approvals: Vec::new(),
        steps,
        hooks: Hooks::default(),
        location: Location::default(),
    }
}

/// Gives steps, and everything in them, their ids.
fn number(steps: &mut [Step], parent: Option<&StepId>) {
    for (index, step) in steps.iter_mut().enumerate() {
        step.id = match parent {
            Some(parent) => parent.child(index),
            None => StepId::root(index),
        };
        let id = step.id.clone();
        match &mut step.kind {
            StepKind::InParallel { steps, .. }
            | StepKind::Do { steps }
            | StepKind::Try { steps } => number(steps, Some(&id)),
            StepKind::If { branches, otherwise } => {
                for (index, branch) in branches.iter_mut().enumerate() {
                    number(&mut branch.steps, Some(&id.child(index)));
                }
                number(otherwise, Some(&id.child("else")));
            }
            _ => {}
        }
        number_hooks(&mut step.hooks, Some(&id));
    }
}

/// Gives hooks, and everything in them, their ids.
pub fn number_hooks(hooks: &mut Hooks, parent: Option<&StepId>) {
    let lists = [
        ("on_success", &mut hooks.on_success),
        ("on_failure", &mut hooks.on_failure),
        ("on_cancel", &mut hooks.on_cancel),
        ("on_error", &mut hooks.on_error),
        ("ensure", &mut hooks.ensure),
    ];
    for (kind, list) in lists {
        for (index, hook) in list.iter_mut().enumerate() {
            let part = if index == 0 { kind.to_owned() } else { format!("{kind}_{index}") };
            hook.id = parent.map_or_else(|| StepId::new(&part), |parent| parent.child(&part));
            if let HookBody::Steps(steps) = &mut hook.body {
                number(steps, Some(&hook.id));
            }
        }
    }
}

/// A world of doubles in which a job can be run: runner, resource,
/// notification and secret type `scripted`, and service types as added.
#[derive(Debug, Clone)]
pub struct World {
    /// Every call of every double.
    pub calls: Calls,
    /// The events of the last build.
    pub events: MemoryEvents,
    /// Its files.
    pub workspace: MemoryWorkspace,
    /// Its journal.
    pub journal: MemoryJournal,
    /// Its clock.
    pub clock: ManualClock,
    /// What the pipeline's names stand for.
    pub types: Types,
    /// The pipeline; [`World::run`] puts the job in.
    pub pipeline: Pipeline,
    /// The versions of gets; every resource added with [`World::resource`] has one.
    pub inputs: BTreeMap<String, Version>,
    /// Whether gets without a version are checked for one.
    pub check_missing: bool,
    /// The values of the job's inputs.
    pub input_values: BTreeMap<String, String>,
    /// How the build before ended.
    pub previous: Option<crate::status::Status>,
    /// Where the beginning of the log is written already.
    pub begun: Option<Begun>,
    /// Where the build goes on.
    pub resume: Option<ResumeAt>,
    /// Ends the build.
    pub cancel: Cancellation,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A world in which everything succeeds.
    pub fn new() -> Self {
        let calls = Calls::new();
        let workspace = MemoryWorkspace::new();
        let types = Types::new()
            .runner("scripted", ScriptedRunner::new(&calls))
            .resource_type("scripted", ScriptedResource::new(&calls))
            .secret_type("scripted", ScriptedSecret::new(&calls))
            .notification_type("scripted", ScriptedNotification::new(&calls));
        Self {
            calls,
            events: MemoryEvents::new(),
            workspace,
            journal: MemoryJournal::new(),
            clock: ManualClock::new(),
            types,
            pipeline: Pipeline { name: "app".into(), ..Pipeline::default() },
            inputs: BTreeMap::new(),
            check_missing: false,
            input_values: BTreeMap::new(),
            previous: None,
            begun: None,
            resume: None,
            cancel: Cancellation::new(),
        }
    }

    /// Changes the runner.
    #[must_use]
    pub fn runner(mut self, change: impl FnOnce(ScriptedRunner) -> ScriptedRunner) -> Self {
        let runner = ScriptedRunner::new(&self.calls).in_workspace(&self.workspace);
        self.types = self.types.runner("scripted", change(runner));
        self
    }

    /// Changes the resource type.
    #[must_use]
    pub fn resource_type(
        mut self,
        change: impl FnOnce(ScriptedResource) -> ScriptedResource,
    ) -> Self {
        let kind = ScriptedResource::new(&self.calls).in_workspace(&self.workspace);
        self.types = self.types.resource_type("scripted", change(kind));
        self
    }

    /// Adds a service type.
    #[must_use]
    pub fn service_type(
        mut self,
        name: &str,
        change: impl FnOnce(ScriptedService) -> ScriptedService,
    ) -> Self {
        let kind = ScriptedService::new(&self.calls).in_workspace(&self.workspace);
        self.types = self.types.service_type(name, change(kind));
        self
    }

    /// Changes the secret type.
    #[must_use]
    pub fn secret_type(mut self, change: impl FnOnce(ScriptedSecret) -> ScriptedSecret) -> Self {
        let kind = ScriptedSecret::new(&self.calls).in_workspace(&self.workspace);
        self.types = self.types.secret_type("scripted", change(kind));
        self
    }

    /// Changes the notification type.
    #[must_use]
    pub fn notification_type(
        mut self,
        change: impl FnOnce(ScriptedNotification) -> ScriptedNotification,
    ) -> Self {
        let kind = ScriptedNotification::new(&self.calls).in_workspace(&self.workspace);
        self.types = self.types.notification_type("scripted", change(kind));
        self
    }

    /// Declares a resource of type `scripted` with a version `ref = v1`.
    #[must_use]
    pub fn resource(mut self, name: &str, params: &[(&str, Value)]) -> Self {
        self.inputs.insert(name.into(), Version::from_pairs([("ref", "v1")]));
        self.pipeline.resources.push(Resource {
            kind: "scripted".into(),
            name: name.into(),
            params: params.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
            check_interval: "never".into(),
            check_timeout: None,
            tags: Vec::new(),
            cache: false,
            webhook: false,
            icon: None,
            public_versions: false,
            location: Location::default(),
        });
        self
    }

    /// Declares a notification of type `scripted`.
    #[must_use]
    pub fn notification(mut self, name: &str, change: impl FnOnce(&mut Notification)) -> Self {
        let mut notification = Notification {
            kind: "scripted".into(),
            name: name.into(),
            params: Attributes::new(),
            message: None,
            on: Vec::new(),
            jobs: Vec::new(),
            exclude: Vec::new(),
            location: Location::default(),
        };
        change(&mut notification);
        self.pipeline.notifications.push(notification);
        self
    }

    /// Runs a job to its end.
    pub async fn run(&self, job: Job) -> BuildResult {
        let name = BuildName {
            team: "main".into(),
            pipeline: self.pipeline.name.clone(),
            job: job.name.clone(),
            number: "7".into(),
        };
        let mut pipeline = self.pipeline.clone();
        pipeline.jobs.push(job);
        let build = BuildSpec {
            context: BuildContext { id: BuildId(self.clock.id()), name, url: None },
            pipeline: Arc::new(pipeline),
            inputs: self.inputs.clone(),
            check_missing: self.check_missing,
            input_values: self.input_values.clone(),
            attempt: 1,
            previous: self.previous,
            begun: self.begun,
            resume: self.resume.clone(),
        };
        execute(&build, &self.host(), &self.cancel).await
    }

    /// What builds and checks run in.
    pub fn host(&self) -> Host {
        Host {
            types: Arc::new(self.types.clone()),
            events: Arc::new(self.events.clone()),
            clock: Arc::new(self.clock.clone()),
            workspace: Arc::new(self.workspace.clone()),
            journal: Arc::new(self.journal.clone()),
            grace: Duration::from_secs(1),
            worker: "test".into(),
            env: BTreeMap::new(),
        }
    }

    /// The build as its events tell it.
    pub fn view(&self) -> BuildView {
        let mut view = BuildView::default();
        for event in self.events.all() {
            view.apply(&event);
        }
        view
    }

    /// One line for each step that was told, in the order first told: name and
    /// how it ended.
    pub fn steps(&self) -> Vec<String> {
        let view = self.view();
        view.steps
            .iter()
            .map(|step| {
                let status = step.status.map_or("running".to_owned(), |it| it.to_string());
                format!("{} {status}", step.name)
            })
            .collect()
    }

    /// Everything a step put out, as text.
    pub fn output(&self, step: &str) -> String {
        let mut out = Vec::new();
        for event in self.events.all() {
            if let EventKind::StepOutput { step: id, data, .. } = event.kind
                && id.as_str() == step
            {
                out.extend_from_slice(&data.0);
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }
}
