//! The last steps of every process in a container, its first one or one executed later: identity, privileges, program.

#[cfg(test)]
mod tests;

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use linux::capability::{self, CapabilitySet};
use linux::seccomp::Program;
use linux::user::{self, User};
use linux::{process, terminal};

use super::setup::{During, Progress, Reporter, Result, SetupError, describe};
use super::spec::{ProcessSpec, ResolvedUser};
use super::stdio::ChildStdio;
use super::users::{Entry, Users};

/// Reads a process's system call filter. To be done while the host's files are visible.
///
/// # Errors
/// When the file is missing or no program.
pub fn load_filter(spec: &ProcessSpec) -> Result<Option<Program>> {
    let Some(path) = &spec.seccomp else { return Ok(None) };
    let program = fs::read(path).and_then(Program::from_bytes);
    program.during(format_args!("load seccomp filter {}", path.display())).map(Some)
}

/// Turns the calling process, which is in the container already except for its users, into the program. Returns only on
/// failure.
pub fn run(
    spec: &ProcessSpec,
    filter: Option<&Program>,
    stdio: ChildStdio,
    users: Option<(&Users, Entry)>,
    reporter: &Reporter,
) -> SetupError {
    match prepare(spec, filter, stdio, users, reporter) {
        Ok(environment) => execute(spec, &environment),
        Err(error) => error,
    }
}

fn prepare(
    spec: &ProcessSpec,
    filter: Option<&Program>,
    stdio: ChildStdio,
    users: Option<(&Users, Entry)>,
    reporter: &Reporter,
) -> Result<Vec<String>> {
    attach_stdio(stdio, reporter)?;
    let user = resolve_user(spec)?;
    let resolved = ResolvedUser { uid: user.uid, gid: user.gid, groups: user.groups.clone() };
    reporter.tell(&Progress::User(resolved), &[]);
    let uid_on_host =
        users.map_or(Ok(user.uid), |(users, _)| users.on_host(user.uid)).during("find user on the host")?;
    own_stdio(uid_on_host)?;
    if let Some((users, entry)) = users {
        users.enter(entry).during("enter user namespace")?;
    }
    take_identity(spec, &user, filter)?;
    enter_directory(&spec.cwd)?;
    Ok(environment(spec, &user))
}

fn attach_stdio(stdio: ChildStdio, reporter: &Reporter) -> Result<()> {
    match stdio {
        ChildStdio::Files(files) => {
            process::lead_session().during("start session")?;
            for (number, file) in files.iter().enumerate() {
                terminal::set_standard(file, number as i32).during("set standard streams")?;
            }
        }
        ChildStdio::Terminal => {
            use std::os::fd::AsFd;
            let pty = terminal::open(Path::new("/dev/pts")).during("open terminal")?;
            reporter.tell(&Progress::Terminal, &[pty.master.as_fd()]);
            terminal::take_control(pty.slave.as_fd()).during("take control of terminal")?;
            for number in 0..=2 {
                terminal::set_standard(pty.slave.as_fd(), number).during("set standard streams")?;
            }
        }
    }
    Ok(())
}

/// Gives the process its pipes and terminal, so that a user other than 0 can open `/dev/stdout` and the like.
fn own_stdio(uid: u32) -> Result<()> {
    use rustix::fs::{FileType, Uid};
    use std::os::fd::AsFd;
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    for stream in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        let status = rustix::fs::fstat(stream).during("inspect standard streams")?;
        let ours = FileType::from_raw_mode(status.st_mode) == FileType::Fifo || rustix::termios::isatty(stream);
        if ours && status.st_uid != uid {
            rustix::fs::fchown(stream, Some(Uid::from_raw(uid)), None).during("own standard streams")?;
        }
    }
    Ok(())
}

/// Looks the user up in the container's own files; missing files are as good as empty ones.
fn resolve_user(spec: &ProcessSpec) -> Result<User> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut user = user::look_up(&spec.user, &read("/etc/passwd"), &read("/etc/group"))
        .map_err(|error| SetupError::Other(error.to_string()))?;
    user.groups = groups(&user, spec);
    Ok(user)
}

