//! The CRI log format: `2026-01-02T03:04:05.678901234Z stdout F text`, where `P` marks a line that goes on in the next.

use jiff::Timestamp;

use super::{LogOptions, LogStream};

/// One line of a log file, without its line feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub time: &'a [u8],
    pub stream: LogStream,
    /// It ends here, rather than in the next line.
    pub full: bool,
    pub text: &'a [u8],
}

impl<'a> Line<'a> {
    /// `None` for a line that is not in the format, for instance one that was torn by a crash.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let (time, stream, tags) = (parts.next()?, parts.next()?, parts.next()?);
        let stream = match stream {
            b"stdout" => LogStream::Stdout,
            b"stderr" => LogStream::Stderr,
            _ => return None,
        };
        let full = tags.split(|byte| *byte == b':').next() == Some(b"F");
        Some(Self { time, stream, full, text: parts.next().unwrap_or_default() })
    }

    fn is_before(&self, time: Timestamp) -> bool {
        let own = std::str::from_utf8(self.time).ok().and_then(|text| text.parse::<Timestamp>().ok());
        own.is_some_and(|own| own < time)
    }
}

/// Turns log lines into what a caller sees, and knows when to stop.
pub(super) struct Renderer {
    timestamps: bool,
    stream: Option<LogStream>,
    since: Option<Timestamp>,
    left: Option<u64>,
    in_partial: bool,
}

impl Renderer {
    pub(super) fn new(options: &LogOptions, now: Timestamp) -> Self {
        Self {
            timestamps: options.timestamps,
            stream: options.stream,
            since: options.since(now),
            left: options.limit_bytes,
            in_partial: false,
        }
    }

    /// Appends what is to be seen of a line. A time is put only where a line of the caller begins.
    pub(super) fn render(&mut self, line: &[u8], output: &mut Vec<u8>) {
        let Some(line) = Line::parse(line) else { return };
        if self.stream.is_some_and(|stream| stream != line.stream) {
            return;
        }
        if let Some(since) = self.since {
            if line.is_before(since) {
                return;
            }
            // Lines are in order: the first that fits is the last that is compared.
            self.since = None;
        }
        let before = output.len();
        if self.timestamps && !self.in_partial {
            output.extend_from_slice(line.time);
            output.push(b' ');
        }
        output.extend_from_slice(line.text);
        if line.full {
            output.push(b'\n');
        }
        self.in_partial = !line.full;
        if let Some(left) = &mut self.left {
            let added = output.len() - before;
            let allowed = usize::try_from(*left).unwrap_or(usize::MAX).min(added);
            output.truncate(before + allowed);
            *left -= allowed as u64;
        }
    }

    /// Whether the caller has got all it may.
    pub(super) fn is_done(&self) -> bool {
        self.left == Some(0)
    }
}
