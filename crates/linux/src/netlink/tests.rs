use std::os::fd::AsFd;

use super::*;

/// A network namespace that lives as long as the file: no name, nothing to clean up.
fn new_netns() -> std::fs::File {
    std::thread::spawn(|| {
        crate::netlink::tests::unshare_network();
        std::fs::File::open("/proc/thread-self/ns/net").unwrap()
    })
    .join()
    .unwrap()
}

fn unshare_network() {
    // SAFETY: affects the calling thread's network namespace only.
    let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

#[test]
fn a_veth_pair_connects_a_bridge_with_a_namespace() {
    let (host, pod) = (new_netns(), new_netns());
    let mut outer = Netlink::open_in(host.as_fd()).unwrap();
    assert_eq!(outer.link_index("br0").unwrap(), None);
    outer.create_bridge("br0").unwrap();
    assert!(outer.create_bridge("br0").unwrap_err().is_exists());
    let bridge = outer.link_index("br0").unwrap().unwrap();
    let gateway: IpAddr = "10.9.0.1".parse().unwrap();
    outer.add_address(bridge, InterfaceAddress { address: gateway, prefix_length: 24 }).unwrap();
    outer.create_veth("veth0", bridge, "eth0", pod.as_fd()).unwrap();

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
