//! Pods.

use api::core::v1::pod::{self, PHASE_FAILED, PHASE_PENDING, PHASE_SUCCEEDED, prepare};
use api::field::ErrorList;
use api::k8s_openapi::api::core::v1::{Pod, PodStatus};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use api::managed_fields::ResetFields;
use api::{Gvk, Kind};

use crate::registry::core::binding;
use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{
    ALL_VERBS, Action, Backing, CREATE, NodeCall, PART_VERBS, PROXY_VERBS, Resource, ResourceInfo, Stored,
    SubresourceInfo,
};
use crate::watch_cache::SelectableField;

const GVK: Gvk = Gvk { group: "", version: "v1", kind: "Pod" };
const STREAM_VERBS: &[&str] = &["create", "get"];

const fn options(name: &'static str, kind: &'static str) -> SubresourceInfo {
    SubresourceInfo { name, gvk: Gvk { group: "", version: "v1", kind }, verbs: STREAM_VERBS }
}

/// The row.
pub static PODS: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "pods",
        singular: "pod",
        short_names: &["po"],
        categories: &["all"],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[
            options("attach", "PodAttachOptions"),
            SubresourceInfo { name: "binding", gvk: binding::GVK, verbs: CREATE },
            SubresourceInfo { name: "ephemeralcontainers", gvk: GVK, verbs: PART_VERBS },
            SubresourceInfo {
                name: "eviction",
                gvk: Gvk { group: "policy", version: "v1", kind: "Eviction" },
                verbs: CREATE,
            },
            options("exec", "PodExecOptions"),
            SubresourceInfo { name: "log", gvk: GVK, verbs: &["get"] },
            options("portforward", "PodPortForwardOptions"),
            SubresourceInfo {
                name: "proxy",
                gvk: Gvk { group: "", version: "v1", kind: "PodProxyOptions" },
                verbs: PROXY_VERBS,
            },
            SubresourceInfo { name: "resize", gvk: GVK, verbs: PART_VERBS },
            SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS },
        ],
    },
    backing: Backing::Stored(Stored {
        path: "pods",
        strategy: &Rules,
        selectable: &[
            SelectableField::text("spec.nodeName"),
            SelectableField::text("spec.restartPolicy"),
            SelectableField::text("spec.schedulerName"),
            SelectableField::text("spec.serviceAccountName"),
            SelectableField::flag("spec.hostNetwork"),
            SelectableField::text("status.phase"),
            SelectableField::text("status.podIP"),
            // Known, but never shown to selectors.
            SelectableField { name: "status.podIPs", path: "", absent: "" },
            SelectableField::text("status.nominatedNodeName"),
        ],
    }),
    actions: &[
        ("attach", Action::Node(NodeCall::Attach)),
        ("binding", Action::Binding),
        ("ephemeralcontainers", Action::Part(Part::EphemeralContainers)),
        ("eviction", Action::Eviction),
        ("exec", Action::Node(NodeCall::Exec)),
        ("log", Action::Node(NodeCall::Log)),
        ("portforward", Action::Node(NodeCall::PortForward)),
        ("proxy", Action::Proxy),
        ("resize", Action::Part(Part::Resize)),
        ("status", Action::Part(Part::Status)),
        ("story", Action::Story),
    ],
};

/// What a resize can change.
const RESIZED: &[&str] = &[
    "spec.resources",
    "spec.containers.*.resources",
    "spec.containers.*.resizePolicy",
    "spec.initContainers.*.resources",
    "spec.initContainers.*.resizePolicy",
];

/// The rules of Pods.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = Pod;

    fn prepare_for_create(&self, pod: &mut Pod, preparation: &mut Preparation) {
        pod.metadata.generation = Some(1);
        pod.status = Some(PodStatus {
            phase: Some(PHASE_PENDING.to_owned()),
            qos_class: Some(pod::qos_class(pod).as_str().to_owned()),
            ..PodStatus::default()
        });
        prepare::merge_label_keys(pod);
        preparation.warnings.extend(prepare::sync_app_armor(pod));
        prepare::note_gates(pod);
        for condition in pod.status.iter_mut().flat_map(|status| status.conditions.iter_mut().flatten()) {
            condition.last_transition_time = Some(Time(preparation.now));
        }
    }

    fn prepare_for_update(&self, part: Part, new: &mut Pod, old: &Pod) {
        match part {
            Part::Whole => {
                new.status.clone_from(&old.status);
                if new.spec != old.spec {
                    new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
                }
            }
            Part::Binding => {}
            Part::Resize => prepare::keep_resize_only(new, old),
            Part::EphemeralContainers => prepare::keep_ephemeral_containers_only(new, old),
            Part::Status | Part::Finalize | Part::Approval => {
                new.spec.clone_from(&old.spec);
                new.metadata.owner_references.clone_from(&old.metadata.owner_references);
                let before = old.status.as_ref().and_then(|status| status.qos_class.clone());
                let status = new.status.get_or_insert_default();
                status.qos_class = status.qos_class.take().or(before);
            }
        }
    }

    fn validate_update(&self, part: Part, new: &Pod, old: &Pod) -> ErrorList {
        match part {
            Part::Whole => Kind::validate_update(new, old),
            Part::Status | Part::Finalize | Part::Approval => Kind::validate_status_update(new, old),
            Part::Resize => pod::validate_resize(new, old),
            Part::EphemeralContainers => pod::validate_ephemeral_containers_update(new, old),
            Part::Binding => ErrorList::new(), // the handler makes the change and knows what it may be
        }
    }

    fn reset_fields(&self, part: Part) -> ResetFields {
        match part {
            Part::Whole => ResetFields::These(&["status"]),
            Part::Status => ResetFields::These(&["spec", "metadata.deletionTimestamp", "metadata.ownerReferences"]),
            Part::EphemeralContainers => ResetFields::AllBut(&["spec.ephemeralContainers"]),
            Part::Resize => ResetFields::AllBut(RESIZED),
            _ => ResetFields::These(&[]),
        }
    }

    fn grace_period_seconds(&self, pod: &Pod, asked: Option<i64>) -> Option<i64> {
        let spec = pod.spec.as_ref();
        let scheduled = spec.and_then(|spec| spec.node_name.as_deref()).is_some_and(|node| !node.is_empty());
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if !scheduled || matches!(phase, Some(PHASE_FAILED | PHASE_SUCCEEDED)) {
            return Some(0); // no kubelet has anything to stop
        }
        let configured = spec.and_then(|spec| spec.termination_grace_period_seconds);
        let period = asked.or(configured).unwrap_or(0);
        Some(if period < 0 { 1 } else { period })
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
