use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, ReplicaSet, ReplicaSetStatus, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::plan::{Plan, Write, collided, plan};
use super::sets::{self, DESIRED, MAX, REVISION, REVISION_HISTORY};
use super::*;
use crate::template_hash;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn amount(text: &str) -> IntOrString {
    text.parse().map_or_else(|_| IntOrString::String(text.to_owned()), IntOrString::Int)
}

fn template(image: &str) -> PodTemplateSpec {
    let container = Container { name: "c".into(), image: Some(image.to_owned()), ..Container::default() };
    let labels = [("app".to_owned(), "web".to_owned())].into();
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
        spec: Some(PodSpec { containers: vec![container], ..PodSpec::default() }),
    }
}

/// A Deployment `web` of image `a`; `surge` is none for one that recreates.
fn deployment(replicas: i32, bounds: Option<(&str, &str)>) -> Deployment {
    let strategy = DeploymentStrategy {
        type_: Some(if bounds.is_some() { "RollingUpdate" } else { "Recreate" }.to_owned()),
        rolling_update: bounds.map(|(surge, unavailable)| RollingUpdateDeployment {
            max_surge: Some(amount(surge)),
            max_unavailable: Some(amount(unavailable)),
        }),
    };
    let labels = [("app".to_owned(), "web".to_owned())].into();
    Deployment {
        metadata: ObjectMeta {
            name: Some("web".into()),
            namespace: Some("ns".into()),
            uid: Some("web".into()),
            generation: Some(1),
            ..ObjectMeta::default()
        },
        spec: Some(DeploymentSpec {
            replicas: Some(replicas),
            progress_deadline_seconds: Some(600),
            revision_history_limit: Some(2),
            selector: LabelSelector { match_labels: Some(labels), ..LabelSelector::default() },
            strategy: Some(strategy),
            template: template("a"),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn change_image(deployment: &mut Deployment, image: &str) {
    deployment.spec.as_mut().unwrap().template = template(image);
    deployment.metadata.generation = deployment.metadata.generation.map(|generation| generation + 1);
}

/// A cluster of one Deployment: writes are carried out, and Pods are available at once unless their image is broken.
struct World {
    deployment: Deployment,
    sets: Vec<ReplicaSet>,
    /// Pods of old ReplicaSets that still run, for Recreate.
    lingering: bool,
    now: i64,
}

impl World {
    fn new(deployment: Deployment) -> Self {
        Self { deployment, sets: Vec::new(), lingering: false, now: 1000 }
    }

    fn plan(&self) -> Plan {
        let pods = |_: &ReplicaSet| {
            let pod = PodFacts { phase: "Running".into(), ..PodFacts::default() };
            if self.lingering { vec![Arc::new(pod)] } else { Vec::new() }
        };
        plan(&self.deployment, &self.sets, &pods, at(self.now))
    }

    /// One pass. Returns whether it did anything.
    fn step(&mut self) -> bool {
        let plan = self.plan();
        for write in &plan.writes {
            match write {
                Write::Create(set) => {
                    let mut set = set.clone();
                    set.metadata.uid.clone_from(&set.metadata.name);
                    set.metadata.creation_timestamp = Some(Time(at(self.now)));
                    self.sets.push(set);
                }
                Write::Update { set, .. } => {
                    let name = &set.metadata.name;
                    let slot = self.sets.iter_mut().find(|present| present.metadata.name == *name).unwrap();
                    *slot = set.clone();
                }
                Write::Delete(set) => self.sets.retain(|present| present.metadata.name != set.metadata.name),
            }
        }
        let did = !plan.writes.is_empty() || plan.deployment.is_some();
        if let Some(changed) = plan.deployment {
            self.deployment = changed;
        }
        self.now += 1;
        did
    }

    /// Pods come and go as wanted; those of image `broken` never become available.
    fn settle_pods(&mut self) {
        for set in &mut self.sets {
            let size = sets::replicas(set);
            let image = set.spec.as_ref().unwrap().template.as_ref().unwrap().spec.as_ref().unwrap().containers[0]
                .image
                .clone();
            let good = if image.as_deref() == Some("broken") { 0 } else { size };
            set.status = Some(ReplicaSetStatus {
                replicas: size,
                ready_replicas: Some(good),
                available_replicas: Some(good),
                terminating_replicas: Some(0),
                ..ReplicaSetStatus::default()
            });
        }
    }

    fn run(&mut self) {
        for _ in 0..100 {
            let did = self.step();
            let before = self.sets.clone();
            self.settle_pods();
            if !did && before == self.sets {
                return;
            }
        }
        panic!("no rest: {:?}", self.sizes());
    }

    fn sizes(&self) -> Vec<i32> {
        self.sets.iter().map(sets::replicas).collect()
    }

    fn reason(&self, kind: &str) -> String {
        let status = sets::status(&self.deployment);
        progress::find(&status, kind).and_then(|condition| condition.reason.clone()).unwrap_or_default()
    }
}

#[test]
fn bounds_are_rounded_so_that_rollouts_can_move() {
    let cases = [
        (10, Some(("25%", "25%")), (3, 2)),
        (1, Some(("25%", "25%")), (1, 0)),
        (2, Some(("0", "25%")), (0, 1)),
        (1, Some(("0", "5")), (0, 1)),
        (0, Some(("25%", "25%")), (0, 0)),
        (5, None, (0, 0)),
    ];
    for (replicas, bounds, (surge, unavailable)) in cases {
        let found = sets::bounds(&deployment(replicas, bounds));
        assert_eq!(found, sets::Bounds { surge, unavailable }, "{replicas} {bounds:?}");
    }
}

#[test]
fn the_first_pass_makes_a_set_and_rests_when_it_is_available() {
    let mut world = World::new(deployment(3, Some(("25%", "25%"))));
    world.step();
    let set = &world.sets[0];
    let hash = template_hash::of_template(&template("a"), None);
    assert_eq!(set.metadata.name, Some(format!("web-{hash}")));
    assert_eq!(set.metadata.labels.as_ref().unwrap()["pod-template-hash"], hash);
    assert_eq!(sets::replicas(set), 3);
    let told = |name| sets::annotation(set, name).unwrap();
    assert_eq!((told(REVISION), told(DESIRED), told(MAX)), ("1", "3", "4"));
    assert_eq!(world.deployment.metadata.annotations.as_ref().unwrap()[REVISION], "1");
    assert_eq!(world.reason("Progressing"), "NewReplicaSetCreated");
    assert_eq!(world.reason("Available"), "MinimumReplicasUnavailable");
    world.run();
    assert_eq!(world.reason("Progressing"), "NewReplicaSetAvailable");
    assert_eq!(world.reason("Available"), "MinimumReplicasAvailable");
    let kinds: Vec<_> = sets::status(&world.deployment).conditions.unwrap().into_iter().map(|c| c.type_).collect();
    assert_eq!(kinds, ["Available", "Progressing"]);
    assert!(world.plan().writes.is_empty() && world.plan().deployment.is_none(), "at rest nothing is written");
    assert_eq!(world.plan().next, Next::OnWakeUp);
}

#[test]
fn a_rollout_stays_within_its_bounds_and_arrives() {
    for bounds in [("25%", "25%"), ("1", "0"), ("0", "1"), ("100%", "0"), ("0", "100%"), ("3", "2")] {
        for replicas in [1, 2, 3, 10] {
            let mut world = World::new(deployment(replicas, Some(bounds)));
            world.run();
            change_image(&mut world.deployment, "b");
            let allowed = sets::bounds(&world.deployment);
            for _ in 0..100 {
                world.step();
                let total: i32 = world.sizes().iter().sum();
                // Pods that are to go are gone at once; those that are to come are not there yet.
                let available: i32 = world.sets.iter().map(|set| sets::available(set).min(sets::replicas(set))).sum();
                assert!(total <= replicas + allowed.surge, "{bounds:?} {replicas}: {:?}", world.sizes());
                assert!(available >= replicas - allowed.unavailable, "{bounds:?} {replicas}: {:?}", world.sizes());
                world.settle_pods();
            }
            assert_eq!(world.sizes(), [0, replicas], "{bounds:?}");
            assert_eq!(world.reason("Progressing"), "NewReplicaSetAvailable");
        }
    }
}

#[test]
fn a_broken_image_stalls_and_is_told_and_undone() {
    let mut world = World::new(deployment(4, Some(("25%", "25%"))));
    world.run();
    change_image(&mut world.deployment, "broken");
    world.run();
    assert_eq!(world.sizes(), [3, 2], "three of four stay, two are tried");
    assert!(matches!(world.plan().next, Next::After(wait) if wait <= Duration::from_secs(601)));
    world.now += 602;
    world.run();
    assert_eq!(world.reason("Progressing"), "ProgressDeadlineExceeded");
    assert_eq!(world.plan().next, Next::OnWakeUp, "it was given up");
    change_image(&mut world.deployment, "a");
    world.run();
    assert_eq!(world.sizes(), [4, 0]);
    assert_eq!(sets::annotation(&world.sets[0], REVISION), Some("3"));
    assert_eq!(sets::annotation(&world.sets[0], REVISION_HISTORY), Some("1"));
    assert_eq!(world.reason("Progressing"), "NewReplicaSetAvailable");
}

#[test]
fn scaling_in_the_midst_of_a_rollout_keeps_the_shares() {
    // Sizes of old and new, maximum then, wanted now, expected sizes; surge is 3.
    let cases = [
        ([10, 0], 13, 13, vec![13, 0]),
        ([5, 8], 13, 20, vec![9, 14]),
        ([6, 7], 13, 5, vec![4, 4]),
        ([4, 9], 13, 0, vec![0, 0]),
    ];
    for (sizes, max, wanted, expected) in cases {
        let mut world = World::new(deployment(10, Some(("3", "2"))));
        world.run();
        change_image(&mut world.deployment, "b");
        world.step();
        for (set, size) in world.sets.iter_mut().zip(sizes) {
            sets::set_replicas(set, size);
            set.metadata.annotations.as_mut().unwrap().insert(MAX.to_owned(), max.to_string());
            set.metadata.annotations.as_mut().unwrap().insert(DESIRED.to_owned(), "10".to_owned());
        }
        world.deployment.spec.as_mut().unwrap().replicas = Some(wanted);
        world.step();
        assert_eq!(world.sizes(), expected, "{sizes:?} to {wanted}");
    }
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll() {
    let mut world = World::new(deployment(3, Some(("25%", "25%"))));
    world.run();
    world.deployment.spec.as_mut().unwrap().paused = Some(true);
    change_image(&mut world.deployment, "b");
    world.run();
    assert_eq!(world.sizes(), [3]);
    assert_eq!(world.reason("Progressing"), "DeploymentPaused");
    world.deployment.spec.as_mut().unwrap().replicas = Some(5);
    world.run();
    assert_eq!(world.sizes(), [5]);
    world.deployment.spec.as_mut().unwrap().paused = None;
    world.step();
    world.settle_pods();
    world.run();
    assert_eq!(world.sizes(), [0, 5]);
}

#[test]
fn recreate_waits_until_the_old_pods_are_gone() {
    let mut world = World::new(deployment(2, None));
    world.run();
    assert_eq!(world.sizes(), [2]);
    change_image(&mut world.deployment, "b");
    world.lingering = true;
    world.run();
    assert_eq!(world.sizes(), [0]);
    world.lingering = false;
    world.run();
    assert_eq!(world.sizes(), [0, 2]);
}

#[test]
fn old_revisions_go_beyond_the_limit() {
    let mut world = World::new(deployment(1, Some(("1", "0"))));
    world.run();
    for image in ["b", "c", "d", "e"] {
        change_image(&mut world.deployment, image);
        world.run();
    }
    let revisions: Vec<_> = world.sets.iter().map(|set| sets::annotation(set, REVISION).unwrap()).collect();
    assert_eq!(revisions, ["3", "4", "5"]);
}

#[test]
fn a_collision_leads_to_another_name() {
    let deployment = deployment(1, Some(("1", "0")));
    let name = |deployment: &Deployment| {
        let plan = plan(deployment, &[], &|_| Vec::new(), at(1));
        let Write::Create(set) = &plan.writes[0] else { panic!("no set is made") };
        set.metadata.name.clone().unwrap()
    };
    let collided = collided(&deployment);
    assert_eq!(sets::status(&collided).collision_count, Some(1));
    assert_ne!(name(&deployment), name(&collided));
}

#[test]
fn how_many_pods_end_is_told_unless_a_set_does_not_say() {
    let mut world = World::new(deployment(0, Some(("1", "0"))));
    world.step();
    world.step();
    let told = |world: &World| world.deployment.status.as_ref().unwrap().terminating_replicas;
    assert_eq!(told(&world), Some(0), "nobody has looked at the set yet");
    let silent = ReplicaSetStatus { observed_generation: Some(1), ..ReplicaSetStatus::default() };
    world.sets[0].status = Some(silent);
    world.step();
    assert_eq!(told(&world), None);
}
