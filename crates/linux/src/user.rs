//! Who a process runs as: names looked up in the text of `passwd` and `group`, and becoming that user.

#[cfg(test)]
mod tests;

use std::io;

use rustix::fs::{Gid, Uid};

/// The user a process is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups, without the primary one unless listed for the user.
    pub groups: Vec<u32>,
    /// Home directory, if the user has an entry.
    pub home: Option<String>,
}

/// A name that has no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No such user.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    User(String),
    /// No such group.
    #[error("unable to find group {0}: no matching entries in group file")]
    Group(String),
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Finds the user for `user[:group]`, each a name or a number. A number without entry is fine and gets group 0; an
/// empty string is user 0. Entries the lookup cannot read are skipped, as the C library does.
///
/// # Errors
/// [`LookupError`] for names without entry.
pub fn look_up(user_and_group: &str, passwd: &str, group: &str) -> Result<User, LookupError> {
    let (user, wanted_group) = user_and_group.split_once(':').unwrap_or((user_and_group, ""));
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let entry = passwd.lines().filter_map(parse_passwd).find(|entry| entry.name == user || number == Some(entry.uid));
    let uid = entry.as_ref().map(|entry| entry.uid).or(number).ok_or_else(|| LookupError::User(user.into()))?;
    let gid = match wanted_group {
        "" => entry.as_ref().map_or(0, |entry| entry.gid),
        name => find_group(name, group)?,
    };
    let groups = entry.as_ref().map_or_else(Vec::new, |entry| memberships(entry.name, group));
    Ok(User { uid, gid, groups, home: entry.map(|entry| entry.home.to_owned()).filter(|home| !home.is_empty()) })
}

fn find_group(name: &str, group: &str) -> Result<u32, LookupError> {
    let entry = group.lines().filter_map(parse_group).find(|entry| entry.name == name);
    entry.map(|entry| entry.gid).or_else(|| name.parse().ok()).ok_or_else(|| LookupError::Group(name.into()))
}

fn memberships(user: &str, group: &str) -> Vec<u32> {
    let entries = group.lines().filter_map(parse_group);
    entries
        .filter(|entry| entry.members.split(',').any(|member| member.trim() == user))
        .map(|entry| entry.gid)
        .collect()
}

fn parse_passwd(line: &str) -> Option<PasswdEntry<'_>> {
    let mut fields = line.trim().split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let _password = fields.next()?;
    let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(PasswdEntry { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
}

fn parse_group(line: &str) -> Option<GroupEntry<'_>> {
    let mut fields = line.trim().split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let _password = fields.next()?;
    Some(GroupEntry { name, gid: fields.next()?.parse().ok()?, members: fields.next().unwrap_or_default() })
}

/// Makes the calling process, which must have one thread, run as the user.
///
/// # Errors
/// `EPERM` without the privilege.
pub fn become_user(user: &User) -> io::Result<()> {
    let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let (gid, uid) = (Gid::from_raw(user.gid), Uid::from_raw(user.uid));
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(Into::into)
}
