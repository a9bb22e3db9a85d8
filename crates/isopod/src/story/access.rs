//! Where the API is and which Pod is meant, found as kubectl finds it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use crate::cli;

/// Used when neither flags nor the environment name a kubeconfig.
const DEFAULT: &str = "/var/lib/isopod/admin.kubeconfig";

/// A way to the API, and a Pod.
pub struct Access {
    /// The API.
    pub client: Client,
    /// The Pod's namespace.
    pub namespace: String,
    /// The Pod's name.
    pub name: String,
}

impl Access {
    /// Reads the kubeconfig that the arguments, the environment or the default say, in this order.
    ///
    /// # Errors
    /// When there is none, or the Pod is not named as one.
    pub async fn new(arguments: &cli::PodArguments) -> Result<Self> {
        let name = pod_name(&arguments.pod)?;
        let (client, namespace) = connect(&arguments.api).await?;
        Ok(Self { client, namespace, name })
    }
}

/// The API, and the namespace that is meant.
///
/// # Errors
/// When there is no usable kubeconfig.
pub async fn connect(arguments: &cli::ApiArguments) -> Result<(Client, String)> {
    let kubeconfig = read_kubeconfig(arguments)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let config = config.context("cannot use the kubeconfig")?;
    let namespace = arguments.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    Ok((Client::try_from(config).context("cannot use the kubeconfig")?, namespace))
}

/// `pod/NAME` as kubectl spells it, or the name alone.
fn pod_name(text: &str) -> Result<String> {
    let name = match text.split_once('/') {
        None => text,
        Some(("pod" | "pods" | "po", name)) => name,
        Some((kind, _)) => bail!("{kind:?} have no story here, only Pods: pod/NAME"),
    };
    if let Some(problem) = api::names::dns1123_subdomain(name).first() {
        bail!("{name:?} is no name of a Pod: {problem}");
    }
    Ok(name.to_owned())
}

fn read_kubeconfig(arguments: &cli::ApiArguments) -> Result<Kubeconfig> {
    let in_data_dir = arguments.data_dir.as_ref().map(|directory| directory.join("admin.kubeconfig"));
    let named = arguments.kubeconfig.clone().or(in_data_dir);
    let from_environment = std::env::var_os("KUBECONFIG").is_some_and(|value| !value.is_empty());
    let default = || Some(PathBuf::from(DEFAULT)).filter(|path| !from_environment && path.exists());
    let read = |path: &Path| Kubeconfig::read_from(path).with_context(|| format!("cannot read {}", path.display()));
    match named.or_else(default) {
        Some(path) => read(&path),
        None => Kubeconfig::read().context("no kubeconfig: name one with --kubeconfig, or a server's --data-dir"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_named_as_for_kubectl() {
        for text in ["web", "pod/web", "pods/web", "po/web"] {
            assert_eq!(pod_name(text).unwrap(), "web");
        }
        for text in ["deployment/web", "pod/", "pod/a/b", "Web"] {
            assert!(pod_name(text).is_err(), "{text}");
        }
    }
}
