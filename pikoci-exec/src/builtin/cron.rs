//! The `cron` resource type: its versions are the moments a cron expression fires at.

use std::sync::Arc;

use async_trait::async_trait;
use croner::parser::CronParser;
use croner::{Cron, Direction};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use pikoci_core::catalog::{ParamProblem, ParamSpec};
use pikoci_core::clock::Clock;
use pikoci_core::context::StepRun;
use pikoci_core::params::{Attributes, Params};
use pikoci_core::version::Metadata;
use pikoci_core::{ResourceType, TypeError, Value, Version};

/// The most moments one check reports; older ones are left out.
const MOST_VERSIONS: usize = 100;

/// The `cron` resource type.
///
/// Parameters: `expression` (or `schedule`), five fields or six with seconds
/// first, or `@hourly` and kin; `timezone`, an IANA name, UTC by default. A
/// version is `{"time": "2026-03-29T01:00:00Z"}`. Where the clock skips a
/// moment it fires as soon as the clock goes on; where the clock runs an hour
/// twice it fires in the first one. Fetching a version writes nothing.
#[derive(Debug)]
pub struct CronResource {
    clock: Arc<dyn Clock>,
}

impl CronResource {
    /// The type; `clock` says what has fired already.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

#[async_trait]
impl ResourceType for CronResource {
    fn params(&self) -> ParamSpec {
        ParamSpec::only(["expression", "schedule", "timezone"])
            .exactly_one(["expression", "schedule"])
    }

    async fn check(
        &self,
        _step: &mut StepRun<'_>,
        params: &Params,
        from: Option<&Version>,
    ) -> Result<Vec<Version>, TypeError> {
        let expression = params
            .text("expression")
            .or_else(|| params.text("schedule"))
            .ok_or_else(|| TypeError::errored("`cron` needs the parameter `expression`"))?;
        let timezone = params.text("timezone").unwrap_or_else(|| "UTC".into());
        let from = from.map(moment).transpose()?;
        let times =
            fired(&expression, &timezone, self.clock.now(), from).map_err(TypeError::errored)?;
        Ok(times
            .into_iter()
            .map(|time| Version::from_pairs([("time", time.to_string())]))
            .collect())
    }

    async fn pull(
        &self,
        _step: &mut StepRun<'_>,
        _params: &Params,
        version: &Version,
    ) -> Result<Metadata, TypeError> {
        moment(version).map(|_| Metadata::new())
    }

    async fn push(
        &self,
        _step: &mut StepRun<'_>,
        _params: &Params,
        _put: &Params,
    ) -> Result<Option<Version>, TypeError> {
        Err(TypeError::errored("`cron` makes versions by itself; nothing can be put to it"))
    }
}

/// The moment that a version names.
fn moment(version: &Version) -> Result<Timestamp, TypeError> {
    let text = version.0.get("time").and_then(serde_json::Value::as_str).unwrap_or_default();
    text.parse().map_err(|_| {
        TypeError::errored(format!("`{version}` is no version of a `cron` resource: no such time"))
    })
}

/// When `expression` fired, oldest first: since `from` (itself included) and up
/// to `now`, or the last time only.
fn fired(
    expression: &str,
    timezone: &str,
    now: Timestamp,
    from: Option<Timestamp>,
) -> Result<Vec<Timestamp>, String> {
    let zone = zone(timezone)?;
    let cron = parse(expression)?;
    let mut times: Vec<Timestamp> = cron
        .iter_from(now.to_zoned(zone.clone()), Direction::Backward)
        .map(|time: Zoned| time.timestamp())
        .take_while(|time| from.is_none_or(|from| *time > from))
        .take(if from.is_some() { MOST_VERSIONS } else { 1 })
        .collect();
    if times.is_empty() && from.is_none() {
        // Either it never fires or it has not yet, as with a year in the future.
        return match cron.find_next_occurrence(&now.to_zoned(zone), false) {
            Ok(_) => Ok(Vec::new()),
            Err(_) => Err(format!("`{expression}` never fires")),
        };
    }
    times.extend(from.filter(|from| *from <= now));
    times.reverse();
    Ok(times)
}

/// Looks at the parameters when a pipeline is read.
pub(super) fn check_params(values: &Attributes) -> Result<(), ParamProblem> {
    let problem = |param: &str| {
        let param = param.to_owned();
        move |message: String| ParamProblem { param, message }
    };
    let text = |name: &str| values.get(name).and_then(Value::to_text);
    for name in ["expression", "schedule"] {
        if let Some(expression) = text(name) {
            let cron = parse(&expression).map_err(problem(name))?;
            cron.find_next_occurrence(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC), true)
                .map_err(|_| problem(name)(format!("`{expression}` never fires")))?;
        }
    }
    text("timezone").map_or(Ok(()), |name| zone(&name).map(drop)).map_err(problem("timezone"))
}

