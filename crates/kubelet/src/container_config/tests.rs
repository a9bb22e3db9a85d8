use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, ResourceFieldSelector, Secret};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::dns::{ClusterDns, ResolvConf, dns_config, hostname, kernel_hostname};
use super::env::{EnvFacts, EnvObjects, EnvReferences, environment};
use super::etc_hosts::etc_hosts;
use super::field_ref::{Allocatable, pod_field, resource_field};
use super::*;
use crate::testing::pod as spec_pod;

const ALLOCATABLE: Allocatable =
    Allocatable { cpu_milli: 2500, memory_bytes: 8 << 30, ephemeral_storage_bytes: 100 << 30 };

fn image() -> PresentImage {
    PresentImage { image_ref: "sha256:1".to_owned(), uid: Some(0), username: String::new() }
}

fn config(spec: &str) -> Result<cri::ContainerConfig, ConfigError> {
    config_of(spec, &image())
}

fn config_of(spec: &str, image: &PresentImage) -> Result<cri::ContainerConfig, ConfigError> {
    let pod = spec_pod(spec);
    let inputs = ContainerInputs {
        attempt: 3,
        image,
        env: vec![("NAME".to_owned(), "world".to_owned())],
        mounts: Vec::new(),
        devices: Vec::new(),
        volume_groups: &[],
        seccomp_dir: std::path::Path::new("/kubelet/seccomp"),
        node_memory_bytes: 1 << 30,
        target_id: None,
        users: None,
        epoch: Epoch::default(),
    };
    container_config(&pod, &pod.spec.as_ref().unwrap().containers[0], inputs)
}

fn security(spec: &str) -> cri::LinuxContainerSecurityContext {
    config(spec).unwrap().linux.unwrap().security_context.unwrap()
}

fn resources(spec: &str) -> cri::LinuxContainerResources {
    config(spec).unwrap().linux.unwrap().resources.unwrap()
}

#[test]
fn a_container_is_named_logged_and_labelled() {
    let config =
        config("{containers: [{name: app, image: nginx, command: [echo], args: [\"hello $(NAME)\"], tty: true}]}");
    let config = config.unwrap();
    assert_eq!((config.command, config.args), (vec!["echo".to_owned()], vec!["hello world".to_owned()]));
    assert_eq!((config.log_path.as_str(), config.tty), ("app/3.log", true));
    assert_eq!(config.labels[crate::labels::POD_UID], "u1");
    assert_eq!(config.annotations[crate::labels::RESTART_COUNT], "3");
    let image = config.image.unwrap();
    assert_eq!((image.image.as_str(), image.user_specified_image.as_str()), ("sha256:1", "nginx"));
}

#[test]
fn resources_become_shares_quota_limit_and_score() {
    let limited = "resources: {limits: {cpu: 700m, memory: 200Mi}, requests: {cpu: 700m, memory: 200Mi}}";
    let guaranteed = resources(&format!("{{containers: [{{name: app, image: x, {limited}}}]}}"));
    assert_eq!((guaranteed.cpu_shares, guaranteed.cpu_quota, guaranteed.cpu_period), (716, 70_000, 100_000));
    assert_eq!((guaranteed.memory_limit_in_bytes, guaranteed.oom_score_adj), (200 << 20, -997));
    let best_effort = resources("{containers: [{name: app, image: x}]}");
    assert_eq!((best_effort.cpu_shares, best_effort.cpu_quota, best_effort.oom_score_adj), (2, 0, 1000));
    let burstable = resources("{containers: [{name: app, image: x, resources: {requests: {memory: 256Mi}}}]}");
    assert_eq!(burstable.oom_score_adj, 750);
}

