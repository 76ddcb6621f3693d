//! The checked pipeline: what reading HCL yields and everything else works on.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::duration::text as duration_text;
use crate::name::StepId;
use crate::params::Attributes;
use crate::value::Value;

/// A place in a pipeline's text, for messages at run time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Location {
    /// The file's name, as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A whole pipeline: names resolved, expressions evaluated, `for_each` and
/// `matrix` expanded, types fetched. Only secrets and run-time names are left.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pipeline {
    /// The pipeline's slug.
    pub name: String,
    /// Declared variables, by name.
    pub variables: BTreeMap<String, Variable>,
    /// Declared and used types of resources, by name.
    pub resource_types: BTreeMap<String, ResourceTypeDecl>,
    /// Declared types of runners, by name.
    pub runner_types: BTreeMap<String, RunnerTypeDecl>,
    /// Declared types of services, by name.
    pub service_types: BTreeMap<String, ServiceTypeDecl>,
    /// Declared types of secrets, by name.
    pub secret_types: BTreeMap<String, SecretTypeDecl>,
    /// Declared types of notifications, by name.
    pub notification_types: BTreeMap<String, NotificationTypeDecl>,
    /// Resources, in the order written.
    pub resources: Vec<Resource>,
    /// Notifications, in the order written.
    pub notifications: Vec<Notification>,
    /// Jobs, in the order written; instances of a `for_each` or `matrix` in the order of their keys.
    pub jobs: Vec<Job>,
}

impl Pipeline {
    /// The job of that name.
    pub fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name == name)
    }

    /// The resource of that type and name.
    pub fn resource(&self, kind: &str, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.kind == kind && resource.name == name)
    }

    /// The notification of that type and name.
    pub fn notification(&self, kind: &str, name: &str) -> Option<&Notification> {
        self.notifications.iter().find(|it| it.kind == kind && it.name == name)
    }
}

/// A declared variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: VariableType,
    /// What it is for, for people.
    pub description: Option<String>,
    /// Its value, where it is known when the pipeline is read.
    pub value: Option<Value>,
    /// Where its value comes from at run time, where a secret backs it and
    /// nothing of higher precedence gave a value.
    pub secret: Option<SecretRef>,
    /// Where it is declared.
    pub location: Location,
}

/// The type of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VariableType {
    /// A text.
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// Whatever the default is: a list or an object.
    Any,
}

/// Where a secret-backed variable's value comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecretRef {
    /// The secret type's name.
    pub secret_type: String,
    /// The attributes of the `secret` block, such as `path`.
    pub params: Attributes,
    /// The field of the answer that is the value, a text; without it, the answer must have one field.
    pub key: Option<Value>,
}

/// A command of a type or a step: which runner, with which attributes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandBlock {
    /// The runner's name.
    pub runner: String,
    /// Its attributes.
    pub params: Attributes,
    /// Where it is written.
    pub location: Location,
}

/// Where the commands of a type come from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TypeOrigin {
    /// The `source` as written, where there is one.
    pub source: Option<String>,
    /// The SHA-256 of what `source` fetched, in hex.
    pub sha256: Option<String>,
    /// The built-in implementation in code that stands behind this type, where
    /// HCL has no commands for it (`pikoci://cron`).
    pub built_in: Option<String>,
    /// Where the declaration stands.
    pub location: Location,
}

/// A `resource_type`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ResourceTypeDecl {
    /// Where it comes from.
    pub origin: TypeOrigin,
    /// Accepted parameters; `None` accepts any.
    pub params: Option<Vec<String>>,
    /// Finds versions.
    pub check: Option<CommandBlock>,
    /// Fetches a version.
    pub pull: Option<CommandBlock>,
    /// Puts a version.
    pub push: Option<CommandBlock>,
    /// Where all its commands run instead.
    pub runner: Option<CommandBlock>,
    /// Whether its commands get a persistent `$CACHE_DIR`.
    pub cache: bool,
}

/// A `runner_type`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunnerTypeDecl {
    /// Where it comes from.
    pub origin: TypeOrigin,
    /// Accepted parameters; `None` accepts any.
    pub params: Option<Vec<String>>,
    /// The program, with `$WORKDIR` and `$param` to expand.
    pub path: Value,
    /// Its arguments, likewise.
    pub args: Vec<Value>,
    /// Its environment, likewise.
    pub env: Attributes,
}

