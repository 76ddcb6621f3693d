//! Random facts, resolved and compared to what the slow solver says.

use std::collections::{BTreeMap, BTreeSet};

use pikoci_core::resolve::{
    Adoption, Choice, InputSpec, JobSpec, Position, ResourceRef, SucceededBuild,
};
use pikoci_core::testkit::random::Random;
use pikoci_core::version::{Version, VersionDigest};

use crate::facts::{Facts, id};
use crate::notation::{resource, version};
use crate::reference;

const RESOURCES: [&str; 3] = ["app", "image", "conf"];
const JOBS: [&str; 4] = ["a", "b", "c", "d"];

/// How unruly facts are: with pins, disabled and vanished versions, or only a
/// question of which builds go together.
#[derive(Clone, Copy)]
pub(crate) struct Ways {
    wild: bool,
}

fn some_version(random: &mut Random, ways: Ways, resource: &ResourceRef) -> Version {
    let number = random.below(if ways.wild { 5 } else { 3 });
    let letter = resource.0.as_bytes()[4] as char;
    // Fields that several versions share, for partial pins.
    version(&format!("{letter}{number}+even:{}", number % 2))
}

fn some_of<'a>(random: &mut Random, all: &[&'a str]) -> Vec<&'a str> {
    let mut some: Vec<&str> = Vec::new();
    for _ in 0..1 + random.below(3) {
        let one = all[random.below(all.len())];
        if !some.contains(&one) {
            some.push(one);
        }
    }
    some
}

fn some_job(random: &mut Random, ways: Ways) -> JobSpec {
    let input = |random: &mut Random, at: usize| {
        let resource = resource(RESOURCES[random.below(3)]);
        let passed = if random.one_in(5) { Vec::new() } else { some_of(random, &JOBS) };
        let choice = match random.below(10) {
            0 | 1 if !ways.wild => Choice::Latest,
            0 => Choice::Pinned(version(&format!("even:{}", random.below(2)))),
            1 => Choice::Pinned(some_version(random, ways, &resource)),
            2..=5 => Choice::Every,
            _ => Choice::Latest,
        };
        InputSpec {
            name: format!("input{at}"),
            resource,
            trigger: random.one_in(2),
            passed: passed.into_iter().map(str::to_owned).collect(),
            choice,
        }
    };
    let inputs = (0..1 + random.below(4)).map(|at| input(random, at)).collect();
    JobSpec { name: "deploy".into(), inputs }
}

/// The versions of a build that succeeds, for all resources or nearly.
fn some_versions(random: &mut Random, ways: Ways) -> BTreeMap<ResourceRef, Vec<VersionDigest>> {
    let mut versions: BTreeMap<ResourceRef, Vec<VersionDigest>> = BTreeMap::new();
    for name in RESOURCES {
        let most = if ways.wild { 12 } else { 1 };
        let count = [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 0][random.below(most)];
        for _ in 0..count {
            let version = some_version(random, ways, &resource(name)).digest();
            versions.entry(resource(name)).or_default().push(version);
        }
    }
    versions
}

fn some_build(random: &mut Random, ways: Ways, job: usize) -> SucceededBuild {
    let number = 1 + random.below(5) as u64;
    let rerun = if random.one_in(4) { 1 + random.below(2) as u32 } else { 0 };
    SucceededBuild {
        id: id(job as u128 * 1000 + u128::from(number) * 10 + u128::from(rerun)),
        position: Position { number, rerun },
        versions: some_versions(random, ways),
    }
}

