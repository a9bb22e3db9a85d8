//! How long a request may take.

use std::time::Duration;

use crate::error::Error;
use crate::request::Request;

/// The limit of a request, at most `longest`; `None` for those that take as long as they like.
///
/// # Errors
/// [`Error::BadRequest`] when the `timeout` parameter is no duration.
pub fn limit(request: &Request, longest: Duration) -> Result<Option<Duration>, Error> {
    if request.info.is_long_running() {
        return Ok(None);
    }
    let Some(text) = request.query.get("timeout").filter(|text| !text.is_empty()) else { return Ok(Some(longest)) };
    let asked = go_duration(text).ok_or_else(|| {
        Error::bad_request(format!("invalid timeout specified in the request URL - time: invalid duration {text:?}"))
    })?;
    Ok(Some(if asked.is_zero() { longest } else { asked.min(longest) }))
}

/// Reads a duration as Go writes it, for instance `1m30s`.
fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end =
            rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |at| digits + at);
        seconds += number
            * match &rest[digits..unit_end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" | "μs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_go_durations() {
        let check = |text: &str, expected: Option<f64>| {
            assert_eq!(go_duration(text).map(|duration| duration.as_secs_f64()), expected, "{text}");
        };
        check("5s", Some(5.0));
        check("1m30s", Some(90.0));
        check("1.5h", Some(5400.0));
        check("250ms", Some(0.25));
        check("0", Some(0.0));
        for bad in ["", "abc", "5", "5x", "-1s"] {
            check(bad, None);
        }
    }
}
