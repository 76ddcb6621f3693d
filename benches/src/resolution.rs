//! Resolution: cold and warm, and the fan-in that waits for its slowest job.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use pikoci_core::Version;
use pikoci_core::name::BuildId;
use pikoci_core::resolve::{
    Adoption, Choice, History, InputSpec, JobSpec, Position, ResourceRef, SucceededBuild,
    Successes, Used, World, resolve,
};
use uuid::Uuid;

use crate::measure::median;

const JOBS: usize = 1000;
const VERSIONS: u64 = 1000;
const WARM: usize = 200;

/// The facts of one job.
#[derive(Default)]
struct Facts {
    histories: BTreeMap<ResourceRef, History>,
    successes: BTreeMap<String, Successes>,
    used: Used,
}

impl World for Facts {
    fn history(&self, resource: &ResourceRef) -> Option<&History> {
        self.histories.get(resource)
    }

    fn successes(&self, job: &str) -> Option<&Successes> {
        self.successes.get(job)
    }

    fn used(&self) -> &Used {
        &self.used
    }
}

fn version(number: u64) -> Version {
    Version::from_pairs([("ref", format!("{number:040x}"))])
}

fn input(name: &str, passed: &[String]) -> InputSpec {
    InputSpec {
        name: name.into(),
        resource: ResourceRef(format!("git.{name}")),
        trigger: true,
        passed: passed.to_vec(),
        choice: Choice::Latest,
    }
}

fn build(number: u64) -> BuildId {
    BuildId(Uuid::from_u128(u128::from(number)))
}

fn used(history: u64) -> Facts {
    let resource = ResourceRef("git.app".into());
    let mut facts = Facts::default();
    let mut versions = History::new();
    for number in 1..=history {
        let version = version(number);
        let digest = version.digest();
        versions.insert(number, digest, Arc::new(version));
        facts.used.insert(Adoption {
            build: build(number),
            position: Position { number, rerun: 0 },
            input: "app".into(),
            resource: resource.clone(),
            version: digest,
            sources: BTreeMap::new(),
        });
    }
    facts.histories.insert(resource, versions);
    facts
}

/// A thousand jobs that have each used a thousand versions: from nothing, and
/// after one more version.
pub(crate) fn thousand_jobs() -> std::io::Result<()> {
    let spec = JobSpec { name: "test".into(), inputs: vec![input("app", &[])] };
    let started = Instant::now();
    let mut jobs: Vec<Facts> = (0..JOBS).map(|_| used(VERSIONS)).collect();
    for facts in &jobs {
        black_box(resolve(&spec, facts));
    }
    println!(
        "  {JOBS} jobs x {VERSIONS} versions from nothing: {:.0} ms",
        started.elapsed().as_secs_f64() * 1e3
    );
    let warm = |facts: &mut Facts, from: u64| {
        let times = (0..WARM as u64).map(|at| {
            let version = version(from + at);
            let digest = version.digest();
            let started = Instant::now();
            let history = facts.histories.get_mut(&ResourceRef("git.app".into()));
            if let Some(history) = history {
                history.insert(from + at, digest, Arc::new(version));
            }
            assert!(black_box(resolve(&spec, facts)).triggers(&spec), "it is new");
            started.elapsed().as_secs_f64() * 1e6
        });
        median(times.collect())
    };
    let mut short = used(VERSIONS / 10);
    let few = warm(&mut short, VERSIONS / 10 + 1);
    let many = jobs.first_mut().map_or(f64::NAN, |facts| warm(facts, VERSIONS + 1));
    println!(
        "  one job after one more version: {many:.2} us with a history of {VERSIONS}, {:.2} times \
         that of {}",
        many / few,
        VERSIONS / 10
    );
    Ok(())
}

/// `x` passed ten jobs, each of which has an input of its own that changes with
/// every build; the last one is not through with any version of `x` yet.
pub(crate) fn fan_in() -> std::io::Result<()> {
    const UPSTREAM: usize = 10;
    const BUILDS: u64 = 2000;
    const SHARED: u64 = 50;
    let names: Vec<String> = (0..UPSTREAM).map(|at| format!("job-{at}")).collect();
    let mut inputs = vec![input("x", &names)];
    inputs
        .extend(names.iter().map(|name| input(&format!("own-{name}"), std::slice::from_ref(name))));
    let spec = JobSpec { name: "release".into(), inputs };
    let mut facts = Facts::default();
    let x = ResourceRef("git.x".into());
    let mut shared = History::new();
    for number in 1..=SHARED + 1 {
        let version = version(number);
        shared.insert(number, version.digest(), Arc::new(version));
    }
    facts.histories.insert(x.clone(), shared);
    let mut id = 0;
    let mut succeed = |facts: &mut Facts, at: usize, number: u64, shared: u64| {
        id += 1;
        let own = ResourceRef(format!("git.own-{}", names[at]));
        let made = version(1_000_000 * (at as u64 + 1) + number);
        let digest = made.digest();
        let history = facts.histories.entry(own.clone()).or_default();
        history.insert(number, digest, Arc::new(made));
        let versions =
            BTreeMap::from([(x.clone(), vec![version(shared).digest()]), (own, vec![digest])]);
        let position = Position { number, rerun: 0 };
        let successes = facts.successes.entry(names[at].clone()).or_insert_with(|| {
            let mut successes = Successes::default();
            successes.set_complete(true);
            successes
        });
        successes.insert(SucceededBuild { id: build(id), position, versions });
    };
    for at in 0..UPSTREAM {
        for number in 1..=BUILDS {
            // The slowest job has only ever seen a version that no other has.
            let shared = if at == UPSTREAM - 1 { SHARED + 1 } else { 1 + number % SHARED };
            succeed(&mut facts, at, number, shared);
        }
    }
    let time = |facts: &Facts| {
        let times = (0..WARM).map(|_| {
            let started = Instant::now();
            let resolution = black_box(resolve(&spec, facts));
            let took = started.elapsed().as_secs_f64() * 1e6;
            assert!(!resolution.determined(), "the last job is not through");
            took
        });
        median(times.collect())
    };
    let first = time(&facts);
    succeed(&mut facts, 0, BUILDS + 1, 7);
    let after = time(&facts);
    println!(
        "  {UPSTREAM} upstream jobs x {BUILDS} builds, {SHARED} versions, none through the last: \
         {first:.0} us; after one more build {after:.0} us"
    );
    Ok(())
}
