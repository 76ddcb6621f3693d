//! Prints a checked pipeline back as HCL: everything evaluated, instances of
//! `for_each` and `matrix` written out, fetched types in place.
//!
//! Reading what is printed yields the same pipeline again, but for places in
//! the text. Values with a secret in them are printed as templates over
//! `var.NAME`, run-time names as they stand.

mod value;

use std::time::Duration;

use crate::duration::exact;
use crate::params::Attributes;
use crate::pipeline::{
    CommandBlock, Hook, HookBody, Hooks, Job, JobInput, Notification, NotifyOn, Pipeline, Resource,
    SecretRef, Step, StepKind, Task, TypeOrigin, Variable, VariableType, VersionChoice,
};
use crate::value::Value;
use value::{is_identifier, quoted};

/// The pipeline as HCL that reads back as the same pipeline.
pub fn expand(pipeline: &Pipeline) -> String {
    let mut out = Printer::default();
    for (name, variable) in &pipeline.variables {
        out.variable(name, variable);
    }
    for (name, it) in &pipeline.secret_types {
        out.declared("secret_type", name, &it.origin, |out| {
            out.attributes(&it.attributes);
            out.command("get", it.get.as_ref());
            out.command("runner", it.runner.as_ref());
        });
    }
    for (name, it) in &pipeline.runner_types {
        out.declared("runner_type", name, &it.origin, |out| {
            out.accepted(it.params.as_deref());
            out.block("run", &[], |out| {
                out.attribute("path", &it.path);
                out.list("args", &it.args);
                out.object("env", &it.env);
            });
        });
    }
    for (name, it) in &pipeline.resource_types {
        out.declared("resource_type", name, &it.origin, |out| {
            out.accepted(it.params.as_deref());
            out.flag("cache", it.cache);
            out.command("check", it.check.as_ref());
            out.command("pull", it.pull.as_ref());
            out.command("push", it.push.as_ref());
            out.command("runner", it.runner.as_ref());
        });
    }
    for (name, it) in &pipeline.service_types {
        out.declared("service_type", name, &it.origin, |out| {
            out.accepted(it.params.as_deref());
            out.command("start", it.start.as_ref());
            if let Some(check) = &it.ready_check {
                out.block("ready_check", &[&check.command.runner], |out| {
                    out.duration("interval", Some(check.interval));
                    out.duration("timeout", Some(check.timeout));
                    out.attributes(&check.command.params);
                });
            }
            out.command("stop", it.stop.as_ref());
            out.command("runner", it.runner.as_ref());
        });
    }
    for (name, it) in &pipeline.notification_types {
        out.declared("notification_type", name, &it.origin, |out| {
            out.accepted(it.params.as_deref());
            out.command("notify", it.notify.as_ref());
            out.command("runner", it.runner.as_ref());
        });
    }
    for resource in &pipeline.resources {
        let cached =
            pipeline.resource_types.get(&resource.kind).is_some_and(|declared| declared.cache);
        out.resource(resource, cached);
    }
    for notification in &pipeline.notifications {
        out.notification(notification);
    }
    for job in &pipeline.jobs {
        out.job(job);
    }
    out.text
}

/// Text as it grows, with the depth of the block it is in.
#[derive(Debug, Default)]
struct Printer {
    text: String,
    depth: usize,
    /// The last thing written was a line of an attribute.
    after_attribute: bool,
}

impl Printer {
    fn line(&mut self, line: &str) {
        self.text.push_str(&"  ".repeat(self.depth));
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A block; one that stands alone is set off by an empty line.
    fn block(&mut self, word: &str, labels: &[&str], body: impl FnOnce(&mut Self)) {
        let opens = self.text.is_empty() || self.text.ends_with("{\n");
        let after_comment = self.text.lines().last().is_some_and(|line| line.starts_with('#'));
        if !opens
            && !after_comment
            && (self.depth == 0 || self.after_attribute || self.text.ends_with("}\n"))
        {
            self.text.push('\n');
        }
        let labels: String = labels.iter().map(|label| format!(" {}", quoted(label))).collect();
        self.line(&format!("{word}{labels} {{"));
        let start = self.text.len();
        self.depth += 1;
        self.after_attribute = false;
        body(self);
        self.depth -= 1;
        self.after_attribute = false;
        if self.text.len() == start {
            self.text.truncate(start - 2);
            self.text.push_str("{}\n");
        } else {
            self.line("}");
        }
    }

    fn attribute(&mut self, name: &str, value: &Value) {
        let value = value::expression(value, self.depth);
        self.line(&format!("{name} = {value}"));
        self.after_attribute = true;
    }

    fn text_attribute(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.attribute(name, &Value::from(text));
        }
    }

    /// A flag, where it is set.
    fn flag(&mut self, name: &str, value: bool) {
        if value {
            self.attribute(name, &Value::Bool(true));
        }
    }

    /// A number, where it is not `usual`.
    fn number(&mut self, name: &str, value: u32, usual: u32) {
        if value != usual {
            self.attribute(name, &Value::from(i64::from(value)));
        }
    }

