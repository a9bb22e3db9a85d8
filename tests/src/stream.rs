//! A command that goes on while its output is watched.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A running command and all it has said so far.
pub struct Stream {
    child: Child,
    stdin: Option<ChildStdin>,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    text: Mutex<String>,
    more: Condvar,
}

impl Stream {
    /// Starts the command.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let said = Arc::new(Said::default());
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        for source in [Box::new(stdout) as Box<dyn Read + Send>, Box::new(stderr)] {
            let said = said.clone();
            thread::spawn(move || collect(source, &said));
        }
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, said })
    }

    /// Writes to its standard input.
    ///
    /// # Errors
    /// When it has ended or its input is closed.
    pub fn write(&mut self, text: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the input is closed")?;
        stdin.write_all(text.as_bytes())?;
        Ok(stdin.flush()?)
    }

    /// Closes its standard input.
    pub fn close_input(&mut self) {
        self.stdin.take();
    }

    /// Waits until what it has said fits; returns that.
    ///
    /// # Errors
    /// When it does not within `timeout`.
    pub fn wait_for(&self, timeout: Duration, fits: impl Fn(&str) -> bool) -> Result<String> {
        let text = self.said.text.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.said.more.wait_timeout_while(text, timeout, |text| !fits(text));
        let (text, result) = waited.unwrap_or_else(PoisonError::into_inner);
        if result.timed_out() && !fits(&text) {
            bail!("not within {timeout:?}; it said:\n{text}");
        }
        Ok(text.clone())
    }

    /// Waits until it ends; returns its exit code and all it said.
    ///
    /// # Errors
    /// When it does not within `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<(Option<i32>, String)> {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                let text = self.said.text.lock().unwrap_or_else(PoisonError::into_inner).clone();
                return Ok((status.code(), text));
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("it did not end within {timeout:?}; it said:\n{}", self.wait_for(Duration::ZERO, |_| true)?)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // `timeout` passes the signal on to the command it runs.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

fn collect(mut source: impl Read, said: &Said) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = source.read(&mut buffer) {
        let mut text = said.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        said.more.notify_all();
    }
}
