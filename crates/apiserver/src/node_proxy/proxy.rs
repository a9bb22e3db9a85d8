//! `nodes/NAME/proxy`, `pods/NAME/proxy` and `services/NAME/proxy`: the request goes on to the kubelet, to whatever listens
//! in the Pod, or to one of the Service's endpoints.

use std::io;
use std::net::{IpAddr, SocketAddr};

use api::k8s_openapi::api::core::v1::{Node, Pod, Service};
use api::k8s_openapi::api::discovery::v1::EndpointSlice;
use http::header::{LOCATION, UPGRADE};
use http::{HeaderValue, Method, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tracing::debug;

use super::{Exchange, PODS, dial_failure, exchange, pass_on, service};
use crate::body::Body;
use crate::error::{Error, GroupResource};
use crate::handlers::Target;
use crate::request::{Request, Response};

const NODES: GroupResource = GroupResource { group: "", resource: "nodes" };
const SERVICES: GroupResource = GroupResource { group: "", resource: "services" };

/// `[SCHEME:]NAME[:PORT]`, as the name in a proxy's path.
#[derive(Debug, PartialEq, Eq)]
struct Backend<'a> {
    scheme: &'a str,
    name: &'a str,
    port: &'a str,
}

impl<'a> Backend<'a> {
    fn parse(id: &'a str) -> Option<Self> {
        let parts: Vec<&str> = id.split(':').collect();
        let (scheme, name, port) = match parts[..] {
            [name] => ("", name, ""),
            [name, port] => ("", name, port),
            [scheme, name, port] if matches!(scheme, "" | "http" | "https") => (scheme, name, port),
            _ => return None,
        };
        (!name.is_empty()).then_some(Self { scheme, name, port })
    }
}

/// Forwards a request to the node, Pod or Service in the path.
///
/// # Errors
/// [`Error::NotFound`] for those, [`Error::BadRequest`] for a name that is none, [`Error::Internal`] when nobody
/// answers there.
pub async fn forward(target: Target<'_>, request: Request) -> Result<Response, Error> {
    let namespaced = target.kept.resource.info.namespaced;
    let Some(rest) = rest_of(request.uri.path(), namespaced).map(str::to_owned) else {
        return redirect_to_directory(&request);
    };
    let query = request.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let url = format!("{rest}{query}");
    let answer = match target.kept.resource.info.plural {
        "services" => to_service(&target, &url, request).await?,
        "pods" => to_pod(&target, &url, request).await?,
        _ => to_node(&target, &url, request).await?,
    };
    match answer {
        Exchange::Switched(response) => Ok(response),
        Exchange::Answered(sender, answer) => Ok(pass_on(sender, answer)),
    }
}

async fn to_node(target: &Target<'_>, url: &str, request: Request) -> Result<Exchange, Error> {
    let id = &target.path.name;
    let backend = Backend::parse(id).ok_or_else(|| Error::bad_request(format!("invalid node request \"{id}\"")))?;
    let node = target.server.typed::<Node>("nodes", "", backend.name).await?;
    let node = node.ok_or_else(|| Error::not_found(NODES, backend.name))?;
    let status = node.status.unwrap_or_default();
    let kubelet =
        status.daemon_endpoints.and_then(|endpoints| endpoints.kubelet_endpoint).map(|it| it.port.to_string());
    debug!(node = backend.name, url, "proxy to a node");
    if backend.port.is_empty() || Some(backend.port) == kubelet.as_deref() {
        let stream = target.server.node_dialer.dial(backend.name).await.map_err(dial_failure)?;
        return exchange(TokioIo::new(stream), url, backend.name, request).await;
    }
    let internal = status.addresses.into_iter().flatten().find(|address| address.type_ == "InternalIP");
    let address = internal.map(|address| address.address).unwrap_or_default();
    to_address(&backend, &address, url, request).await
}

async fn to_service(target: &Target<'_>, url: &str, request: Request) -> Result<Exchange, Error> {
    let (server, id) = (target.server, &target.path.name);
    let backend = Backend::parse(id).ok_or_else(|| Error::bad_request(format!("invalid service request \"{id}\"")))?;
    let service = server.typed::<Service>("services", &target.path.namespace, backend.name).await?;
    let service = service.ok_or_else(|| Error::not_found(SERVICES, backend.name))?;
    let slices: Vec<EndpointSlice> = server.all("discovery.k8s.io", "endpointslices").await?;
    let (address, port) = service::choose(&service, &slices, backend.port, server.random.bits())?;
    let port = port.to_string();
    to_address(&Backend { port: &port, ..backend }, &address, url, request).await
}

