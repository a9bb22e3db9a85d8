//! A small fuzzer: valid inputs are changed at random, and what is answered in new words is changed further.
//!
//! No instrumented build is needed, so every test run fuzzes a little: a campaign lasts `ISOPOD_FUZZ_SECONDS`, two without
//! it. `ISOPOD_FUZZ_SEED` says where chance begins; `ISOPOD_FUZZ_INPUT` names a file that holds the only input, as the one
//! that a failed campaign leaves.

mod mutate;
mod protobuf;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use crate::dice::Dice;

/// Inputs that are kept at most.
const MAX_CORPUS: usize = 4096;
/// Longer inputs are cut.
const MAX_INPUT: usize = 1 << 16;
/// No input may keep its target busy for longer, on however slow a machine.
const MAX_EXECUTION: Duration = Duration::from_secs(20);

/// What inputs look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Anything.
    Bytes,
    /// JSON, most of the time.
    Json,
    /// Protobuf messages behind so many bytes, most of the time.
    Protobuf(usize),
}

/// A campaign against one target.
#[derive(Debug)]
pub struct Campaign {
    name: &'static str,
    shape: Shape,
    /// So many bytes in front choose what is done with the rest.
    head: usize,
}

impl Campaign {
    /// Against the target of that name.
    pub fn new(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, head: 0 }
    }

    /// Inputs begin with so many bytes that choose what is done with the rest.
    pub fn with_head(self, head: usize) -> Self {
        Self { head, ..self }
    }

    /// Runs it. `execute` panics when something is wrong, and says how the target answered otherwise.
    ///
    /// # Panics
    /// When `execute` does, or takes too long; the input is kept in a file.
    pub fn run(&self, seeds: Vec<Vec<u8>>, mut execute: impl FnMut(&[u8]) -> String) {
        if let Some(file) = std::env::var_os("ISOPOD_FUZZ_INPUT") {
            let input = std::fs::read(&file).expect("ISOPOD_FUZZ_INPUT names a file");
            println!("{}: {}", self.name, execute(&input));
            return;
        }
        let lasts = Duration::from_secs(number("ISOPOD_FUZZ_SECONDS").unwrap_or(2));
        let mut dice = Dice::new(number("ISOPOD_FUZZ_SEED").unwrap_or(1));
        let (started, mut heard, mut executions) = (Instant::now(), HashSet::new(), 0_u64);
        let mut corpus = Vec::new();
        let planted = seeds.len();
        let mut queue = seeds.into_iter();
        while executions == 0 || started.elapsed() < lasts {
            let input = queue.next().unwrap_or_else(|| self.vary(&mut dice, &corpus, planted));
            let answer = self.try_one(&input, &mut execute);
            executions += 1;
            let is_new = heard.insert(in_general(&answer)) && corpus.len() < MAX_CORPUS;
            if is_new || corpus.is_empty() || queue.len() > 0 {
                corpus.push(input);
            }
        }
        println!("{}: {executions} executions, {} kinds of answers, {} inputs", self.name, heard.len(), corpus.len());
    }

    /// Another input. The seeds, which come first, are the base of every second: what was found since is mostly broken,
    /// and gets no further.
    fn vary(&self, dice: &mut Dice, corpus: &[Vec<u8>], planted: usize) -> Vec<u8> {
        let seeds = corpus.get(..planted).filter(|seeds| !seeds.is_empty() && dice.one_in(2)).unwrap_or(corpus);
        let (base, other) = (dice.choose(seeds), dice.choose(corpus));
        let (head, tail) = base.split_at(self.head.min(base.len()));
        let mut head = head.to_vec();
        if !head.is_empty() && dice.one_in(4) {
            let place = dice.below(head.len());
            head[place] = dice.bits() as u8;
        }
        let mut tail = tail.to_vec();
        for _ in 0..=dice.below(4) {
            tail = mutate::mutate(dice, tail, other.get(self.head..).unwrap_or_default(), self.shape);
        }
        tail.truncate(MAX_INPUT);
        [head, tail].concat()
    }

    fn try_one(&self, input: &[u8], execute: &mut impl FnMut(&[u8]) -> String) -> String {
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let answer = execute(input);
            assert!(started.elapsed() < MAX_EXECUTION, "it took {:?}", started.elapsed());
            answer
        }));
        outcome.unwrap_or_else(|panic| {
            let file = std::env::temp_dir().join(format!("isopod-fuzz-{}", self.name));
            std::fs::write(&file, input).expect("the input can be kept");
            eprintln!("{} fails; its input is in {}: {:?}", self.name, file.display(), String::from_utf8_lossy(input));
            resume_unwind(panic)
        })
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// An answer without what it quotes and counts: what remains tells which way through the target an input took.
fn in_general(answer: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let outside = answer.chars().filter(|letter| {
        let is_escaped = escaped;
        escaped = *letter == '\\' && !is_escaped;
        if *letter == '"' && !is_escaped {
            quoted = !quoted;
        }
        !quoted && !letter.is_ascii_digit()
    });
    outside.take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::in_general;

    #[test]
    fn answers_are_alike_whatever_they_quote() {
        assert_eq!(in_general(r#"400 "a\"b" at 17: "c\\", no"#), in_general(r#"404 "" at 2: "\"\"", no"#));
    }
}
