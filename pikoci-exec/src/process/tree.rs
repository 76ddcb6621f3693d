//! Ending all processes of a command: asked first, killed after the grace time.

use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::time::Instant;

use super::procfs::{self, Stat};
use super::registry::{self, Id, Owned};

/// How long killed processes may take to disappear; one that takes longer
/// hangs in the kernel, and no one can end it.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// Pauses between two looks grow up to this.
const LONGEST_PAUSE: Duration = Duration::from_millis(40);
/// How often stopping is repeated for processes that multiply meanwhile.
const STOP_ROUNDS: usize = 32;

/// What is to be ended.
#[derive(Debug)]
pub(super) enum Target {
    /// A command of this program.
    Command(Id),
    /// Whatever carries a mark.
    Marked(Box<Owned>),
}

impl Target {
    /// The process group that is all there is to go by, on systems that tell
    /// nothing about single processes.
    fn group(&self) -> Option<i32> {
        match self {
            Self::Command(id) => registry::access().only_group(*id),
            Self::Marked(_) => None,
        }
    }

    fn members(&mut self) -> Vec<Stat> {
        match self {
            Self::Command(id) => registry::access().members(*id),
            Self::Marked(owned) => {
                let mut registry = registry::access();
                registry.sweep();
                owned.members(&std::collections::HashSet::new())
            }
        }
    }
}

/// Ends all processes of `target`: SIGTERM, `grace`, then SIGKILL until none
/// is left. Answers those that could not be ended. `root` is the command's own
/// process group, signalled as a whole while its leader is not reaped.
pub(super) async fn end(target: &mut Target, root: Option<i32>, grace: Duration) -> Vec<Stat> {
    let aborts = registry::access().aborts();
    let aborted = move || registry::access().aborts() != aborts;
    let deadline = Instant::now() + grace;
    let root = root.or_else(|| target.group());
    let mut members = target.members();
    if let Some(root) = root {
        signal_group(root, Signal::TERM);
    }
    ask(&members, root);
    let mut pause = Duration::from_millis(1);
    while Instant::now() < deadline && !aborted() {
        members.retain(alive);
        if members.is_empty() {
            // What they started in the meantime is asked as well.
            members = target.members();
            if members.is_empty() && !target.group().is_some_and(group_lives) {
                // Those that ended since the last look are reaped here.
                registry::access().sweep();
                return Vec::new();
            }
            ask(&members, None);
        }
        tokio::time::sleep(pause.min(deadline - Instant::now())).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    let deadline = Instant::now() + KILL_PATIENCE;
    let mut pause = Duration::from_millis(1);
    loop {
        kill(target, root);
        let members = target.members();
        if members.is_empty() || Instant::now() >= deadline {
            registry::access().sweep();
            return members;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Kills all processes of `target` at once. They are stopped first, so that
/// none can start another while the rest is looked for.
pub(super) fn kill(target: &mut Target, root: Option<i32>) {
    let root = root.or_else(|| target.group());
    if let Some(root) = root {
        signal_group(root, Signal::STOP);
    }
    let mut stopped = Vec::new();
    for _ in 0..STOP_ROUNDS {
        let fresh: Vec<Stat> = target
            .members()
            .into_iter()
            .filter(|member| {
                !stopped
                    .iter()
                    .any(|known: &Stat| (known.pid, known.start) == (member.pid, member.start))
            })
            .collect();
        if fresh.is_empty() {
            break;
        }
        for member in &fresh {
            signal(member, Signal::STOP);
        }
        stopped.extend(fresh);
    }
    if let Some(root) = root {
        signal_group(root, Signal::KILL);
    }
    for member in &stopped {
        signal(member, Signal::KILL);
    }
}

fn ask(members: &[Stat], asked_group: Option<i32>) {
    for member in members {
        if Some(member.group) != asked_group {
            signal(member, Signal::TERM);
        }
        if member.stopped {
            signal(member, Signal::CONT);
        }
    }
}

fn alive(member: &Stat) -> bool {
    procfs::stat(member.pid).is_some_and(|now| now.start == member.start && !now.ended)
}

/// Whether a process group has a process.
pub(super) fn group_lives(group: i32) -> bool {
    Pid::from_raw(group)
        .is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok())
}

/// Sends to one process, and to no other that got its pid in the meantime.
#[cfg(target_os = "linux")]
fn signal(member: &Stat, signal: Signal) {
    use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
    let Some(pid) = Pid::from_raw(member.pid) else {
        return;
    };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => {
            if alive(member) {
                let _ = pidfd_send_signal(&handle, signal);
            }
        }
        Err(rustix::io::Errno::SRCH) => {}
        Err(_) => {
            if alive(member) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn signal(member: &Stat, signal: Signal) {
    if let Some(pid) = Pid::from_raw(member.pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

fn signal_group(root: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(root) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}
