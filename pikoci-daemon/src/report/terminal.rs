//! The terminal reporter: rows and output scroll up, and below them a live
//! area shows what runs.
//!
//! Rows and output are gathered and written a few times a second at most;
//! `indicatif` draws the live area. Both end up in one stream of bytes, so
//! they cannot get into each other's way.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use memchr::memchr;
use pikoci_core::clock::Clock;
use pikoci_core::event::OutputStream;
use pikoci_core::name::StepId;
use pikoci_core::{Event, EventKind, Status};

use super::Report;
use super::sanitize::{self, Cleaner};
use super::steps::{Attempts, Change, NAME_COLUMN, Row, Steps, brief, one_line};
use super::style::{self, Paint};
use super::tail::Tail;
use super::width;

/// How often the live area moves.
const FRAME: Duration = Duration::from_millis(80);

/// Output waits at most this long while the live area is shown.
const OUTPUT_PAUSE: Duration = Duration::from_millis(30);

/// A line longer than this is shown in pieces.
const LINE_BYTES: usize = 16 * 1024;

/// Rows and output that wait for the next frame beyond this are written at once.
const PENDING_BYTES: usize = 64 * 1024;

/// How many lines of a failed step are told again.
const REPEATED_LINES: usize = 20;

/// How many running steps the live area shows.
const LIVE_ROWS: usize = 12;

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

const PAINT: Paint = Paint { color: true };

/// The size of a terminal, in columns and rows.
pub(crate) type Size = (u16, u16);

/// Writes for people at a terminal.
pub(crate) struct Terminal {
    steps: Steps,
    voices: HashMap<StepId, Voice>,
    speaker: Option<StepId>,
    several: bool,
    pending: String,
    flushed: Duration,
    canvas: Canvas,
    live: Option<ProgressBar>,
    /// The lines of the live area as last drawn, and for how many columns.
    drawn: (Vec<usize>, usize),
    frame: usize,
    remarked: bool,
    builds: usize,
    clock: Arc<dyn Clock>,
}

/// What a step has printed, as far as it still matters.
#[derive(Debug, Default)]
struct Voice {
    began: Duration,
    cleaner: Cleaner,
    partial: Vec<u8>,
    /// The beginning of the open line was shown already.
    continued: bool,
    tail: Tail,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl Terminal {
    /// A reporter for a terminal whose size `size` tells.
    pub(crate) fn new(clock: Arc<dyn Clock>, size: fn() -> Size) -> Self {
        Self {
            steps: Steps::default(),
            voices: HashMap::new(),
            speaker: None,
            several: false,
            pending: String::new(),
            flushed: Duration::ZERO,
            canvas: Canvas::new(size),
            live: None,
            drawn: (Vec::new(), 0),
            frame: 0,
            remarked: false,
            builds: 0,
            clock,
        }
    }

    fn columns(&self) -> usize {
        usize::from((self.canvas.size)().0).max(20)
    }

    fn row(&mut self, row: &Row) {
        self.speaker = None;
        let columns = self.columns();
        self.steps.write_row(row, PAINT, columns, &mut self.pending);
    }

    fn output(&mut self, step: &StepId, bytes: &[u8], stream: OutputStream) {
        let voice = self.voices.entry(step.clone()).or_default();
        if stream != OutputStream::Engine {
            voice.tail.push(bytes);
        }
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            if self.voices.get(step).is_some_and(|voice| voice.partial.is_empty()) {
                self.line(step, line, true);
            } else {
                let mut whole = self.take_partial(step);
                whole.extend_from_slice(line);
                self.line(step, &whole, true);
            }
        }
        if let Some(voice) = self.voices.get_mut(step) {
            voice.partial.extend_from_slice(rest);
            if voice.partial.len() > LINE_BYTES {
                let piece = self.take_partial(step);
                self.line(step, &piece, false);
            }
        }
    }

    fn take_partial(&mut self, step: &StepId) -> Vec<u8> {
        self.voices
            .get_mut(step)
            .map(|voice| std::mem::take(&mut voice.partial))
            .unwrap_or_default()
    }

