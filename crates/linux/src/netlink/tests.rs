use std::os::fd::AsFd;

use super::*;
use crate::netns;

#[test]
fn a_veth_pair_connects_a_bridge_with_a_namespace() {
    let (host, pod) = (netns::create().unwrap(), netns::create().unwrap());
    let mut outer = Netlink::open_in(host.as_fd()).unwrap();
    assert_eq!(outer.link_index("br0").unwrap(), None);
    outer.create_bridge("br0", [2, 0, 0, 0, 0, 1]).unwrap();
    assert!(outer.create_bridge("br0", [2, 0, 0, 0, 0, 1]).unwrap_err().is_exists());
    let bridge = outer.link_index("br0").unwrap().unwrap();
    let gateway: IpAddr = "10.9.0.1".parse().unwrap();
    outer.add_address(bridge, InterfaceAddress { address: gateway, prefix_length: 24 }).unwrap();
    assert_eq!(outer.link_name(bridge).unwrap(), "br0");
    assert!(outer.link_name(bridge + 100).unwrap_err().is_missing());
    assert!(outer.addresses().unwrap().contains(&(bridge, gateway)));
    let peer = VethPeer { name: "eth0", hardware_address: [2, 0, 0, 0, 0, 2], netns: pod.as_fd() };
    outer.create_veth("veth0", bridge, &peer).unwrap();

    let mut inner = Netlink::open_in(pod.as_fd()).unwrap();
    let eth0 = inner.link_index("eth0").unwrap().expect("the peer is born inside");
    let address = InterfaceAddress { address: "10.9.0.2".parse().unwrap(), prefix_length: 24 };
    inner.add_address(eth0, address).unwrap();
    inner.add_address(eth0, address).unwrap();
    inner.set_up(eth0).unwrap();
    inner.add_default_route(gateway).unwrap();
    assert!(inner.add_default_route(gateway).unwrap_err().is_exists());

    outer.delete_link("veth0").unwrap();
    outer.delete_link("veth0").unwrap();
    assert_eq!(inner.link_index("eth0").unwrap(), None, "a pair goes together");
}

#[test]
fn broadcast_fills_the_host_bits() {
    let address = Ipv4Addr::new(10, 42, 0, 7);
    assert_eq!(broadcast(address, 24), Ipv4Addr::new(10, 42, 0, 255));
    assert_eq!(broadcast(address, 32), address);
    assert_eq!(broadcast(address, 0), Ipv4Addr::BROADCAST);
}
