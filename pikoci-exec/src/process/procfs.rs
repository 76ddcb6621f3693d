//! What the system tells about processes. Elsewhere than on Linux it tells
//! nothing, and only process groups are left to go by.

use std::collections::HashMap;

/// How often a process that shows no environment is looked at again.
#[cfg(target_os = "linux")]
const EXEC_ROUNDS: usize = 8;
/// The pause between two looks.
#[cfg(target_os = "linux")]
const EXEC_PAUSE: std::time::Duration = std::time::Duration::from_micros(100);

/// One process, as the system shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// Ended, and only waiting for its parent to take note.
    pub(super) ended: bool,
    /// Stopped by a signal; it hears no other until it goes on.
    pub(super) stopped: bool,
    /// When it began, in clock ticks since boot: with the pid it names one
    /// process for as long as the machine runs.
    pub(super) start: u64,
}

/// All processes of the machine.
pub(super) type Table = HashMap<i32, Stat>;

/// All processes of the machine, as of about now; and whether each that was
/// listed was still there to be looked at.
#[cfg(target_os = "linux")]
pub(super) fn table() -> (Table, bool) {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return (Table::new(), true);
    };
    let mut buffer = Vec::new();
    let mut table = Table::new();
    let mut whole = true;
    for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        match stat_into(pid, &mut buffer) {
            Some(stat) => {
                table.insert(pid, stat);
            }
            None => whole = false,
        }
    }
    (table, whole)
}

/// One process, while it exists.
#[cfg(target_os = "linux")]
pub(super) fn stat(pid: i32) -> Option<Stat> {
    stat_into(pid, &mut Vec::new())
}

#[cfg(target_os = "linux")]
fn stat_into(pid: i32, buffer: &mut Vec<u8>) -> Option<Stat> {
    use std::io::Read as _;
    buffer.clear();
    std::fs::File::open(format!("/proc/{pid}/stat")).ok()?.read_to_end(buffer).ok()?;
    parse_stat(pid, buffer)
}

#[cfg(any(target_os = "linux", test))]
fn parse_stat(pid: i32, text: &[u8]) -> Option<Stat> {
    // The program's name stands in parentheses and may hold anything, also `)`.
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let start = fields.nth(15)?.parse().ok()?;
    Some(Stat {
        pid,
        parent,
        group,
        session,
        ended: matches!(state, "Z" | "X" | "x"),
        stopped: matches!(state, "T"),
        start,
    })
}

/// The environment a process was started with; empty where it may not be read
/// or was wiped, `None` where the process has ended.
#[cfg(target_os = "linux")]
pub(super) fn environ(pid: i32) -> Option<Vec<u8>> {
    // For a moment within exec a process has none yet.
    for _ in 0..EXEC_ROUNDS {
        match std::fs::read(format!("/proc/{pid}/environ")) {
            Ok(environ) if environ.is_empty() => std::thread::sleep(EXEC_PAUSE),
            Ok(environ) => return Some(environ),
            Err(_) => break,
        }
    }
    stat(pid).filter(|stat| !stat.ended).map(|_| Vec::new())
}

/// The children of this program, adopted ones included.
#[cfg(target_os = "linux")]
pub(super) fn children() -> Vec<i32> {
    let mut children = Vec::new();
    let mut told = false;
    for thread in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        if let Ok(text) = std::fs::read_to_string(thread.path().join("children")) {
            told = true;
            children
                .extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    if !told {
        // A kernel without that file: look at every process.
        let own = own_pid();
        children.extend(table().0.values().filter(|stat| stat.parent == own).map(|stat| stat.pid));
    }
    children
}

/// The pid that was given out last; pids are given out in order until they
/// begin again at the bottom.
#[cfg(target_os = "linux")]
pub(super) fn last_pid() -> Option<i32> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_ascii_whitespace().last()?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn last_pid() -> Option<i32> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(super) fn table() -> (Table, bool) {
    (Table::new(), true)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn stat(_pid: i32) -> Option<Stat> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(super) fn environ(_pid: i32) -> Option<Vec<u8>> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(super) fn children() -> Vec<i32> {
    Vec::new()
}

/// The time since boot, in the clock ticks that processes' starts are told in.
#[cfg(target_os = "linux")]
pub(super) fn ticks_now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    let per_second = rustix::param::clock_ticks_per_second();
    seconds * per_second + nanos * per_second / 1_000_000_000
}

#[cfg(not(target_os = "linux"))]
pub(super) fn ticks_now() -> u64 {
    0
}

/// This program's own pid.
pub(super) fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_pid()
}

/// Whether `environ` has the variable `name` with `id` among its comma-separated parts.
pub(super) fn has_mark(environ: &[u8], name: &str, id: &str) -> bool {
    environ.split(|&byte| byte == 0).any(|entry| {
        entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")).is_some_and(
            |value| value.split(|&byte| byte == b',').any(|part| part == id.as_bytes()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_parentheses_does_not_shift_the_fields() {
        let text =
            b"7 (a) R) (b) S 3 5 6 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1 184467440737";
        let stat = parse_stat(7, text).unwrap();
        assert_eq!((stat.parent, stat.group, stat.session), (3, 5, 6));
        assert_eq!(stat.start, 4242);
        assert!(!stat.ended && !stat.stopped);
    }

    #[test]
    fn a_broken_line_is_no_process() {
        for text in [&b""[..], b"7", b"7 (x", b"7 (x) S 1", b"7 (x) S a b c"] {
            assert_eq!(parse_stat(7, text), None);
        }
    }

    #[test]
    fn a_mark_is_found_only_whole_and_under_its_name() {
        let environ = b"A=1\0PIKOCI_STEP=outer,x.1\0B=PIKOCI_STEP=x.2\0";
        assert!(has_mark(environ, "PIKOCI_STEP", "x.1"));
        assert!(has_mark(environ, "PIKOCI_STEP", "outer"));
        for id in ["x", "x.10", ".1", "x.2", ""] {
            assert!(!has_mark(environ, "PIKOCI_STEP", id), "{id}");
        }
    }
}