#[test]
fn the_pods_cgroup_is_limited_only_when_every_container_is() {
    let limit = "resources: {limits: {cpu: 500m, memory: 100Mi}, requests: {cpu: 500m, memory: 100Mi}}";
    let both = pod_limits(
        &spec_pod(&format!("{{containers: [{{name: a, image: x, {limit}}}, {{name: b, image: x, {limit}}}]}}")),
        Some(100),
    );
    assert_eq!(both.pids, Some(100));
    assert_eq!((both.cpu_quota_us, both.memory_bytes, both.cpu_shares), (Some(100_000), Some(200 << 20), Some(1024)));
    let one = pod_limits(
        &spec_pod(&format!("{{containers: [{{name: a, image: x, {limit}}}, {{name: b, image: x}}]}}")),
        None,
    );
    assert_eq!((one.cpu_quota_us, one.memory_bytes, one.cpu_shares), (None, None, Some(512)));
}

#[test]
fn an_init_container_counts_beside_the_sidecars_before_it() {
    let cpu = |amount: &str| format!("image: x, resources: {{requests: {{cpu: {amount}}}}}");
    let pod = spec_pod(&format!(
        "{{initContainers: [{{name: s, restartPolicy: Always, {}}}, {{name: i, {}}}], containers: [{{name: a, {}}}]}}",
        cpu("100m"),
        cpu("2"),
        cpu("500m"),
    ));
    assert_eq!(crate::qos::PodTotals::of(&pod).cpu_request_milli, 2100);
}

#[test]
fn a_containers_own_security_context_outranks_the_pods() {
    let context = security(
        "{securityContext: {runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000, supplementalGroups: [4000]}, \
         containers: [{name: app, image: x, securityContext: {runAsUser: 7, allowPrivilegeEscalation: false, \
         readOnlyRootFilesystem: true, capabilities: {add: [NET_ADMIN], drop: [ALL]}}}]}",
    );
    assert_eq!(context.run_as_user.unwrap().value, 7);
    assert_eq!(context.run_as_group.unwrap().value, 3000);
    assert_eq!(context.supplemental_groups, [4000, 2000]);
    assert!(context.no_new_privs && context.readonly_rootfs);
    let capabilities = context.capabilities.unwrap();
    assert_eq!(
        (capabilities.add_capabilities, capabilities.drop_capabilities),
        (vec!["NET_ADMIN".into()], vec!["ALL".into()])
    );
}

#[test]
fn seccomp_is_the_runtimes_unless_something_else_is_asked_for() {
    for (context, expected) in [
        ("{}", cri::ProfileType::RuntimeDefault),
        ("{seccompProfile: {type: Unconfined}}", cri::ProfileType::Unconfined),
        ("{seccompProfile: {type: RuntimeDefault}}", cri::ProfileType::RuntimeDefault),
        ("{privileged: true}", cri::ProfileType::Unconfined),
    ] {
        let security = security(&format!("{{containers: [{{name: app, image: x, securityContext: {context}}}]}}"));
        assert_eq!(security.seccomp.unwrap().profile_type(), expected, "{context}");
    }
}

#[test]
fn privileged_and_unmasked_containers_see_all_of_proc() {
    for (context, masked) in [("{}", true), ("{privileged: true}", false), ("{procMount: Unmasked}", false)] {
        let security = security(&format!("{{containers: [{{name: app, image: x, securityContext: {context}}}]}}"));
        assert_eq!(security.masked_paths.is_empty(), !masked, "{context}");
    }
}

#[test]
fn non_root_is_verified_against_spec_and_image() {
    let problem = |user: &str, image: PresentImage| {
        let context = format!("securityContext: {{runAsNonRoot: true{user}}}");
        let spec = format!("{{containers: [{{name: app, image: x, {context}}}]}}");
        config_of(&spec, &image).err().map(|error| error.to_string())
    };
    let named = PresentImage { uid: None, username: "www".to_owned(), ..image() };
    let numbered = PresentImage { uid: Some(101), ..image() };
    assert_eq!(problem(", runAsUser: 1000", image()), None);
    assert_eq!(problem("", numbered), None);
    assert!(problem(", runAsUser: 0", image()).unwrap().starts_with("container's runAsUser breaks non-root policy"));
    assert_eq!(
        problem("", image()).unwrap(),
        "container has runAsNonRoot and image will run as root (pod: \"web_default(u1)\", container: app)"
    );
    assert!(problem("", named).unwrap().contains("image has non-numeric user (www)"));
}

