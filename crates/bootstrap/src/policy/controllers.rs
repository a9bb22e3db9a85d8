//! What each controller may do. Every row is a ClusterRole `system:controller:<name>`, bound to the ServiceAccount of
//! that name in `kube-system`.

use super::{ControllerRow, named, resources};

/// All controllers of upstream's.
pub(super) static CONTROLLERS: &[ControllerRow] = &[
    ControllerRow {
        name: "attachdetach-controller",
        rules: &[
            resources("list watch", "core", "persistentvolumeclaims persistentvolumes"),
            resources("get list watch", "core", "nodes"),
            resources("patch update", "core", "nodes/status"),
            resources("list watch", "core", "pods"),
            resources("create patch update", "core events.k8s.io", "events"),
            resources("create delete get list watch", "storage.k8s.io", "volumeattachments"),
            resources("get list watch", "storage.k8s.io", "csidrivers"),
            resources("get list watch", "storage.k8s.io", "csinodes"),
        ],
    },
    ControllerRow {
        name: "certificate-controller",
        rules: &[
            resources("delete get list watch", "certificates.k8s.io", "certificatesigningrequests"),
            resources(
                "update",
                "certificates.k8s.io",
                "certificatesigningrequests/approval certificatesigningrequests/status",
            ),
            named("approve", "certificates.k8s.io", "signers", "kubernetes.io/kube-apiserver-client-kubelet"),
            named(
                "sign",
                "certificates.k8s.io",
                "signers",
                "kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown",
            ),
            resources("create", "authorization.k8s.io", "subjectaccessreviews"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "clusterrole-aggregation-controller",
        rules: &[resources("escalate get list patch update watch", "rbac.authorization.k8s.io", "clusterroles")],
    },
    ControllerRow {
        name: "cronjob-controller",
        rules: &[
            resources("get list update watch", "batch", "cronjobs"),
            resources("create delete get list patch update watch", "batch", "jobs"),
            resources("update", "batch", "cronjobs/status"),
            resources("update", "batch", "cronjobs/finalizers"),
            resources("delete list watch", "core", "pods"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "daemon-set-controller",
        rules: &[
            resources("get list watch", "apps extensions", "daemonsets"),
            resources("update", "apps extensions", "daemonsets/status"),
            resources("update", "apps extensions", "daemonsets/finalizers"),
            resources("list watch", "core", "nodes"),
            resources("create delete list patch watch", "core", "pods"),
            resources("create", "core", "pods/binding"),
            resources("create delete get list patch update watch", "apps", "controllerrevisions"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "deployment-controller",
        rules: &[
            resources("get list update watch", "apps extensions", "deployments"),
            resources("update", "apps extensions", "deployments/status"),
            resources("update", "apps extensions", "deployments/finalizers"),
            resources("create delete get list patch update watch", "apps extensions", "replicasets"),
            resources("get list update watch", "core", "pods"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "device-taint-eviction-controller",
        rules: &[
            resources("delete get list watch", "core", "pods"),
            resources("patch update", "core", "pods/status"),
            resources("get list watch", "resource.k8s.io", "resourceclaims"),
            resources("get list watch", "resource.k8s.io", "resourceslices"),
            resources("get list watch", "resource.k8s.io", "deviceclasses"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "disruption-controller",
        rules: &[
            resources("get list watch", "apps extensions", "deployments"),
            resources("get list watch", "apps extensions", "replicasets"),
            resources("get list watch", "core", "replicationcontrollers"),
            resources("get list watch", "policy", "poddisruptionbudgets"),
            resources("get list watch", "apps", "statefulsets"),
            resources("update", "policy", "poddisruptionbudgets/status"),
            resources("patch update", "core", "pods/status"),
            resources("get", "*", "*/scale"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "endpoint-controller",
        rules: &[
            resources("get list watch", "core", "pods services"),
            resources("create delete get list update watch", "core", "endpoints"),
            resources("create", "core", "endpoints/restricted"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "endpointslice-controller",
        rules: &[
            resources("get list watch", "core", "nodes pods services"),
            resources("update", "core", "services/finalizers"),
            resources("create delete get list update watch", "discovery.k8s.io", "endpointslices"),
            resources("create", "discovery.k8s.io", "endpointslices/restricted"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "endpointslicemirroring-controller",
        rules: &[
            resources("get list watch", "core", "endpoints services"),
            resources("update", "core", "services/finalizers"),
            resources("update", "core", "endpoints/finalizers"),
            resources("create delete get list update watch", "discovery.k8s.io", "endpointslices"),
            resources("create", "discovery.k8s.io", "endpointslices/restricted"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "ephemeral-volume-controller",
        rules: &[
            resources("get list watch", "core", "pods"),
            resources("update", "core", "pods/finalizers"),
            resources("create get list watch", "core", "persistentvolumeclaims"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "expand-controller",
        rules: &[
            resources("get list patch update watch", "core", "persistentvolumes"),
            resources("patch update", "core", "persistentvolumeclaims/status"),
            resources("get list watch", "core", "persistentvolumeclaims"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "generic-garbage-collector",
        rules: &[
            resources("delete get list patch update watch", "*", "*"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "horizontal-pod-autoscaler",
        rules: &[
            resources("get list watch", "autoscaling", "horizontalpodautoscalers"),
            resources("update", "autoscaling", "horizontalpodautoscalers/status"),
            resources("get update", "*", "*/scale"),
            resources("list watch", "core", "pods"),
            resources("list watch", "metrics.k8s.io", "pods"),
            resources("get list watch", "custom.metrics.k8s.io", "*"),
            resources("get list watch", "external.metrics.k8s.io", "*"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "job-controller",
        rules: &[
            resources("get list patch update watch", "batch", "jobs"),
            resources("update", "batch", "jobs/status"),
            resources("update", "batch", "jobs/finalizers"),
            resources("create delete list patch watch", "core", "pods"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "legacy-service-account-token-cleaner",
        rules: &[
            named("get", "core", "configmaps", "kube-apiserver-legacy-service-account-token-tracking"),
            resources("delete patch", "core", "secrets"),
        ],
    },
    ControllerRow {
        name: "namespace-controller",
        rules: &[
            resources("delete get list watch", "core", "namespaces"),
            resources("update", "core", "namespaces/finalize namespaces/status"),
            resources("delete deletecollection get list watch", "*", "*"),
        ],
    },
    ControllerRow {
        name: "node-controller",
        rules: &[
            resources("delete get list patch update watch", "core", "nodes"),
            resources("patch update", "core", "nodes/status"),
            resources("patch update", "core", "pods/status"),
            resources("delete get list watch", "core", "pods"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "persistent-volume-binder",
        rules: &[
            resources("create delete get list update watch", "core", "persistentvolumes"),
            resources("update", "core", "persistentvolumes/status"),
            resources("get list update watch", "core", "persistentvolumeclaims"),
            resources("update", "core", "persistentvolumeclaims/status"),
            resources("create delete get list watch", "core", "pods"),
            resources("get list watch", "storage.k8s.io", "storageclasses"),
            resources("list watch", "core", "nodes"),
            resources("create patch update", "core events.k8s.io", "events"),
            resources("watch", "core", "events"),
        ],
    },
    ControllerRow {
        name: "pod-garbage-collector",
        rules: &[
            resources("delete list watch", "core", "pods"),
            resources("get list watch", "core", "nodes"),
            resources("patch", "core", "pods/status"),
        ],
    },
    ControllerRow {
        name: "pv-protection-controller",
        rules: &[
            resources("get list update watch", "core", "persistentvolumes"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "pvc-protection-controller",
        rules: &[
            resources("get list update watch", "core", "persistentvolumeclaims"),
            resources("update", "core", "persistentvolumeclaims/status"),
            resources("get list watch", "core", "pods"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "replicaset-controller",
        rules: &[
            resources("get list update watch", "apps extensions", "replicasets"),
            resources("update", "apps extensions", "replicasets/status"),
            resources("update", "apps extensions", "replicasets/finalizers"),
            resources("create delete list patch watch", "core", "pods"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "replication-controller",
        rules: &[
            resources("get list update watch", "core", "replicationcontrollers"),
            resources("update", "core", "replicationcontrollers/status"),
            resources("update", "core", "replicationcontrollers/finalizers"),
            resources("create delete list patch watch", "core", "pods"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "resource-claim-controller",
        rules: &[
            resources("get list watch", "core", "pods"),
            resources("update", "core", "pods/finalizers"),
            resources("create delete get list watch", "resource.k8s.io", "resourceclaims"),
            resources("patch update", "resource.k8s.io", "resourceclaims resourceclaims/status"),
            resources("patch update", "core", "pods/status"),
            resources("create patch update", "core events.k8s.io", "events"),
            resources("patch update", "resource.k8s.io", "resourceclaims/binding"),
        ],
    },
    ControllerRow {
        name: "resourcequota-controller",
        rules: &[
            resources("list watch", "*", "*"),
            resources("update", "core", "resourcequotas/status"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "root-ca-cert-publisher",
        rules: &[
            resources("create update", "core", "configmaps"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "route-controller",
        rules: &[
            resources("list watch", "core", "nodes"),
            resources("patch", "core", "nodes/status"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "selinux-warning-controller",
        rules: &[
            resources("create patch update", "core events.k8s.io", "events"),
            resources("get list watch", "core", "persistentvolumes"),
            resources("get list watch", "core", "persistentvolumeclaims"),
            resources("get list watch", "core", "pods"),
            resources("get list watch", "storage.k8s.io", "csidrivers"),
        ],
    },
    ControllerRow {
        name: "service-account-controller",
        rules: &[
            resources("create", "core", "serviceaccounts"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "service-ca-cert-publisher",
        rules: &[
            resources("create update", "core", "configmaps"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "service-cidrs-controller",
        rules: &[
            resources("get list patch update watch", "networking.k8s.io", "servicecidrs"),
            resources("patch update", "networking.k8s.io", "servicecidrs/finalizers"),
            resources("patch update", "networking.k8s.io", "servicecidrs/status"),
            resources("get list watch", "networking.k8s.io", "ipaddresses"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "service-controller",
        rules: &[
            resources("get list watch", "core", "services"),
            resources("patch update", "core", "services/status"),
            resources("list watch", "core", "nodes"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "statefulset-controller",
        rules: &[
            resources("list watch", "core", "pods"),
            resources("get list watch", "apps", "statefulsets"),
            resources("update", "apps", "statefulsets/status"),
            resources("update", "apps", "statefulsets/finalizers"),
            resources("create delete get patch update", "core", "pods"),
            resources("create delete get list patch update watch", "apps", "controllerrevisions"),
            resources("create get list watch", "core", "persistentvolumeclaims"),
            resources("delete update", "core", "persistentvolumeclaims"),
            resources("update", "core", "pods/finalizers"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "ttl-after-finished-controller",
        rules: &[
            resources("delete get list watch", "batch", "jobs"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "ttl-controller",
        rules: &[
            resources("list patch update watch", "core", "nodes"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "validatingadmissionpolicy-status-controller",
        rules: &[
            resources("get list watch", "admissionregistration.k8s.io", "validatingadmissionpolicies"),
            resources("get patch update", "admissionregistration.k8s.io", "validatingadmissionpolicies/status"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    ControllerRow {
        name: "volumeattributesclass-protection-controller",
        rules: &[
            resources("get list watch", "core", "persistentvolumeclaims"),
            resources("get list watch", "core", "persistentvolumes"),
            resources("get list update watch", "storage.k8s.io", "volumeattributesclasses"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
];
