//! What a crash between two commits can leave behind, put right before the server answers anybody: addresses without
//! their Service, Services without their address. Also fills the table of node ports.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::k8s_openapi::api::core::v1::Service;
use api::networking::v1::ip_address::MANAGED_BY_LABEL;
use tracing::{info, warn};

use super::allocation::held_by;
use super::cluster_ips::{ClusterIps, MANAGER, Owner};
use crate::api_server::Server;
use crate::error::Error;
use crate::registry::allocator::Claim;

/// Brings IPAddresses and node ports in line with the Services there are.
///
/// # Errors
/// When objects cannot be read or written.
pub async fn repair(server: &Server) -> Result<(), Error> {
    let services: Vec<Service> = server.all("", "services").await?;
    let mut owners: BTreeMap<IpAddr, (String, String)> = BTreeMap::new();
    for service in &services {
        let owner = (text(&service.metadata.namespace), text(&service.metadata.name));
        for claim in service.spec.as_ref().map(held_by).unwrap_or_default() {
            match claim {
                Claim::Address(address) => _ = owners.entry(address).or_insert_with(|| owner.clone()),
                Claim::NodePort(port) => {
                    if let Err(error) = server.node_ports.take(port) {
                        warn!(namespace = owner.0, service = owner.1, port, %error, "a node port is not only this Service's");
                    }
                }
            }
        }
    }
    let pool = ClusterIps(server);
    for object in pool.all().await? {
        let ours = object.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY_LABEL));
        let Some(address) = object.metadata.name.as_deref().and_then(|name| name.parse().ok()) else { continue };
        let parent = (text(&object.spec.parent_ref.namespace), object.spec.parent_ref.name.clone());
        if owners.get(&address) == Some(&parent) {
            owners.remove(&address);
        } else if ours.is_some_and(|manager| manager == MANAGER) {
            info!(%address, namespace = parent.0, service = parent.1, "giving back the address of a Service that is not there");
            pool.give_back(address).await?;
        }
    }
    for (address, (namespace, name)) in owners {
        info!(%address, namespace, service = name, "a Service's address was not marked as taken");
        let owner = Owner { namespace: &namespace, name: &name };
        if let Err(error) = pool.claim(address, owner).await {
            warn!(%address, namespace, service = name, %error, "another has the address of this Service");
        }
    }
    Ok(())
}

fn text(field: &Option<String>) -> String {
    field.clone().unwrap_or_default()
}