#[test]
fn namespaces_are_shared_as_the_spec_says() {
    use cri::NamespaceMode::{Container, Node, Pod};
    for (spec, network, pid, ipc) in [
        ("", Pod, Container, Pod),
        ("hostNetwork: true, ", Node, Container, Pod),
        ("hostPID: true, hostIPC: true, ", Pod, Node, Node),
        ("shareProcessNamespace: true, ", Pod, Pod, Pod),
    ] {
        let security = security(&format!("{{{spec}containers: [{{name: app, image: x}}]}}"));
        let options = security.namespace_options.unwrap();
        assert_eq!((options.network(), options.pid(), options.ipc()), (network, pid, ipc), "{spec}");
    }
}

fn env_of(container: &str, objects: &EnvObjects) -> Result<Vec<(String, String)>, ConfigError> {
    let pod = spec_pod(&format!("{{nodeName: n1, containers: [{container}]}}"));
    let facts = EnvFacts {
        pod: &pod,
        pod_ips: &["10.0.0.1".to_owned()],
        host_ips: &["192.0.2.1".to_owned()],
        services: &[("KUBERNETES_SERVICE_PORT".to_owned(), "443".to_owned())],
        files: &BTreeMap::from([
            (("v".to_owned(), "a.env".to_owned()), Some("K='1'\nE=''\n".to_owned())),
            (("v".to_owned(), "bad.env".to_owned()), Some("K = 1\n".to_owned())),
            (("v".to_owned(), "none.env".to_owned()), None),
        ]),
        allocatable: &ALLOCATABLE,
    };
    let mut env = environment(&pod.spec.as_ref().unwrap().containers[0], objects, facts)?;
    // What every container is told is left out here, unless the Pod says otherwise.
    env.retain(|(name, value)| (name.as_str(), value.as_str()) != ("KUBERNETES_SERVICE_PORT", "443"));
    Ok(env)
}