/// A `service_type`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ServiceTypeDecl {
    /// Where it comes from.
    pub origin: TypeOrigin,
    /// Accepted parameters; `None` accepts any.
    pub params: Option<Vec<String>>,
    /// Starts it.
    pub start: Option<CommandBlock>,
    /// Tells whether it is ready (exit 0).
    pub ready_check: Option<ReadyCheck>,
    /// Stops it.
    pub stop: Option<CommandBlock>,
    /// Where all its commands run instead.
    pub runner: Option<CommandBlock>,
}

/// How a service's readiness is found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadyCheck {
    /// The command; exit 0 says ready.
    pub command: CommandBlock,
    /// Time between two tries.
    #[serde(with = "duration_text")]
    pub interval: Duration,
    /// Time after which the service counts as not coming up.
    #[serde(with = "duration_text")]
    pub timeout: Duration,
}

/// A `secret_type`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SecretTypeDecl {
    /// Where it comes from.
    pub origin: TypeOrigin,
    /// Attributes of the declaration itself, such as `address`; passed with every request.
    pub attributes: Attributes,
    /// Prints the secret as a JSON object on its last line.
    pub get: Option<CommandBlock>,
    /// Where it runs instead.
    pub runner: Option<CommandBlock>,
}

/// A `notification_type`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NotificationTypeDecl {
    /// Where it comes from.
    pub origin: TypeOrigin,
    /// Accepted parameters; `None` accepts any.
    pub params: Option<Vec<String>>,
    /// Sends it.
    pub notify: Option<CommandBlock>,
    /// Where it runs instead.
    pub runner: Option<CommandBlock>,
}

/// A `resource`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Its type's name.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its own name.
    pub name: String,
    /// Its parameters.
    pub params: Attributes,
    /// When it is checked: `@every 1m`, a cron expression or `never`.
    pub check_interval: String,
    /// Longest time of a check.
    #[serde(with = "duration_text::option")]
    pub check_timeout: Option<Duration>,
    /// Tags a worker must carry to check it.
    pub tags: Vec<String>,
    /// Whether its commands get a persistent `$CACHE_DIR`.
    pub cache: bool,
    /// Whether it can be checked by a webhook.
    pub webhook: bool,
    /// A name of an icon, for the page.
    pub icon: Option<String>,
    /// Whether its versions are visible without an account when the pipeline is public.
    pub public_versions: bool,
    /// Where it is declared.
    pub location: Location,
}

/// A `notification`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Its type's name.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its own name.
    pub name: String,
    /// Its parameters.
    pub params: Attributes,
    /// The text to send, with run-time names.
    pub message: Option<Value>,
    /// When it is sent by itself.
    pub on: Vec<NotifyOn>,
    /// Only for builds of these jobs; empty means all.
    pub jobs: Vec<String>,
    /// Not for builds of these jobs.
    pub exclude: Vec<String>,
    /// Where it is declared.
    pub location: Location,
}

/// What a notification is sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifyOn {
    /// A build succeeded.
    Success,
    /// A build failed.
    Failure,
    /// A build errored.
    Error,
    /// A build was cancelled.
    Cancel,
    /// A build did not succeed and the one before it did.
    Broken,
    /// A build succeeded and the one before it did not.
    Fixed,
    /// Any end.
    All,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its name; for an instance of a `for_each` or `matrix`, `job--key`.
    pub name: String,
    /// Which instance of which written job this is.
    pub instance: Option<Instance>,
    /// Builds of it that may run at once; 0 means no limit.
    pub concurrency: u32,
    /// Jobs that share one of these names never run at the same time.
    pub serial_groups: Vec<String>,
    /// Longest time of its plan.
    #[serde(with = "duration_text::option")]
    pub timeout: Option<Duration>,
    /// Tags a worker must carry.
    pub tags: Vec<String>,
    /// Whether a newer build cancels older ones.
    pub interruptible: bool,
    /// Whether a failure becomes a warning.
    pub allow_failure: bool,
    /// Whether its builds cannot be run again.
    pub disable_retry: bool,
    /// Whether people cannot start it.
    pub disable_manual_trigger: bool,
    /// Whether it runs at all.
    pub enabled: bool,
    /// Whether it starts again when its worker was lost.
    pub retry_on_worker_loss: bool,
    /// What of its history is kept.
    pub retention: Option<Retention>,
    /// Whether its logs are visible without an account when the pipeline is public.
    pub public: bool,
    /// Values asked for at a manual trigger.
    pub inputs: Vec<JobInput>,
    /// Approvals its builds wait for.
    pub approvals: Vec<Approval>,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// What runs when its steps have ended.
    pub hooks: Hooks,
    /// Where it is declared.
    pub location: Location,
}

