//! How Services are told to containers by environment, in the form that container links once had.

use std::net::{IpAddr, SocketAddr};

/// The variables about the API server's own Service, which every container gets.
pub fn api_server_env(service: SocketAddr) -> Vec<(String, String)> {
    let (host, port) = (service.ip(), service.port());
    let url = match host {
        IpAddr::V4(host) => format!("tcp://{host}:{port}"),
        IpAddr::V6(host) => format!("tcp://[{host}]:{port}"),
    };
    let link = format!("KUBERNETES_PORT_{port}_TCP");
    [
        ("KUBERNETES_SERVICE_HOST".to_owned(), host.to_string()),
        ("KUBERNETES_SERVICE_PORT".to_owned(), port.to_string()),
        ("KUBERNETES_SERVICE_PORT_HTTPS".to_owned(), port.to_string()),
        ("KUBERNETES_PORT".to_owned(), url.clone()),
        (link.clone(), url),
        (format!("{link}_PROTO"), "tcp".to_owned()),
        (format!("{link}_PORT"), port.to_string()),
        (format!("{link}_ADDR"), host.to_string()),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_server_is_told_in_every_usual_way() {
        let env = api_server_env("10.43.0.1:443".parse().unwrap());
        let text: Vec<String> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            text,
            [
                "KUBERNETES_SERVICE_HOST=10.43.0.1",
                "KUBERNETES_SERVICE_PORT=443",
                "KUBERNETES_SERVICE_PORT_HTTPS=443",
                "KUBERNETES_PORT=tcp://10.43.0.1:443",
                "KUBERNETES_PORT_443_TCP=tcp://10.43.0.1:443",
                "KUBERNETES_PORT_443_TCP_PROTO=tcp",
                "KUBERNETES_PORT_443_TCP_PORT=443",
                "KUBERNETES_PORT_443_TCP_ADDR=10.43.0.1",
            ]
        );
        assert_eq!(api_server_env("[fd00::1]:443".parse().unwrap())[3].1, "tcp://[fd00::1]:443");
    }
}