fn text(env: Vec<(String, String)>) -> String {
    env.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

fn objects() -> EnvObjects {
    let config_map = ConfigMap {
        data: Some(BTreeMap::from([("A".into(), "1".into()), ("B".into(), "2".into())])),
        ..Default::default()
    };
    let secret =
        Secret { data: Some(BTreeMap::from([("P".into(), ByteString(b"s3".to_vec()))])), ..Default::default() };
    EnvObjects {
        config_maps: BTreeMap::from([("c".to_owned(), Some(Arc::new(config_map))), ("none".to_owned(), None)]),
        secrets: BTreeMap::from([("s".to_owned(), Some(Arc::new(secret)))]),
    }
}

#[test]
fn environments_are_put_together_in_order() {
    for (container, expected) in [
        ("{name: a, env: [{name: X, value: \"1\"}, {name: Y, value: \"$(X)-$(Z)\"}]}", "X=1 Y=1-$(Z)"),
        ("{name: a, env: [{name: X, value: \"1\"}, {name: X, value: \"$(X)2\"}]}", "X=12"),
        ("{name: a, env: [{name: X, value: \"$(KUBERNETES_SERVICE_PORT)\"}]}", "X=443"),
        ("{name: a, env: [{name: KUBERNETES_SERVICE_PORT, value: \"1\"}]}", "KUBERNETES_SERVICE_PORT=1"),
        ("{name: a, envFrom: [{configMapRef: {name: c}}], env: [{name: B, value: b}]}", "A=1 B=b"),
        ("{name: a, envFrom: [{prefix: P_, secretRef: {name: s}}]}", "P_P=s3"),
        ("{name: a, envFrom: [{configMapRef: {name: none, optional: true}}]}", ""),
        ("{name: a, env: [{name: X, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}", "X=web"),
        ("{name: a, env: [{name: X, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]}", "X=10.0.0.1"),
        ("{name: a, env: [{name: X, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]}", "X=192.0.2.1"),
        ("{name: a, env: [{name: X, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]}", "X=3"),
        ("{name: a, env: [{name: X, valueFrom: {configMapKeyRef: {name: c, key: A}}}]}", "X=1"),
        ("{name: a, env: [{name: X, valueFrom: {secretKeyRef: {name: s, key: no, optional: true}}}]}", ""),
        ("{name: a, env: [{name: X, valueFrom: {fileKeyRef: {volumeName: v, path: a.env, key: K}}}]}", "X=1"),
        (
            "{name: a, env: [{name: X, valueFrom: {fileKeyRef: {volumeName: v, path: a.env, key: E, optional: true}}}]}",
            "",
        ),
    ] {
        assert_eq!(env_of(container, &objects()).map(text).as_deref(), Ok(expected), "{container}");
    }
}

#[test]
fn what_is_missing_from_an_environment_is_named() {
    for (container, expected) in [
        ("{name: a, envFrom: [{configMapRef: {name: none}}]}", "configmap \"none\" not found"),
        ("{name: a, envFrom: [{secretRef: {name: none}}]}", "secret \"none\" not found"),
        (
            "{name: a, env: [{name: X, valueFrom: {configMapKeyRef: {name: c, key: no}}}]}",
            "couldn't find key no in ConfigMap default/c",
        ),
        (
            "{name: a, env: [{name: X, valueFrom: {secretKeyRef: {name: s, key: no}}}]}",
            "couldn't find key no in Secret default/s",
        ),
        ("{name: a, env: [{name: X, valueFrom: {fieldRef: {fieldPath: spec.x}}}]}", "unsupported fieldPath: spec.x"),
        (
            "{name: a, env: [{name: X, valueFrom: {fileKeyRef: {volumeName: v, path: a.env, key: no}}}]}",
            "environment variable key \"no\" not found in file \"a.env\"",
        ),
        (
            "{name: a, env: [{name: X, valueFrom: {fileKeyRef: {volumeName: v, path: bad.env, key: K}}}]}",
            "couldn't parse env file",
        ),
        (
            "{name: a, env: [{name: X, valueFrom: {fileKeyRef: {volumeName: v, path: none.env, key: K, optional: true}}}]}",
            "couldn't parse env file",
        ),
    ] {
        assert_eq!(env_of(container, &objects()).unwrap_err().to_string(), expected);
    }
}

#[test]
fn references_of_an_environment_are_found() {
    let pod = spec_pod(
        "{containers: [{name: a, envFrom: [{configMapRef: {name: c}}, {secretRef: {name: s}}], \
         env: [{name: X, valueFrom: {secretKeyRef: {name: t, key: k}}}]}]}",
    );
    let mut references = EnvReferences::default();
    references.add(&pod.spec.unwrap().containers[0]);
    assert_eq!(references.config_maps.into_iter().collect::<Vec<_>>(), ["c"]);
    assert_eq!(references.secrets.into_iter().collect::<Vec<_>>(), ["s", "t"]);
}

#[test]
fn the_downward_api_formats_maps_and_divides_resources() {
    let mut pod = spec_pod("{containers: [{name: a, resources: {limits: {cpu: 1500m, memory: 64Mi}}}]}");
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned()), ("quote".to_owned(), "a\"b".to_owned())]);
    pod.metadata.labels = Some(labels);
    let field = |path: &str| pod_field(&pod, path, &[], &[]);
    assert_eq!(field("metadata.labels").unwrap(), "app=\"web\"\nquote=\"a\\\"b\"");
    assert_eq!(field("metadata.labels['app']").unwrap(), "web");
    assert_eq!(field("metadata.annotations['none']").unwrap(), "");
    assert!(field("spec.containers").is_err());
    let resource = |resource: &str, divisor: Option<&str>| {
        let divisor = divisor.map(|divisor| ApiQuantity(divisor.to_owned()));
        let selector = ResourceFieldSelector { resource: resource.to_owned(), divisor, container_name: None };
        resource_field(&pod, "a", &selector, &ALLOCATABLE).map_err(|error| error.to_string())
    };
    for (name, divisor, expected) in [
        ("limits.cpu", None, "2"),
        ("limits.cpu", Some("1m"), "1500"),
        ("limits.memory", Some("1Mi"), "64"),
        ("requests.cpu", Some("1m"), "0"),
        ("requests.ephemeral-storage", None, "0"),
        ("limits.ephemeral-storage", Some("1Gi"), "100"),
    ] {
        assert_eq!(resource(name, divisor).as_deref(), Ok(expected), "{name}");
    }
    assert_eq!(resource("limits.gpu", None).unwrap_err(), "unsupported container resource : limits.gpu");
}

