//! Writing a payload so that readers see the old one or the new one, never a mixture.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::super::VolumeProblem;
use super::super::ownership::{Access, give_to_group};
use super::{File, Payload};

const DATA: &str = "..data";
const DATA_NEXT: &str = "..data_tmp";

/// Replaces what the directory shows by the payload. Nothing is touched if that is what it shows already.
pub(in crate::volumes) fn write(
    directory: &Path,
    payload: &Payload,
    fs_group: Option<i64>,
    now: Timestamp,
) -> Result<(), VolumeProblem> {
    let current = fs::read_link(directory.join(DATA)).ok();
    if current.as_ref().is_some_and(|current| shows(&directory.join(current), payload)) {
        return Ok(());
    }
    replace(directory, payload, fs_group, current, now).map_err(VolumeProblem::io("write files to", directory))
}

/// Whether a directory of the moment holds exactly these files.
fn shows(moment: &Path, payload: &Payload) -> bool {
    let same = |(path, file): (&PathBuf, &File)| fs::read(moment.join(path)).is_ok_and(|data| data == file.data);
    payload.files.iter().all(same) && files_below(moment).len() == payload.files.len()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let below = entries.flatten().flat_map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files_below(&entry.path()),
        _ => vec![entry.path()],
    });
    below.collect()
}

fn replace(
    directory: &Path,
    payload: &Payload,
    fs_group: Option<i64>,
    current: Option<PathBuf>,
    now: Timestamp,
) -> io::Result<()> {
    let moment = fresh_name(directory, now);
    let moment_dir = directory.join(&moment);
    fs::create_dir(&moment_dir)?;
    fs::set_permissions(&moment_dir, Permissions::from_mode(0o755))?;
    for (path, file) in &payload.files {
        write_file(&moment_dir, path, file, fs_group)?;
    }
    if let Some(group) = fs_group {
        give_to_group(&moment_dir, group, Access::ReadOnly)?;
        give_to_group(directory, group, Access::ReadOnly)?;
    }
    let next = directory.join(DATA_NEXT);
    remove_if_there(&next)?;
    symlink(&moment, &next)?;
    fs::rename(&next, directory.join(DATA))?;
    link_names(directory, payload)?;
    match current {
        Some(old) => fs::remove_dir_all(directory.join(old)).or_else(not_found_is_fine),
        None => Ok(()),
    }
}

/// A name for the directory of this moment that is not taken.
fn fresh_name(directory: &Path, now: Timestamp) -> PathBuf {
    let base = format!("..{}", now.strftime("%Y_%m_%d_%H_%M_%S.%9f"));
    let names = (0..u32::MAX).map(|n| PathBuf::from(if n == 0 { base.clone() } else { format!("{base}-{n}") }));
    names.into_iter().find(|name| !directory.join(name).exists()).unwrap_or_else(|| PathBuf::from(&base))
}

fn write_file(moment: &Path, path: &Path, file: &File, fs_group: Option<i64>) -> io::Result<()> {
    let mut parent = moment.to_owned();
    for component in path.parent().into_iter().flat_map(Path::components) {
        parent.push(component);
        if !parent.is_dir() {
            fs::create_dir(&parent)?;
            fs::set_permissions(&parent, Permissions::from_mode(0o755))?;
            if let Some(group) = fs_group {
                give_to_group(&parent, group, Access::ReadOnly)?;
            }
        }
    }
    let target = moment.join(path);
    fs::write(&target, &file.data)?;
    fs::set_permissions(&target, Permissions::from_mode(u32::try_from(file.mode).unwrap_or(0o644) & 0o777))?;
    if let Some(owner) = file.owner {
        chown(&target, Some(u32::try_from(owner).map_err(io::Error::other)?), None)?;
    }
    fs_group.map_or(Ok(()), |group| give_to_group(&target, group, Access::ReadOnly))
}

/// Links the first component of every path through `..data`, and drops links to what is gone.
fn link_names(directory: &Path, payload: &Payload) -> io::Result<()> {
    let names: BTreeSet<OsString> = payload
        .files
        .keys()
        .filter_map(|path| path.components().next())
        .map(|component| component.as_os_str().to_owned())
        .collect();
    for name in &names {
        match symlink(Path::new(DATA).join(name), directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().starts_with(b"..") && !names.contains(&name) {
            remove_if_there(&directory.join(name))?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(not_found_is_fine)
}

fn not_found_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