impl Job {
    /// Every `get` of this job, hooks included, in plan order.
    pub fn gets(&self) -> Vec<(&Step, &Get)> {
        let mut out = Vec::new();
        self.visit(&mut |step| {
            if let StepKind::Get(get) = &step.kind {
                out.push((step, get));
            }
        });
        out
    }

    /// Every `put` of this job, hooks included, in plan order.
    pub fn puts(&self) -> Vec<(&Step, &Put)> {
        let mut out = Vec::new();
        self.visit(&mut |step| {
            if let StepKind::Put(put) = &step.kind {
                out.push((step, put));
            }
        });
        out
    }

    /// Calls `f` with every step, those inside others and in hooks included, in plan order.
    pub fn visit<'a>(&'a self, f: &mut dyn FnMut(&'a Step)) {
        for step in &self.steps {
            step.visit(f);
        }
        self.hooks.visit(f);
    }
}

/// Which instance of a written job a job is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// The name of the job as written.
    pub job: String,
    /// `each.key`.
    pub key: String,
    /// `each.value`.
    pub value: Value,
}

/// What of a job's history is kept; what `passed` or a pin needs is kept anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retention {
    /// The newest so many builds.
    pub builds: Option<u32>,
    /// Builds of the last so many days.
    pub days: Option<u32>,
    /// At least so many succeeded builds.
    pub succeeded: Option<u32>,
}

/// A value asked for at a manual trigger; steps see it as `INPUT_name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobInput {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: VariableType,
    /// What it is for.
    pub description: Option<String>,
    /// The value when none is given; without it, one must be.
    pub default: Option<Value>,
    /// The only values allowed; empty allows any.
    pub options: Vec<String>,
    /// Whether several of the options may be given, separated by commas.
    pub multiple: bool,
    /// Where it is declared.
    pub location: Location,
}

/// An approval that builds wait for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// What is approved.
    pub label: String,
    /// How many people must approve.
    pub approvals: u32,
    /// How long it waits.
    #[serde(with = "duration_text::option")]
    pub timeout: Option<Duration>,
    /// Where it is declared.
    pub location: Location,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its place in the plan.
    pub id: StepId,
    /// What it does.
    #[serde(flatten)]
    pub kind: StepKind,
    /// Longest time of one attempt.
    #[serde(with = "duration_text::option")]
    pub timeout: Option<Duration>,
    /// How many times it is tried, at least 1.
    pub attempts: u32,
    /// What runs after its last attempt.
    pub hooks: Hooks,
    /// Where it is written.
    pub location: Location,
}

impl Step {
    /// The name people see: `get app`, `task unit`, `service postgres`, `in_parallel`…
    pub fn title(&self) -> String {
        match &self.kind {
            StepKind::Get(get) => format!("get {}", get.name),
            StepKind::Task(task) => format!("task {}", task.name),
            StepKind::Put(put) => format!("put {}", put.name),
            StepKind::Service(service) => format!("service {}", service.kind),
            StepKind::Notify(notify) => format!("notify {}", notify.name),
            StepKind::InParallel { .. } => "in_parallel".into(),
            StepKind::Do { .. } => "do".into(),
            StepKind::Try { .. } => "try".into(),
            StepKind::If { .. } => "if".into(),
        }
    }

    /// Calls `f` with this step and every step in it and in its hooks, in plan order.
    pub fn visit<'a>(&'a self, f: &mut dyn FnMut(&'a Step)) {
        f(self);
        for step in self.children() {
            step.visit(f);
        }
        self.hooks.visit(f);
    }