    fn duration(&mut self, name: &str, value: Option<Duration>) {
        if let Some(value) = value {
            self.attribute(name, &Value::from(exact(value)));
        }
    }

    /// A list, where it is not empty.
    fn list(&mut self, name: &str, items: &[Value]) {
        if !items.is_empty() {
            self.attribute(name, &Value::List(items.to_vec()));
        }
    }

    fn texts(&mut self, name: &str, items: &[String]) {
        let items: Vec<Value> = items.iter().map(|item| Value::from(item.as_str())).collect();
        self.list(name, &items);
    }

    /// An object, where it is not empty.
    fn object(&mut self, name: &str, object: &Attributes) {
        if !object.is_empty() {
            self.attribute(name, &Value::Object(object.clone()));
        }
    }

    /// Each as an attribute of its own; what cannot be one goes into `params`.
    fn attributes(&mut self, attributes: &Attributes) {
        for (name, value) in attributes {
            self.attribute(name, value);
        }
    }

    /// A `params` block, or an attribute where names ask for it.
    fn params(&mut self, params: &Attributes) {
        if params.is_empty() {
            return;
        }
        if params.keys().all(|name| is_identifier(name)) {
            self.block("params", &[], |out| out.attributes(params));
        } else {
            self.object("params", params);
        }
    }

    fn accepted(&mut self, params: Option<&[String]>) {
        if let Some(params) = params {
            let params = params.iter().map(|name| Value::from(name.as_str())).collect();
            self.attribute("params", &Value::List(params));
        }
    }

    fn command(&mut self, word: &str, command: Option<&CommandBlock>) {
        if let Some(command) = command {
            self.block(word, &[&command.runner], |out| out.attributes(&command.params));
        }
    }

    /// A type's declaration. What was fetched says where from.
    fn declared(
        &mut self,
        word: &str,
        name: &str,
        origin: &TypeOrigin,
        body: impl FnOnce(&mut Self),
    ) {
        if let (Some(source), None) = (&origin.source, &origin.built_in) {
            if !self.text.is_empty() {
                self.text.push('\n');
            }
            let digest =
                origin.sha256.as_ref().map(|it| format!(" #sha256={it}")).unwrap_or_default();
            let source: String = source.chars().filter(|c| !c.is_control()).collect();
            self.line(&format!("# from {source}{digest}"));
        }
        self.block(word, &[name], |out| match &origin.built_in {
            Some(built_in) => {
                out.text_attribute("source", Some(&format!("pikoci://{built_in}")));
            }
            None => body(out),
        });
    }

    fn variable(&mut self, name: &str, variable: &Variable) {
        self.block("variable", &[name], |out| {
            if variable.kind != VariableType::Any {
                out.line(&format!("type = {}", type_name(variable.kind)));
                out.after_attribute = true;
            }
            out.text_attribute("description", variable.description.as_deref());
            if let Some(value) = &variable.value {
                out.attribute("default", value);
            }
            if let Some(SecretRef { secret_type, params, key }) = &variable.secret {
                out.block("secret", &[secret_type], |out| {
                    out.attributes(params);
                    if let Some(key) = key {
                        out.attribute("key", key);
                    }
                });
            }
        });
    }

    fn resource(&mut self, resource: &Resource, cached: bool) {
        self.block("resource", &[&resource.kind, &resource.name], |out| {
            out.text_attribute("check_interval", Some(&resource.check_interval));
            out.duration("check_timeout", resource.check_timeout);
            out.texts("tags", &resource.tags);
            if resource.cache != cached {
                out.attribute("cache", &Value::Bool(resource.cache));
            }
            out.flag("webhook", resource.webhook);
            out.text_attribute("icon", resource.icon.as_deref());
            out.flag("public_versions", resource.public_versions);
            out.params(&resource.params);
        });
    }

    fn notification(&mut self, notification: &Notification) {
        self.block("notification", &[&notification.kind, &notification.name], |out| {
            if let Some(message) = &notification.message {
                out.attribute("message", message);
            }
            let on: Vec<Value> =
                notification.on.iter().map(|on| Value::from(occasion(*on))).collect();
            out.list("on", &on);
            out.texts("jobs", &notification.jobs);
            out.texts("exclude", &notification.exclude);
            out.params(&notification.params);
        });
    }

    fn job(&mut self, job: &Job) {
        self.block("job", &[&job.name], |out| {
            out.number("concurrency", job.concurrency, 0);
            out.texts("serial_groups", &job.serial_groups);
            out.duration("timeout", job.timeout);
            out.texts("tags", &job.tags);
            out.flag("interruptible", job.interruptible);
            out.flag("allow_failure", job.allow_failure);
            out.flag("disable_retry", job.disable_retry);
            out.flag("disable_manual_trigger", job.disable_manual_trigger);
            if !job.enabled {
                out.attribute("enabled", &Value::Bool(false));
            }
            out.flag("retry_on_worker_loss", job.retry_on_worker_loss);
            out.flag("public", job.public);
            if let Some(retention) = &job.retention {
                out.block("retention", &[], |out| {
                    for (name, value) in [
                        ("builds", retention.builds),
                        ("days", retention.days),
                        ("succeeded", retention.succeeded),
                    ] {
                        if let Some(value) = value {
                            out.attribute(name, &Value::from(i64::from(value)));
                        }
                    }
                });
            }
            for input in &job.inputs {
                out.job_input(input);
            }
            for approval in &job.approvals {
                out.block("approve", &[&approval.label], |out| {
                    out.number("approvals", approval.approvals, 1);
                    out.duration("timeout", approval.timeout);
                });
            }
            out.steps(&job.steps);
            out.hooks(&job.hooks);
        });
    }

