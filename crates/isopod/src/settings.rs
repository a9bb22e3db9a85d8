//! What `isopod server` was told, resolved and checked: every later step may rely on it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use api::k8s_openapi::api::core::v1::Taint;
use network::Cidr;

use crate::cli;
use crate::data_dir::DataDir;
use crate::datastore::Datastore;

/// The settings of one server.
#[derive(Debug)]
pub struct Settings {
    /// Where everything is kept.
    pub data_dir: DataDir,
    /// Where the API server listens.
    pub listen: SocketAddr,
    /// A further place for the admin kubeconfig.
    pub extra_kubeconfig: Option<PathBuf>,
    /// The node's name.
    pub node_name: String,
    /// The node's labels.
    pub node_labels: BTreeMap<String, String>,
    /// The node's addresses, the primary one first.
    pub node_addresses: Vec<IpAddr>,
    /// The part of the cluster's Pod ranges that this node hands out.
    pub pod_ranges: Vec<Cidr>,
    /// Service ranges.
    pub service_ranges: Vec<Cidr>,
    /// `registries.yaml`, if there is one.
    pub registries: Option<PathBuf>,
    /// Where objects are kept.
    pub datastore: Datastore,
    /// How servers on one store agree on the one that schedules and controls; none where there is one server.
    pub leader_election: Option<client::leader_election::Timing>,
    /// Silence after which a node counts as gone.
    pub node_monitor_grace_period: std::time::Duration,
    /// How fast lost nodes lose their Pods.
    pub node_evictions: cli::NodeEvictions,
    /// What HorizontalPodAutoscalers do that do not say it themselves.
    pub autoscaling: cli::Autoscaling,
    /// Taints the node is registered with.
    pub node_taints: Vec<Taint>,
    /// APIs that are served on request.
    pub runtime_config: apiserver::RuntimeConfig,
    /// What may change and refuse writes.
    pub admission_plugins: apiserver::AdmissionPlugins,
    /// How much the API server does at a time.
    pub limits: apiserver::Limits,
    /// What the audit log tells.
    pub audit: cli::Audit,
    /// Flags about identities.
    pub identity: cli::Identity,
    /// The scheduler's profiles.
    pub scheduler: scheduler::Configuration,
    /// The kubelet's flags.
    pub kubelet: cli::Kubelet,
    /// How the node's resources are shared out.
    pub resources: kubelet::resources::ResourceConfig,
    /// Where the node finds Pods of its own.
    pub static_pods: kubelet::StaticPodConfig,
}

