//! Which endpoint of a Service answers a proxied request. Pure.

use api::discovery::v1::endpoint_slice::SERVICE_NAME_LABEL;
use api::k8s_openapi::api::core::v1::Service;
use api::k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use crate::error::Error;

/// The address and port of one of the ready endpoints. `port` is a number or name of the Service's ports; `seed` chooses.
///
/// # Errors
/// [`Error::Unavailable`] when nobody is there.
pub fn choose(service: &Service, slices: &[EndpointSlice], port: &str, seed: u64) -> Result<(String, i32), Error> {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let port_name = port_name(service, port)
        .ok_or_else(|| Error::Unavailable(format!("no service port {port} found for service \"{name}\"")))?;
    let own = slices.iter().filter(|slice| {
        let labels = slice.metadata.labels.as_ref();
        slice.metadata.namespace == service.metadata.namespace
            && labels.and_then(|labels| labels.get(SERVICE_NAME_LABEL)).is_some_and(|owner| owner == name)
    });
    let mut all: Vec<(&String, i32)> = Vec::new();
    for slice in own {
        let mut ports = slice.ports.iter().flatten();
        let Some(port) = ports.find(|port| port.name.as_deref().unwrap_or_default() == port_name) else { continue };
        let Some(number) = port.port else { continue };
        let ready = slice.endpoints.iter().flatten().filter(|endpoint| is_ready(endpoint));
        all.extend(ready.filter_map(|endpoint| endpoint.addresses.first()).map(|address| (address, number)));
    }
    let position = usize::try_from(seed % all.len().max(1) as u64).unwrap_or_default();
    let chosen = all.get(position).map(|(address, port)| ((*address).clone(), *port));
    chosen.ok_or_else(|| Error::Unavailable(format!("no endpoints available for service \"{name}\"")))
}

/// A port by number is the Service's; endpoints know it by name.
fn port_name<'a>(service: &'a Service, port: &'a str) -> Option<&'a str> {
    let Ok(number) = port.parse::<i32>() else { return Some(port) };
    let mut ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    ports.find(|port| port.port == number).map(|port| port.name.as_deref().unwrap_or_default())
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ready_endpoints_of_the_port_answer() {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "s", "namespace": "n"},
            "spec": {"ports": [{"name": "web", "port": 80}, {"name": "admin", "port": 81}]},
        }))
        .expect("a Service");
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": "s-1", "namespace": "n", "labels": {"kubernetes.io/service-name": "s"}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": false}},
                {"addresses": ["10.0.0.2"], "conditions": {}},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": true}},
            ],
            "ports": [{"name": "web", "port": 8080}],
        }))
        .expect("a slice");
        let slices = [slice];
        let chosen = |port, seed| choose(&service, &slices, port, seed).map_err(|error| error.to_string());
        assert_eq!(chosen("web", 0), Ok(("10.0.0.2".to_owned(), 8080)));
        assert_eq!(chosen("80", 1), Ok(("10.0.0.3".to_owned(), 8080)));
        assert_eq!(chosen("admin", 0), Err("no endpoints available for service \"s\"".to_owned()));
        assert_eq!(chosen("82", 0), Err("no service port 82 found for service \"s\"".to_owned()));
        assert!(choose(&service, &[], "web", 0).is_err());
    }
}
