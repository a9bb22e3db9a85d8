//! The Service `kubernetes`: how Pods find the API server, and the ranges all Services get their addresses from.

use std::net::IpAddr;

use api::Kind;
use api::discovery::v1::endpoint_slice::SERVICE_NAME_LABEL;
use api::k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Service, ServicePort, ServiceSpec,
};
use api::k8s_openapi::api::discovery::v1 as discovery;
use api::k8s_openapi::api::discovery::v1::EndpointSlice;
use api::k8s_openapi::api::networking::v1::{ServiceCIDR, ServiceCIDRSpec, ServiceCIDRStatus};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use api::k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use api::net::Cidr;
use api::networking::v1::service_cidr;
use jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};

use crate::objects::unless_there;

const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";
const PORT_NAME: &str = "https";

/// Where the API server is, for Pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiEndpoint {
    /// An address of the host that is not the loopback one.
    pub address: IpAddr,
    /// The port it listens on.
    pub port: u16,
    /// The ranges of Services, the preferred family first. The Service has the first address.
    pub service_ranges: Vec<Cidr>,
}

/// Makes the ServiceCIDR and the Service that are missing, and lets the Service lead here.
///
/// # Errors
/// The first request that failed for another reason than that its object is there.
pub async fn ensure(client: &Client, endpoint: &ApiEndpoint, now: Timestamp) -> kube::Result<()> {
    ensure_service_cidr(client, endpoint, now).await?;
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    ensure_service(&services, service(endpoint)).await?;
    let (old, new): (Api<Endpoints>, Api<EndpointSlice>) =
        (Api::namespaced(client.clone(), NAMESPACE), Api::namespaced(client.clone(), NAMESPACE));
    put(&old, endpoints(endpoint), |there, wanted| there.subsets == wanted.subsets).await?;
    put(&new, endpoint_slice(endpoint), |there, wanted| {
        there.endpoints == wanted.endpoints && there.ports == wanted.ports
    })
    .await
}

/// One that is there has its address already: asking for that once more is refused before the name is looked at.
async fn ensure_service(services: &Api<Service>, wanted: Service) -> kube::Result<()> {
    let Some(mut there) = services.get_opt(NAME).await? else {
        return unless_there(services.create(&PostParams::default(), &wanted).await);
    };
    let ports = wanted.spec.and_then(|spec| spec.ports);
    let spec = there.spec.get_or_insert_default();
    if spec.ports == ports {
        return Ok(());
    }
    spec.ports = ports;
    services.replace(NAME, &PostParams::default(), &there).await.map(drop)
}

/// Creates an object, or brings the one that is there in line.
async fn put<K: Kind>(objects: &Api<K>, mut wanted: K, same: impl Fn(&K, &K) -> bool) -> kube::Result<()> {
    match objects.create(&PostParams::default(), &wanted).await {
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {}
        outcome => return outcome.map(drop),
    }
    let there = objects.get(NAME).await?;
    if same(&there, &wanted) {
        return Ok(());
    }
    wanted.metadata_mut().resource_version.clone_from(&there.metadata().resource_version);
    objects.replace(NAME, &PostParams::default(), &wanted).await.map(drop)
}

fn metadata(labels: &[(&str, &str)]) -> ObjectMeta {
    ObjectMeta {
        name: Some(NAME.to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        labels: Some(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()),
        ..ObjectMeta::default()
    }
}

fn endpoints(endpoint: &ApiEndpoint) -> Endpoints {
    Endpoints {
        // Its EndpointSlice is not made from it.
        metadata: metadata(&[("endpointslice.kubernetes.io/skip-mirror", "true")]),
        subsets: Some(vec![EndpointSubset {
            addresses: Some(vec![EndpointAddress { ip: endpoint.address.to_string(), ..EndpointAddress::default() }]),
            not_ready_addresses: None,
            ports: Some(vec![EndpointPort {
                name: Some(PORT_NAME.to_owned()),
                port: endpoint.port.into(),
                protocol: Some("TCP".to_owned()),
                app_protocol: None,
            }]),
        }]),
    }
}

fn endpoint_slice(endpoint: &ApiEndpoint) -> EndpointSlice {
    EndpointSlice {
        metadata: metadata(&[(SERVICE_NAME_LABEL, NAME)]),
        address_type: if endpoint.address.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned(),
        endpoints: Some(vec![discovery::Endpoint {
            addresses: vec![endpoint.address.to_string()],
            conditions: Some(discovery::EndpointConditions { ready: Some(true), ..Default::default() }),
            ..discovery::Endpoint::default()
        }]),
        ports: Some(vec![discovery::EndpointPort {
            name: Some(PORT_NAME.to_owned()),
            port: Some(endpoint.port.into()),
            protocol: Some("TCP".to_owned()),
            app_protocol: None,
        }]),
    }
}

async fn ensure_service_cidr(client: &Client, endpoint: &ApiEndpoint, now: Timestamp) -> kube::Result<()> {
    let objects: Api<ServiceCIDR> = Api::all(client.clone());
    let object = ServiceCIDR {
        metadata: ObjectMeta { name: Some(service_cidr::DEFAULT_NAME.to_owned()), ..ObjectMeta::default() },
        spec: Some(ServiceCIDRSpec {
            cidrs: Some(endpoint.service_ranges.iter().map(|range| range.masked().to_string()).collect()),
        }),
        status: None,
    };
    let mut object = match objects.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => return Ok(()),
        outcome => outcome?,
    };
    let ready = Condition {
        type_: service_cidr::CONDITION_READY.to_owned(),
        status: "True".to_owned(),
        message: "Kubernetes default Service CIDR is ready".to_owned(),
        reason: String::new(),
        last_transition_time: Time(now),
        observed_generation: None,
    };
    object.status = Some(ServiceCIDRStatus { conditions: Some(vec![ready]) });
    objects.replace_status(service_cidr::DEFAULT_NAME, &PostParams::default(), &object).await.map(drop)
}

fn service(endpoint: &ApiEndpoint) -> Service {
    let address = endpoint.service_ranges.first().and_then(|range| range.nth(1)).map(|address| address.to_string());
    Service {
        metadata: metadata(&[("component", "apiserver"), ("provider", "kubernetes")]),
        spec: Some(ServiceSpec {
            cluster_ips: address.clone().map(|address| vec![address]),
            cluster_ip: address,
            ip_family_policy: Some("SingleStack".to_owned()),
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.to_owned()),
                port: 443,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::Int(endpoint.port.into())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
