//! Facts and answers as text.
//!
//! ```text
//! versions app: v1 v2 v3+branch:main   what checks found, oldest first
//! versions app: none                   checked, but nothing was found
//! versions app: never                  never checked
//! disabled app: v1 v2
//! pin app: v2                          or pin app: branch:main
//! unit#3 got app@v2 made image@i7      a succeeded build, what it made last first
//! used #4: app@v2 image@i7 via unit#3  what build 4 of the job took
//! used #4: source=app@v2               for the input `source`
//! loaded app: from v3 and v1           the newest versions are loaded, and v1
//! loaded unit: 2                       the newest builds are loaded
//! job: get app trigger passed unit,lint every; get source=image pinned i7
//! ```
//! `v2` is the version `{"ref": "v2"}`. A resource without `versions` has those
//! that builds have, as they come. An answer has a line for each input, such as
//! `app@v2* via lint#1 unit#3`, where `*` stands for a version that is new to the
//! input; then `runs` if the job is to run, `more remain`, and `needs …`.

use std::collections::BTreeMap;

use pikoci_core::resolve::{
    Adoption, Choice, InputSpec, JobSpec, Need, Position, Resolution, ResourceRef, SucceededBuild,
};
use pikoci_core::version::Version;

use crate::facts::{Facts, id};
use crate::reference;

pub(crate) fn resource(name: &str) -> ResourceRef {
    ResourceRef(format!("git.{name}"))
}

pub(crate) fn version(text: &str) -> Version {
    Version::from_pairs(text.split('+').map(|pair| pair.split_once(':').unwrap_or(("ref", pair))))
}

/// The facts that a text tells.
pub(crate) fn facts(text: &str) -> Facts {
    let rows: Vec<&str> = text.lines().map(str::trim).filter(|row| !row.is_empty()).collect();
    let job = rows.iter().find_map(|row| row.strip_prefix("job: ")).expect("a row `job: …`");
    let mut facts = Facts::of(job_spec(job));
    let mut told = Vec::new();
    for row in &rows {
        let (head, rest) = row.split_once(": ").unwrap_or((row, ""));
        let words: Vec<&str> = head.split(' ').collect();
        match words.as_slice() {
            ["job"] => {}
            ["versions", name] => {
                told.push(resource(name));
                match rest {
                    "never" => {}
                    "none" => drop(facts.versions.insert(resource(name), Vec::new())),
                    some => {
                        some.split(' ').for_each(|it| facts.found(&resource(name), &version(it)));
                    }
                }
            }
            ["disabled", name] => {
                let digests = rest.split(' ').map(|it| version(it).digest()).collect();
                facts.disabled.insert(resource(name), digests);
            }
            ["pin", name] => drop(facts.pins.insert(resource(name), version(rest))),
            ["used", build] => adoptions(&mut facts, build, rest),
            ["loaded", name] => match rest.strip_prefix("from ") {
                Some(some) => {
                    let (from, and) = some.split_once(" and ").unwrap_or((some, ""));
                    for one in and.split(' ').filter(|it| !it.is_empty()) {
                        facts.asked.insert((resource(name), version(one).digest()));
                    }
                    let order = facts.order(&resource(name), &version(from).digest());
                    facts.floors.insert(resource(name), order.expect("a version told before"));
                }
                None => drop(facts.loaded.insert((*name).into(), rest.parse().unwrap())),
            },
            [build, rest @ ..] if build.contains('#') => succeeded(&mut facts, &told, build, rest),
            _ => panic!("cannot read `{row}`"),
        }
    }
    facts
}

fn job_spec(text: &str) -> JobSpec {
    let inputs = text.split("; ").map(|get| {
        let mut words = get.split(' ');
        assert_eq!(words.next(), Some("get"));
        let what = words.next().unwrap();
        let (name, of) = what.split_once('=').unwrap_or((what, what));
        let mut input = InputSpec {
            name: name.into(),
            resource: resource(of),
            trigger: false,
            passed: Vec::new(),
            choice: Choice::Latest,
        };
        while let Some(word) = words.next() {
            match word {
                "trigger" => input.trigger = true,
                "every" => input.choice = Choice::Every,
                "passed" => {
                    input.passed = words.next().unwrap().split(',').map(str::to_owned).collect();
                }
                "pinned" => input.choice = Choice::Pinned(version(words.next().unwrap())),
                other => panic!("cannot read `{other}` of `{get}`"),
            }
        }
        input
    });
    JobSpec { name: "deploy".into(), inputs: inputs.collect() }
}