    /// Shows one line of a step's output, or a piece of one.
    fn line(&mut self, step: &StepId, line: &[u8], ends: bool) {
        let Some(voice) = self.voices.get_mut(step) else { return };
        let continued = std::mem::replace(&mut voice.continued, !ends);
        if !continued {
            let running = self.steps.running(step);
            if self.several {
                self.speaker = None;
                let (name, index) =
                    running.map_or((step.as_str(), 0), |it| (it.short_name(), it.index));
                PAINT.add(&mut self.pending, style::name(index), &format!("{name} │ "));
            } else if self.speaker.as_ref() != Some(step) {
                let name = running.map_or(step.as_str(), |it| it.name.as_str());
                PAINT.add(&mut self.pending, style::DIM, "==> ");
                PAINT.add(&mut self.pending, style::BOLD, name);
                self.pending.push('\n');
                self.speaker = Some(step.clone());
            }
        }
        voice.cleaner.clean(line, &mut self.pending);
        self.pending.push('\n');
    }

    /// Tells the failures again, with the last lines that matter, and the summary.
    fn over(&mut self) {
        self.speaker = None;
        for failure in self.steps.failures() {
            let (word, style) = style::status(failure.status);
            let tail = self.voices.get(&failure.step).map(|voice| &voice.tail);
            let (lines, more) = tail.map(|tail| tail.lines(REPEATED_LINES)).unwrap_or_default();
            if lines.is_empty() {
                continue;
            }
            self.pending.push('\n');
            PAINT.add(&mut self.pending, style, word);
            self.pending.push_str("  ");
            PAINT.add(&mut self.pending, style::BOLD, &failure.name);
            if let Some(reason) = &failure.reason {
                self.pending.push_str(&format!("  {}", one_line(reason)));
            }
            self.pending.push('\n');
            if more {
                PAINT.add(&mut self.pending, style::DIM, "  ┆ …");
                self.pending.push('\n');
            }
            for line in lines {
                PAINT.add(&mut self.pending, style::DIM, "  │ ");
                self.pending.push_str(sanitize::plain(line).trim_end());
                self.pending.push('\n');
            }
        }
        self.pending.push('\n');
        self.pending.push_str(&self.steps.summary(PAINT));
        self.pending.push('\n');
        self.voices.clear();
    }

    /// The lines of the live area.
    fn live_lines(&self) -> Vec<String> {
        let columns = self.columns() - 1;
        let now = self.clock.monotonic();
        let spinner = SPINNER.get(self.frame % SPINNER.len()).copied().unwrap_or("·");
        let leaves: Vec<_> = self.steps.leaves().collect();
        let rows = usize::from((self.canvas.size)().1).saturating_sub(2).clamp(1, LIVE_ROWS);
        let shown = if leaves.len() > rows { rows.saturating_sub(1).max(1) } else { leaves.len() };
        let mut lines: Vec<String> = leaves
            .iter()
            .take(shown)
            .map(|it| {
                let voice = self.voices.get(&it.step);
                let elapsed = now.saturating_sub(voice.map_or(now, |voice| voice.began));
                let mut text = it.name.clone();
                if it.attempt > 1 {
                    text.push_str(&format!("  attempt {}", it.attempt));
                    if self.steps.attempts(&it.step) > 1 {
                        text.push_str(&format!(" of {}", self.steps.attempts(&it.step)));
                    }
                }
                let open = voice.map(|voice| sanitize::plain(&voice.partial)).unwrap_or_default();
                let text = width::cut(&text, columns.saturating_sub(NAME_COLUMN));
                let room = columns.saturating_sub(NAME_COLUMN + width::columns(&text) + 2);
                let open = width::cut(&one_line(&open), room);
                let mut line = " ".repeat(7);
                PAINT.add(&mut line, style::SPINNER, spinner);
                line.push_str(&format!(" {:>8}  ", brief_elapsed(elapsed)));
                PAINT.add(&mut line, style::BOLD, &text);
                if !open.is_empty() && room > 8 {
                    line.push_str("  ");
                    PAINT.add(&mut line, style::DIM, &open);
                }
                line
            })
            .collect();
        if leaves.len() > shown {
            let text = format!("and {} more", leaves.len() - shown);
            lines.push(format!("{}{text}", " ".repeat(NAME_COLUMN)));
        }
        lines
    }

