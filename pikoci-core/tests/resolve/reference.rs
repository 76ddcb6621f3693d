//! A slow solver: every combination of builds is tried, in the order that is
//! preferred, and the first that is valid is taken.

use std::collections::{BTreeMap, BTreeSet};

use pikoci_core::resolve::{
    Choice, InputSpec, Position, Reason, Resolution, ResourceRef, SucceededBuild, Unusable,
};
use pikoci_core::version::{Version, VersionDigest};

use crate::facts::Facts;

/// An input's version and the builds behind it.
pub(crate) type Answer = Option<(VersionDigest, BTreeMap<String, Position>)>;

/// What the slow solver says: each input, and whether more remain.
pub(crate) fn solve(facts: &Facts) -> (Vec<Answer>, bool) {
    let mut answers: BTreeMap<usize, Answer> = BTreeMap::new();
    let mut more = false;
    for (at, input) in facts.job.inputs.iter().enumerate() {
        if input.passed.is_empty() {
            let (version, remain) = plain(facts, input);
            answers.insert(at, version.map(|version| (version, BTreeMap::new())));
            more |= remain;
        }
    }
    for group in groups(facts) {
        let (found, remain) = solve_group(facts, &group);
        more |= remain;
        for at in group {
            answers.insert(at, found.as_ref().map(|it| it[&at].clone()));
        }
    }
    let answers: Vec<Answer> = answers.into_values().collect();
    let determined = answers.iter().all(Option::is_some);
    (answers, more && determined)
}

fn versions<'a>(facts: &'a Facts, of: &ResourceRef) -> &'a [(VersionDigest, Version)] {
    facts.versions.get(of).map_or(&[], Vec::as_slice)
}

fn disabled(facts: &Facts, of: &ResourceRef, digest: &VersionDigest) -> bool {
    facts.disabled.get(of).is_some_and(|it| it.contains(digest))
}

fn pin_of<'a>(facts: &'a Facts, input: &'a InputSpec) -> Option<&'a Version> {
    match &input.choice {
        Choice::Pinned(pin) => Some(pin),
        _ => facts.pins.get(&input.resource),
    }
}

fn enabled<'a>(facts: &'a Facts, of: &ResourceRef) -> Vec<&'a (VersionDigest, Version)> {
    versions(facts, of).iter().filter(|(it, _)| !disabled(facts, of, it)).collect()
}

/// The highest check order among the versions that the job used.
fn highest_used(facts: &Facts, of: &ResourceRef) -> Option<u64> {
    let used = facts.adoptions.iter().filter(|it| it.resource == *of);
    used.filter_map(|it| facts.order(of, &it.version)).max()
}

fn plain(facts: &Facts, input: &InputSpec) -> (Option<VersionDigest>, bool) {
    let of = &input.resource;
    let enabled = enabled(facts, of);
    if let Some(pin) = pin_of(facts, input) {
        let newest = enabled.iter().rev().find(|(_, it)| it.contains(pin));
        return (newest.map(|(digest, _)| *digest), false);
    }
    let used = (input.choice == Choice::Every).then(|| highest_used(facts, of)).flatten();
    if let Some(used) = used {
        let behind =
            |(digest, _): &&&(VersionDigest, Version)| facts.order(of, digest) > Some(used);
        let behind: Vec<_> = enabled.iter().filter(behind).collect();
        if let Some((next, _)) = behind.first() {
            return (Some(*next), behind.len() > 1);
        }
    }
    (enabled.last().map(|(digest, _)| *digest), false)
}

/// The connected components of the inputs with `passed`, by merging until
/// nothing changes.
fn groups(facts: &Facts) -> Vec<Vec<usize>> {
    let inputs = &facts.job.inputs;
    let mut group: Vec<usize> = (0..inputs.len()).collect();
    loop {
        let before = group.clone();
        for a in 0..inputs.len() {
            for b in 0..inputs.len() {
                if inputs[a].passed.iter().any(|job| inputs[b].passed.contains(job)) {
                    let least = group[a].min(group[b]);
                    (group[a], group[b]) = (least, least);
                }
            }
        }
        if group == before {
            break;
        }
    }
    let with_passed = |at: &usize| !inputs[*at].passed.is_empty();
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for at in (0..inputs.len()).filter(with_passed) {
        members.entry(group[at]).or_default().push(at);
    }
    members.into_values().collect()
}

/// What a build supplies for an input.
pub(crate) fn supplies(
    facts: &Facts,
    input: &InputSpec,
    build: &SucceededBuild,
) -> Option<VersionDigest> {
    let of = &input.resource;
    let known = |digest: &VersionDigest| versions(facts, of).iter().find(|(it, _)| it == digest);
    let may = |digest: &&VersionDigest| {
        !disabled(facts, of, digest)
            && pin_of(facts, input)
                .is_none_or(|pin| known(digest).is_some_and(|(_, it)| it.contains(pin)))
    };
    let first = build.versions.get(of)?.iter().find(may)?;
    known(first).is_some().then_some(*first)
}

