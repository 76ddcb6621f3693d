//! Makes one line of a command's output safe to show above a live area:
//! colours stay, whatever moves the cursor, clears or talks to the terminal goes.

/// How many bytes of colour settings are carried from line to line.
const CARRIED_BYTES: usize = 256;

/// Cleans the lines of one stream; remembers its colours between them.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    colors: String,
}

impl Cleaner {
    /// Adds the visible part of `line` (without its line feed) to `out`.
    ///
    /// Of text that overwrites itself by carriage returns the last state is
    /// shown; what is not UTF-8 becomes `U+FFFD`.
    pub(super) fn clean(&mut self, line: &[u8], out: &mut String) {
        if self.colors.is_empty()
            && !line.iter().any(|byte| is_control(*byte) || !byte.is_ascii())
            && let Ok(text) = std::str::from_utf8(line)
        {
            out.push_str(text);
            return;
        }
        let text = String::from_utf8_lossy(line);
        out.push_str(&self.colors);
        let start = out.len();
        let mut rest = text.chars().peekable();
        let mut returned = false;
        while let Some(c) = rest.next() {
            match c {
                '\x1b' => match rest.next() {
                    Some('[') => self.control_sequence(&mut rest, out),
                    Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut rest),
                    // Charset switches and the like have one more byte.
                    Some('(' | ')' | '*' | '+' | '#' | ' ' | '%') => {
                        rest.next();
                    }
                    _ => {}
                },
                '\u{9b}' => self.control_sequence(&mut rest, out),
                '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut rest),
                '\r' => returned = true,
                '\x08' => {
                    if out.len() > start && !out.ends_with('m') {
                        out.pop();
                    }
                }
                '\t' => out.push('\t'),
                c if c.is_control() => {}
                c => {
                    if std::mem::take(&mut returned) {
                        out.truncate(start);
                        out.push_str(&self.colors);
                    }
                    out.push(c);
                }
            }
        }
        if !self.colors.is_empty() {
            out.push_str("\x1b[0m");
        }
    }

    /// Reads a control sequence behind its introducer; only colours are passed on.
    fn control_sequence(
        &mut self,
        rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
        out: &mut String,
    ) {
        let mut params = String::new();
        while let Some(c) = rest.next_if(|c| ('\x20'..='\x3f').contains(c)) {
            params.push(c);
        }
        let is_color = params.chars().all(|c| c.is_ascii_digit() || c == ';' || c == ':');
        if rest.next_if(|c| ('\x40'..='\x7e').contains(c)) != Some('m') || !is_color {
            return;
        }
        if params.is_empty() || params.chars().all(|c| c == '0' || c == ';') {
            if !self.colors.is_empty() {
                out.push_str("\x1b[0m");
            }
            self.colors.clear();
            return;
        }
        let sequence = format!("\x1b[{params}m");
        out.push_str(&sequence);
        if self.colors.len() + sequence.len() > CARRIED_BYTES {
            self.colors.clear();
        }
        if sequence.len() <= CARRIED_BYTES {
            self.colors.push_str(&sequence);
        }
    }
}

/// `line` without any escape sequence.
pub(super) fn plain(line: &[u8]) -> String {
    let mut cleaned = String::new();
    Cleaner::default().clean(line, &mut cleaned);
    let mut out = String::with_capacity(cleaned.len());
    let mut rest = cleaned.as_str();
    // Only colours are left, and each ends with its `m`.
    while let Some((before, sequence)) = rest.split_once('\x1b') {
        out.push_str(before);
        rest = sequence.split_once('m').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// Reads up to the end of an operating system command or its kin.
fn skip_string(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = rest.next() {
        match c {
            '\x07' | '\u{9c}' => return,
            '\x1b' => {
                rest.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(line: &[u8]) -> String {
        let mut out = String::new();
        Cleaner::default().clean(line, &mut out);
        out
    }

    #[test]
    fn only_what_is_harmless_passes() {
        for (line, expected) in [
            (b"plain text\tand tabs".as_slice(), "plain text\tand tabs"),
            (b"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
            (b"\x1b[38;5;1mred", "\x1b[38;5;1mred\x1b[0m"),
            (b"\x1b[2J\x1b[H\x1b[10Atop", "top"),
            (b"\x1b[?25lhidden\x1b[?25h", "hidden"),
            (b"\x1b[>4;2mkeys", "keys"),
            (b"\x1b]0;title\x07text", "text"),
            (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            (b"\x1bPq#0\x1b\\sixel", "sixel"),
            (b"\x1b7\x1b8\x1bc\x1b(Breset", "reset"),
            (b"10%\r20%\r30%\r", "30%"),
            (b"windows\r", "windows"),
            (b"ab\x08c\x07\x00", "ac"),
            (b"not utf-8: \xff\xfe", "not utf-8: \u{fffd}\u{fffd}"),
            ("c1: \u{9b}2J\u{85}x".as_bytes(), "c1: x"),
            (b"cut \x1b[3", "cut "),
            (b"cut \x1b]0;never ends", "cut "),
        ] {
            assert_eq!(clean(line), expected, "{:?}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn a_colour_lasts_over_lines_but_does_not_leak_out_of_them() {
        let mut cleaner = Cleaner::default();
        let mut out = String::new();
        for line in ["\x1b[31mone", "two", "three\x1b[m", "four"] {
            cleaner.clean(line.as_bytes(), &mut out);
            out.push('\n');
        }
        assert_eq!(out, "\x1b[31mone\x1b[0m\n\x1b[31mtwo\x1b[0m\n\x1b[31mthree\x1b[0m\nfour\n");
    }

    #[test]
    fn a_plain_line_has_no_escape_at_all() {
        assert_eq!(plain(b"\x1b[1;31merror\x1b[0m: \x1b[2Knope"), "error: nope");
    }
}
