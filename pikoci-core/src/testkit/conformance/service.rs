//! What every [`ServiceType`] must do.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::{LIMIT, PROMPTLY, Scene, heard, refused, within, worked};
use crate::params::Params;
use crate::traits::{Readiness, ServiceType};

/// Whether the service of the build with this working directory runs.
pub type Running = dyn Fn(&Path) -> bool + Send + Sync;

/// A service type that can be started here.
pub struct ServiceCase {
    /// The service type.
    pub service: Arc<dyn ServiceType>,
    /// Parameters with which it starts.
    pub params: Params,
    /// Parameters with which it does not.
    pub broken: Vec<Params>,
    /// Whether it runs, where that can be told from outside.
    pub running: Option<Box<Running>>,
}

impl fmt::Debug for ServiceCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceCase").field("service", &self.service).finish_non_exhaustive()
    }
}

impl ServiceCase {
    fn scene() -> Scene {
        let mut scene = Scene::new("service");
        scene.context.detached = true;
        scene
    }

    async fn start(&self, scene: &mut Scene) {
        let mut step = scene.step();
        let started = self.service.start(&mut step, &self.params);
        worked("the start", within(LIMIT, "the start", started).await);
    }

    async fn stop(&self, scene: &mut Scene, params: &Params, when: &str) {
        let what = format!("a stop {when}");
        let mut step = scene.step();
        let stopped = self.service.stop(&mut step, params);
        worked(&what, within(LIMIT, &what, stopped).await);
        self.assert_running(scene, false, when);
    }

    fn assert_running(&self, scene: &Scene, expected: bool, when: &str) {
        if let Some(running) = &self.running {
            assert_eq!(running(scene.workdir()), expected, "whether the service runs, {when}");
        }
    }
}

/// Runs all checks.
///
/// # Panics
/// When the service type breaks its contract.
pub async fn run_all(case: &ServiceCase) {
    a_service_starts_gets_ready_and_stops(case).await;
    a_stop_may_come_without_a_start(case).await;
    a_start_that_fails_is_an_error_and_can_be_stopped(case).await;
    a_stop_touches_no_other_build(case).await;
    a_cancel_is_heard(case).await;
}

/// It starts, gets ready within its own time, stops, and may be stopped again.
///
/// # Panics
/// When it does not.
pub async fn a_service_starts_gets_ready_and_stops(case: &ServiceCase) {
    let mut scene = ServiceCase::scene();
    case.start(&mut scene).await;
    if let Some(policy) = case.service.ready_policy() {
        let asking = async {
            loop {
                let said = case.service.ready(&mut scene.step(), &case.params).await;
                match worked("asking whether it is ready", said) {
                    Readiness::Ready => break,
                    Readiness::NotYet(_) => tokio::time::sleep(policy.interval).await,
                }
            }
        };
        within(policy.timeout, "getting ready", asking).await;
    }
    case.assert_running(&scene, true, "once it is ready");
    case.stop(&mut scene, &case.params, "of what runs").await;
    case.stop(&mut scene, &case.params, "for the second time").await;
}

/// A stop copes with a service that was never started.
///
/// # Panics
/// When it does not.
pub async fn a_stop_may_come_without_a_start(case: &ServiceCase) {
    case.stop(&mut ServiceCase::scene(), &case.params, "without a start").await;
}

/// A start that cannot work is an error, and a stop copes with it.
///
/// # Panics
/// When it is not so.
pub async fn a_start_that_fails_is_an_error_and_can_be_stopped(case: &ServiceCase) {
    for params in &case.broken {
        let mut scene = ServiceCase::scene();
        let mut step = scene.step();
        let started = case.service.start(&mut step, params);
        let started = within(LIMIT, "a start that cannot work", started).await;
        refused(&format!("a start with {params:?}, which cannot work,"), started);
        case.stop(&mut scene, params, "after a start that failed").await;
    }
}

/// The stop in one build leaves the same service of another one alone.
///
/// # Panics
/// When it does not.
pub async fn a_stop_touches_no_other_build(case: &ServiceCase) {
    let mut mine = ServiceCase::scene();
    case.start(&mut mine).await;
    case.stop(&mut ServiceCase::scene(), &case.params, "in another build").await;
    case.assert_running(&mine, true, "after a stop in another build");
    case.stop(&mut mine, &case.params, "of what runs").await;
}

/// A start that is told to stop comes back soon, and a stop copes with what it left.
///
/// # Panics
/// When it does not.
pub async fn a_cancel_is_heard(case: &ServiceCase) {
    let mut scene = ServiceCase::scene();
    scene.cancel.cancel();
    let mut step = scene.step();
    let started = case.service.start(&mut step, &case.params);
    heard("a start", within(PROMPTLY, "a cancelled start", started).await);
    // As the engine does it: what stops has a token of its own.
    scene.cancel = tokio_util::sync::CancellationToken::new();
    case.stop(&mut scene, &case.params, "after a start that was cancelled").await;
}
