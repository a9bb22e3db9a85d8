//! Runs that such a server can have, and runs that it can't.

use super::*;

/// `r REVISION COUNT/WRITE`: a read. `w EXPECTED COUNT/WRITE REVISION|refused|unknown`: a swap. One after the other, each
/// ending before the next begins, unless lines begin with `~`: those all begin with the first of them.
fn run(text: &str) -> Vec<Operation> {
    let mut clock = 0;
    let mut shared_begin = None;
    let mut operations = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let concurrent = line.strip_prefix('~');
        let words: Vec<&str> = concurrent.unwrap_or(line).split_whitespace().collect();
        clock += 2;
        let begun = match concurrent {
            Some(_) => *shared_begin.get_or_insert(clock),
            None => {
                shared_begin = None;
                clock
            }
        };
        let number = |word: &str| word.parse::<u64>().unwrap();
        let (count, write) = words[2].split_once('/').unwrap();
        let state = State { count: number(count), write: number(write) };
        let action = match words[0] {
            "r" => Action::Read { revision: number(words[1]), state },
            _ => Action::Swap {
                expected: number(words[1]),
                state,
                outcome: match words[3] {
                    "refused" => Outcome::Refused,
                    "unknown" => Outcome::Unknown,
                    revision => Outcome::Done(number(revision)),
                },
            },
        };
        operations.push(Operation { object: 0, begun, ended: clock + 1, action });
    }
    operations
}

#[test]
fn what_a_server_that_forgets_nothing_can_do() {
    for text in [
        "r 5 0/0",
        "r 5 0/0\n w 5 1/1 7\n r 7 1/1\n w 7 2/2 9\n r 9 2/2",
        // Two race, one wins; the reads beside it see either.
        "r 5 0/0\n ~w 5 1/1 7\n ~w 5 1/2 refused\n ~r 5 0/0\n ~r 7 1/1\n r 7 1/1",
        // A write without an answer happened, or not.
        "r 5 0/0\n w 5 1/1 unknown\n r 6 1/1\n w 6 2/2 7",
        "r 5 0/0\n w 5 1/1 unknown\n r 5 0/0\n w 5 1/2 7\n r 7 1/2",
        // Nobody saw that it did but for the one that followed.
        "r 5 0/0\n ~w 5 1/1 unknown\n ~w 6 2/2 unknown\n r 8 2/2",
    ] {
        assert!(check(&run(text)).is_ok(), "{text}: {:?}", check(&run(text)));
    }
    let text = "r 5 0/0\n w 5 1/1 7\n w 5 1/2 refused\n w 7 2/3 unknown";
    assert_eq!(check(&run(text)), Ok(Tally { reads: 1, done: 1, refused: 1, unknown: 1 }));
}

#[test]
fn what_it_cannot_do_is_found() {
    let (none, one) = (State { count: 0, write: 0 }, State { count: 1, write: 1 });
    for (text, violation) in [
        ("r 5 0/0\n ~w 5 1/1 7\n ~w 5 1/2 8", Violation::DoubleSuccess { object: 0, expected: 5 }),
        // An acknowledged write is gone.
        ("r 5 0/0\n w 5 1/1 7\n r 5 0/0", Violation::WentBack { object: 0, earlier: 7, later: 5 }),
        // It is gone, and its place is taken.
        (
            "r 5 0/0\n ~w 5 1/1 7\n ~r 5 0/0\n ~w 5 1/2 unknown\n r 9 1/2",
            Violation::Lost { object: 0, revision: 9, earlier: one, later: State { count: 1, write: 2 } },
        ),
        // A revision comes again.
        ("r 5 0/0\n w 5 1/1 7\n w 7 2/2 7", Violation::WentBack { object: 0, earlier: 7, later: 7 }),
        ("r 5 0/0\n ~w 5 1/1 7\n ~r 7 0/0", Violation::Ambiguous { object: 0, revision: 7, one, other: none }),
        // A write that was refused took place all the same.
        ("r 5 0/0\n w 5 1/1 refused\n r 6 1/1", Violation::Invented { object: 0, state: one }),
        ("r 5 0/0\n r 6 1/9", Violation::Invented { object: 0, state: State { count: 1, write: 9 } }),
        // It was computed from a state that was not the newest.
        (
            "r 5 0/0\n ~w 5 1/1 6\n ~w 5 2/2 unknown\n r 9 2/2",
            Violation::Lost { object: 0, revision: 9, earlier: one, later: State { count: 2, write: 2 } },
        ),
        // Nobody tried to make the state in between.
        (
            "r 5 0/0\n w 7 2/1 9",
            Violation::Lost { object: 0, revision: 9, earlier: none, later: State { count: 2, write: 1 } },
        ),
    ] {
        assert_eq!(check(&run(text)), Err(violation), "{text}");
    }
}

#[test]
fn writes_are_newer_than_what_was_seen_of_other_objects() {
    let mut operations = run("r 5 0/0\n w 5 1/1 7\n r 3 0/0\n w 3 1/2 6");
    for operation in &mut operations[2..] {
        operation.object = 1;
    }
    assert_eq!(check(&operations), Err(Violation::WentBack { object: 1, earlier: 7, later: 6 }));
}
