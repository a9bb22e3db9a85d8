//! Extended resources that device plugins offer: the plugin interface `v1beta1` as upstream's device manager lives it.
//!
//! Flow: a plugin registers at `device-plugins/kubelet.sock` ([`registration`]) and is then listened to on its own
//! socket: what it lists becomes the Node's capacity and allocatable. The sync loop lets a Pod in only with its devices
//! ([`Devices::reserve`]); its worker chooses which before anything of it is started and tells the plugin
//! ([`Devices::allocate`]), and each of its containers is created with what the plugin answered ([`Devices::for_start`]).
//!
//! Guarantees: no device belongs to two Pods; who has what is on disk before a container is made of it; after a restart
//! Pods keep their devices, and nothing can be given away until the plugins, which watch the socket, are back.

mod checkpoint;
mod container;
mod inventory;
mod messages;
pub mod registration;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grpc::{Channel, Status};
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::pod::{self, Uid};
use crate::resources::Amounts;

use checkpoint::Checkpoint;
pub use container::ContainerDevices;
pub use inventory::Shortage;
use inventory::{Ids, Inventory};
use messages::{
    AllocateRequest, AllocateResponse, ContainerAllocateRequest, ContainerAllocateResponse,
    ContainerPreferredAllocationRequest, DevicePluginOptions, PreStartContainerRequest, PreferredAllocationRequest,
    PreferredAllocationResponse,
};

/// How long a plugin may prepare devices for a container.
const PRE_START_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a Pod does not get its devices.
#[derive(Debug, thiserror::Error)]
pub enum AllocationError {
    /// There are not enough.
    #[error(transparent)]
    Shortage(#[from] Shortage),
    /// The plugin is gone.
    #[error("unknown Device Plugin {0}")]
    NoPlugin(String),
    /// The plugin said no.
    #[error("rpc error: code = {code:?} desc = {status}", code = .0.code, status = .0)]
    Call(#[from] Status),
    /// The plugin said nothing of use.
    #[error("no containers return in allocation response")]
    NoAnswer,
}

/// Capacity and allocatable that plugins add to the Node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeviceAmounts {
    /// All devices.
    pub capacity: Amounts,
    /// Healthy ones.
    pub allocatable: Amounts,
}

/// The node's devices.
pub struct Devices {
    directory: PathBuf,
    state: Mutex<State>,
    plugins: Mutex<BTreeMap<String, Arc<Plugin>>>,
    amounts: watch::Sender<DeviceAmounts>,
    /// Held while devices are chosen: plugins are asked what they prefer of those that are free.
    choosing: tokio::sync::Mutex<()>,
}

struct State {
    inventory: Inventory,
    written: Checkpoint,
}

/// A plugin that has registered.
struct Plugin {
    resource: String,
    channel: Channel,
    options: DevicePluginOptions,
    /// Another one took over its resource.
    replaced: CancellationToken,
}

impl Devices {
    /// Begins with what an earlier kubelet wrote down; `directory` is that of the sockets.
    pub fn open(directory: &Path) -> Self {
        let written = checkpoint::read(directory);
        let inventory = written.restore();
        let amounts = watch::channel(amounts_of(&inventory)).0;
        Self {
            directory: directory.to_owned(),
            state: Mutex::new(State { inventory, written }),
            plugins: Mutex::default(),
            amounts,
            choosing: tokio::sync::Mutex::default(),
        }
    }

    /// What the Node has of devices.
    pub fn amounts(&self) -> watch::Receiver<DeviceAmounts> {
        self.amounts.subscribe()
    }

    /// Promises a Pod its devices.
    ///
    /// # Errors
    /// What there is not enough of.
    pub fn reserve(&self, pod: &Pod) -> Result<(), Shortage> {
        self.state().inventory.reserve(pod)
    }

    /// The Pod has no use for devices any more.
    pub fn release(&self, uid: &Uid) {
        self.change(|inventory| inventory.release(uid));
    }

    /// These Pods are all there are.
    pub fn retain(&self, pods: &HashSet<Uid>) {
        self.change(|inventory| inventory.retain(pods));
    }

    /// Chooses the devices of all containers of a Pod and tells the plugins, unless that is done already.
    ///
    /// # Errors
    /// [`AllocationError`]: the Pod cannot run here.
    pub async fn allocate(&self, pod: &Pod) -> Result<(), AllocationError> {
        let uid = pod::uid(pod);
        let untold = self.state().inventory.untold(pod);
        for (container, resource) in untold {
            let plugin = self.plugin(&resource);
            let devices = self.choose(pod, &container, &resource, plugin.as_deref()).await?;
            let plugin = plugin.ok_or_else(|| AllocationError::NoPlugin(resource.clone()))?;
            info!(pod = pod::full_name(pod), container, resource, ?devices, "allocating devices");
            let answer = plugin.allocate(devices).await?;
            self.change(|inventory| inventory.answered(&uid, &container, &resource, answer));
        }
        Ok(())
    }