fn zone(name: &str) -> Result<TimeZone, String> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name)
        .map_err(|_| format!("`{name}` is no known time zone, such as `Europe/Berlin`"))
}

fn parse(expression: &str) -> Result<Cron, String> {
    CronParser::new()
        .parse(expression)
        .map_err(|error| format!("`{expression}` is no cron expression: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_moment_that_has_fired_is_the_version() {
        let table = [
            ("* * * * *", "UTC", "2026-03-05T10:20:30Z", "2026-03-05T10:20:00Z"),
            ("* * * * *", "UTC", "2026-03-05T10:20:00Z", "2026-03-05T10:20:00Z"),
            ("*/10 * * * * *", "UTC", "2026-03-05T10:20:39Z", "2026-03-05T10:20:30Z"),
            ("@daily", "UTC", "2026-03-05T10:20:30Z", "2026-03-05T00:00:00Z"),
            ("0 9 * * MON-FRI", "UTC", "2026-03-08T10:00:00Z", "2026-03-06T09:00:00Z"),
            ("0 0 L 2 *", "UTC", "2026-03-08T10:00:00Z", "2026-02-28T00:00:00Z"),
            ("0 0 29 2 *", "UTC", "2026-03-08T10:00:00Z", "2024-02-29T00:00:00Z"),
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T10:00:00Z", "2026-03-28T01:30:00Z"),
            // 02:30 does not exist on the day the clock goes forward…
            ("30 2 * * *", "Europe/Berlin", "2026-03-29T10:00:00Z", "2026-03-29T01:00:00Z"),
            ("30 2 * * *", "Europe/Berlin", "2026-03-30T10:00:00Z", "2026-03-30T00:30:00Z"),
            // … and twice on the day it goes back.
            ("30 2 * * *", "Europe/Berlin", "2026-10-25T10:00:00Z", "2026-10-25T00:30:00Z"),
        ];
        for (expression, zone, now, expected) in table {
            assert_eq!(
                fired(expression, zone, at(now), None),
                Ok(vec![at(expected)]),
                "{expression} {zone} at {now}"
            );
        }
    }

    #[test]
    fn moments_since_the_last_version_come_oldest_first_with_it() {
        let now = at("2026-03-30T10:00:00Z");
        assert_eq!(
            fired("30 2 * * *", "Europe/Berlin", now, Some(at("2026-03-28T01:30:00Z"))),
            Ok(vec![
                at("2026-03-28T01:30:00Z"),
                at("2026-03-29T01:00:00Z"),
                at("2026-03-30T00:30:00Z"),
            ])
        );
        let autumn = fired(
            "30 2 * * *",
            "Europe/Berlin",
            at("2026-10-26T10:00:00Z"),
            Some(at("2026-10-24T00:30:00Z")),
        )
        .unwrap();
        assert_eq!(autumn.len(), 3, "the hour that comes twice fires once: {autumn:?}");
    }

    #[test]
    fn a_long_silence_is_bounded() {
        let now = at("2026-03-30T10:00:00Z");
        let times = fired("* * * * *", "UTC", now, Some(at("2020-01-01T00:00:00Z"))).unwrap();
        assert_eq!(times.len(), MOST_VERSIONS + 1);
        assert_eq!(times.last(), Some(&now));
    }

    #[test]
    fn a_version_from_the_future_gives_nothing() {
        let now = at("2026-03-30T10:00:00Z");
        assert_eq!(fired("* * * * *", "UTC", now, Some(at("2030-01-01T00:00:00Z"))), Ok(vec![]));
    }

    #[test]
    fn what_cannot_be_is_told() {
        let now = at("2026-03-30T10:00:00Z");
        let error = |expression, zone| fired(expression, zone, now, None).unwrap_err();
        assert_eq!(error("0 0 31 2 *", "UTC"), "`0 0 31 2 *` never fires");
        assert_eq!(
            error("* * * * *", "Mars/Olympus"),
            "`Mars/Olympus` is no known time zone, such as `Europe/Berlin`"
        );
        for bad in ["", "* * * *", "61 * * * *", "H * * * *", "* * * * * * * *", "ä"] {
            assert!(
                error(bad, "UTC").starts_with(&format!("`{bad}` is no cron expression: ")),
                "{bad}"
            );
        }
    }
}
