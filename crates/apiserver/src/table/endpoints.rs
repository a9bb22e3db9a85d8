//! Columns of what stands behind Services.

use api::k8s_openapi::api::core::v1::{EndpointSubset, Endpoints};
use api::k8s_openapi::api::discovery::v1::{EndpointPort, EndpointSlice};
use serde_json::Value;

use super::{AGE, Columns, NAME, Row, age, column, descriptions, name, or_none, typed};

/// So many are shown; of the others only how many there are.
const MAX_SHOWN: usize = 3;

pub(super) static ENDPOINTS: Columns = Columns {
    definitions: &[NAME, column("Endpoints", descriptions::ENDPOINTS_SUBSETS), AGE],
    row: |object, now| {
        let subsets = typed::<Endpoints>(object).subsets.as_deref().unwrap_or_default();
        let all: Vec<String> = subsets.iter().flat_map(of_subset).collect();
        let shown = if subsets.is_empty() { or_none(None) } else { first_few(&all, "") };
        Row::from(vec![name(object), shown, age(object, now)])
    },
};

pub(super) static ENDPOINT_SLICE: Columns = Columns {
    definitions: &[
        NAME,
        column("AddressType", descriptions::ENDPOINT_SLICE_ADDRESS_TYPE),
        column("Ports", descriptions::ENDPOINT_SLICE_PORTS),
        column("Endpoints", descriptions::ENDPOINT_SLICE_ENDPOINTS),
        AGE,
    ],
    row: |object, now| {
        let slice = typed::<EndpointSlice>(object);
        let ports: Vec<String> = slice.ports.iter().flatten().map(of_port).collect();
        let endpoints = slice.endpoints.iter().flatten();
        let addresses: Vec<String> = endpoints.flat_map(|endpoint| endpoint.addresses.iter().cloned()).collect();
        Row::from(vec![
            name(object),
            slice.address_type.as_str().into(),
            first_few(&ports, "<unset>"),
            first_few(&addresses, "<unset>"),
            age(object, now),
        ])
    },
};

/// Every address with every port.
fn of_subset(subset: &EndpointSubset) -> Vec<String> {
    let addresses = subset.addresses.as_deref().unwrap_or_default();
    let Some(ports) = &subset.ports else { return addresses.iter().map(|address| address.ip.clone()).collect() };
    let pairs = ports.iter().flat_map(|port| addresses.iter().map(move |address| (port.port, &address.ip)));
    pairs.map(|(port, ip)| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }).collect()
}

fn of_port(port: &EndpointPort) -> String {
    port.port.map(|number| number.to_string()).or_else(|| port.name.clone()).unwrap_or_else(|| "*".to_owned())
}

fn first_few(all: &[String], nothing: &str) -> Value {
    let shown = all[..all.len().min(MAX_SHOWN)].join(",");
    match all.len().checked_sub(MAX_SHOWN) {
        Some(rest @ 1..) => format!("{shown} + {rest} more...").into(),
        _ if shown.is_empty() => nothing.into(),
        _ => shown.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_are_shown_and_the_rest_counted() {
        let all: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        for (count, want) in [(0, "<unset>"), (2, "a,b"), (3, "a,b,c"), (5, "a,b,c + 2 more...")] {
            assert_eq!(first_few(&all[..count], "<unset>"), want);
        }
    }
}