    /// What a container of the Pod is created with; its plugins prepare the devices if they want to.
    ///
    /// # Errors
    /// A plugin could not.
    pub async fn for_start(&self, pod: &Pod, container: &str) -> Result<ContainerDevices, AllocationError> {
        let grants: Vec<_> = {
            let state = self.state();
            let uid = pod::uid(pod);
            let grants = state.inventory.grants(&uid, container);
            grants.map(|(resource, grant)| (resource.to_owned(), grant.clone())).collect()
        };
        let mut all = ContainerDevices::default();
        for (resource, grant) in grants {
            if let Some(plugin) = self.plugin(&resource).filter(|plugin| plugin.options.pre_start_required) {
                plugin.pre_start(grant.devices).await?;
            }
            all.add(grant.answer.unwrap_or_default());
        }
        Ok(all)
    }

    /// The devices a container has of a resource, chosen now if they were not before.
    async fn choose(
        &self,
        pod: &Pod,
        container: &str,
        resource: &str,
        plugin: Option<&Plugin>,
    ) -> Result<Ids, AllocationError> {
        let _choosing = self.choosing.lock().await;
        if let Some(grant) = self.state().inventory.grant(&pod::uid(pod), container, resource) {
            return Ok(grant.devices.clone());
        }
        let plugin = plugin.filter(|plugin| plugin.options.get_preferred_allocation_available);
        let preferred = match plugin {
            Some(plugin) => {
                let offer = self.state().inventory.offer(pod, container, resource)?;
                plugin.preferred(offer).await?
            }
            None => Vec::new(),
        };
        Ok(self.change(|inventory| inventory.take(pod, container, resource, &preferred))?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plugins(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Plugin>>> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plugin(&self, resource: &str) -> Option<Arc<Plugin>> {
        self.plugins().get(resource).cloned()
    }

    /// Changes the inventory, on disk before anybody acts on it, and tells who shows it.
    fn change<T>(&self, change: impl FnOnce(&mut Inventory) -> T) -> T {
        let mut state = self.state();
        let outcome = change(&mut state.inventory);
        let checkpoint = Checkpoint::of(&state.inventory);
        if checkpoint != state.written {
            match checkpoint::write(&self.directory, &checkpoint) {
                Ok(()) => state.written = checkpoint,
                Err(error) => {
                    warn!(path = %self.directory.display(), %error, "allocated devices not written, a restart forgets them");
                }
            }
        }
        let amounts = amounts_of(&state.inventory);
        self.amounts.send_if_modified(|known| {
            let differs = *known != amounts;
            *known = amounts;
            differs
        });
        outcome
    }
}

fn amounts_of(inventory: &Inventory) -> DeviceAmounts {
    let (capacity, allocatable) = inventory.amounts();
    DeviceAmounts { capacity, allocatable }
}

impl Plugin {
    async fn allocate(&self, devices: Ids) -> Result<ContainerAllocateResponse, AllocationError> {
        let container_requests = vec![ContainerAllocateRequest { devices_ids: devices.into_iter().collect() }];
        let request = AllocateRequest { container_requests };
        let response: AllocateResponse = self.channel.unary(messages::ALLOCATE, &request, None).await?;
        let first = response.container_responses.into_iter().next();
        first.ok_or(AllocationError::NoAnswer)
    }

    async fn preferred(&self, offer: inventory::Offer) -> Result<Vec<String>, Status> {
        let available = offer.free.union(&offer.reusable).cloned().collect();
        let request = PreferredAllocationRequest {
            container_requests: vec![ContainerPreferredAllocationRequest {
                available_device_ids: available,
                must_include_device_ids: offer.reusable.into_iter().collect(),
                allocation_size: i32::try_from(offer.needed).unwrap_or(i32::MAX),
            }],
        };
        let path = messages::GET_PREFERRED_ALLOCATION;
        let response: PreferredAllocationResponse = self.channel.unary(path, &request, Some(PRE_START_TIMEOUT)).await?;
        Ok(response.container_responses.into_iter().next().unwrap_or_default().device_ids)
    }

    async fn pre_start(&self, devices: Ids) -> Result<(), Status> {
        let request = PreStartContainerRequest { devices_ids: devices.into_iter().collect() };
        self.channel.unary::<_, ()>(messages::PRE_START_CONTAINER, &request, Some(PRE_START_TIMEOUT)).await
    }
}
