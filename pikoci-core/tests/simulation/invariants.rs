//! What must hold at every moment, as the store has it.

use std::collections::{BTreeMap, BTreeSet};

use pikoci_core::Engine;
use pikoci_core::database::{Cursor, Database, Page, Query, Record};
use pikoci_core::engine::PipelineRecord;
use pikoci_core::engine::records::{
    AdoptionRecord, BuildRecord, BuildState, GroupRecord, JobRecord, VersionRecord,
};
use pikoci_core::event::{Event, EventKind};

async fn all<R: Record>(database: &Database) -> Vec<R> {
    let (mut items, mut cursor): (Vec<R>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let query = Query::all().limit(500).after(cursor);
        let page: Page<R> = database.list(&query).await.expect("the store within is sound");
        items.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return items;
        }
    }
}

/// Checks everything; `witness` reads logs without faults.
pub(crate) async fn check(witness: &Engine) {
    let database = witness.database();
    let builds: Vec<BuildRecord> = all(database).await;
    for build in &builds {
        check_log(witness, build).await;
    }
    check_limits(database, witness, &builds).await;
    check_versions(database).await;
    check_adoptions(database, &builds).await;
}

/// Events are numbered without gaps; epochs grow; the end is one, and last.
async fn check_log(witness: &Engine, build: &BuildRecord) {
    let (mut events, mut next): (Vec<Event>, u64) = (Vec::new(), 0);
    loop {
        let page = witness.events(build.id, next).await.expect("a log");
        let Some(last) = page.last() else { break };
        next = last.number + 1;
        events.extend(page);
    }
    let name = build.name();
    let numbers: Vec<u64> = events.iter().map(|event| event.number).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>(), "{name}: gaps or twins");
    assert!(matches!(events[0].kind, EventKind::BuildCreated { .. }), "{name}: no beginning");
    let mut epoch_before = 0;
    for event in &events {
        if let EventKind::BuildStarted { epoch, .. } = event.kind {
            assert!(epoch > epoch_before, "{name}: started twice under epoch {epoch}");
            epoch_before = epoch;
        }
    }
    assert_eq!(epoch_before, build.epoch, "{name}: an epoch was not told");
    let ends: Vec<usize> = events
        .iter()
        .enumerate()
        .filter(|(_, event)| matches!(event.kind, EventKind::BuildFinished { .. }))
        .map(|(at, _)| at)
        .collect();
    match &build.state {
        BuildState::Finished { status } => {
            assert_eq!(ends, [events.len() - 1], "{name}: it ends once, and last");
            let EventKind::BuildFinished { status: told, .. } = &events[ends[0]].kind else {
                unreachable!("it was looked for")
            };
            assert_eq!(told, status, "{name}: told otherwise");
        }
        _ => assert!(ends.is_empty(), "{name}: it was told to have ended"),
    }
}

/// No job runs more than it may, no two jobs of a serial group run at once,
/// and what holds a slot is a build that runs or will.
async fn check_limits(database: &Database, witness: &Engine, builds: &[BuildRecord]) {
    let unfinished = |id: &pikoci_core::name::BuildId| {
        builds.iter().any(|it| {
            it.id == *id
                && matches!(it.state, BuildState::Queued { .. } | BuildState::Running { .. })
        })
    };
    for job in all::<JobRecord>(database).await {
        for holder in &job.holders {
            let build = builds.iter().find(|it| it.id == *holder);
            assert!(unfinished(holder), "{}: a slot is held by {build:?}", job.name);
        }
        if let Some(automatic) = job.automatic {
            let waits = builds.iter().any(|it| {
                it.id == automatic && it.state == BuildState::Pending && it.inputs.is_none()
            });
            assert!(waits, "{}: its automatic build does not wait", job.name);
        }
    }
    for group in all::<GroupRecord>(database).await {
        for holder in &group.holders {
            let build = builds.iter().find(|it| it.id == *holder);
            assert!(unfinished(holder), "group {}: held by {build:?}", group.name);
        }
        assert_eq!(group.job.is_some(), !group.holders.is_empty(), "group {}", group.name);
    }
    for pipeline in all::<PipelineRecord>(database).await {
        // Limits that changed hold for what starts after that.
        if pipeline.revision != 1 {
            continue;
        }
        let body = witness.revision(pipeline.id, 1).await.expect("a revision");
        let running = |job: &str| {
            let runs = |it: &&BuildRecord| {
                it.job == job
                    && matches!(it.state, BuildState::Queued { .. } | BuildState::Running { .. })
            };
            builds.iter().filter(runs).count()
        };
        let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for job in &body.pipeline.jobs {
            let count = running(&job.name);
            let limit = usize::try_from(job.concurrency).expect("small");
            assert!(limit == 0 || count <= limit, "{}: {count} of {limit} run", job.name);
            for group in job.serial_groups.iter().filter(|_| count > 0) {
                groups.entry(group).or_default().insert(&job.name);
            }
        }
        for (group, jobs) in groups {
            assert!(jobs.len() <= 1, "group {group}: {jobs:?} run at once");
        }
    }
}

/// A history has no twins: one order for each version, one version for each order.
async fn check_versions(database: &Database) {
    let mut orders = BTreeSet::new();
    for version in all::<VersionRecord>(database).await {
        let place = (version.pipeline, version.resource.0.clone(), version.order);
        assert!(orders.insert(place), "{}: two versions have one order", version.resource.0);
    }
}

/// Adoptions are numbered without gaps, and a build by itself takes what was
/// never taken.
async fn check_adoptions(database: &Database, builds: &[BuildRecord]) {
    let mut numbers: BTreeMap<(pikoci_core::engine::PipelineId, String), u64> = BTreeMap::new();
    let mut used = BTreeSet::new();
    for adoption in all::<AdoptionRecord>(database).await {
        let job = (adoption.pipeline, adoption.job.clone());
        let number = numbers.entry(job).or_default();
        *number += 1;
        assert_eq!(adoption.number, *number, "{}: a gap", adoption.job);
        let mut fresh = false;
        for (input, _, version) in &adoption.inputs {
            fresh |= used.insert((adoption.job.clone(), input.clone(), *version));
        }
        let build = builds.iter().find(|it| it.id == adoption.build);
        let build = build.unwrap_or_else(|| panic!("{}: of a build that is not", adoption.job));
        let automatic = matches!(build.cause, pikoci_core::engine::records::Cause::Versions { .. });
        assert!(fresh || !automatic, "{}: started by what it had used", build.name());
    }
    for job in all::<JobRecord>(database).await {
        let number = numbers.get(&(job.pipeline, job.name.clone())).copied().unwrap_or(0);
        assert_eq!(job.adoptions, number, "{}: adoptions", job.name);
    }
}