    /// The steps directly inside this one, in order, of every branch.
    pub fn children(&self) -> Vec<&Step> {
        match &self.kind {
            StepKind::InParallel { steps, .. }
            | StepKind::Do { steps }
            | StepKind::Try { steps } => steps.iter().collect(),
            StepKind::If { branches, otherwise } => {
                branches.iter().flat_map(|branch| &branch.steps).chain(otherwise).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum StepKind {
    /// Fetches a version.
    Get(Get),
    /// Runs a command.
    Task(Task),
    /// Pushes a version.
    Put(Put),
    /// Starts a service.
    Service(Service),
    /// Sends a notification.
    Notify(Notify),
    /// Runs steps at the same time.
    InParallel {
        /// How many at once; 0 means all.
        limit: u32,
        /// Whether the first failure cancels the rest.
        fail_fast: bool,
        /// The steps.
        steps: Vec<Step>,
    },
    /// Runs steps one after the other.
    Do {
        /// The steps.
        steps: Vec<Step>,
    },
    /// Runs steps one after the other and goes on after a failure.
    Try {
        /// The steps.
        steps: Vec<Step>,
    },
    /// Runs the first branch whose condition holds.
    If {
        /// `if` and every `else_if`, in order.
        branches: Vec<Branch>,
        /// `else`.
        otherwise: Vec<Step>,
    },
}

/// One branch of an `if`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// When it is taken.
    pub condition: Condition,
    /// What it runs.
    pub steps: Vec<Step>,
}

/// A `get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Get {
    /// The resource's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The resource's name.
    pub name: String,
    /// Whether a new version starts the job.
    pub trigger: bool,
    /// Jobs the version must have passed; instances are named each.
    pub passed: Vec<String>,
    /// Which version.
    pub version: VersionChoice,
    /// Parameters of this `get`; they go over those of the resource.
    pub params: Attributes,
    /// Only versions that touch these paths count (globs).
    pub paths: Vec<String>,
    /// Versions that touch only these paths do not count (globs).
    pub ignore_paths: Vec<String>,
}

/// Which version a `get` takes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionChoice {
    /// The newest.
    #[default]
    Latest,
    /// Each, one after the other.
    Every,
    /// The newest that has these fields.
    Pinned(Attributes),
}

/// A `task`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// What it runs.
    pub run: CommandBlock,
    /// Paths in the working directory that must exist before.
    pub inputs: Vec<String>,
    /// Paths in the working directory that must exist after.
    pub outputs: Vec<String>,
    /// Environment variables of its own.
    pub env: Attributes,
    /// The directory it runs in, below the working directory.
    pub dir: Option<Value>,
}

/// A `put`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Put {
    /// The resource's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The resource's name.
    pub name: String,
    /// What it pushes.
    pub params: Attributes,
}

/// A `service`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// The service type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its parameters.
    pub params: Attributes,
}

/// A `notify`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notify {
    /// The notification's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The notification's name.
    pub name: String,
    /// What it says, `message` among it; goes over the notification's own.
    pub params: Attributes,
}

/// What runs after a step or a job, by how it ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Hooks {
    /// After success.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_success: Vec<Hook>,
    /// After a failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<Hook>,
    /// After a cancellation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_cancel: Vec<Hook>,
    /// After an error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_error: Vec<Hook>,
    /// After anything, last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ensure: Vec<Hook>,
}

impl Hooks {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// Every hook with the name of its kind, in the order they would run.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Hook)> {
        [
            ("on_success", &self.on_success),
            ("on_failure", &self.on_failure),
            ("on_cancel", &self.on_cancel),
            ("on_error", &self.on_error),
            ("ensure", &self.ensure),
        ]
        .into_iter()
        .flat_map(|(name, hooks)| hooks.iter().map(move |hook| (name, hook)))
    }

    /// Calls `f` with every step of every hook.
    pub fn visit<'a>(&'a self, f: &mut dyn FnMut(&'a Step)) {
        for (_, hook) in self.all() {
            if let HookBody::Steps(steps) = &hook.body {
                for step in steps {
                    step.visit(f);
                }
            }
        }
    }
}

/// One hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    /// Its place in the plan, such as `2.on_failure` (`2.on_failure_1` for a second one).
    pub id: StepId,
    /// What it runs.
    pub body: HookBody,
    /// Whether its failure fails the build.
    pub fail_build: bool,
    /// Where it is written.
    pub location: Location,
}

/// What a hook runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookBody {
    /// A command.
    Run(CommandBlock),
    /// Steps, one after the other.
    Steps(Vec<Step>),
}
