//! The file system a container sees, made in its own mount namespace.
//!
//! What comes from the host is cloned first, detached, while the host is visible ([`Sources::open`]). Then the overlay
//! becomes the root, and only then everything is attached by paths inside it: a symbolic link in an image can lead
//! nowhere but into the container.
//!
//! Containers cannot open device nodes they make themselves: all their mounts are `nodev`, except for single device
//! nodes of the host, mounted one by one. This is what the `devices` controller is for elsewhere.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use linux::mount::{self, Attributes, Detached, Overlay};

use super::setup::{During, Result};
use super::spec::{ContainerSpec, MountSource, MountSpec, Propagation};
use super::users::Users;

/// Device nodes every container has.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Links in `/dev` every container has.
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
];

const SAFE: Attributes = Attributes { read_only: false, no_suid: true, no_dev: true, no_exec: true };

const SAFE_IMAGE: Attributes = Attributes { read_only: true, no_suid: true, no_dev: true, no_exec: false };

/// What a container gets from the host.
pub struct Sources {
    /// `/dev/shm`, shared by the sandbox.
    shm: Detached,
    /// Device nodes by their path in the container.
    devices: Vec<(String, Detached)>,
    /// Files of the sandbox by their path in the container.
    files: Vec<(String, Detached)>,
    /// Mounts by their path in the container.
    mounts: Vec<(String, Detached)>,
    /// Its own cgroup by controller.
    cgroups: Vec<(&'static str, Detached)>,
}

impl Sources {
    /// Clones everything, while the caller is in the host's mount namespace.
    ///
    /// # Errors
    /// The first source that cannot be cloned.
    pub fn open(
        spec: &ContainerSpec,
        shm: Detached,
        files: Vec<(String, Detached)>,
        cgroups: &[(&'static str, PathBuf)],
        users: Option<&Users>,
    ) -> Result<Self> {
        let ordinary = DEVICES.iter().map(|name| (format!("/dev/{name}"), Path::new("/dev").join(name)));
        let asked_for = spec.devices.iter().map(|device| (device.target.clone(), device.source.clone()));
        let devices = ordinary.chain(asked_for).map(|(target, source)| Ok((target, clone(&source, false)?)));
        let devices = devices.collect::<Result<_>>()?;
        let open = |mount| open_mount(mount, spec.privileged, users);
        let mounts = spec.mounts.iter().map(|mount| Ok((mount.target.clone(), open(mount)?)));
        let mounts = mounts.collect::<Result<_>>()?;
        let read_only = Attributes { read_only: !spec.privileged, ..SAFE };
        let cgroups = cgroups.iter().map(|(name, path)| {
            let tree = clone(path, false)?;
            tree.set(read_only, Some(mount::Propagation::Private), false).during("protect cgroup")?;
            Ok((*name, tree))
        });
        Ok(Self { shm, devices, files, mounts, cgroups: cgroups.collect::<Result<_>>()? })
    }
}

fn clone(path: &Path, recursive: bool) -> Result<Detached> {
    Detached::clone_of(path, recursive).during(format_args!("open {}", path.display()))
}

/// A bind mount's source. One that is missing becomes a directory, as users of hostPath volumes know it.
fn open_host_path(path: &Path) -> Result<Detached> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        fs::create_dir_all(path).during(format_args!("create {}", path.display()))?;
    }
    clone(path, true)
}

/// The content of an image, or the part of it at a path, which no link leads out of.
fn open_image(layers: &[PathBuf], sub_path: &Path, users: Option<&Users>) -> Result<Detached> {
    let ids = users.map(Users::namespace);
    let tree = Detached::of_layers(layers, SAFE_IMAGE, ids).during("put the layers of an image together")?;
    if sub_path.as_os_str().is_empty() {
        return Ok(tree);
    }
    tree.part(sub_path).during(format_args!("open {} in the image", sub_path.display()))
}

fn open_mount(spec: &MountSpec, privileged: bool, users: Option<&Users>) -> Result<Detached> {
    let (tree, name) = match &spec.source {
        MountSource::Host(path) => (open_host_path(path)?, path.display().to_string()),
        MountSource::Image { layers, sub_path } => (open_image(layers, sub_path, users)?, "image".to_owned()),
    };
    let propagation = match spec.propagation {
        Propagation::Private => mount::Propagation::Private,
        Propagation::HostToContainer => mount::Propagation::Slave,
        Propagation::Bidirectional => mount::Propagation::Shared,
    };
    let act = || format!("mount {name} at {}", spec.target);
    if let Some(users) = users.filter(|_| spec.own_users) {
        users.own(&tree).during(act())?;
    }
    let everywhere = Attributes { no_dev: !privileged, read_only: spec.recursive_read_only, ..Attributes::default() };
    tree.set(everywhere, Some(propagation), true).during(act())?;
    if spec.read_only {
        tree.set(Attributes { read_only: true, ..Attributes::default() }, None, false).during(act())?;
    }
    Ok(tree)
}

/// Makes the container's file system the root of this process's mount namespace, which must be its own already.
///
/// # Errors
/// The first step that failed.
pub fn enter(spec: &ContainerSpec, mountpoint: &Path, sources: Sources, users: Option<&Users>) -> Result<()> {
    mount::isolate().during("isolate mounts")?;
    let root = &spec.root;
    let attributes = Attributes { no_dev: !spec.privileged, ..Attributes::default() };
    let overlay = Overlay { lower: &root.lower, upper: &root.upper, work: &root.work };
    let mounted = match users {
        None => overlay.mount(mountpoint, attributes),
        Some(users) => give_root(&root.upper, users)
            .and_then(|()| overlay.mount_with_ids_of(users.namespace(), mountpoint, attributes)),
    };
    mounted.during("mount overlay root file system")?;
    mount::pivot(mountpoint).during("change root")?;
    fill(spec, sources, users)?;
    let cwd = &spec.process.cwd;
    if !cwd.is_empty() {
        make_directories(Path::new(cwd), users).during(format_args!("create working directory {cwd}"))?;
    }
    if root.read_only {
        let root = mount::open_path(Path::new("/"), false).during("open root")?;
        let read_only = Attributes { read_only: true, ..Attributes::default() };
        mount::set_attributes(root.as_fd(), read_only, None, false).during("make root read-only")?;
    }
    Ok(())
}

/// The writable layer is nobody else's, so its owner is the Pod's rather than shifted as those of the layers below.
fn give_root(upper: &Path, users: &Users) -> io::Result<()> {
    let owner = fs::metadata(upper)?;
    users.give(upper, owner.uid(), owner.gid())
}

fn fill(spec: &ContainerSpec, sources: Sources, users: Option<&Users>) -> Result<()> {
    let replaced = |path: &str| spec.mounts.iter().any(|mount| mount.target == path);
    if !replaced("/proc") {
        attach(new("proc", &[], SAFE)?, "/proc", false, users)?;
    }
    if !replaced("/dev") {
        make_dev(spec, sources.shm, sources.devices, &replaced, users)?;
    }
    if !replaced("/sys") {
        let attributes = Attributes { read_only: !spec.privileged, ..SAFE };
        attach(new("sysfs", &[], attributes)?, "/sys", false, users)?;
        if !replaced("/sys/fs/cgroup") {
            attach_cgroups(sources.cgroups, spec.privileged)?;
        }
    }
    for (target, tree) in sources.files.into_iter().chain(sources.mounts) {
        attach(tree, &target, true, users)?;
    }
    if !spec.privileged {
        spec.read_only_paths.iter().try_for_each(|path| make_read_only(path))?;
        spec.masked_paths.iter().try_for_each(|path| mask(path))?;
    }
    Ok(())
}

fn make_dev(
    spec: &ContainerSpec,
    shm: Detached,
    devices: Vec<(String, Detached)>,
    replaced: &dyn Fn(&str) -> bool,
    users: Option<&Users>,
) -> Result<()> {
    let attributes = Attributes { no_suid: true, no_dev: !spec.privileged, ..Attributes::default() };
    let host_id = |id| users.map_or(Ok(id), |users| users.on_host(id)).during("find the owner of /dev");
    let (root, tty) = (host_id(0)?.to_string(), host_id(5)?.to_string());
    let options = [("mode", "0755"), ("size", "64m"), ("uid", &root), ("gid", &root)];
    attach(new("tmpfs", &options, attributes)?, "/dev", false, users)?;
    for (target, device) in devices.into_iter().filter(|(target, _)| !replaced(target)) {
        attach(device, &target, true, users)?;
    }
    for (target, link) in LINKS {
        symlink(target, link).during(format_args!("link {link}"))?;
    }
    let options = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", &tty)];
    attach(new("devpts", &options, Attributes { no_dev: false, ..SAFE })?, "/dev/pts", false, users)?;
    if !replaced("/dev/shm") {
        attach(shm, "/dev/shm", false, users)?;
    }
    if !replaced("/dev/mqueue") {
        attach(new("mqueue", &[], SAFE)?, "/dev/mqueue", false, users)?;
    }
    Ok(())
}

/// Shows the container its own cgroup where programs look for it: one directory per controller (version 1), or the
/// whole tree, which the cgroup namespace cuts off above it (version 2).
fn attach_cgroups(cgroups: Vec<(&'static str, Detached)>, privileged: bool) -> Result<()> {
    let root = "/sys/fs/cgroup";
    if cgroups.is_empty() {
        let attributes = Attributes { read_only: !privileged, ..SAFE };
        return attach(new("cgroup2", &[], attributes)?, root, false, None);
    }
    attach(new("tmpfs", &[("mode", "0755"), ("size", "64k")], SAFE)?, root, false, None)?;
    for (name, tree) in cgroups {
        attach(tree, &format!("{root}/{name}"), false, None)?;
    }
    let directory = mount::open_path(Path::new(root), false).during("open /sys/fs/cgroup")?;
    let read_only = Attributes { read_only: true, ..Attributes::default() };
    mount::set_attributes(directory.as_fd(), read_only, None, false).during("protect /sys/fs/cgroup")
}

fn new(kind: &str, options: &[(&str, &str)], attributes: Attributes) -> Result<Detached> {
    Detached::new(kind, options, attributes).during(format_args!("create file system {kind}"))
}

/// Attaches a tree, making the file or directory to attach it to. Links at the end are followed only where an image's
/// owner may have wanted them: nobody may turn `/proc` into something else.
fn attach(tree: Detached, target: &str, follow: bool, users: Option<&Users>) -> Result<()> {
    let act = || format!("mount at {target}");
    let path = Path::new(target);
    let file = match mount::open_path(path, follow) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_target(path, tree.is_directory().during(act())?, users)
                .during(format_args!("create mount point {target}"))?;
            mount::open_path(path, follow)
        }
        outcome => outcome,
    };
    tree.attach(file.during(act())?.as_fd()).during(act())
}

