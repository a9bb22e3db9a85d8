//! The rbac.authorization.k8s.io group: four kinds without rules beyond defaults and validation. That nobody gives away
//! more than they hold is admission's to see to.

use std::marker::PhantomData;

use api::k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use api::rbac::v1::GROUP;
use api::{Gvk, Kind};

use super::strategy::{AnyStrategy, Strategy};
use super::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

/// The row of ClusterRoleBindings.
pub static CLUSTER_ROLE_BINDINGS: Resource =
    cluster("ClusterRoleBinding", ["clusterrolebindings", "clusterrolebinding"], &Rules::<ClusterRoleBinding>::NEW);
/// The row of ClusterRoles.
pub static CLUSTER_ROLES: Resource =
    cluster("ClusterRole", ["clusterroles", "clusterrole"], &Rules::<ClusterRole>::NEW);
/// The row of RoleBindings.
pub static ROLE_BINDINGS: Resource =
    namespaced("RoleBinding", ["rolebindings", "rolebinding"], &Rules::<RoleBinding>::NEW);
/// The row of Roles.
pub static ROLES: Resource = namespaced("Role", ["roles", "role"], &Rules::<Role>::NEW);

const fn cluster(kind: &'static str, names: [&'static str; 2], strategy: &'static dyn AnyStrategy) -> Resource {
    resource(kind, names, false, strategy)
}

const fn namespaced(kind: &'static str, names: [&'static str; 2], strategy: &'static dyn AnyStrategy) -> Resource {
    resource(kind, names, true, strategy)
}

const fn resource(
    kind: &'static str,
    [plural, singular]: [&'static str; 2],
    namespaced: bool,
    strategy: &'static dyn AnyStrategy,
) -> Resource {
    Resource {
        info: ResourceInfo {
            gvk: Gvk { group: GROUP, version: "v1", kind },
            plural,
            singular,
            short_names: &[],
            categories: &[],
            namespaced,
            verbs: ALL_VERBS,
            subresources: &[],
        },
        backing: Backing::Stored(Stored { path: plural, strategy, selectable: &[] }),
        actions: &[],
    }
}

/// The rules of one of the kinds: none beyond defaults and validation.
struct Rules<K>(PhantomData<fn(K)>);

impl<K> Rules<K> {
    const NEW: Self = Self(PhantomData);
}

impl<K: Kind> Strategy for Rules<K> {
    type Kind = K;
}
