//! The Service `kubernetes`: how Pods find the API server, and the ranges all Services get their addresses from.

use std::net::IpAddr;

use api::k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
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

/// Makes the ServiceCIDR and the Service that are missing.
///
/// # Errors
/// The first request that failed for another reason than that its object is there.
pub async fn ensure(client: &Client, endpoint: &ApiEndpoint, now: Timestamp) -> kube::Result<()> {
    ensure_service_cidr(client, endpoint, now).await?;
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    // One that is there has its address already: asking for that once more is refused before the name is looked at.
    if services.get_opt(NAME).await?.is_none() {
        unless_there(services.create(&PostParams::default(), &service(endpoint)).await)?;
    }
    Ok(())
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
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            labels: Some(
                [("component", "apiserver"), ("provider", "kubernetes")]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            ),
            ..ObjectMeta::default()
        },
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
