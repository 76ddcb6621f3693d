//! When something happens by itself: `@every 30s`, cron expressions, `never`.

use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::tz::TimeZone;
use thiserror::Error;

/// The shortest interval that is accepted.
pub const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// A text that is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// The duration behind `@every` is none.
    #[error("`@every` takes a duration such as `30s`, not `{0}`")]
    Interval(String),
    /// The interval is below [`MIN_INTERVAL`].
    #[error("`@every {0}` is too often: the least is `@every 10s`")]
    TooOften(String),
    /// The text is no cron expression.
    #[error("`{text}` is not a schedule: {reason}")]
    Cron {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such time zone.
    #[error("there is no time zone `{0}`")]
    TimeZone(String),
}

/// When something happens by itself.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// Again and again, with this time between.
    Every(Duration),
    /// At the times of a cron expression.
    Cron {
        /// The expression, five or six fields.
        expression: Box<Cron>,
        /// The zone its fields are told in.
        time_zone: TimeZone,
    },
    /// Only by hand.
    Never,
}

impl Schedule {
    /// Reads a schedule: `@every DURATION` (at least [`MIN_INTERVAL`]), `never`,
    /// `@hourly` and its kin, or a cron expression of five or six fields with an
    /// optional zone, as `TZ=Europe/Berlin 0 2 * * *` or behind the fields. Without one it is UTC.
    ///
    /// # Errors
    /// When the text is none of these, or names a moment that never comes.
    ///
    /// ```
    /// use pikoci_core::schedule::Schedule;
    /// assert!(matches!(Schedule::parse("@every 1m"), Ok(Schedule::Every(_))));
    /// assert!(Schedule::parse("0 2 * * * Europe/Berlin").is_ok());
    /// assert!(Schedule::parse("0 0 31 2 *").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        if text == "never" {
            return Ok(Self::Never);
        }
        if let Some(interval) = text.strip_prefix("@every") {
            let interval = interval.trim();
            let duration = crate::duration::parse(interval)
                .map_err(|_| ScheduleError::Interval(interval.to_owned()))?;
            if duration < MIN_INTERVAL {
                return Err(ScheduleError::TooOften(interval.to_owned()));
            }
            return Ok(Self::Every(duration));
        }
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let mut zone = None;
        if let Some(name) = words
            .first()
            .and_then(|word| word.strip_prefix("CRON_TZ=").or_else(|| word.strip_prefix("TZ=")))
        {
            zone = Some(name);
            words.remove(0);
        } else if let Some(last) = words.last().copied()
            && words.len() >= 6
            && last.starts_with(|c: char| c.is_ascii_uppercase())
            && (last.contains('/') || last == "UTC" || last == "GMT")
        {
            zone = Some(last);
            words.pop();
        }
        let time_zone = match zone {
            None => TimeZone::UTC,
            Some(name) => {
                TimeZone::get(name).map_err(|_| ScheduleError::TimeZone(name.to_owned()))?
            }
        };
        let error = |reason: String| ScheduleError::Cron { text: text.to_owned(), reason };
        let fields = words.join(" ");
        if !fields.starts_with('@') && !(5..=6).contains(&words.len()) {
            return Err(error(format!(
                "a cron expression has five or six fields, this has {}",
                words.len()
            )));
        }
        let expression = CronParser::builder()
            .seconds(Seconds::Optional)
            .build()
            .parse(&fields)
            .or_else(|_| Cron::from_str(&fields))
            .map_err(|source| error(source.to_string()))?;
        // An expression such as `0 0 31 2 *` parses and never comes true.
        let start = jiff::Timestamp::UNIX_EPOCH.to_zoned(time_zone.clone());
        expression
            .find_next_occurrence(&start, true)
            .map_err(|_| error("no day ever fits it".into()))?;
        Ok(Self::Cron { expression: Box::new(expression), time_zone })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read_as_documented() {
        for fine in [
            "@every 30s",
            "@every 1h30m",
            "@hourly",
            "@daily",
            "@weekly",
            "never",
            "*/5 * * * *",
            "30 0 2 * * *",
            "0 2 * * MON-FRI",
            "TZ=Europe/Berlin 0 2 * * *",
            "CRON_TZ=UTC 0 2 * * *",
            "0 2 * * * America/New_York",
        ] {
            assert!(Schedule::parse(fine).is_ok(), "{fine}: {:?}", Schedule::parse(fine).err());
        }
        for (wrong, part) in [
            ("@every", "takes a duration"),
            ("@every 5s", "too often"),
            ("@sometimes", "not a schedule"),
            ("soon", "five or six fields, this has 1"),
            ("0 0 31 2 *", "no day ever fits"),
            ("99 * * * *", "not a schedule"),
            ("TZ=Mars/Olympus 0 2 * * *", "no time zone `Mars/Olympus`"),
            ("", "this has 0"),
        ] {
            let error = Schedule::parse(wrong).unwrap_err().to_string();
            assert!(error.contains(part), "{wrong}: {error}");
        }
    }
}
