//! Quotas say what is used: the API server charges what comes, and this controller counts anew when a quota changes and
//! when something goes or gets smaller. Namespaces without quotas cost nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use api::core::v1::resource_quota::scopes::is_within;
use api::core::v1::resource_quota::usage::{Amounts, Counted, Item, add, amounts};
use api::quantity::Quantity;
use client::{Change, Client, Lister, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Service};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use kube::Api;
use kube::api::{ListParams, PostParams};
use platform::clock::SharedClock;

use crate::assembly::{Controllers, Wiring};
use crate::objects::{Kinds, Member, ResourceKind};
use crate::runtime::{Error, Next, Reconcile};
use crate::watches::PodFacts;

mod plan;

use plan::{counted_anew, is_outdated};

/// So often everything is counted, whatever the watches said: a charge can be lost with the server.
const RESYNC: Duration = Duration::from_secs(300);

struct QuotaController {
    client: Client,
    clock: SharedClock,
    kinds: Kinds,
    quotas: Lister<ResourceQuota>,
}

/// Starts the controller.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    wiring.wakes(&mut controllers.watches.quotas, |change| match change {
        Change::Added(quota) => Some(ObjectKey::of(&**quota)),
        Change::Updated { old, new } if is_outdated(old, new) => Some(ObjectKey::of(&**new)),
        _ => None,
    });
    let quotas = wiring.reads(&controllers.watches.quotas);
    let known = quotas.clone();
    wiring.wakes(&mut controllers.watches.pods, move |change| {
        let pod = change.object().filter(|_| needs_less(change));
        pod.map(|pod| in_namespace(&known, &pod.object_key())).unwrap_or_default()
    });
    let (known, queue) = (quotas.clone(), wiring.queue());
    controllers.objects.subscribe(move |change: &Change<Member>| {
        let (Change::Deleted(member) | Change::Updated { new: member, .. }) = change else { return };
        if matches!(change, Change::Deleted(_)) || may_shrink(&member.kind) {
            in_namespace(&known, &member.key).into_iter().for_each(|key| queue.add(key));
        }
    });
    wiring.waits_for(controllers.objects.synced());
    let kinds = controllers.objects.kinds();
    let (client, clock) = (controllers.client_of("resourcequota-controller"), controllers.clock.clone());
    controllers.add(QuotaController { client, clock, kinds, quotas }, wiring, 5);
}

/// Whether a Pod has ended, or was resized.
fn needs_less(change: &Change<PodFacts>) -> bool {
    let Change::Updated { old, new } = change else { return false };
    (!old.is_terminated() && new.is_terminated()) || old.generation != new.generation
}

/// Kinds of which an object can come to count for less.
fn may_shrink(kind: &ResourceKind) -> bool {
    kind.api.group.is_empty() && matches!(kind.api.plural.as_str(), "services" | "persistentvolumeclaims")
}

/// The quotas beside an object.
fn in_namespace(quotas: &Lister<ResourceQuota>, object: &ObjectKey) -> Vec<ObjectKey> {
    if object.namespace.is_empty() || quotas.is_empty() {
        return Vec::new();
    }
    let beside = |quota: &ResourceQuota| quota.metadata.namespace.as_deref() == Some(&object.namespace);
    quotas.matching(beside).iter().map(|quota| ObjectKey::of(&**quota)).collect()
}

impl Reconcile for QuotaController {
    type Key = ObjectKey;
    const NAME: &'static str = "ResourceQuota";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(quota) = self.quotas.get(key) else { return Ok(Next::OnWakeUp) };
        let quotas: Api<ResourceQuota> = Api::namespaced(self.client.clone(), &key.namespace);
        // Answered when nothing is charged without being stored, which a list would not show.
        let settled = quotas.replace_status(&key.name, &PostParams::default(), &quota).await;
        let quota = settled.map_err(Error::during("waiting for what a quota is charged"))?;
        let usage = self.count(&quota, &key.namespace).await.map_err(Error::during("counting what a quota limits"))?;
        if let Some(counted) = counted_anew(&quota, usage) {
            // Carries the revision that was read: what is charged meanwhile is not lost, but counted again in the next pass.
            let write = quotas.replace_status(&key.name, &PostParams::default(), &counted).await;
            write.map_err(Error::during("writing what is used of a quota"))?;
        }
        Ok(Next::After(RESYNC))
    }
}

impl QuotaController {
    /// What there is of everything that a quota limits.
    async fn count(&self, quota: &ResourceQuota, namespace: &str) -> Result<Amounts, kube::Error> {
        let hard = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
        let names: Vec<&str> = hard.into_iter().flat_map(BTreeMap::keys).map(String::as_str).collect();
        let (all, now) = (ListParams::default(), self.clock.now());
        let mut usage = Amounts::new();
        for kind in self.kinds.all().iter().filter(|kind| kind.namespaced) {
            let counted = Counted::new(&kind.api.group, &kind.api.plural);
            let tracked: Vec<&str> = names.iter().copied().filter(|name| counted.counts_as(name)).collect();
            if tracked.is_empty() {
                continue;
            }
            let none = tracked.iter().map(|name| ((*name).to_owned(), Quantity::ZERO)).collect();
            add(&mut usage, &none);
            let mut sum = |items: &mut dyn Iterator<Item = Item<'_>>| sum_up(&mut usage, quota, &counted, now, items);
            match (kind.api.group.as_str(), kind.api.plural.as_str()) {
                ("", "pods") => {
                    let pods = Api::<Pod>::namespaced(self.client.clone(), namespace).list(&all).await?;
                    sum(&mut pods.items.iter().map(Item::Pod));
                }
                ("", "services") => {
                    let services = Api::<Service>::namespaced(self.client.clone(), namespace).list(&all).await?;
                    sum(&mut services.items.iter().map(Item::Service));
                }
                ("", "persistentvolumeclaims") => {
                    let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
                    sum(&mut claims.list(&all).await?.items.iter().map(Item::Claim));
                }
                _ => {
                    let others = kind.in_namespace(&self.client, namespace).list(&all).await?;
                    sum(&mut others.items.iter().map(|_| Item::Other));
                }
            }
        }
        Ok(usage)
    }
}

fn sum_up(
    usage: &mut Amounts,
    quota: &ResourceQuota,
    counted: &Counted<'_>,
    now: Timestamp,
    items: &mut dyn Iterator<Item = Item<'_>>,
) {
    for item in items.filter(|item| is_within(quota.spec.as_ref(), *item)) {
        add(usage, &counted.usage(item, now));
    }
}
