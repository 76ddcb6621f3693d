//! Facts that make a search by hand explode: it stays small.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use pikoci_core::name::BuildId;
use pikoci_core::resolve::{Choice, InputSpec, JobSpec, Position, Reason, SucceededBuild, resolve};

use crate::facts::{TestWorld, id};
use crate::notation::{resource, version};

fn input(name: &str, passed: &[String]) -> InputSpec {
    InputSpec {
        name: name.into(),
        resource: resource(name),
        trigger: true,
        passed: passed.to_vec(),
        choice: Choice::Latest,
    }
}

fn know(world: &mut TestWorld, name: &str, version_name: &str) {
    let history = world.histories.entry(resource(name)).or_default();
    let version = version(version_name);
    let digest = version.digest();
    if history.order(&digest).is_none() {
        history.insert(history.len() as u64 + 1, digest, Arc::new(version));
    }
}

fn build(world: &mut TestWorld, job: usize, number: u64, versions: &[(&str, String)]) {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (name, of) in versions {
        know(world, name, of);
        all.entry(resource(name)).or_default().push(version(of).digest());
    }
    let build_id: BuildId = id(job as u128 * 1_000_000 + u128::from(number));
    world.successes.entry(format!("j{job}")).or_default().insert(SucceededBuild {
        id: build_id,
        position: Position::original(number),
        versions: all,
    });
}

/// x has passed j1 to jk, each of which has a resource of its own that changes
/// with every build; the last job has not been through with any version of x
/// that the others have.
fn slowest_job(jobs: usize, builds: u64, versions: u64, last_has: u64) -> (JobSpec, TestWorld) {
    let names: Vec<String> = (1..=jobs).map(|job| format!("j{job}")).collect();
    let mut inputs = vec![input("x", &names)];
    let mut world = TestWorld::default();
    for job in 1..=jobs {
        let own = format!("y{job}");
        inputs.push(input(&own, &names[job - 1..job]));
        for number in 1..=builds {
            let x = if job == jobs {
                if number <= last_has { continue } else { format!("old{}", number % versions) }
            } else {
                format!("v{}", number * versions / (builds + 1))
            };
            build(&mut world, job, number, &[("x", x), (&own, format!("{job}-{number}"))]);
        }
    }
    (JobSpec { name: "deploy".into(), inputs }, world)
}

fn tried(reason: &Reason) -> u64 {
    match reason {
        Reason::NotPassed { tried, .. } | Reason::NotTogether { tried, .. } => *tried,
        other => panic!("{other}"),
    }
}

#[test]
fn waiting_for_the_slowest_job_does_not_explode() {
    let (job, world) = slowest_job(6, 200, 10, 0);
    let reason = resolve(&job, &world).problems().remove("x").unwrap();
    assert!(tried(&reason) < 100, "{reason}");
    assert!(matches!(reason, Reason::NotPassed { job, .. } if job == "j6"));
}

#[test]
fn jobs_whose_builds_never_go_together_do_not_explode() {
    // Each pair of jobs has versions in common, all of them do not.
    let names = ["j1", "j2", "j3", "j4"].map(str::to_owned);
    let inputs = vec![
        input("a", &[names[0].clone(), names[1].clone()]),
        input("b", &[names[1].clone(), names[2].clone()]),
        input("c", &[names[2].clone(), names[3].clone()]),
        input("d", &[names[3].clone(), names[0].clone()]),
    ];
    let mut world = TestWorld::default();
    for number in 1..=150 {
        let v = |of: u64| format!("{}", of % 150);
        build(&mut world, 1, number, &[("a", v(number)), ("d", v(number))]);
        build(&mut world, 2, number, &[("a", v(number)), ("b", v(number))]);
        build(&mut world, 3, number, &[("b", v(number)), ("c", v(number))]);
        build(&mut world, 4, number, &[("c", v(number)), ("d", v(number + 1))]);
    }
    let job = JobSpec { name: "deploy".into(), inputs };
    let reason = resolve(&job, &world).problems().remove("a").unwrap();
    assert!(tried(&reason) <= 4 * 150, "{reason}");
}

#[test]
fn a_job_that_joins_two_others_does_not_explode() {
    // j1 and j2 have nothing in common but what j3 has of both.
    let names = ["j1", "j2", "j3"].map(str::to_owned);
    let inputs = vec![
        input("x", &names[..1]),
        input("y", &names[1..2]),
        input("z", &[names[0].clone(), names[2].clone()]),
        input("w", &[names[1].clone(), names[2].clone()]),
    ];
    let mut world = TestWorld::default();
    for number in 1..=300 {
        let v = |of: u64| format!("v{}", of % 300);
        build(&mut world, 1, number, &[("x", v(number)), ("z", v(number))]);
        build(&mut world, 2, number, &[("y", v(number)), ("w", v(number))]);
        // The first build of j3 is the only one that goes with others.
        let (z, w) = if number == 1 { (v(1), v(1)) } else { (v(number), format!("no{number}")) };
        build(&mut world, 3, number, &[("z", z), ("w", w)]);
    }
    let job = JobSpec { name: "deploy".into(), inputs };
    let started = Instant::now();
    let resolution = resolve(&job, &world);
    assert!(resolution.determined(), "{:?}", resolution.problems());
    let sources = |at: usize| resolution.inputs[at].result.as_ref().unwrap().sources.clone();
    assert_eq!(sources(2)["j1"], Position::original(1));
    assert_eq!(sources(3)["j2"], Position::original(1));
    // A search in the order of the jobs tries 90,000 builds, which takes seconds.
    assert!(started.elapsed().as_millis() < 500);
}

/// The best of many, in microseconds.
fn time(job: &JobSpec, world: &TestWorld) -> f64 {
    let once = || {
        let started = Instant::now();
        std::hint::black_box(resolve(job, world));
        started.elapsed().as_nanos() as f64 / 1000.0
    };
    (0..200).map(|_| once()).fold(f64::INFINITY, f64::min)
}

#[test]
#[ignore = "measures: run with --release -- --ignored --nocapture"]
fn how_long_the_worst_cases_take() {
    let mut lines = Vec::new();
    for builds in [200, 2000, 20_000] {
        let (job, mut world) = slowest_job(10, builds, 50, 0);
        let took = time(&job, &world);
        lines.push(format!("10 jobs x {builds}, 50 versions: {took:.0} us"));
        assert!(took < 1000.0 || cfg!(debug_assertions), "{took} us");
        let started = Instant::now();
        build(&mut world, 1, builds + 1, &[("x", "v49".into()), ("y1", "new".into())]);
        let inserted = started.elapsed().as_micros();
        lines.push(format!("  one more build: {inserted} us, then {:.0} us", time(&job, &world)));
    }
    for builds in [200, 2000] {
        // The last job is through with the oldest version alone.
        let (job, mut world) = slowest_job(10, builds, 50, 0);
        build(&mut world, 10, builds + 1, &[("x", "v0".into()), ("y10", "new".into())]);
        lines.push(format!("  only the oldest through, {builds}: {:.0} us", time(&job, &world)));
        build(&mut world, 10, builds + 2, &[("x", "v49".into()), ("y10", "new".into())]);
        lines.push(format!("  the newest through, {builds}: {:.0} us", time(&job, &world)));
    }
    writeln!(std::io::stderr(), "{}", lines.join("\n")).unwrap();
}
