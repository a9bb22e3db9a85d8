//! RoleBindings and ClusterRoleBindings.

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject};
use serde::Serialize;

use crate::field::{ErrorList, Json, Path, extend_invalid, invalid, not_supported, required};
use crate::meta::{Scope, text, validate_meta, validate_meta_update};
use crate::names::{path_segment_name, subdomain_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

/// The group of roles, and of users and groups as subjects.
pub const GROUP: &str = "rbac.authorization.k8s.io";
/// A role within a namespace.
pub const ROLE: &str = "Role";
/// A role of the whole cluster.
pub const CLUSTER_ROLE: &str = "ClusterRole";
/// A subject that is a ServiceAccount.
pub const SERVICE_ACCOUNT_KIND: &str = "ServiceAccount";
/// A subject that is a user.
pub const USER_KIND: &str = "User";
/// A subject that is a group.
pub const GROUP_KIND: &str = "Group";

impl Kind for RoleBinding {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self => subjects);
        set_defaults(&mut self.role_ref, self.subjects.as_mut());
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, path_segment_name);
        validate_role_ref(&self.role_ref, &[ROLE, CLUSTER_ROLE], &mut errors);
        validate_subjects(self.subjects.as_deref(), Scope::Namespaced, &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = Kind::validate(self);
        errors.extend(validate_meta_update(&self.metadata, &old.metadata));
        validate_role_ref_kept(&self.role_ref, &old.role_ref, &mut errors);
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

impl Kind for ClusterRoleBinding {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self => subjects);
        set_defaults(&mut self.role_ref, self.subjects.as_mut());
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, path_segment_name);
        validate_role_ref(&self.role_ref, &[CLUSTER_ROLE], &mut errors);
        validate_subjects(self.subjects.as_deref(), Scope::Cluster, &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = Kind::validate(self);
        errors.extend(validate_meta_update(&self.metadata, &old.metadata));
        validate_role_ref_kept(&self.role_ref, &old.role_ref, &mut errors);
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

fn set_defaults(role: &mut RoleRef, subjects: Option<&mut Vec<Subject>>) {
    if text(&role.api_group).is_empty() {
        role.api_group = Some(GROUP.to_owned());
    }
    for subject in subjects.into_iter().flatten() {
        omit_empty!(subject => api_group, namespace);
        if subject.api_group.is_none() && matches!(subject.kind.as_str(), USER_KIND | GROUP_KIND) {
            subject.api_group = Some(GROUP.to_owned());
        }
    }
}

fn validate_role_ref(role: &RoleRef, kinds: &[&str], errors: &mut ErrorList) {
    let path = Path::new("roleRef");
    let group = text(&role.api_group);
    if group != GROUP {
        errors.push(not_supported(&path.child("apiGroup"), group, &[GROUP]));
    }
    if !kinds.contains(&role.kind.as_str()) {
        errors.push(not_supported(&path.child("kind"), &role.kind, kinds));
    }
    let path = path.child("name");
    if role.name.is_empty() {
        errors.push(required(&path, ""));
    } else {
        extend_invalid(errors, &path, &role.name, path_segment_name(&role.name, false));
    }
}

fn validate_role_ref_kept(new: &RoleRef, old: &RoleRef, errors: &mut ErrorList) {
    if new == old {
        return;
    }
    // Upstream shows its own struct here, with Go's field names.
    #[derive(Serialize)]
    struct GoRoleRef<'a> {
        #[serde(rename = "APIGroup")]
        api_group: &'a str,
        #[serde(rename = "Kind")]
        kind: &'a str,
        #[serde(rename = "Name")]
        name: &'a str,
    }
    let shown = GoRoleRef { api_group: text(&new.api_group), kind: &new.kind, name: &new.name };
    errors.push(invalid(&Path::new("roleRef"), Json(&shown), "cannot change roleRef"));
}

fn validate_subjects(subjects: Option<&[Subject]>, scope: Scope, errors: &mut ErrorList) {
    let path = Path::new("subjects");
    for (position, subject) in subjects.unwrap_or_default().iter().enumerate() {
        validate_subject(subject, scope, &path.index(position), errors);
    }
}

fn validate_subject(subject: &Subject, scope: Scope, path: &Path<'_>, errors: &mut ErrorList) {
    if subject.name.is_empty() {
        errors.push(required(&path.child("name"), ""));
    }
    let group = text(&subject.api_group);
    match subject.kind.as_str() {
        SERVICE_ACCOUNT_KIND => {
            if !subject.name.is_empty() {
                extend_invalid(errors, &path.child("name"), &subject.name, subdomain_name(&subject.name, false));
            }
            if !group.is_empty() {
                errors.push(not_supported(&path.child("apiGroup"), group, &[""]));
            }
            if scope == Scope::Cluster && text(&subject.namespace).is_empty() {
                errors.push(required(&path.child("namespace"), ""));
            }
        }
        USER_KIND | GROUP_KIND if group != GROUP => {
            errors.push(not_supported(&path.child("apiGroup"), group, &[GROUP]));
        }
        USER_KIND | GROUP_KIND => {}
        kind => {
            let kinds = [SERVICE_ACCOUNT_KIND, USER_KIND, GROUP_KIND];
            errors.push(not_supported(&path.child("kind"), kind, &kinds));
        }
    }
}
