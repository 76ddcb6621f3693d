//! Dates and times, written as RFC 3339 says.

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, tz::Offset};

use super::arguments::{Arguments, failed, wrong};
use super::{FunctionError, Signature};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Signature] = &[
    Signature::new("formatdate", &["spec", "timestamp"], format_date).charges(),
    Signature::new("timeadd", &["timestamp", "duration"], time_add),
    Signature::new("timestamp", &[], |args| {
        let civil = Offset::UTC.to_datetime(args.cx.now);
        Ok(Value::String(Moment { civil, offset: Some(0) }.to_rfc3339()))
    }),
];

type Outcome = Result<Value, FunctionError>;

/// A time as its place's clock shows it.
#[derive(Debug, Clone, Copy)]
struct Moment {
    civil: DateTime,
    /// Seconds east of UTC; `None` is UTC written as `Z`.
    offset: Option<i32>,
}

impl Moment {
    /// Reads `2026-11-21T07:30:00Z` or `…+01:00`, seconds perhaps with a fraction.
    fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader(text.as_bytes());
        let year = reader.number(4)?;
        reader.expect(b'-')?;
        let month = reader.number(2)?;
        reader.expect(b'-')?;
        let day = reader.number(2)?;
        reader.expect(b'T')?;
        let hour = reader.number(2)?;
        reader.expect(b':')?;
        let minute = reader.number(2)?;
        reader.expect(b':')?;
        let second = reader.number(2)?;
        let nanosecond = if reader.take(b'.') { reader.fraction()? } else { 0 };
        let offset = if reader.take(b'Z') { None } else { Some(reader.offset()?) };
        if !reader.0.is_empty() {
            return None;
        }
        let small = |number: i32| i8::try_from(number).ok();
        let date = Date::new(i16::try_from(year).ok()?, small(month)?, small(day)?).ok()?;
        let time = Time::new(small(hour)?, small(minute)?, small(second)?, nanosecond).ok()?;
        Some(Self { civil: date.to_datetime(time), offset })
    }

    fn is_utc(self) -> bool {
        self.offset.unwrap_or(0) == 0
    }

    /// The offset as `+01:00` or `+0100`.
    fn offset_text(self, colon: &str) -> String {
        let offset = self.offset.unwrap_or(0);
        let sign = if offset < 0 { '-' } else { '+' };
        let minutes = offset.abs() / 60;
        format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
    }

    /// `Z` for UTC, else as `+01:00`.
    fn zone_text(self) -> String {
        if self.is_utc() { "Z".into() } else { self.offset_text(":") }
    }

    fn to_rfc3339(self) -> String {
        let civil = self.civil;
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}",
            civil.year(),
            civil.month(),
            civil.day(),
            civil.hour(),
            civil.minute(),
            civil.second(),
            self.zone_text()
        )
    }
}

/// What is left of a timestamp.
struct Reader<'t>(&'t [u8]);

impl Reader<'_> {
    fn take(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        if found {
            self.0 = self.0.get(1..).unwrap_or_default();
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    /// A number of exactly so many digits.
    fn number(&mut self, digits: usize) -> Option<i32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        let all_digits = number.iter().all(u8::is_ascii_digit);
        self.0 = rest;
        all_digits.then(|| number.iter().fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0')))
    }

    /// The digits behind the seconds' point, as nanoseconds.
    fn fraction(&mut self) -> Option<i32> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
        (count > 0).then(|| padded.fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0')))
    }

    fn offset(&mut self) -> Option<i32> {
        let sign = match self.0.first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.0 = self.0.get(1..)?;
        let hours = self.number(2)?;
        self.expect(b':')?;
        let minutes = self.number(2)?;
        (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
    }
}

fn moment(args: &mut Arguments<'_>, index: usize) -> Result<Moment, FunctionError> {
    let text = args.text(index)?;
    Moment::parse(&text).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        wrong(index, format!("must be a time such as `2026-11-21T07:30:00Z`, got {shown:?}"))
    })
}

fn time_add(args: &mut Arguments<'_>) -> Outcome {
    let moment = moment(args, 0)?;
    let text = args.text(1)?;
    let duration = parse_duration(&text).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        wrong(1, format!("must be a duration such as `1h30m` or `-10s`, got {shown:?}"))
    })?;
    let civil = moment
        .civil
        .checked_add(duration)
        .ok()
        .filter(|civil| civil.year() >= 0)
        .ok_or_else(|| failed("has no result between the years 0 and 9999"))?;
    Ok(Value::String(Moment { civil, ..moment }.to_rfc3339()))
}

