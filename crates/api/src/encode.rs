//! JSON as upstream writes it: some fields are there even when they are unset, then as `null`.
//!
//! k8s-openapi leaves every unset field out. The serializer here passes everything through to serde_json's and puts
//! those few fields back, by the name of the struct they belong to; no intermediate tree is built. One field it treats
//! the other way round: an empty name of a local reference is not written.

use serde::Serialize;
use serde::ser::SerializeStruct;
use serde_json::json;

mod forward;
#[cfg(test)]
mod tests;

use forward::{Forward, Wrapped};

/// The fields upstream writes as `null` when they are unset, by struct.
fn always_written(name: &str) -> &'static [&'static str] {
    match name {
        "EndpointSlice" => &["endpoints", "ports"],
        "Event" => CORE_EVENT,
        "PodCondition" => &["lastProbeTime", "lastTransitionTime"],
        "NodeCondition" => &["lastHeartbeatTime", "lastTransitionTime"],
        "CustomResourceDefinitionStatus" => &["conditions"],
        "ContainerStateRunning" => &["startedAt"],
        "ContainerStateTerminated" => &["startedAt", "finishedAt"],
        "Role" | "ClusterRole" => &["rules"],
        _ => &[],
    }
}

/// The two kinds of Events bear the same name; the first field that only the newer ones always have tells them apart.
const CORE_EVENT: &[&str] = &["eventTime", "firstTimestamp", "lastTimestamp"];
const NEW_EVENT: &[&str] = &["eventTime", "deprecatedFirstTimestamp", "deprecatedLastTimestamp"];
const NEW_EVENT_FIELD: &str = "deprecatedSource";

/// An object as JSON text.
///
/// # Errors
/// When a type refuses to encode; those of Kubernetes never do.
pub fn to_vec<T: Serialize>(object: &T) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(1024);
    object.serialize(Forward(&mut serde_json::Serializer::new(&mut text)))?;
    Ok(text)
}

/// An object as a JSON tree.
///
/// # Errors
/// When a type refuses to encode; those of Kubernetes never do.
pub fn to_value<T: Serialize>(object: &T) -> serde_json::Result<serde_json::Value> {
    object.serialize(Forward(serde_json::value::Serializer))
}

/// A struct being written, and which of its fields still have to be.
struct Completed<S> {
    inner: S,
    always: &'static [&'static str],
    /// One bit for each of `always` that was written.
    written: u8,
    /// Whether the struct's only field, a name, is left out when it is empty.
    omits_name: bool,
    /// A list that is written as `null` when it is empty.
    null_list: Option<&'static str>,
}

impl<S> Completed<S> {
    fn new(inner: S, name: &str) -> Self {
        Self {
            inner,
            always: always_written(name),
            written: 0,
            omits_name: name == "LocalObjectReference",
            // Only the newer of the two types of this name has the field, and it always writes it.
            null_list: (name == "HorizontalPodAutoscalerStatus").then_some("currentMetrics"),
        }
    }
}

impl<S: SerializeStruct> SerializeStruct for Completed<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), S::Error> {
        if self.omits_name && serde_json::to_value(value).is_ok_and(|value| value == "") {
            return Ok(());
        }
        if self.null_list == Some(key) && serde_json::to_value(value).is_ok_and(|value| value == json!([])) {
            return self.inner.serialize_field(key, &());
        }
        if !self.always.is_empty() {
            if key == NEW_EVENT_FIELD || key == NEW_EVENT[1] || key == NEW_EVENT[2] {
                self.always = NEW_EVENT;
            }
            if let Some(position) = self.always.iter().position(|field| *field == key) {
                self.written |= 1 << position;
            }
        }
        self.inner.serialize_field(key, &Wrapped(value))
    }

    fn end(mut self) -> Result<S::Ok, S::Error> {
        for (position, field) in self.always.iter().enumerate() {
            if self.written & (1 << position) == 0 {
                self.inner.serialize_field(field, &())?;
            }
        }
        self.inner.end()
    }
}
