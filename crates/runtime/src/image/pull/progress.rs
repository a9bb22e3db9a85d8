//! What a pull says while it runs: when it starts, every few seconds, and one line at the end.

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, interval_at};
use tracing::info;

use crate::image::digest::Digest;

const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Counts of one pull.
pub struct Progress {
    image: String,
    started: Instant,
    total_bytes: u64,
    layers: usize,
    fetched_bytes: AtomicU64,
    layers_done: AtomicUsize,
    layers_reused: AtomicUsize,
}

impl Progress {
    pub fn start(image: String, total_bytes: u64, layers: usize) -> Self {
        info!(image, layers, size = megabytes(total_bytes), "pulling image");
        Self {
            image,
            started: Instant::now(),
            total_bytes,
            layers,
            fetched_bytes: AtomicU64::new(0),
            layers_done: AtomicUsize::new(0),
            layers_reused: AtomicUsize::new(0),
        }
    }

    pub fn fetched(&self, bytes: u64) {
        self.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn layer_done(&self) {
        self.layers_done.fetch_add(1, Ordering::Relaxed);
    }

    pub fn layer_reused(&self, bytes: u64) {
        self.fetched(bytes);
        self.layers_reused.fetch_add(1, Ordering::Relaxed);
        self.layer_done();
    }

    /// Runs `work` and reports now and then.
    pub async fn report_while<T>(&self, work: impl Future<Output = T>) -> T {
        let mut ticks = interval_at(self.started + REPORT_INTERVAL, REPORT_INTERVAL);
        tokio::pin!(work);
        loop {
            tokio::select! {
                outcome = &mut work => return outcome,
                _ = ticks.tick() => self.report(),
            }
        }
    }

    fn report(&self) {
        let fetched = self.fetched_bytes.load(Ordering::Relaxed);
        let layers = format!("{}/{}", self.layers_done.load(Ordering::Relaxed), self.layers);
        let bytes = format!("{}/{}", megabytes(fetched), megabytes(self.total_bytes));
        info!(image = self.image, layers, bytes, "still pulling image");
    }

    pub fn finish(&self, id: &Digest) {
        let seconds = self.started.elapsed().as_secs_f64();
        info!(
            image = self.image,
            %id,
            layers = self.layers,
            already_here = self.layers_reused.load(Ordering::Relaxed),
            size = megabytes(self.total_bytes),
            seconds = format!("{seconds:.2}"),
            "pulled image"
        );
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}MB", bytes as f64 / 1e6)
}