/// A duration: numbers with units from `h` to `ns`, one behind the other, perhaps signed.
fn parse_duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut nanoseconds: i64 = 0;
    loop {
        let end = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, behind) = rest.split_at(end);
        let (unit, behind) = [
            ("ns", 1),
            ("us", 1_000),
            ("µs", 1_000),
            ("μs", 1_000),
            ("ms", 1_000_000),
            ("s", 1_000_000_000),
            ("m", 60_000_000_000),
            ("h", 3_600_000_000_000_i64),
        ]
        .into_iter()
        .find_map(|(name, unit)| Some((unit, behind.strip_prefix(name)?)))?;
        nanoseconds = nanoseconds.checked_add(scaled(number, unit)?)?;
        if behind.is_empty() {
            break;
        }
        rest = behind;
    }
    Some(SignedDuration::from_nanos(if negative { -nanoseconds } else { nanoseconds }))
}

/// `1.5` times `unit`, in whole nanoseconds.
fn scaled(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(unit)?;
    let mut part = i128::from(unit);
    let mut scale: i128 = 1;
    let mut sum: i128 = 0;
    // Digits beyond the eighteenth are below any nanosecond.
    for digit in fraction.bytes().take(18) {
        scale *= 10;
        sum = sum * 10 + i128::from(digit - b'0');
    }
    part = part * sum / scale;
    total = total.checked_add(i64::try_from(part).ok()?)?;
    Some(total)
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn format_date(args: &mut Arguments<'_>) -> Outcome {
    let spec = args.text(0)?;
    let moment = moment(args, 1)?;
    let mut out = String::new();
    let mut chars = spec.chars().peekable();
    while let Some(char) = chars.next() {
        // No sequence makes more than nine characters of one.
        args.charge(16)?;
        if char == '\'' {
            quoted(&mut chars, &mut out)?;
        } else if char.is_ascii_alphabetic() {
            let mut count = 1;
            while chars.next_if_eq(&char).is_some() {
                count += 1;
            }
            field(char, count, moment, &mut out)?;
        } else {
            out.push(char);
        }
    }
    Ok(Value::String(out))
}

/// Literal text between quotes; two quotes stand for one.
fn quoted(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    out: &mut String,
) -> Result<(), FunctionError> {
    if chars.next_if_eq(&'\'').is_some() {
        out.push('\'');
        return Ok(());
    }
    while let Some(char) = chars.next() {
        if char != '\'' {
            out.push(char);
        } else if chars.next_if_eq(&'\'').is_some() {
            out.push('\'');
        } else {
            return Ok(());
        }
    }
    Err(wrong(0, "has a quote `'` that is not closed"))
}

fn field(
    letter: char,
    count: usize,
    moment: Moment,
    out: &mut String,
) -> Result<(), FunctionError> {
    let civil = moment.civil;
    let name = |names: &[&'static str], index: i8| {
        usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or("")
    };
    let month = name(&MONTHS, civil.month() - 1);
    let day = name(&DAYS, civil.weekday().to_monday_zero_offset());
    let short = |name: &str| name.get(..3).unwrap_or(name).to_owned();
    let twelve = match civil.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let half = if civil.hour() < 12 { "am" } else { "pm" };
    let text = match (letter, count) {
        ('Y', 2) => format!("{:02}", civil.year() % 100),
        ('Y', 4) => format!("{:04}", civil.year()),
        ('M', 1) => civil.month().to_string(),
        ('M', 2) => format!("{:02}", civil.month()),
        ('M', 3) => short(month),
        ('M', 4) => month.to_owned(),
        ('D', 1) => civil.day().to_string(),
        ('D', 2) => format!("{:02}", civil.day()),
        ('E', 3) => short(day),
        ('E', 4) => day.to_owned(),
        ('h', 1) => civil.hour().to_string(),
        ('h', 2) => format!("{:02}", civil.hour()),
        ('H', 1) => twelve.to_string(),
        ('H', 2) => format!("{twelve:02}"),
        ('A', 2) => half.to_ascii_uppercase(),
        ('a', 2) => half.to_owned(),
        ('m', 1) => civil.minute().to_string(),
        ('m', 2) => format!("{:02}", civil.minute()),
        ('s', 1) => civil.second().to_string(),
        ('s', 2) => format!("{:02}", civil.second()),
        ('Z', 1) => moment.zone_text(),
        ('Z', 3) if moment.is_utc() => "UTC".to_owned(),
        ('Z', 3 | 4) => moment.offset_text(""),
        ('Z', 5) => moment.offset_text(":"),
        ('Y' | 'M' | 'D' | 'E' | 'h' | 'H' | 'A' | 'a' | 'm' | 's' | 'Z', _) => {
            return Err(wrong(
                0,
                format!("cannot have `{letter}` {count} times in a row; quote literal text: `'…'`"),
            ));
        }
        _ => {
            return Err(wrong(
                0,
                format!(
                    "knows no letter `{letter}`: the letters are `YMDEhHAamsZ`, literal text is quoted: `'…'`"
                ),
            ));
        }
    };
    out.push_str(&text);
    Ok(())
}
