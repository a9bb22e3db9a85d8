//! Whether concurrent clients that read and compare-and-swap a few objects could tell the API server, which is killed now
//! and then, from one that does one thing after the other and never forgets.
//!
//! Every write counts one on from the state it was computed from, and says who made it. So the states of an object form
//! a chain, and [`check`] only has to look for what breaks it; it need not search for an order.

pub mod clients;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a client did to one object, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The object.
    pub object: usize,
    /// When it was begun, on a clock that all clients share; no two readings are equal.
    pub begun: u64,
    /// When the answer was there.
    pub ended: u64,
    /// What it was.
    pub action: Action,
}

/// What a client can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It read this.
    Read {
        /// The object's `resourceVersion`.
        revision: u64,
        /// What was in it.
        state: State,
    },
    /// It replaced the object if that was at a revision.
    Swap {
        /// That revision.
        expected: u64,
        /// What it wrote.
        state: State,
        /// What the server said.
        outcome: Outcome,
    },
}

/// What is in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// How many writes led here.
    pub count: u64,
    /// The write that did; 0 for the creation.
    pub write: u64,
}

/// What came of a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was acknowledged, with the new revision.
    Done(u64),
    /// It was refused.
    Refused,
    /// There was no answer: it may have happened or not.
    Unknown,
}

/// What no such server does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two writes were acknowledged that were computed from one state.
    #[error("object {object}: two writes succeeded on revision {expected}")]
    DoubleSuccess {
        /// The object.
        object: usize,
        /// The revision both expected.
        expected: u64,
    },
    /// A revision stands for two states.
    #[error("object {object}: revision {revision} stands for {one:?} and {other:?}")]
    Ambiguous {
        /// The object.
        object: usize,
        /// The revision.
        revision: u64,
        /// A state.
        one: State,
        /// Another.
        other: State,
    },
    /// A later state does not count on from an earlier one.
    #[error("object {object}: {later:?} at revision {revision} does not follow from {earlier:?}")]
    Lost {
        /// The object.
        object: usize,
        /// The revision of the later state.
        revision: u64,
        /// The state before, of those that are known.
        earlier: State,
        /// The state after it.
        later: State,
    },
    /// A state was read that nobody wrote, or that was refused.
    #[error("object {object}: {state:?} was read, which was never written")]
    Invented {
        /// The object.
        object: usize,
        /// The state.
        state: State,
    },
    /// Something that began later showed an older revision, or made one.
    #[error("object {object}: revision {later} after revision {earlier} had been seen")]
    WentBack {
        /// The object.
        object: usize,
        /// What had been seen.
        earlier: u64,
        /// What came then.
        later: u64,
    },
}

/// Figures of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Reads.
    pub reads: usize,
    /// Writes that were acknowledged.
    pub done: usize,
    /// Writes that were refused.
    pub refused: usize,
    /// Writes without an answer.
    pub unknown: usize,
}

/// Decides about a run.
///
/// # Errors
/// The first [`Violation`].
pub fn check(operations: &[Operation]) -> Result<Tally, Violation> {
    check_revisions_grow(operations)?;
    let objects: BTreeSet<usize> = operations.iter().map(|operation| operation.object).collect();
    for object in objects {
        let its: Vec<&Operation> = operations.iter().filter(|operation| operation.object == object).collect();
        check_swaps(object, &its)?;
        check_chain(object, &its)?;
    }
    Ok(tally(operations))
}

fn tally(operations: &[Operation]) -> Tally {
    let mut tally = Tally::default();
    for operation in operations {
        *match &operation.action {
            Action::Read { .. } => &mut tally.reads,
            Action::Swap { outcome: Outcome::Done(_), .. } => &mut tally.done,
            Action::Swap { outcome: Outcome::Refused, .. } => &mut tally.refused,
            Action::Swap { outcome: Outcome::Unknown, .. } => &mut tally.unknown,
        } += 1;
    }
    tally
}

