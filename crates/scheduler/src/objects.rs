//! Copies of the objects that plugins look at beside Pods and nodes.

use client::{Client, Lister, Reflected, Reflector};
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, ReplicationController, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::{CSIDriver, CSINode, CSIStorageCapacity, StorageClass};
use kube::Api;

use crate::plugins::pod_topology_spread::Workloads;
use crate::volume_binding::VolumeObjects;

/// See the module.
#[derive(Clone)]
pub struct Objects {
    /// Claims, volumes and classes.
    pub volumes: VolumeObjects,
    /// What nodes can attach.
    pub csi_nodes: Lister<CSINode>,
    /// What says which Pods belong together.
    pub workloads: Workloads,
    /// How many Pods may be away at once.
    pub budgets: Lister<PodDisruptionBudget>,
}

/// The watches that keep them.
pub struct Watches {
    /// Of claims.
    pub claims: Reflector<PersistentVolumeClaim>,
    /// Of volumes.
    pub volumes: Reflector<PersistentVolume>,
    /// Of classes.
    pub classes: Reflector<StorageClass>,
    /// Of who makes volumes, and where they have room.
    pub drivers: Reflector<CSIDriver>,
    pub capacities: Reflector<CSIStorageCapacity>,
    /// Of what nodes can attach.
    pub csi_nodes: Reflector<CSINode>,
    /// Of what groups Pods.
    pub services: Reflector<Service>,
    pub replication_controllers: Reflector<ReplicationController>,
    pub replica_sets: Reflector<ReplicaSet>,
    pub stateful_sets: Reflector<StatefulSet>,
    /// Of budgets.
    pub budgets: Reflector<PodDisruptionBudget>,
}

impl Watches {
    /// Watches that have not begun. Of what groups Pods only selectors are kept.
    pub fn new(client: &Client) -> Self {
        Self {
            claims: Reflector::new(Api::all(client.clone())),
            volumes: Reflector::new(Api::all(client.clone())),
            classes: Reflector::new(Api::all(client.clone())),
            drivers: Reflector::new(Api::all(client.clone())),
            capacities: Reflector::new(Api::all(client.clone())),
            csi_nodes: Reflector::new(Api::all(client.clone())),
            services: slim(client, |service: &mut Service| service.status = None),
            replication_controllers: slim(client, |controller: &mut ReplicationController| {
                controller.status = None;
                controller.spec.iter_mut().for_each(|spec| spec.template = None);
            }),
            replica_sets: slim(client, |set: &mut ReplicaSet| {
                set.status = None;
                set.spec.iter_mut().for_each(|spec| spec.template = None);
            }),
            stateful_sets: slim(client, |set: &mut StatefulSet| {
                set.status = None;
                if let Some(spec) = &mut set.spec {
                    spec.template = k8s_openapi::api::core::v1::PodTemplateSpec::default();
                    spec.volume_claim_templates = None;
                }
            }),
            budgets: Reflector::new(Api::all(client.clone())),
        }
    }

    /// What they show.
    pub fn objects(&self) -> Objects {
        Objects {
            volumes: VolumeObjects {
                claims: self.claims.lister(),
                volumes: self.volumes.lister(),
                classes: self.classes.lister(),
                drivers: self.drivers.lister(),
                capacities: self.capacities.lister(),
            },
            csi_nodes: self.csi_nodes.lister(),
            workloads: Workloads {
                services: self.services.lister(),
                replication_controllers: self.replication_controllers.lister(),
                replica_sets: self.replica_sets.lister(),
                stateful_sets: self.stateful_sets.lister(),
            },
            budgets: self.budgets.lister(),
        }
    }
}

fn slim<K>(client: &Client, remove: impl Fn(&mut K) + Send + Sync + 'static) -> Reflector<K>
where
    K: Reflected + kube::Resource<DynamicType = ()>,
{
    Reflector::projecting(Api::all(client.clone()), move |mut object| {
        remove(&mut object);
        object
    })
}

impl Objects {
    /// None at all.
    pub fn none() -> Self {
        Self {
            volumes: VolumeObjects::default(),
            csi_nodes: Lister::of_objects([]),
            workloads: Workloads {
                services: Lister::of_objects([]),
                replication_controllers: Lister::of_objects([]),
                replica_sets: Lister::of_objects([]),
                stateful_sets: Lister::of_objects([]),
            },
            budgets: Lister::of_objects([]),
        }
    }
}
