use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{
    RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetOrdinals,
    StatefulSetPersistentVolumeClaimRetentionPolicy as Retention, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::plan::{Act, Templates, View, plan};
use super::status::status;
use super::*;

const NOW: i64 = 1000;

fn at(seconds: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(seconds).unwrap()
}

fn set(replicas: i32, change: impl FnOnce(&mut StatefulSetSpec)) -> StatefulSet {
    let mut spec = StatefulSetSpec {
        replicas: Some(replicas),
        service_name: Some("svc".into()),
        update_strategy: Some(rolling(0)),
        ..StatefulSetSpec::default()
    };
    change(&mut spec);
    StatefulSet {
        metadata: ObjectMeta {
            name: Some("web".into()),
            namespace: Some("ns".into()),
            uid: Some("set".into()),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

fn rolling(partition: i32) -> StatefulSetUpdateStrategy {
    StatefulSetUpdateStrategy {
        type_: Some("RollingUpdate".into()),
        rolling_update: Some(RollingUpdateStatefulSetStrategy {
            partition: Some(partition),
            ..RollingUpdateStatefulSetStrategy::default()
        }),
    }
}

fn parallel(spec: &mut StatefulSetSpec) {
    spec.pod_management_policy = Some("Parallel".into());
}

fn with_claims(spec: &mut StatefulSetSpec) {
    let metadata = ObjectMeta { name: Some("data".into()), ..ObjectMeta::default() };
    spec.volume_claim_templates = Some(vec![PersistentVolumeClaim { metadata, ..PersistentVolumeClaim::default() }]);
}

/// A Pod by what is written of it: its ordinal, then words: `old`, `down` (not ready), `young` (ready just now),
/// `pending`, `failed`, `ended`, `leaving`, `bare` (without labels).
fn pod(text: &str) -> Facts {
    let mut words = text.split_whitespace();
    let ordinal = words.next().unwrap();
    let words: Vec<&str> = words.collect();
    let is = |word: &str| words.contains(&word);
    let name = format!("web-{ordinal}");
    let revision = if is("old") { "r1" } else { "r2" };
    let mut labels = BTreeMap::from([(POD_LABEL.to_owned(), revision.to_owned())]);
    if !is("bare") {
        labels.insert("statefulset.kubernetes.io/pod-name".into(), name.clone());
        labels.insert("apps.kubernetes.io/pod-index".into(), ordinal.into());
    }
    let phases = [("failed", "Failed"), ("ended", "Succeeded"), ("pending", "Pending")];
    let phase = phases.iter().find(|(word, _)| is(word)).map_or("Running", |(_, phase)| phase);
    Arc::new(PodFacts {
        key: Some(ObjectKey::new("ns", &name)),
        uid: format!("uid-{ordinal}"),
        labels,
        phase: phase.into(),
        ready: phase == "Running" && !is("down"),
        ready_since: Some(at(if is("young") { NOW - 1 } else { NOW - 100 })),
        deleted_at: is("leaving").then(|| at(NOW)),
        ..PodFacts::default()
    })
}

fn templates() -> Templates {
    let template = PodTemplateSpec::default();
    Templates { current: ("r1".into(), template.clone()), update: ("r2".into(), template) }
}

fn with_view<T>(
    set: &StatefulSet,
    pods: &[&str],
    claims: &[PersistentVolumeClaim],
    then: impl FnOnce(&View<'_>) -> T,
) -> T {
    let pods: Vec<_> = pods.iter().map(|text| pod(text)).collect();
    let claim =
        |name: &str| claims.iter().find(|claim| claim.metadata.name.as_deref() == Some(name)).cloned().map(Arc::new);
    then(&View { set, templates: &templates(), pods: &pods, claim: &claim, now: at(NOW) })
}

/// What is done: `+pod:revision`, `-pod`, `?pod` (claims are made), `=pod` (labelled), `claim>owner,...`.
fn done_with(set: &StatefulSet, pods: &[&str], claims: &[PersistentVolumeClaim]) -> String {
    let text = |act: &Act| match act {
        Act::Create { pod, claims } => {
            let labels = pod.metadata.labels.as_ref().unwrap();
            let claims: String = claims.iter().map(|claim| format!("!{}", claim.name_any())).collect();
            format!("+{}:{}{claims}", pod.name_any(), labels[POD_LABEL])
        }
        Act::Furnish { pod, .. } => format!("?{pod}"),
        Act::Delete { pod, .. } => format!("-{}", pod.name()),
        Act::Name { pod, .. } => format!("={}", pod.name()),
        Act::Bequeath(claim) => {
            let owners = claim.metadata.owner_references.iter().flatten().map(|owner| owner.name.clone());
            format!("{}>{}", claim.name_any(), owners.collect::<Vec<_>>().join(","))
        }
    };
    let acts = with_view(set, pods, claims, plan).acts;
    acts.iter().map(text).collect::<Vec<_>>().join(" ")
}

fn done(set: &StatefulSet, pods: &[&str]) -> String {
    done_with(set, pods, &[])
}

#[test]
fn ordered_pods_come_and_go_one_after_the_other() {
    let cases: &[(i32, &[&str], &str)] = &[
        (3, &[], "+web-0:r2"),
        (3, &["0 pending"], ""),
        (3, &["0 down"], ""),
        (3, &["0"], "+web-1:r2"),
        (3, &["0", "2"], "+web-1:r2"),
        (3, &["0 leaving", "1"], ""),
        (3, &["0 failed", "1", "2"], "-web-0"),
        (3, &["0", "1 ended", "2"], "-web-1"),
        (3, &["0 failed leaving", "1"], ""),
        (3, &["0", "1", "2"], ""),
        (3, &["0", "1 bare", "2"], "=web-1"),
        (1, &["0", "1", "2"], "-web-2"),
        (1, &["0", "1", "2 leaving"], ""),
        (1, &["0", "1", "2 down"], "-web-2"),
        (1, &["0", "1 down", "2"], "-web-2"),
        (1, &["0", "1 down", "2 down"], ""),
        (1, &["0 down", "1"], ""),
        (0, &["0 down"], "-web-0"),
    ];
    for (replicas, pods, expected) in cases {
        assert_eq!(done(&set(*replicas, |_| ()), pods), *expected, "{replicas} {pods:?}");
    }
}

#[test]
fn parallel_pods_come_and_go_together_and_are_replaced_in_order() {
    let cases: &[(i32, &[&str], &str)] = &[
        (3, &[], "+web-0:r2 +web-1:r2 +web-2:r2"),
        (3, &["1 down"], "+web-0:r2 +web-2:r2"),
        (1, &["0 down", "1", "2 down"], "-web-2 -web-1"),
        (3, &["0 failed", "1", "2 failed"], "-web-0 -web-2"),
        (3, &["0 old", "1 old", "2 old"], "-web-2"),
        (3, &["0 old", "1 old", "2 down"], ""),
        (3, &["0 old", "1 old", "2"], "-web-1"),
    ];
    for (replicas, pods, expected) in cases {
        assert_eq!(done(&set(*replicas, parallel), pods), *expected, "{replicas} {pods:?}");
    }
}

#[test]
fn old_pods_are_replaced_from_the_last_one_down_to_the_partition() {
    let with = |strategy: StatefulSetUpdateStrategy| set(3, |spec| spec.update_strategy = Some(strategy));
    let on_delete = StatefulSetUpdateStrategy { type_: Some("OnDelete".into()), rolling_update: None };
    let unbounded = StatefulSetUpdateStrategy { type_: Some("RollingUpdate".into()), rolling_update: None };
    let old: &[&str] = &["0 old", "1 old", "2 old"];
    let cases: &[(StatefulSet, &[&str], &str)] = &[
        (with(rolling(0)), old, "-web-2"),
        (with(unbounded), old, "-web-2"),
        (with(rolling(0)), &["0 old", "1 old", "2"], "-web-1"),
        (with(rolling(0)), &["0 old", "1 old", "2 leaving"], ""),
        (with(rolling(2)), old, "-web-2"),
        (with(rolling(2)), &["0 old", "1 old", "2"], ""),
        (with(rolling(2)), &["0 old", "2"], "+web-1:r1"),
        (with(rolling(2)), &["0 old", "1 old"], "+web-2:r2"),
        (with(rolling(3)), old, ""),
        (with(on_delete), old, ""),
        // A template that never becomes ready holds an ordered set until somebody deletes the Pod.
        (with(rolling(0)), &["0 old", "1 old", "2 old down"], ""),
    ];
    for (set, pods, expected) in cases {
        assert_eq!(done(set, pods), *expected, "{pods:?}");
    }
    let shifted = set(2, |spec| {
        spec.ordinals = Some(StatefulSetOrdinals { start: Some(5) });
        spec.update_strategy = Some(rolling(1));
    });
    assert_eq!(done(&shifted, &["5 old"]), "+web-6:r2");
    assert_eq!(done(&shifted, &["6"]), "+web-5:r1");
    assert_eq!(done(&shifted, &["5 old", "6 old"]), "-web-6");
    assert_eq!(done(&shifted, &["4", "5 old", "6"]), "-web-4");
}

#[test]
fn a_young_pod_is_waited_for() {
    let set = set(2, |spec| spec.min_ready_seconds = Some(10));
    let plan = with_view(&set, &["0 young"], &[], plan);
    assert_eq!((plan.acts.len(), plan.next), (0, Next::After(std::time::Duration::from_secs(9))));
    let status = with_view(&set, &["0 young", "1"], &[], status);
    assert_eq!((status.ready_replicas, status.available_replicas), (Some(2), Some(1)));
}

#[test]
fn claims_come_before_their_pod_and_go_as_told() {
    fn policy(scaled: &'static str, deleted: &'static str) -> impl FnOnce(&mut StatefulSetSpec) {
        move |spec| {
            with_claims(spec);
            spec.persistent_volume_claim_retention_policy =
                Some(Retention { when_scaled: Some(scaled.into()), when_deleted: Some(deleted.into()) });
        }
    }
    let keeps = set(1, with_claims);
    assert_eq!(done(&keeps, &[]), "+web-0:r2!data-web-0");
    assert_eq!(done(&keeps, &["0 pending"]), "?web-0");
    let claims = |set: &StatefulSet| [claims::of_pod(set, 0), claims::of_pod(set, 1)].concat();
    let plain = claims(&keeps);
    assert_eq!(done_with(&keeps, &[], &plain), "+web-0:r2");
    assert_eq!(done_with(&keeps, &["0"], &plain), "");
    assert_eq!(done_with(&keeps, &["0", "1"], &plain), "-web-1");

    let with_set = set(1, policy("Retain", "Delete"));
    assert_eq!(done_with(&with_set, &["0"], &plain), "data-web-0>web");
    assert_eq!(done_with(&with_set, &["0", "1"], &claims(&with_set)), "-web-1");
    assert_eq!(done_with(&keeps, &["0"], &claims(&with_set)), "data-web-0>");

    let with_pod = set(1, policy("Delete", "Retain"));
    assert_eq!(done_with(&with_pod, &["0", "1"], &plain), "data-web-1>web-1");
    let mut bequeathed = plain.clone();
    bequeathed[1] = super::claims::bequeathed(&with_pod, &pod("1"), &plain[1], true).unwrap();
    assert_eq!(done_with(&with_pod, &["0", "1"], &bequeathed), "-web-1");
    let grown = set(2, policy("Delete", "Retain"));
    assert_eq!(done_with(&grown, &["0"], &bequeathed), "", "the claim goes with the Pod before");
    assert_eq!(done_with(&grown, &["0", "1"], &bequeathed), "data-web-1>");
    let both = set(1, policy("Delete", "Delete"));
    assert_eq!(done_with(&both, &["0", "1"], &claims(&both)), "data-web-1>web-1");

    let mut leaving = plain;
    leaving[0].metadata.deletion_timestamp = Some(Time(at(NOW)));
    assert_eq!(done_with(&keeps, &[], &leaving), "");
}

#[test]
fn the_new_template_is_the_current_one_once_all_pods_have_it() {
    let names = |pods: &[&str]| {
        let status = with_view(&set(2, |_| ()), pods, &[], status);
        let counts = (status.replicas, status.current_replicas, status.updated_replicas);
        (counts, status.current_revision.unwrap(), status.update_revision.unwrap())
    };
    let (old, new) = (|| "r1".to_owned(), || "r2".to_owned());
    assert_eq!(names(&["0 old", "1 old"]), ((2, Some(2), None), old(), new()));
    assert_eq!(names(&["0 old", "1"]), ((2, Some(1), Some(1)), old(), new()));
    assert_eq!(names(&["0", "1 down"]), ((2, None, Some(2)), old(), new()));
    assert_eq!(names(&["0", "1"]), ((2, Some(2), Some(2)), new(), new()));
    assert_eq!(names(&["0", "1", "2 leaving"]), ((3, None, Some(2)), old(), new()));
}

#[test]
fn pods_are_named_and_know_their_service() {
    let template = PodTemplateSpec::default();
    let made = pods::new_pod(&set(1, with_claims), 3, "r2", &template);
    assert_eq!(made.metadata.name.as_deref(), Some("web-3"));
    let spec = made.spec.as_ref().unwrap();
    assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("web-3"), Some("svc")));
    let facts = PodFacts::of(made);
    assert_eq!(facts.claims, ["data-web-3"]);
    assert_eq!(facts.labels["apps.kubernetes.io/pod-index"], "3");
    for (name, expected) in [("web-0", Some(0)), ("web-x-0", None), ("web-", None), ("other-1", None), ("web-+1", None)]
    {
        assert_eq!(pods::ordinal("web", name), expected, "{name}");
    }
    assert!(claims::is_of(&set(1, with_claims), "data-web-7") && !claims::is_of(&set(1, with_claims), "logs-web-7"));
}
