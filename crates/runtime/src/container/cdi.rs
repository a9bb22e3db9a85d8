//! Devices by name, as the Container Device Interface has it: vendors describe in files what a container needs for a
//! device, and whoever allocates devices says only the name (`vendor.com/class=device`).
//!
//! The files are read when a container asks, which is rare. What they say is added to the container's configuration;
//! what cannot be done here (hooks, resource control, network devices) is refused rather than left out.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cri::{ContainerConfig, Device, KeyValue, Mount};
use serde::Deserialize;

/// Where the files are. What is in the later directory counts for more.
pub const DIRECTORIES: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

/// Why a container does not get devices by name.
#[derive(Debug, thiserror::Error)]
pub enum CdiError {
    /// No file describes them.
    #[error("unresolvable CDI devices {}", .0.join(", "))]
    Unresolvable(Vec<String>),
    /// Two files describe the same device.
    #[error("conflicting device \"{device}\" (specs \"{first}\", \"{second}\")")]
    Conflict {
        /// Its name.
        device: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The description wants something that this runtime does not do.
    #[error("CDI device \"{device}\" needs {what}, which this runtime does not do")]
    Unsupported {
        /// Its name.
        device: String,
        /// What it needs.
        what: &'static str,
    },
}

/// A file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    /// `vendor.com/class`.
    kind: String,
    #[serde(default)]
    devices: Vec<NamedDevice>,
    /// For every container that has any device of this file.
    #[serde(default)]
    container_edits: Edits,
    /// The file's name.
    #[serde(skip)]
    path: PathBuf,
    /// Which directory it was in.
    #[serde(skip)]
    rank: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedDevice {
    name: String,
    #[serde(default)]
    container_edits: Edits,
}

/// What a container needs for a device.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Edits {
    env: Vec<String>,
    device_nodes: Vec<DeviceNode>,
    mounts: Vec<BindMount>,
    hooks: Vec<serde::de::IgnoredAny>,
    intel_rdt: Option<serde::de::IgnoredAny>,
    net_devices: Vec<serde::de::IgnoredAny>,
    additional_gids: Vec<serde::de::IgnoredAny>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeviceNode {
    path: String,
    host_path: Option<String>,
    permissions: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BindMount {
    host_path: String,
    container_path: String,
    #[serde(default)]
    options: Vec<String>,
}

/// Adds what the devices that a container names need to its configuration.
///
/// # Errors
/// [`CdiError`]; the container cannot be created then.
pub fn inject(config: &mut ContainerConfig, directories: &[impl AsRef<Path>]) -> Result<(), CdiError> {
    if config.cdi_devices.is_empty() {
        return Ok(());
    }
    let specs: Vec<Spec> = directories.iter().enumerate().flat_map(|(rank, path)| read(path.as_ref(), rank)).collect();
    let names: Vec<String> = config.cdi_devices.iter().map(|device| device.name.clone()).collect();
    for edits in resolve(&specs, &names)? {
        apply(config, edits);
    }
    Ok(())
}

/// The files of a directory. One that nobody understands describes nothing.
fn read(directory: &Path, rank: usize) -> Vec<Spec> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory).into_iter().flatten().flatten().map(|one| one.path()).collect();
    paths.sort();
    let understood = paths.into_iter().filter_map(|path| {
        let extension = path.extension()?.to_str()?;
        let text = fs::read_to_string(&path);
        let spec = text.and_then(|text| match extension {
            "json" => serde_json::from_str::<Spec>(&text).map(Some).map_err(io::Error::other),
            "yaml" => serde_saphyr::from_str::<Spec>(&text).map(Some).map_err(io::Error::other),
            _ => Ok(None),
        });
        match spec {
            Ok(spec) => spec.map(|spec| Spec { path, rank, ..spec }),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "CDI spec not understood");
                None
            }
        }
    });
    understood.collect()
}

/// What these devices need: of each file what all its devices need once, then what each device needs.
fn resolve<'a>(specs: &'a [Spec], names: &[String]) -> Result<Vec<&'a Edits>, CdiError> {
    let (mut edits, mut unknown, mut files) = (Vec::new(), Vec::new(), BTreeSet::new());
    for name in names {
        let Some((spec, device)) = find(specs, name)? else {
            unknown.push(name.clone());
            continue;
        };
        let general = files.insert(&spec.path).then_some(&spec.container_edits);
        for one in general.into_iter().chain([&device.container_edits]) {
            if let Some(what) = unsupported(one) {
                return Err(CdiError::Unsupported { device: name.clone(), what });
            }
            edits.push(one);
        }
    }
    if unknown.is_empty() { Ok(edits) } else { Err(CdiError::Unresolvable(unknown)) }
}

fn find<'a>(specs: &'a [Spec], name: &str) -> Result<Option<(&'a Spec, &'a NamedDevice)>, CdiError> {
    let Some((kind, device)) = name.split_once('=') else { return Ok(None) };
    let of_kind = specs.iter().filter(|spec| spec.kind == kind);
    let mut found: Vec<_> = of_kind
        .flat_map(|spec| spec.devices.iter().filter(|one| one.name == device).map(move |one| (spec, one)))
        .collect();
    let highest = found.iter().map(|(spec, _)| spec.rank).max();
    found.retain(|(spec, _)| Some(spec.rank) == highest);
    match found.as_slice() {
        [(first, _), (second, _), ..] => {
            Err(CdiError::Conflict { device: name.to_owned(), first: first.path.clone(), second: second.path.clone() })
        }
        found => Ok(found.first().copied()),
    }
}