pub(crate) fn builds_of<'a>(facts: &'a Facts, job: &str) -> Vec<&'a SucceededBuild> {
    let mut builds: Vec<_> = facts.builds.get(job).into_iter().flatten().collect();
    builds.sort_by_key(|it| std::cmp::Reverse(it.position));
    builds
}

fn cursors(facts: &Facts, group: &[usize]) -> BTreeMap<String, Position> {
    for at in group {
        let input = &facts.job.inputs[*at];
        if input.choice != Choice::Every {
            continue;
        }
        let Some(order) = highest_used(facts, &input.resource) else { continue };
        let took = |it: &&pikoci_core::resolve::Adoption| {
            it.resource == input.resource
                && facts.order(&input.resource, &it.version) == Some(order)
        };
        let newest = facts.adoptions.iter().filter(took).map(|it| it.position).max().unwrap();
        let same = facts.adoptions.iter().filter(|it| it.position == newest);
        return same.flat_map(|it| it.sources.clone()).collect();
    }
    BTreeMap::new()
}

/// The builds of a job in the order that is preferred, each with whether it comes
/// after the cursor.
fn preferred<'a>(
    facts: &'a Facts,
    group: &[usize],
    job: &str,
    cursor: Option<Position>,
) -> Vec<(&'a SucceededBuild, bool)> {
    let newest_first = builds_of(facts, job);
    let Some(cursor) = cursor else {
        return newest_first.into_iter().map(|it| (it, false)).collect();
    };
    let is_after = |it: &SucceededBuild| {
        if cursor.rerun == 0 { it.position.number > cursor.number } else { it.position > cursor }
    };
    let unused = |it: &SucceededBuild| {
        let naming = group.iter().map(|at| &facts.job.inputs[*at]);
        let every = |it: &&InputSpec| it.choice == Choice::Every;
        naming.filter(|it| it.passed.iter().any(|one| one == job)).filter(every).any(|input| {
            supplies(facts, input, it).is_some_and(|version| !used(facts, input, &version))
        })
    };
    let (forward, rest): (Vec<_>, Vec<_>) =
        newest_first.into_iter().partition(|it| is_after(it) && unused(it));
    let own_rerun = |it: &&SucceededBuild| {
        cursor.rerun == 0 && it.position.number == cursor.number && it.position.rerun > 0
    };
    let rest = rest.into_iter().filter(|it| !own_rerun(it)).map(|it| (it, false));
    forward.into_iter().rev().map(|it| (it, true)).chain(rest).collect()
}

pub(crate) fn used(facts: &Facts, input: &InputSpec, version: &VersionDigest) -> bool {
    facts
        .adoptions
        .iter()
        .any(|it| it.input == input.name && it.resource == input.resource && it.version == *version)
}

/// The jobs of a group that are walked forward, with their cursors.
fn walked(facts: &Facts, group: &[usize]) -> BTreeMap<String, Position> {
    let mut cursors = cursors(facts, group);
    cursors.retain(|job, _| {
        let every = |it: &InputSpec| it.passed.contains(job) && it.choice == Choice::Every;
        group.iter().any(|at| every(&facts.job.inputs[*at]))
    });
    cursors
}

/// The builds of a job that may be taken at all.
fn walkable<'a>(facts: &'a Facts, job: &str) -> Vec<&'a SucceededBuild> {
    let names = |at: &usize| facts.job.inputs[*at].passed.iter().any(|it| it == job);
    let group = groups(facts).into_iter().find(|group| group.iter().any(names)).unwrap();
    let cursor = walked(facts, &group).get(job).copied();
    preferred(facts, &group, job, cursor).into_iter().map(|(build, _)| build).collect()
}

type Solution = BTreeMap<usize, (VersionDigest, BTreeMap<String, Position>)>;

fn solve_group(facts: &Facts, group: &[usize]) -> (Option<Solution>, bool) {
    let cursors = walked(facts, group);
    let walked = |job: &String| cursors.get(job).copied();
    let mut jobs: Vec<&String> = Vec::new();
    for input in group.iter().map(|at| &facts.job.inputs[*at]) {
        let (first, then): (Vec<_>, Vec<_>) =
            input.passed.iter().partition(|job| walked(job).is_some());
        for job in first.into_iter().chain(then) {
            if !jobs.contains(&job) {
                jobs.push(job);
            }
        }
    }
    let lists: Vec<_> = jobs.iter().map(|job| preferred(facts, group, job, walked(job))).collect();
    if lists.iter().any(Vec::is_empty) {
        return (None, false);
    }
    // Like a counter whose last digit turns the fastest: the first job's best
    // build is held on to the longest.
    let mut at = vec![0; jobs.len()];
    loop {
        let picked: Vec<_> = lists.iter().zip(&at).map(|(list, at)| list[*at]).collect();
        if let Some(solution) = valid(facts, group, &jobs, &picked) {
            return (Some(solution), picked.iter().any(|(_, after)| *after));
        }
        let turns = (0..at.len()).rev().find(|digit| at[*digit] + 1 < lists[*digit].len());
        let Some(turns) = turns else { return (None, false) };
        at[turns] += 1;
        at[turns + 1..].fill(0);
    }
}

