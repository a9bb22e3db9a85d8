//! `pods/eviction`: a delete that asks first. A PodDisruptionBudget of the Pod's may object, and is charged otherwise.

use std::sync::Mutex;

use api::core::v1::pod::{self, PHASE_PENDING, conditions};
use api::k8s_openapi::api::core::v1::Pod;
use api::k8s_openapi::api::policy::v1::{Eviction, PodDisruptionBudget, PodDisruptionBudgetStatus};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use api::labels::Selector;
use api::policy::v1::pod_disruption_budget::ALWAYS_ALLOW;
use api::{Gvk, Object};
use http::StatusCode;
use jiff::Timestamp;

use super::options::{WriteOptions, write_context};
use super::{Target, decode, delete};
use crate::body;
use crate::error::{Cause, Error, GroupResource};
use crate::filters::request_info::ResourcePath;
use crate::negotiate::{self, MEDIA_TYPES};
use crate::registry;
use crate::registry::store::DeleteOptions;
use crate::registry::strategy::Part;
use crate::request::{Request, Response};
use crate::status::Status;

#[cfg(test)]
mod tests;

const GVK: Gvk = Gvk { group: "policy", version: "v1", kind: "Eviction" };
const BUDGETS: &str = "poddisruptionbudgets";
const DENIED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
/// So many Pods may be on their way out before their budget's controller must have seen them.
const MAX_DISRUPTED_PODS: usize = 2000;
/// When to come back while a budget's controller catches up.
const RETRY_SECONDS: u32 = 10;

/// Evicts a Pod.
///
/// # Errors
/// Those of a delete, and [`Error::TooManyRequests`] when its budget objects.
pub async fn evict(target: Target<'_>, mut request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, false)?;
    let options = WriteOptions::parse(&request.query, "CreateOptions")?;
    let format = decode::format(&request.headers)?;
    let body = body::read_all(std::mem::take(&mut request.body)).await?;
    let eviction: Eviction = decode::plain(&body, format, GVK)?;
    let name = eviction.metadata.name.as_deref().unwrap_or_default();
    if !name.is_empty() && name != target.path.name {
        return Err(Error::bad_request("name in URL does not match name in Eviction object"));
    }
    let (delete_options, dry_run) = delete::convert(eviction.delete_options.unwrap_or_default())?;
    let dry_run = options.dry_run || dry_run;
    let clearance = clear(&target, &request, dry_run).await?;
    let warnings = Mutex::default();
    let context = write_context(&target, &request, dry_run, &warnings);
    let delete_revision = delete_options.resource_version.clone();
    let pinned = match &clearance {
        Clearance::Unchanged { revision, .. } if delete_revision.is_none() => {
            DeleteOptions { resource_version: Some(revision.to_string()), ..delete_options }
        }
        _ => delete_options,
    };
    let asked_for = delete_revision.is_some();
    match (context.delete(&target.path.name, &pinned).await, clearance) {
        // The Pod changed since its budget was asked: the client asks again.
        (Err(Error::Conflict { .. }), Clearance::Unchanged { budget, .. }) if !asked_for => {
            return Err(still_processed(&budget));
        }
        (outcome, _) => outcome?,
    };
    Ok(negotiate::object(StatusCode::CREATED, accepted, Status::success(201, None).to_json()))
}

/// On which terms a Pod may go.
enum Clearance {
    /// Whatever becomes of it.
    Any,
    /// If it is as it was, for then it does not count for this budget.
    Unchanged {
        /// The Pod's revision.
        revision: u64,
        /// The budget's name.
        budget: String,
    },
}

/// Asks the Pod's budget.
async fn clear(target: &Target<'_>, request: &Request, dry_run: bool) -> Result<Clearance, Error> {
    target.server.caches.fresh().await?;
    let path = target.path;
    let entry = target.kept.cache.get(&target.kept.cache_key(&path.namespace, &path.name));
    let entry = entry.ok_or_else(|| Error::not_found(target.kept.group_resource(), &path.name))?;
    let object = target.kept.decode(&entry.object())?;
    let Some(pod) = object.as_any().downcast_ref::<Pod>() else { return Ok(Clearance::Any) };
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if pod::is_terminal(pod) || phase == Some(PHASE_PENDING) || pod.metadata.deletion_timestamp.is_some() {
        return Ok(Clearance::Any); // it serves nobody
    }
    let mut budgets = budgets_of(target, pod).await?;
    let Some(budget) = budgets.pop() else { return Ok(Clearance::Any) };
    if !budgets.is_empty() {
        let text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        return Err(Error::Unspecific(text.to_owned()));
    }
    let name = budget.metadata.name.clone().unwrap_or_default();
    if !is_ready(pod) && spares_unready(&budget) {
        return Ok(Clearance::Unchanged { revision: entry.revision, budget: name });
    }
    charge(target, request, &name, dry_run).await?;
    Ok(Clearance::Any)
}

/// The budgets that count a Pod.
async fn budgets_of(target: &Target<'_>, pod: &Pod) -> Result<Vec<PodDisruptionBudget>, Error> {
    let Some(labels) = pod.metadata.labels.as_ref().filter(|labels| !labels.is_empty()) else { return Ok(Vec::new()) };
    let mut budgets: Vec<PodDisruptionBudget> = target.server.all(GVK.group, BUDGETS).await?;
    budgets.retain(|budget| {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        // A selector that is none selects nothing.
        let selects = Selector::from_label_selector(selector).is_ok_and(|selector| selector.matches(Some(labels)));
        budget.metadata.namespace == pod.metadata.namespace && selects
    });
    Ok(budgets)
}

