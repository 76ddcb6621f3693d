//! What this program knows about the processes it started: which commands are
//! live, what services left behind, and which orphans it adopted.
//!
//! A process belongs to a command when one of these says so: it is the
//! command's root or descends from one that belongs to it; the command's mark
//! stands in its environment; it is in a process group or session that the
//! command's processes made; it was seen to belong before. When this program
//! is a subreaper, every orphan of a command becomes its child, so that none
//! can hide: an orphan that nothing speaks for (it wiped its environment and
//! left its session before anyone looked) belongs to the only live command,
//! and where there are several, it is ended when the last of them ends.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions};

use super::procfs::{self, Stat, Table};

/// The variable that marks the processes of one command.
pub(super) const STEP_MARK: &str = "PIKOCI_STEP";
/// A command that ran no longer than this cannot have seen the machine run
/// through all its pids.
const YOUNG: Duration = Duration::from_millis(200);
/// How often all processes are looked at until none ends while that is done.
const LOOKS: usize = 50;
/// How many pids are looked at one by one.
const FEW: i32 = 200;
/// The variable that marks the processes of one build.
pub(super) const BUILD_MARK: &str = "PIKOCI_BUILD";

/// Whether the program starts children by other means than this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherChildren {
    /// It does not: every child that this module did not start is an orphan to be ended and reaped.
    Never,
    /// It may: a child that nothing ties to a command is left alone.
    Possible,
}

