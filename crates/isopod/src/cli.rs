//! The command line as users type it.

mod audit;
mod datastore;
mod hollow;
mod identity;
mod kubelet;
mod leader_election;
mod limits;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use network::Cidr;

pub use audit::Audit;
pub use datastore::Datastore;
pub use hollow::Hollow;
pub use identity::Identity;
pub use kubelet::Kubelet;
pub use leader_election::LeaderElection;
pub use limits::Limits;

/// Kubernetes as one small binary.
#[derive(Debug, Parser)]
#[command(name = "isopod", version, about, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What isopod can be told to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a cluster: API server, store, scheduler, controllers and this machine as its node
    Server(Box<Server>),
    /// Stop every Pod and remove everything isopod made on this host
    Reset(DataDir),
    /// Import, list and remove container images
    #[command(subcommand)]
    Images(Images),
    /// Save all objects to a file, and make a new store from one
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Tell what befell a Pod, step by step with times, also one that is gone
    Story(Story),
    /// Say what a Pod waits for now
    Why(Why),
    /// Show an object and everything it owns, with readiness, reason and age
    Tree(Tree),
    /// Run nodes without containers against a cluster, to see how it does at size
    Hollow(Hollow),
}

/// Where to ask for objects.
#[derive(Debug, Args)]
pub struct ApiArguments {
    /// Its namespace [default: the one of the kubeconfig's context]
    #[arg(long, short, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// How to reach the API [default: $KUBECONFIG, else /var/lib/isopod/admin.kubeconfig]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Folder of a server on this machine, whose admin.kubeconfig is used
    #[arg(long, value_name = "DIR", conflicts_with = "kubeconfig")]
    pub data_dir: Option<PathBuf>,
}

/// Which Pod, and where to ask for it.
#[derive(Debug, Args)]
pub struct PodArguments {
    /// The Pod, as pod/NAME or NAME
    #[arg(value_name = "pod/NAME")]
    pub pod: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub api: ApiArguments,
}

/// `isopod tree`.
#[derive(Debug, Args)]
pub struct Tree {
    /// The object, of any kind, as kubectl names it: deployment/NAME, sts/NAME, jobs.batch/NAME
    #[arg(value_name = "KIND/NAME")]
    pub object: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub api: ApiArguments,
}

/// `isopod story`.
#[derive(Debug, Args)]
pub struct Story {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub pod: PodArguments,
    /// The Pod with this UID, where several had the name [default: the latest]
    #[arg(long, value_name = "UID")]
    pub uid: Option<String>,
    /// Everything that is known, as data
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<Output>,
}

/// `isopod why`.
#[derive(Debug, Args)]
pub struct Why {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub pod: PodArguments,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// JSON
    Json,
}

/// Where a server keeps everything.
#[derive(Debug, Clone, Args)]
pub struct DataDir {
    /// Folder for all state; servers with different folders run side by side
    #[arg(long, default_value = "/var/lib/isopod", value_name = "DIR")]
    pub data_dir: PathBuf,
}

/// `isopod server`.
#[derive(Debug, Args)]
pub struct Server {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data_dir: DataDir,
    /// Address the API server listens on
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    pub bind_address: IpAddr,
    /// Port the API server listens on
    #[arg(long, default_value_t = 6443, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub https_listen_port: u16,
    /// Also write the admin kubeconfig to this file (it is always at DIR/admin.kubeconfig)
    #[arg(long, value_name = "FILE")]
    pub write_kubeconfig: Option<PathBuf>,
    /// Name of this node [default: the host's name]
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Label for this node, for instance disktype=ssd; may be repeated
    #[arg(long = "node-label", value_name = "KEY=VALUE")]
    pub node_labels: Vec<String>,
    /// Addresses of Pods; one IPv4 and one IPv6 range at most, separated by a comma
    #[arg(long, default_value = "10.42.0.0/16", value_delimiter = ',', value_name = "CIDR")]
    pub cluster_cidr: Vec<Cidr>,
    /// Length of the network part of the IPv4 range that one node gets out of those
    #[arg(long, default_value_t = 24, value_name = "BITS", value_parser = clap::value_parser!(u8).range(8..=30))]
    pub node_cidr_mask_size: u8,
    /// Addresses of Services
    #[arg(long, default_value = "10.43.0.0/16", value_delimiter = ',', value_name = "CIDR")]
    pub service_cidr: Vec<Cidr>,
    /// Registry mirrors, credentials and certificates, in k3s's registries.yaml format
    /// [default: /etc/isopod/registries.yaml if there is one]
    #[arg(long, value_name = "FILE")]
    pub private_registry: Option<PathBuf>,
    /// Silence after which a node counts as gone
    #[arg(long, default_value = "50s", value_name = "DURATION", value_parser = kubelet::duration)]
    pub node_monitor_grace_period: std::time::Duration,
    /// Scheduler profiles and their plugins: a KubeSchedulerConfiguration of kubescheduler.config.k8s.io/v1; what it says of
    /// leader election and connections has no meaning here
    #[arg(long, value_name = "FILE")]
    pub kube_scheduler_config: Option<PathBuf>,
    /// APIs to serve that are not by default, such as certificates.k8s.io/v1beta1/clustertrustbundles=true
    #[arg(long, value_delimiter = ',', value_name = "API=true")]
    pub runtime_config: Vec<String>,
    /// Admission plugins to use besides those that are on by default, such as AlwaysPullImages; their order is fixed
    #[arg(long, value_delimiter = ',', value_name = "PLUGIN")]
    pub enable_admission_plugins: Vec<String>,
    /// Admission plugins not to use although they are on by default
    #[arg(long, value_delimiter = ',', value_name = "PLUGIN")]
    pub disable_admission_plugins: Vec<String>,
    /// What admission plugins are told: an AdmissionConfiguration of apiserver.config.k8s.io/v1, with a
    /// PodSecurityConfiguration in it
    #[arg(long, value_name = "FILE")]
    pub admission_control_config_file: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub datastore: Datastore,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub leader_election: LeaderElection,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub limits: Limits,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub audit: Audit,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub node_evictions: NodeEvictions,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub autoscaling: Autoscaling,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub identity: Identity,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub kubelet: Kubelet,
}

