use std::process::Command;

use super::*;

/// A network namespace of its own for the "host" side; everything in it goes with it.
struct Host {
    runtime: tokio::runtime::Runtime,
    directory: tempfile::TempDir,
}

/// A namespace that lives as long as the file.
fn new_netns() -> std::fs::File {
    linux::netns::create().unwrap()
}

/// Runs a test body on threads that are all inside one fresh network namespace.
fn in_host(body: impl FnOnce(&Host) + Send + 'static) {
    let netns: OwnedFd = new_netns().into();
    let enter = move || linux::netns::enter(netns.as_fd()).unwrap();
    std::thread::spawn(move || {
        enter();
        let runtime = tokio::runtime::Builder::new_current_thread().on_thread_start(enter).build().unwrap();
        body(&Host { runtime, directory: tempfile::tempdir().unwrap() });
    })
    .join()
    .unwrap();
}

impl Host {
    fn config(&self, range: &str) -> Config {
        Config {
            directory: self.directory.path().join("network"),
            id: "t1".to_owned(),
            ranges: vec![range.parse().unwrap()],
        }
    }

    fn attach(&self, network: &BridgeNetwork, sandbox: &str, ports: &[(u16, u16)]) -> cri::Result<std::fs::File> {
        let netns = new_netns();
        let request = PodNetworkRequest {
            sandbox_id: sandbox.to_owned(),
            pod_namespace: "default".to_owned(),
            pod_name: sandbox.to_owned(),
            pod_uid: sandbox.to_owned(),
            port_mappings: ports
                .iter()
                .map(|(host_port, container_port)| cri::PodPortMapping {
                    protocol: cri::Protocol::Tcp,
                    container_port: *container_port,
                    host_port: *host_port,
                    host_ip: None,
                })
                .collect(),
        };
        self.runtime.block_on(network.attach(&request, netns.as_fd())).map(|_| netns)
    }
}

/// Serves one connection inside a namespace and answers with the given text.
fn serve_once(netns: &std::fs::File, address: &str, text: &'static str) -> std::thread::JoinHandle<()> {
    let (netns, address) = (netns.try_clone().unwrap(), address.to_owned());
    let (ready, is_ready) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        linux::netns::enter(netns.as_fd()).unwrap();
        let listener = std::net::TcpListener::bind(address).unwrap();
        ready.send(()).unwrap();
        std::io::Write::write_all(&mut listener.accept().unwrap().0, text.as_bytes()).unwrap();
    });
    is_ready.recv().unwrap();
    server
}

fn fetch(address: &str) -> String {
    let stream = std::net::TcpStream::connect_timeout(&address.parse().unwrap(), std::time::Duration::from_secs(3));
    std::io::read_to_string(stream.unwrap()).unwrap()
}

fn host_has_link(name: &str) -> bool {
    Command::new("ip").args(["link", "show", name]).output().unwrap().status.success()
}

#[test]
fn a_pod_is_reached_by_its_address_and_by_its_host_port() {
    in_host(|host| {
        Netlink::open().unwrap().set_up(1).unwrap();
        let network = BridgeNetwork::open(host.config("10.77.0.0/24")).unwrap();
        let pod = host.attach(&network, "0123456789abcdef", &[(8001, 80)]).unwrap();
        for address in ["10.77.0.2:80", "127.0.0.1:8001", "10.77.0.1:8001"] {
            let server = serve_once(&pod, "0.0.0.0:80", "hello");
            assert_eq!(fetch(address), "hello", "{address}");
            server.join().unwrap();
        }
        host.runtime.block_on(network.detach("0123456789abcdef")).unwrap();
        assert!(host.directory.path().join("network").read_dir().unwrap().next().is_none());
    });
}

#[test]
fn what_earlier_runs_recorded_is_kept_until_its_sandbox_is_gone() {
    in_host(|host| {
        let network = BridgeNetwork::open(host.config("10.78.0.0/29")).unwrap();
        let pods: Vec<_> = (0..5).map(|n| host.attach(&network, &format!("pod{n}"), &[])).collect();
        assert!(pods.iter().all(Result::is_ok));
        let refused = host.attach(&network, "pod5", &[]).unwrap_err();
        assert_eq!(refused.to_string(), "Pod network: no free address in 10.78.0.0/29");
        drop(network);

        let network = BridgeNetwork::open(host.config("10.78.0.0/29")).unwrap();
        assert!(host.attach(&network, "pod6", &[]).is_err());
        host.runtime.block_on(network.retain(&["pod0".to_owned()])).unwrap();
        assert!(host_has_link("vethpod0") && !host_has_link("vethpod1"));
        host.attach(&network, "pod7", &[]).unwrap();
    });
}

#[test]
fn a_range_that_somebody_else_has_is_refused() {
    in_host(|host| {
        let mut netlink = Netlink::open().unwrap();
        netlink.create_bridge("cni0", [2, 0, 0, 0, 0, 1]).unwrap();
        let index = netlink.link_index("cni0").unwrap().unwrap();
        let address = "10.80.0.1".parse().unwrap();
        netlink.add_address(index, InterfaceAddress { address, prefix_length: 24 }).unwrap();
        let refused = BridgeNetwork::open(host.config("10.80.0.0/24")).unwrap_err();
        let expected = "10.80.0.0/24 is in use on this host: cni0 has 10.80.0.1; choose another --cluster-cidr";
        assert_eq!(refused.to_string(), expected);
        assert!(!host_has_link("iso-t1"));
        BridgeNetwork::open(host.config("10.80.1.0/24")).unwrap();
    });
}

#[test]
fn reset_leaves_nothing() {
    in_host(|host| {
        let network = BridgeNetwork::open(host.config("10.79.0.0/24")).unwrap();
        let _pod = host.attach(&network, "pod0", &[(80, 80)]).unwrap();
        drop(network);
        let directory = host.directory.path().join("network");
        for _ in 0..2 {
            reset(&directory, "t1").unwrap();
        }
        assert!(!host_has_link("iso-t1") && !host_has_link("vethpod0"));
        assert!(directory.read_dir().unwrap().next().is_none());
        let tables = Command::new("nft").args(["list", "tables"]).output().unwrap();
        assert_eq!(String::from_utf8(tables.stdout).unwrap(), "");
    });
}
