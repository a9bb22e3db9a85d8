//! Addresses, families and node ports of a Service, as it is created and as it changes.

use std::net::IpAddr;

use api::Object;
use api::core::v1::service::{
    CLUSTER_IP_NONE, TYPE_EXTERNAL_NAME, TYPE_LOAD_BALANCER, needs_cluster_ip, needs_health_check, needs_node_port,
    patch_allocated, sync_cluster_ips, type_of,
};
use api::field::{ErrorList, Json, Path, invalid};
use api::k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use api::net::parse_ip_leniently;
use async_trait::async_trait;
use tracing::warn;

use super::cluster_ips::{AddressError, ClusterIps, Owner};
use super::families::{IPV4, IPV6, settle_families};
use super::node_ports::Operation;
use crate::error::Error;
use crate::registry::allocator::{Allocator, Claim, Claims};
use crate::registry::store::WriteContext;

const SPEC: Path<'static> = Path::new("spec");
const OWN_KIND: &str = "Services are allocated for Services";

/// The allocator of Services.
#[derive(Debug)]
pub struct ServiceAllocator;

#[async_trait]
impl Allocator for ServiceAllocator {
    async fn allocate(
        &self,
        context: &WriteContext<'_>,
        new: &mut dyn Object,
        old: Option<&dyn Object>,
        claims: &mut Claims,
    ) -> Result<(), Error> {
        let new: &mut Service = new.as_any_mut().downcast_mut().expect(OWN_KIND);
        let old: Option<&Service> = old.map(|old| old.as_any().downcast_ref().expect(OWN_KIND));
        let old = old.and_then(|old| old.spec.as_ref());
        let name = new.metadata.name.clone().unwrap_or_default();
        let spec = new.spec.get_or_insert_default();
        if let Some(old) = old {
            patch_allocated(spec, old);
        }
        sync_cluster_ips(spec, old);
        let families: Vec<&str> =
            context.server.service_ranges.iter().map(|range| if range.is_ipv4() { IPV4 } else { IPV6 }).collect();
        settle_families(spec, old, &families).map_err(|problems| refusal(&name, problems))?;
        let run = Run { context, owner: Owner { namespace: context.namespace, name: &name } };
        run.addresses(spec, old, claims).await?;
        run.ports(spec, old, claims)
    }

    async fn give_back(&self, context: &WriteContext<'_>, claims: Vec<Claim>) {
        for claim in claims {
            match claim {
                Claim::NodePort(port) => context.server.node_ports.give_back(port),
                Claim::Address(address) => {
                    if let Err(error) = ClusterIps(context.server).give_back(address).await {
                        warn!(%address, %error, "an address stays taken until the next start");
                    }
                }
            }
        }
    }

    fn held_by(&self, object: &dyn Object) -> Vec<Claim> {
        let service: &Service = object.as_any().downcast_ref().expect(OWN_KIND);
        service.spec.as_ref().map(held_by).unwrap_or_default()
    }
}

/// Everything a Service has of the pools.
pub fn held_by(spec: &ServiceSpec) -> Vec<Claim> {
    let addresses = addresses_of(spec).filter_map(parse_ip_leniently).map(Claim::Address);
    addresses.chain(ports_of(spec).into_iter().map(Claim::NodePort)).collect()
}

fn addresses_of(spec: &ServiceSpec) -> impl Iterator<Item = &str> {
    let held = needs_cluster_ip(spec);
    spec.cluster_ips.iter().flatten().map(String::as_str).filter(move |it| held && *it != CLUSTER_IP_NONE)
}

fn ports_of(spec: &ServiceSpec) -> Vec<i32> {
    let mut ports: Vec<i32> = spec.ports.iter().flatten().filter_map(|port| port.node_port).collect();
    ports.extend(spec.health_check_node_port.filter(|_| needs_health_check(spec)));
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn refusal(name: &str, problems: ErrorList) -> Error {
    Error::Invalid { group: "", kind: "Service".to_owned(), name: name.to_owned(), problems }
}

/// One write.
struct Run<'a> {
    context: &'a WriteContext<'a>,
    owner: Owner<'a>,
}

