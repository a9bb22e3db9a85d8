//! `componentstatuses`: the control plane's parts. Deprecated; some still ask.
//!
//! They are parts of this process: who answers at all has a scheduler and controllers that run. The store may still fail.

use std::sync::Arc;

use api::k8s_openapi::api::core::v1::{ComponentCondition, ComponentStatus};
use api::{Object, fields, labels};
use http::StatusCode;
use serde_json::json;

use super::health;
use crate::api_server::Server;
use crate::error::Error;
use crate::filters::request_info::ResourcePath;
use crate::negotiate::{self, Form, IncludeObject, MEDIA_TYPES};
use crate::registry::Resource;
use crate::request::{Request, Response};
use crate::table;
use crate::table::write::{Headers, Source};

const SCHEDULER: &str = "scheduler";
const CONTROLLERS: &str = "controller-manager";
const STORE: &str = "etcd-0";

/// Answers `get` and `list`.
///
/// # Errors
/// [`Error::NotFound`] for other parts.
pub async fn answer(
    server: &Arc<Server>,
    resource: &'static Resource,
    path: &ResourcePath,
    request: Request,
) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, true)?;
    let store_is_well = health::follows_the_store(server).await;
    let parts = [(STORE, store_is_well), (SCHEDULER, true), (CONTROLLERS, true)];
    let named = path.named_in_path;
    let statuses: Vec<ComponentStatus> = match request.info.verb.as_str() {
        "get" if named => {
            let missing = || Error::not_found(resource.group_resource(), &path.name);
            let (name, well) = parts.iter().find(|(name, _)| *name == path.name).ok_or_else(missing)?;
            vec![status(name, *well)]
        }
        "list" if !named => {
            let selected = selection(&request)?;
            parts.iter().filter(|(name, _)| selected(name)).map(|(name, well)| status(name, *well)).collect()
        }
        _ => return Err(Error::MethodNotAllowed),
    };
    let json = match accepted.form {
        Form::Table(include) => as_table(resource, &statuses, include, server),
        Form::Object | Form::Partial => {
            let values: Vec<_> = statuses.iter().map(Object::to_value).collect();
            let answer = match values.as_slice() {
                [value] if named => value.clone(),
                values => json!({
                    "kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {"resourceVersion": ""}, "items": values,
                }),
            };
            answer.to_string().into_bytes()
        }
    };
    Ok(negotiate::object(StatusCode::OK, accepted, json))
}

/// Which parts the selectors mean; none has labels.
fn selection(request: &Request) -> Result<impl Fn(&str) -> bool, Error> {
    let refuse = |error: String| Error::BadRequest(error);
    let selector = request.query.get("labelSelector").unwrap_or_default();
    let by_label = labels::Selector::parse(selector).map_err(|error| refuse(error.to_string()))?;
    let selector = request.query.get("fieldSelector").unwrap_or_default();
    let by_field = fields::Selector::parse(selector).map_err(|error| refuse(error.to_string()))?;
    Ok(move |name: &str| {
        by_label.matches(None) && by_field.matches(|field| if field == "metadata.name" { name } else { "" })
    })
}

fn status(name: &str, well: bool) -> ComponentStatus {
    let mut status = ComponentStatus::default();
    status.metadata.name = Some(name.to_owned());
    let (word, message, error) = match well {
        true => ("True", "ok", None),
        false => ("False", "", Some("the store is ahead of what is served".to_owned())),
    };
    status.conditions = Some(vec![ComponentCondition {
        type_: "Healthy".to_owned(),
        status: word.to_owned(),
        message: Some(message.to_owned()),
        error,
    }]);
    status
}

fn as_table(resource: &Resource, statuses: &[ComponentStatus], include: IncludeObject, server: &Server) -> Vec<u8> {
    let encoded: Vec<(Vec<u8>, Vec<u8>)> = statuses
        .iter()
        .map(|status| (status.to_json(), json!({"name": status.metadata.name}).to_string().into_bytes()))
        .collect();
    let sources =
        statuses.iter().zip(&encoded).map(|(status, (json, metadata))| Source { object: status, json, metadata });
    let columns = table::columns_for(*resource.gvk());
    table::write::table(columns, br#"{"resourceVersion":""}"#, sources, include, Headers::Shown, server.now())
}