    fn job_input(&mut self, input: &JobInput) {
        self.block("input", &[&input.name], |out| {
            if input.kind != VariableType::Any {
                out.line(&format!("type = {}", type_name(input.kind)));
                out.after_attribute = true;
            }
            out.text_attribute("description", input.description.as_deref());
            if let Some(default) = &input.default {
                out.attribute("default", default);
            }
            out.texts("options", &input.options);
            out.flag("multiple", input.multiple);
        });
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }

    fn step(&mut self, step: &Step) {
        match &step.kind {
            StepKind::Get(get) => self.block("get", &[&get.kind, &get.name], |out| {
                out.flag("trigger", get.trigger);
                out.texts("passed", &get.passed);
                match &get.version {
                    VersionChoice::Latest => {}
                    VersionChoice::Every => out.text_attribute("version", Some("every")),
                    VersionChoice::Pinned(fields) => {
                        out.attribute("version", &Value::Object(fields.clone()));
                    }
                }
                out.texts("paths", &get.paths);
                out.texts("ignore_paths", &get.ignore_paths);
                out.common(step, |out| out.params(&get.params));
            }),
            StepKind::Task(task) => self.task(step, task),
            StepKind::Put(put) => self.block("put", &[&put.kind, &put.name], |out| {
                out.common(step, |out| out.params(&put.params));
            }),
            StepKind::Service(service) => self.block("service", &[&service.kind], |out| {
                out.common(step, |out| out.params(&service.params));
            }),
            StepKind::Notify(notify) => {
                self.block("notify", &[&notify.kind, &notify.name], |out| {
                    out.common(step, |out| out.params(&notify.params));
                });
            }
            StepKind::InParallel { limit, fail_fast, steps } => {
                self.block("in_parallel", &[], |out| {
                    out.number("limit", *limit, 0);
                    out.flag("fail_fast", *fail_fast);
                    out.common(step, |out| out.steps(steps));
                });
            }
            StepKind::Do { steps } => {
                self.block("do", &[], |out| out.common(step, |out| out.steps(steps)));
            }
            StepKind::Try { steps } => {
                self.block("try", &[], |out| out.common(step, |out| out.steps(steps)));
            }
            StepKind::If { branches, otherwise } => {
                for (index, branch) in branches.iter().enumerate() {
                    let word = if index == 0 { "if" } else { "else_if" };
                    self.block(word, &[branch.condition.as_str()], |out| {
                        if index == 0 {
                            out.common(step, |out| out.steps(&branch.steps));
                        } else {
                            out.steps(&branch.steps);
                        }
                    });
                }
                if !otherwise.is_empty() {
                    self.block("else", &[], |out| out.steps(otherwise));
                }
            }
        }
    }

    fn task(&mut self, step: &Step, task: &Task) {
        self.block("task", &[&task.name], |out| {
            out.texts("inputs", &task.inputs);
            out.texts("outputs", &task.outputs);
            out.object("env", &task.env);
            if let Some(dir) = &task.dir {
                out.attribute("dir", dir);
            }
            out.common(step, |out| out.command("run", Some(&task.run)));
        });
    }

    /// What every step may have: attributes before its `body`, hooks behind it.
    fn common(&mut self, step: &Step, body: impl FnOnce(&mut Self)) {
        self.duration("timeout", step.timeout);
        self.number("attempts", step.attempts, 1);
        body(self);
        self.hooks(&step.hooks);
    }

    fn hooks(&mut self, hooks: &Hooks) {
        for (word, hook) in hooks.all() {
            self.hook(word, hook);
        }
    }

    fn hook(&mut self, word: &str, hook: &Hook) {
        let label: &[&str] = match &hook.body {
            HookBody::Run(command) => &[&command.runner],
            HookBody::Steps(_) => &[],
        };
        self.block(word, label, |out| {
            out.flag("fail_build", hook.fail_build);
            match &hook.body {
                HookBody::Run(command) => out.attributes(&command.params),
                HookBody::Steps(steps) => out.steps(steps),
            }
        });
    }
}

fn type_name(kind: VariableType) -> &'static str {
    match kind {
        VariableType::String => "string",
        VariableType::Number => "number",
        VariableType::Bool => "bool",
        VariableType::Any => "any",
    }
}

fn occasion(on: NotifyOn) -> &'static str {
    match on {
        NotifyOn::Success => "success",
        NotifyOn::Failure => "failure",
        NotifyOn::Error => "error",
        NotifyOn::Cancel => "cancel",
        NotifyOn::Broken => "broken",
        NotifyOn::Fixed => "fixed",
        NotifyOn::All => "all",
    }
}

#[cfg(test)]
mod tests;
