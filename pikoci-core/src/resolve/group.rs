//! Inputs that share upstream jobs: which they are, what is known of them, and
//! what comes of them.

use std::collections::{BTreeMap, BTreeSet};

use super::explain::explain;
use super::history::History;
use super::plain::{Pinned, pin, pinned};
use super::position::Position;
use super::reason::{PinnedBy, Reason};
use super::resolution::{Answer, Chosen, Need};
use super::search::{Found, Search};
use super::spec::{Choice, InputSpec};
use super::successes::Successes;
use super::used::{HighestUsed, Used};
use super::walk::Order;
use super::world::{Lookup, World};
use crate::version::{Version, VersionDigest};

/// The inputs with `passed`, by their places: those that share jobs, directly or
/// through others, together.
pub(super) fn groups(inputs: &[InputSpec]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Vec<usize>, BTreeSet<&str>)> = Vec::new();
    for (at, input) in inputs.iter().enumerate().filter(|(_, input)| !input.passed.is_empty()) {
        let mut joined = (vec![at], input.passed.iter().map(String::as_str).collect());
        groups.retain_mut(|(members, jobs)| {
            let apart = jobs.is_disjoint(&joined.1);
            if !apart {
                joined.0.append(members);
                joined.1.append(jobs);
            }
            apart
        });
        groups.push(joined);
    }
    let sorted = |(mut members, _): (Vec<usize>, _)| {
        members.sort_unstable();
        members
    };
    groups.into_iter().map(sorted).collect()
}

/// A group of inputs with what is known of them.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) inputs: Vec<Member<'a>>,
    /// In the order in which they have their way.
    pub(super) jobs: Vec<Upstream<'a>>,
}

/// An input of a group.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) spec: &'a InputSpec,
    pub(super) history: Option<&'a History>,
    pub(super) pin: Option<(&'a Version, PinnedBy)>,
    /// The jobs of the group that it names.
    pub(super) jobs: Vec<usize>,
}

/// An upstream job of a group.
#[derive(Debug)]
pub(super) struct Upstream<'a> {
    pub(super) name: &'a str,
    pub(super) successes: &'a Successes,
    /// The inputs that name it, each with its resource's number in `successes`.
    pub(super) inputs: Vec<(usize, Option<usize>)>,
    pub(super) order: Order,
}

/// The versions of a group's inputs, in their order, and whether more remain.
pub(super) fn resolve(specs: Vec<&InputSpec>, world: &dyn World) -> Answer<(Vec<Chosen>, bool)> {
    let mut inputs: Vec<Member<'_>> = specs
        .into_iter()
        .map(|spec| {
            let history = world.history(&spec.resource);
            let pin = match (history, &spec.choice) {
                (Some(history), _) => pin(spec, history),
                (None, Choice::Pinned(pin)) => Some((pin, PinnedBy::Get)),
                (None, _) => None,
            };
            Member { spec, history, pin, jobs: Vec::new() }
        })
        .collect();
    let mut unsure = BTreeSet::new();
    for input in &inputs {
        let Some(((pin, by), history)) = input.pin.zip(input.history) else { continue };
        match pinned(input.spec, history, pin, by) {
            Pinned::To(_) => {}
            Pinned::Not(reason) => return Answer::Not(reason),
            Pinned::Unsure => {
                unsure.insert(Need::Versions { resource: input.spec.resource.clone() });
            }
        }
    }
    // That a group fails is certain, but not why.
    let not = |reason| {
        if unsure.is_empty() { Answer::Not(reason) } else { Answer::Needs(unsure.clone()) }
    };
    if let Some(reason) = not_succeeded(&inputs, world) {
        return not(reason);
    }
    let cursors = match cursors(&inputs, world.used()) {
        Ok(cursors) => cursors,
        Err(need) => return Answer::Needs(BTreeSet::from([need])),
    };
    let jobs = upstream(&mut inputs, cursors, world);
    let group = Group { inputs, jobs };
    match Search::new(&group, world).run() {
        Found::Builds(builds, versions) => group.found(&builds, &versions, world),
        Found::Nothing { tried } => match explain(&group, world, tried) {
            Ok(reason) => not(reason),
            Err(needs) => Answer::Needs(needs),
        },
        Found::Needs(needs) => Answer::Needs(needs),
    }
}

