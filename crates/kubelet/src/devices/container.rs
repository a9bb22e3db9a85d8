//! What devices add to a container's configuration. Pure.

use std::collections::BTreeMap;

use super::messages::ContainerAllocateResponse;

/// What the plugins of a container's devices want it to be created with. Where two contradict each other, the first
/// one counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerDevices {
    envs: BTreeMap<String, String>,
    mounts: Vec<cri::Mount>,
    devices: Vec<cri::Device>,
    annotations: BTreeMap<String, String>,
    cdi_devices: Vec<cri::CDIDevice>,
}

impl ContainerDevices {
    /// Adds the answer of a plugin.
    pub(super) fn add(&mut self, answer: ContainerAllocateResponse) {
        for (key, value) in answer.envs {
            self.envs.entry(key).or_insert(value);
        }
        for (key, value) in answer.annotations {
            self.annotations.entry(key).or_insert(value);
        }
        for mount in answer.mounts {
            if self.mounts.iter().all(|known| known.container_path != mount.container_path) {
                self.mounts.push(cri::Mount {
                    container_path: mount.container_path,
                    host_path: mount.host_path,
                    readonly: mount.read_only,
                    ..cri::Mount::default()
                });
            }
        }
        for device in answer.devices {
            if self.devices.iter().all(|known| known.container_path != device.container_path) {
                self.devices.push(cri::Device {
                    container_path: device.container_path,
                    host_path: device.host_path,
                    permissions: device.permissions,
                });
            }
        }
        for device in answer.cdi_devices {
            if self.cdi_devices.iter().all(|known| known.name != device.name) {
                self.cdi_devices.push(cri::CDIDevice { name: device.name });
            }
        }
    }

    /// Puts it into a configuration. What the Pod says itself stands above what plugins say.
    pub fn add_to(self, config: &mut cri::ContainerConfig) {
        let own = std::mem::take(&mut config.envs);
        let others = self.envs.into_iter().filter(|(key, _)| own.iter().all(|env| env.key != *key));
        config.envs = others.map(|(key, value)| cri::KeyValue { key, value }).collect();
        config.envs.extend(own);
        config.mounts.splice(..0, self.mounts);
        config.devices.extend(self.devices);
        config.cdi_devices.extend(self.cdi_devices);
        for (key, value) in self.annotations {
            config.annotations.entry(key).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::messages;

    fn answer(env: &str, path: &str) -> ContainerAllocateResponse {
        let pair = |value: &str| BTreeMap::from([("KEY".to_owned(), value.to_owned())]);
        ContainerAllocateResponse {
            envs: pair(env),
            mounts: vec![messages::Mount { container_path: path.into(), host_path: "/host".into(), read_only: true }],
            devices: vec![messages::DeviceSpec {
                container_path: path.into(),
                host_path: "/dev/null".into(),
                permissions: "rw".into(),
            }],
            annotations: pair(env),
            cdi_devices: vec![messages::CdiDevice { name: format!("vendor.com/thing={env}") }],
        }
    }

    #[test]
    fn the_first_plugin_and_the_pod_itself_count() {
        let mut devices = ContainerDevices::default();
        devices.add(answer("one", "/thing"));
        devices.add(answer("two", "/thing"));
        devices.add(answer("three", "/other"));
        let paths = |config: &cri::ContainerConfig| {
            config.mounts.iter().map(|mount| mount.container_path.clone()).collect::<Vec<_>>()
        };
        let key_value = |value: &str| cri::KeyValue { key: "KEY".to_owned(), value: value.to_owned() };
        let mut bare = cri::ContainerConfig::default();
        devices.clone().add_to(&mut bare);
        assert_eq!(bare.envs, [key_value("one")]);
        assert_eq!(bare.annotations["KEY"], "one");
        assert_eq!(paths(&bare), ["/thing", "/other"]);
        assert!(bare.mounts[0].readonly && bare.devices[0].permissions == "rw");
        assert_eq!((bare.devices.len(), bare.cdi_devices.len()), (2, 3));

        let volume = cri::Mount { container_path: "/volume".to_owned(), ..cri::Mount::default() };
        let mut config = cri::ContainerConfig { envs: vec![key_value("own")], mounts: vec![volume], ..bare.clone() };
        config.annotations.insert("KEY".to_owned(), "own".to_owned());
        devices.add_to(&mut config);
        assert_eq!(config.envs, [key_value("own")]);
        assert_eq!(config.annotations["KEY"], "own");
        assert_eq!(paths(&config), ["/thing", "/other", "/volume"]);
    }
}
