//! Where events go: one line each, to the standard output or to a file that is put aside when it has grown.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Size of a file that is put aside, when none is given.
const DEFAULT_MAX_BYTES: u64 = 100 << 20;

/// When files are put aside, and for how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Megabytes of one file; 100 when zero.
    pub max_size: u64,
    /// So many files are kept beside the one that grows; all when zero.
    pub max_backup: usize,
    /// Days they are kept; for ever when zero.
    pub max_age: u32,
}

/// The log.
#[derive(Debug)]
pub enum Log {
    /// The standard output.
    Stdout,
    /// A file.
    File(Mutex<Rotating>),
}

impl Log {
    /// A log at a path; `-` is the standard output.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &str, rotation: Rotation) -> io::Result<Self> {
        match path {
            "-" => Ok(Self::Stdout),
            path => Rotating::open(Path::new(path), rotation).map(|file| Self::File(Mutex::new(file))),
        }
    }

    /// Writes one line.
    ///
    /// # Errors
    /// When it cannot be written; it is lost then.
    pub fn write(&self, line: &[u8], now: Timestamp) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().write_all(line),
            Self::File(file) => file.lock().unwrap_or_else(PoisonError::into_inner).write(line, now),
        }
    }
}

/// A file that is put aside when it has grown. Readable by its owner alone: events may hold what was sent.
#[derive(Debug)]
pub struct Rotating {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    size: u64,
}

impl Rotating {
    fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(directory)?;
        }
        let file = append_to(path)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), rotation, file, size })
    }

    fn write(&mut self, line: &[u8], now: Timestamp) -> io::Result<()> {
        let max = match self.rotation.max_size {
            0 => DEFAULT_MAX_BYTES,
            megabytes => megabytes << 20,
        };
        if self.size > 0 && self.size + line.len() as u64 > max {
            self.put_aside(now)?;
        }
        self.file.write_all(line)?;
        self.size += line.len() as u64;
        Ok(())
    }

    /// `audit.log` becomes `audit-2026-01-02T03-04-05.678.log`.
    fn put_aside(&mut self, now: Timestamp) -> io::Result<()> {
        let (prefix, suffix) = self.name_parts();
        let stamp = now.strftime(STAMP);
        fs::rename(&self.path, self.path.with_file_name(format!("{prefix}{stamp}{suffix}")))?;
        self.file = append_to(&self.path)?;
        self.size = 0;
        self.remove_old(now)
    }

    fn name_parts(&self) -> (String, String) {
        let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let suffix = match part(self.path.extension()) {
            extension if extension.is_empty() => extension,
            extension => format!(".{extension}"),
        };
        (format!("{}-", part(self.path.file_stem())), suffix)
    }

    fn remove_old(&self, now: Timestamp) -> io::Result<()> {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (prefix, suffix) = self.name_parts();
        let mut backups = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let stamp = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(suffix.as_str()));
            if let Some(at) = stamp.and_then(|stamp| jiff::civil::DateTime::strptime(STAMP, stamp).ok()) {
                backups.push((at, entry.path()));
            }
        }
        backups.sort();
        let too_many = match self.rotation.max_backup {
            0 => 0,
            kept => backups.len().saturating_sub(kept),
        };
        let oldest = now.checked_sub(SignedDuration::from_hours(24 * i64::from(self.rotation.max_age)));
        let oldest = oldest.ok().filter(|_| self.rotation.max_age > 0).map(|at| at.to_zoned(jiff::tz::TimeZone::UTC));
        for (place, (at, path)) in backups.into_iter().enumerate() {
            if place < too_many || oldest.as_ref().is_some_and(|oldest| at < oldest.datetime()) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// The time in the name of a file that was put aside.
const STAMP: &str = "%Y-%m-%dT%H-%M-%S.%3f";

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_put_aside_and_old_ones_go() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("logs/audit.log");
        let rotation = Rotation { max_size: 1, max_backup: 2, max_age: 0 };
        let log = Log::open(path.to_str().expect("UTF-8"), rotation).expect("opens");
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).expect("in range");
        let line = vec![b'x'; 700 << 10];
        for second in 0..5 {
            log.write(&line, at(second)).expect("writes");
        }
        let names = || {
            let entries = fs::read_dir(path.parent().expect("has one")).expect("lists");
            let mut names: Vec<_> =
                entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        let expected = ["audit-2023-11-14T22-13-23.000.log", "audit-2023-11-14T22-13-24.000.log", "audit.log"];
        assert_eq!(names(), expected);
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let rotation = Rotation { max_size: 1, max_backup: 0, max_age: 1 };
        let log = Log::open(path.to_str().expect("UTF-8"), rotation).expect("opens");
        log.write(&line, at(24 * 3600 + 4)).expect("writes");
        assert_eq!(names(), ["audit-2023-11-14T22-13-24.000.log", "audit-2023-11-15T22-13-24.000.log", "audit.log"]);
    }
}
