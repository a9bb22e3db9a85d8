//! Schedules: the five fields of a cron line, or a descriptor such as `@daily`.

use std::time::Duration;

#[cfg(test)]
mod tests;

/// When something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// At the minutes that fit all fields.
    Fields(Fields),
    /// Again and again after so long.
    Every(Duration),
}

/// What fits, one bit for each minute, hour, day or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    /// Minutes, from 0.
    pub minutes: u64,
    /// Hours, from 0.
    pub hours: u64,
    /// Days of the month, from 1.
    pub days_of_month: u64,
    /// Months, from 1.
    pub months: u64,
    /// Days of the week, from Sunday.
    pub days_of_week: u64,
    /// Whether every day of the month was written as a star: then the day of the week alone decides.
    pub any_day_of_month: bool,
    /// The same for the day of the week. When neither is a star, a day that fits one of both fits.
    pub any_day_of_week: bool,
}

/// Why a text is no schedule, in the words of the library that upstream uses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

type Outcome<T> = Result<T, ParseError>;

fn fail<T>(text: String) -> Outcome<T> {
    Err(ParseError(text))
}

/// What one field can be.
struct Bounds {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds { min: 0, max: 59, names: &[] };
const HOURS: Bounds = Bounds { min: 0, max: 23, names: &[] };
const DAYS_OF_MONTH: Bounds = Bounds { min: 1, max: 31, names: &[] };
const MONTHS: Bounds = Bounds {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const DAYS_OF_WEEK: Bounds = Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// Reads a schedule.
///
/// # Errors
/// [`ParseError`].
pub fn parse(text: &str) -> Outcome<Schedule> {
    if text.is_empty() {
        return fail("empty spec string".to_owned());
    }
    let text = skip_zone(text)?;
    if text.starts_with('@') {
        return descriptor(text);
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minutes, hours, days_of_month, months, days_of_week] = fields[..] else {
        return fail(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    };
    let (minutes, _) = field(minutes, &MINUTES)?;
    let (hours, _) = field(hours, &HOURS)?;
    let (days_of_month, any_day_of_month) = field(days_of_month, &DAYS_OF_MONTH)?;
    let (months, _) = field(months, &MONTHS)?;
    let (days_of_week, any_day_of_week) = field(days_of_week, &DAYS_OF_WEEK)?;
    let fields = Fields { minutes, hours, days_of_month, months, days_of_week, any_day_of_month, any_day_of_week };
    Ok(Schedule::Fields(fields))
}

/// Takes away the zone that old schedules name.
fn skip_zone(text: &str) -> Outcome<&str> {
    let Some(rest) = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ=")) else { return Ok(text) };
    let (zone, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    if !matches!(zone, "" | "Local") && super::time_zone_data(zone).is_none() {
        return fail(format!("provided bad location {zone}: unknown time zone {zone}"));
    }
    Ok(rest.trim())
}

fn descriptor(text: &str) -> Outcome<Schedule> {
    let line = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let Some(duration) = text.strip_prefix("@every ") else {
                return fail(format!("unrecognized descriptor: {text}"));
            };
            let period = go_duration(duration)
                .map_err(|problem| ParseError(format!("failed to parse duration {text}: {problem}")))?;
            return Ok(Schedule::Every(period));
        }
    };
    parse(line)
}

/// The bits of a list of ranges, and whether one of them is a plain star.
fn field(text: &str, bounds: &Bounds) -> Outcome<(u64, bool)> {
    let mut bits = (0, false);
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (more, star) = range(part, bounds)?;
        bits = (bits.0 | more, bits.1 | star);
    }
    Ok(bits)
}

fn range(text: &str, bounds: &Bounds) -> Outcome<(u64, bool)> {
    let parts: Vec<&str> = text.split('/').collect();
    let limits: Vec<&str> = parts[0].split('-').collect();
    let star = matches!(limits[0], "*" | "?");
    let (start, mut end) = match limits[..] {
        _ if star => (bounds.min, bounds.max),
        [only] => {
            let only = number_or_name(only, bounds)?;
            (only, only)
        }
        [start, end] => (number_or_name(start, bounds)?, number_or_name(end, bounds)?),
        _ => return fail(format!("too many hyphens: {text}")),
    };
    let step = match parts[..] {
        [_] => 1,
        [_, step] => {
            let step = number(step)?;
            if limits.len() == 1 {
                end = bounds.max; // from here on
            }
            step
        }
        _ => return fail(format!("too many slashes: {text}")),
    };
    let (min, max) = (bounds.min, bounds.max);
    if start < min {
        return fail(format!("beginning of range ({start}) below minimum ({min}): {text}"));
    }
    if end > max {
        return fail(format!("end of range ({end}) above maximum ({max}): {text}"));
    }
    if start > end {
        return fail(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return fail(format!("step of range should be a positive number: {text}"));
    }
    let stride = usize::try_from(step).unwrap_or(usize::MAX);
    let bits = (start..=end).step_by(stride).fold(0, |bits, value| bits | 1 << value);
    Ok((bits, star && step == 1))
}

fn number_or_name(text: &str, bounds: &Bounds) -> Outcome<u32> {
    let position = bounds.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    match position.and_then(|position| u32::try_from(position).ok()) {
        Some(position) => Ok(position + bounds.min),
        None => number(text),
    }
}

fn number(text: &str) -> Outcome<u32> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let parsed: Result<i64, _> = text.parse();
    match parsed {
        Ok(number) if number < 0 => fail(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
        Err(error) => {
            let problem = match error.kind() {
                PosOverflow | NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            fail(format!("failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": {problem}"))
        }
    }
}

/// A span of time as Go writes it: `1h30m`. The problem is in Go's words.
fn go_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration \"{text}\"");
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = unsigned;
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let amount: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        let unit = &rest[digits..];
        let letters = unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len());
        let factor = match &unit[..letters] {
            "" => return Err(format!("time: missing unit in duration \"{text}\"")),
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            other => return Err(format!("time: unknown unit \"{other}\" in duration \"{text}\"")),
        };
        seconds += amount * factor;
        rest = &unit[letters..];
    }
    if text.starts_with('-') {
        return Ok(Duration::from_secs(1)); // the library never waits for less
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid())
}
