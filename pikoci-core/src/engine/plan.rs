//! What a change of a pipeline would do. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::Config;
use crate::pipeline::Pipeline;
use crate::resolve::ResourceRef;

/// What a change of a pipeline would do. Its `Display` is for people, a line a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelinePlan {
    /// The revision that it goes from; `None` for a new pipeline.
    pub from: Option<u64>,
    /// What would change.
    pub changes: Vec<Change>,
}

/// One thing that would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What would be done to it.
    pub action: Action,
    /// What it is: `job`, `resource`, `resource_type` and so on.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Which of its attributes and blocks would change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// What that means for its history, in a sentence, where it means something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<String>,
}

/// What would be done to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is new.
    Create,
    /// It is there and would be another.
    Change,
    /// It would be gone.
    Remove,
}

impl PipelinePlan {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl fmt::Display for PipelinePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing changes");
        }
        for change in &self.changes {
            let sign = match change.action {
                Action::Create => '+',
                Action::Change => '~',
                Action::Remove => '-',
            };
            write!(f, "{sign} {} {}", change.kind, change.name)?;
            if !change.attributes.is_empty() {
                write!(f, ": {}", change.attributes.join(", "))?;
            }
            writeln!(f)?;
            if let Some(history) = &change.history {
                writeln!(f, "    {history}")?;
            }
        }
        Ok(())
    }
}

/// What going from one revision to another would change.
pub(crate) fn plan(old: Option<(u64, &Config)>, new: &Config) -> PipelinePlan {
    let empty = Pipeline::default();
    let before = old.map_or_else(|| parts(&empty), |(_, old)| parts(&old.pipeline));
    let after = parts(&new.pipeline);
    let mut changes = Vec::new();
    for ((kind, name), value) in &after {
        let history = |action| history(action, kind, name, old.map(|(_, old)| old), new);
        match before.get(&(*kind, name.clone())) {
            None => changes.push(Change {
                action: Action::Create,
                kind: (*kind).to_owned(),
                name: name.clone(),
                attributes: Vec::new(),
                history: history(Action::Create),
            }),
            Some(old) if old != value => changes.push(Change {
                action: Action::Change,
                kind: (*kind).to_owned(),
                name: name.clone(),
                attributes: changed_attributes(old, value),
                history: history(Action::Change),
            }),
            Some(_) => {}
        }
    }
    for (kind, name) in before.keys().filter(|key| !after.contains_key(*key)) {
        changes.push(Change {
            action: Action::Remove,
            kind: (*kind).to_owned(),
            name: name.clone(),
            attributes: Vec::new(),
            history: history(Action::Remove, kind, name, old.map(|(_, old)| old), new),
        });
    }
    PipelinePlan { from: old.map(|(revision, _)| revision), changes }
}

/// Everything of a pipeline by kind and name, without the places where it is written.
fn parts(pipeline: &Pipeline) -> BTreeMap<(&'static str, String), Value> {
    let mut parts = BTreeMap::new();
    let mut add = |kind: &'static str, name: String, value: serde_json::Result<Value>| {
        // What was read can be written.
        let mut value = value.unwrap_or_default();
        without_places(&mut value);
        parts.insert((kind, name), value);
    };
    for job in &pipeline.jobs {
        add("job", job.name.clone(), serde_json::to_value(job));
    }
    for it in &pipeline.resources {
        add("resource", format!("{}.{}", it.kind, it.name), serde_json::to_value(it));
    }
    for it in &pipeline.notifications {
        add("notification", format!("{}.{}", it.kind, it.name), serde_json::to_value(it));
    }
    for (name, it) in &pipeline.variables {
        add("variable", name.clone(), serde_json::to_value(it));
    }
    for (name, it) in &pipeline.resource_types {
        add("resource_type", name.clone(), serde_json::to_value(it));
    }
    for (name, it) in &pipeline.runner_types {
        add("runner_type", name.clone(), serde_json::to_value(it));
    }
    for (name, it) in &pipeline.service_types {
        add("service_type", name.clone(), serde_json::to_value(it));
    }
    for (name, it) in &pipeline.secret_types {
        add("secret_type", name.clone(), serde_json::to_value(it));
    }
    for (name, it) in &pipeline.notification_types {
        add("notification_type", name.clone(), serde_json::to_value(it));
    }
    parts
}

/// Removes everything that says where something is written.
pub(crate) fn without_places(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| key != "location");
            map.values_mut().for_each(without_places);
        }
        Value::Array(items) => items.iter_mut().for_each(without_places),
        _ => {}
    }
}

fn changed_attributes(old: &Value, new: &Value) -> Vec<String> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return Vec::new() };
    let mut names: Vec<String> = new
        .iter()
        .filter(|(name, value)| old.get(*name) != Some(value))
        .map(|it| it.0.clone())
        .collect();
    names.extend(old.keys().filter(|name| !new.contains_key(*name)).cloned());
    names.sort();
    names
}

fn history(
    action: Action,
    kind: &str,
    name: &str,
    old: Option<&Config>,
    new: &Config,
) -> Option<String> {
    let resource = ResourceRef(name.to_owned());
    match (kind, action) {
        ("job", Action::Remove) => {
            Some("its builds stay until they are purged; what waits is ended".into())
        }
        ("resource", Action::Change)
            if old.and_then(|old| old.scopes.get(&resource)) != new.scopes.get(&resource) =>
        {
            Some("it begins a new history: versions found so far do not count any more".into())
        }
        ("resource", Action::Remove) => Some("its history comes back if it does".into()),
        _ => None,
    }
}
