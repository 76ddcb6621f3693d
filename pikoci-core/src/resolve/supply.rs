//! What a build has for an input.

use super::group::Member;
use super::world::{Lookup, World};
use crate::version::VersionDigest;

/// What a build has for an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Supply {
    /// This version, if the history of the resource has it.
    Version(VersionDigest),
    /// Nothing that can be taken.
    Nothing,
    /// That depends on the content of this version.
    NotLoaded(VersionDigest),
}

/// The first of a build's versions of a resource that is not disabled and, where
/// the input is pinned, is what it is pinned to.
pub(super) fn supply(input: &Member<'_>, versions: &[VersionDigest], world: &dyn World) -> Supply {
    let disabled = |digest: &&VersionDigest| input.history.is_some_and(|it| it.is_disabled(digest));
    for digest in versions.iter().filter(|digest| !disabled(digest)) {
        let Some((pin, _)) = input.pin else { return Supply::Version(*digest) };
        match world.version(&input.spec.resource, digest) {
            Lookup::Known(version) if version.contains(pin) => return Supply::Version(*digest),
            // A version that the history does not have is not the one pinned.
            Lookup::Known(_) | Lookup::Unknown => {}
            Lookup::NotLoaded => return Supply::NotLoaded(*digest),
        }
    }
    Supply::Nothing
}
