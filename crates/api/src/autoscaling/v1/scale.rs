//! Scales: how many replicas something has and shall have. No object is one; the `scale` subresource of many kinds is.

use k8s_openapi::api::autoscaling::v1::{Scale, ScaleSpec, ScaleStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::field::{ErrorList, Path, check_not_negative};
use crate::meta::{Scope, validate_meta};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

impl Kind for Scale {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self.spec.get_or_insert_default() => replicas);
        omit_empty!(self.status.get_or_insert_default() => selector);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        let path = Path::new("spec");
        check_not_negative(&mut errors, &path.child("replicas"), self.spec.as_ref().and_then(|spec| spec.replicas));
        errors
    }

    fn validate_update(&self, _old: &Self) -> ErrorList {
        self.validate()
    }

    fn validate_status_update(&self, _old: &Self) -> ErrorList {
        self.validate()
    }
}

/// What a Scale tells of the object it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replicas {
    /// How many there shall be.
    pub desired: i32,
    /// How many there are.
    pub current: i32,
    /// Which Pods they are, as a selector's text.
    pub selector: String,
}

/// The Scale of an object.
pub fn scale_of(meta: &ObjectMeta, replicas: Replicas) -> Scale {
    let mut scale = Scale {
        metadata: ObjectMeta {
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            creation_timestamp: meta.creation_timestamp.clone(),
            ..ObjectMeta::default()
        },
        spec: Some(ScaleSpec { replicas: Some(replicas.desired) }),
        status: Some(ScaleStatus { replicas: replicas.current, selector: Some(replicas.selector) }),
    };
    scale.set_defaults();
    scale
}
