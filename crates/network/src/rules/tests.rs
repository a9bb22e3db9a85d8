use super::*;
use crate::records::HostPort;

fn record(address: &str, ports: &[(&str, u16, Option<&str>, u16)]) -> Record {
    Record {
        addresses: vec![address.parse().unwrap()],
        interface: "veth".to_owned(),
        ports: ports
            .iter()
            .map(|(protocol, host_port, host_ip, container_port)| HostPort {
                protocol: (*protocol).to_owned(),
                host_port: *host_port,
                host_ip: host_ip.map(|ip| ip.parse().unwrap()),
                container_port: *container_port,
            })
            .collect(),
    }
}

#[test]
fn the_table_holds_masquerading_and_every_host_port() {
    let records = [
        record("10.42.0.2", &[("tcp", 8001, None, 8080), ("udp", 53, Some("127.0.0.1"), 53)]),
        record("fd42::2", &[("tcp", 80, None, 80), ("tcp", 81, Some("127.0.0.1"), 81)]),
    ];
    let ranges = ["10.42.0.0/24".parse().unwrap(), "fd42::/64".parse().unwrap()];
    let script = table("isopod-x", "iso-x", &ranges, &records);
    let rules: Vec<&str> =
        script.lines().map(str::trim).filter(|line| line.contains(" to ") || line.contains("masq")).collect();
    assert_eq!(
        rules,
        [
            "meta nfproto ipv4 tcp dport 8001 dnat ip to 10.42.0.2:8080",
            "ip daddr 127.0.0.1 udp dport 53 dnat ip to 10.42.0.2:53",
            "meta nfproto ipv6 tcp dport 80 dnat ip6 to [fd42::2]:80",
            "ip saddr 10.42.0.0/24 oifname != \"iso-x\" masquerade",
            "ip6 saddr fd42::/64 oifname != \"iso-x\" masquerade",
            "ip saddr 127.0.0.0/8 oifname \"iso-x\" masquerade",
        ]
    );
}
