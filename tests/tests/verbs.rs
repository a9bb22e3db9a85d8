//! Every verb of `kubectl`, with the oldest, a middle and the newest version that people use here: 1.27, 1.30 and 1.33
//! where they are, else those of `ISOPOD_TEST_KUBECTLS` or the one of the machine.
//!
//! Most are scripts (`tests/verbs/*.txt`, in the language of `tests::script`); what goes on while it is looked at is
//! written out here.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use tests::script::Shell;
use tests::websocket::upgrade;
use tests::{Cluster, Kubectl, Options, Stream, WebSocket, cases, suite};

const MINORS: [u32; 3] = [27, 30, 33];
const SOON: Duration = Duration::from_secs(30);
/// What all connections of a forwarded port carry together, and how many they are.
const FORWARDED_BYTES: usize = 100 << 20;
const CONNECTIONS: usize = 8;

fn main() -> ExitCode {
    let cases = cases![
        pods,
        port_forward_carries_100_mb,
        get,
        describe,
        create,
        apply,
        change,
        delete,
        workloads,
        nodes,
        auth,
        discover,
        watches,
        proxy,
        upgrades_reach_pods,
    ];
    suite::run(Verbs::start, cases, |verbs| verbs.cluster.diagnose())
}

/// A cluster with several versions of `kubectl`.
struct Verbs {
    cluster: Cluster,
    kubectls: Vec<(u32, Kubectl)>,
}

impl Verbs {
    fn start() -> Result<Self> {
        let cluster = Cluster::start(Options::default())?;
        let kubectls = cluster.kubectl().of_minors(&MINORS)?;
        let versions: Vec<String> = kubectls.iter().map(|(minor, _)| format!("1.{minor}")).collect();
        println!("kubectl {}", versions.join(", "));
        Ok(Self { cluster, kubectls })
    }

    /// Does the same with each version, each in a namespace of its own.
    fn with_each(&self, name: &str, run: impl Fn(u32, &Kubectl) -> Result<()>) -> Result<()> {
        let mut failures = Vec::new();
        for (minor, kubectl) in &self.kubectls {
            let namespace = format!("{name}-1-{minor}");
            self.cluster.namespace(&namespace)?;
            if let Err(error) = run(*minor, &kubectl.in_namespace(&namespace)) {
                failures.push(format!("kubectl 1.{minor}: {error:#}"));
            }
        }
        ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
        Ok(())
    }

    fn play(&self, name: &str, script: &str) -> Result<()> {
        self.with_each(name, |minor, kubectl| {
            let directory = self.cluster.scratch(kubectl.namespace())?;
            Shell::new(&directory, kubectl, minor)?.play(&format!("verbs/{name}.txt"), script)
        })
    }
}

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        $(fn $name(verbs: &Verbs) -> Result<()> {
            verbs.play(stringify!($name), include_str!(concat!("../verbs/", stringify!($name), ".txt")))
        })*
    };
}

scripts![get, describe, create, apply, change, delete, workloads, nodes, pods, auth, discover];

