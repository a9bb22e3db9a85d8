//! `/etc/hosts` of a Pod's containers.

use k8s_openapi::api::core::v1::{HostAlias, Pod};

use super::dns::{hostname, subdomain_name};
use crate::pod;

const HEADING: &str = "# Kubernetes-managed hosts file.\n";
const HOST_NETWORK_HEADING: &str = "# Kubernetes-managed hosts file (host network).\n";
const LOCAL_ENTRIES: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::0\tip6-localnet\n\
    fe00::0\tip6-mcastprefix\n\
    fe00::1\tip6-allnodes\n\
    fe00::2\tip6-allrouters\n";

/// The file's content. `host_file` is the node's own file, which Pods on its network see.
pub fn etc_hosts(pod: &Pod, pod_ips: &[String], host_file: &str, cluster_domain: &str) -> String {
    let mut text = if pod::is_host_network(pod) {
        format!("{HOST_NETWORK_HEADING}{host_file}")
    } else {
        let hostname = hostname(pod);
        let fqdn = subdomain_name(pod, &hostname, cluster_domain);
        let names = fqdn.map(|fqdn| format!("{fqdn}\t{hostname}")).unwrap_or(hostname);
        let entries: String = pod_ips.iter().map(|ip| format!("{ip}\t{names}\n")).collect();
        format!("{HEADING}{LOCAL_ENTRIES}{entries}")
    };
    let aliases = pod.spec.as_ref().and_then(|spec| spec.host_aliases.as_deref()).unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
        text.extend(aliases.iter().map(alias_line));
    }
    text
}

fn alias_line(alias: &HostAlias) -> String {
    format!("{}\t{}\n", alias.ip, alias.hostnames.as_deref().unwrap_or_default().join("\t"))
}
