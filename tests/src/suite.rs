//! Runs the cases of a suite: in parallel, each reported by name, and a failure never keeps the cleaning up away.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};

/// Cases at a time. They mostly wait.
const THREADS: usize = 4;

/// A named case.
pub struct Case<C> {
    /// Says what is shown.
    pub name: &'static str,
    /// Shows it.
    pub run: fn(&C) -> Result<()>,
}

/// Lists functions as cases under their own names.
#[macro_export]
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        &[$($crate::suite::Case { name: stringify!($case), run: $case }),*]
    };
}

/// Starts what the cases share, runs those that the command line selects, ends what they share. `diagnose` tells what
/// to look at when a case failed.
pub fn run<C: Sync>(start: impl FnOnce() -> Result<C>, cases: &[Case<C>], diagnose: impl Fn(&C) -> String) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        cases.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    let selected = select(cases, &arguments);
    if selected.is_empty() {
        println!("test result: ok. 0 cases selected of {}", cases.len());
        return ExitCode::SUCCESS;
    }
    let context = match start() {
        Ok(context) => context,
        Err(error) => {
            eprintln!("the suite can't start: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let failures = run_all(&context, &selected);
    if !failures.is_empty() {
        eprintln!("\n{}", diagnose(&context));
    }
    drop(context);
    for (name, error) in &failures {
        eprintln!("\n---- {name}\n{error:#}");
    }
    let verdict = if failures.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {} passed; {} failed", selected.len() - failures.len(), failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Cases whose name contains one of the words; all without words. Flags are the standard runner's and mean nothing here.
fn select<'a, C>(cases: &'a [Case<C>], arguments: &[String]) -> Vec<&'a Case<C>> {
    let words: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    cases.iter().filter(|case| words.is_empty() || words.iter().any(|word| case.name.contains(*word))).collect()
}

fn run_all<C: Sync>(context: &C, cases: &[&Case<C>]) -> Vec<(&'static str, anyhow::Error)> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let started = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| (case.run)(context)));
            let outcome = outcome.unwrap_or_else(|panic| Err(anyhow!("panicked: {}", words_of(panic.as_ref()))));
            let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
            println!("test {} ... {verdict} ({:.1} s)", case.name, started.elapsed().as_secs_f64());
            if let Err(error) = outcome {
                failures.lock().expect("no case holds it").push((case.name, error));
            }
        }
    };
    thread::scope(|scope| (0..THREADS.min(cases.len())).for_each(|_| drop(scope.spawn(work))));
    failures.into_inner().expect("no case holds it")
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
}
