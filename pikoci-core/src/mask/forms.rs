//! The forms in which a secret may appear in output.
//!
//! As it is, without blanks around it, and each of its lines; in base64 of
//! both alphabets, also as part of a longer text and wrapped into lines;
//! URL-encoded; as in JSON; and quoted for a shell.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Secrets shorter than so many characters are not masked.
pub const MIN_SECRET_CHARS: usize = 4;
/// Lines of a secret of several lines that are shorter are not masked by
/// themselves: `{`, `}` and `EOF` are in many texts.
const MIN_LINE_CHARS: usize = 8;
/// Longest value that is searched for whole, in bytes. A longer one is
/// searched for in pieces of [`PIECE_BYTES`], which finds it as well.
const MAX_WHOLE_BYTES: usize = 16 << 10;
/// Size of such pieces.
const PIECE_BYTES: usize = 512;

/// Every text that gives `secret` away, as bytes; none where it is too short.
pub(super) fn forms(secret: &str) -> BTreeSet<Vec<u8>> {
    let mut out = BTreeSet::new();
    let trimmed = secret.trim();
    if trimmed.chars().count() < MIN_SECRET_CHARS || matches!(trimmed, "true" | "false" | "null") {
        return out;
    }
    for whole in [secret, trimmed] {
        if whole.len() > MAX_WHOLE_BYTES {
            pieces(whole, &mut out);
        } else {
            escaped(whole, &mut out);
            base64(whole, &mut out);
        }
    }
    if trimmed.contains('\n') {
        for line in trimmed.lines().map(str::trim) {
            if line.chars().count() >= MIN_LINE_CHARS && line.len() <= MAX_WHOLE_BYTES {
                escaped(line, &mut out);
            }
        }
    }
    out
}

fn pieces(mut text: &str, out: &mut BTreeSet<Vec<u8>>) {
    while !text.is_empty() {
        let mut end = text.len().min(PIECE_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, rest) = text.split_at(end);
        if piece.trim().chars().count() >= MIN_LINE_CHARS {
            out.insert(piece.as_bytes().to_vec());
        }
        text = rest;
    }
}

/// The text as it is and in every way of writing it that leaves plain letters alone.
fn escaped(text: &str, out: &mut BTreeSet<Vec<u8>>) {
    out.insert(text.as_bytes().to_vec());
    json(text, out);
    url(text, out);
    shell(text, out);
}

/// As inside a JSON string: the least escaping, with `\/`, with everything
/// beyond ASCII as `\u…`, and with what matters to HTML as `\u…`.
fn json(text: &str, out: &mut BTreeSet<Vec<u8>>) {
    let plain = serde_json::Value::from(text).to_string();
    let plain = plain.trim_start_matches('"');
    let plain = plain.strip_suffix('"').unwrap_or(plain);
    // The value's own first quotes are escaped, so only the outer one was cut.
    out.insert(plain.as_bytes().to_vec());
    if plain.contains('/') {
        out.insert(plain.replace('/', "\\/").into_bytes());
    }
    if !plain.is_ascii() {
        let mut ascii = String::new();
        for c in plain.chars() {
            if c.is_ascii() {
                ascii.push(c);
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    ascii.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
        out.insert(ascii.into_bytes());
    }
    if plain.contains(['<', '>', '&']) {
        let html = plain.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        out.insert(html.into_bytes());
    }
}

/// As a part of a URL, by the sets of plain characters that are in use, with
/// upper- and lower-case digits, and as a form writes it.
fn url(text: &str, out: &mut BTreeSet<Vec<u8>>) {
    for plain in ["-_.~", "-_.!~*'()", "-_.~/", "-_.!~*'();/?:@&=+$,#", "-_.*"] {
        for upper in [true, false] {
            for blank in ["%20", "+"] {
                let mut encoded = String::new();
                for &byte in text.as_bytes() {
                    let c = char::from(byte);
                    if c == ' ' {
                        encoded.push_str(blank);
                    } else if c.is_ascii_alphanumeric() || plain.contains(c) {
                        encoded.push(c);
                    } else if upper {
                        encoded.push_str(&format!("%{byte:02X}"));
                    } else {
                        encoded.push_str(&format!("%{byte:02x}"));
                    }
                }
                out.insert(encoded.into_bytes());
            }
        }
    }
}

/// As inside quotes of a shell, or with backslashes as `printf %q` writes it.
fn shell(text: &str, out: &mut BTreeSet<Vec<u8>>) {
    if text.contains('\'') {
        out.insert(text.replace('\'', "'\\''").into_bytes());
        out.insert(text.replace('\'', "'\"'\"'").into_bytes());
    }
    let backslash = |special: &dyn Fn(char) -> bool| {
        let mut quoted = String::with_capacity(text.len());
        for c in text.chars() {
            if special(c) {
                quoted.push('\\');
            }
            quoted.push(c);
        }
        quoted.into_bytes()
    };
    out.insert(backslash(&|c| "\"\\$`".contains(c)));
    out.insert(backslash(&|c| {
        c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-./:=@%+,".contains(c)
    }));
}

/// Base64 at the three places that a byte may have in it, without the
/// characters at the ends that depend on what stands beside the secret. That
/// is also a part of the padded form.
fn base64(text: &str, out: &mut BTreeSet<Vec<u8>>) {
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        for offset in 0..3 {
            let mut bytes = vec![0; offset];
            bytes.extend_from_slice(text.as_bytes());
            let encoded = engine.encode(&bytes);
            // A character holds six bits: the first whole one, and the one
            // after the last whole one.
            let start = (offset * 8).div_ceil(6);
            let end = bytes.len() * 8 / 6;
            let Some(core) = encoded.get(start..end) else {
                continue;
            };
            if core.len() < MIN_SECRET_CHARS {
                continue;
            }
            out.insert(core.as_bytes().to_vec());
            if offset == 0 {
                for width in [64, 76] {
                    // The `base64` program and PEM wrap at these widths.
                    if core.len() > width {
                        for line in core.as_bytes().chunks(width) {
                            if line.len() >= MIN_LINE_CHARS {
                                out.insert(line.to_vec());
                            }
                        }
                    }
                }
            }
        }
    }
}