    /// Takes the live area away when the terminal became narrower and folded
    /// its lines: nobody else knows how many rows it takes now.
    fn unfold(&mut self, out: &mut Vec<u8>) {
        let columns = self.columns();
        if self.live.is_none() || columns >= self.drawn.1 {
            return;
        }
        let rows: usize = self.drawn.0.iter().map(|width| width.div_ceil(columns).max(1)).sum();
        drop(self.live.take());
        // Its way of clearing counts the rows as they were.
        self.canvas.take(&mut Vec::new());
        out.extend_from_slice(b"\r");
        if rows > 1 {
            out.extend_from_slice(format!("\x1b[{}A", rows - 1).as_bytes());
        }
        out.extend_from_slice(b"\x1b[J");
    }

    /// Writes what has gathered, above the live area where it is shown.
    fn flush(&mut self, out: &mut Vec<u8>) {
        self.unfold(out);
        let idle = self.steps.leaves().next().is_none();
        if idle && let Some(bar) = self.live.take() {
            bar.finish_and_clear();
        }
        match &self.live {
            Some(bar) if !self.pending.is_empty() => {
                bar.suspend(|| self.canvas.add(&self.pending));
            }
            Some(_) => {}
            None => self.canvas.add(&self.pending),
        }
        self.pending.clear();
        self.flushed = self.clock.monotonic();
        self.canvas.take(out);
    }
}

/// Elapsed time without flickering digits.
fn brief_elapsed(elapsed: Duration) -> String {
    if elapsed.as_secs() < 1 {
        format!("0.{}s", elapsed.subsec_millis() / 100)
    } else {
        brief(elapsed)
    }
}

impl Report for Terminal {
    fn expect(&mut self, attempts: Attempts) {
        self.steps.expect(attempts);
    }

    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match &event.kind {
            EventKind::StepOutput { step, data, stream } => self.output(step, &data.0, *stream),
            EventKind::StepFinished { step, .. } => {
                let rest = self.take_partial(step);
                if !rest.is_empty() {
                    self.line(step, &rest, true);
                }
            }
            _ => {}
        }
        let change = self.steps.apply(event);
        match &change {
            Change::Nothing => {}
            Change::Began(name) => {
                if self.builds > 0 {
                    self.pending.push('\n');
                }
                self.builds += 1;
                self.voices.clear();
                self.speaker = None;
                PAINT.add(&mut self.pending, style::BOLD, &name.to_string());
                self.pending.push('\n');
            }
            Change::Started(step, row) => {
                let voice = Voice { began: self.clock.monotonic(), ..Voice::default() };
                self.voices.insert(step.clone(), voice);
                if let Some(row) = row {
                    self.row(row);
                }
            }
            Change::Finished(step, row) => {
                if let Some(row) = row {
                    self.row(row);
                }
                // Only the output of failures is told again.
                if matches!(&event.kind, EventKind::StepFinished { status, .. }
                    if !matches!(status, Status::Failed | Status::Errored))
                {
                    self.voices.remove(step);
                }
            }
            Change::Skipped(row) => self.row(row),
            // Whoever pressed the keys has been told already.
            Change::Said(_) if self.remarked => {}
            Change::Said(text) => {
                PAINT.add(&mut self.pending, style::DIM, &one_line(text));
                self.pending.push('\n');
            }
            Change::Over => self.over(),
        }
        if !matches!(change, Change::Nothing) {
            self.several = self.steps.leaves().nth(1).is_some();
        }
        let paused = self.clock.monotonic().saturating_sub(self.flushed) < OUTPUT_PAUSE;
        if self.live.is_none()
            || !paused
            || self.pending.len() > PENDING_BYTES
            || matches!(change, Change::Over)
        {
            self.flush(out);
        }
    }

    fn tick_interval(&self) -> Option<Duration> {
        Some(FRAME)
    }

    fn tick(&mut self, out: &mut Vec<u8>) {
        self.frame = self.frame.wrapping_add(1);
        self.flush(out);
        let lines = self.live_lines();
        if lines.is_empty() {
            return;
        }
        let widths = lines.iter().map(|line| width::columns(&sanitize::plain(line.as_bytes())));
        self.drawn = (widths.collect(), self.columns());
        let bar = self.live.get_or_insert_with(|| live_area(&self.canvas));
        bar.set_message(lines.join("\n"));
        self.canvas.take(out);
    }

    fn remark(&mut self, text: &str, out: &mut Vec<u8>) -> bool {
        self.remarked = true;
        PAINT.add(&mut self.pending, style::RETRY, text);
        self.pending.push('\n');
        self.flush(out);
        true
    }
}

