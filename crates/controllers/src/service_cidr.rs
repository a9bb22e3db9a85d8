//! ServiceCIDRs are ready until they are deleted, and stay as long as an address lies in no other range.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::net::Cidr;
use api::networking::v1::service_cidr::ranges;
use client::{Change, Client, Lister, ObjectKey};
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use kube::Api;
use kube::api::{Patch, PatchParams};
use platform::clock::SharedClock;
use serde_json::{Value, json};

use crate::assembly::{Controllers, Wiring};
use crate::runtime::{Error, Next, Reconcile};

mod plan;

use plan::{Step, plan};

/// Holds a ServiceCIDR while it has addresses.
const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
/// Selects the addresses of Services; others are their makers' own business.
pub const MANAGED_BY_ALLOCATOR: &str = "ipaddress.kubernetes.io/managed-by=ipallocator.k8s.io";
/// So long a ServiceCIDR stays after its deletion, until nobody takes addresses from it any more.
const GRACE: Duration = Duration::from_secs(10);
/// In whose name conditions are applied.
const MANAGER: &str = "service-cidrs-controller";

/// An address that a Service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterAddress(Option<IpAddr>);

impl ClusterAddress {
    /// The address that an object stands for: its name.
    pub fn of(object: IPAddress) -> Self {
        Self(object.metadata.name.and_then(|name| name.parse().ok()))
    }
}

struct ServiceCidrController {
    client: Client,
    clock: SharedClock,
    objects: Lister<ServiceCIDR>,
    addresses: Lister<ClusterAddress>,
}

/// Starts the controller: it wakes when a range changes or comes beside another one, and when an address comes or goes.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    let objects = wiring.reads(&controllers.watches.service_cidrs);
    let known = objects.clone();
    wiring.wakes(&mut controllers.watches.service_cidrs, move |change| {
        let Some(object) = change.object() else { return Vec::new() };
        let mut keys = vec![ObjectKey::of(&**object)];
        if !matches!(change, Change::Updated { .. }) {
            let touching = known.matching(|other| ranges(other).any(|range| touches(object, range)));
            keys.extend(touching.iter().map(|other| ObjectKey::of(&**other)));
        }
        keys
    });
    let known = objects.clone();
    wiring.wakes(&mut controllers.watches.cluster_addresses, move |change| {
        let address = change.object().and_then(|address| address.0);
        // Only those on their way out wait for addresses.
        let has = |object: &ServiceCIDR, address| {
            object.metadata.deletion_timestamp.is_some() && ranges(object).any(|range| range.contains(address))
        };
        let touched = address.map(|address| known.matching(|object| has(object, address))).unwrap_or_default();
        touched.iter().map(|object| ObjectKey::of(&**object)).collect::<Vec<_>>()
    });
    let controller = ServiceCidrController {
        client: controllers.client_of(MANAGER),
        clock: controllers.clock.clone(),
        objects,
        addresses: wiring.reads(&controllers.watches.cluster_addresses),
    };
    controllers.add(controller, wiring, 1);
}

/// Whether one of an object's ranges and this one share addresses.
fn touches(object: &ServiceCIDR, range: Cidr) -> bool {
    ranges(object).any(|own| own.contains(range.address) || range.contains(own.address))
}

impl Reconcile for ServiceCidrController {
    type Key = ObjectKey;
    const NAME: &'static str = "ServiceCIDR";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(object) = self.objects.get(key) else { return Ok(Next::OnWakeUp) };
        let others = self.objects.matching(|other| other.metadata.name != object.metadata.name);
        let others: Vec<&ServiceCIDR> = others.iter().map(Arc::as_ref).collect();
        let addresses = self.addresses.matching(|_| true);
        let addresses = addresses.iter().filter_map(|address| address.0);
        match plan(&object, &others, addresses, self.clock.now()) {
            Step::None => {}
            Step::Wait(time) => return Ok(Next::After(time)),
            Step::Hold => {
                self.patch(&object, with_finalizers(&object, |held| held.push(FINALIZER.to_owned()))).await?;
            }
            Step::Condition(condition) => self.apply_condition(key, &condition).await?,
            Step::Release => {
                self.patch(&object, with_finalizers(&object, |held| held.retain(|held| held != FINALIZER))).await?;
            }
        }
        Ok(Next::OnWakeUp)
    }
}

impl ServiceCidrController {
    fn api(&self) -> Api<ServiceCIDR> {
        Api::all(self.client.clone())
    }

    async fn patch(&self, object: &ServiceCIDR, patch: Value) -> Result<(), Error> {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let patched = self.api().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.map(drop).map_err(Error::during("changing the finalizers of a ServiceCIDR"))
    }

    async fn apply_condition(&self, key: &ObjectKey, condition: &Value) -> Result<(), Error> {
        let object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": key.name},
            "status": {"conditions": [condition]}});
        let applied =
            self.api().patch_status(&key.name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await;
        applied.map(drop).map_err(Error::during("telling of a ServiceCIDR"))
    }
}

/// A patch with other finalizers than the object had when it was seen.
fn with_finalizers(object: &ServiceCIDR, change: impl FnOnce(&mut Vec<String>)) -> Value {
    let mut finalizers = object.metadata.finalizers.clone().unwrap_or_default();
    change(&mut finalizers);
    json!({"metadata": {"resourceVersion": object.metadata.resource_version, "finalizers": finalizers}})
}
