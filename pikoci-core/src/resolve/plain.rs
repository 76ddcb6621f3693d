//! Inputs without `passed`: each takes a version of its resource by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::history::History;
use super::reason::{PinnedBy, Reason};
use super::resolution::{Answer, Chosen, Need};
use super::spec::{Choice, InputSpec};
use super::used::HighestUsed;
use super::world::World;
use crate::version::Version;

/// The version an input takes, and whether `every` has a further one behind it.
pub(super) fn choose(input: &InputSpec, world: &dyn World) -> Answer<(Chosen, bool)> {
    let Some(history) = world.history(&input.resource) else {
        return Answer::Not(Reason::never_checked(input));
    };
    let taken = match pin(input, history) {
        Some((pin, by)) => match pinned(input, history, pin, by) {
            Pinned::To(order) => Ok((order, false)),
            Pinned::Not(reason) => return Answer::Not(reason),
            Pinned::Unsure => Err(()),
        },
        None if input.choice == Choice::Every => next(input, history, world),
        None => newest(history, Bound::Unbounded).map(|order| (order, false)),
    };
    let taken = taken.map(|(order, more)| history.at(order).map(|version| (version, more)));
    match taken {
        Ok(Some(((digest, version), more))) => {
            let first = !world.used().was_used(&input.name, &input.resource, &digest);
            let chosen = Chosen { version, digest, first, sources: BTreeMap::new() };
            Answer::Found((chosen, more))
        }
        Err(()) | Ok(None) if history.floor() > 0 => {
            let need = Need::Versions { resource: input.resource.clone() };
            Answer::Needs(BTreeSet::from([need]))
        }
        _ if history.is_empty() => Answer::Not(Reason::no_version(input)),
        _ => Answer::Not(Reason::all_disabled(input)),
    }
}

/// The newest enabled version up to an order; an error when that is not known or
/// there is none.
fn newest(history: &History, through: Bound<u64>) -> Result<u64, ()> {
    let newest = history.enabled().range((Bound::Unbounded, through)).next_back();
    newest.copied().filter(|order| *order >= history.floor()).ok_or(())
}

/// The oldest enabled version behind those used, else the newest of those, and
/// whether another is behind it.
fn next(input: &InputSpec, history: &History, world: &dyn World) -> Result<(u64, bool), ()> {
    let last = match world.used().highest(&input.resource, history) {
        HighestUsed::At(order, _) => order,
        HighestUsed::None => return Ok((newest(history, Bound::Unbounded)?, false)),
        HighestUsed::NotLoaded => return Err(()),
    };
    if last < history.floor() {
        return Err(());
    }
    let mut behind = history.enabled().range((Bound::Excluded(last), Bound::Unbounded));
    match behind.next() {
        Some(order) => Ok((*order, behind.next().is_some())),
        None => Ok((newest(history, Bound::Included(last))?, false)),
    }
}

/// What an input is pinned to, and where that is said: the get's own word goes
/// over that of the resource.
pub(super) fn pin<'a>(
    input: &'a InputSpec,
    history: &'a History,
) -> Option<(&'a Version, PinnedBy)> {
    match &input.choice {
        Choice::Pinned(pin) => Some((pin, PinnedBy::Get)),
        Choice::Latest | Choice::Every => Some((history.pin()?, PinnedBy::Resource)),
    }
}

/// What a pin comes to.
#[derive(Debug)]
pub(super) enum Pinned {
    /// The version at this order.
    To(u64),
    /// No version that can be taken.
    Not(Reason),
    /// That depends on versions that are not loaded.
    Unsure,
}

/// The newest enabled version that has all fields of the pin.
pub(super) fn pinned(input: &InputSpec, history: &History, pin: &Version, by: PinnedBy) -> Pinned {
    let enabled = history.matching(pin).find(|order| history.enabled().contains(order));
    if let Some(order) = enabled.filter(|order| *order >= history.floor()) {
        return Pinned::To(order);
    }
    if history.floor() > 0 {
        return Pinned::Unsure;
    }
    match history.matching(pin).next().and_then(|order| history.at(order)) {
        Some((_, version)) => Pinned::Not(Reason::PinDisabled {
            input: input.name.clone(),
            resource: input.resource.clone(),
            version: Version::clone(&version),
            by,
        }),
        None => Pinned::Not(Reason::PinNotFound {
            input: input.name.clone(),
            resource: input.resource.clone(),
            pin: pin.clone(),
            by,
        }),
    }
}
