//! A real etcd, Debian's `etcd-server`.

use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::cluster::free_port;

const PATIENCE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// An etcd of one member; ends when dropped.
pub struct Etcd {
    process: Mutex<Child>,
    arguments: Vec<String>,
    url: String,
    _directory: TempDir,
}

impl Etcd {
    /// Starts it; returns when it answers.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("isopod-test-etcd-").tempdir()?;
        let url = format!("http://127.0.0.1:{}", free_port()?);
        let peer = format!("http://127.0.0.1:{}", free_port()?);
        let arguments = vec![
            format!("--data-dir={}", directory.path().join("data").display()),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
        ];
        let process = Mutex::new(run(&arguments)?);
        let etcd = Self { process, arguments, url, _directory: directory };
        etcd.wait()?;
        Ok(etcd)
    }

    /// For `--datastore-endpoint`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills it.
    ///
    /// # Errors
    /// When it had ended before.
    pub fn kill(&self) -> Result<()> {
        let mut process = self.process();
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    /// Starts it again on its data; returns when it answers.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start_again(&self) -> Result<()> {
        *self.process() = run(&self.arguments)?;
        self.wait()
    }

    /// What `etcdctl` prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").arg(format!("--endpoints={}", self.url)).args(arguments);
        let output = command.output().context("running etcdctl (Debian: etcd-client; ./tools.sh installs it)")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "etcdctl {arguments:?} failed: {said}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn wait(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.ctl(&["endpoint", "health"]) {
            if Instant::now() > deadline {
                bail!("etcd does not answer: {error:#}");
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn process(&self) -> MutexGuard<'_, Child> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(arguments: &[String]) -> Result<Child> {
    let mut command = Command::new("etcd");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().context("running etcd (Debian: etcd-server; ./tools.sh installs it)")
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let mut process = self.process();
        // It may be dead already, which is as well.
        let _ = process.kill();
        let _ = process.wait();
    }
}
