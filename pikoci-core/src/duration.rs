//! Durations as people write and read them: `30s`, `5m`, `1h30m`.

use std::time::Duration;

use thiserror::Error;

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a duration: write it as `30s`, `5m` or `1h30m`")]
pub struct ParseDurationError {
    /// What was written.
    pub text: String,
}

const UNITS: [(&str, f64); 7] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Longest duration that is accepted: ten years. It keeps every sum of
/// durations and instants far from overflow.
pub const MAX_DURATION: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// Reads a duration: one or more numbers, each with its unit (`h`, `m`, `s`,
/// `ms`, `us`, `ns`); a lone `0` needs none. Fractions are fine, signs are not.
///
/// # Errors
/// When the text is anything else, or longer than [`MAX_DURATION`].
///
/// ```
/// use std::time::Duration;
/// assert_eq!(pikoci_core::duration::parse("1h30m").unwrap(), Duration::from_secs(5400));
/// assert!(pikoci_core::duration::parse("soon").is_err());
/// ```
pub fn parse(text: &str) -> Result<Duration, ParseDurationError> {
    let error = || ParseDurationError { text: text.chars().take(64).collect() };
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut seconds = 0.0f64;
    let mut any = false;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(error)?;
        let number: f64 = rest[..digits].parse().map_err(|_| error())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = &rest[..letters];
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        seconds += number * scale;
        rest = &rest[letters..];
        any = true;
    }
    if !any || !seconds.is_finite() || seconds > MAX_DURATION.as_secs_f64() {
        return Err(error());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// A duration as a person likes to read it: `3ms`, `1.204s`, `2m05s`, `1h02m`.
pub fn human(duration: Duration) -> String {
    let millis = duration.as_millis();
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{millis}ms"),
        1..60 => format!("{seconds}.{:03}s", duration.subsec_millis()),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A duration as the language writes it, exact and without a zero part: `1h30m`, `250ms`.
pub fn exact(duration: Duration) -> String {
    let mut out = String::new();
    let seconds = duration.as_secs();
    for (amount, unit) in [(seconds / 3600, "h"), (seconds % 3600 / 60, "m"), (seconds % 60, "s")] {
        if amount > 0 {
            out.push_str(&format!("{amount}{unit}"));
        }
    }
    let nanos = duration.subsec_nanos();
    for (amount, unit) in
        [(nanos / 1_000_000, "ms"), (nanos / 1000 % 1000, "us"), (nanos % 1000, "ns")]
    {
        if amount > 0 {
            out.push_str(&format!("{amount}{unit}"));
        }
    }
    if out.is_empty() { "0s".into() } else { out }
}

/// [`Duration`] in serialised data: a number of milliseconds, rounded to microseconds.
pub mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the duration.
    pub fn serialize<S: Serializer>(value: &Duration, out: S) -> Result<S::Ok, S::Error> {
        let micros = (value.as_nanos() + 500) / 1000;
        // Exact for every duration below 285 years.
        out.serialize_f64(micros as f64 / 1000.0)
    }

    /// Reads the duration; one that is negative or longer than
    /// [`MAX_DURATION`](super::MAX_DURATION) is refused.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        let millis = f64::deserialize(input)?;
        if !(0.0..=super::MAX_DURATION.as_secs_f64() * 1000.0).contains(&millis) {
            return Err(D::Error::custom(format!("`{millis}` is no duration in milliseconds")));
        }
        Ok(Duration::from_micros((millis * 1000.0).round() as u64))
    }
}

/// [`Duration`] in serialised data: a text as [`exact`] writes it.
pub mod text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the duration.
    pub fn serialize<S: Serializer>(value: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&super::exact(*value))
    }

    /// Reads the duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        super::parse(&String::deserialize(input)?).map_err(D::Error::custom)
    }

    /// The same for a duration that may be absent.
    pub mod option {
        use std::time::Duration;

        use serde::{Deserialize, Deserializer, Serializer, de::Error};

        /// Writes the duration, or nothing.
        pub fn serialize<S: Serializer>(
            value: &Option<Duration>,
            out: S,
        ) -> Result<S::Ok, S::Error> {
            match value {
                Some(value) => out.serialize_some(&crate::duration::exact(*value)),
                None => out.serialize_none(),
            }
        }

        /// Reads the duration, or nothing.
        pub fn deserialize<'de, D: Deserializer<'de>>(
            input: D,
        ) -> Result<Option<Duration>, D::Error> {
            Option::<String>::deserialize(input)?
                .map(|text| crate::duration::parse(&text).map_err(D::Error::custom))
                .transpose()
        }
    }
}
