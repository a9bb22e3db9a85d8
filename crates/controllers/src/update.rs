//! Writing objects as the roles of the controllers want it: most may `update`, few may `patch`.

use std::fmt::Debug;

use kube::api::PostParams;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Which part of an object is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything but its status.
    Whole,
    /// Its status.
    Status,
}

/// Replaces part of an object by what a merge patch makes of it. The write is refused when the object has changed since it
/// was seen.
///
/// # Errors
/// What the API says, or that the patch made something else of the object.
pub async fn merge<K>(api: &Api<K>, seen: &K, part: Part, patch: &Value) -> kube::Result<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let mut object = serde_json::to_value(seen).map_err(kube::Error::SerdeError)?;
    apply(&mut object, patch);
    let object: K = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    let name = seen.meta().name.as_deref().unwrap_or_default();
    match part {
        Part::Whole => api.replace(name, &PostParams::default(), &object).await,
        Part::Status => api.replace_subresource("status", name, &PostParams::default(), &object).await,
    }
}

/// RFC 7396.
fn apply(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(present) = target else { return };
    for (name, value) in fields {
        if value.is_null() {
            present.remove(name);
        } else {
            apply(present.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_removes_and_objects_merge() {
        let mut object = json!({ "a": { "b": 1, "c": 2 }, "list": [1, 2], "old": true });
        apply(&mut object, &json!({ "a": { "b": null, "d": { "e": null, "f": 3 } }, "list": [3], "old": null }));
        assert_eq!(object, json!({ "a": { "c": 2, "d": { "f": 3 } }, "list": [3] }));
    }
}
