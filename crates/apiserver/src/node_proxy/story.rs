//! What the nodes remember of the Pods of a name, also of those that are gone, and what the scheduler last found for it: a
//! subresource of ours, `pods/story`.
//!
//! A Pod that is gone does not tell any more which node it was on, so every node is asked; one that does not answer is
//! named in the answer.

use http::StatusCode;
use serde_json::{Value, json};
use tracing::debug;

use super::kubelet_url;
use crate::error::Error;
use crate::handlers::Target;
use crate::negotiate::{self, Accepted};
use crate::request::{Request, Response};
use crate::watch_cache::ListRequest;

/// Answers with the stories that the nodes tell, the latest Pod first.
///
/// # Errors
/// None but those of this server: a node that cannot be asked is part of the answer.
pub async fn tell(target: Target<'_>, request: &Request) -> Result<Response, Error> {
    let url = kubelet_url::story(&target.path.namespace, &target.path.name, request.query.get("uid"));
    let (mut stories, mut unreachable) = (Vec::new(), Vec::new());
    for node in node_names(&target).await {
        match ask(&target, &node, &url).await {
            Ok(told) => stories.extend(told),
            Err(error) => {
                debug!(node, %error, "a node does not tell what befell a Pod");
                unreachable.push(node);
            }
        }
    }
    stories.sort_by_key(|story| std::cmp::Reverse(story["createdAt"].as_str().map(str::to_owned)));
    let scheduling = target.server.companions.scheduling(&target.path.namespace, &target.path.name);
    let answer = json!({ "stories": stories, "unreachable": unreachable, "scheduling": scheduling });
    Ok(negotiate::object(StatusCode::OK, Accepted::JSON, answer.to_string()))
}

async fn node_names(target: &Target<'_>) -> Vec<String> {
    target.server.caches.settled().await;
    // The newest state is always there.
    let listing = target.server.core("nodes").and_then(|nodes| nodes.cache.list(&ListRequest::default()).ok());
    listing.into_iter().flat_map(|listing| listing.entries).map(|entry| entry.facts.name.to_string()).collect()
}

async fn ask(target: &Target<'_>, node: &str, url: &str) -> Result<Vec<Value>, Error> {
    let body = super::fetch(target.server, node, url).await?;
    let told: Result<Value, _> = serde_json::from_slice(&body);
    let mut told = told.map_err(|error| Error::Internal(format!("reading a kubelet's answer: {error}")))?;
    let mut stories = told["stories"].as_array_mut().map(std::mem::take).unwrap_or_default();
    stories.iter_mut().for_each(|story| story["node"] = Value::from(node));
    Ok(stories)
}
