//! What every [`NotificationType`] must do.

use std::fmt;
use std::sync::Arc;

use super::{LIMIT, PROMPTLY, Scene, heard, refused, within, worked};
use crate::params::Params;
use crate::traits::NotificationType;

/// A notification type that sends to a place the test can look at.
pub struct NotificationCase {
    /// The notification type.
    pub notification: Arc<dyn NotificationType>,
    /// The parameters of the declaration.
    pub params: Params,
    /// What the notification says.
    pub notify: Params,
    /// How many have arrived so far.
    pub arrived: Box<dyn Fn() -> usize + Send + Sync>,
    /// Parameters of a declaration with which nothing can be sent.
    pub broken: Vec<Params>,
}

impl fmt::Debug for NotificationCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotificationCase")
            .field("notification", &self.notification)
            .finish_non_exhaustive()
    }
}

/// Runs all checks.
///
/// # Panics
/// When the notification type breaks its contract.
pub async fn run_all(case: &NotificationCase) {
    one_call_sends_once(case).await;
    what_cannot_be_sent_is_an_error(case).await;
    a_cancel_is_heard(case).await;
}

/// Every call sends one notification.
///
/// # Panics
/// When it does not.
pub async fn one_call_sends_once(case: &NotificationCase) {
    let before = (case.arrived)();
    for number in 1..=2 {
        let mut scene = Scene::new("notify them");
        let mut step = scene.step();
        let sent = case.notification.notify(&mut step, &case.params, &case.notify);
        worked("a notification", within(LIMIT, "a notification", sent).await);
        assert_eq!((case.arrived)() - before, number, "how many arrived after {number} calls");
    }
}

/// What cannot be sent is an error that says something, and nothing arrives.
///
/// # Panics
/// When it is not so.
pub async fn what_cannot_be_sent_is_an_error(case: &NotificationCase) {
    for params in &case.broken {
        let before = (case.arrived)();
        let mut scene = Scene::new("notify them");
        let mut step = scene.step();
        let sent = case.notification.notify(&mut step, params, &case.notify);
        let sent = within(LIMIT, "what cannot be sent", sent).await;
        refused(&format!("a notification with {params:?}, which cannot work,"), sent);
        assert_eq!((case.arrived)(), before, "what was not sent arrived");
    }
}

/// What is told to stop comes back soon.
///
/// # Panics
/// When it does not.
pub async fn a_cancel_is_heard(case: &NotificationCase) {
    let mut scene = Scene::new("notify them");
    scene.cancel.cancel();
    let mut step = scene.step();
    let sent = case.notification.notify(&mut step, &case.params, &case.notify);
    heard("a notification", within(PROMPTLY, "a cancelled notification", sent).await);
}
