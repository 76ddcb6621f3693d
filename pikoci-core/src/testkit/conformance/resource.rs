//! What every [`ResourceType`] must do.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::{LIMIT, PROMPTLY, Scene, heard, refused, within, worked};
use crate::params::Params;
use crate::traits::ResourceType;
use crate::version::Version;

/// Looks at a working directory after a pull of a version, or fills it before a push.
pub type Look = dyn Fn(&Path) + Send + Sync;

/// A resource type over something that has at least one version.
pub struct ResourceCase {
    /// The resource type.
    pub resource: Arc<dyn ResourceType>,
    /// The parameters of a resource that has a version.
    pub params: Params,
    /// Parameters for which no version can be found out.
    pub broken: Vec<Params>,
    /// Makes another version from outside, where that can be done.
    pub change: Option<Box<dyn Fn() + Send + Sync>>,
    /// Panics when the working directory does not hold what a pull of the newest version promises.
    pub pulled: Box<Look>,
    /// A push, where the type can do one.
    pub push: Option<Push>,
}

/// A push to make.
pub struct Push {
    /// What the `put` says.
    pub params: Params,
    /// Fills the working directory beforehand.
    pub prepare: Box<Look>,
}

impl fmt::Debug for ResourceCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceCase").field("resource", &self.resource).finish_non_exhaustive()
    }
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").field("params", &self.params).finish_non_exhaustive()
    }
}

impl ResourceCase {
    async fn check(&self, from: Option<&Version>) -> Vec<Version> {
        let mut scene = Scene::new("check it");
        let mut step = scene.step();
        let found = self.resource.check(&mut step, &self.params, from);
        worked("a check", within(LIMIT, "a check", found).await)
    }

    async fn newest(&self) -> Version {
        let Some(newest) = self.check(None).await.pop() else {
            panic!("a check without an earlier version found none");
        };
        newest
    }
}

/// Runs all checks.
///
/// # Panics
/// When the resource type breaks its contract.
pub async fn run_all(case: &ResourceCase) {
    a_first_check_finds_only_the_newest(case).await;
    a_check_from_the_newest_finds_it_again(case).await;
    the_same_check_finds_the_same(case).await;
    a_pull_brings_what_it_promises(case).await;
    bad_parameters_are_an_error(case).await;
    a_cancel_is_heard(case).await;
    a_change_is_found(case).await;
    a_push_is_found(case).await;
}

/// Without an earlier version, a check finds the newest and no other.
///
/// # Panics
/// When it does not.
pub async fn a_first_check_finds_only_the_newest(case: &ResourceCase) {
    let found = case.check(None).await;
    assert!(found.len() <= 1, "a check without an earlier version found more than one: {found:?}");
    let later = case.check(found.first()).await;
    assert_eq!(later.last(), found.last(), "what the first check found was not the newest");
}

/// From the newest version on, a check finds that one, for it still exists.
///
/// # Panics
/// When it does not.
pub async fn a_check_from_the_newest_finds_it_again(case: &ResourceCase) {
    let newest = case.newest().await;
    assert_eq!(case.check(Some(&newest)).await, [newest]);
}

/// The same check again finds the same, as long as nothing changes.
///
/// # Panics
/// When it does not.
pub async fn the_same_check_finds_the_same(case: &ResourceCase) {
    assert_eq!(case.check(None).await, case.check(None).await);
}

/// A pull puts into an empty working directory what it should, every time.
///
/// # Panics
/// When it does not.
pub async fn a_pull_brings_what_it_promises(case: &ResourceCase) {
    let newest = case.newest().await;
    for _ in 0..2 {
        let mut scene = Scene::new("get it");
        let mut step = scene.step();
        let pulled = case.resource.pull(&mut step, &case.params, &newest);
        worked("a pull", within(LIMIT, "a pull", pulled).await);
        (case.pulled)(scene.workdir());
    }
}

/// Bad parameters are an error that says something, and no panic.
///
/// # Panics
/// When they are not.
pub async fn bad_parameters_are_an_error(case: &ResourceCase) {
    for params in &case.broken {
        let mut scene = Scene::new("check it");
        let mut step = scene.step();
        let found = case.resource.check(&mut step, params, None);
        let found = within(LIMIT, "a check with bad parameters", found).await;
        refused(&format!("a check with {params:?}, which cannot work,"), found);
    }
}

/// What is told to stop comes back soon.
///
/// # Panics
/// When it does not.
pub async fn a_cancel_is_heard(case: &ResourceCase) {
    let newest = case.newest().await;
    let mut scene = Scene::new("check it");
    scene.cancel.cancel();
    let mut step = scene.step();
    let found = case.resource.check(&mut step, &case.params, None);
    heard("a check", within(PROMPTLY, "a cancelled check", found).await);
    let mut scene = Scene::new("get it");
    scene.cancel.cancel();
    let mut step = scene.step();
    let pulled = case.resource.pull(&mut step, &case.params, &newest);
    heard("a pull", within(PROMPTLY, "a cancelled pull", pulled).await);
}

/// After a change from outside there is another newest version; a check from
/// the old one ends with it, and begins with the old one where that still exists.
///
/// # Panics
/// When it is not so.
pub async fn a_change_is_found(case: &ResourceCase) {
    let Some(change) = &case.change else { return };
    let old = case.newest().await;
    change();
    let new = case.newest().await;
    assert_ne!(old, new, "a change made no other version");
    let since = case.check(Some(&old)).await;
    assert_eq!(since.last(), Some(&new), "the newest version is not the last");
    if let Some(place) = since.iter().position(|it| *it == old) {
        assert_eq!(place, 0, "a check found what is older than the version it was given");
    }
}

/// The version that a push says it made is what the next check finds.
///
/// # Panics
/// When it is not.
pub async fn a_push_is_found(case: &ResourceCase) {
    let Some(push) = &case.push else { return };
    let mut scene = Scene::new("put it");
    (push.prepare)(scene.workdir());
    let mut step = scene.step();
    let made = case.resource.push(&mut step, &case.params, &push.params);
    let made = worked("a push", within(LIMIT, "a push", made).await);
    let newest = case.newest().await;
    if let Some(made) = made {
        assert_eq!(newest, made, "a check does not find what a push made");
    }
}
