//! The registry: what each name of a runner or type stands for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::traits::{NotificationType, ResourceType, Runner, SecretType, ServiceType};

/// What each name of a runner or type stands for. Cloning is cheap enough to
/// do once a build: declared types are laid over a clone of the built-in ones.
#[derive(Debug, Clone, Default)]
pub struct Types {
    /// Runners, by name.
    pub runners: BTreeMap<String, Arc<dyn Runner>>,
    /// Resource types, by name.
    pub resource_types: BTreeMap<String, Arc<dyn ResourceType>>,
    /// Service types, by name.
    pub service_types: BTreeMap<String, Arc<dyn ServiceType>>,
    /// Secret types, by name.
    pub secret_types: BTreeMap<String, Arc<dyn SecretType>>,
    /// Notification types, by name.
    pub notification_types: BTreeMap<String, Arc<dyn NotificationType>>,
}

macro_rules! register {
    ($(#[$doc:meta] $name:ident $field:ident: $role:ident;)*) => {$(
        #[$doc]
        #[must_use]
        pub fn $name(mut self, name: impl Into<String>, it: impl $role) -> Self {
            self.$field.insert(name.into(), Arc::new(it));
            self
        }
    )*};
}

impl Types {
    /// A registry of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    register! {
        /// Registers a runner, over one of the same name.
        runner runners: Runner;
        /// Registers a resource type, over one of the same name.
        resource_type resource_types: ResourceType;
        /// Registers a service type, over one of the same name.
        service_type service_types: ServiceType;
        /// Registers a secret type, over one of the same name.
        secret_type secret_types: SecretType;
        /// Registers a notification type, over one of the same name.
        notification_type notification_types: NotificationType;
    }
}
