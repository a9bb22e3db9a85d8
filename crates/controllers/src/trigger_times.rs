//! When what a Service leads to was changed: the time that is noted beside its endpoints, so that whoever programs the
//! network can tell how long a change took to get there.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::pod_facts::PodFacts;

/// Where the time is noted.
pub const LAST_CHANGE: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// What was seen of each Service and its Pods.
#[derive(Debug, Default)]
pub struct TriggerTimes {
    seen: Mutex<HashMap<ObjectKey, Seen>>,
}

/// The times of one Service that were told.
#[derive(Debug, Default, Clone, PartialEq)]
struct Seen {
    created: Option<Timestamp>,
    ready: BTreeMap<ObjectKey, Timestamp>,
}

impl TriggerTimes {
    /// When the first change happened that was not seen before, of a Service and all Pods that it selects.
    pub fn first_change(&self, key: &ObjectKey, service: &Service, pods: &[Arc<PodFacts>]) -> Option<Timestamp> {
        let created = service.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let now =
            Seen { created, ready: pods.iter().filter_map(|pod| Some((pod.key.clone()?, pod.ready_since?))).collect() };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.insert(key.clone(), now.clone()).unwrap_or_default();
        now.changed_since(&before)
    }

    /// The Service is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl Seen {
    fn changed_since(&self, before: &Self) -> Option<Timestamp> {
        let pods = self.ready.iter().filter(|(pod, since)| before.ready.get(pod).is_none_or(|known| known < since));
        let service = self.created.filter(|created| before.created.is_none_or(|known| known < *created));
        pods.map(|(_, since)| *since).chain(service).min()
    }
}

/// Notes the time, or that there is none, beside endpoints that are written.
pub fn note(metadata: &mut ObjectMeta, time: Option<Timestamp>) {
    let mut annotations = metadata.annotations.take().unwrap_or_default();
    match time {
        Some(time) => annotations.insert(LAST_CHANGE.to_owned(), time.to_string()),
        None => annotations.remove(LAST_CHANGE),
    };
    metadata.annotations = (!annotations.is_empty()).then_some(annotations);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(created: i64, ready: &[(&str, i64)]) -> Seen {
        let at = |second| Timestamp::from_second(second).unwrap();
        let ready = ready.iter().map(|(pod, since)| (ObjectKey::new("ns", *pod), at(*since))).collect();
        Seen { created: Some(at(created)), ready }
    }

    #[test]
    fn the_first_change_since_last_time_counts() {
        let check = |before: &Seen, now: &Seen, expected: Option<i64>| {
            let expected = expected.map(|second| Timestamp::from_second(second).unwrap());
            assert_eq!(now.changed_since(before), expected, "{before:?} {now:?}");
        };
        check(&Seen::default(), &seen(5, &[]), Some(5));
        check(&Seen::default(), &seen(5, &[("a", 3), ("b", 9)]), Some(3));
        check(&seen(5, &[("a", 6)]), &seen(5, &[("a", 6)]), None);
        check(&seen(5, &[("a", 6)]), &seen(5, &[("a", 6), ("b", 8), ("c", 7)]), Some(7));
        check(&seen(5, &[("a", 6)]), &seen(5, &[("a", 9)]), Some(9));
        // What is gone tells not when it went.
        check(&seen(5, &[("a", 6)]), &seen(5, &[]), None);
        check(&seen(5, &[("a", 6)]), &seen(8, &[("a", 6)]), Some(8));
    }

    #[test]
    fn a_note_is_made_and_taken_away() {
        let mut metadata = ObjectMeta::default();
        note(&mut metadata, Some(Timestamp::from_second(0).unwrap()));
        assert_eq!(metadata.annotations.as_ref().unwrap()[LAST_CHANGE], "1970-01-01T00:00:00Z");
        note(&mut metadata, None);
        assert_eq!(metadata.annotations, None);
    }
}
