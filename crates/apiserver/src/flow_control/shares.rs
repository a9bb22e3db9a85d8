//! How the server's seats are shared out among priority levels: by configuration, then by what each wants.

use super::demand::DemandStats;

/// What a level's configuration says about seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareSpec {
    /// Its part relative to the other levels'.
    pub shares: u32,
    /// How much of its own seats others may use while it does not.
    pub lendable_percent: u32,
    /// How much more than its own it may use; all there is when unset.
    pub borrowing_percent: Option<u32>,
    /// Whether it is never limited.
    pub exempt: bool,
}

/// What that comes to on this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seats {
    /// Its own seats.
    pub nominal: usize,
    /// What it never has less of.
    pub min: usize,
    /// What it never has more of.
    pub max: usize,
    /// Whether it is never limited.
    pub exempt: bool,
}

impl Seats {
    /// What a level begins with: half of what it may lend is lent.
    pub fn initial(&self) -> usize {
        self.nominal - (self.nominal - self.min) / 2
    }
}

/// Shares out `total` seats. Every level's part is rounded up, so that none has nothing.
pub fn nominal(total: usize, specs: &[ShareSpec]) -> Vec<Seats> {
    let sum: f64 = specs.iter().map(|spec| f64::from(spec.shares)).sum();
    let part = |spec: &ShareSpec| {
        let nominal = if sum > 0.0 { (total as f64 * f64::from(spec.shares) / sum).ceil() } else { 0.0 };
        let percent = |percent: u32| (nominal * f64::from(percent) / 100.0).round() as usize;
        let own = nominal as usize;
        let more = spec.borrowing_percent.map_or(total, percent);
        Seats { nominal: own, min: own - percent(spec.lendable_percent).min(own), max: own + more, exempt: spec.exempt }
    };
    specs.iter().map(part).collect()
}

/// One level's wish.
#[derive(Debug, Clone, Copy)]
struct Wish {
    least: f64,
    most: f64,
    target: f64,
}

/// Limits that follow demand: no level gets less than what it needs of its own, and what is idle goes to who wants it.
/// `None` where no division fits, which leaves the limits as they are.
pub fn borrow(levels: &[(Seats, DemandStats)]) -> Option<Vec<usize>> {
    let mut remaining: f64 = levels.iter().map(|(seats, _)| seats.nominal as f64).sum();
    let needs: Vec<f64> = levels
        .iter()
        .map(|(seats, demand)| match seats.exempt {
            true => demand.high_watermark.max(seats.min as f64),
            false => demand.high_watermark.min(seats.nominal as f64).max(seats.min as f64),
        })
        .collect();
    for ((seats, _), need) in levels.iter().zip(&needs) {
        remaining -= if seats.exempt { *need } else { 0.0 };
    }
    let limited = || levels.iter().zip(&needs).filter(|((seats, _), _)| !seats.exempt);
    let least: f64 = limited().map(|((seats, _), _)| seats.min as f64).sum();
    let needed: f64 = limited().map(|(_, need)| need).sum();
    let wishes: Vec<Wish> = limited()
        .map(|((seats, demand), need)| Wish {
            // Where exempt requests take so much that the needs do not fit, all that is promised is the minimum.
            least: if needed > remaining { seats.min as f64 } else { *need },
            most: seats.max as f64,
            target: need.max(demand.smoothed),
        })
        .collect();
    let divided = divide(remaining.max(least), &wishes)?;
    let mut divided = divided.into_iter();
    let limit = |((seats, _), need): (&(Seats, DemandStats), &f64)| match seats.exempt {
        true => Some(need.round() as usize),
        false => divided.next().map(|part| part.round() as usize),
    };
    levels.iter().zip(&needs).map(limit).collect()
}

/// The smallest wish, so that nothing is divided by zero.
const MIN_TARGET: f64 = 0.001;
/// Halvings of the interval in which the proportion is looked for: more than a seat's precision needs.
const STEPS: u32 = 64;

/// Parts in proportion to the targets, but for those at a bound, that add up to `total`.
fn divide(total: f64, wishes: &[Wish]) -> Option<Vec<f64>> {
    let part = |wish: &Wish, proportion: f64| (proportion * wish.target.max(MIN_TARGET)).clamp(wish.least, wish.most);
    let sum = |proportion: f64| wishes.iter().map(|wish| part(wish, proportion)).sum::<f64>();
    let mut high = wishes.iter().map(|wish| wish.most / wish.target.max(MIN_TARGET)).fold(0.0, f64::max);
    let (mut low, slack) = (0.0, 1e-6);
    if wishes.iter().any(|wish| wish.most < wish.least) || sum(low) > total + slack || sum(high) < total - slack {
        return None;
    }
    // The sum grows with the proportion.
    for _ in 0..STEPS {
        let middle = (low + high) / 2.0;
        if sum(middle) < total { low = middle } else { high = middle }
    }
    Some(wishes.iter().map(|wish| part(wish, high)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(shares: u32, lendable_percent: u32) -> ShareSpec {
        ShareSpec { shares, lendable_percent, borrowing_percent: None, exempt: false }
    }

    #[test]
    fn the_defaults_come_to_upstreams_figures() {
        // exempt, leader-election, node-high, system, workload-high, workload-low, global-default, catch-all
        let table = [(0, 0), (10, 0), (40, 25), (30, 33), (40, 50), (100, 90), (20, 50), (5, 0)];
        let specs: Vec<ShareSpec> = table.iter().map(|(shares, lendable)| spec(*shares, *lendable)).collect();
        let seats = nominal(600, &specs);
        let own: Vec<usize> = seats.iter().map(|seats| seats.nominal).collect();
        assert_eq!(own, [0, 25, 98, 74, 98, 245, 49, 13]);
        let least: Vec<usize> = seats.iter().map(|seats| seats.min).collect();
        assert_eq!(least, [0, 25, 73, 50, 49, 24, 24, 13]);
        assert_eq!(seats[5].initial(), 135);
        assert!(seats.iter().all(|seats| seats.max == seats.nominal + 600));
    }

    #[test]
    fn what_is_idle_is_lent_and_comes_back() {
        let demand = |seats: f64| DemandStats { high_watermark: seats, smoothed: seats };
        let busy = Seats { nominal: 100, min: 50, max: 700, exempt: false };
        let lender = Seats { nominal: 200, min: 20, max: 800, exempt: false };
        let stubborn = Seats { nominal: 30, min: 30, max: 30, exempt: false };
        let check = |wanted: [f64; 3], expected: [usize; 3]| {
            let levels = [(busy, demand(wanted[0])), (lender, demand(wanted[1])), (stubborn, demand(wanted[2]))];
            assert_eq!(borrow(&levels).expect("fits"), expected, "{wanted:?}");
        };
        check([1000.0, 0.0, 0.0], [280, 20, 30]);
        check([1000.0, 150.0, 0.0], [150, 150, 30]);
        check([1000.0, 1000.0, 1000.0], [100, 200, 30]);
    }

    #[test]
    fn exempt_requests_take_from_the_others_down_to_their_minimum() {
        let exempt = Seats { nominal: 0, min: 0, max: 600, exempt: true };
        let level = Seats { nominal: 100, min: 40, max: 700, exempt: false };
        let demand = |seats: f64| DemandStats { high_watermark: seats, smoothed: seats };
        assert_eq!(borrow(&[(exempt, demand(30.0)), (level, demand(500.0))]), Some(vec![30, 70]));
        assert_eq!(borrow(&[(exempt, demand(900.0)), (level, demand(500.0))]), Some(vec![900, 40]));
    }
}