fn make_target(path: &Path, directory: bool, users: Option<&Users>) -> io::Result<()> {
    if directory {
        return make_directories(path, users);
    }
    if let Some(parent) = path.parent() {
        make_directories(parent, users)?;
    }
    File::create(path)?.set_permissions(fs::Permissions::from_mode(0o644))?;
    users.map_or(Ok(()), |users| users.give(path, 0, 0))
}

/// Makes a directory and those above it that are missing; they belong to the container's user 0.
fn make_directories(path: &Path, users: Option<&Users>) -> io::Result<()> {
    let Some(users) = users else { return fs::create_dir_all(path) };
    let mut above: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    above.reverse();
    fs::create_dir_all(path)?;
    above.into_iter().try_for_each(|path| users.give(path, 0, 0))
}

fn make_read_only(path: &str) -> Result<()> {
    let act = || format!("make {path} read-only");
    let tree = match Detached::clone_of(Path::new(path), true) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        outcome => outcome.during(act())?,
    };
    tree.set(Attributes { read_only: true, ..SAFE }, None, true).during(act())?;
    attach(tree, path, true, None)
}

/// Hides a path: an empty directory over a directory, `/dev/null` over a file.
fn mask(path: &str) -> Result<()> {
    let act = || format!("mask {path}");
    let target = match mount::open_path(Path::new(path), true) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        outcome => outcome.during(act())?,
    };
    let cover = if fs::metadata(path).during(act())?.is_dir() {
        Detached::new("tmpfs", &[("size", "4k")], Attributes { read_only: true, ..SAFE })
    } else {
        Detached::clone_of(Path::new("/dev/null"), false)
    };
    cover.during(act())?.attach(target.as_fd()).during(act())
}
