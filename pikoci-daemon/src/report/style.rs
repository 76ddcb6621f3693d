//! How things look: the words for a status, and the colours of words and names.

use anstyle::{AnsiColor, Effects, Style};
use pikoci_core::Status;

/// The word in the first column and its colour.
pub(super) fn status(status: Status) -> (&'static str, Style) {
    let color = |color: AnsiColor| color.on_default();
    match status {
        Status::Succeeded => ("PASS", color(AnsiColor::Green)),
        Status::Failed => ("FAIL", color(AnsiColor::Red) | Effects::BOLD),
        Status::Errored => ("ERROR", color(AnsiColor::Magenta) | Effects::BOLD),
        Status::Cancelled => ("CANCEL", color(AnsiColor::Yellow)),
        Status::Skipped => ("SKIP", DIM),
        Status::Warning => ("WARN", color(AnsiColor::Yellow)),
    }
}

/// For what matters less.
pub(super) const DIM: Style = Style::new().effects(Effects::DIMMED);

/// For titles.
pub(super) const BOLD: Style = Style::new().effects(Effects::BOLD);

/// For another attempt that follows.
pub(super) const RETRY: Style = AnsiColor::Yellow.on_default();

/// For the spinner.
pub(super) const SPINNER: Style = AnsiColor::Cyan.on_default();

/// Colours that tell the steps running side by side apart; none of them is
/// the colour of a failure.
const NAMES: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Yellow,
    AnsiColor::BrightCyan,
    AnsiColor::BrightBlue,
];

/// The colour of the step that began as number `index`.
pub(super) fn name(index: usize) -> Style {
    NAMES.get(index % NAMES.len()).map_or_else(Style::new, |color| color.on_default())
}

/// Whether, and how, text is styled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    /// Whether escape sequences are wanted at all.
    pub(super) color: bool,
}

impl Paint {
    /// Adds `text` in `style`.
    pub(super) fn add(self, out: &mut String, style: Style, text: &str) {
        if self.color && style != Style::new() {
            out.push_str(&format!("{style}{text}{style:#}"));
        } else {
            out.push_str(text);
        }
    }
}
