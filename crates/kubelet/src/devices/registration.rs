//! Plugins come and go: the socket at which they register, and listening to each of them.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::resource_list::is_extended;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use grpc::{Channel, Code, Endpoint, Router, Status};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::inventory::{Ids, Stock};
use super::messages::{self, DevicePluginOptions, ListAndWatchResponse, RegisterRequest};
use super::{Devices, Plugin, checkpoint};

const SOCKET: &str = "kubelet.sock";
/// How long a plugin may take to say what it can do.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the devices of a plugin that is gone are still counted as the node's.
const GONE_AFTER: Duration = Duration::from_secs(300);
/// Plugins that have registered and are not listened to yet.
const QUEUE_LIMIT: usize = 16;

/// Takes registrations and listens to plugins, until the future is dropped.
pub async fn run(devices: Arc<Devices>) {
    let listener = match prepare(&devices.directory) {
        Ok(listener) => listener,
        Err(error) => {
            return error!(path = %devices.directory.display(), %error, "device plugins cannot register");
        }
    };
    let (sender, mut registered) = mpsc::channel(QUEUE_LIMIT);
    let owner = Arc::clone(&devices);
    let router = Router::new().unary(messages::REGISTER, move |request: RegisterRequest| {
        let (devices, sender) = (Arc::clone(&owner), sender.clone());
        async move {
            let plugin = register(&devices, request).await?;
            let stopping = |_| Status::new(Code::Unavailable, "the kubelet is stopping");
            sender.send(plugin).await.map_err(stopping)
        }
    });
    let cancel = CancellationToken::new();
    let _until_dropped = cancel.clone().drop_guard();
    let mut server = std::pin::pin!(grpc::serve(listener, router, cancel).fuse());
    let mut watches = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = &mut server => return warn!("device plugins cannot register any more"),
            Some(plugin) = registered.recv() => watches.push(follow(&devices, plugin)),
            Some(()) = watches.next() => {}
        }
    }
}

/// Listens anew. Sockets of earlier plugins go: their owners see that, and the new socket, and register again.
fn prepare(directory: &Path) -> io::Result<tokio::net::UnixListener> {
    std::fs::create_dir_all(directory)?;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name() != checkpoint::FILE && !entry.file_type()?.is_dir() {
            std::fs::remove_file(entry.path())?;
        }
    }
    grpc::socket::listen(&directory.join(SOCKET))
}

/// Takes a plugin in, in place of one that had its resource before.
async fn register(devices: &Devices, request: RegisterRequest) -> Result<Arc<Plugin>, Status> {
    let RegisterRequest { version, endpoint, resource_name } = request;
    let refuse = |message| Err(Status::new(Code::Unknown, message));
    if version != messages::VERSION {
        let supported = messages::VERSION;
        return refuse(format!(
            "requested API version {version:?} is not supported by kubelet. Supported version is {supported:?}"
        ));
    }
    if !is_extended(&resource_name) {
        return refuse(format!("the ResourceName {resource_name:?} is invalid"));
    }
    let channel = Channel::new(Endpoint::Unix(devices.directory.join(&endpoint)));
    let options: DevicePluginOptions = channel.unary(messages::GET_OPTIONS, &(), Some(CONNECT_TIMEOUT)).await?;
    info!(resource = resource_name, endpoint, "device plugin registered");
    let replaced = CancellationToken::new();
    let plugin = Arc::new(Plugin { resource: resource_name.clone(), channel, options, replaced });
    if let Some(before) = devices.plugins().insert(resource_name, Arc::clone(&plugin)) {
        before.replaced.cancel();
    }
    Ok(plugin)
}

/// Listens to a plugin until it or its place is gone, and forgets its devices when it does not come back.
async fn follow(devices: &Devices, plugin: Arc<Plugin>) {
    let resource = &plugin.resource;
    tokio::select! {
        () = plugin.replaced.cancelled() => return,
        outcome = listen(devices, &plugin) => match outcome {
            Ok(()) => warn!(resource, "device plugin ended"),
            Err(error) => warn!(resource, %error, "device plugin is gone"),
        }
    }
    devices.change(|inventory| inventory.lose(resource));
    tokio::select! {
        () = plugin.replaced.cancelled() => {}
        () = tokio::time::sleep(GONE_AFTER) => devices.change(|inventory| inventory.set(resource, Stock::default())),
    }
}

async fn listen(devices: &Devices, plugin: &Plugin) -> Result<(), Status> {
    let mut lists = plugin.channel.server_stream(messages::LIST_AND_WATCH, &()).await?;
    while let Some(list) = lists.next().await {
        let stock = stock(list?);
        info!(
            resource = plugin.resource,
            healthy = stock.healthy.len(),
            unhealthy = stock.unhealthy.len(),
            "devices listed"
        );
        devices.change(|inventory| inventory.set(&plugin.resource, stock));
    }
    Ok(())
}

fn stock(list: ListAndWatchResponse) -> Stock {
    let mut stock = Stock { healthy: Ids::new(), unhealthy: Ids::new() };
    for device in list.devices {
        let ids = if device.health == messages::HEALTHY { &mut stock.healthy } else { &mut stock.unhealthy };
        ids.insert(device.id);
    }
    stock
}
