//! Users and groups of a container, resolved in its own root file system.
//!
//! An image's `USER` and a Pod's numeric ids need `/etc/passwd` and `/etc/group` as the container sees them, so they
//! are resolved when the container starts and its root file system is mounted, by the process that starts it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

#[cfg(test)]
mod tests;

/// Longer files are no user databases.
const DATABASE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The ids of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvedUser {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Groups that `/etc/group` lists the user in, beside the primary one.
    pub supplementary_gids: Vec<u32>,
    /// Home directory, for the `HOME` variable; `/` when unknown.
    pub home: String,
}

/// Why a user could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No such name in `/etc/passwd`.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    User(String),
    /// No such name in `/etc/group`.
    #[error("unable to find group {0}: no matching entries in group file")]
    Group(String),
    /// A database could not be read.
    #[error("reading {path} of the container")]
    Read {
        /// The file.
        path: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

struct PasswdEntry {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

struct GroupEntry {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// Resolves `user[:group]`, each a name or a number, with `root` as the root file system. The empty text is root.
///
/// A number need not be in the database: its group is then 0. Without a group part, the primary group comes from
/// `/etc/passwd` and the groups that list the user are added; with one, it is the only group.
///
/// # Errors
/// [`UserError`] for names that are not there.
pub fn resolve_user(root: BorrowedFd<'_>, spec: &str) -> Result<ResolvedUser, UserError> {
    let (user, group) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (spec, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number: Option<u32> = user.parse().ok();
    let passwd = read_passwd(root)?;
    let by_name = passwd.iter().find(|entry| entry.name == user);
    let entry = by_name.or_else(|| passwd.iter().find(|entry| Some(entry.uid) == number));
    let uid = entry.map(|entry| entry.uid).or(number).ok_or_else(|| UserError::User(user.to_owned()))?;
    let home = entry.map_or("", |entry| entry.home.as_str());
    let home = if home.is_empty() { "/".to_owned() } else { home.to_owned() };
    let groups = read_groups(root)?;
    if let Some(group) = group {
        let gid = resolve_group(&groups, group)?;
        return Ok(ResolvedUser { uid, gid, supplementary_gids: Vec::new(), home });
    }
    let gid = entry.map_or(0, |entry| entry.gid);
    let name = entry.map(|entry| &entry.name);
    let lists = |group: &&GroupEntry| name.is_some_and(|name| group.members.contains(name)) && group.gid != gid;
    let mut supplementary_gids: Vec<u32> = groups.iter().filter(lists).map(|group| group.gid).collect();
    supplementary_gids.sort_unstable();
    supplementary_gids.dedup();
    Ok(ResolvedUser { uid, gid, supplementary_gids, home })
}

fn resolve_group(groups: &[GroupEntry], group: &str) -> Result<u32, UserError> {
    let by_name = groups.iter().find(|entry| entry.name == group).map(|entry| entry.gid);
    by_name.or_else(|| group.parse().ok()).ok_or_else(|| UserError::Group(group.to_owned()))
}

fn read_passwd(root: BorrowedFd<'_>) -> Result<Vec<PasswdEntry>, UserError> {
    let lines = read_lines(root, "/etc/passwd")?;
    Ok(lines.iter().filter_map(|line| parse_passwd(line)).collect())
}

fn read_groups(root: BorrowedFd<'_>) -> Result<Vec<GroupEntry>, UserError> {
    let lines = read_lines(root, "/etc/group")?;
    Ok(lines.iter().filter_map(|line| parse_group(line)).collect())
}

fn parse_passwd(line: &str) -> Option<PasswdEntry> {
    let mut fields = line.split(':');
    let (name, _password) = (fields.next()?, fields.next()?);
    let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let home = fields.nth(1).unwrap_or_default();
    Some(PasswdEntry { name: name.to_owned(), uid, gid, home: home.to_owned() })
}

fn parse_group(line: &str) -> Option<GroupEntry> {
    let mut fields = line.split(':');
    let (name, _password, gid) = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
    let members = fields.next().unwrap_or_default().split(',').filter(|member| !member.is_empty());
    Some(GroupEntry { name: name.to_owned(), gid, members: members.map(str::to_owned).collect() })
}

/// The lines of a file in the container; none when there is no such file. The container chose what is at the path, so
/// neither a symlink out of it nor a device or pipe is followed into trouble.
fn read_lines(root: BorrowedFd<'_>, path: &'static str) -> Result<Vec<String>, UserError> {
    let failed = |source: io::Error| UserError::Read { path, source };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(root, path, flags, Mode::empty(), resolve) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error.into())),
    };
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("not a regular file")));
    }
    let lines = BufReader::new(file.take(DATABASE_BYTES_MAX)).split(b'\n');
    lines.map(|line| Ok(String::from_utf8_lossy(&line.map_err(failed)?).into_owned())).collect()
}
