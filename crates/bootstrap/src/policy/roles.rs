//! The Roles of the system's namespaces, and who has them.

use super::{BindingRow, RoleRow, account, named, resources, user};

/// All Roles.
pub(super) static ROLES: &[RoleRow] = &[
    RoleRow {
        namespace: "kube-public",
        name: "system:controller:bootstrap-signer",
        rules: &[
            resources("get list watch", "core", "configmaps"),
            named("update", "core", "configmaps", "cluster-info"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
    RoleRow {
        namespace: "kube-system",
        name: "extension-apiserver-authentication-reader",
        rules: &[named("get list watch", "core", "configmaps", "extension-apiserver-authentication")],
    },
    RoleRow {
        namespace: "kube-system",
        name: "system::leader-locking-kube-controller-manager",
        rules: &[
            resources("create get list update watch", "coordination.k8s.io", "leases"),
            resources("create get list update watch", "coordination.k8s.io", "leasecandidates"),
        ],
    },
    RoleRow {
        namespace: "kube-system",
        name: "system::leader-locking-kube-scheduler",
        rules: &[
            resources("create get list update watch", "coordination.k8s.io", "leases"),
            resources("create get list update watch", "coordination.k8s.io", "leasecandidates"),
        ],
    },
    RoleRow {
        namespace: "kube-system",
        name: "system:controller:bootstrap-signer",
        rules: &[resources("get list watch", "core", "secrets")],
    },
    RoleRow {
        namespace: "kube-system",
        name: "system:controller:cloud-provider",
        rules: &[resources("create get list watch", "core", "configmaps")],
    },
    RoleRow {
        namespace: "kube-system",
        name: "system:controller:token-cleaner",
        rules: &[
            resources("delete get list watch", "core", "secrets"),
            resources("create patch update", "core events.k8s.io", "events"),
        ],
    },
];

/// All RoleBindings.
pub(super) static ROLE_BINDINGS: &[BindingRow] = &[
    BindingRow {
        namespace: "kube-public",
        name: "system:controller:bootstrap-signer",
        role: "system:controller:bootstrap-signer",
        subjects: &[account("bootstrap-signer")],
    },
    BindingRow {
        namespace: "kube-system",
        name: "system::extension-apiserver-authentication-reader",
        role: "extension-apiserver-authentication-reader",
        subjects: &[user("system:kube-controller-manager"), user("system:kube-scheduler")],
    },
    BindingRow {
        namespace: "kube-system",
        name: "system::leader-locking-kube-controller-manager",
        role: "system::leader-locking-kube-controller-manager",
        subjects: &[
            user("system:kube-controller-manager"),
            account("kube-controller-manager"),
            account("leader-election-controller"),
        ],
    },
    BindingRow {
        namespace: "kube-system",
        name: "system::leader-locking-kube-scheduler",
        role: "system::leader-locking-kube-scheduler",
        subjects: &[user("system:kube-scheduler"), account("kube-scheduler")],
    },
    BindingRow {
        namespace: "kube-system",
        name: "system:controller:bootstrap-signer",
        role: "system:controller:bootstrap-signer",
        subjects: &[account("bootstrap-signer")],
    },
    BindingRow {
        namespace: "kube-system",
        name: "system:controller:cloud-provider",
        role: "system:controller:cloud-provider",
        subjects: &[account("cloud-provider")],
    },
    BindingRow {
        namespace: "kube-system",
        name: "system:controller:token-cleaner",
        role: "system:controller:token-cleaner",
        subjects: &[account("token-cleaner")],
    },
];
