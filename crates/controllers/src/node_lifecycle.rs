//! A node whose kubelet fell silent is marked, and what ails a node keeps Pods away.
//!
//! The kubelet renews its Lease; when it does not for 50 s, the node's conditions become `Unknown`, and nobody can say of
//! its Pods that they are ready. Conditions and `kubectl cordon` become taints, which scheduler and taint eviction go by.
//! Where all nodes seem gone it is this server that is cut off, and nothing is evicted; otherwise lost nodes lose their
//! Pods one after the other ([`disruption`]). One deadline per node, nothing is polled.

mod disruption;
mod plan;
mod pods;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use client::{Change, Client, EventRecorder, EventType, Lister, ObjectKey, is_not_found, object_reference};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use platform::clock::SharedClock;
use serde_json::json;

use crate::assembly::{Controllers, Wiring};
use crate::runtime::{Error, Next, Reconcile};
use crate::watches::{NodeLease, PodFacts};
pub use disruption::EvictionRates;
use disruption::{Evictions, Pace};
use plan::{Plan, Sign};

/// Keys are names of nodes.
struct NodeLifecycle {
    client: Client,
    clock: SharedClock,
    events: EventRecorder,
    nodes: Lister<Node>,
    leases: Lister<NodeLease>,
    pods: Lister<PodFacts>,
    grace_period: Duration,
    rates: EvictionRates,
    pace: Mutex<Pace>,
    signs: Mutex<HashMap<String, Sign>>,
    /// Nodes whose Pods are not counted as ready, because the node is not.
    unready: Mutex<HashSet<String>>,
}

/// Starts the controller: it wakes when a node changes, when a Lease appears, and when a heartbeat is overdue.
pub fn start(controllers: &mut Controllers, grace_period: Duration, rates: EvictionRates) {
    let mut wiring = Wiring::new();
    wiring.wakes(&mut controllers.watches.nodes, |change| change.object()?.metadata.name.clone());
    wiring.wakes(&mut controllers.watches.node_leases, |change| match change {
        Change::Added(lease) | Change::Updated { new: lease, .. } => Some(lease.node.clone()),
        _ => None,
    });
    let controller = NodeLifecycle {
        client: controllers.client_of("node-controller"),
        clock: controllers.clock.clone(),
        events: controllers.events("node-controller"),
        nodes: wiring.reads(&controllers.watches.nodes),
        leases: wiring.reads(&controllers.watches.node_leases),
        pods: wiring.reads(&controllers.watches.pods),
        grace_period,
        rates,
        pace: Mutex::default(),
        signs: Mutex::default(),
        unready: Mutex::default(),
    };
    controllers.add(controller, wiring, 1);
}

impl Reconcile for NodeLifecycle {
    type Key = String;
    const NAME: &'static str = "node lifecycle controller";

    async fn reconcile(&self, name: &String) -> Result<Next, Error> {
        let Some(node) = self.nodes.get(&ObjectKey::cluster(name)) else {
            self.forget(name);
            return Ok(Next::OnWakeUp);
        };
        let now = self.clock.now();
        let sign = self.observe(&node, name);
        let plan = self.plan(&node, sign.seen_at, now);
        self.write_conditions(name, &plan).await?;
        // The node with its new conditions comes back to get the taints that go with them.
        if plan.conditions.is_empty() {
            self.write_taints(name, &node, &plan).await?;
        }
        self.follow_readiness(name, plan.ready).await?;
        Ok(Next::After(plan.look_again))
    }
}

impl NodeLifecycle {
    /// Plans; a node that would lose its Pods too soon after another of its zone keeps them a little longer.
    fn plan(&self, node: &Node, seen_at: Timestamp, now: Timestamp) -> Plan {
        let zone = disruption::zone_of(node);
        let plan = |evictions| plan::plan(node, seen_at, now, self.grace_period, evictions);
        let evictions = disruption::evictions(&self.rates, &self.nodes.matching(|_| true), &zone);
        let planned = plan(evictions);
        let Evictions::At(rate) = evictions else { return planned };
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if !planned.evicts || !planned.conditions.is_empty() {
            return planned;
        }
        match pace.next(&zone, rate, now) {
            Ok(()) => planned,
            Err(wait) => {
                let paused = plan(Evictions::Paused);
                Plan { look_again: paused.look_again.min(wait), ..paused }
            }
        }
    }

    /// Notes a sign of life, by our own clock: the node's may be wrong.
    fn observe(&self, node: &Node, name: &str) -> Sign {
        let lease = self.leases.get(&ObjectKey::new("kube-node-lease", name));
        let latest = Sign {
            lease: lease.and_then(|lease| lease.renewed_at),
            heartbeat: plan::last_heartbeat(node),
            seen_at: self.clock.now(),
        };
        let mut signs = self.signs.lock().unwrap_or_else(PoisonError::into_inner);
        match signs.get(name) {
            Some(known) if known.is_same_as(&latest) => *known,
            Some(_) => {
                signs.insert(name.to_owned(), latest);
                latest
            }
            None => {
                signs.insert(name.to_owned(), latest);
                let message = format!("Node {name} event: Registered Node {name} in Controller");
                self.event(node, EventType::Normal, "RegisteredNode", &message);
                latest
            }
        }
    }

    fn forget(&self, name: &str) {
        self.signs.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.unready.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    async fn write_conditions(&self, name: &str, plan: &Plan) -> Result<(), Error> {
        if plan.conditions.is_empty() {
            return Ok(());
        }
        let patch = Patch::Strategic(json!({ "status": { "conditions": plan.conditions } }));
        let nodes: Api<Node> = Api::all(self.client.clone());
        let patched = nodes.patch_status(name, &PatchParams::default(), &patch).await;
        match patched {
            Ok(node) => {
                let message = format!("Node {name} status is now: NodeNotReady");
                self.event(&node, EventType::Normal, "NodeNotReady", &message);
                Ok(())
            }
            Err(error) if is_not_found(&error) => Ok(()),
            Err(error) => Err(Error::during("writing the node's conditions")(error)),
        }
    }

    async fn write_taints(&self, name: &str, node: &Node, plan: &Plan) -> Result<(), Error> {
        let Some(taints) = &plan.taints else { return Ok(()) };
        // The list is written as a whole, so nobody may have changed it meanwhile.
        let metadata = json!({ "resourceVersion": node.metadata.resource_version });
        let patch = Patch::Merge(json!({ "metadata": metadata, "spec": { "taints": taints } }));
        let nodes: Api<Node> = Api::all(self.client.clone());
        match nodes.patch(name, &PatchParams::default(), &patch).await {
            Err(error) if !is_not_found(&error) => Err(Error::during("writing the node's taints")(error)),
            _ => Ok(()),
        }
    }

    fn event(&self, node: &Node, kind: EventType, reason: &str, message: &str) {
        self.events.event(&object_reference(node), kind, reason, message);
    }
}
