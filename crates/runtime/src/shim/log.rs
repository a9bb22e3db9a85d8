//! Container log files in CRI's format: `<time> <stream> <tag> <content>`, one line per line of output. A line longer
//! than 16 KiB, or without an end when its stream ends, is written in parts tagged `P`; its last part is tagged `F`.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The longest part of a line.
const MAX_PART: usize = 16 * 1024;

/// Which output a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A log file that can be opened anew after it was renamed.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Opens the file for appending, making it and its directory if they are not there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: open(path)?, path: path.to_owned() })
    }

    /// Opens whatever is at the path now.
    ///
    /// # Errors
    /// As [`LogFile::open`]; the old file stays in use then.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        Ok(())
    }

    /// Appends formatted lines.
    ///
    /// # Errors
    /// What the file system says, for instance that it is full.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)
    }
}

fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let open = || File::options().append(true).create(true).mode(0o640).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map(std::fs::create_dir_all).transpose()?;
            open()
        }
        outcome => outcome,
    }
}

/// Cuts one stream of output into lines.
#[derive(Debug)]
pub struct LineCutter {
    source: Source,
    /// What came since the last line ended; no longer than [`MAX_PART`].
    rest: Vec<u8>,
}

impl LineCutter {
    /// Nothing has come yet.
    pub fn new(source: Source) -> Self {
        Self { source, rest: Vec::new() }
    }

    /// Formats what is complete now that `output` came at `time` (nanoseconds since the epoch), onto `lines`.
    pub fn push(&mut self, output: &[u8], time: i64, lines: &mut Vec<u8>) {
        let mut left = output;
        while !left.is_empty() {
            let room = MAX_PART - self.rest.len();
            let end = left.iter().take(room + 1).position(|byte| *byte == b'\n');
            match end {
                Some(end) => {
                    self.emit(b"F", &left[..end], time, lines);
                    left = &left[end + 1..];
                }
                None if left.len() > room => {
                    self.emit(b"P", &left[..room], time, lines);
                    left = &left[room..];
                }
                None => {
                    self.rest.extend_from_slice(left);
                    left = &[];
                }
            }
        }
        // A quiet container should not keep a line's memory.
        if self.rest.is_empty() {
            self.rest = Vec::new();
        }
    }

    /// The stream has ended: formats a last line that has no end.
    pub fn finish(&mut self, time: i64, lines: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            self.emit(b"P", &[], time, lines);
        }
    }

    fn emit(&mut self, tag: &[u8], content: &[u8], time: i64, lines: &mut Vec<u8>) {
        push_time(time, lines);
        let parts: [&[u8]; 7] = [b" ", self.source.name().as_bytes(), b" ", tag, b" ", &self.rest, content];
        parts.iter().for_each(|part| lines.extend_from_slice(part));
        lines.push(b'\n');
        self.rest.clear();
    }
}

/// RFC 3339 in UTC with nine digits of the second's fraction.
fn push_time(nanoseconds: i64, line: &mut Vec<u8>) {
    let (seconds, fraction) = (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    // Writing to a vector cannot fail.
    let _ = write!(line, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z");
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March here, so that the leap day is the
/// last of its year and months follow one formula.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468; // days from 0000-03-01
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + carry, month, day)
}
