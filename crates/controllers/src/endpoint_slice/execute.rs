//! Writes what was planned.

use client::{ObjectKey, is_not_found};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};

use super::Plan;
use crate::in_flight::InFlight;

/// Creates, changes and deletes slices, and notes each write.
///
/// # Errors
/// The first write that was refused; what comes after it is left to the next pass.
pub async fn execute(
    api: &Api<EndpointSlice>,
    in_flight: &InFlight<ObjectKey>,
    key: &ObjectKey,
    plan: &Plan,
) -> Result<(), kube::Error> {
    for slice in &plan.create {
        let made = api.create(&PostParams::default(), slice).await?;
        in_flight.wrote(key, &made.metadata);
    }
    for slice in &plan.update {
        let written = api.replace(&slice.name_any(), &PostParams::default(), slice).await?;
        in_flight.wrote(key, &written.metadata);
    }
    for slice in &plan.delete {
        match api.delete(&slice.name_any(), &DeleteParams::default()).await {
            Err(error) if !is_not_found(&error) => return Err(error),
            _ => in_flight.deleted(key, &slice.uid().unwrap_or_default()),
        }
    }
    Ok(())
}