#[test]
fn etc_hosts_reads_as_upstreams() {
    let ips = ["10.9.0.1".to_owned()];
    let plain = etc_hosts(&spec_pod("{containers: []}"), &ips, "", "cluster.local");
    assert_eq!(
        plain,
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n10.9.0.1\tweb\n"
    );
    let aliases = "{hostname: h, subdomain: s, containers: [], hostAliases: [{ip: 10.1.2.3, hostnames: [foo.remote, bar.remote]}]}";
    let text = etc_hosts(&spec_pod(aliases), &ips, "", "cluster.local");
    assert!(text.ends_with(
        "10.9.0.1\th.s.default.svc.cluster.local\th\n\n# Entries added by HostAliases.\n10.1.2.3\tfoo.remote\tbar.remote\n"
    ));
    let on_host = etc_hosts(&spec_pod("{hostNetwork: true, containers: []}"), &ips, "127.0.0.1 me\n", "cluster.local");
    assert_eq!(on_host, "# Kubernetes-managed hosts file (host network).\n127.0.0.1 me\n");
}

#[test]
fn resolvers_follow_the_dns_policy() {
    let host = ResolvConf::parse("# x\nnameserver 1.1.1.1\nsearch corp.example.\noptions ndots:1 edns0\n");
    let dns_ip = ["10.43.0.10".parse().unwrap()];
    let dns = |spec: &str, servers: &[std::net::IpAddr]| {
        let cluster = ClusterDns { servers, domain: "cluster.local" };
        let config = dns_config(&spec_pod(&format!("{{{spec}containers: []}}")), &host, cluster);
        format!("{} | {} | {}", config.servers.join(" "), config.searches.join(" "), config.options.join(" "))
    };
    let cluster = "10.43.0.10 | default.svc.cluster.local svc.cluster.local cluster.local corp.example | ndots:5";
    let inherited = "1.1.1.1 | corp.example | ndots:1 edns0";
    assert_eq!(dns("", &dns_ip), cluster);
    assert_eq!(dns("", &[]), inherited);
    assert_eq!(dns("dnsPolicy: Default, ", &dns_ip), inherited);
    assert_eq!(dns("hostNetwork: true, ", &dns_ip), inherited);
    assert_eq!(dns("hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet, ", &dns_ip), cluster);
    let own = "dnsPolicy: None, dnsConfig: {nameservers: [9.9.9.9], searches: [a.example], options: [{name: ndots, value: \"2\"}]}, ";
    assert_eq!(dns(own, &dns_ip), "9.9.9.9 | a.example | ndots:2");
    let added = "dnsConfig: {options: [{name: ndots, value: \"2\"}, {name: trust-ad}]}, ";
    assert!(dns(added, &dns_ip).ends_with("| ndots:2 trust-ad"));
}

#[test]
fn host_names_fit_the_kernel() {
    let mut pod = spec_pod("{containers: []}");
    assert_eq!(hostname(&pod), "web");
    pod.metadata.name = Some(format!("{}-tail", "a".repeat(62)));
    assert_eq!(hostname(&pod), "a".repeat(62));
    let full = spec_pod("{hostname: h, subdomain: s, setHostnameAsFQDN: true, containers: []}");
    assert_eq!(kernel_hostname(&full, "cluster.local").unwrap(), "h.s.default.svc.cluster.local");
    // 28 characters follow the host name.
    for (length, fits) in [(36, true), (37, false)] {
        let name = "x".repeat(length);
        let long = spec_pod(&format!("{{hostname: {name}, subdomain: sub, setHostnameAsFQDN: true, containers: []}}"));
        let outcome = kernel_hostname(&long, "domain.test").map_err(|problem| problem.to_string());
        let full = format!("{name}.sub.default.svc.domain.test");
        let problem = format!(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN {full} is too long (64 characters \
             is the max, {} characters requested)",
            full.len()
        );
        assert_eq!(outcome, if fits { Ok(full) } else { Err(problem) });
    }
}

