//! How far a command is, and what it did, for people and for programs.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pikoci_store::transfer::{Progress, Summary};
use serde_json::json;

use crate::cli::Output;
use crate::commands::{Stop, print};
use crate::exit::Exit;
use crate::output::note;

/// A line on a terminal that tells how far it is; nothing elsewhere.
pub(super) struct Line(ProgressBar);

impl Line {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::no_length();
        if io::stderr().is_terminal() {
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            bar.enable_steady_tick(Duration::from_millis(100));
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self(bar)
    }

    pub(super) fn tell(&self, progress: Progress) {
        let Progress { pass, entries, bytes } = progress;
        let again = if pass > 1 { format!(", reading {pass}") } else { String::new() };
        self.0.set_message(format!("{entries} entries, {}{again}", size(bytes)));
    }

    pub(super) fn entries(&self, entries: u64) {
        self.0.set_message(format!("{entries} entries"));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Where the result of a command is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Output,
    /// Standard output is taken.
    Error,
}

/// Tells what was moved: `what` as in "copied 3 entries" with what follows.
pub(super) fn summary(
    summary: &Summary,
    (verb, where_to): (&str, &str),
    to: To,
    output: Output,
) -> Result<Exit, Stop> {
    let text = match output {
        Output::Json => json!({
            "entries": summary.entries,
            "bytes": summary.bytes,
            "passes": summary.passes,
            "consistent": summary.is_consistent,
        })
        .to_string(),
        Output::Text => {
            format!("{verb} {}, {}{where_to}", entries(summary.entries), size(summary.bytes))
        }
    };
    match to {
        To::Output => print(&format!("{text}\n"))?,
        To::Error => note(&text),
    }
    if summary.is_consistent {
        return Ok(Exit::Success);
    }
    note(&in_motion(summary));
    Ok(Exit::Failed)
}

fn in_motion(summary: &Summary) -> String {
    let from = summary.moving_from.as_ref().map(|key| format!(", from `{}` on", shown(key)));
    format!(
        "warning: the store was written to all the time: in reading {} something \
         changed\namong {}{}. Each entry is as it was at some time, but not all at \
         the same.\nRepeat it while less is written; stop the servers to be sure of one instant.",
        summary.passes,
        entries(summary.moving_entries),
        from.unwrap_or_default(),
    )
}

fn shown(key: &pikoci_core::store::Key) -> String {
    let parts = pikoci_core::database::KeyPath::parts(key).unwrap_or_default();
    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    if parts.is_empty() { key.to_string() } else { parts.join("/") }
}

/// So many entries, in words.
pub(super) fn entries(count: u64) -> String {
    format!("{count} entr{}", if count == 1 { "y" } else { "ies" })
}

/// So many bytes, for people.
pub(super) fn size(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => {
            let tenths = bytes / (unit / 10).max(1);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536 * 1024, "1.5 MiB"),
            (5 << 30, "5.0 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
