//! What is built in: the names and parameters that a pipeline may use without declaring them.

use std::collections::BTreeMap;

use crate::params::Attributes;
use crate::types::Types;

/// Which parameters something takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParamSpec {
    /// The accepted names; `None` accepts any.
    pub accepted: Option<Vec<String>>,
    /// The names that must be given.
    pub required: Vec<String>,
    /// Groups of names of which exactly one must be given.
    pub exactly_one: Vec<Vec<String>>,
}

impl ParamSpec {
    /// Any parameter is fine.
    pub fn any() -> Self {
        Self::default()
    }

    /// Only these are accepted; a name that ends with `!` must be given.
    ///
    /// ```
    /// let spec = pikoci_core::catalog::ParamSpec::only(["path!", "args"]);
    /// assert_eq!(spec.required, ["path"]);
    /// ```
    pub fn only<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut spec = Self { accepted: Some(Vec::new()), ..Self::default() };
        for name in names {
            let bare = name.strip_suffix('!').unwrap_or(name);
            spec.accepted.get_or_insert_default().push(bare.to_owned());
            if bare != name {
                spec.required.push(bare.to_owned());
            }
        }
        spec
    }

    /// The same, and exactly one of these must be given.
    ///
    /// ```
    /// use pikoci_core::catalog::ParamSpec;
    /// let spec = ParamSpec::only(["cmd", "file", "shell"]).exactly_one(["cmd", "file"]);
    /// assert_eq!(spec.exactly_one.len(), 1);
    /// ```
    #[must_use]
    pub fn exactly_one<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.exactly_one.push(names.into_iter().map(str::to_owned).collect());
        self
    }
}

/// What is wrong with the value of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamProblem {
    /// The parameter.
    pub param: String,
    /// What is wrong, as a message says it.
    pub message: String,
}

/// Looks at parameters when a pipeline is read; those that a secret is part of
/// are not known then.
pub type ParamsCheck = fn(&Attributes) -> Result<(), ParamProblem>;

/// One built-in type or runner.
#[derive(Debug, Clone, Default)]
pub struct CatalogEntry {
    /// What it takes.
    pub params: ParamSpec,
    /// What a `put` to a resource of this type takes.
    pub put: ParamSpec,
    /// Looks at the values of its parameters.
    pub check: Option<ParamsCheck>,
    /// Its definition in HCL, where it has one; it holds one block of its kind.
    pub definition: Option<&'static str>,
    /// Whether this program can run it. A name that is known but not
    /// available is accepted in a pipeline and errors when it is run.
    pub available: bool,
}

/// The kinds of things a catalog lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CatalogKind {
    /// `resource_type`.
    ResourceType,
    /// `runner_type`.
    RunnerType,
    /// `service_type`.
    ServiceType,
    /// `secret_type`.
    SecretType,
    /// `notification_type`.
    NotificationType,
}

impl CatalogKind {
    /// The word for it in a pipeline.
    pub fn block(self) -> &'static str {
        match self {
            Self::ResourceType => "resource_type",
            Self::RunnerType => "runner_type",
            Self::ServiceType => "service_type",
            Self::SecretType => "secret_type",
            Self::NotificationType => "notification_type",
        }
    }
}

/// Everything that is built in.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    entries: BTreeMap<CatalogKind, BTreeMap<String, CatalogEntry>>,
}

impl Catalog {
    /// A catalog of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry, over one of the same name.
    pub fn insert(&mut self, kind: CatalogKind, name: impl Into<String>, entry: CatalogEntry) {
        self.entries.entry(kind).or_default().insert(name.into(), entry);
    }

    /// Sets what looks at the values of the parameters of an entry, where there is one.
    pub fn set_check(&mut self, kind: CatalogKind, name: &str, check: ParamsCheck) {
        if let Some(entry) = self.entries.get_mut(&kind).and_then(|it| it.get_mut(name)) {
            entry.check = Some(check);
        }
    }

    /// This catalog and every type of a registry that it does not have yet, with
    /// the parameters that each tells of itself.
    #[must_use]
    pub fn with_types(mut self, types: &Types) -> Self {
        let mut add = |kind, name: &str, params: &dyn Fn() -> (ParamSpec, ParamSpec)| {
            if self.get(kind, name).is_none() {
                let (params, put) = params();
                let entry =
                    CatalogEntry { params, put, available: true, ..CatalogEntry::default() };
                self.insert(kind, name, entry);
            }
        };
        for (name, it) in &types.runners {
            add(CatalogKind::RunnerType, name, &|| (it.params(), ParamSpec::any()));
        }
        for (name, it) in &types.resource_types {
            add(CatalogKind::ResourceType, name, &|| (it.params(), it.put_params()));
        }
        for (name, it) in &types.service_types {
            add(CatalogKind::ServiceType, name, &|| (it.params(), ParamSpec::any()));
        }
        for (name, it) in &types.secret_types {
            add(CatalogKind::SecretType, name, &|| (it.params(), ParamSpec::any()));
        }
        for (name, it) in &types.notification_types {
            add(CatalogKind::NotificationType, name, &|| (it.params(), ParamSpec::any()));
        }
        self
    }

    /// The entry of that name.
    pub fn get(&self, kind: CatalogKind, name: &str) -> Option<&CatalogEntry> {
        self.entries.get(&kind)?.get(name)
    }

    /// All entries of a kind, by name.
    pub fn iter(&self, kind: CatalogKind) -> impl Iterator<Item = (&str, &CatalogEntry)> {
        self.entries.get(&kind).into_iter().flatten().map(|(name, entry)| (name.as_str(), entry))
    }
}