pub(crate) fn some_facts(random: &mut Random) -> Facts {
    let ways = Ways { wild: random.one_in(2) };
    let mut facts = Facts::of(some_job(random, ways));
    for name in RESOURCES {
        let resource = resource(name);
        let unlikely = |random: &mut Random, times| ways.wild && random.one_in(times);
        if !unlikely(random, 40) {
            facts.versions.insert(resource.clone(), Vec::new());
            for _ in 0..if unlikely(random, 40) { 0 } else { 15 } {
                let version = some_version(random, ways, &resource);
                facts.found(&resource, &version);
            }
        }
        if unlikely(random, 3) {
            let count = [1, 2, 3, 30][random.below(4)];
            let digests: BTreeSet<_> =
                (0..count).map(|_| some_version(random, ways, &resource).digest()).collect();
            facts.disabled.insert(resource.clone(), digests);
        }
        if unlikely(random, 10) {
            facts.pins.insert(resource, version(&format!("even:{}", random.below(2))));
        }
    }
    for (at, job) in JOBS.iter().enumerate() {
        let mut builds: Vec<SucceededBuild> = Vec::new();
        for _ in 0..if random.one_in(60) { 0 } else { 1 + random.below(6) } {
            let build = some_build(random, ways, at);
            if builds.iter().all(|it| it.position != build.position) {
                builds.push(build);
            }
        }
        facts.builds.insert((*job).into(), builds);
    }
    adopt_some(random, ways, &mut facts);
    facts
}

/// What earlier builds took: what was resolved at the time, or anything.
fn adopt_some(random: &mut Random, ways: Ways, facts: &mut Facts) {
    for _ in 0..random.below(4) {
        let all = facts.builds.clone();
        // As it was when fewer builds had succeeded.
        for builds in facts.builds.values_mut() {
            let kept = random.below(builds.len() + 1);
            builds.sort_by_key(|build| build.position);
            builds.truncate(kept.max(1));
        }
        let then = facts.resolve();
        facts.builds = all;
        if then.determined() && !random.one_in(4) {
            facts.adopt(&then);
        } else {
            adopt_anything(random, ways, facts);
        }
    }
}

fn adopt_anything(random: &mut Random, ways: Ways, facts: &mut Facts) {
    let number = 1 + random.below(4) as u64;
    let position = Position { number, rerun: random.below(2) as u32 };
    let mut sources: BTreeMap<String, Position> = BTreeMap::new();
    for (job, builds) in &facts.builds {
        if !builds.is_empty() && !random.one_in(4) {
            sources.insert(job.clone(), builds[random.below(builds.len())].position);
        }
    }
    for input in facts.job.inputs.clone() {
        facts.adoptions.retain(|it| it.position != position || it.input != input.name);
        if random.one_in(4) {
            continue;
        }
        facts.adoptions.push(Adoption {
            build: id(u128::from(number)),
            position,
            version: some_version(random, ways, &input.resource).digest(),
            input: input.name,
            resource: input.resource,
            sources: sources.clone(),
        });
    }
    // All inputs of a build have its sources.
    for it in facts.adoptions.iter_mut().filter(|it| it.position == position) {
        it.sources = sources.clone();
    }
}

#[test]
fn random_facts_resolve_as_the_slow_solver_says() {
    let mut found = 0;
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    let (mut more, mut walked) = (0, 0);
    for seed in 0..4000 {
        let facts = some_facts(&mut Random::new(seed));
        let answer = facts.resolve();
        reference::compare(&facts, &answer);
        found += u32::from(answer.determined());
        more += u32::from(answer.more_remain);
        walked += u32::from(!facts.adoptions.is_empty());
        for reason in answer.problems().into_values() {
            let json = serde_json::to_value(&reason).unwrap();
            *kinds.entry(json["reason"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    // The facts are of some use only if all that can happen does.
    assert!(found > 1000 && more > 200 && walked > 2000, "{found} {more} {walked}");
    for kind in [
        "never_checked",
        "no_version",
        "all_disabled",
        "pin_not_found",
        "pin_disabled",
        "not_succeeded",
        "none_usable",
        "not_passed",
        "not_together",
    ] {
        assert!(kinds.get(kind).is_some_and(|count| *count > 3), "{kind}: {kinds:?}");
    }
}
