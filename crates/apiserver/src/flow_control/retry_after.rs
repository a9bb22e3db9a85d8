//! When a refused client shall come again: later, the more are refused.

use std::collections::VecDeque;

const MAX_SECONDS: u64 = 32;

/// What a level refused lately, and the advice that follows from it. Times are in whole seconds of any clock.
#[derive(Debug)]
pub struct RetryAfter {
    /// Refusals per second, oldest first; the last is the second under way.
    seconds: VecDeque<(u64, u64)>,
    advice: u64,
    raised_at: Option<u64>,
}

impl Default for RetryAfter {
    fn default() -> Self {
        Self { seconds: VecDeque::new(), advice: 1, raised_at: None }
    }
}

impl RetryAfter {
    /// Notes a refusal and returns after how many seconds to come again. The advice doubles while at least three
    /// requests per second of it are refused, and goes down by one when it is less than one.
    pub fn refuse(&mut self, now: u64) -> u32 {
        match self.seconds.back_mut() {
            Some((second, count)) if *second == now => *count += 1,
            _ => {
                self.reconsider(now);
                self.seconds.push_back((now, 1));
            }
        }
        u32::try_from(self.advice).unwrap_or(u32::MAX)
    }

    fn reconsider(&mut self, now: u64) {
        while self.seconds.front().is_some_and(|(second, _)| now.saturating_sub(*second) > MAX_SECONDS) {
            self.seconds.pop_front();
        }
        let recent = self.seconds.iter().filter(|(second, _)| now.saturating_sub(*second) <= self.advice);
        let refused: u64 = recent.map(|(_, count)| count).sum();
        let may_rise = self.raised_at.is_none_or(|at| now.saturating_sub(at) >= self.advice);
        if may_rise && refused >= 3 * self.advice {
            self.advice = (2 * self.advice).min(MAX_SECONDS);
            self.raised_at = Some(now);
        } else if refused < self.advice && self.advice > 1 {
            self.advice -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_doubles_under_load_and_falls_one_by_one() {
        let mut advice = RetryAfter::default();
        let mut refuse = |second: u64, times: u64| (0..times).map(|_| advice.refuse(second)).last();
        assert_eq!(refuse(10, 3), Some(1), "one second is not known before it is over");
        assert_eq!(refuse(11, 5), Some(2));
        assert_eq!(refuse(12, 5), Some(2), "not twice for one burst");
        assert_eq!(refuse(13, 5), Some(4));
        assert_eq!(refuse(30, 1), Some(3));
        assert_eq!(refuse(40, 1), Some(2));
        for second in 100..200 {
            refuse(second, 1000);
        }
        assert_eq!(refuse(200, 1), Some(32));
    }
}
