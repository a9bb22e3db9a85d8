//! `isopod hollow`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::ApiArguments;
use super::kubelet::duration;

/// Nodes that run no containers: their Pods become Ready with an address, and go when they are deleted. A Pod of a Job
/// ends by itself, and so does one with the annotation hollow.isopod.io/complete-after (such as 20s). The nodes stay in
/// the API when this ends; run it again and it takes them up.
#[derive(Debug, Args)]
pub struct Hollow {
    /// How many
    #[arg(long, value_name = "COUNT")]
    pub nodes: usize,
    /// How to reach the API [default: $KUBECONFIG, else /var/lib/isopod/admin.kubeconfig]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Folder of a server on this machine, whose admin.kubeconfig is used
    #[arg(long, value_name = "DIR", conflicts_with = "kubeconfig")]
    pub data_dir: Option<PathBuf>,
    /// The nodes are called PREFIX-0 and so on
    #[arg(long, default_value = "hollow", value_name = "PREFIX")]
    pub name_prefix: String,
    /// What each node has of a resource; may be repeated
    #[arg(
        long = "capacity",
        default_values = ["cpu=4", "memory=32Gi", "ephemeral-storage=100Gi", "pods=110"],
        value_name = "RESOURCE=QUANTITY",
        value_parser = resource
    )]
    pub capacity: Vec<(String, String)>,
    /// Over how many zones the nodes are spread (zone-0 and so on) [default: they have none]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "COUNT")]
    pub zones: usize,
    /// How often each node renews its Lease
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = duration)]
    pub heartbeat: Duration,
    /// How long Pods of Jobs run
    #[arg(long, default_value = "1s", value_name = "DURATION", value_parser = duration)]
    pub job_duration: Duration,
}

impl Hollow {
    /// Where the API is.
    pub fn api(&self) -> ApiArguments {
        ApiArguments { namespace: None, kubeconfig: self.kubeconfig.clone(), data_dir: self.data_dir.clone() }
    }
}

fn resource(text: &str) -> Result<(String, String), String> {
    let (name, quantity) = text.split_once('=').ok_or_else(|| format!("{text:?} is not RESOURCE=QUANTITY"))?;
    api::quantity::Quantity::parse(quantity).map_err(|error| format!("{quantity:?}: {error}"))?;
    Ok((name.to_owned(), quantity.to_owned()))
}
