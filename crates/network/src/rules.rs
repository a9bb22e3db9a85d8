//! Packet rules as a value: the whole nftables table of one server, computed from what its Pods hold.

use std::fmt::Write;
use std::net::IpAddr;

use crate::cidr::Cidr;
use crate::records::Record;

/// A script for `nft -f` that replaces the server's table in one transaction: Pods reach the world under the node's
/// address, and host ports reach Pods (from the node itself too).
pub fn table<'a>(name: &str, bridge: &str, ranges: &[Cidr], records: impl IntoIterator<Item = &'a Record>) -> String {
    let (mut ports, mut masquerade) = (String::new(), String::new());
    for range in ranges {
        let family = if range.is_ipv4() { "ip" } else { "ip6" };
        line(&mut masquerade, &format!("{family} saddr {range} oifname != \"{bridge}\" masquerade"));
    }
    // A connection to a host port from the node's own loopback must come back to it.
    line(&mut masquerade, &format!("ip saddr 127.0.0.0/8 oifname \"{bridge}\" masquerade"));
    for record in records {
        for port in &record.ports {
            for address in &record.addresses {
                if let Some(rule) = host_port_rule(port, *address) {
                    line(&mut ports, &rule);
                }
            }
        }
    }
    format!(
        "add table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n\
         \x20 chain host_ports {{\n{ports}  }}\n\
         \x20 chain prerouting {{\n    type nat hook prerouting priority dstnat\n    fib daddr type local jump host_ports\n  }}\n\
         \x20 chain output {{\n    type nat hook output priority -100\n    fib daddr type local jump host_ports\n  }}\n\
         \x20 chain postrouting {{\n    type nat hook postrouting priority srcnat\n{masquerade}  }}\n}}\n"
    )
}

fn line(text: &mut String, rule: &str) {
    writeln!(text, "    {rule}").expect("writing to a string cannot fail");
}

/// The rule that leads one host port to one address; `None` when the host address is of the other family.
fn host_port_rule(port: &crate::records::HostPort, address: IpAddr) -> Option<String> {
    let family = if address.is_ipv4() { "ip" } else { "ip6" };
    let only = match port.host_ip.filter(|ip| !ip.is_unspecified()) {
        Some(host_ip) if host_ip.is_ipv4() != address.is_ipv4() => return None,
        Some(host_ip) => format!("{family} daddr {host_ip} "),
        None => format!("meta nfproto {} ", if address.is_ipv4() { "ipv4" } else { "ipv6" }),
    };
    let target = match address {
        IpAddr::V4(v4) => format!("{v4}:{}", port.container_port),
        IpAddr::V6(v6) => format!("[{v6}]:{}", port.container_port),
    };
    Some(format!("{only}{} dport {} dnat {family} to {target}", port.protocol, port.host_port))
}

#[cfg(test)]
mod tests;