fn watches(verbs: &Verbs) -> Result<()> {
    verbs.with_each("watches", |_, kubectl| {
        kubectl.ok(&["create", "configmap", "first", "--from-literal=a=b"])?;
        let all = kubectl.stream(&["get", "cm", "-w", "--output-watch-events"])?;
        let named = kubectl.stream(&["get", "cm", "first", "-w", "-o", "jsonpath={.data.a};"])?;
        let chosen = kubectl.stream(&["get", "cm", "-w", "-l", "chosen", "--output-watch-events", "--no-headers"])?;
        // Nothing tells that a watch without a list stands; so it is told again until it does.
        let only = kubectl.stream(&["get", "cm", "--watch-only", "-o", "name"])?;
        all.wait_for(SOON, |text| text.contains("ADDED") && text.contains("first"))?;
        named.wait_for(SOON, |text| text == "b;")?;
        for round in 0_u32.. {
            kubectl.ok(&["label", "cm", "first", &format!("round={round}"), "--overwrite"])?;
            if only.wait_for(Duration::from_millis(500), |text| text.contains("configmap/first")).is_ok() {
                break;
            }
            ensure!(round < 60, "--watch-only shows nothing");
        }
        kubectl.ok(&["patch", "cm", "first", "-p", r#"{"data":{"a":"c"}}"#])?;
        kubectl.ok(&["label", "cm", "first", "chosen=yes"])?;
        kubectl.ok(&["label", "cm", "first", "chosen-"])?;
        kubectl.ok(&["delete", "cm", "first"])?;
        all.wait_for(SOON, |text| {
            let seen = |word| text.lines().position(|line| line.starts_with(word) && line.contains("first"));
            seen("ADDED") < seen("MODIFIED") && seen("MODIFIED") < seen("DELETED")
        })?;
        named.wait_for(SOON, |text| text.starts_with("b;") && text.contains("c;"))?;
        // To those who select it, it comes and goes with its label.
        chosen.wait_for(SOON, |text| {
            let events: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
            events == ["ADDED", "DELETED"]
        })?;
        let seen = only.wait_for(SOON, |_| true)?;
        ensure!(!seen.contains("kube-root-ca.crt"), "what was there is not shown: {seen}");
        Ok(())
    })
}

/// The port of a line such as `Forwarding from 127.0.0.1:40123 -> 80`.
fn port_after(stream: &Stream, words: &str) -> Result<u16> {
    let find = |text: &str| -> Option<u16> {
        let rest = text.split_once(words)?.1;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        rest[digits.len()..].starts_with(char::is_whitespace).then(|| digits.parse().ok())?
    };
    find(&stream.wait_for(SOON, |text| find(text).is_some())?).context("a port")
}

fn http(port: u16, request: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(SOON))?;
    write!(stream, "{request} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

fn port_forward_carries_100_mb(verbs: &Verbs) -> Result<()> {
    let target = verbs.cluster.namespace("forward")?;
    target.ok(&["run", "web", "--image=nginx"])?;
    target.ok(&["run", "echo", "--image=busybox", "--", "nc", "-ll", "-p", "7", "-e", "cat"])?;
    target.wait_ready("web")?;
    target.wait_ready("echo")?;
    let size = FORWARDED_BYTES / CONNECTIONS;
    let make = format!("head -c {size} /dev/urandom >/usr/share/nginx/html/big; md5sum /usr/share/nginx/html/big");
    target.ok(&["exec", "web", "--", "sh", "-c", &make])?;
    let content = std::sync::OnceLock::new();
    verbs.with_each("forwarding", |_, kubectl| {
        let kubectl = kubectl.in_namespace(target.namespace());
        let mut forward = kubectl.stream(&["port-forward", "pod/web", ":80", "--address=127.0.0.1"])?;
        let port = port_after(&forward, "127.0.0.1:")?;
        let get = || -> Result<Vec<u8>> {
            let answer = http(port, "GET /big")?;
            let body = answer.windows(4).position(|end| end == b"\r\n\r\n").context("an answer")? + 4;
            Ok(answer[body..].to_vec())
        };
        let bodies: Vec<Result<Vec<u8>>> = thread::scope(|scope| {
            let running: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(get)).collect();
            running.into_iter().map(|one| one.join().map_err(|_| anyhow!("it panicked"))?).collect()
        });
        for body in bodies {
            let body = body?;
            ensure!(body.len() == size, "{} of {size} bytes came", body.len());
            ensure!(&body == content.get_or_init(|| body.clone()), "the bytes are not those of the others");
        }
        // A port that nobody listens on is that connection's end; with kubectl since 1.28, only that one's.
        ensure!(http(port, "GET /").is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200")));
        drop(forward);
        // Both ways at once.
        forward = kubectl.stream(&["port-forward", "pod/echo", ":7", "--address=127.0.0.1"])?;
        let port = port_after(&forward, "127.0.0.1:")?;
        echo(port)
    })
}

/// Sends 4 MB to a port that sends everything back, and compares.
fn echo(port: u16) -> Result<()> {
    let sent: Vec<u8> = (0..1_u32 << 20).flat_map(u32::to_le_bytes).collect();
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(SOON))?;
    let (mut writer, sending) = (stream.try_clone()?, sent.clone());
    let writing = thread::spawn(move || writer.write_all(&sending));
    let mut received = vec![0; sent.len()];
    stream.read_exact(&mut received).context("reading what comes back")?;
    writing.join().map_err(|_| anyhow!("writing panicked"))??;
    ensure!(received == sent, "what comes back is not what was sent");
    Ok(())
}

fn proxy(verbs: &Verbs) -> Result<()> {
    let target = verbs.cluster.namespace("proxied")?;
    target.ok(&["run", "web", "--image=nginx"])?;
    target.ok(&["run", "talker", "--image=busybox", "--", "sh", "-c", "printf 'one\\ntwo\\n'; exec sleep 3600"])?;
    target.wait_ready("web")?;
    target.wait_ready("talker")?;
    verbs.with_each("proxy", |_, kubectl| {
        // By default it refuses exec, which is what the second one is for.
        let strict = kubectl.stream(&["proxy", "--port=0"])?;
        let port = port_after(&strict, "127.0.0.1:")?;
        let answer = String::from_utf8(http(port, "GET /api/v1/namespaces/proxied/pods/web/proxy/")?)?;
        ensure!(answer.starts_with("HTTP/1.1 200") && answer.contains("Welcome to nginx"), "{answer}");
        let answer = String::from_utf8(http(port, "GET /apis/apps/v1")?)?;
        ensure!(answer.contains("\"deployments/scale\""), "{answer}");
        let exec = "/api/v1/namespaces/proxied/pods/web/exec?command=echo&command=hi&stdout=true";
        let refused = String::from_utf8(http(port, &format!("GET {exec}"))?)?;
        ensure!(refused.starts_with("HTTP/1.1 403"), "{refused}");
        let open = kubectl.stream(&["proxy", "--port=0", "--reject-paths=^/nothing$", "--api-prefix=/k8s/"])?;
        let port = port_after(&open, "127.0.0.1:")?;
        for protocol in ["v4.channel.k8s.io", "v5.channel.k8s.io"] {
            let mut socket = WebSocket::open(&format!("http://127.0.0.1:{port}/k8s{exec}"), protocol)?;
            ensure!(socket.collect(1, |said| said.ends_with(b"\n"))? == b"hi\n", "{protocol}");
        }
        let api = format!("http://127.0.0.1:{port}/k8s/api/v1/namespaces/proxied");
        said(&format!("{api}/pods/talker/log?follow=true"), "binary.k8s.io", "one\ntwo\n")?;
        said(&format!("{api}/pods/talker/log?follow=true"), "base64.binary.k8s.io", "b25lCnR3bwo=")?;
        said(
            &format!("{api}/pods?watch=true&fieldSelector=metadata.name%3Dweb"),
            "",
            "{\"type\":\"ADDED\",\"object\":{",
        )
    })
}

/// Opens a WebSocket and waits for what its first messages say together.
fn said(url: &str, protocol: &str, words: &str) -> Result<()> {
    let (mut stream, head) = upgrade(url, protocol)?;
    ensure!(head.starts_with("HTTP/1.1 101"), "{head}");
    let mut said = Vec::new();
    while !said.windows(words.len()).any(|part| part == words.as_bytes()) {
        let mut byte = [0];
        stream.read_exact(&mut byte).with_context(|| format!("{protocol}: {:?}", String::from_utf8_lossy(&said)))?;
        said.push(byte[0]);
    }
    Ok(())
}

/// A server that makes a WebSocket of every request and sends everything back.
const ECHO: &str = r#"
while read -r line; do [ ${#line} -gt 1 ] || break; done
printf 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: echo\r\n\r\n'
exec cat"#;

fn upgrades_reach_pods(verbs: &Verbs) -> Result<()> {
    let kubectl = verbs.cluster.namespace("upgrades")?;
    kubectl.ok(&[
        "run",
        "echo",
        "--image=busybox",
        "--port=80",
        "--",
        "nc",
        "-ll",
        "-p",
        "80",
        "-e",
        "sh",
        "-c",
        ECHO,
    ])?;
    kubectl.wait_ready("echo")?;
    let proxy = kubectl.stream(&["proxy", "--port=0"])?;
    let port = port_after(&proxy, "127.0.0.1:")?;
    let url = format!("http://127.0.0.1:{port}/api/v1/namespaces/upgrades/pods/echo:80/proxy/any/path?x=y");
    let (mut stream, head) = upgrade(&url, "echo")?;
    ensure!(head.starts_with("HTTP/1.1 101") && head.to_lowercase().contains("sec-websocket-protocol: echo"), "{head}");
    for text in ["one", "two", "three"] {
        stream.write_all(text.as_bytes())?;
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back)?;
        ensure!(back == text.as_bytes(), "{back:?}");
    }
    Ok(())
}
