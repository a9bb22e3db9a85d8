//! What upstream's encoder leaves out: fields that hold their type's zero, unless the field tells unset from zero.
//!
//! The API server answers an object without such fields even where the user wrote them. Each kind lists its own.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// A value that may be its type's zero.
pub(crate) trait Zero {
    fn is_zero(&self) -> bool;
}

impl Zero for String {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl Zero for bool {
    fn is_zero(&self) -> bool {
        !self
    }
}

impl Zero for i32 {
    fn is_zero(&self) -> bool {
        *self == 0
    }
}

impl Zero for i64 {
    fn is_zero(&self) -> bool {
        *self == 0
    }
}

impl<T> Zero for Vec<T> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> Zero for BTreeMap<K, V> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

/// Unsets a field that holds its type's zero.
pub(crate) fn omit<T: Zero>(field: &mut Option<T>) {
    if field.as_ref().is_some_and(Zero::is_zero) {
        *field = None;
    }
}

/// `omit_empty!(value: field, field, ...)` unsets those fields of the value that hold zeros.
macro_rules! omit_empty {
    ($value:expr => $($field:ident),+ $(,)?) => {
        $($crate::omit_empty::omit(&mut $value.$field);)+
    };
}
pub(crate) use omit_empty;

/// The metadata of any object. An empty list of managed fields says something: it takes all entries away.
pub(crate) fn metadata(meta: &mut ObjectMeta) {
    omit_empty!(meta => annotations, finalizers, generate_name, generation, labels, name, namespace,
        owner_references, resource_version, self_link, uid);
}
