//! What every [`SecretType`] must do.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{LIMIT, PROMPTLY, Scene, heard, refused, within, worked};
use crate::params::Params;
use crate::secret::ExposeSecret;
use crate::traits::SecretType;

/// A secret type that holds a secret made for the test.
#[derive(Debug)]
pub struct SecretCase {
    /// The secret type.
    pub secret: Arc<dyn SecretType>,
    /// The parameters of the secret.
    pub params: Params,
    /// Fields that the answer must hold, at least; their values stand nowhere else.
    pub fields: BTreeMap<String, String>,
    /// The parameters of a secret that is not there.
    pub missing: Params,
}

impl SecretCase {
    async fn get(&self, scene: &mut Scene) -> BTreeMap<String, String> {
        let mut step = scene.step();
        let found = self.secret.get(&mut step, &self.params);
        worked("a get", within(LIMIT, "a get", found).await)
            .into_iter()
            .map(|(name, value)| (name, value.expose_secret().to_owned()))
            .collect()
    }

    fn assert_silent(&self, what: &str, text: &str) {
        // The values themselves are not told, for they are secrets.
        let told = self.fields.values().any(|value| !value.is_empty() && text.contains(value));
        assert!(!told, "{what} holds a secret");
    }
}

/// Runs all checks.
///
/// # Panics
/// When the secret type breaks its contract.
pub async fn run_all(case: &SecretCase) {
    a_secret_is_found_as_it_is(case).await;
    the_same_is_found_again(case).await;
    what_is_missing_is_an_error_that_tells_no_secret(case).await;
    a_cancel_is_heard(case).await;
}

/// The answer has the fields with their values; nothing else tells them.
///
/// # Panics
/// When it is not so.
pub async fn a_secret_is_found_as_it_is(case: &SecretCase) {
    let mut scene = Scene::new("task secret");
    let found = case.get(&mut scene).await;
    for (name, value) in &case.fields {
        assert!(found.get(name) == Some(value), "field `{name}` is missing or has another value");
    }
    case.assert_silent("the output of a get", &scene.all_printed());
}

/// The same request has the same answer.
///
/// # Panics
/// When it has not.
pub async fn the_same_is_found_again(case: &SecretCase) {
    let first = case.get(&mut Scene::new("task secret")).await;
    let second = case.get(&mut Scene::new("task secret")).await;
    assert!(first == second, "the same request had two answers");
}

/// What is missing is an error that says something, but no secret.
///
/// # Panics
/// When it is not.
pub async fn what_is_missing_is_an_error_that_tells_no_secret(case: &SecretCase) {
    let mut scene = Scene::new("task secret");
    let mut step = scene.step();
    let found = case.secret.get(&mut step, &case.missing);
    let found = within(LIMIT, "a get of what is missing", found).await;
    let error = refused("a secret that is missing", found);
    case.assert_silent("the error", &error.message);
    case.assert_silent("the output of a get of what is missing", &scene.all_printed());
}

/// What is told to stop comes back soon.
///
/// # Panics
/// When it does not.
pub async fn a_cancel_is_heard(case: &SecretCase) {
    let mut scene = Scene::new("task secret");
    scene.cancel.cancel();
    let mut step = scene.step();
    let found = case.secret.get(&mut step, &case.params);
    heard("a get", within(PROMPTLY, "a cancelled get", found).await);
}
