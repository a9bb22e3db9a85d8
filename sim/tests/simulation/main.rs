//! Plays seeds, each in a process of its own. `ISOPOD_SIM_SEEDS` says how many, `ISOPOD_SIM_FIRST` which is the first; a
//! failure names its seed, and every failing seed is played again to see that it fails in the same way.
//! `ISOPOD_SIM_DIARY` names a file for what happened in a single seed.

mod fixed_random;

use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 3;
/// The argument by which a process is told to play one seed.
const PLAY: &str = "--play-seed";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [play, seed] if play == PLAY => child(seed.parse().expect("a seed")),
        [filter, ..] if !filter.starts_with('-') && !"simulation".contains(filter.as_str()) => ExitCode::SUCCESS,
        _ => parent(),
    }
}

fn child(seed: u64) -> ExitCode {
    fixed_random::seed(seed);
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
    }
    let diary = std::env::var_os("ISOPOD_SIM_DIARY");
    let outcome = sim::simulate(seed, diary.is_some());
    if let Some(path) = diary {
        std::fs::write(path, outcome.diary.join("\n")).expect("the diary is written");
    }
    println!("{:016x} {} {}", outcome.hash, outcome.commits, outcome.elapsed.as_secs());
    match outcome.broken {
        None => ExitCode::SUCCESS,
        Some(problem) => {
            println!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// What a process said of its seed.
struct Played {
    good: bool,
    /// The hash, the commits and the seconds, then the problem.
    said: String,
    log: String,
}

impl Played {
    fn number(&self, field: usize) -> u64 {
        self.said.split_whitespace().nth(field).and_then(|number| number.parse().ok()).unwrap_or(0)
    }
}

fn play(seed: u64) -> Played {
    let binary = std::env::current_exe().expect("this program");
    let output = Command::new(binary).args([PLAY, &seed.to_string()]).output().expect("the seed is played");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Played { good: output.status.success(), said: text(&output.stdout), log: text(&output.stderr) }
}

fn parent() -> ExitCode {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("ISOPOD_SIM_FIRST").unwrap_or(1);
    let end = first + number("ISOPOD_SIM_SEEDS").unwrap_or(SEEDS);
    let (next, failed) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let (commits, seconds) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let played = play(seed);
                    commits.fetch_add(played.number(1), Ordering::Relaxed);
                    seconds.fetch_add(played.number(2), Ordering::Relaxed);
                    // The first is always played twice: chance that is not the seed's must not creep in unnoticed.
                    let same = (played.good && seed != first) || play(seed).said == played.said;
                    if !played.good || !same {
                        let again = if same { "" } else { "\n(NOT the same when played again)" };
                        println!("seed {seed}: {}{again}\n{}", played.said, played.log);
                        failed.lock().expect("nobody panics").push(seed);
                    }
                }
            });
        }
    });
    let (commits, hours) = (commits.into_inner(), seconds.into_inner() / 3600);
    println!("{} seeds, {commits} commits, {hours} simulated hours", end - first);
    let failed = failed.into_inner().expect("nobody panics");
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("see them with ISOPOD_SIM_FIRST=<seed> ISOPOD_SIM_SEEDS=1: {failed:?}");
    ExitCode::FAILURE
}