fn is_ready(pod: &Pod) -> bool {
    let list = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions::get(list, "Ready").is_some_and(|condition| condition.status == "True")
}

/// Whether a Pod that is not ready may go without being counted.
fn spares_unready(budget: &PodDisruptionBudget) -> bool {
    let policy = budget.spec.as_ref().and_then(|spec| spec.unhealthy_pod_eviction_policy.as_deref());
    let counts = budget.status.as_ref().map(|status| (status.current_healthy, status.desired_healthy));
    let (current, desired) = counts.unwrap_or_default();
    policy == Some(ALWAYS_ALLOW) || (current >= desired && desired.is_some_and(|desired| desired > 0))
}

/// Takes one disruption off a budget.
async fn charge(target: &Target<'_>, request: &Request, budget: &str, dry_run: bool) -> Result<(), Error> {
    let resource = registry::lookup(GVK.group, GVK.version, BUDGETS);
    let kept = resource.and_then(|resource| target.server.kept(resource)).ok_or(Error::UnknownPath)?;
    let path = ResourcePath {
        group: GVK.group.to_owned(),
        resource: BUDGETS.to_owned(),
        subresource: "status".to_owned(),
        name: budget.to_owned(),
        ..target.path.clone()
    };
    let of_budget = Target { server: target.server, kept, path: &path };
    let warnings = Mutex::default();
    let context = write_context(&of_budget, request, dry_run, &warnings);
    let now = target.server.clock.now();
    let make = |present: &dyn Object| -> Result<Box<dyn Object>, Error> {
        let present = present.as_any().downcast_ref::<PodDisruptionBudget>().ok_or(Error::UnknownPath)?;
        let mut charged = present.clone();
        let generation = present.metadata.generation.unwrap_or(0);
        take_one(charged.status.get_or_insert_default(), budget, generation, &target.path.name, now)?;
        Ok(Box::new(charged))
    };
    context.update(budget, Part::Status, &make).await.map(|_| ())
}

/// Takes one disruption off a budget of this name and generation for a Pod.
fn take_one(
    status: &mut PodDisruptionBudgetStatus,
    budget: &str,
    generation: i64,
    pod: &str,
    now: Timestamp,
) -> Result<(), Error> {
    if status.observed_generation.unwrap_or(0) < generation {
        return Err(still_processed(budget));
    }
    let forbidden =
        |text: &str| Error::forbidden(GroupResource { group: "policy", resource: "poddisruptionbudget" }, budget, text);
    let allowed = status.disruptions_allowed.unwrap_or(0);
    if allowed < 0 {
        return Err(forbidden("pdb disruptions allowed is negative"));
    }
    if status.disrupted_pods.as_ref().is_some_and(|pods| pods.len() > MAX_DISRUPTED_PODS) {
        return Err(forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller"));
    }
    if allowed == 0 {
        return Err(exhausted(status, budget));
    }
    status.disruptions_allowed = Some(allowed - 1);
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    if allowed == 1 {
        set_exhausted(status, now);
    }
    status.disrupted_pods.get_or_insert_default().insert(pod.to_owned(), Time(now));
    Ok(())
}

const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";

fn set_exhausted(status: &mut PodDisruptionBudgetStatus, now: Timestamp) {
    let observed_generation = status.observed_generation;
    let list = status.conditions.get_or_insert_default();
    let same = list.iter().find(|condition| condition.type_ == DISRUPTION_ALLOWED && condition.status == "False");
    let last_transition_time = same.map_or(Time(now), |condition| condition.last_transition_time.clone());
    let condition = Condition {
        type_: DISRUPTION_ALLOWED.to_owned(),
        status: "False".to_owned(),
        reason: "InsufficientPods".to_owned(),
        message: String::new(),
        observed_generation,
        last_transition_time,
    };
    list.retain(|condition| condition.type_ != DISRUPTION_ALLOWED);
    list.push(condition);
}

fn exhausted(status: &PodDisruptionBudgetStatus, budget: &str) -> Error {
    let mut conditions = status.conditions.iter().flatten();
    let failed = conditions.find(|condition| condition.type_ == DISRUPTION_ALLOWED && condition.reason == "SyncFailed");
    let message = match failed {
        Some(condition) => format!(
            "The disruption budget {budget} does not allow evicting pods currently because it failed sync: {}",
            condition.message
        ),
        None => {
            let (desired, current) = (status.desired_healthy.unwrap_or(0), status.current_healthy.unwrap_or(0));
            format!("The disruption budget {budget} needs {desired} healthy pods and has {current} currently")
        }
    };
    denied(message, 0)
}

fn still_processed(budget: &str) -> Error {
    denied(format!("The disruption budget {budget} is still being processed by the server."), RETRY_SECONDS)
}

fn denied(message: String, retry_after_seconds: u32) -> Error {
    let cause = Cause { reason: "DisruptionBudget", message, field: String::new() };
    Error::TooManyRequests { message: DENIED.to_owned(), retry_after_seconds, causes: vec![cause] }
}
