//! A device plugin as a vendor would write it, in a thread of the test. Its messages are its own: it speaks what the
//! interface says, not what the kubelet happens to understand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use futures::stream;
use grpc::{Channel, Endpoint, Router, Status};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[derive(Clone, PartialEq, prost::Message)]
struct RegisterRequest {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(string, tag = "2")]
    endpoint: String,
    #[prost(string, tag = "3")]
    resource_name: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Options {
    #[prost(bool, tag = "1")]
    pre_start_required: bool,
    #[prost(bool, tag = "2")]
    get_preferred_allocation_available: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Device {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    health: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Devices {
    #[prost(message, repeated, tag = "1")]
    devices: Vec<Device>,
}

/// One message in another, as several of the interface are.
#[derive(Clone, PartialEq, prost::Message)]
struct Containers<M: prost::Message + Default + std::fmt::Debug> {
    #[prost(message, repeated, tag = "1")]
    containers: Vec<M>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Ids {
    #[prost(string, repeated, tag = "1")]
    ids: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Preference {
    #[prost(string, repeated, tag = "1")]
    available: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    must_include: Vec<String>,
    #[prost(int32, tag = "3")]
    size: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Mount {
    #[prost(string, tag = "1")]
    container_path: String,
    #[prost(string, tag = "2")]
    host_path: String,
    #[prost(bool, tag = "3")]
    read_only: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DeviceSpec {
    #[prost(string, tag = "1")]
    container_path: String,
    #[prost(string, tag = "2")]
    host_path: String,
    #[prost(string, tag = "3")]
    permissions: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Allocated {
    #[prost(btree_map = "string, string", tag = "1")]
    envs: BTreeMap<String, String>,
    #[prost(message, repeated, tag = "2")]
    mounts: Vec<Mount>,
    #[prost(message, repeated, tag = "3")]
    devices: Vec<DeviceSpec>,
    #[prost(message, repeated, tag = "5")]
    cdi_devices: Vec<CdiDevice>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CdiDevice {
    #[prost(string, tag = "1")]
    name: String,
}

/// How it behaves.
#[derive(Debug, Default)]
struct Manner {
    calls: Vec<String>,
    refuses: Option<&'static str>,
    cdi_devices: Vec<String>,
}

/// A plugin that is registered, until it is dropped. Its containers find the ids of their devices in `$THINGS`, a
/// directory at `/thing` and a device at `/dev/thing`. It prefers the last ones.
pub struct DevicePlugin {
    list: watch::Sender<Devices>,
    manner: Arc<Mutex<Manner>>,
    socket: PathBuf,
    /// Ends everything with it.
    _runtime: Runtime,
    _server: tokio_util::sync::DropGuard,
}

impl DevicePlugin {
    /// Registers a resource, without devices yet, with the kubelet of a data directory; `shown` is what containers see.
    ///
    /// # Errors
    /// When the kubelet does not take it.
    pub fn start(data_dir: &Path, resource: &str, shown: &Path) -> Result<Self> {
        let sockets = data_dir.join("kubelet/device-plugins");
        let socket = sockets.join("test.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (list, manner) = (watch::channel(Devices::default()).0, Arc::default());
        let server = CancellationToken::new();
        let (router, stop) = (router(list.clone(), Arc::clone(&manner), shown.to_owned()), server.clone());
        let listener = {
            let _entered = runtime.enter();
            grpc::socket::listen(&socket).context("listening as a device plugin")?
        };
        runtime.spawn(grpc::serve(listener, router, stop));
        let request = RegisterRequest {
            version: "v1beta1".to_owned(),
            endpoint: "test.sock".to_owned(),
            resource_name: resource.to_owned(),
        };
        let kubelet = Channel::new(Endpoint::Unix(sockets.join("kubelet.sock")));
        let call = kubelet.unary::<_, ()>("/v1beta1.Registration/Register", &request, None);
        runtime.block_on(call).context("registering a device plugin")?;
        Ok(Self { list, manner, socket, _runtime: runtime, _server: server.drop_guard() })
    }

    /// Says which devices there are, and which of them are healthy.
    pub fn list(&self, devices: &[(&str, bool)]) {
        let device = |(id, healthy): &(&str, bool)| Device {
            id: (*id).to_owned(),
            health: if *healthy { "Healthy" } else { "Unhealthy" }.to_owned(),
        };
        self.list.send_replace(Devices { devices: devices.iter().map(device).collect() });
    }

    /// What it was asked for.
    pub fn calls(&self) -> Vec<String> {
        lock(&self.manner).calls.clone()
    }

    /// From now on it says no to a call, `Allocate` or `PreStartContainer`, or to none.
    pub fn refuse(&self, call: Option<&'static str>) {
        lock(&self.manner).refuses = call;
    }

    /// From now on containers get these devices by name as well.
    pub fn name_devices(&self, names: &[&str]) {
        lock(&self.manner).cdi_devices = names.iter().map(|name| (*name).to_owned()).collect();
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

fn lock(manner: &Mutex<Manner>) -> MutexGuard<'_, Manner> {
    manner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes a call, and may refuse it.
fn note(manner: &Mutex<Manner>, call: &str, line: String) -> Result<(), Status> {
    let mut manner = lock(manner);
    manner.calls.push(line);
    match manner.refuses {
        Some(refused) if refused == call => Err(Status::new(grpc::Code::Unknown, "no luck today")),
        _ => Ok(()),
    }
}

fn router(list: watch::Sender<Devices>, manner: Arc<Mutex<Manner>>, shown: PathBuf) -> Router {
    let (preferring, allocating, preparing) = (Arc::clone(&manner), Arc::clone(&manner), manner);
    Router::new()
        .unary("/v1beta1.DevicePlugin/GetDevicePluginOptions", |(): ()| async {
            Ok(Options { pre_start_required: true, get_preferred_allocation_available: true })
        })
        .server_stream("/v1beta1.DevicePlugin/ListAndWatch", move |(): ()| {
            let mut devices = list.subscribe();
            devices.mark_changed();
            async move {
                let lists = stream::unfold(devices, |mut devices| async move {
                    devices.changed().await.ok()?;
                    let now = devices.borrow_and_update().clone();
                    Some((Ok::<_, Status>(now), devices))
                });
                Ok(lists.boxed())
            }
        })
        .unary("/v1beta1.DevicePlugin/GetPreferredAllocation", move |request: Containers<Preference>| {
            let containers = request.containers.into_iter().map(|asked| {
                lock(&preferring).calls.push(format!("prefer [{}] {}", asked.available.join(" "), asked.size));
                Ids { ids: asked.available.into_iter().rev().take(usize::try_from(asked.size).unwrap_or(0)).collect() }
            });
            let answer = Containers { containers: containers.collect() };
            async move { Ok(answer) }
        })
        .unary("/v1beta1.DevicePlugin/Allocate", move |request: Containers<Ids>| {
            let containers = request.containers.iter().map(|asked| {
                note(&allocating, "Allocate", format!("allocate [{}]", asked.ids.join(" ")))?;
                let names = lock(&allocating).cdi_devices.clone();
                Ok(Allocated {
                    cdi_devices: names.into_iter().map(|name| CdiDevice { name }).collect(),
                    ..allocated(&asked.ids, &shown)
                })
            });
            let answer = containers.collect::<Result<_, Status>>().map(|containers| Containers { containers });
            async move { answer }
        })
        .unary("/v1beta1.DevicePlugin/PreStartContainer", move |request: Ids| {
            let answer = note(&preparing, "PreStartContainer", format!("prepare [{}]", request.ids.join(" ")));
            async move { answer }
        })
}

fn allocated(ids: &[String], shown: &Path) -> Allocated {
    Allocated {
        envs: BTreeMap::from([("THINGS".to_owned(), ids.join(" "))]),
        mounts: vec![Mount {
            container_path: "/thing".to_owned(),
            host_path: shown.display().to_string(),
            read_only: true,
        }],
        devices: vec![DeviceSpec {
            container_path: "/dev/thing".to_owned(),
            host_path: "/dev/zero".to_owned(),
            permissions: "rw".to_owned(),
        }],
        cdi_devices: Vec::new(),
    }
}