#[test]
fn host_ports_are_mapped_unless_the_pod_is_on_the_host() {
    let ports =
        "containers: [{name: a, ports: [{containerPort: 80, hostPort: 8080, protocol: UDP}, {containerPort: 81}]}]";
    let mapped = |prefix: &str| {
        let inputs = super::sandbox::SandboxInputs {
            attempt: 0,
            users: None,
            cgroup_parent: "kubepods/podu1",
            pod_logs: std::path::Path::new("/logs"),
            resolv_conf: &ResolvConf::default(),
            cluster_dns: &[],
            cluster_domain: "cluster.local",
        };
        super::sandbox::sandbox_config(&spec_pod(&format!("{{{prefix}{ports}}}")), inputs).unwrap()
    };
    let config = mapped("");
    assert_eq!(config.linux.unwrap().cgroup_parent, "/kubepods/podu1", "from the root, as runc wants it");
    assert_eq!(config.port_mappings.len(), 1);
    let mapping = &config.port_mappings[0];
    assert_eq!((mapping.container_port, mapping.host_port, mapping.protocol()), (80, 8080, cri::Protocol::Udp));
    assert_eq!(config.log_directory, "/logs/default_web_u1");
    assert!(mapped("hostNetwork: true, ").port_mappings.is_empty());
}

#[test]
fn a_pod_with_users_of_its_own_owns_what_is_mounted() {
    let users = crate::user_namespaces::IdRange { first: 131_072, length: 65536 };
    let pod = spec_pod("{hostUsers: false, containers: [{name: app}]}");
    let inputs = ContainerInputs {
        attempt: 0,
        image: &image(),
        users: Some(users),
        env: Vec::new(),
        mounts: vec![
            cri::Mount { host_path: "/data".into(), ..cri::Mount::default() },
            cri::Mount { image: Some(cri::ImageSpec::default()), ..cri::Mount::default() },
        ],
        devices: Vec::new(),
        volume_groups: &[],
        seccomp_dir: std::path::Path::new(""),
        node_memory_bytes: 1 << 30,
        target_id: None,
        epoch: Epoch::default(),
    };
    let config = container_config(&pod, &pod.spec.as_ref().unwrap().containers[0], inputs).unwrap();
    let mapping = vec![cri::IDMapping { host_id: 131_072, container_id: 0, length: 65536 }];
    assert_eq!((&config.mounts[0].uid_mappings, &config.mounts[0].gid_mappings), (&mapping, &mapping));
    assert!(config.mounts[1].uid_mappings.is_empty(), "the runtime's own");
    let options = config.linux.unwrap().security_context.unwrap().namespace_options.unwrap();
    let of_sandbox = super::sandbox_security(&pod, Some(users)).namespace_options.unwrap();
    for options in [options, of_sandbox] {
        let options = options.userns_options.unwrap();
        assert_eq!((options.mode, options.uids, options.gids), (0, mapping.clone(), mapping.clone()));
    }
}

#[test]
fn large_pages_are_limited_by_their_size() {
    let limits = "resources: {limits: {hugepages-2Mi: 4Mi, hugepages-1Gi: 1Gi, memory: 1Gi}}";
    let pod = spec_pod(&format!("{{containers: [{{name: a, image: x, {limits}}}, {{name: b, image: x, {limits}}}]}}"));
    let expected = [("1GB".to_owned(), 2 << 30), ("2MB".to_owned(), 8 << 20)];
    assert_eq!(pod_limits(&pod, None).hugepages, expected.into());
    let container = &crate::pod::containers(&pod)[0];
    let own = container_resources(&pod, container, 1 << 30).hugepage_limits;
    let own: Vec<_> = own.iter().map(|limit| (limit.page_size.as_str(), limit.limit)).collect();
    assert_eq!(own, [("1GB", 1 << 30), ("2MB", 4 << 20)]);
}
