//! What one seed is about: which faults there are, how rough Pods are, and what is done when.

use std::time::Duration;

use testkit::dice::Dice;

use crate::kubelet::Habits;
use crate::network::Faults;

/// What a seed stands for. Each fault is in some seeds and not in others: where all are at work at once, few get far.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What befalls requests until the cluster is left in peace.
    pub faults: Faults,
    /// What Pods are like.
    pub habits: Habits,
    /// Pods and nodes also go without anybody's controller having decided so.
    pub rough: bool,
    /// Parts are ended and started again.
    pub restarts: bool,
    /// How many nodes there are.
    pub nodes: usize,
    /// How many acts there are.
    pub acts: usize,
    /// The longest pause between two acts.
    pub pause: Duration,
}

impl Scenario {
    /// Throws the dice for it.
    pub fn of(dice: &mut Dice) -> Self {
        let seconds = Duration::from_secs;
        let rough = dice.one_in(2);
        let mut some = |most: usize| if dice.one_in(2) { dice.below(most) + 1 } else { 0 };
        let faults = Faults {
            latency: Duration::from_millis(some(200) as u64),
            failed: some(60),
            lost: some(40),
            conflicts: some(80),
            forgotten: some(300),
            stalled: some(200),
            stall: seconds(some(10) as u64 + 1),
            watch: seconds(some(90) as u64),
        };
        let rare = |cases: usize| if rough { cases } else { 0 };
        let habits = Habits { failing: some(400), shaky: rare(some(200)), evicted: rare(some(100)) };
        Self {
            faults,
            habits,
            rough,
            restarts: dice.one_in(2),
            nodes: 2 + dice.below(3),
            acts: 15 + dice.below(35),
            pause: seconds(*dice.choose(&[1, 5, 20])),
        }
    }

    /// Requests may be carried out without the one who asked hearing of it.
    pub fn loses_answers(&self) -> bool {
        // Who is ended does not hear the answer either.
        self.faults.lost > 0 || self.restarts
    }
}