/// The jobs that have no succeeded build, if there are any.
fn not_succeeded(inputs: &[Member<'_>], world: &dyn World) -> Option<Reason> {
    let never =
        |job: &&String| world.successes(job).is_none_or(|it| it.is_empty() && it.is_complete());
    let mut jobs: Vec<String> = Vec::new();
    let mut waiting = Vec::new();
    for input in inputs {
        let missing: Vec<&String> = input.spec.passed.iter().filter(never).collect();
        if !missing.is_empty() {
            waiting.push(input.spec.name.clone());
        }
        for job in missing {
            if !jobs.contains(job) {
                jobs.push(job.clone());
            }
        }
    }
    (!jobs.is_empty()).then_some(Reason::NotSucceeded { inputs: waiting, jobs })
}

/// The builds that `every` was at last, by job: those behind the newest build
/// that took the newest version.
fn cursors<'a>(
    inputs: &[Member<'_>],
    used: &'a Used,
) -> Result<Option<&'a BTreeMap<String, Position>>, Need> {
    for input in inputs.iter().filter(|input| input.spec.choice == Choice::Every) {
        let Some(history) = input.history else { continue };
        let resource = &input.spec.resource;
        match used.highest(resource, history) {
            HighestUsed::None => {}
            HighestUsed::At(_, version) => return Ok(used.cursors(resource, &version)),
            HighestUsed::NotLoaded => return Err(Need::Versions { resource: resource.clone() }),
        }
    }
    Ok(None)
}

/// The jobs of a group in their order, and which of its inputs name each.
fn upstream<'a>(
    inputs: &mut [Member<'a>],
    cursors: Option<&BTreeMap<String, Position>>,
    world: &'a dyn World,
) -> Vec<Upstream<'a>> {
    let every = |job: &str| {
        let names = |input: &&Member<'_>| input.spec.passed.iter().any(|it| it == job);
        inputs.iter().filter(names).any(|input| input.spec.choice == Choice::Every)
    };
    let walked = |job: &str| cursors?.get(job).copied().filter(|_| every(job));
    let mut order: Vec<(&'a str, Order)> = Vec::new();
    for input in inputs.iter() {
        // Those that are walked forward lead: a job that is not takes what goes
        // with theirs.
        let jobs = || input.spec.passed.iter().map(|job| (job.as_str(), walked(job)));
        let leading = jobs().filter(|(_, cursor)| cursor.is_some());
        for (job, cursor) in leading.chain(jobs().filter(|(_, cursor)| cursor.is_none())) {
            if order.iter().all(|(known, _)| *known != job) {
                order.push((job, cursor.map_or(Order::Newest, Order::Forward)));
            }
        }
    }
    let mut jobs = Vec::new();
    for (name, order) in order {
        let Some(successes) = world.successes(name) else { continue };
        let mut naming = Vec::new();
        for (at, input) in inputs.iter_mut().enumerate() {
            if input.spec.passed.iter().any(|job| job == name) {
                input.jobs.push(jobs.len());
                naming.push((at, successes.number(&input.spec.resource)));
            }
        }
        jobs.push(Upstream { name, successes, inputs: naming, order });
    }
    jobs
}

impl Group<'_> {
    /// The answer that these builds, by job, and versions, by input, are.
    fn found(
        &self,
        builds: &[(Position, bool)],
        versions: &[VersionDigest],
        world: &dyn World,
    ) -> Answer<(Vec<Chosen>, bool)> {
        let mut chosen = Vec::new();
        let mut needs = BTreeSet::new();
        for (input, digest) in self.inputs.iter().zip(versions) {
            let resource = &input.spec.resource;
            let Lookup::Known(version) = world.version(resource, digest) else {
                needs.insert(Need::Version { resource: resource.clone(), version: *digest });
                continue;
            };
            let source =
                |job: &usize| Some((self.jobs.get(*job)?.name.to_owned(), builds.get(*job)?.0));
            chosen.push(Chosen {
                version,
                digest: *digest,
                first: !world.used().was_used(&input.spec.name, resource, digest),
                sources: input.jobs.iter().filter_map(source).collect(),
            });
        }
        let more = builds.iter().any(|(_, after)| *after);
        if needs.is_empty() { Answer::Found((chosen, more)) } else { Answer::Needs(needs) }
    }
}
