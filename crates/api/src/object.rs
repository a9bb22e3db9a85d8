//! What every built-in kind can do ([`Kind`]), and the same without naming the kind ([`Object`]).

use std::any::Any;
use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::field::ErrorList;

/// Group, version and kind. The core group is the empty string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gvk {
    /// API group.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
}

impl Gvk {
    /// Group and version as objects name them.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// A built-in kind: its type with the rules that hold for it wherever it is used. What only a server does with it
/// (clearing status, admission, columns) is the API server's registry.
pub trait Kind:
    k8s_openapi::Resource
    + k8s_openapi::Metadata<Ty = ObjectMeta>
    + Clone
    + Debug
    + PartialEq
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Fills what the user left out and brings values to their canonical form, so that the object encodes as upstream
    /// would answer it. Idempotent.
    fn set_defaults(&mut self);

    /// Every problem of a new object, `metadata` included.
    fn validate(&self) -> ErrorList;

    /// Every problem of replacing `old` by this, beyond those of [`Kind::validate`], which is called as well where
    /// upstream does; implementations return the complete list.
    fn validate_update(&self, old: &Self) -> ErrorList;

    /// Every problem of replacing `old` by this through the `status` subresource.
    fn validate_status_update(&self, old: &Self) -> ErrorList;

    /// What is fine but hardly meant: texts of `Warning` headers, for writes that succeed.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// The same for a write that replaces `old`.
    fn update_warnings(&self, _old: &Self) -> Vec<String> {
        self.warnings()
    }
}

/// An object of any kind. Implemented for every [`Kind`]; an unstructured object can implement it later.
pub trait Object: Any + Debug + Send + Sync {
    /// Its group, version and kind.
    fn gvk(&self) -> Gvk;
    /// Its metadata.
    fn metadata(&self) -> &ObjectMeta;
    /// Its metadata, to change.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
    /// See [`Kind::set_defaults`].
    fn set_defaults(&mut self);
    /// See [`Kind::validate`].
    fn validate(&self) -> ErrorList;
    /// See [`Kind::warnings`].
    fn warnings(&self) -> Vec<String>;
    /// See [`Kind::update_warnings`]. `old` must be of the same kind.
    fn update_warnings(&self, old: &dyn Object) -> Vec<String>;
    /// The object as JSON text.
    fn to_json(&self) -> Vec<u8>;
    /// The object as a JSON tree.
    fn to_value(&self) -> serde_json::Value;
    /// A copy.
    fn clone_object(&self) -> Box<dyn Object>;
    /// Whether both are equal; objects of different kinds are not.
    fn equals(&self, other: &dyn Object) -> bool;
    /// For downcasting.
    fn as_any(&self) -> &dyn Any;
    /// For downcasting.
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// For downcasting.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

/// Why a tree or text is not an object: only a foreign type of serde's can make encoding fail, ours cannot.
const ENCODES: &str = "k8s-openapi types always encode";
/// A registry never mixes kinds.
const SAME_KIND: &str = "both objects are of one kind";

impl<K: Kind> Object for K {
    fn gvk(&self) -> Gvk {
        Gvk { group: K::GROUP, version: K::VERSION, kind: K::KIND }
    }

    fn metadata(&self) -> &ObjectMeta {
        k8s_openapi::Metadata::metadata(self)
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        k8s_openapi::Metadata::metadata_mut(self)
    }

    fn set_defaults(&mut self) {
        Kind::set_defaults(self);
    }

    fn validate(&self) -> ErrorList {
        Kind::validate(self)
    }

    fn warnings(&self) -> Vec<String> {
        Kind::warnings(self)
    }

    fn update_warnings(&self, old: &dyn Object) -> Vec<String> {
        Kind::update_warnings(self, old.as_any().downcast_ref().expect(SAME_KIND))
    }

    fn to_json(&self) -> Vec<u8> {
        crate::encode::to_vec(self).expect(ENCODES)
    }

    fn to_value(&self) -> serde_json::Value {
        crate::encode::to_value(self).expect(ENCODES)
    }

    fn clone_object(&self) -> Box<dyn Object> {
        Box::new(self.clone())
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<K>().is_some_and(|other| self == other)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