fn unsupported(edits: &Edits) -> Option<&'static str> {
    [
        (!edits.hooks.is_empty(), "hooks"),
        (edits.intel_rdt.is_some(), "Intel RDT"),
        (!edits.net_devices.is_empty(), "network devices"),
        (!edits.additional_gids.is_empty(), "additional groups"),
    ]
    .into_iter()
    .find_map(|(is_set, what)| is_set.then_some(what))
}

fn apply(config: &mut ContainerConfig, edits: &Edits) {
    for env in &edits.env {
        let (key, value) = env.split_once('=').unwrap_or((env, ""));
        config.envs.retain(|known| known.key != key);
        config.envs.push(KeyValue { key: key.to_owned(), value: value.to_owned() });
    }
    config.devices.extend(edits.device_nodes.iter().map(|node| Device {
        container_path: node.path.clone(),
        host_path: node.host_path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| node.path.clone()),
        permissions: node.permissions.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| "rwm".to_owned()),
    }));
    config.mounts.extend(edits.mounts.iter().map(|mount| Mount {
        container_path: mount.container_path.clone(),
        host_path: mount.host_path.clone(),
        readonly: mount.options.iter().any(|option| option == "ro"),
        ..Mount::default()
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: &str = "cdiVersion: 0.6.0\nkind: vendor.com/gpu\ncontainerEdits:\n  env: [DRIVER=1]\n  mounts: \
                       [{hostPath: /lib/gpu, containerPath: /gpu, options: [ro, bind]}]\ndevices:\n- name: one\n  \
                       containerEdits:\n    deviceNodes: [{path: /dev/gpu1, hostPath: /dev/zero, permissions: \
                       rw}]\n    env: [GPU=1]\n- name: two\n  containerEdits:\n    deviceNodes: [{path: /dev/null}]\n";

    fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    fn injected(names: &[&str], directories: &[&tempfile::TempDir]) -> Result<ContainerConfig, String> {
        let cdi_devices = names.iter().map(|name| cri::CDIDevice { name: (*name).to_owned() }).collect();
        let envs = vec![KeyValue { key: "DRIVER".to_owned(), value: "own".to_owned() }];
        let mut config = ContainerConfig { cdi_devices, envs, ..ContainerConfig::default() };
        let paths: Vec<&Path> = directories.iter().map(|directory| directory.path()).collect();
        inject(&mut config, &paths).map_err(|error| error.to_string()).map(|()| config)
    }

    #[test]
    fn devices_bring_what_their_files_say_once() {
        let directory = files(&[("gpu.yaml", GPU), ("note.txt", "{"), ("broken.json", "{")]);
        let config = injected(&["vendor.com/gpu=one", "vendor.com/gpu=two"], &[&directory]).unwrap();
        let envs: Vec<String> = config.envs.iter().map(|env| format!("{}={}", env.key, env.value)).collect();
        assert_eq!(envs, ["DRIVER=1", "GPU=1"]);
        let devices = config.devices.iter();
        let devices: Vec<String> =
            devices.map(|one| format!("{} {} {}", one.container_path, one.host_path, one.permissions)).collect();
        assert_eq!(devices, ["/dev/gpu1 /dev/zero rw", "/dev/null /dev/null rwm"]);
        assert_eq!((config.mounts.len(), config.mounts[0].readonly), (1, true));
        assert_eq!(injected(&[], &[&directory]).unwrap().devices, []);
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        let json = |edits: &str| {
            format!(
                "{{\"cdiVersion\": \"0.6.0\", \"kind\": \"vendor.com/gpu\", \"devices\": [{{\"name\": \"one\", \
                 \"containerEdits\": {edits}}}]}}"
            )
        };
        let (plain, hooked) = (json("{\"env\": [\"A=b\"]}"), json("{\"hooks\": [{\"hookName\": \"prestart\"}]}"));
        let (etc, run) = (files(&[("gpu.yaml", GPU)]), files(&[("gpu.json", &plain)]));
        let config = injected(&["vendor.com/gpu=one"], &[&etc, &run]).unwrap();
        assert_eq!((config.devices.len(), config.envs.len()), (0, 2), "the later directory counts");
        for (directory, names, problem) in [
            (&etc, &["vendor.com/gpu=three", "x"][..], "unresolvable CDI devices vendor.com/gpu=three, x"),
            (
                &files(&[("a.json", &hooked)]),
                &["vendor.com/gpu=one"],
                "CDI device \"vendor.com/gpu=one\" needs hooks, which this runtime does not do",
            ),
        ] {
            assert_eq!(injected(names, &[directory]).unwrap_err(), problem);
        }
        let twice = files(&[("a.json", &plain), ("b.json", &plain)]);
        let error = injected(&["vendor.com/gpu=one"], &[&twice]).unwrap_err();
        assert!(error.starts_with("conflicting device \"vendor.com/gpu=one\""), "{error}");
    }
}