async fn to_pod(target: &Target<'_>, url: &str, request: Request) -> Result<Exchange, Error> {
    let id = &target.path.name;
    let backend = Backend::parse(id).ok_or_else(|| Error::bad_request(format!("invalid pod request \"{id}\"")))?;
    let pod = target.server.typed::<Pod>("pods", &target.path.namespace, backend.name).await?;
    let pod = pod.ok_or_else(|| Error::not_found(PODS, backend.name))?;
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let declared = containers.flat_map(|container| container.ports.iter().flatten()).next();
    let port = match (backend.port, declared) {
        ("", Some(declared)) => declared.container_port.to_string(),
        (port, _) => port.to_owned(),
    };
    let address = pod.status.and_then(|status| status.pod_ip).unwrap_or_default();
    let backend = Backend { port: &port, ..backend };
    to_address(&backend, &address, url, request).await
}

/// Connects to an address that must not be this server's own neighbourhood.
async fn to_address(backend: &Backend<'_>, address: &str, url: &str, request: Request) -> Result<Exchange, Error> {
    let refuse = || Error::bad_request("address not allowed");
    let ip: IpAddr = address.parse().map_err(|_| refuse())?;
    if !is_proxyable(ip) {
        return Err(refuse());
    }
    let secure = backend.scheme == "https";
    let port = match backend.port {
        "" if secure => 443,
        "" => 80,
        digits => digits.parse().map_err(|_| Error::bad_request(format!("invalid port \"{digits}\"")))?,
    };
    debug!(%ip, port, url, "proxy to an address");
    let host = SocketAddr::new(ip, port).to_string();
    let upgrades = request.headers.contains_key(UPGRADE);
    let stream = TcpStream::connect((ip, port)).await.map_err(|error| refused(&host, &error, upgrades))?;
    if secure {
        let stream = platform::tls::connect_to_anybody(address, stream).await.map_err(dial_failure)?;
        return exchange(TokioIo::new(stream), url, &host, request).await;
    }
    exchange(TokioIo::new(stream), url, &host, request).await
}

/// Nobody takes the connection: said as Go's dialer does, to which the server adds what it wanted the connection for.
fn refused(host: &str, error: &io::Error, upgrades: bool) -> Error {
    let why = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
        io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        _ => error.to_string(),
    };
    match upgrades {
        true => Error::Internal(format!("error dialing backend: dial tcp {host}: {why}")),
        false => Error::Unavailable(format!("error trying to reach service: dial tcp {host}: {why}")),
    }
}

/// Loopback and link-local addresses are this host's own business.
fn is_proxyable(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || link_local)
}

/// What follows `.../proxy` in a path, as the client encoded it; `None` where not even a slash does.
fn rest_of(path: &str, namespaced: bool) -> Option<&str> {
    // /api/v1/nodes/NAME/proxy and /api/v1/namespaces/NAMESPACE/pods/NAME/proxy
    let slashes = if namespaced { 7 } else { 5 };
    path.match_indices('/').nth(slashes).map(|(index, _)| &path[index..])
}

/// Relative links of what is behind the proxy need a slash to be relative to.
fn redirect_to_directory(request: &Request) -> Result<Response, Error> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(Error::MethodNotAllowed);
    }
    let query = request.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::try_from(format!("{}/{query}", request.uri.path()));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    let location = location.map_err(|error| Error::Internal(format!("writing a header: {error}")))?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_scheme_and_port() {
        let backend = |scheme, name, port| Some(Backend { scheme, name, port });
        assert_eq!(Backend::parse("n1"), backend("", "n1", ""));
        assert_eq!(Backend::parse("p:8080"), backend("", "p", "8080"));
        assert_eq!(Backend::parse("https:p:"), backend("https", "p", ""));
        assert_eq!(Backend::parse("ftp:p:21"), None);
        assert_eq!(Backend::parse(":80"), None);
    }

    #[test]
    fn the_rest_of_the_path_stays_as_it_was() {
        assert_eq!(rest_of("/api/v1/nodes/n1/proxy", false), None);
        assert_eq!(rest_of("/api/v1/nodes/n1/proxy/", false), Some("/"));
        assert_eq!(rest_of("/api/v1/nodes/n1/proxy/stats/a%2Fb/", false), Some("/stats/a%2Fb/"));
        assert_eq!(rest_of("/api/v1/namespaces/d/pods/p:80/proxy/x", true), Some("/x"));
    }

    #[test]
    fn own_addresses_are_refused() {
        for (address, allowed) in [("10.42.0.7", true), ("127.0.0.1", false), ("169.254.1.1", false), ("::1", false)] {
            assert_eq!(is_proxyable(address.parse().expect("an address")), allowed, "{address}");
        }
    }
}
