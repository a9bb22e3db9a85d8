use cri::{
    DNSConfig, IDMapping, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption,
    PodSandboxConfig, PodSandboxMetadata, PortMapping, UserNamespace,
};

use super::plan::*;
use super::record::SandboxRecord;
use crate::shim::spec::{IdRange, SandboxSpec};

fn config(options: Option<NamespaceOption>) -> PodSandboxConfig {
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: "web".into(),
            namespace: "shop".into(),
            uid: "u".into(),
            attempt: 0,
        }),
        hostname: "web".into(),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: "/isopod-1/kubepods/podu".into(),
            security_context: Some(LinuxSandboxSecurityContext { namespace_options: options, ..Default::default() }),
            sysctls: [("kernel.shm_rmid_forced".into(), "1".into())].into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn options(network: NamespaceMode, pid: NamespaceMode, ipc: NamespaceMode) -> Option<NamespaceOption> {
    Some(NamespaceOption { network: network as i32, pid: pid as i32, ipc: ipc as i32, ..Default::default() })
}

fn plan(config: &PodSandboxConfig) -> SandboxSpec {
    plan_sandbox("id", config, "isopod-1", &HostFiles::default()).unwrap()
}

#[test]
fn an_ordinary_pod_has_namespaces_of_its_own() {
    let spec = plan(&config(options(NamespaceMode::Pod, NamespaceMode::Container, NamespaceMode::Pod)));
    assert_eq!(spec.hostname.as_deref(), Some("web"));
    assert!(spec.own_network && spec.own_ipc && !spec.shared_pid);
    assert_eq!(spec.cgroup, "isopod-1/kubepods/podu/id");
    let names: Vec<&str> = spec.sysctls.keys().map(String::as_str).collect();
    assert_eq!(names, ["kernel.shm_rmid_forced", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range"]);
}

#[test]
fn a_pod_of_the_host_keeps_the_hosts_network_and_name() {
    let spec = plan(&config(options(NamespaceMode::Node, NamespaceMode::Node, NamespaceMode::Node)));
    assert_eq!(spec.hostname, None);
    assert!(!spec.own_network && !spec.own_ipc && !spec.shared_pid);
    assert_eq!(spec.sysctls.len(), 1);
}

#[test]
fn what_is_not_given_has_a_default() {
    let spec = plan(&PodSandboxConfig::default());
    assert!(spec.own_network && spec.own_ipc && !spec.shared_pid);
    assert_eq!((spec.hostname, spec.cgroup.as_str()), (None, "isopod-1/id"));
    let shared = options(NamespaceMode::Pod, NamespaceMode::Pod, NamespaceMode::Pod);
    assert!(plan(&config(shared)).shared_pid);
}

#[test]
fn users_are_one_range_of_the_hosts_without_its_root() {
    let range = |host_id, container_id, length| vec![IDMapping { host_id, container_id, length }];
    let planned = |network, mode: NamespaceMode, uids: &[IDMapping], gids: &[IDMapping]| {
        let mut wanted = options(network, NamespaceMode::Pod, NamespaceMode::Pod).unwrap();
        let users = UserNamespace { mode: mode as i32, uids: uids.to_vec(), gids: gids.to_vec() };
        wanted.userns_options = Some(users);
        plan_sandbox("id", &config(Some(wanted)), "isopod-1", &HostFiles::default())
    };
    let (pod, node) = (NamespaceMode::Pod, NamespaceMode::Node);
    let good = range(65536, 0, 65536);
    let spec = planned(pod, pod, &good, &good).unwrap();
    assert_eq!(spec.users, Some(IdRange { first: 65536, length: 65536 }));
    assert!(!spec.sysctls.contains_key("net.ipv4.ping_group_range"), "of groups it does not have");
    assert_eq!(planned(pod, node, &[], &[]).unwrap().users, None);
    let bad = [vec![], range(0, 0, 65536), range(65536, 1, 65536), range(65536, 0, 0), range(u32::MAX, 0, 2)];
    for bad in bad.iter().chain([&[good.clone(), range(1 << 20, 65536, 1)].concat()]) {
        assert!(matches!(planned(pod, pod, bad, bad), Err(cri::Error::InvalidArgument(_))), "{bad:?}");
    }
    assert!(planned(pod, pod, &good, &range(1 << 20, 0, 65536)).is_err(), "groups like users");
    assert!(planned(pod, NamespaceMode::Target, &good, &good).is_err());
    assert!(planned(node, pod, &good, &good).is_err(), "the host's network is the host's users'");
}

#[test]
fn only_host_ports_are_asked_of_the_network() {
    let mapping = |container_port, host_port, host_ip: &str| PortMapping {
        container_port,
        host_port,
        host_ip: host_ip.into(),
        ..Default::default()
    };
    let mut config = config(None);
    config.port_mappings = vec![mapping(80, 0, ""), mapping(81, 8081, ""), mapping(82, 8082, "127.0.0.1")];
    let request = plan_network("id", &config).unwrap();
    assert_eq!((request.pod_namespace.as_str(), request.pod_name.as_str()), ("shop", "web"));
    let ports: Vec<_> = request.port_mappings.iter().map(|m| (m.container_port, m.host_port, m.host_ip)).collect();
    assert_eq!(ports, [(81, 8081, None), (82, 8082, Some([127, 0, 0, 1].into()))]);
    config.port_mappings = vec![mapping(80, 70_000, "")];
    assert!(plan_network("id", &config).is_err());
    config.port_mappings = vec![mapping(80, 80, "nowhere")];
    assert!(plan_network("id", &config).is_err());
}

#[test]
fn resolv_conf_follows_the_dns_configuration() {
    let host = HostFiles { hosts: "127.0.0.1 localhost\n".into(), resolv_conf: "nameserver 1.1.1.1\n".into() };
    let files = plan_sandbox("id", &config(None), "isopod-1", &host).unwrap().files;
    let texts: Vec<&str> = ["hostname", "hosts", "resolv.conf"].into_iter().map(|name| files[name].as_str()).collect();
    assert_eq!(texts, ["web\n", &host.hosts, &host.resolv_conf]);
    let dns = DNSConfig {
        servers: vec!["10.43.0.10".into()],
        searches: vec!["default.svc.cluster.local".into(), "svc.cluster.local".into()],
        options: vec!["ndots:5".into()],
    };
    let text = resolv_conf(&PodSandboxConfig { dns_config: Some(dns), ..Default::default() }).unwrap();
    assert_eq!(text, "search default.svc.cluster.local svc.cluster.local\nnameserver 10.43.0.10\noptions ndots:5\n");
}

#[test]
fn records_survive_a_file() {
    let config = config(None);
    let spec = plan(&config);
    let record = SandboxRecord {
        id: "id".into(),
        created_at: 5,
        shim_pid: 6,
        runtime_handler: String::new(),
        network: Some(vec![[10, 0, 0, 1].into()]),
        config,
        spec,
    };
    let text = serde_json::to_vec(&record).unwrap();
    assert_eq!(serde_json::from_slice::<SandboxRecord>(&text).unwrap(), record);
}

#[test]
fn traffic_is_read_per_interface() {
    let table = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  \
                 eth0: 1234 10 2 0 0 0 0 0 5678 20 3 0 0 0 0 0\n";
    let interfaces = super::stats::parse_interfaces(table);
    let value = |value: &Option<cri::UInt64Value>| value.as_ref().unwrap().value;
    let [eth0] = &interfaces[..] else { panic!("{interfaces:?}") };
    assert_eq!((eth0.name.as_str(), value(&eth0.rx_bytes), value(&eth0.tx_bytes)), ("eth0", 1234, 5678));
    assert_eq!((value(&eth0.rx_errors), value(&eth0.tx_errors)), (2, 3));
}