impl Run<'_> {
    async fn addresses(
        &self,
        spec: &mut ServiceSpec,
        old: Option<&ServiceSpec>,
        claims: &mut Claims,
    ) -> Result<(), Error> {
        let had = old.map(|old| addresses_of(old).map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default();
        let was_headless = old.is_some_and(|old| needs_cluster_ip(old) && had.is_empty());
        if type_of(spec) != TYPE_EXTERNAL_NAME && !is_headless(spec) && !was_headless {
            // What an update changes of addresses it has is for validation to refuse.
            for (position, family) in spec.ip_families.clone().unwrap_or_default().iter().enumerate().skip(had.len()) {
                self.address(spec, position, family, claims).await?;
            }
        }
        let keeps: Vec<&str> = addresses_of(spec).collect();
        let kept = if type_of(spec) == TYPE_EXTERNAL_NAME { 0 } else { keeps.len() };
        if !self.context.dry_run {
            let lost = had.iter().skip(kept).filter_map(|address| parse_ip_leniently(address));
            claims.given_up.extend(lost.map(Claim::Address));
        }
        Ok(())
    }

    /// Takes the address at one position of `clusterIPs`: the one that stands there, or any of the family.
    async fn address(
        &self,
        spec: &mut ServiceSpec,
        position: usize,
        family: &str,
        claims: &mut Claims,
    ) -> Result<(), Error> {
        let (pool, dry_run) = (ClusterIps(self.context.server), self.context.dry_run);
        let wanted = spec.cluster_ips.as_ref().and_then(|addresses| addresses.get(position)).cloned();
        let address = match wanted {
            None => {
                let taken = pool.take_any(family, self.owner, dry_run).await;
                taken.map_err(|error| Error::Internal(format!("failed to allocate a serviceIP: {error}")))?
            }
            Some(text) => {
                let address = parse_ip_leniently(&text)
                    .ok_or_else(|| self.refuse(spec, &text, &AddressError::MismatchedNetwork))?;
                pool.take(address, self.owner, dry_run).await.map_err(|error| self.refuse(spec, &text, &error))?;
                address
            }
        };
        if !dry_run {
            claims.taken.push(Claim::Address(address));
        }
        set_address(spec, position, address);
        Ok(())
    }

    fn refuse(&self, spec: &ServiceSpec, address: &str, error: &AddressError) -> Error {
        let text = format!("failed to allocate IP {address}: {error}");
        refusal(self.owner.name, vec![invalid(&SPEC.child("clusterIPs"), Json(&spec.cluster_ips), text)])
    }

    fn ports(&self, spec: &mut ServiceSpec, old: Option<&ServiceSpec>, claims: &mut Claims) -> Result<(), Error> {
        let server = self.context.server;
        let mut operation = Operation::new(&server.node_ports, server.random.as_ref(), self.context.dry_run);
        let outcome = self.take_ports(spec, old, &mut operation);
        if !self.context.dry_run {
            claims.taken.extend(operation.taken.into_iter().map(Claim::NodePort));
            // Another type gives its ports up, though they are still written here; the strategy removes them.
            let keeps = if needs_node_port(spec) { ports_of(spec) } else { Vec::new() };
            let had = old.map(ports_of).unwrap_or_default();
            claims.given_up.extend(had.into_iter().filter(|port| !keeps.contains(port)).map(Claim::NodePort));
        }
        outcome
    }

    fn take_ports(
        &self,
        spec: &mut ServiceSpec,
        old: Option<&ServiceSpec>,
        operation: &mut Operation<'_>,
    ) -> Result<(), Error> {
        let had = old.map(ports_of).unwrap_or_default();
        if needs_node_port(spec) {
            let chooses = type_of(spec) != TYPE_LOAD_BALANCER || spec.allocate_load_balancer_node_ports != Some(false);
            let ports = spec.ports.as_deref_mut().unwrap_or_default();
            take_node_ports(ports, &had, chooses, old.is_none(), operation).map_err(|refused| match refused {
                Refused::Port(problem) => refusal(self.owner.name, vec![problem]),
                Refused::Full(text) => Error::Internal(format!("failed to allocate a nodePort: {text}")),
            })?;
        }
        if needs_health_check(spec) && !old.is_some_and(needs_health_check) {
            match spec.health_check_node_port {
                Some(port) => operation.take(port).map_err(|error| {
                    Error::Internal(format!("failed to allocate requested HealthCheck NodePort {port}: {error}"))
                })?,
                None => {
                    let port = operation.take_any();
                    let port = port.map_err(|error| {
                        Error::Internal(format!("failed to allocate a HealthCheck NodePort 0: {error}"))
                    })?;
                    spec.health_check_node_port = Some(port);
                }
            }
        }
        Ok(())
    }
}

fn is_headless(spec: &ServiceSpec) -> bool {
    spec.cluster_ips.as_ref().and_then(|addresses| addresses.first()).is_some_and(|first| first == CLUSTER_IP_NONE)
}

fn set_address(spec: &mut ServiceSpec, position: usize, address: IpAddr) {
    let addresses = spec.cluster_ips.get_or_insert_default();
    let known = addresses.get(position).cloned();
    let text = known.unwrap_or_else(|| address.to_string());
    if position == 0 {
        spec.cluster_ip = Some(text.clone());
    }
    if position < addresses.len() { addresses[position] = text } else { addresses.push(text) }
}

/// Why a node port was not to be had.
enum Refused {
    /// One that was asked for.
    Port(api::field::Error),
    /// Any at all.
    Full(String),
}

/// Takes the ports asked for that are new, and chooses those that are missing. A new Service gets one node port for ports
/// of the same number, for instance TCP and UDP.
fn take_node_ports(
    ports: &mut [ServicePort],
    had: &[i32],
    chooses: bool,
    shares: bool,
    operation: &mut Operation<'_>,
) -> Result<(), Refused> {
    let path = SPEC.child("ports");
    for position in 0..ports.len() {
        let asked = ports[position].node_port;
        if asked.is_none() && !chooses {
            continue;
        }
        let number = ports[position].port;
        let sibling = ports.iter().filter(|port| shares && port.port == number).find_map(|port| port.node_port);
        let node_port = match asked.or(sibling) {
            Some(port) => {
                let shared =
                    !shares || ports[..position].iter().any(|it| it.port == number && it.node_port == Some(port));
                let has = had.contains(&port) || (shared && operation.taken.contains(&port));
                if !has {
                    operation.take(port).map_err(|error| {
                        let path = path.index(position);
                        Refused::Port(invalid(&path.child("nodePort"), port, error.to_string()))
                    })?;
                }
                port
            }
            None => operation.take_any().map_err(|error| Refused::Full(error.to_string()))?,
        };
        ports[position].node_port = Some(node_port);
    }
    Ok(())
}