impl Settings {
    /// Checks the command line and makes the data directory.
    pub fn resolve(arguments: cli::Server) -> Result<Self> {
        for (flag, ranges) in [("--cluster-cidr", &arguments.cluster_cidr), ("--service-cidr", &arguments.service_cidr)]
        {
            let of_family = |v4: bool| ranges.iter().filter(|range| range.is_ipv4() == v4).count();
            ensure!(of_family(true) <= 1 && of_family(false) <= 1, "{flag} takes one range per address family");
        }
        let node_name = match arguments.node_name {
            Some(name) => name,
            None => rustix::system::uname().nodename().to_string_lossy().to_lowercase(),
        };
        if let Some(problem) = api::names::dns1123_subdomain(&node_name).first() {
            bail!("--node-name {node_name:?}: {problem}");
        }
        let thresholds = (arguments.kubelet.image_gc_low_threshold, arguments.kubelet.image_gc_high_threshold);
        ensure!(thresholds.0 <= thresholds.1, "--image-gc-low-threshold must not be above --image-gc-high-threshold");
        ensure!(
            arguments.kubelet.shutdown_grace_period_critical_pods <= arguments.kubelet.shutdown_grace_period,
            "--shutdown-grace-period-critical-pods is a part of --shutdown-grace-period"
        );
        if let Some(age) = arguments.kubelet.image_maximum_gc_age {
            let least = arguments.kubelet.minimum_image_ttl_duration;
            ensure!(age > least, "--image-maximum-gc-age must be above --minimum-image-ttl-duration");
        }
        let node_labels = arguments.node_labels.iter().map(|label| parse_label(label)).collect::<Result<_>>()?;
        Ok(Self {
            data_dir: DataDir::create(&arguments.data_dir.data_dir)?,
            listen: SocketAddr::new(arguments.bind_address, arguments.https_listen_port),
            extra_kubeconfig: arguments.write_kubeconfig,
            node_name,
            node_labels,
            node_addresses: vec![primary_address()],
            pod_ranges: arguments
                .cluster_cidr
                .iter()
                .map(|range| range.first_node_range(arguments.node_cidr_mask_size))
                .collect(),
            service_ranges: arguments.service_cidr,
            registries: arguments.private_registry.or_else(default_registries),
            leader_election: arguments.leader_election.resolve(!arguments.datastore.datastore_endpoint.is_empty())?,
            datastore: Datastore::resolve(arguments.datastore)?,
            node_monitor_grace_period: arguments.node_monitor_grace_period,
            node_evictions: arguments.node_evictions,
            autoscaling: arguments.autoscaling,
            node_taints: arguments
                .kubelet
                .register_with_taints
                .iter()
                .map(|text| parse_taint(text))
                .collect::<Result<_>>()?,
            resources: arguments.kubelet.resources.resolve()?,
            static_pods: arguments.kubelet.static_pods.resolve()?,
            runtime_config: apiserver::RuntimeConfig::parse(&arguments.runtime_config)
                .map_err(|problem| anyhow::anyhow!("--runtime-config: {problem}"))?,
            admission_plugins: apiserver::AdmissionPlugins::choose(
                &arguments.enable_admission_plugins,
                &arguments.disable_admission_plugins,
            )
            .map_err(|problem| anyhow::anyhow!(problem))?
            .told(admission_configuration(arguments.admission_control_config_file.as_deref())?),
            limits: arguments.limits.resolve(),
            audit: arguments.audit,
            identity: arguments.identity,
            scheduler: scheduler_configuration(arguments.kube_scheduler_config.as_deref())?,
            kubelet: arguments.kubelet,
        })
    }

    /// The admin kubeconfig that users are told to use.
    pub fn kubeconfig(&self) -> PathBuf {
        self.extra_kubeconfig.clone().unwrap_or_else(|| self.data_dir.kubeconfig())
    }

    /// Where clients on this host reach the API server.
    pub fn server_url(&self) -> String {
        let address = match self.listen.ip() {
            IpAddr::V4(address) if address.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
            address => address,
        };
        format!("https://{}", SocketAddr::new(address, self.listen.port()))
    }

    /// The Service ranges, in the API's terms.
    pub fn api_service_ranges(&self) -> Vec<api::net::Cidr> {
        let ranges = self.service_ranges.iter().map(ToString::to_string);
        ranges.map(|range| range.parse().expect("a range of the network is one of the API")).collect()
    }

    /// What stands behind the Service of the API server.
    pub fn api_endpoint(&self) -> bootstrap::ApiEndpoint {
        let own = self.listen.ip();
        let address = if own.is_unspecified() || own.is_loopback() { self.node_addresses[0] } else { own };
        bootstrap::ApiEndpoint { address, port: self.listen.port(), service_ranges: self.api_service_ranges() }
    }

    /// Every name and address a client may know the kubelet by.
    pub fn kubelet_names(&self) -> Vec<String> {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        names.push(self.node_name.clone());
        names.extend(self.node_addresses.iter().map(IpAddr::to_string));
        names.push(self.listen.ip().to_string());
        names.sort();
        names.dedup();
        names
    }

    /// Every name and address a client may know the API server by.
    pub fn server_names(&self) -> Vec<String> {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        names.extend(
            ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
                .map(str::to_owned),
        );
        names.push(self.node_name.clone());
        names.extend(self.node_addresses.iter().map(IpAddr::to_string));
        names.push(self.listen.ip().to_string());
        names.extend(self.service_ranges.iter().filter_map(|range| Some(range.nth(1)?.to_string())));
        names.sort();
        names.dedup();
        names
    }
}

/// What admission plugins are told, by the file that a flag names.
fn admission_configuration(path: Option<&Path>) -> Result<apiserver::AdmissionConfiguration> {
    let Some(path) = path else { return Ok(apiserver::AdmissionConfiguration::default()) };
    let text = std::fs::read_to_string(path).map_err(anyhow::Error::from);
    let read = |path: &Path| std::fs::read_to_string(path);
    let parsed = text.and_then(|text| Ok(apiserver::AdmissionConfiguration::parse(&text, path, read)?));
    parsed.with_context(|| format!("--admission-control-config-file {}", path.display()))
}