fn valid(
    facts: &Facts,
    group: &[usize],
    jobs: &[&String],
    picked: &[(&SucceededBuild, bool)],
) -> Option<Solution> {
    let mut solution = Solution::new();
    for at in group {
        let input = &facts.job.inputs[*at];
        let behind = jobs.iter().zip(picked).filter(|(job, _)| input.passed.contains(job));
        let mut versions = BTreeSet::new();
        let mut sources = BTreeMap::new();
        for (job, (build, _)) in behind {
            versions.insert(supplies(facts, input, build)?);
            sources.insert((*job).clone(), build.position);
        }
        if versions.len() != 1 {
            return None;
        }
        solution.insert(*at, (versions.pop_first()?, sources));
    }
    Some(solution)
}

/// Panics unless the answer is what the slow solver says and its reasons are true.
pub(crate) fn compare(facts: &Facts, answer: &Resolution) {
    assert_eq!(answer.needs, [], "{facts:#?}");
    let (expected, more) = solve(facts);
    for ((input, spec), expected) in answer.inputs.iter().zip(&facts.job.inputs).zip(&expected) {
        assert_eq!((&input.name, &input.resource), (&spec.name, &spec.resource));
        let found = input.result.as_ref().ok();
        let found_too = found.map(|it| (it.digest, it.sources.clone()));
        assert_eq!(found_too, *expected, "input {} of {facts:#?}", input.name);
        if let Some(found) = found {
            assert_eq!(found.version.digest(), found.digest);
            assert_eq!(found.first, !used(facts, spec, &found.digest), "{facts:#?}");
        }
        if let Err(reason) = &input.result {
            assert!(is_true(facts, reason), "{reason:?} is not true of {facts:#?}");
        }
    }
    assert_eq!(answer.more_remain, more, "{facts:#?}");
}

/// Whether a reason states the truth.
fn is_true(facts: &Facts, reason: &Reason) -> bool {
    let spec = |name: &String| facts.job.inputs.iter().find(|it| it.name == *name).unwrap();
    let of_job = |job: &String| {
        facts.job.inputs.iter().filter(|it| it.passed.contains(job)).collect::<Vec<_>>()
    };
    match reason {
        Reason::NeverChecked { resource, .. } => !facts.versions.contains_key(resource),
        Reason::NoVersion { resource, .. } => facts.versions[resource].is_empty(),
        Reason::AllDisabled { resource, .. } => {
            enabled(facts, resource).is_empty() && !facts.versions[resource].is_empty()
        }
        Reason::PinNotFound { input, resource, pin, .. } => {
            pin_of(facts, spec(input)) == Some(pin)
                && !versions(facts, resource).iter().any(|(_, it)| it.contains(pin))
        }
        Reason::PinDisabled { input, resource, version, .. } => {
            let pin = pin_of(facts, spec(input)).unwrap();
            version.contains(pin)
                && !enabled(facts, resource).iter().any(|(_, it)| it.contains(pin))
        }
        Reason::NotSucceeded { inputs, jobs } => {
            jobs.iter().all(|job| builds_of(facts, job).is_empty())
                && inputs.iter().all(|it| jobs.iter().any(|job| spec(it).passed.contains(job)))
        }
        Reason::NoneUsable { input, job, build, why, .. } => {
            let newest = builds_of(facts, job)[0];
            let usable = |build: &&SucceededBuild| {
                of_job(job).iter().all(|it| supplies(facts, it, build).is_some())
            };
            let repeats = matches!(why, Unusable::Repeats { .. });
            newest.position == *build
                && supplies(facts, spec(input), newest).is_none() != repeats
                && !walkable(facts, job).iter().any(usable)
        }
        Reason::NotPassed { input, version, passed, job, .. } => {
            let supplied = |job: &String, at: Option<Position>| {
                let builds = walkable(facts, job).into_iter();
                let full = |it: &&SucceededBuild| {
                    of_job(job).iter().all(|input| supplies(facts, input, it).is_some())
                };
                builds
                    .filter(full)
                    .filter(|it| at.is_none_or(|at| it.position == at))
                    .any(|it| supplies(facts, spec(input), it) == Some(version.digest()))
            };
            !passed.is_empty()
                && passed.iter().all(|it| supplied(&it.job, Some(it.build)))
                && !supplied(job, None)
                && spec(input).passed.contains(job)
        }
        Reason::NotTogether { versions, passed, job, .. } => {
            let all = |build: &&SucceededBuild| {
                of_job(job).iter().all(|it| supplies(facts, it, build).is_some())
                    && versions.iter().all(|(name, version)| {
                        supplies(facts, spec(name), build) == Some(version.digest())
                    })
            };
            versions.len() > 1 && !passed.is_empty() && !walkable(facts, job).iter().any(all)
        }
        Reason::NotLoaded { .. } => false,
        _ => panic!("a reason that the test does not know: {reason:?}"),
    }
}
