//! When a wrapper breaks which call.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::testkit::random::Random;

/// Which fault each call gets.
#[derive(Debug)]
pub(super) struct Plan<C, F>(Mutex<State<C, F>>);

#[derive(Debug)]
struct State<C, F> {
    made: BTreeMap<C, u64>,
    scripted: BTreeMap<(C, u64), F>,
    random: Option<Random>,
}

impl<C: Copy + Ord, F> Plan<C, F> {
    /// No faults.
    pub(super) fn new() -> Self {
        let (made, scripted) = (BTreeMap::new(), BTreeMap::new());
        Self(Mutex::new(State { made, scripted, random: None }))
    }

    fn state(&self) -> MutexGuard<'_, State<C, F>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Faults by this seed.
    pub(super) fn seed(&self, seed: u64) {
        self.state().random = Some(Random::new(seed));
    }

    /// This fault at the nth `call`, counted from 1.
    pub(super) fn script(&self, call: C, nth: u64, fault: F) {
        self.state().scripted.insert((call, nth), fault);
    }

    /// Counts a call, and tells its fault: the scripted one, or one that is drawn.
    pub(super) fn next(&self, call: C, draw: impl FnOnce(&mut Random) -> Option<F>) -> Option<F> {
        let mut state = self.state();
        let made = state.made.entry(call).or_default();
        *made += 1;
        let nth = *made;
        match state.scripted.remove(&(call, nth)) {
            Some(fault) => Some(fault),
            None => state.random.as_mut().and_then(draw),
        }
    }

    /// How often `call` was made.
    pub(super) fn made(&self, call: C) -> u64 {
        self.state().made.get(&call).copied().unwrap_or_default()
    }
}

/// A few milliseconds: long enough for others to overtake, short enough for
/// many tests.
pub(super) fn moment(random: &mut Random) -> Duration {
    Duration::from_micros(random.below(3000) as u64)
}