impl Operation {
    /// The revision that its answer tells of.
    fn revision(&self) -> Option<u64> {
        match self.action {
            Action::Read { revision, .. } | Action::Swap { outcome: Outcome::Done(revision), .. } => Some(revision),
            Action::Swap { .. } => None,
        }
    }
}

/// Each operation shows what was seen before it began, or something newer. A write is newer than anything seen of any
/// object, a read than anything seen of its own.
fn check_revisions_grow(operations: &[Operation]) -> Result<(), Violation> {
    let mut by_end: Vec<&Operation> = operations.iter().filter(|operation| operation.revision().is_some()).collect();
    let mut by_begin = by_end.clone();
    by_end.sort_by_key(|operation| operation.ended);
    by_begin.sort_by_key(|operation| operation.begun);
    let mut ended = by_end.into_iter().peekable();
    let (mut of_all, mut of_object): (u64, HashMap<usize, u64>) = (0, HashMap::new());
    for operation in by_begin {
        while let Some(before) = ended.next_if(|before| before.ended < operation.begun) {
            let seen = before.revision().unwrap_or_default();
            of_all = of_all.max(seen);
            let newest = of_object.entry(before.object).or_default();
            *newest = (*newest).max(seen);
        }
        let later = operation.revision().unwrap_or_default();
        let object = operation.object;
        let (earlier, fits) = match operation.action {
            Action::Read { .. } => {
                let earlier = of_object.get(&object).copied().unwrap_or_default();
                (earlier, later >= earlier)
            }
            Action::Swap { .. } => (of_all, later > of_all),
        };
        if !fits {
            return Err(Violation::WentBack { object, earlier, later });
        }
    }
    Ok(())
}

fn check_swaps(object: usize, operations: &[&Operation]) -> Result<(), Violation> {
    let mut succeeded = BTreeSet::new();
    for operation in operations {
        if let Action::Swap { expected, outcome: Outcome::Done(_), .. } = operation.action
            && !succeeded.insert(expected)
        {
            return Err(Violation::DoubleSuccess { object, expected });
        }
    }
    Ok(())
}

/// The states that are known follow from each other, if need be by way of writes without an answer.
fn check_chain(object: usize, operations: &[&Operation]) -> Result<(), Violation> {
    let known = known_states(object, operations)?;
    // What may have been written: by count, and from which revision.
    let mut writes: HashMap<State, u64> = HashMap::new();
    let mut unanswered: BTreeSet<u64> = BTreeSet::new();
    for operation in operations {
        if let Action::Swap { expected, state, outcome } = operation.action
            && outcome != Outcome::Refused
        {
            writes.insert(state, expected);
            if outcome == Outcome::Unknown {
                unanswered.insert(state.count);
            }
        }
    }
    let mut before: Option<(u64, State)> = None;
    for (revision, state) in known {
        let expected = writes.get(&state).copied();
        if expected.is_none() && state.write != 0 {
            return Err(Violation::Invented { object, state });
        }
        if let Some((earlier_revision, earlier)) = before {
            let lost = Violation::Lost { object, revision, earlier, later: state };
            let between = earlier.count + 1..state.count;
            let explained = state.count > earlier.count && between.clone().all(|count| unanswered.contains(&count));
            let follows = !between.is_empty() || expected == Some(earlier_revision);
            if !explained || !follows {
                return Err(lost);
            }
        }
        before = Some((revision, state));
    }
    Ok(())
}

/// All states that were read or acknowledged, by revision.
fn known_states(object: usize, operations: &[&Operation]) -> Result<BTreeMap<u64, State>, Violation> {
    let mut known: BTreeMap<u64, State> = BTreeMap::new();
    for operation in operations {
        let (Action::Read { state, .. } | Action::Swap { state, .. }) = operation.action;
        let Some(revision) = operation.revision() else { continue };
        let one = *known.entry(revision).or_insert(state);
        if one != state {
            return Err(Violation::Ambiguous { object, revision, one, other: state });
        }
    }
    Ok(known)
}
