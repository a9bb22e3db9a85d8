//! Seeded simulation: one random Pod, random things that befall it, and a checker that reads what the runtime was made
//! to do. `ISOPOD_SIM_SEEDS` says how many seeds, `ISOPOD_SIM_FIRST` which is the first; a failure names its seed.

mod checker;
mod random_pod;
mod scenario;
mod settled;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::Node;
use scenario::Scenario;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 60;

#[test]
fn random_pods_keep_order_grace_periods_and_backoff() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("ISOPOD_SIM_FIRST").unwrap_or(1);
    let end = first + number("ISOPOD_SIM_SEEDS").unwrap_or(SEEDS);
    let (next, happenings, failed) = (AtomicU64::new(first), AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| simulate(seed))) {
                        Ok(count) => _ = happenings.fetch_add(count, Ordering::Relaxed),
                        Err(_) => failed.lock().unwrap().push(seed),
                    }
                }
            });
        }
    });
    println!("{} seeds, {} happenings", end - first, happenings.into_inner());
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "see them with ISOPOD_SIM_FIRST=<seed> ISOPOD_SIM_SEEDS=1: {failed:?}");
}

/// Runs one seed; answers how much happened.
fn simulate(seed: u64) -> u64 {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let mut scenario = Scenario::new(seed);
        let mut node = Node::new();
        let story = scenario.play(&mut node).await;
        let trace = node.cri.trace();
        if let Err(problem) = checker::check(&scenario.pod, &story, &trace) {
            let since = |at: tokio::time::Instant| at.duration_since(story.began);
            let told: Vec<String> = story.told.iter().map(|(at, text)| format!("{:?} {text}", since(*at))).collect();
            let shown =
                |one: &testkit::fake_cri::Trace| format!("{:?} {} {} {:?}", since(one.at), one.id, one.name, one.what);
            let trace: Vec<String> = trace.iter().map(shown).collect();
            panic!("seed {seed}: {problem}\n{}\n{told:#?}\n{trace:#?}", scenario.pod.spec);
        }
        trace.len() as u64
    })
}
