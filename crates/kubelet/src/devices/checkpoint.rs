//! Who has which devices, on disk: `device-plugins/kubelet_internal_checkpoint`, in the shape upstream gives it, which
//! network and monitoring plugins read as well.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::inventory::{Grant, Ids, Inventory, Stock};
use super::messages::ContainerAllocateResponse;
use crate::pod::Uid;

/// The file's name.
pub(super) const FILE: &str = "kubelet_internal_checkpoint";
/// Devices are listed by NUMA node; this one stands for none.
const NO_NUMA_NODE: &str = "-1";

/// What is written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Checkpoint {
    data: Data,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    pod_device_entries: Vec<Entry>,
    registered_devices: BTreeMap<String, Ids>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    #[serde(rename = "PodUID")]
    pod_uid: String,
    #[serde(rename = "ContainerName")]
    container_name: String,
    #[serde(rename = "ResourceName")]
    resource_name: String,
    #[serde(rename = "DeviceIDs")]
    device_ids: BTreeMap<String, Ids>,
    /// The plugin's answer, as protobuf in base 64.
    #[serde(rename = "AllocResp")]
    answer: String,
}

impl Checkpoint {
    /// What has to outlive this process. Devices that the plugin has not answered for are not used by anybody yet.
    pub(super) fn of(inventory: &Inventory) -> Self {
        let mut entries = Vec::new();
        for (uid, share) in &inventory.shares {
            for ((container, resource), grant) in &share.grants {
                let Some(answer) = &grant.answer else { continue };
                entries.push(Entry {
                    pod_uid: uid.as_str().to_owned(),
                    container_name: container.clone(),
                    resource_name: resource.clone(),
                    device_ids: BTreeMap::from([(NO_NUMA_NODE.to_owned(), grant.devices.clone())]),
                    answer: BASE64_STANDARD.encode(answer.encode_to_vec()),
                });
            }
        }
        let registered = inventory.stocks.iter().map(|(name, stock)| (name.clone(), stock.healthy.clone()));
        Self { data: Data { pod_device_entries: entries, registered_devices: registered.collect() } }
    }

    /// The inventory to begin with: nothing is healthy until its plugin says so again.
    pub(super) fn restore(&self) -> Inventory {
        let mut inventory = Inventory::default();
        let entries = &self.data.pod_device_entries;
        let used: HashSet<&String> = entries.iter().map(|entry| &entry.resource_name).collect();
        for resource in self.data.registered_devices.keys().chain(used) {
            inventory.set(resource, Stock::default());
        }
        for entry in entries {
            let bytes = BASE64_STANDARD.decode(&entry.answer).ok();
            let answer = bytes.and_then(|bytes| ContainerAllocateResponse::decode(&*bytes).ok());
            if answer.is_none() {
                warn!(pod = entry.pod_uid, container = entry.container_name, "devices of an unreadable allocation");
            }
            let devices = entry.device_ids.values().flatten().cloned().collect();
            let share = inventory.shares.entry(Uid::new(&entry.pod_uid)).or_default();
            let key = (entry.container_name.clone(), entry.resource_name.clone());
            share.grants.insert(key, Grant { devices, answer });
        }
        inventory
    }
}

/// The checkpoint. One that cannot be read counts as none, as upstream has it.
pub(super) fn read(directory: &Path) -> Checkpoint {
    let path = directory.join(FILE);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Checkpoint::default(),
        Err(error) => {
            warn!(path = %path.display(), %error, "allocated devices not read");
            return Checkpoint::default();
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        warn!(path = %path.display(), %error, "allocated devices not understood");
        Checkpoint::default()
    })
}

/// Writes beside and renames into place.
pub(super) fn write(directory: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let new = directory.join(format!("{FILE}.new"));
    std::fs::write(&new, serde_json::to_vec(checkpoint)?)?;
    std::fs::rename(&new, directory.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pod, testing};

    #[test]
    fn allocations_outlive_a_kubelet_and_health_does_not() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()), Checkpoint::default());
        let limits = "{limits: {a/b: 1}}";
        let pod = testing::pod(&format!("containers: [{{name: app, image: i, resources: {limits}}}]"));
        let mut inventory = Inventory::default();
        inventory.set("a/b", Stock { healthy: Ids::from(["1".to_owned()]), unhealthy: Ids::new() });
        inventory.take(&pod, "app", "a/b", &[]).unwrap();
        assert!(Checkpoint::of(&inventory).data.pod_device_entries.is_empty(), "not answered for");
        let envs = BTreeMap::from([("K".to_owned(), "v".to_owned())]);
        let answer = ContainerAllocateResponse { envs, ..ContainerAllocateResponse::default() };
        inventory.answered(&pod::uid(&pod), "app", "a/b", answer);

        write(directory.path(), &Checkpoint::of(&inventory)).unwrap();
        let text = std::fs::read_to_string(directory.path().join(FILE)).unwrap();
        let expected = "{\"Data\":{\"PodDeviceEntries\":[{\"PodUID\":\"u1\",\"ContainerName\":\"app\",\"ResourceName\":\
                        \"a/b\",\"DeviceIDs\":{\"-1\":[\"1\"]},\"AllocResp\":\"CgYKAUsSAXY=\"}],\
                        \"RegisteredDevices\":{\"a/b\":[\"1\"]}}}";
        assert_eq!(text, expected);
        inventory.set("a/b", Stock::default());
        assert_eq!(read(directory.path()).restore(), inventory);

        std::fs::write(directory.path().join(FILE), "{").unwrap();
        assert_eq!(read(directory.path()).restore(), Inventory::default());
    }
}
