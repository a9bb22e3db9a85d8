//! What of a log is asked for.

use jiff::{SignedDuration, Timestamp};

use super::super::Refusal;
use super::super::routes::Query;

/// A log request's options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Go on with what is written later.
    pub follow: bool,
    /// The instance before the present one.
    pub previous: bool,
    /// Put each line's time before it.
    pub timestamps: bool,
    /// Only the last lines.
    pub tail_lines: Option<u64>,
    /// Only what is younger than this.
    pub since_seconds: Option<i64>,
    /// Only what is not older than this.
    pub since_time: Option<Timestamp>,
    /// No more than this.
    pub limit_bytes: Option<u64>,
    /// One of the streams, or both.
    pub stream: Option<LogStream>,
}

/// A stream of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogOptions {
    pub(in crate::server) fn parse(query: &Query) -> Result<Self, Refusal> {
        let number = |name: &str| match query.first(name) {
            None => Ok(None),
            Some(text) => match text.parse::<u64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(Refusal::bad_request(format!("invalid value for {name}: {text:?}"))),
            },
        };
        let since_time = match query.first("sinceTime") {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| {
                Refusal::bad_request(format!("invalid value for sinceTime: {text:?} is not an RFC 3339 time"))
            })?),
        };
        let stream = match query.first("stream") {
            Some("Stdout") => Some(LogStream::Stdout),
            Some("Stderr") => Some(LogStream::Stderr),
            _ => None,
        };
        Ok(Self {
            follow: query.flag("follow"),
            previous: query.flag("previous"),
            timestamps: query.flag("timestamps"),
            tail_lines: number("tailLines")?,
            since_seconds: number("sinceSeconds")?.and_then(|seconds| i64::try_from(seconds).ok()),
            since_time,
            limit_bytes: number("limitBytes")?,
            stream,
        })
    }

    /// The time before which lines are left out.
    pub(super) fn since(&self, now: Timestamp) -> Option<Timestamp> {
        let relative = self.since_seconds.and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok());
        self.since_time.or(relative)
    }
}
