//! When a schedule falls due. Pure.

use api::batch::v1::cron_job::schedule::{Fields, Schedule};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _, Unit, Zoned};

/// A schedule that does not fall due for so many days never does.
const HORIZON_DAYS: usize = 5 * 366;

/// The first time after another at which a schedule falls due; none when it never does, like the 30th of February.
pub fn next(schedule: &Schedule, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    match schedule {
        Schedule::Every(delay) => {
            let delay = SignedDuration::try_from(*delay).ok()?.max(SignedDuration::from_secs(1));
            let due = after.checked_add(delay).ok()?;
            Timestamp::from_second(due.as_second()).ok()
        }
        Schedule::Fields(fields) => {
            let start = after.to_zoned(zone.clone());
            let days = std::iter::successors(Some(start.date()), |day| day.tomorrow().ok());
            let mut days = days.take(HORIZON_DAYS).filter(|day| fits_day(fields, *day));
            days.find_map(|day| first_of_day(fields, day, after, zone))
        }
    }
}

fn has(bits: u64, number: i8) -> bool {
    u32::try_from(number).is_ok_and(|number| bits.checked_shr(number).is_some_and(|bits| bits & 1 == 1))
}

fn fits_day(fields: &Fields, day: Date) -> bool {
    let of_month = has(fields.days_of_month, day.day());
    let of_week = has(fields.days_of_week, day.weekday().to_sunday_zero_offset());
    let is_either =
        if fields.any_day_of_month || fields.any_day_of_week { of_month && of_week } else { of_month || of_week };
    has(fields.months, day.month()) && is_either
}

/// Walks through the minutes that a day has: none where clocks go forward, some twice where they go back.
fn first_of_day(fields: &Fields, day: Date, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let begin = day.to_zoned(zone.clone()).ok()?.start_of_day().ok()?;
    let first = if begin.timestamp() > after { begin } else { next_minute(&after.to_zoned(zone.clone()))? };
    let minutes = std::iter::successors(Some(first), |minute| minute.checked_add(1.minute()).ok());
    let mut minutes = minutes.take_while(|minute| minute.date() == day);
    let fits = |minute: &Zoned| has(fields.hours, minute.hour()) && has(fields.minutes, minute.minute());
    minutes.find(fits).map(|minute| minute.timestamp())
}

fn next_minute(time: &Zoned) -> Option<Zoned> {
    let minute = time.round(jiff::ZonedRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Trunc)).ok()?;
    minute.checked_add(1.minute()).ok()
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The latest time that was reached.
    pub at: Timestamp,
    /// How many there were about.
    pub count: i64,
}

/// The latest time a schedule fell due after `earliest` and until now. Of many that were missed only the last matters.
pub fn latest(schedule: &Schedule, earliest: Timestamp, now: Timestamp, zone: &TimeZone) -> Option<Due> {
    let first = next(schedule, earliest, zone).filter(|first| *first <= now)?;
    let Some(second) = next(schedule, first, zone).filter(|second| *second <= now) else {
        return Some(Due { at: first, count: 1 });
    };
    // Jumps near the end by the distance of the first two, and walks from there.
    let distance = second.duration_since(first).as_secs().max(1);
    let count = now.duration_since(first).as_secs() / distance + 1;
    let due = |after: Timestamp| next(schedule, after, zone).filter(|due| *due <= now);
    let mut jump = SignedDuration::from_secs((count - 2).saturating_mul(distance));
    // Distances differ, so that nothing may be due after the jump: then a shorter one will do.
    let start = loop {
        let jumped = first.checked_add(jump).ok()?;
        match due(jumped) {
            Some(start) => break start,
            None if jump.is_zero() => break first,
            None => jump /= 2,
        }
    };
    let at = std::iter::successors(Some(start), |at| due(*at)).last().unwrap_or(start);
    Some(Due { at, count })
}