fn place(text: &str) -> (String, Position) {
    let (job, position) = text.split_once('#').unwrap();
    (job.into(), position.parse().unwrap())
}

fn succeeded(facts: &mut Facts, told: &[ResourceRef], build: &str, words: &[&str]) {
    let (job, position) = place(build);
    // What it made counts before what it got, and the last it made first.
    let (mut got, mut made, mut makes) = (Vec::new(), Vec::new(), false);
    for word in words {
        match (*word, makes) {
            ("got", _) => makes = false,
            ("made", _) => makes = true,
            (word, true) => made.insert(0, word),
            (word, false) => got.push(word),
        }
    }
    let mut versions: BTreeMap<ResourceRef, Vec<_>> = BTreeMap::new();
    for word in made.iter().chain(&got) {
        let (name, of) = word.split_once('@').unwrap();
        let (resource, version) = (resource(name), version(of));
        versions.entry(resource.clone()).or_default().push(version.digest());
        if !told.contains(&resource) {
            facts.found(&resource, &version);
        }
    }
    let builds = facts.builds.entry(job).or_default();
    let number = u128::from(position.number) * 1000 + u128::from(position.rerun);
    builds.push(SucceededBuild { id: id(number), position, versions });
}

fn adoptions(facts: &mut Facts, build: &str, rest: &str) {
    let (_, position) = place(build);
    let (inputs, via) = rest.split_once(" via ").unwrap_or((rest, ""));
    let sources: BTreeMap<_, _> = via.split(' ').filter(|it| !it.is_empty()).map(place).collect();
    for input in inputs.split(' ') {
        let (what, of) = input.split_once('@').unwrap();
        let (name, of_resource) = what.split_once('=').unwrap_or((what, what));
        facts.adoptions.push(Adoption {
            build: id(u128::from(position.number)),
            position,
            input: name.into(),
            resource: resource(of_resource),
            version: version(of).digest(),
            sources: sources.clone(),
        });
    }
}

/// An answer as text.
pub(crate) fn told(facts: &Facts, answer: &Resolution) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut failed: Vec<(String, String)> = Vec::new();
    for input in &answer.inputs {
        match &input.result {
            Ok(chosen) => {
                let mut line = format!("{}@{}", input.name, short(&chosen.version));
                if chosen.first {
                    line.push('*');
                }
                if !chosen.sources.is_empty() {
                    line.push_str(" via");
                }
                for (job, position) in &chosen.sources {
                    line.push_str(&format!(" {job}#{position}"));
                }
                lines.push(line);
            }
            Err(reason) if answer.needs.is_empty() => {
                let sentence = reason.to_string();
                match failed.iter_mut().find(|(_, it)| *it == sentence) {
                    Some((names, _)) => names.push_str(&format!(", {}", input.name)),
                    None => failed.push((input.name.clone(), sentence)),
                }
            }
            Err(_) => lines.push(format!("{}?", input.name)),
        }
    }
    lines.extend(failed.into_iter().map(|(names, sentence)| format!("{names}: {sentence}")));
    if answer.triggers(&facts.job) {
        lines.push("runs".into());
    }
    if answer.more_remain {
        lines.push("more remain".into());
    }
    for need in &answer.needs {
        lines.push(match need {
            Need::Versions { resource } => format!("needs versions of {}", &resource.0[4..]),
            Need::Version { resource, version } => {
                let all = facts.versions.get(resource).into_iter().flatten();
                let version = all.filter(|(it, _)| it == version).map(|(_, it)| short(it)).next();
                format!("needs {}@{}", &resource.0[4..], version.unwrap_or("?".into()))
            }
            Need::Builds { job } => format!("needs builds of {job}"),
        });
    }
    lines.join("\n")
}

fn short(version: &Version) -> String {
    match version.0.get("ref") {
        Some(serde_json::Value::String(text)) => text.clone(),
        _ => version.to_string(),
    }
}

/// Compares the answer to what is expected, and to what the slow solver says.
pub(crate) fn check(told_facts: &str, expected: &str) {
    let facts = facts(told_facts);
    let answer = facts.resolve();
    let lines: Vec<&str> = expected.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    assert_eq!(told(&facts, &answer), lines.join("\n"), "{told_facts}");
    if answer.needs.is_empty() {
        reference::compare(&facts, &answer);
    }
}

/// Tests, each a name, the facts and the answer.
macro_rules! cases {
    ($($name:ident: $facts:literal => $expected:literal;)*) => {$(
        #[test]
        fn $name() {
            crate::notation::check($facts, $expected);
        }
    )*};
}
pub(crate) use cases;