/// What the scheduler is told by a file.
fn scheduler_configuration(file: Option<&Path>) -> Result<scheduler::Configuration> {
    let Some(file) = file else { return Ok(scheduler::Configuration::default()) };
    let about = || format!("--kube-scheduler-config {}", file.display());
    let text = std::fs::read_to_string(file).with_context(about)?;
    scheduler::Configuration::parse(&text).with_context(about)
}

fn parse_label(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').with_context(|| format!("--node-label {text:?} is not KEY=VALUE"))?;
    let mut problems = api::names::qualified_name(key);
    problems.extend(api::names::label_value(value));
    match problems.first() {
        Some(problem) => bail!("--node-label {text:?}: {problem}"),
        None => Ok((key.to_owned(), value.to_owned())),
    }
}

/// `KEY=VALUE:EFFECT` or `KEY:EFFECT`.
fn parse_taint(text: &str) -> Result<Taint> {
    let problem = || format!("--register-with-taints {text:?} is not KEY=VALUE:EFFECT");
    let (name, effect) = text.rsplit_once(':').with_context(problem)?;
    let (key, value) = name.split_once('=').map_or((name, None), |(key, value)| (key, Some(value.to_owned())));
    ensure!(matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute"), "{}", problem());
    let mut problems = api::names::qualified_name(key);
    problems.extend(value.iter().flat_map(|value| api::names::label_value(value)));
    match problems.first() {
        Some(problem) => bail!("--register-with-taints {text:?}: {problem}"),
        None => Ok(Taint { key: key.to_owned(), value, effect: effect.to_owned(), time_added: None }),
    }
}

/// The file that is used without being named.
fn default_registries() -> Option<PathBuf> {
    Some(PathBuf::from("/etc/isopod/registries.yaml")).filter(|path| path.exists())
}

/// The address this host uses towards others. Connecting a datagram socket sends nothing: it only asks the routing
/// table. A host without a default route is reached by loopback alone.
fn primary_address() -> IpAddr {
    let ask = || {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    };
    ask().unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn resolve(flags: &[&str]) -> Result<Settings> {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("d");
        let arguments = ["isopod", "server", "--data-dir", data_dir.to_str().unwrap()];
        let cli = cli::Cli::try_parse_from(arguments.iter().chain(flags))?;
        let cli::Command::Server(server) = cli.command else { unreachable!("it is the server command") };
        Settings::resolve(*server)
    }

    #[test]
    fn bad_values_are_refused_with_their_flag() {
        for (flags, message) in [
            (["--node-name", "Under_score"], "--node-name \"Under_score\": a lowercase RFC 1123 subdomain"),
            (["--manifest-url", "ftp://h/"], "--manifest-url"),
            (["--register-with-taints", "a=b"], "--register-with-taints \"a=b\" is not KEY=VALUE:EFFECT"),
            (["--register-with-taints", "a=b:Never"], "--register-with-taints \"a=b:Never\" is not KEY=VALUE:EFFECT"),
            (["--node-label", "no-value"], "--node-label \"no-value\" is not KEY=VALUE"),
            (["--node-label", "a b=c"], "--node-label \"a b=c\": name part must consist of"),
            (["--cluster-cidr", "10.1.0.0/16,10.2.0.0/16"], "--cluster-cidr takes one range per address family"),
        ] {
            let error = resolve(&flags).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn the_server_is_reached_by_loopback_when_it_listens_everywhere() {
        let settings = resolve(&["--bind-address", "0.0.0.0", "--https-listen-port", "7443"]).unwrap();
        assert_eq!(settings.server_url(), "https://127.0.0.1:7443");
        assert!(settings.server_names().contains(&"10.43.0.1".to_owned()));
        assert_eq!(settings.pod_ranges[0].to_string(), "10.42.0.0/24");
        assert_eq!(resolve(&["--node-cidr-mask-size=23"]).unwrap().pod_ranges[0].to_string(), "10.42.0.0/23");
    }
}
