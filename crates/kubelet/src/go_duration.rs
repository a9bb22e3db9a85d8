//! Durations as Go prints them, which is how users know them from messages.

use std::time::Duration;

/// With milliseconds: `1.203s`, `87ms`, `2m40s`, `5m0s`.
pub fn format(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    if milliseconds < 1000 {
        return format!("{milliseconds}ms");
    }
    let (minutes, rest) = (milliseconds / 60_000, milliseconds % 60_000);
    let seconds = format!("{}.{:03}", rest / 1000, rest % 1000);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_go_prints_it() {
        let cases = [(0, "0s"), (87, "87ms"), (1000, "1s"), (1203, "1.203s"), (61_500, "1m1.5s"), (300_000, "5m0s")];
        for (milliseconds, text) in cases {
            assert_eq!(format(Duration::from_millis(milliseconds)), text);
        }
        assert_eq!(format(Duration::from_secs(3600)), "1h0m0s");
    }
}
