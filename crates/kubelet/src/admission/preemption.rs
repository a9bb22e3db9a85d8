//! Which Pods make way for a critical one: no Guaranteed Pod if Burstable ones suffice, no Burstable Pod if BestEffort
//! ones do; then as few as possible, the smallest that suffice.

use api::core::v1::pod::QosClass;

use super::{Demand, Shortage};
use crate::pod::Uid;

/// What is still missing, by resource.
type Missing = Vec<(String, i64)>;

/// Chooses the Pods to end.
///
/// # Errors
/// When ending all of them would not do.
pub(super) fn plan(preemptor: &Demand, others: &[&Demand], shortages: &[Shortage]) -> Result<Vec<Uid>, String> {
    let class = |class: QosClass| {
        let preemptable = others.iter().filter(|other| other.qos == class && is_preemptable(preemptor, other));
        preemptable.copied().collect::<Vec<&Demand>>()
    };
    let best_effort = class(QosClass::BestEffort);
    let burstable = class(QosClass::Burstable);
    let guaranteed = class(QosClass::Guaranteed);
    let missing: Missing = shortages.iter().map(|short| (short.resource.clone(), short.missing())).collect();
    let without = |gone: &[&[&Demand]]| subtract(&missing, gone.iter().copied().flatten().copied());
    let left = without(&[&best_effort, &burstable, &guaranteed]);
    if !left.is_empty() {
        return Err(format!("preemption: error finding a set of pods to preempt: {}", nothing_found(&left)));
    }
    let guaranteed = nearest(guaranteed, without(&[&best_effort, &burstable]))?;
    let burstable = nearest(burstable, without(&[&best_effort, &guaranteed]))?;
    let best_effort = nearest(best_effort, without(&[&burstable, &guaranteed]))?;
    Ok(best_effort.iter().chain(&burstable).chain(&guaranteed).map(|victim| victim.uid.clone()).collect())
}

fn is_preemptable(preemptor: &Demand, other: &Demand) -> bool {
    !other.critical || preemptor.priority > other.priority
}

fn nothing_found(missing: &Missing) -> String {
    let list: String = missing.iter().map(|(name, amount)| format!("(res: {name}, q: {amount}), ")).collect();
    format!("no set of running pods found to reclaim resources: [{list}]")
}

/// Takes the Pod that leaves least missing, the smaller of two alike, until nothing is missing.
fn nearest(mut pods: Vec<&Demand>, mut missing: Missing) -> Result<Vec<&Demand>, String> {
    let mut chosen = Vec::new();
    while !missing.is_empty() {
        let size = |pod: &Demand| (pod.request("memory"), pod.request("cpu"));
        let best = pods.iter().enumerate().min_by(|(_, left), (_, right)| {
            let order = distance(&missing, left).total_cmp(&distance(&missing, right));
            order.then_with(|| size(left).cmp(&size(right)))
        });
        let Some((index, _)) = best else { return Err(nothing_found(&missing)) };
        let victim = pods.swap_remove(index);
        missing = subtract(&missing, std::iter::once(victim));
        chosen.push(victim);
    }
    Ok(chosen)
}

/// How far the node still is from having enough once this Pod is gone; each resource counts alike.
fn distance(missing: &Missing, pod: &Demand) -> f64 {
    let rest = missing.iter().map(|(name, amount)| ((amount - pod.request(name)).max(0) as f64, *amount as f64));
    rest.map(|(rest, amount)| (rest / amount).powi(2)).sum()
}

fn subtract<'a>(missing: &Missing, gone: impl Iterator<Item = &'a Demand>) -> Missing {
    let gone: Vec<&Demand> = gone.collect();
    let rest = missing.iter().map(|(name, amount)| {
        let freed = gone.iter().map(|pod| pod.request(name)).fold(0, i64::saturating_add);
        (name.clone(), amount.saturating_sub(freed))
    });
    rest.filter(|(_, amount)| *amount > 0).collect()
}