/// One command or build, and what tells its processes from all others.
#[derive(Debug, Clone)]
pub(super) struct Owned {
    /// The variable and the part of it that marks its processes.
    pub(super) mark: (&'static str, String),
    /// The build it belongs to, if any.
    pub(super) build: Option<String>,
    /// The pid of the command's root; 0 for a build.
    root: i32,
    /// When it was started, by this program's clock.
    started: Instant,
    /// Nothing of it began before this (clock ticks since boot).
    since: u64,
    /// Process groups and sessions its processes made, each with the time a
    /// process in it began: a leader that is younger got a number used again.
    groups: HashMap<i32, u64>,
    /// Processes seen to belong to it.
    known: HashSet<(i32, u64)>,
}

impl Owned {
    fn new(mark: (&'static str, String), build: Option<String>) -> Self {
        Self {
            mark,
            build,
            root: 0,
            started: Instant::now(),
            since: 0,
            groups: HashMap::new(),
            known: HashSet::new(),
        }
    }

    /// All processes of a build, whoever started them.
    pub(super) fn of_build(build: &str) -> Self {
        Self::new((BUILD_MARK, build.to_owned()), Some(build.to_owned()))
    }

    /// Whether `stat` was seen before or is in a group or session of its own.
    /// `begin` tells when a process began.
    fn claims(&self, stat: &Stat, begin: impl Fn(i32) -> Option<u64>) -> bool {
        let holds = |group: i32| {
            self.groups
                .get(&group)
                .is_some_and(|seen| begin(group).is_none_or(|leader| leader <= *seen))
        };
        stat.start >= self.since
            && (self.known.contains(&(stat.pid, stat.start))
                || holds(stat.group)
                || holds(stat.session))
    }

    fn marks(&self, environ: &[u8]) -> bool {
        procfs::has_mark(environ, self.mark.0, &self.mark.1)
    }

    /// Remembers that `stat` belongs to it, with the group and session it made or joined.
    fn learn(&mut self, stat: &Stat, own_session: i32) {
        self.known.insert((stat.pid, stat.start));
        let own_group = stat.session != own_session;
        if own_group {
            self.groups.entry(stat.session).or_insert(stat.start);
        }
        if own_group || self.known.iter().any(|(pid, _)| *pid == stat.group) {
            self.groups.entry(stat.group).or_insert(stat.start);
        }
    }

    /// Its processes that have not ended; `adopted` are some that are known.
    pub(super) fn members(&mut self, adopted: &HashSet<i32>) -> Vec<Stat> {
        // A look takes a while, and a process can hand on to a child where the
        // look has been already and be gone before it is come to. So that none
        // is there counts only when nobody was made and nobody ended meanwhile.
        let mut ended = HashSet::new();
        for _ in 0..LOOKS {
            let last = procfs::last_pid();
            let (table, whole) = procfs::table();
            let (members, sure) = self.look(&table, adopted);
            if !members.is_empty() {
                return members;
            }
            let known = ended.len();
            let dead = table.values().filter(|stat| stat.ended);
            ended.extend(dead.map(|stat| (stat.pid, stat.start)));
            let quiet = ended.len() == known;
            if sure && whole && quiet && procfs::last_pid() == last {
                break;
            }
        }
        Vec::new()
    }

    /// One look: its processes, and whether that is all. It may not be where
    /// one ended, maybe handing on to another, before it could be looked at.
    fn look(&mut self, table: &Table, adopted: &HashSet<i32>) -> (Vec<Stat>, bool) {
        let own = procfs::own_pid();
        let own_session = table.get(&own).map_or(0, |stat| stat.session);
        let begin = |pid: i32| table.get(&pid).map(|stat| stat.start);
        let mut by_parent: HashMap<i32, Vec<i32>> = HashMap::new();
        let mut sure = true;
        let mut open = Vec::new();
        for stat in table.values().filter(|stat| !stat.ended) {
            by_parent.entry(stat.parent).or_default().push(stat.pid);
            if stat.pid == own || stat.pid == 1 {
                continue;
            }
            let is_its = adopted.contains(&stat.pid)
                || self.claims(stat, begin)
                || (stat.start >= self.since
                    && match procfs::environ(stat.pid) {
                        Some(environ) => self.marks(&environ),
                        None => {
                            sure = false;
                            false
                        }
                    });
            if is_its {
                open.push(stat.pid);
            }
        }
        let mut found = HashSet::new();
        while let Some(pid) = open.pop() {
            if pid != own && found.insert(pid) {
                open.extend(by_parent.get(&pid).into_iter().flatten());
            }
        }
        let members: Vec<Stat> = found.iter().filter_map(|pid| table.get(pid).copied()).collect();
        for stat in &members {
            self.learn(stat, own_session);
        }
        (members, sure)
    }
}

/// Which of the things that are kept track of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(u64);

#[derive(Debug, Default)]
pub(super) struct Registry {
    next: u64,
    /// Commands that run.
    live: HashMap<Id, Owned>,
    /// Commands that ended and were meant to leave processes behind.
    left: HashMap<Id, Owned>,
    /// Children that this module started and has not reaped.
    direct: HashSet<i32>,
    /// Those of them whose command was dropped; tokio reaps them some time.
    abandoned: HashSet<i32>,
    /// Adopted children and whose they are, as far as that is known.
    adopted: HashMap<i32, Option<Id>>,
    subreaper: Option<OtherChildren>,
    /// How often everything was told to end at once.
    aborts: u64,
}

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

/// The one registry of this program.
pub(super) struct Access(MutexGuard<'static, Option<Registry>>);

impl std::ops::Deref for Access {
    type Target = Registry;
    fn deref(&self) -> &Registry {
        self.0.as_ref().expect("made by `access`")
    }
}

impl std::ops::DerefMut for Access {
    fn deref_mut(&mut self) -> &mut Registry {
        self.0.as_mut().expect("made by `access`")
    }
}

/// Locks the registry. Held only for short, never over an await.
pub(super) fn access() -> Access {
    let mut guard = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    guard.get_or_insert_default();
    Access(guard)
}

impl Registry {
    pub(super) fn set_subreaper(&mut self, others: OtherChildren) {
        self.subreaper = Some(others);
    }

    pub(super) fn aborts(&self) -> u64 {
        self.aborts
    }

    pub(super) fn abort(&mut self) -> Vec<Id> {
        self.aborts += 1;
        self.live.keys().chain(self.left.keys()).copied().collect()
    }

    /// Notes a command whose root was just started, not before `since` (clock
    /// ticks since boot). The caller has held the lock since before the start,
    /// so that no one takes the root for an orphan.
    pub(super) fn started(
        &mut self,
        root: i32,
        since: u64,
        mark: String,
        build: Option<String>,
    ) -> Id {
        let mut owned = Owned::new((STEP_MARK, mark), build);
        owned.root = root;
        owned.since = since;
        // When it began is not asked of the system, which takes as long as a
        // good part of the start: now is late enough for its group.
        owned.groups.insert(root, procfs::ticks_now());
        self.direct.insert(root);
        self.next += 1;
        let id = Id(self.next);
        self.live.insert(id, owned);
        id
    }

    /// Notes that a root was reaped.
    pub(super) fn reaped(&mut self, root: i32) {
        self.direct.remove(&root);
    }

    /// Notes that no one waits for a root any more.
    pub(super) fn abandoned(&mut self, root: i32) {
        self.abandoned.insert(root);
    }

    /// Forgets a command of which nothing is left.
    pub(super) fn finished(&mut self, id: Id) {
        self.live.remove(&id);
        self.left.remove(&id);
        self.adopted.retain(|_, owner| *owner != Some(id));
    }

    /// Notes that a command ended and what is left of it is meant to live on.
    pub(super) fn leave(&mut self, id: Id) {
        if let Some(owned) = self.live.remove(&id) {
            self.left.insert(id, owned);
        }
    }

    /// The commands that left something behind in a build.
    pub(super) fn left_in(&self, build: &str) -> Vec<Id> {
        self.left
            .iter()
            .filter(|(_, owned)| owned.build.as_deref() == Some(build))
            .map(|(id, _)| *id)
            .collect()
    }

    /// The process group to signal as a whole, where the system tells nothing
    /// about single processes.
    pub(super) fn only_group(&self, id: Id) -> Option<i32> {
        let owned = self.live.get(&id).or_else(|| self.left.get(&id))?;
        (!cfg!(target_os = "linux")).then_some(owned.root)
    }

    /// Whether it is certain that no process of `id` is left, whose root was
    /// reaped. Costs one system call where this program is a subreaper and has no other child.
    pub(super) fn nothing_left(&mut self, id: Id) -> bool {
        if let Some(group) = self.only_group(id) {
            return !super::tree::group_lives(group);
        }
        if self.subreaper.is_none() {
            return self.nothing_young(id) || self.members(id).is_empty();
        }
        let none = rustix::process::waitid(
            WaitId::All,
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT,
        );
        if matches!(none, Err(rustix::io::Errno::CHILD)) {
            self.adopted.clear();
            return true;
        }
        self.sweep();
        let last = self.is_alone(id);
        !self.adopted.values().any(|owner| *owner == Some(id) || (owner.is_none() && last))
    }

    /// Whether `id` ended so soon that the few processes that were made since
    /// are quickly looked at, and none of them belongs to it.
    fn nothing_young(&self, id: Id) -> bool {
        let Some(owned) = self.live.get(&id) else {
            return false;
        };
        if owned.started.elapsed() > YOUNG {
            return false;
        }
        let Some(last) = procfs::last_pid() else {
            return false;
        };
        let begin = |pid| procfs::stat(pid).map(|stat| stat.start);
        let foreign = |stat: Stat| {
            stat.ended
                || !(owned.claims(&stat, begin)
                    || procfs::environ(stat.pid).is_none_or(|environ| owned.marks(&environ)))
        };
        last >= owned.root
            && last - owned.root <= FEW
            // One that is gone, or not quite there yet, may have made another.
            && (owned.root + 1..=last).all(|pid| procfs::stat(pid).is_some_and(foreign))
            && procfs::last_pid() == Some(last)
    }

    /// The processes of `id` that have not ended.
    pub(super) fn members(&mut self, id: Id) -> Vec<Stat> {
        self.sweep();
        let last = self.is_alone(id);
        let adopted: HashSet<i32> = self
            .adopted
            .iter()
            .filter(|(_, owner)| **owner == Some(id) || (owner.is_none() && last))
            .map(|(pid, _)| *pid)
            .collect();
        match self.live.get_mut(&id).or_else(|| self.left.get_mut(&id)) {
            Some(owned) => owned.members(&adopted),
            None => Vec::new(),
        }
    }

    /// Whether an orphan that nothing speaks for can only be of `id`, or of a
    /// command that is over.
    fn is_alone(&self, id: Id) -> bool {
        let build = self.live.get(&id).or_else(|| self.left.get(&id));
        let build = build.and_then(|owned| owned.build.as_deref());
        self.live.keys().all(|live| *live == id)
            && self.left.iter().all(|(left, owned)| *left == id || owned.build.as_deref() == build)
    }

    /// Looks at the children of this program: reaps orphans that ended and
    /// finds out whose the others are.
    pub(super) fn sweep(&mut self) {
        let Some(others) = self.subreaper else {
            return;
        };
        // One that ended after the children were listed has handed on its own
        // to this program, and those are not in the list.
        for _ in 0..LOOKS {
            if !self.sweep_once(others) {
                break;
            }
        }
    }

    /// One pass over the children; whether one of them had ended.
    fn sweep_once(&mut self, others: OtherChildren) -> bool {
        let mut one_ended = false;
        let children = procfs::children();
        let own_session = procfs::stat(procfs::own_pid()).map_or(0, |stat| stat.session);
        self.adopted.retain(|pid, _| children.contains(pid));
        self.abandoned.retain(|pid| {
            let lives = children.contains(pid);
            if !lives {
                self.direct.remove(pid);
            }
            lives
        });
        for pid in children {
            if self.direct.contains(&pid) {
                continue;
            }
            let Some(stat) = procfs::stat(pid) else {
                one_ended = true;
                continue;
            };
            let owner = match self.adopted.get(&pid) {
                Some(Some(owner)) => Some(*owner),
                _ => self.owner(&stat),
            };
            if let Some(owned) = owner.and_then(|id| self.get_mut(id)) {
                owned.learn(&stat, own_session);
            }
            let orphan = owner.is_some() || others == OtherChildren::Never;
            if stat.ended && orphan {
                one_ended = true;
                if let Some(pid) = Pid::from_raw(pid) {
                    let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
                }
                self.adopted.remove(&pid);
            } else if orphan && !stat.ended {
                self.adopted.insert(pid, owner);
            }
        }
        one_ended
    }

    fn get_mut(&mut self, id: Id) -> Option<&mut Owned> {
        self.live.get_mut(&id).or_else(|| self.left.get_mut(&id))
    }

    fn owner(&self, stat: &Stat) -> Option<Id> {
        let begin = |pid| procfs::stat(pid).map(|stat| stat.start);
        let all = || self.live.iter().chain(&self.left);
        if let Some((id, _)) = all().find(|(_, owned)| owned.claims(stat, begin)) {
            return Some(*id);
        }
        let environ = procfs::environ(stat.pid).unwrap_or_default();
        if let Some((id, _)) = all().find(|(_, owned)| owned.marks(&environ)) {
            return Some(*id);
        }
        // Nothing speaks for it. One that is older than the only live command is not of it.
        match self.live.iter().next() {
            Some((id, owned))
                if self.live.len() == 1
                    && self.subreaper == Some(OtherChildren::Never)
                    && stat.start >= owned.since =>
            {
                Some(*id)
            }
            _ => None,
        }
    }
}