/// How fast Pods leave nodes that are gone, under the names that upstream's controller manager gives the flags.
#[derive(Debug, Clone, Copy, Args)]
pub struct NodeEvictions {
    /// Nodes per second, in each zone, whose Pods are evicted because the node is gone
    #[arg(long, default_value_t = 0.1, value_parser = rate, value_name = "RATE")]
    pub node_eviction_rate: f64,
    /// The same in a large zone of which much is gone; in a small one nothing is evicted then
    #[arg(long, default_value_t = 0.01, value_parser = rate, value_name = "RATE")]
    pub secondary_node_eviction_rate: f64,
    /// Nodes of which a zone must have more to be large
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    pub large_cluster_size_threshold: usize,
    /// Part of a zone, of at least three nodes, that must be gone for that
    #[arg(long, default_value_t = 0.55, value_parser = rate, value_name = "PART")]
    pub unhealthy_zone_threshold: f64,
}

/// What HorizontalPodAutoscalers do that do not say it themselves, under the names that upstream's controller manager
/// gives the flags.
#[derive(Debug, Clone, Copy, Args)]
#[allow(clippy::struct_field_names)] // upstream's flags all begin so
pub struct Autoscaling {
    /// How often autoscalers look at metrics
    #[arg(long, default_value = "15s", value_name = "DURATION", value_parser = kubelet::duration)]
    pub horizontal_pod_autoscaler_sync_period: std::time::Duration,
    /// How long a number of Pods that was recommended stays although fewer would do by now
    #[arg(long, default_value = "5m", value_name = "DURATION", value_parser = kubelet::duration)]
    pub horizontal_pod_autoscaler_downscale_stabilization: std::time::Duration,
    /// Part by which use may be off the target without a change
    #[arg(long, default_value_t = 0.1, value_parser = rate, value_name = "PART")]
    pub horizontal_pod_autoscaler_tolerance: f64,
    /// Time after a Pod's start during which its use of CPU counts only if it was ready all the while
    #[arg(long, default_value = "5m", value_name = "DURATION", value_parser = kubelet::duration)]
    pub horizontal_pod_autoscaler_cpu_initialization_period: std::time::Duration,
    /// Time after a Pod's start until which becoming unready means that it never was ready
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = kubelet::duration)]
    pub horizontal_pod_autoscaler_initial_readiness_delay: std::time::Duration,
}

/// A number that is not negative.
fn rate(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err("it must not be negative".to_owned()) }
}

/// `isopod images`.
#[derive(Debug, Subcommand)]
pub enum Images {
    /// Import a docker-save or OCI archive
    Import {
        /// The archive, plain or gzip
        file: PathBuf,
        #[command(flatten)]
        #[allow(missing_docs)]
        data_dir: DataDir,
    },
    /// List the images that are here
    List {
        #[command(flatten)]
        #[allow(missing_docs)]
        data_dir: DataDir,
    },
    /// Remove an image by any of its names
    Remove {
        /// Name, or id as listed
        image: String,
        #[command(flatten)]
        #[allow(missing_docs)]
        data_dir: DataDir,
    },
}

/// `isopod snapshot`.
#[derive(Debug, Subcommand)]
pub enum Snapshot {
    /// Save all objects as they are at one moment; a running server goes on serving
    ///
    /// The credentials in DIR/tls are not part of it: save them too, or clients need new ones after a restore.
    Save {
        /// Where to; readable by root alone
        file: PathBuf,
        #[command(flatten)]
        #[allow(missing_docs)]
        data_dir: DataDir,
    },
    /// Make the store of a folder that has none; start a server there afterwards
    ///
    /// Objects keep their resourceVersion. New ones are far beyond: clients that watch are told to list again.
    Restore {
        /// What `snapshot save` wrote
        file: PathBuf,
        #[command(flatten)]
        #[allow(missing_docs)]
        data_dir: DataDir,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn values_are_checked_where_they_are_typed() {
        let parse = |arguments: &[&str]| Cli::try_parse_from(["isopod", "server"].iter().chain(arguments));
        assert!(parse(&["--cluster-cidr", "10.1.0.0/16,fd00::/56"]).is_ok());
        assert!(parse(&["--datastore-endpoint", "http://127.0.0.1:2379,http://[::1]:2379"]).is_ok());
        for bad in [
            &["--cluster-cidr", "10.1.0.0"],
            &["--https-listen-port", "70000"],
            &["--bind-address", "here"],
            &["--node-cidr-mask-size", "31"],
            &["--datastore-endpoint", "127.0.0.1:2379"],
            &["--datastore-endpoint=http://127.0.0.1:2379", "--datastore-certfile=cert.pem"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