fn live_area(canvas: &Canvas) -> ProgressBar {
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(canvas.clone()), 30);
    let style =
        ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(None, target).with_style(style)
}

/// Where `indicatif` draws: a buffer that becomes part of the one stream of bytes.
#[derive(Debug, Clone)]
struct Canvas {
    bytes: Arc<Mutex<Vec<u8>>>,
    line_full: Arc<AtomicBool>,
    size: fn() -> Size,
}

impl Canvas {
    fn new(size: fn() -> Size) -> Self {
        Self { bytes: Arc::default(), line_full: Arc::default(), size }
    }

    fn add(&self, text: &str) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend_from_slice(text.as_bytes());
    }

    fn take(&self, out: &mut Vec<u8>) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        out.append(&mut bytes);
    }

    fn sequence(&self, count: usize, letter: char) -> io::Result<()> {
        if count > 0 {
            self.add(&format!("\x1b[{count}{letter}"));
        }
        Ok(())
    }
}

impl TermLike for Canvas {
    fn width(&self) -> u16 {
        (self.size)().0.max(20)
    }

    fn height(&self) -> u16 {
        (self.size)().1.max(2)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.sequence(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.sequence(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.sequence(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.sequence(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.add(s);
        self.add("\n");
        Ok(())
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        // `indicatif` fills each line up with blanks, so that the terminal
        // breaks it. Blanks at the end of a line would be folded when the
        // terminal becomes narrower: the same is said without them.
        if s.trim_end_matches(' ').is_empty() {
            self.line_full.store(true, Ordering::Relaxed);
            self.add("\x1b[K");
        } else {
            if self.line_full.swap(false, Ordering::Relaxed) {
                self.add("\r\n");
            }
            self.add(s);
        }
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        // A drawing ends on its last line.
        self.line_full.store(false, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Script, failing_build, report, retried_build};
    use jiff::Timestamp;
    use pikoci_core::event::StepType;
    use std::sync::atomic::AtomicU64;

    /// A clock that a test moves by hand.
    #[derive(Debug, Default)]
    struct HandClock(AtomicU64);

    impl Clock for HandClock {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
        fn id(&self) -> uuid::Uuid {
            unreachable!("reporters make no ids")
        }
    }

    fn terminal(clock: &Arc<HandClock>) -> Terminal {
        Terminal::new(clock.clone(), || (80, 24))
    }

    /// Escape sequences as text that can be read in a snapshot.
    fn visible(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap().replace('\x1b', "␛")
    }

    #[test]
    fn a_failing_build_reads_well_in_eighty_columns() {
        let out = report(terminal(&Arc::default()), &failing_build());
        insta::assert_snapshot!(
            String::from_utf8(out)
                .unwrap()
                .lines()
                .map(|line| sanitize::plain(line.as_bytes()))
                .collect::<Vec<_>>()
                .join("\n")
        );
    }

    #[test]
    fn status_words_and_names_have_their_colours() {
        insta::assert_snapshot!(visible(report(terminal(&Arc::default()), &retried_build())));
    }

    /// What a terminal shows after `bytes`: enough of one for what is written here.
    fn screen(bytes: &[u8]) -> String {
        let mut rows: Vec<Vec<char>> = vec![Vec::new()];
        let (mut row, mut column) = (0, 0);
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '\n' => {
                    (row, column) = (row + 1, 0);
                    rows.resize(rows.len().max(row + 1), Vec::new());
                }
                '\r' => column = 0,
                '\x1b' => {
                    assert_eq!(rest.next(), Some('['));
                    let mut sequence = String::new();
                    let letter = loop {
                        match rest.next().expect("a sequence ends") {
                            c if c.is_ascii_alphabetic() => break c,
                            c => sequence.push(c),
                        }
                    };
                    let count: usize = sequence.parse().unwrap_or(1);
                    match letter {
                        'A' => row = row.checked_sub(count).expect("stays on the screen"),
                        'B' => row += count,
                        'K' if sequence == "2" => rows[row].clear(),
                        'K' => rows[row].truncate(column),
                        'm' => {}
                        other => panic!("unexpected sequence {sequence}{other}"),
                    }
                }
                c => {
                    if rows[row].len() <= column {
                        rows[row].resize(column + 1, ' ');
                    }
                    rows[row][column] = c;
                    column += 1;
                }
            }
        }
        rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n").collect()
    }

    /// Two tasks side by side, one of them in the middle of a line.
    fn side_by_side(terminal: &mut Terminal, clock: &HandClock, out: &mut Vec<u8>) {
        let mut script = Script::new();
        script
            .build("a")
            .start("0", StepType::InParallel, "in_parallel")
            .start("0.0", StepType::Task, "task slow")
            .start("0.1", StepType::Task, "task quick")
            .output("0.0", "one\ntwo");
        for event in script.events() {
            terminal.event(&event, out);
        }
        clock.0.store(1_500, Ordering::Relaxed);
        terminal.tick(out);
    }

    #[test]
    fn the_live_area_stays_below_what_scrolls() {
        let clock = Arc::new(HandClock::default());
        let mut terminal = terminal(&clock);
        let mut out = Vec::new();
        side_by_side(&mut terminal, &clock, &mut out);
        insta::assert_snapshot!(screen(&out), @"
        main/app/a#1
                           in_parallel
        slow │ one
               ⠙     1.5s  task slow  two
               ⠙     1.5s  task quick
        ");
        let mut script = Script::new();
        script.output("0.0", "!\nthree\n\x1b[2Jfour\n").pass("0.1", 2_000);
        clock.0.store(2_000, Ordering::Relaxed);
        for event in script.events() {
            terminal.event(&event, &mut out);
        }
        terminal.tick(&mut out);
        insta::assert_snapshot!(screen(&out), @"
        main/app/a#1
                           in_parallel
        slow │ one
        slow │ two!
        slow │ three
        slow │ four
            PASS   2.000s    task quick
               ⠹     2.0s  task slow
        ");
        let mut script = Script::new();
        script.pass("0.0", 3_000).pass("0", 3_001).end(Status::Succeeded, 3_010, None);
        for event in script.events() {
            terminal.event(&event, &mut out);
        }
        insta::assert_snapshot!(screen(&out), @"
        main/app/a#1
                           in_parallel
        slow │ one
        slow │ two!
        slow │ three
        slow │ four
            PASS   2.000s    task quick
            PASS   3.000s    task slow

        main/app/a#1 succeeded in 3.0s
        ");
    }

    #[test]
    fn a_terminal_that_became_narrower_keeps_no_trace_of_folded_lines() {
        static COLUMNS: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(80);
        let clock = Arc::new(HandClock::default());
        let mut terminal = Terminal::new(clock.clone(), || (COLUMNS.load(Ordering::Relaxed), 24));
        let mut out = Vec::new();
        side_by_side(&mut terminal, &clock, &mut out);
        out.clear();
        COLUMNS.store(20, Ordering::Relaxed);
        terminal.tick(&mut out);
        // Both lines, of 33 and 29 columns, take two rows each now.
        let cleared = b"\r\x1b[3A\x1b[J";
        assert!(out.starts_with(cleared), "{}", visible(out));
    }

    #[test]
    fn what_a_command_prints_cannot_reach_the_cursor() {
        let mut script = Script::new();
        script.build("a").start("0", StepType::Task, "task evil");
        script.output("0", "\x1b[2J\x1b[").output("0", "H\x1b]0;title\x07\x1b[32mgreen\n");
        script.pass("0", 1);
        let out = visible(report(terminal(&Arc::default()), &script.events()));
        assert!(out.contains("\n␛[32mgreen␛[0m\n"), "{out}");
        assert!(!out.contains("␛[2J") && !out.contains("␛[H") && !out.contains("␛]"), "{out}");
    }

    #[test]
    fn live_lines_fit_the_terminal_and_say_how_many_they_leave_out() {
        let clock = Arc::new(HandClock::default());
        let mut terminal = Terminal::new(clock, || (40, 8));
        let mut out = Vec::new();
        let mut script = Script::new();
        for number in 0..20 {
            let name = format!("task with a rather long name {number}");
            script.start(&number.to_string(), StepType::Task, &name);
        }
        for event in script.events() {
            terminal.event(&event, &mut out);
        }
        let lines = terminal.live_lines();
        assert_eq!(lines.len(), 6);
        assert!(lines.iter().all(|line| width::columns(&sanitize::plain(line.as_bytes())) < 40));
        assert_eq!(lines[5].trim(), "and 15 more");
    }
}
