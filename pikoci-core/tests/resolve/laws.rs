//! Laws that hold for all facts.

use pikoci_core::resolve::{Choice, History, Position, Reason, Resolution, Successes, resolve};
use pikoci_core::testkit::random::Random;

use crate::facts::Facts;
use crate::notation::version;
use crate::random::some_facts;

const CASES: u64 = 1000;

fn each(mut law: impl FnMut(&mut Random, Facts)) {
    for seed in 0..CASES {
        // Not the facts of the comparison with the slow solver.
        let mut random = Random::new(seed + 1_000_000);
        let facts = some_facts(&mut random);
        law(&mut random, facts);
    }
}

/// How many builds were tried is no part of an answer.
fn answer(resolution: &Resolution) -> Resolution {
    let mut answer = resolution.clone();
    for input in &mut answer.inputs {
        if let Err(Reason::NotPassed { tried, .. } | Reason::NotTogether { tried, .. }) =
            &mut input.result
        {
            *tried = 0;
        }
    }
    answer
}

#[test]
fn what_is_loaded_is_all_that_is_needed() {
    each(|_, facts| assert_eq!(facts.resolve().needs, []));
}

#[test]
fn every_input_without_a_version_is_explained() {
    each(|_, facts| {
        let resolution = facts.resolve();
        for (input, reason) in resolution.problems() {
            let sentence = reason.to_string();
            let says = ["waits for", "wait for", "asks for"].iter().any(|it| sentence.contains(it));
            assert!(says && sentence.contains('`') && !sentence.contains("``"), "{sentence}");
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(serde_json::from_str::<Reason>(&json).unwrap(), reason);
            assert!(facts.job.inputs.iter().any(|it| it.name == input));
        }
        assert_eq!(resolution.determined(), resolution.problems().is_empty());
        assert_eq!(resolution.inputs.len(), facts.job.inputs.len());
    });
}

#[test]
fn a_new_version_is_the_only_one_that_latest_may_change_to() {
    let mut changed = 0;
    each(|_, facts| {
        let before = facts.resolve();
        let mut after = facts.clone();
        for input in &facts.job.inputs {
            after.found(&input.resource, &version("new+even:0"));
        }
        let new = version("new+even:0").digest();
        for ((spec, old), new_one) in
            facts.job.inputs.iter().zip(&before.inputs).zip(&after.resolve().inputs)
        {
            if spec.choice != Choice::Latest || !spec.passed.is_empty() {
                continue;
            }
            let digest = |it: &pikoci_core::resolve::ResolvedInput| {
                it.result.as_ref().ok().map(|it| it.digest)
            };
            let took = digest(new_one);
            assert!(took == Some(new) || took == digest(old), "{facts:#?}");
            changed += u32::from(took == Some(new));
        }
    });
    assert!(changed > 100, "{changed}");
}

#[test]
fn what_was_adopted_is_not_new_and_runs_nothing() {
    let mut adopted = 0;
    each(|_, mut facts| {
        facts.job.inputs.iter_mut().for_each(|it| {
            if it.choice == Choice::Every {
                it.choice = Choice::Latest;
            }
        });
        let resolution = facts.resolve();
        if !resolution.determined() {
            return;
        }
        facts.adopt(&resolution);
        let again = facts.resolve();
        assert!(!again.has_new_inputs() && !again.triggers(&facts.job) && !again.more_remain);
        for (one, two) in resolution.inputs.iter().zip(&again.inputs) {
            let (one, two) = (one.result.as_ref().unwrap(), two.result.as_ref().unwrap());
            assert_eq!((one.digest, &one.sources), (two.digest, &two.sources));
        }
        adopted += 1;
    });
    assert!(adopted > 300, "{adopted}");
}

#[test]
fn every_comes_to_an_end() {
    let (mut some, mut several) = (0, 0);
    each(|_, mut facts| {
        for input in &mut facts.job.inputs {
            if input.choice == Choice::Latest {
                input.choice = Choice::Every;
            }
        }
        // It began when each job had succeeded once.
        let all = facts.builds.clone();
        for builds in facts.builds.values_mut() {
            builds.sort_by_key(|build| build.position);
            builds.truncate(1);
        }
        let then = facts.resolve();
        if then.determined() {
            facts.adopt(&then);
        }
        facts.builds = all;
        let mut builds = 0;
        loop {
            let resolution = facts.resolve();
            if !resolution.has_new_inputs() {
                // Nobody may be kept looking for what never comes.
                assert!(!resolution.more_remain, "{facts:#?}");
                break;
            }
            facts.adopt(&resolution);
            builds += 1;
            // At most each version of each input once.
            assert!(builds <= 5 * facts.job.inputs.len(), "{facts:#?}");
        }
        some += u32::from(builds > 0);
        several += u32::from(builds > 1);
    });
    assert!(some > 200 && several > 20, "{some} {several}");
}

