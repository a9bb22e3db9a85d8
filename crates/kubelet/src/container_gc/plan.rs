//! Which dead containers go. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::ContainerGcConfig;
use crate::pod::Uid;

/// A container as far as its removal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub pod: Uid,
    /// Its name in the Pod.
    pub name: String,
    /// How many came before it.
    pub attempt: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it has ended.
    pub dead: bool,
}

/// What happens to dead containers of Pods that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfEnded {
    /// What happens to others.
    AsOthers,
    /// They all go.
    All,
}

/// What to remove, and when there may be more.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Ids, the oldest of each container first.
    pub remove: Vec<String>,
    /// When the next dead container is old enough.
    pub look_again: Option<Duration>,
}

/// Plans. `has_ended` tells of each Pod whether it has; Pods it knows nothing of are somebody else's to clean up.
pub fn plan(
    config: &ContainerGcConfig,
    of_ended: OfEnded,
    instances: &[Instance],
    has_ended: impl Fn(&Uid) -> Option<bool>,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let mut units = Vec::new();
    for instances in by_container(instances) {
        let Some(ended) = has_ended(&instances[0].pod) else { continue };
        // What ended last of a living Pod stays whatever the limits: the next start counts on from it.
        let least = usize::from(!ended && instances[0].dead);
        let limit = match (ended, of_ended) {
            (true, OfEnded::All) => Some(0),
            _ => config.max_per_container,
        };
        let mut unit = Unit { dead: Vec::new(), least };
        for instance in instances.into_iter().filter(|instance| instance.dead) {
            let age = Duration::try_from(now.duration_since(instance.created_at)).unwrap_or_default();
            match config.min_age.saturating_sub(age) {
                Duration::ZERO => unit.dead.push(instance),
                left => plan.look_again = plan.look_again.into_iter().chain([left]).min(),
            }
        }
        unit.keep(limit, &mut plan.remove);
        units.push(unit);
    }
    if let Some(limit) = config.max_total {
        keep_in_total(units, limit, &mut plan.remove);
    }
    plan
}

/// The dead instances of one container, the newest first.
struct Unit<'a> {
    dead: Vec<&'a Instance>,
    /// How many stay in any case.
    least: usize,
}

impl Unit<'_> {
    fn keep(&mut self, limit: Option<usize>, remove: &mut Vec<String>) {
        let limit = limit.map_or(usize::MAX, |limit| limit.max(self.least));
        let surplus = self.dead.drain(limit.min(self.dead.len())..);
        remove.extend(surplus.rev().map(|instance| instance.id.clone()));
    }
}

/// As many of each container as there is room for, at least one; if that is too much, the oldest of all go.
fn keep_in_total(mut units: Vec<Unit<'_>>, limit: usize, remove: &mut Vec<String>) {
    let total = |units: &[Unit<'_>]| units.iter().map(|unit| unit.dead.len()).sum::<usize>();
    if total(&units) > limit {
        let of_each = (limit / units.len()).max(1);
        units.iter_mut().for_each(|unit| unit.keep(Some(of_each), remove));
    }
    let surplus = total(&units).saturating_sub(limit);
    let mut rest: Vec<&Instance> = units.into_iter().flat_map(|unit| unit.dead.into_iter().skip(unit.least)).collect();
    rest.sort_by_key(|instance| (instance.attempt, instance.created_at));
    remove.extend(rest.into_iter().take(surplus).map(|instance| instance.id.clone()));
}

/// The instances of each container, the newest first.
fn by_container(instances: &[Instance]) -> impl Iterator<Item = Vec<&Instance>> {
    let mut units: BTreeMap<(&Uid, &str), Vec<&Instance>> = BTreeMap::new();
    for instance in instances {
        units.entry((&instance.pod, &instance.name)).or_default().push(instance);
    }
    units.into_values().map(|mut unit| {
        unit.sort_by_key(|instance| Reverse((instance.attempt, instance.created_at)));
        unit
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    /// `pod/name#attempt`, made `attempt` minutes after the hour, with `!` while it runs.
    fn instance(text: &str) -> Instance {
        let (id, dead) = text.strip_suffix('!').map_or((text, true), |id| (id, false));
        let (pod, rest) = id.split_once('/').unwrap();
        let (name, attempt) = rest.split_once('#').unwrap();
        let attempt: u32 = attempt.parse().unwrap();
        Instance {
            id: id.to_owned(),
            pod: Uid::new(pod),
            name: name.to_owned(),
            attempt,
            created_at: at(i64::from(attempt) * 60),
            dead,
        }
    }

    /// Pods whose name begins with `e` have ended, nobody knows `x`. It is ten minutes past the hour.
    fn check(config: ContainerGcConfig, of_ended: OfEnded, instances: &[&str], expected: &[&str]) -> Option<u64> {
        let instances: Vec<Instance> = instances.iter().map(|text| instance(text)).collect();
        let has_ended = |pod: &Uid| (pod.as_str() != "x").then(|| pod.as_str().starts_with('e'));
        let plan = plan(&config, of_ended, &instances, has_ended, at(600));
        assert_eq!(plan.remove, expected, "{config:?}");
        plan.look_again.map(|after| after.as_secs())
    }

    fn config(max_per_container: i64, max_total: i64) -> ContainerGcConfig {
        let limit = |count: i64| usize::try_from(count).ok();
        let (max_per_container, max_total) = (limit(max_per_container), limit(max_total));
        ContainerGcConfig { max_per_container, max_total, ..ContainerGcConfig::default() }
    }

    #[test]
    fn so_many_dead_ones_are_kept_of_each_container() {
        let all = ["a/c#3!", "a/c#2", "a/c#1", "a/c#0", "a/d#1", "a/d#0", "e/c#1", "e/c#0", "x/c#1", "x/c#0"];
        let check = |limit, of_ended, expected: &[&str]| check(config(limit, -1), of_ended, &all, expected);
        check(1, OfEnded::AsOthers, &["a/c#0", "a/c#1", "a/d#0", "e/c#0"]);
        check(2, OfEnded::AsOthers, &["a/c#0"]);
        check(-1, OfEnded::AsOthers, &[]);
        // The last one of a living Pod is what its status speaks of.
        check(0, OfEnded::AsOthers, &["a/c#0", "a/c#1", "a/c#2", "a/d#0", "e/c#0", "e/c#1"]);
        check(-1, OfEnded::All, &["e/c#0", "e/c#1"]);
    }

    #[test]
    fn in_total_each_container_keeps_its_share_and_the_oldest_go() {
        let all = ["a/c#5", "a/c#4", "a/c#3", "a/d#2", "a/d#1", "e/c#0"];
        let check = |limit, expected: &[&str]| check(config(-1, limit), OfEnded::AsOthers, &all, expected);
        check(6, &[]);
        check(5, &["a/c#3", "a/c#4", "a/d#1"]);
        check(2, &["a/c#3", "a/c#4", "a/d#1", "e/c#0"]);
        check(0, &["a/c#3", "a/c#4", "a/d#1", "e/c#0"]);
    }

    #[test]
    fn a_container_has_to_be_old_enough() {
        let config = ContainerGcConfig { min_age: Duration::from_secs(450), ..config(0, -1) };
        let look_again = check(config, OfEnded::All, &["e/c#4", "e/c#3", "e/c#2", "e/c#1"], &["e/c#1", "e/c#2"]);
        assert_eq!(look_again, Some(30), "seven and a half minutes after it was made");
    }
}
