//! One handler per verb, the same for every resource. Here: from a request to its handler.

use std::sync::Arc;

use http::Method;
use platform::tasks::{self, TaskKind};
use tokio::sync::oneshot;

use crate::api_server::Server;
use crate::error::Error;
use crate::filters::request_info::ResourcePath;
use crate::node_proxy;
use crate::registry::strategy::Part;
use crate::registry::{self, Action, Backing, Kept, Resource};
use crate::request::{Request, Response};
use crate::watch_cache::in_namespace;

mod binding;
mod components;
mod create;
mod decode;
mod delete;
mod delete_collection;
mod eviction;
mod forms;
mod get;
pub mod health;
mod list;
mod metrics;
mod options;
mod owner_references;
mod patch;
mod paths;
mod reviews;
mod scale;
mod token;
mod update;
mod watch;

pub use forms::add_warnings;

/// A resource request on its way to a handler.
pub struct Target<'a> {
    /// The server.
    pub server: &'a Arc<Server>,
    /// The resource.
    pub kept: &'a Arc<Kept>,
    /// The path.
    pub path: &'a ResourcePath,
}

/// Answers an authorized request.
///
/// # Errors
/// Whatever refuses it.
pub async fn handle(server: &Arc<Server>, request: Request) -> Result<Response, Error> {
    let Some(path) = request.info.resource.clone() else { return paths::answer(server, &request).await };
    let resource = registry::lookup(&path.group, &path.version, &path.resource);
    let resource = resource.filter(|resource| server.runtime_config.serves(resource)).ok_or(Error::UnknownPath)?;
    let action = find_action(resource, &path)?;
    let proxied = action == Some(Action::Proxy);
    if !proxied && (request.method == Method::HEAD || request.method == Method::OPTIONS) {
        return Err(Error::MethodNotAllowed);
    }
    match &resource.backing {
        Backing::Metrics(metrics) => metrics::answer(server, resource, *metrics, &path, request).await,
        Backing::Components => components::answer(server, resource, &path, request).await,
        Backing::Virtual(backing) => reviews::answer(server, resource, *backing, &path, request).await,
        Backing::Stored(_) | Backing::View { .. } => {
            let kept = server.kept(resource).ok_or(Error::UnknownPath)?;
            let takes = kept.strategy.allocator().is_some() || is_limited(server, &path);
            if takes && is_write(&request) && !proxied {
                return to_the_end(Arc::clone(server), Arc::clone(kept), path, action, request).await;
            }
            route(Target { server, kept, path: &path }, action, request).await
        }
    }
}

async fn route(target: Target<'_>, action: Option<Action>, request: Request) -> Result<Response, Error> {
    match action {
        None => whole(target, request).await,
        Some(action) => below(target, action, request).await,
    }
}

fn is_write(request: &Request) -> bool {
    matches!(request.info.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
}

/// Whether there are quotas to charge.
fn is_limited(server: &Server, path: &ResourcePath) -> bool {
    !path.namespace.is_empty()
        && matches!(path.subresource.as_str(), "" | "status" | "resize")
        && !in_namespace(&server.resource_quotas.all(), &path.namespace).is_empty()
}

/// Answers a write that may take things from pools or quotas, and goes on when the client does not wait for it: halfway, it would
/// keep them for nobody.
async fn to_the_end(
    server: Arc<Server>,
    kept: Arc<Kept>,
    path: ResourcePath,
    action: Option<Action>,
    request: Request,
) -> Result<Response, Error> {
    let (answer, answered) = oneshot::channel();
    tasks::spawn(TaskKind::Worker, "write", async move {
        let outcome = route(Target { server: &server, kept: &kept, path: &path }, action, request).await;
        _ = answer.send(outcome); // nobody may be waiting any more
    });
    answered.await.unwrap_or_else(|_| Err(Error::Internal("the write ended before its time".to_owned())))
}

/// Checks that a path exists; returns what its subresource does.
fn find_action(resource: &Resource, path: &ResourcePath) -> Result<Option<Action>, Error> {
    let namespaced = resource.info.namespaced;
    let own_name = resource.info.plural == "namespaces" && path.namespace == path.name;
    if !namespaced && !path.namespace.is_empty() && !own_name {
        return Err(Error::UnknownPath);
    }
    if namespaced && path.named_in_path && path.namespace.is_empty() {
        return Err(Error::UnknownPath);
    }
    if path.subresource.is_empty() {
        return if path.rest.is_empty() { Ok(None) } else { Err(Error::UnknownPath) };
    }
    resource.action(&path.subresource).map(Some).ok_or(Error::UnknownPath)
}

/// A request for objects themselves.
async fn whole(target: Target<'_>, request: Request) -> Result<Response, Error> {
    let resource = target.kept.resource;
    if !resource.allows(&request.info.verb) {
        return Err(Error::MethodNotAllowed);
    }
    let named = target.path.named_in_path;
    // Objects of all namespaces can be listed and watched, nothing else.
    let everywhere = resource.info.namespaced && target.path.namespace.is_empty();
    match request.info.verb.as_str() {
        "get" if named => get::get(target, request).await,
        "list" => list::list(target, request).await,
        "watch" => watch::watch(target, request).await,
        "create" if !named && !everywhere => create::create(target, request).await,
        "update" if named => update::update(target, Part::Whole, request).await,
        "patch" if named => patch::patch(target, Part::Whole, request).await,
        "delete" if named => delete::delete(target, request).await,
        "deletecollection" if !everywhere => delete_collection::delete_collection(target, request).await,
        _ => Err(Error::MethodNotAllowed),
    }
}

/// A request for a subresource.
async fn below(target: Target<'_>, action: Action, request: Request) -> Result<Response, Error> {
    if action == Action::Proxy {
        return node_proxy::proxy::forward(target, request).await;
    }
    if matches!(action, Action::Story) && request.info.verb == "get" {
        return node_proxy::story::tell(target, &request).await;
    }
    let subresource = &target.path.subresource;
    let info = target.kept.resource.info.subresources.iter().find(|info| info.name == subresource);
    if !info.is_some_and(|info| info.verbs.contains(&request.info.verb.as_str())) {
        return Err(Error::MethodNotAllowed);
    }
    match (action, request.info.verb.as_str()) {
        (Action::Part(_) | Action::Read, "get") => get::get(target, request).await,
        (Action::Part(part), "update") => update::update(target, part, request).await,
        (Action::Part(part), "patch") => patch::patch(target, part, request).await,
        (Action::Scale(_), "get") => scale::get(target, request).await,
        (Action::Scale(resource), "update") => scale::update(target, resource, request).await,
        (Action::Scale(resource), "patch") => scale::patch(target, resource, request).await,
        (Action::Binding, _) => binding::bind(target, request).await,
        (Action::Eviction, _) => eviction::evict(target, request).await,
        (Action::Token, _) => token::create(target, request).await,
        (Action::Node(call), _) => node_proxy::forward(target, call, request).await,
        _ => Err(Error::MethodNotAllowed),
    }
}
