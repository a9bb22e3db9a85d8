//! How Services are told to containers by environment, in the form that container links once had.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort};

/// The Service of the API server, which every container is told of.
const API_SERVER: (&str, &str) = ("default", "kubernetes");

/// The variables of a Pod's containers: the API server's Service, and with `links` every Service of the Pod's namespace.
/// Services without an address of their own are left out.
pub fn service_env(services: &[Arc<Service>], namespace: &str, links: bool) -> Vec<(String, String)> {
    let mut told: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services {
        let (own, name) = (text(&service.metadata.namespace), text(&service.metadata.name));
        if (own, name) == API_SERVER {
            told.entry(name).or_insert(service);
        } else if own == namespace && links {
            told.insert(name, service);
        }
    }
    told.into_iter().flat_map(|(name, service)| variables(name, service)).collect()
}

fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

fn variables(name: &str, service: &Service) -> Vec<(String, String)> {
    let spec = service.spec.as_ref();
    let address = spec.map_or("", |spec| text(&spec.cluster_ip));
    let ports = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let Some(first) = ports.first().filter(|_| !matches!(address, "" | "None")) else { return Vec::new() };
    let prefix = variable_name(name);
    let mut env = vec![
        (format!("{prefix}_SERVICE_HOST"), address.to_owned()),
        (format!("{prefix}_SERVICE_PORT"), first.port.to_string()),
    ];
    for port in ports {
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            env.push((format!("{prefix}_SERVICE_PORT_{}", variable_name(name)), port.port.to_string()));
        }
    }
    env.push((format!("{prefix}_PORT"), url(address, first)));
    for port in ports {
        let protocol = protocol(port);
        let link = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
        env.push((link.clone(), url(address, port)));
        env.push((format!("{link}_PROTO"), protocol.to_lowercase()));
        env.push((format!("{link}_PORT"), port.port.to_string()));
        env.push((format!("{link}_ADDR"), address.to_owned()));
    }
    env
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().filter(|protocol| !protocol.is_empty()).unwrap_or("TCP")
}

fn url(address: &str, port: &ServicePort) -> String {
    let protocol = protocol(port).to_lowercase();
    let number = port.port;
    if address.contains(':') {
        format!("{protocol}://[{address}]:{number}")
    } else {
        format!("{protocol}://{address}:{number}")
    }
}

/// `my-service` as `MY_SERVICE`.
fn variable_name(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(namespace: &str, name: &str, address: &str, ports: Value) -> Arc<Service> {
        let value = json!({
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"clusterIP": address, "ports": ports},
        });
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn shown(services: &[Arc<Service>], namespace: &str, links: bool) -> Vec<String> {
        service_env(services, namespace, links).into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn a_service_is_told_in_every_usual_way() {
        let ports = json!([{"name": "https", "port": 443}, {"name": "dns-udp", "port": 53, "protocol": "UDP"}]);
        assert_eq!(
            shown(&[service("default", "kubernetes", "10.43.0.1", ports)], "n", false),
            [
                "KUBERNETES_SERVICE_HOST=10.43.0.1",
                "KUBERNETES_SERVICE_PORT=443",
                "KUBERNETES_SERVICE_PORT_HTTPS=443",
                "KUBERNETES_SERVICE_PORT_DNS_UDP=53",
                "KUBERNETES_PORT=tcp://10.43.0.1:443",
                "KUBERNETES_PORT_443_TCP=tcp://10.43.0.1:443",
                "KUBERNETES_PORT_443_TCP_PROTO=tcp",
                "KUBERNETES_PORT_443_TCP_PORT=443",
                "KUBERNETES_PORT_443_TCP_ADDR=10.43.0.1",
                "KUBERNETES_PORT_53_UDP=udp://10.43.0.1:53",
                "KUBERNETES_PORT_53_UDP_PROTO=udp",
                "KUBERNETES_PORT_53_UDP_PORT=53",
                "KUBERNETES_PORT_53_UDP_ADDR=10.43.0.1",
            ]
        );
    }

    #[test]
    fn only_the_pods_own_namespace_counts_and_the_api_server() {
        let ports = || json!([{"port": 80}]);
        let services = [
            service("default", "kubernetes", "10.43.0.1", ports()),
            service("default", "other", "10.43.0.2", ports()),
            service("n", "my-web", "fd00::2", ports()),
            service("n", "headless", "None", ports()),
            service("n", "external", "", ports()),
        ];
        let hosts = |namespace, links| -> Vec<String> {
            let all = shown(&services, namespace, links);
            all.into_iter().filter(|variable| variable.contains("_SERVICE_HOST=")).collect()
        };
        assert_eq!(hosts("n", true), ["KUBERNETES_SERVICE_HOST=10.43.0.1", "MY_WEB_SERVICE_HOST=fd00::2"]);
        assert_eq!(hosts("n", false), ["KUBERNETES_SERVICE_HOST=10.43.0.1"]);
        assert_eq!(hosts("default", true), ["KUBERNETES_SERVICE_HOST=10.43.0.1", "OTHER_SERVICE_HOST=10.43.0.2"]);
        let own = service("n", "kubernetes", "10.43.0.9", ports());
        let both = [service("default", "kubernetes", "10.43.0.1", ports()), own];
        assert_eq!(shown(&both, "n", true)[0], "KUBERNETES_SERVICE_HOST=10.43.0.9");
        assert!(shown(&services, "n", true).contains(&"MY_WEB_PORT=tcp://[fd00::2]:80".to_owned()));
    }
}
