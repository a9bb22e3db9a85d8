//! `audit.k8s.io/v1 Event`, in the shape it has in the log.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::policy::Stage;
use crate::filters::request_info::ResourcePath;
use crate::identity::UserInfo;
use crate::status::{Details, Status};

/// What an event tells, but for what differs from stage to stage.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    #[serde(skip)]
    pub level: &'static str,
    #[serde(skip)]
    pub audit_id: String,
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    pub verb: String,
    pub user: User,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonated_user: Option<User>,
    #[serde(rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    pub source_ips: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_ref: Option<ObjectReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_status: Option<ResponseStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_object: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_object: Option<Value>,
    #[serde(rename = "requestReceivedTimestamp")]
    pub received: String,
}

/// An event at one stage.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Staged<'a> {
    kind: &'static str,
    api_version: &'static str,
    level: &'static str,
    #[serde(rename = "auditID")]
    audit_id: &'a str,
    stage: &'static str,
    #[serde(flatten)]
    event: &'a Event,
    stage_timestamp: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

impl Event {
    /// The event as one line.
    pub fn line(&self, stage: Stage, at: Timestamp, annotations: &BTreeMap<String, String>) -> Vec<u8> {
        let staged = Staged {
            kind: "Event",
            api_version: "audit.k8s.io/v1",
            level: self.level,
            audit_id: &self.audit_id,
            stage: stage.name(),
            event: self,
            stage_timestamp: micros(at),
            annotations,
        };
        let mut line = serde_json::to_vec(&staged).expect("texts and trees always encode");
        line.push(b'\n');
        line
    }
}

/// A time as `MicroTime` writes it.
pub fn micros(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// A user.
#[derive(Debug, Default, Serialize)]
pub struct User {
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// What is known of a user.
    pub fn of(user: &UserInfo) -> Self {
        Self {
            username: user.name.clone(),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
            extra: user.extra.clone(),
        }
    }
}

/// What a request is about.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    #[serde(skip_serializing_if = "String::is_empty")]
    resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    api_group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    resource_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    subresource: String,
}

impl ObjectReference {
    /// What the path says.
    pub fn of(at: &ResourcePath) -> Self {
        Self {
            resource: at.resource.clone(),
            namespace: at.namespace.clone(),
            name: at.name.clone(),
            api_group: at.group.clone(),
            api_version: at.version.clone(),
            subresource: at.subresource.clone(),
            ..Self::default()
        }
    }

    /// What the path does not say and the object does.
    pub fn complete(&mut self, object: &Value) {
        let metadata = &object["metadata"];
        let fill = |field: &mut String, name: &str| {
            if let (true, Some(value)) = (field.is_empty(), metadata[name].as_str()) {
                value.clone_into(field);
            }
        };
        fill(&mut self.namespace, "namespace");
        fill(&mut self.name, "name");
        fill(&mut self.uid, "uid");
        fill(&mut self.resource_version, "resourceVersion");
    }
}

/// How a request ended.
#[derive(Debug, Default, Serialize)]
pub struct ResponseStatus {
    metadata: Empty,
    #[serde(skip_serializing_if = "str::is_empty")]
    status: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    code: u16,
}

#[derive(Debug, Default, Serialize)]
struct Empty {}

impl ResponseStatus {
    /// With what the client was told, when that was an error.
    pub fn of(status: Option<&Status>, code: u16) -> Self {
        let Some(status) = status else { return Self { code, ..Self::default() } };
        Self {
            status: status.status,
            message: status.message.clone(),
            reason: status.reason,
            details: status.details.clone(),
            code,
            ..Self::default()
        }
    }

    /// The server has a defect.
    pub fn of_panic() -> Self {
        let message = "APIServer panic'd: a handler panicked".to_owned();
        Self { status: "Failure", message, reason: "InternalError", code: 500, ..Self::default() }
    }

    /// The client went away before there was an answer.
    pub fn closed_early() -> Self {
        Self { status: "Success", message: "Connection closed early".to_owned(), code: 200, ..Self::default() }
    }
}