#[test]
fn every_alone_visits_each_version_once_and_in_order() {
    let resource = crate::notation::resource("app");
    let mut facts = crate::notation::facts("versions app: v0\njob: get app trigger every");
    let mut seen = Vec::new();
    for round in 1..20 {
        let resolution = facts.resolve();
        if resolution.triggers(&facts.job) {
            seen.push(resolution.inputs[0].result.as_ref().unwrap().version.to_string());
            facts.adopt(&resolution);
        }
        if round < 8 {
            facts.found(&resource, &version(&format!("v{round}")));
            facts.found(&resource, &version(&format!("w{round}")));
        }
    }
    let mut expected = vec!["ref:v0".to_owned()];
    expected.extend((1..8).flat_map(|it| [format!("ref:v{it}"), format!("ref:w{it}")]));
    assert_eq!(seen, expected);
}

#[test]
fn facts_that_are_not_loaded_never_change_an_answer() {
    let (mut certain, mut asked, mut kinds) = (0, 0, [0; 3]);
    each(|random, facts| {
        let whole = answer(&facts.resolve());
        let mut part = facts.clone();
        for resource in facts.versions.keys() {
            if random.one_in(2) {
                let count = facts.versions[resource].len() as u64;
                for (digest, _) in &facts.versions[resource] {
                    if random.one_in(4) {
                        part.asked.insert((resource.clone(), *digest));
                    }
                }
                part.floors
                    .insert(resource.clone(), 2 + random.below(4).min(count as usize) as u64);
            }
        }
        for (job, builds) in &facts.builds {
            if random.one_in(3) && !builds.is_empty() {
                part.loaded.insert(job.clone(), random.below(builds.len()));
            }
        }
        // Each answer is the whole one or says what it needs; what it needs is
        // never what it has, so that asking comes to an end.
        let mut rounds = 0;
        loop {
            let resolution = part.resolve();
            for (input, full) in answer(&resolution).inputs.iter().zip(&whole.inputs) {
                let open = matches!(input.result, Err(Reason::NotLoaded { .. }));
                assert!(open || input == full, "{:#?}\n{:#?}\n{part:#?}", input, full);
                assert!(!open || !resolution.needs.is_empty());
            }
            if resolution.needs.is_empty() {
                assert_eq!(answer(&resolution), whole);
                certain += u32::from(rounds == 0);
                break;
            }
            let open = |it: &&pikoci_core::resolve::ResolvedInput| {
                matches!(it.result, Err(Reason::NotLoaded { .. }))
            };
            assert!(resolution.inputs.iter().any(|it| open(&it)));
            for need in &resolution.needs {
                let json = serde_json::to_value(need).unwrap();
                kinds[match json["need"].as_str().unwrap() {
                    "versions" => 0,
                    "version" => 1,
                    _ => 2,
                }] += 1;
            }
            part.meet(&resolution.needs);
            rounds += 1;
            asked += 1;
        }
    });
    assert!(certain > 200 && asked > 200, "{certain} {asked}");
    assert!(kinds.iter().all(|count| *count > 100), "{kinds:?}");
}

#[test]
fn facts_may_come_in_any_order_again_and_again() {
    each(|random, facts| {
        let mut world = facts.world();
        let whole = resolve(&facts.job, &world);
        for (job, builds) in &facts.builds {
            let mut builds = builds.clone();
            for at in (1..builds.len()).rev() {
                builds.swap(at, random.below(at + 1));
            }
            let mut successes = Successes::new();
            for build in &builds {
                successes.insert(build.clone());
                // Something else that comes and goes again, here or elsewhere.
                let mut passing = build.clone();
                passing.id = crate::facts::id(99);
                passing.position = Position { number: 77, rerun: 0 };
                successes.insert(passing.clone());
                successes.insert(build.clone());
                successes.remove(&passing.id);
            }
            assert_eq!(successes.len(), builds.len());
            world.successes.insert(job.clone(), successes);
        }
        for (resource, versions) in &facts.versions {
            let mut history = History::new();
            // Found in another order first, and moved after.
            for (order, (digest, version)) in (1..).zip(versions.iter().rev()) {
                history.insert(order, *digest, std::sync::Arc::new(version.clone()));
            }
            history.set_disabled(versions.iter().map(|(digest, _)| *digest).take(2).collect());
            for (order, (digest, version)) in (101..).zip(versions) {
                history.insert(order, *digest, std::sync::Arc::new(version.clone()));
            }
            history.set_disabled(facts.disabled.get(resource).cloned().unwrap_or_default());
            history.set_pin(facts.pins.get(resource).cloned());
            assert_eq!(history.len(), versions.len());
            world.histories.insert(resource.clone(), history);
        }
        for adoption in facts.adoptions.iter().rev() {
            world.used.insert(adoption.clone());
        }
        assert_eq!(resolve(&facts.job, &world), whole, "{facts:#?}");
    });
}
