//! How fast the number of Pods may change: what was recommended and done lately. Pure but for the memory passed in.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerSpec};

/// What one autoscaler remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// What was recommended.
    recommended: Vec<(Timestamp, i32)>,
    /// How many Pods were added; below zero, removed.
    changes: Vec<(Timestamp, i32)>,
}

/// A condition's state, reason and message.
pub type Said = (bool, &'static str, &'static str);

/// What became of a recommendation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paced {
    /// So many Pods there shall be.
    pub replicas: i32,
    /// `AbleToScale`.
    pub able: Said,
    /// `ScalingLimited`.
    pub limited: Said,
}

/// Rules in force.
#[derive(Debug)]
struct Rules {
    window: i32,
    /// The smallest change counts, rather than the largest.
    smallest: bool,
    disabled: bool,
    policies: Vec<HPAScalingPolicy>,
}

impl Rules {
    fn of(rules: Option<&HPAScalingRules>, window: i32) -> Self {
        let select = rules.and_then(|rules| rules.select_policy.as_deref());
        Self {
            window: rules.and_then(|rules| rules.stabilization_window_seconds).unwrap_or(window),
            smallest: select == Some("Min"),
            disabled: select == Some("Disabled"),
            policies: rules.and_then(|rules| rules.policies.clone()).unwrap_or_default(),
        }
    }

    fn longest_period(&self) -> i32 {
        self.policies.iter().map(|policy| policy.period_seconds).max().unwrap_or(0)
    }

    /// How far the number may go within the periods of the policies, counted from what it was when they began; `sign`
    /// is the direction.
    fn limit(&self, current: i32, changes: &[(Timestamp, i32)], sign: i32, now: Timestamp) -> i32 {
        let proposals = self.policies.iter().map(|policy| {
            let lately = changes.iter().filter(|(at, _)| is_within(*at, policy.period_seconds, now));
            let start = current - lately.map(|(_, change)| change).sum::<i32>();
            let change = if policy.type_ == "Percent" { percent(start, policy.value) } else { policy.value };
            start.saturating_add(sign.saturating_mul(change))
        });
        // Upwards the largest change is the largest number, downwards the smallest.
        let limit = if self.smallest == (sign > 0) { proposals.min() } else { proposals.max() };
        limit.filter(|_| !self.disabled).unwrap_or(current)
    }
}

/// A share of a number, rounded so that something changes.
fn percent(start: i32, value: i32) -> i32 {
    let share = (i64::from(start) * i64::from(value) + 99).div_euclid(100);
    i32::try_from(share).unwrap_or(i32::MAX)
}

fn is_within(at: Timestamp, seconds: i32, now: Timestamp) -> bool {
    now.duration_since(at) < SignedDuration::from_secs(i64::from(seconds))
}

impl Memory {
    /// Notes the number found first: going down from there waits like any other.
    pub fn begin(&mut self, current: i32, now: Timestamp) {
        if self.recommended.is_empty() {
            self.recommended.push((now, current));
        }
    }

    /// Notes a change of the number.
    pub fn scaled(&mut self, from: i32, to: i32, now: Timestamp) {
        self.changes.push((now, to - from));
    }

    /// Turns a recommendation into what may be done now; `down_window` is for autoscalers without rules of their own.
    pub fn pace(
        &mut self,
        spec: &HorizontalPodAutoscalerSpec,
        down_window: Duration,
        current: i32,
        wanted: i32,
        now: Timestamp,
    ) -> Paced {
        let down_window = i32::try_from(down_window.as_secs()).unwrap_or(i32::MAX);
        let rules = spec.behavior.as_ref().map(|behavior| {
            let up = Rules::of(behavior.scale_up.as_ref(), 0);
            (up, Rules::of(behavior.scale_down.as_ref(), down_window))
        });
        let steady = match &rules {
            Some((up, down)) => {
                let least = self.lately(up.window, now).fold(wanted, i32::min);
                let most = self.lately(down.window, now).fold(wanted, i32::max);
                current.max(least).min(most)
            }
            None => self.lately(down_window, now).fold(wanted, i32::max),
        };
        let able = match steady == wanted {
            true => (true, "ReadyForNewScale", "recommended size matches current size"),
            false if rules.is_some() && wanted >= current => STEADY_UP,
            false => STEADY_DOWN,
        };
        self.note(wanted, down_window, rules.as_ref(), now);
        let (low, high) = (spec.min_replicas.unwrap_or(1), spec.max_replicas);
        let (replicas, limited) = match &rules {
            Some((up, _)) if steady > current => self.bounded_above(up, current, steady, high, now),
            Some((_, down)) if steady < current => self.bounded_below(down, current, steady, low, now),
            Some(_) => (steady, WITHIN),
            None => bounded(current, steady, low, high),
        };
        Paced { replicas, able, limited }
    }

    /// The recommendations of the last seconds.
    fn lately(&self, seconds: i32, now: Timestamp) -> impl Iterator<Item = i32> {
        self.recommended.iter().filter(move |(at, _)| is_within(*at, seconds, now)).map(|(_, count)| *count)
    }

    /// Notes a recommendation and forgets what no rule asks for any more.
    fn note(&mut self, wanted: i32, down_window: i32, rules: Option<&(Rules, Rules)>, now: Timestamp) {
        let (window, period) = rules.map_or((down_window, 0), |(up, down)| {
            (up.window.max(down.window), up.longest_period().max(down.longest_period()))
        });
        self.recommended.retain(|(at, _)| is_within(*at, window, now));
        self.recommended.push((now, wanted));
        self.changes.retain(|(at, _)| is_within(*at, period, now));
    }

    fn bounded_above(&self, up: &Rules, current: i32, wanted: i32, high: i32, now: Timestamp) -> (i32, Said) {
        let limit = up.limit(current, &self.changes, 1, now).max(current);
        let (allowed, said) = if high > limit { (limit, TOO_FAST_UP) } else { (high, TOO_MANY) };
        if wanted > allowed { (allowed, said) } else { (wanted, WITHIN) }
    }

    fn bounded_below(&self, down: &Rules, current: i32, wanted: i32, low: i32, now: Timestamp) -> (i32, Said) {
        let limit = down.limit(current, &self.changes, -1, now).min(current);
        let (allowed, said) = if low < limit { (limit, TOO_FAST_DOWN) } else { (low, TOO_FEW) };
        if wanted < allowed { (allowed, said) } else { (wanted, WITHIN) }
    }
}

const STEADY_UP: Said = (
    true,
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const STEADY_DOWN: Said = (
    true,
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const WITHIN: Said = (false, "DesiredWithinRange", "the desired count is within the acceptable range");
const TOO_MANY: Said = (true, "TooManyReplicas", "the desired replica count is more than the maximum replica count");
const TOO_FEW: Said = (true, "TooFewReplicas", "the desired replica count is less than the minimum replica count");
const TOO_FAST_UP: Said =
    (true, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const TOO_FAST_DOWN: Said =
    (true, "ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");

/// Without rules: at most twice as many, or four.
fn bounded(current: i32, wanted: i32, low: i32, high: i32) -> (i32, Said) {
    let limit = current.saturating_mul(2).max(4);
    let (allowed, said) = if high > limit { (limit, TOO_FAST_UP) } else { (high, TOO_MANY) };
    match wanted {
        wanted if wanted < low => (low, TOO_FEW),
        wanted if wanted > allowed => (allowed, said),
        wanted => (wanted, WITHIN),
    }
}
