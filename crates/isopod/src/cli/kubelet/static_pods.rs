//! Where the node finds Pods of its own.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use kubelet::{ManifestUrl, StaticPodConfig};

/// Sources of static Pods.
#[derive(Debug, Args)]
pub struct StaticPods {
    /// Directory of manifests of static Pods, or one such file: they run with or without the API; files whose name
    /// begins with a dot are ignored
    #[arg(long, value_name = "PATH")]
    pub pod_manifest_path: Option<PathBuf>,
    /// URL that serves further manifests of static Pods
    #[arg(long, value_name = "URL")]
    pub manifest_url: Option<String>,
    /// Headers for requests to the manifest URL, for instance 'a:hello,b:again'; may be repeated
    #[arg(long, value_delimiter = ',', value_name = "NAME:VALUE", requires = "manifest_url")]
    pub manifest_url_header: Vec<String>,
}

impl StaticPods {
    /// Checks the flags.
    pub fn resolve(&self) -> Result<StaticPodConfig> {
        let path = self.pod_manifest_path.as_ref().map(std::path::absolute).transpose();
        let url = self.manifest_url.as_ref().map(|url| ManifestUrl::parse(url, &self.manifest_url_header)).transpose();
        Ok(StaticPodConfig { path: path.context("--pod-manifest-path")?, url: url.context("--manifest-url")? })
    }
}
