//! The order in which the builds of an upstream job are preferred.

use std::ops::Bound;

use super::group::{Group, Upstream};
use super::position::Position;
use super::successes::Build;
use super::supply::{Supply, supply};
use super::world::World;

/// How the builds of a job are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The newest first.
    Newest,
    /// Those after this one, which was taken last, the oldest first; then it and
    /// those before it, the newest first. Its own reruns are neither.
    Forward(Position),
}

/// A build in its turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) position: Position,
    pub(super) build: &'a Build,
    /// Whether it was reached going forward.
    pub(super) after: bool,
}

/// Which builds are walked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Among<'a> {
    /// All of the job.
    All,
    /// These, in their order.
    These(&'a [Position]),
}

type Builds<'a> = Box<dyn Iterator<Item = Candidate<'a>> + 'a>;

/// The builds of a job, those that are preferred first.
pub(super) fn walk<'a>(
    group: &'a Group<'a>,
    job: &'a Upstream<'a>,
    among: Among<'a>,
    world: &'a dyn World,
) -> Builds<'a> {
    let cursor = match job.order {
        Order::Newest => return Box::new(downward(job, among, Bound::Unbounded, Bound::Unbounded)),
        Order::Forward(cursor) => cursor,
    };
    // A rerun of what was taken last would bring the same again. If that was a
    // rerun itself, later ones do count.
    let last = if cursor.rerun == 0 { cursor.last_rerun() } else { cursor };
    let after = Bound::Excluded(last);
    let brings = move |it: &Candidate<'_>| brings_unused(group, job, it.build, world);
    let forward = upward(job, among, after).filter(brings);
    let forward = forward.map(|it| Candidate { after: true, ..it });
    // What brings nothing unused would hold up `every` for ever; it counts as older.
    let passed_over = downward(job, among, after, Bound::Unbounded).filter(move |it| !brings(it));
    let older = downward(job, among, Bound::Unbounded, Bound::Included(cursor));
    Box::new(forward.chain(passed_over).chain(older))
}

/// Whether a build may be missing that would be preferred to some that are loaded.
pub(super) fn may_lack_preferred(job: &Upstream<'_>) -> bool {
    let oldest = job.successes.builds().first_key_value().map(|(position, _)| *position);
    let reaches = match job.order {
        Order::Newest => oldest.is_some(),
        Order::Forward(cursor) => oldest.is_some_and(|oldest| oldest <= cursor),
    };
    !job.successes.is_complete() && !reaches
}

/// Whether a build has a version that an input with `every` has not used yet.
fn brings_unused(group: &Group<'_>, job: &Upstream<'_>, build: &Build, world: &dyn World) -> bool {
    job.inputs.iter().any(|(at, resource)| {
        let Some(input) = group.inputs.get(*at) else { return false };
        let spec = input.spec;
        spec.choice == super::spec::Choice::Every
            && match supply(input, build.versions(*resource), world) {
                Supply::Version(digest) => {
                    !world.used().was_used(&spec.name, &spec.resource, &digest)
                }
                Supply::NotLoaded(_) => true,
                Supply::Nothing => false,
            }
    })
}

fn upward<'a>(
    job: &'a Upstream<'a>,
    among: Among<'a>,
    from: Bound<Position>,
) -> impl Iterator<Item = Candidate<'a>> {
    range(job, among, from, Bound::Unbounded)
}

fn downward<'a>(
    job: &'a Upstream<'a>,
    among: Among<'a>,
    from: Bound<Position>,
    through: Bound<Position>,
) -> impl Iterator<Item = Candidate<'a>> {
    range(job, among, from, through).rev()
}

fn range<'a>(
    job: &'a Upstream<'a>,
    among: Among<'a>,
    from: Bound<Position>,
    through: Bound<Position>,
) -> Box<dyn DoubleEndedIterator<Item = Candidate<'a>> + 'a> {
    let builds = job.successes.builds();
    let candidate = |position, build| Candidate { position, build, after: false };
    match among {
        Among::All => {
            Box::new(builds.range((from, through)).map(move |(at, build)| candidate(*at, build)))
        }
        Among::These(places) => {
            let start = match from {
                Bound::Excluded(from) => places.partition_point(|place| *place <= from),
                Bound::Included(from) => places.partition_point(|place| *place < from),
                Bound::Unbounded => 0,
            };
            let end = match through {
                Bound::Excluded(through) => places.partition_point(|place| *place < through),
                Bound::Included(through) => places.partition_point(|place| *place <= through),
                Bound::Unbounded => places.len(),
            };
            let places = places.get(start..end).unwrap_or_default();
            Box::new(places.iter().filter_map(move |at| Some(candidate(*at, builds.get(at)?))))
        }
    }
}
