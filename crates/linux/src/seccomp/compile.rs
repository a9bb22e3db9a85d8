//! From rules to BPF. Pure.
//!
//! The program checks the architecture, loads the call's number and walks the numbers in ascending order. Neighbours
//! with the same unconditional action share one test. The kernel remembers which calls are always allowed, so the walk
//! is not repeated for those.

use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};

use super::{Action, Comparison, Condition, Filter, Program, Rule, encode, syscalls};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Offsets in the kernel's `seccomp_data`.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

/// Translates a filter. Programs of another architecture (32-bit ones) are refused with the default action: their calls
/// have other numbers.
pub fn compile(filter: &Filter) -> Program {
    let mut code = vec![
        load(OFFSET_ARCHITECTURE),
        jump(BPF_JEQ, ARCHITECTURE, 1, 0),
        answer(filter.default),
        load(OFFSET_NUMBER),
        jump(BPF_JGT, syscalls::HIGHEST, 0, 1),
        answer(filter.unknown),
    ];
    for step in steps(filter) {
        match step {
            Step::Range { first, last, action } => {
                // Numbers ascend: one that is below this range was in none before it.
                code.push(jump(BPF_JGT, last, 3, 0));
                code.push(jump(BPF_JGE, first, 0, 1));
                code.push(answer(action));
                code.push(answer(filter.default));
            }
            Step::Conditional { number, rules } => {
                let body = conditional(rules, filter.default);
                // A body may be longer than a conditional jump reaches; an unconditional one reaches anywhere.
                code.push(jump(BPF_JEQ, number, 1, 0));
                code.push(statement(BPF_JMP, body.len() as u32));
                code.extend(body);
            }
        }
    }
    code.push(answer(filter.default));
    Program(code.into_iter().flat_map(encode).collect())
}

enum Step<'a> {
    Range { first: u32, last: u32, action: Action },
    Conditional { number: u32, rules: &'a [Rule] },
}

fn steps(filter: &Filter) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for (&number, rules) in &filter.rules {
        match rules.first() {
            None => {}
            Some(rule) if rule.conditions.is_empty() => match steps.last_mut() {
                Some(Step::Range { last, action, .. }) if *last + 1 == number && *action == rule.action => {
                    *last = number;
                }
                _ => steps.push(Step::Range { first: number, last: number, action: rule.action }),
            },
            Some(_) => steps.push(Step::Conditional { number, rules }),
        }
    }
    steps
}

/// Rules of one call: each is its conditions and its action; a condition that fails skips to the next rule.
fn conditional(rules: &[Rule], default: Action) -> Vec<libc::sock_filter> {
    let mut code = Vec::new();
    for rule in rules {
        let mut body = vec![answer(rule.action)];
        for condition in rule.conditions.iter().rev() {
            body = [test(condition, body.len() as u8), body].concat();
        }
        code.extend(body);
    }
    code.push(answer(default));
    code
}

/// Tests one condition: falls through when it holds, else jumps over `rest` further instructions.
fn test(condition: &Condition, rest: u8) -> Vec<libc::sock_filter> {
    let low = OFFSET_ARGUMENTS + 8 * u32::from(condition.argument);
    let high = low + 4; // both supported architectures are little-endian
    let (value_high, value_low) = ((condition.value >> 32) as u32, condition.value as u32);
    // The high words decide unless they are equal.
    match condition.comparison {
        Comparison::Equal => {
            vec![load(high), jump(BPF_JEQ, value_high, 0, rest + 2), load(low), jump(BPF_JEQ, value_low, 0, rest)]
        }
        Comparison::NotEqual => {
            vec![load(high), jump(BPF_JEQ, value_high, 0, 2), load(low), jump(BPF_JEQ, value_low, rest, 0)]
        }
        Comparison::MaskedEqual { mask } => vec![
            load(high),
            statement(BPF_ALU | BPF_AND | BPF_K, (mask >> 32) as u32),
            jump(BPF_JEQ, value_high, 0, rest + 3),
            load(low),
            statement(BPF_ALU | BPF_AND | BPF_K, mask as u32),
            jump(BPF_JEQ, value_low, 0, rest),
        ],
        Comparison::Greater | Comparison::GreaterOrEqual => {
            let low_test = if condition.comparison == Comparison::Greater { BPF_JGT } else { BPF_JGE };
            vec![
                load(high),
                jump(BPF_JGT, value_high, 3, 0),
                jump(BPF_JEQ, value_high, 0, rest + 2),
                load(low),
                jump(low_test, value_low, 0, rest),
            ]
        }
        Comparison::Less | Comparison::LessOrEqual => {
            let low_test = if condition.comparison == Comparison::Less { BPF_JGE } else { BPF_JGT };
            vec![
                load(high),
                jump(BPF_JGT, value_high, rest + 3, 0),
                jump(BPF_JEQ, value_high, 0, 2),
                load(low),
                jump(low_test, value_low, rest, 0),
            ]
        }
    }
}

fn load(offset: u32) -> libc::sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

fn answer(action: Action) -> libc::sock_filter {
    statement(BPF_RET | BPF_K, action.code())
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(test: u32, k: u32, on_true: u8, on_false: u8) -> libc::sock_filter {
    libc::sock_filter { code: (BPF_JMP | test | BPF_K) as u16, jt: on_true, jf: on_false, k }
}
