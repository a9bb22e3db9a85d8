//! When probes run: one ordered set of due times for all probes of the node, and one task that waits for the first of
//! them.
//!
//! A job runs at its first time and then once per period, counted from when it was due, and never beside itself: one
//! that takes longer than its period runs again at once. A job that is running holds one of [`SLOTS`].

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use platform::tasks::{TaskKind, spawn};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Jobs that run at the same time. Each is bounded by a timeout of its own, so all get their turn.
const SLOTS: usize = 128;

/// Something that is done again and again.
pub trait Job: Send + Sync {
    /// The time from one run to the next.
    fn period(&self) -> Duration;

    /// Does it once.
    fn run(self: Arc<Self>) -> BoxFuture<'static, Next>;
}

/// What follows a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another one, when the period is over.
    Again,
    /// None.
    Never,
}

/// The jobs of a node. Dropping it ends them all.
pub struct Schedule {
    shared: Arc<Shared>,
    driver: JoinHandle<()>,
}

struct Shared {
    agenda: Mutex<Agenda>,
    /// There may be an earlier time to wait for.
    changed: Notify,
    slots: Arc<Semaphore>,
}

#[derive(Default)]
struct Agenda {
    last_id: u64,
    due: BTreeSet<(Instant, u64)>,
    jobs: HashMap<u64, Entry>,
}

struct Entry {
    job: Arc<dyn Job>,
    state: State,
}

enum State {
    Waiting(Instant),
    Running(JoinHandle<()>),
}

/// A job's place in the schedule; its end ends the job, even in the middle of a run.
pub struct Ticket {
    shared: Arc<Shared>,
    id: u64,
}

impl Schedule {
    /// An empty schedule.
    pub fn start() -> Self {
        let shared = Arc::new(Shared {
            agenda: Mutex::default(),
            changed: Notify::new(),
            slots: Arc::new(Semaphore::new(SLOTS)),
        });
        let driver = spawn(TaskKind::Component, "probe schedule", Arc::clone(&shared).drive());
        Self { shared, driver }
    }

    /// Runs a job after `delay` and then once per period.
    #[must_use]
    pub fn add(&self, job: Arc<dyn Job>, delay: Duration) -> Ticket {
        let at = Instant::now() + delay;
        let mut agenda = self.shared.lock();
        agenda.last_id += 1;
        let id = agenda.last_id;
        agenda.due.insert((at, id));
        agenda.jobs.insert(id, Entry { job, state: State::Waiting(at) });
        drop(agenda);
        self.shared.changed.notify_one();
        Ticket { shared: Arc::clone(&self.shared), id }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut agenda = self.shared.lock();
        match agenda.jobs.remove(&self.id).map(|entry| entry.state) {
            Some(State::Waiting(at)) => drop(agenda.due.remove(&(at, self.id))),
            Some(State::Running(run)) => run.abort(),
            None => {}
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn drive(self: Arc<Self>) {
        loop {
            let first = self.start_due(Instant::now());
            let timer = async {
                match first {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Starts what is due; answers when the next job is.
    fn start_due(self: &Arc<Self>, now: Instant) -> Option<Instant> {
        let mut agenda = self.lock();
        while let Some((at, id)) = agenda.due.first().copied() {
            if at > now {
                return Some(at);
            }
            agenda.due.pop_first();
            if let Some(entry) = agenda.jobs.get_mut(&id) {
                let run = Run { shared: Arc::clone(self), id, due: at, next: Next::Again };
                entry.state = State::Running(spawn(TaskKind::Worker, "probe", run.go(Arc::clone(&entry.job))));
            }
        }
        None
    }

    fn finished(&self, id: u64, due: Instant, next: Next) {
        let mut agenda = self.lock();
        let Some(entry) = agenda.jobs.get_mut(&id) else { return };
        match next {
            Next::Never => drop(agenda.jobs.remove(&id)),
            Next::Again => {
                let at = (due + entry.job.period()).max(Instant::now());
                entry.state = State::Waiting(at);
                agenda.due.insert((at, id));
                drop(agenda);
                self.changed.notify_one();
            }
        }
    }
}

/// One run of a job; however it ends, a panic included, what follows is arranged when this is dropped.
struct Run {
    shared: Arc<Shared>,
    id: u64,
    due: Instant,
    next: Next,
}

impl Run {
    async fn go(mut self, job: Arc<dyn Job>) {
        let _slot = Arc::clone(&self.shared.slots).acquire_owned().await.expect("the slots are never closed");
        self.next = job.run().await;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.shared.finished(self.id, self.due, self.next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes when it runs.
    struct Noted {
        period: u64,
        takes: u64,
        runs: usize,
        begun: Instant,
        seen: Mutex<Vec<u64>>,
    }

    impl Job for Noted {
        fn period(&self) -> Duration {
            Duration::from_secs(self.period)
        }

        fn run(self: Arc<Self>) -> BoxFuture<'static, Next> {
            Box::pin(async move {
                let count = {
                    let mut seen = self.seen.lock().unwrap();
                    seen.push(self.begun.elapsed().as_secs());
                    seen.len()
                };
                tokio::time::sleep(Duration::from_secs(self.takes)).await;
                assert_ne!(self.takes, 7, "a run that fails");
                if count == self.runs { Next::Never } else { Next::Again }
            })
        }
    }

    async fn check(delay: u64, period: u64, takes: u64, runs: usize, expected: &[u64]) {
        let schedule = Schedule::start();
        let job = Arc::new(Noted { period, takes, runs, begun: Instant::now(), seen: Mutex::default() });
        let ticket = schedule.add(job.clone(), Duration::from_secs(delay));
        tokio::time::sleep(Duration::from_millis(60_500)).await;
        assert_eq!(*job.seen.lock().unwrap(), expected);
        drop(ticket);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(*job.seen.lock().unwrap(), expected, "a job ends with its ticket");
        assert!(schedule.shared.lock().jobs.is_empty() && schedule.shared.lock().due.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_runs_after_its_delay_and_then_once_per_period() {
        check(5, 20, 0, 0, &[5, 25, 45]).await;
        check(0, 20, 15, 0, &[0, 20, 40, 60]).await;
        check(0, 20, 0, 2, &[0, 20]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_job_never_runs_beside_itself() {
        check(0, 10, 25, 0, &[0, 25, 50]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_panics_runs_again() {
        check(0, 30, 7, 0, &[0, 30, 60]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn many_jobs_wait_in_one_place() {
        let schedule = Schedule::start();
        let new = || Noted { period: 10, takes: 1, runs: 0, begun: Instant::now(), seen: Mutex::default() };
        let jobs: Vec<Arc<Noted>> = (0..1000).map(|_| Arc::new(new())).collect();
        let tickets: Vec<Ticket> = jobs.iter().map(|job| schedule.add(job.clone(), Duration::ZERO)).collect();
        tokio::time::sleep(Duration::from_millis(18_500)).await;
        // All of them twice, in eight groups of what may run at a time.
        assert!(jobs.iter().all(|job| job.seen.lock().unwrap().len() == 2));
        drop(tickets);
    }
}