/// The primary group, those of the container's files unless ignored, and those asked for, each once.
fn groups(user: &User, spec: &ProcessSpec) -> Vec<u32> {
    let listed: &[u32] = if spec.strict_groups { &[] } else { &user.groups };
    let mut groups = vec![user.gid];
    for group in listed.iter().chain(&spec.supplemental_groups) {
        if !groups.contains(group) {
            groups.push(*group);
        }
    }
    groups
}

/// Gives up every privilege the process is not to have. Without "no new privileges" the filter is a privileged act and
/// comes first, otherwise it comes last.
fn take_identity(spec: &ProcessSpec, user: &User, filter: Option<&Program>) -> Result<()> {
    if spec.no_new_privileges {
        process::forbid_new_privileges().during("set no_new_privs")?;
    } else if let Some(filter) = filter {
        filter.install().during("install seccomp filter")?;
    }
    let available = CapabilitySet::bounding().during("read capabilities")?;
    let capabilities = CapabilitySet::from_bits(spec.capabilities).intersection(available);
    capability::limit_bounding(capabilities).during("drop capabilities")?;
    capability::keep_over_user_change().during("keep capabilities")?;
    user::become_user(user).during(format_args!("become user {}:{}", user.uid, user.gid))?;
    capability::set(capabilities).during("set capabilities")?;
    // After the change of user, which would make the kernel forget it.
    process::die_with_parent().during("bind life to shim")?;
    match filter {
        Some(filter) if spec.no_new_privileges => filter.install().during("install seccomp filter"),
        _ => Ok(()),
    }
}

fn enter_directory(cwd: &str) -> Result<()> {
    let cwd = if cwd.is_empty() { "/" } else { cwd };
    std::env::set_current_dir(cwd).during(format_args!("chdir to cwd ({cwd:?}) set in config.json failed"))
}

/// The environment as given, completed by what programs rely on.
fn environment(spec: &ProcessSpec, user: &User) -> Vec<String> {
    let has = |name: &str| spec.env.iter().any(|entry| entry.split('=').next() == Some(name));
    let mut environment = spec.env.clone();
    if spec.tty && !has("TERM") {
        environment.push("TERM=xterm".into());
    }
    if !has("HOME") {
        environment.push(format!("HOME={}", user.home.as_deref().unwrap_or("/")));
    }
    environment
}

fn execute(spec: &ProcessSpec, environment: &[String]) -> SetupError {
    let name = &spec.argv[0];
    let path = environment.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or_default();
    let program = match find_program(name, path) {
        Ok(program) => program,
        Err(words) => return SetupError::Other(format!("exec: {name:?}: {words}")),
    };
    let strings =
        |values: &[String]| values.iter().map(|value| CString::new(value.as_str()).ok()).collect::<Option<Vec<_>>>();
    let (Some(path), Some(arguments), Some(environment)) =
        (CString::new(program.as_str()).ok(), strings(&spec.argv), strings(environment))
    else {
        return SetupError::Other(format!("exec: {name:?}: arguments or environment contain a zero byte"));
    };
    let error = process::exec(&path, &arguments, &environment);
    SetupError::Other(format!("exec {program}: {}", describe(&error)))
}

/// Where the program is, or why it cannot be executed, in the words users know from Go's `os/exec`.
fn find_program(name: &str, path: &str) -> std::result::Result<String, String> {
    if name.contains('/') {
        return match check_program(Path::new(name)) {
            Ok(()) => Ok(name.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err("permission denied".into()),
            Err(error) if error.raw_os_error() == Some(libc::EISDIR) => Err("is a directory".into()),
            Err(error) => Err(format!("stat {name}: {}", describe(&error))),
        };
    }
    let mut denied = false;
    for directory in path.split(':').filter(|_| !name.is_empty()) {
        let candidate = format!("{}/{name}", if directory.is_empty() { "." } else { directory });
        match check_program(Path::new(&candidate)) {
            Ok(()) => return Ok(candidate),
            Err(error) => denied |= error.kind() == io::ErrorKind::PermissionDenied,
        }
    }
    Err(if denied { "permission denied" } else { "executable file not found in $PATH" }.into())
}

fn check_program(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}
