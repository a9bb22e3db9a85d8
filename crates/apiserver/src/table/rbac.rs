//! Columns of bindings. Roles have none of their own.

use api::Object;
use api::k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject};
use api::rbac::v1::{GROUP_KIND, SERVICE_ACCOUNT_KIND, USER_KIND};
use jiff::Timestamp;

use super::{AGE, Columns, NAME, Row, age, column, name, typed, wide};

// The columns' texts are older than the fields'.
const CLUSTER_ROLE_REF: &str = "RoleRef can only reference a ClusterRole in the global namespace. If the RoleRef cannot \
                                be resolved, the Authorizer must return an error.";
const ROLE_REF: &str = "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. \
                        If the RoleRef cannot be resolved, the Authorizer must return an error.";

pub(super) static CLUSTER_ROLE_BINDING: Columns = Columns {
    definitions: &[
        NAME,
        column("Role", CLUSTER_ROLE_REF),
        AGE,
        wide("Users", "Users in the clusterRoleBinding"),
        wide("Groups", "Groups in the clusterRoleBinding"),
        wide("ServiceAccounts", "ServiceAccounts in the clusterRoleBinding"),
    ],
    row: |object, now| {
        let binding = typed::<ClusterRoleBinding>(object);
        row(object, now, &binding.role_ref, binding.subjects.as_deref())
    },
};

pub(super) static ROLE_BINDING: Columns = Columns {
    definitions: &[
        NAME,
        column("Role", ROLE_REF),
        AGE,
        wide("Users", "Users in the roleBinding"),
        wide("Groups", "Groups in the roleBinding"),
        wide("ServiceAccounts", "ServiceAccounts in the roleBinding"),
    ],
    row: |object, now| {
        let binding = typed::<RoleBinding>(object);
        row(object, now, &binding.role_ref, binding.subjects.as_deref())
    },
};

fn row(object: &dyn Object, now: Timestamp, role: &RoleRef, subjects: Option<&[Subject]>) -> Row {
    let of_kind = |kind: &str| {
        let subjects = subjects.unwrap_or_default().iter().filter(|subject| subject.kind == kind);
        let shown = subjects.map(|subject| match (kind, subject.namespace.as_deref()) {
            (SERVICE_ACCOUNT_KIND, namespace) => format!("{}/{}", namespace.unwrap_or_default(), subject.name),
            _ => subject.name.clone(),
        });
        shown.collect::<Vec<_>>().join(", ").into()
    };
    Row::from(vec![
        name(object),
        format!("{}/{}", role.kind, role.name).into(),
        age(object, now),
        of_kind(USER_KIND),
        of_kind(GROUP_KIND),
        of_kind(SERVICE_ACCOUNT_KIND),
    ])
}
