//! Version 1 of the rbac.authorization.k8s.io group: roles say what may be done, bindings who may do it.

mod binding;
mod role;
mod rules;
#[cfg(test)]
mod tests;

pub use binding::{CLUSTER_ROLE, GROUP, GROUP_KIND, ROLE, SERVICE_ACCOUNT_KIND, USER_KIND};
pub use rules::{ALL, covers_path, uncovered};
