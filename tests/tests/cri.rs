//! CRI over a socket: ours answers others, and our kubelet runs Pods with containerd.

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use cri::{
    ContainerConfig, ContainerEventType, ContainerFilter, ContainerMetadata, ContainerState, ExecRequest,
    ExecSyncRequest, ImageFilter, ImageSpec, PodSandboxConfig, PodSandboxFilter, PodSandboxMetadata,
    PodSandboxStatsFilter, StatusRequest,
};
use futures::StreamExt as _;
use tests::host::{self, Host};
use tests::websocket::upgrade;
use tests::{Cluster, Kubectl, Options, Runtime, Stream, WebSocket, cases, suite};

const SOON: Duration = Duration::from_secs(30);
const V5: &str = "v5.channel.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const OUTCOME: u8 = 3;
const RESIZE: u8 = 4;

struct Clusters {
    embedded: Cluster,
    containerd: Cluster,
}

fn main() -> ExitCode {
    let cases = cases![
        others_see_our_pods,
        a_pod_is_made_by_hand,
        what_crictl_asks_is_answered,
        old_websockets_run_commands,
        old_websockets_forward_ports,
        terminals_have_their_size_and_input_ends_once,
        streaming_urls_are_secret_and_good_once,
        containerd_runs_a_pod,
        containerd_restarts_what_ends,
        containerd_shows_volumes_and_last_words,
        containerd_goes_on_without_us_and_reset_ends_it,
    ];
    let start = || {
        let with = |runtime| Cluster::start(Options { runtime, ..Options::default() });
        Ok(Clusters { embedded: with(Runtime::Embedded)?, containerd: with(Runtime::Containerd)? })
    };
    suite::run(start, cases, |both| format!("{}\n{}", both.embedded.diagnose(), both.containerd.diagnose()))
}

/// Speaks CRI to the embedded runtime's socket.
fn over_socket<T>(cluster: &Cluster, call: impl AsyncFnOnce(cri::Runtime) -> Result<T>) -> Result<T> {
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let socket = cluster.data_dir().join("cri.sock");
    threads.block_on(async { call(cri_socket::connect(&format!("unix://{}", socket.display()))?).await })
}

fn others_see_our_pods(both: &Clusters) -> Result<()> {
    let kubectl = both.embedded.namespace("seen")?;
    kubectl.ok(&["run", "seen", "--image=busybox", "--", "sleep", "3600"])?;
    kubectl.wait_ready("seen")?;
    let id = kubectl.text("pod/seen", "/status/containerStatuses/0/containerID")?;
    let id = id.strip_prefix("isopod://").context("the embedded runtime's")?.to_owned();
    over_socket(&both.embedded, async |cri::Runtime { runtime, images }| {
        ensure!(runtime.version().await?.runtime_api_version == "v1");
        let status = runtime.status(StatusRequest::default()).await?.status.unwrap_or_default();
        ensure!(status.conditions.iter().all(|condition| condition.status), "{status:?}");
        let containers = runtime.list_containers(ContainerFilter { id: id.clone(), ..Default::default() }).await?;
        let [container] = &containers[..] else { bail!("{containers:?}") };
        ensure!(
            container.state() == ContainerState::ContainerRunning
                && container.labels["io.kubernetes.pod.name"] == "seen"
        );
        let sandboxes = runtime.list_pod_sandbox(PodSandboxFilter::default()).await?;
        ensure!(sandboxes.iter().any(|sandbox| sandbox.id == container.pod_sandbox_id));
        let status = runtime.pod_sandbox_status(&container.pod_sandbox_id).await?;
        ensure!(status.network.is_some_and(|network| !network.ip.is_empty()));
        ensure!(runtime.container_status(&id).await?.started_at > 0);
        let echo = ["echo", "over", "CRI"].map(str::to_owned).to_vec();
        let echo = runtime.exec_sync(ExecSyncRequest { container_id: id.clone(), cmd: echo, timeout: 10 }).await?;
        ensure!(echo.exit_code == 0 && echo.stdout == b"over CRI\n", "{echo:?}");
        let memory = runtime.container_stats(&id).await?.memory.and_then(|memory| memory.usage_bytes);
        ensure!(memory.is_some_and(|bytes| bytes.value > 0));
        let stats = runtime.list_pod_sandbox_stats(PodSandboxStatsFilter::default()).await?;
        ensure!(
            stats.iter().any(|stats| stats.attributes.as_ref().is_some_and(|one| one.id == container.pod_sandbox_id))
        );
        let listed = images.list_images(ImageFilter::default()).await?;
        ensure!(listed.iter().any(|image| image.repo_tags.iter().any(|tag| tag.ends_with("library/busybox:latest"))));
        ensure!(!images.image_fs_info().await?.image_filesystems.is_empty());
        let unknown = runtime.container_status("none").await.expect_err("there is none");
        ensure!(matches!(unknown, cri::Error::NotFound(_)), "{unknown:?}");
        Ok(())
    })
}

fn a_pod_is_made_by_hand(both: &Clusters) -> Result<()> {
    let logs = both.embedded.scratch("by-hand")?;
    over_socket(&both.embedded, async |cri::Runtime { runtime, images }| {
        let mut events = runtime.container_events().await?;
        let sandbox_config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: "by-hand".into(),
                uid: "by-hand".into(),
                namespace: "default".into(),
                attempt: 0,
            }),
            log_directory: logs.to_string_lossy().into_owned(),
            ..PodSandboxConfig::default()
        };
        let image = ImageSpec { image: "busybox:latest".into(), ..ImageSpec::default() };
        let image_ref = images.pull_image(image.clone(), None, None).await?;
        let sandbox = runtime.run_pod_sandbox(sandbox_config.clone(), "").await?;
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: "main".into(), attempt: 0 }),
            image: Some(ImageSpec { image: image_ref, ..ImageSpec::default() }),
            command: ["sh", "-c", "echo to the log; exit 7"].map(str::to_owned).to_vec(),
            log_path: "main.log".into(),
            ..ContainerConfig::default()
        };
        let container = runtime.create_container(&sandbox, config, sandbox_config).await?;
        let watch = async {
            while let Some(event) = events.next().await {
                let stopped = event.container_event_type() == ContainerEventType::ContainerStoppedEvent;
                if stopped && event.container_id == container {
                    return Ok(());
                }
            }
            bail!("the events ended")
        };
        let (started, stopped) = tokio::join!(runtime.start_container(&container), tokio::time::timeout(SOON, watch));
        started?;
        stopped.context("no event told of the end")??;
        let status = runtime.container_status(&container).await?;
        ensure!(status.state() == ContainerState::ContainerExited && status.exit_code == 7, "{status:?}");
        let log = std::fs::read_to_string(logs.join("main.log"))?;
        ensure!(log.ends_with(" stdout F to the log\n"), "{log:?}");
        runtime.stop_pod_sandbox(&sandbox).await?;
        runtime.remove_pod_sandbox(&sandbox).await?;
        let left = runtime.list_containers(ContainerFilter { id: container, ..ContainerFilter::default() }).await?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
}

fn streaming_urls_are_secret_and_good_once(both: &Clusters) -> Result<()> {
    let kubectl = both.embedded.namespace("streamed")?;
    kubectl.ok(&["run", "streamed", "--image=busybox", "--", "sleep", "3600"])?;
    kubectl.wait_ready("streamed")?;
    let id = kubectl.text("pod/streamed", "/status/containerStatuses/0/containerID")?;
    let id = id.rsplit('/').next().context("an id")?.to_owned();
    let url = over_socket(&both.embedded, async |cri::Runtime { runtime, .. }| {
        let cmd = ["echo", "streamed words"].map(str::to_owned).to_vec();
        let request = ExecRequest { container_id: id, cmd, stdout: true, ..ExecRequest::default() };
        Ok(runtime.exec(request).await?.url)
    })?;
    let (root, secret) = url.rsplit_once('/').context("a path")?;
    ensure!(root.starts_with("http://127.0.0.1:") && secret.len() == 32, "{url}");
    let (_, guessed) = upgrade(&format!("{root}/{}", "0".repeat(32)), V5)?;
    ensure!(guessed.starts_with("HTTP/1.1 404"), "{guessed}");
    let (mut session, head) = upgrade(&url, V5)?;
    ensure!(head.starts_with("HTTP/1.1 101"), "{head}");
    let mut output = Vec::new();
    while !String::from_utf8_lossy(&output).contains("streamed words") {
        let mut buffer = [0; 512];
        let length = session.read(&mut buffer)?;
        ensure!(length > 0, "the session ended with {:?}", String::from_utf8_lossy(&output));
        output.extend_from_slice(&buffer[..length]);
    }
    let (_, again) = upgrade(&url, V5)?;
    ensure!(again.starts_with("HTTP/1.1 404"), "{again}");
    Ok(())
}

/// What `crictl`'s subcommands ask beyond what the kubelet does; pods, ps, images, exec, run and rm are seen above.
fn what_crictl_asks_is_answered(both: &Clusters) -> Result<()> {
    let kubectl = both.embedded.namespace("asked")?;
    kubectl.ok(&["run", "asked", "--image=busybox", "--", "sleep", "3600"])?;
    kubectl.wait_ready("asked")?;
    let id = kubectl.text("pod/asked", "/status/containerStatuses/0/containerID")?;
    let id = id.rsplit('/').next().context("an id")?.to_owned();
    over_socket(&both.embedded, async |cri::Runtime { runtime, images }| {
        let list = runtime.list_containers(ContainerFilter { id: id.clone(), ..Default::default() }).await?;
        let sandbox = list.first().context("the container")?.pod_sandbox_id.clone();
        // inspect, inspectp
        let info = |text: &str| serde_json::from_str::<serde_json::Value>(text);
        let inside = info(&runtime.inspect(&id).await?["info"])?;
        ensure!(inside["sandboxID"] == sandbox.as_str(), "{inside}");
        let pid = u32::try_from(inside["pid"].as_u64().context("a PID")?)?;
        let process = host::running()?.into_iter().find(|process| process.pid == pid);
        ensure!(process.is_some_and(|process| process.command == "sleep 3600"), "{inside}");
        ensure!(info(&runtime.inspect(&sandbox).await?["info"])?["pid"].as_u64() > Some(1));
        ensure!(matches!(runtime.inspect("none").await, Err(cri::Error::NotFound(_))));
        // info
        let status = runtime.status(StatusRequest { verbose: true }).await?;
        ensure!(status.runtime_handlers.iter().any(|handler| handler.name.is_empty()), "{status:?}");
        // stats, statsp, metricsp, metricdescs
        let stats = runtime.list_container_stats(Default::default()).await?;
        ensure!(stats.iter().any(|stats| stats.attributes.as_ref().is_some_and(|one| one.id == id)), "{stats:?}");
        ensure!(runtime.pod_sandbox_stats(&sandbox).await?.attributes.is_some_and(|one| one.id == sandbox));
        let metrics = runtime.list_pod_sandbox_metrics().await?;
        ensure!(metrics.iter().any(|one| one.pod_sandbox_id == sandbox));
        ensure!(!runtime.list_metric_descriptors().await?.is_empty());
        // update
        let linux = cri::LinuxContainerResources { cpu_shares: 512, ..Default::default() };
        let update =
            cri::UpdateContainerResourcesRequest { container_id: id.clone(), linux: Some(linux), ..Default::default() };
        runtime.update_container_resources(update).await?;
        let now = runtime.container_status(&id).await?.resources.and_then(|resources| resources.linux);
        ensure!(now.as_ref().is_some_and(|linux| linux.cpu_shares == 512), "{now:?}");
        // exec of a program that is not there, and one that takes too long
        let exec = |cmd: &[&str], timeout| ExecSyncRequest {
            container_id: id.clone(),
            cmd: cmd.iter().map(|word| (*word).to_owned()).collect(),
            timeout,
        };
        ensure!(runtime.exec_sync(exec(&["sh", "-c", "exit 7"], 0)).await?.exit_code == 7);
        let slow = runtime.exec_sync(exec(&["sleep", "60"], 1)).await;
        ensure!(matches!(slow, Err(cri::Error::DeadlineExceeded(_))), "{slow:?}");
        ensure!(runtime.exec_sync(exec(&["no-such-program"], 5)).await.is_err());
        // inspecti, rmi
        let image = ImageSpec { image: "docker.io/library/none:1".into(), ..Default::default() };
        ensure!(images.image_status(&image).await?.is_none());
        images.remove_image(&image).await?;
        Ok(())
    })
}

/// A plain HTTP way to the API, for as long as it lives.
fn proxy(kubectl: &Kubectl) -> Result<(Stream, String)> {
    let proxy = kubectl.stream(&["proxy", "--port=0", "--disable-filter=true"])?;
    let said = proxy.wait_for(SOON, |said| said.contains("127.0.0.1:") && said.ends_with('\n'))?;
    let address = said.trim().rsplit(' ').next().context("an address")?.to_owned();
    Ok((proxy, format!("http://{address}/api/v1/namespaces/{}/pods", kubectl.namespace())))
}

fn old_websockets_run_commands(both: &Clusters) -> Result<()> {
    for cluster in [&both.embedded, &both.containerd] {
        let kubectl = cluster.namespace("old-commands")?;
        kubectl.ok(&["run", "box", "--image=busybox", "--", "sleep", "3600"])?;
        kubectl.wait_ready("box")?;
        let (_proxy, pods) = proxy(&kubectl)?;
        let query = "stdin=true&stdout=true&command=sh&command=-c&command=read+word;echo+got+$word;exit+3";
        for protocol in ["v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io"] {
            let mut socket = WebSocket::open(&format!("{pods}/box/exec?{query}"), protocol)?;
            socket.send(STDIN, b"it\n")?;
            let said = socket.collect(STDOUT, |said| said.ends_with(b"\n"))?;
            ensure!(said == b"got it\n", "{protocol}: {said:?}");
            let outcome = String::from_utf8(socket.collect(OUTCOME, |said| !said.is_empty())?)?;
            let expected = if protocol.starts_with("v4") { "\"reason\":\"ExitCode\"" } else { "exit code 3" };
            ensure!(outcome.contains(expected), "{protocol}: {outcome}");
        }
    }
    Ok(())
}

fn old_websockets_forward_ports(both: &Clusters) -> Result<()> {
    for cluster in [&both.embedded, &both.containerd] {
        let kubectl = cluster.namespace("old-ports")?;
        kubectl.ok(&["run", "web", "--image=ikubernetes/myapp:v1", "--port=80"])?;
        kubectl.wait_ready("web")?;
        let (_proxy, pods) = proxy(&kubectl)?;
        for protocol in ["v4.channel.k8s.io", "v4.base64.channel.k8s.io"] {
            let mut socket = WebSocket::open(&format!("{pods}/web/portforward?ports=80"), protocol)?;
            // Each channel begins with the port.
            for _ in 0..2 {
                let (channel, port) = socket.receive()?.context("a port")?;
                ensure!(channel < 2 && port == [80, 0], "{protocol}: {channel} {port:?}");
            }
            socket.send(0, b"GET /hostname.html HTTP/1.1\r\nHost: x\r\n\r\n")?;
            let page = socket.collect(0, |said| said.ends_with(b"web\n"))?;
            ensure!(page.starts_with(b"HTTP/1.1 200"), "{protocol}: {:?}", String::from_utf8_lossy(&page));
        }
        let mut nobody = WebSocket::open(&format!("{pods}/web/portforward?ports=81"), "v4.channel.k8s.io")?;
        let error = nobody.collect(1, |said| said.len() > 2)?;
        let error = String::from_utf8_lossy(&error[2..]).into_owned();
        ensure!(error.contains("error forwarding port 81") && error.contains("connection refused"), "{error}");
    }
    Ok(())
}

fn terminals_have_their_size_and_input_ends_once(both: &Clusters) -> Result<()> {
    for cluster in [&both.embedded, &both.containerd] {
        let kubectl = cluster.namespace("terminals")?;
        kubectl.ok(&["run", "box", "--image=busybox", "--", "sleep", "3600"])?;
        kubectl.wait_ready("box")?;
        let (_proxy, pods) = proxy(&kubectl)?;
        // containerd forgets a size that comes before the process runs, so it is sent to one that has said something.
        let script = "echo+here;until+stty+size+|+grep+43;do+sleep+0.1;done";
        let query = format!("stdin=true&stdout=true&tty=true&command=sh&command=-c&command={script}");
        let mut socket = WebSocket::open(&format!("{pods}/box/exec?{query}"), "v4.channel.k8s.io")?;
        socket.collect(STDOUT, |said| String::from_utf8_lossy(said).contains("here"))?;
        socket.send(RESIZE, b"{\"Width\":101,\"Height\":43}")?;
        let said = socket.collect(STDOUT, |said| String::from_utf8_lossy(said).contains("43 101"))?;
        ensure!(String::from_utf8_lossy(&said).contains("43 101"), "{said:?}");
        for (code, script) in [(Some(0), "true"), (Some(9), "exit 9"), (Some(137), "kill -9 $$")] {
            let output = kubectl.run(&["exec", "box", "--", "sh", "-c", script])?;
            ensure!(output.code == code, "{script}: {:?} {}", output.code, output.both());
        }
        // `stdinOnce`: the end of the first client's input is the end of the container's.
        let once =
            ["run", "once", "--image=busybox", "--restart=Never", "-i", "--quiet", "--", "sh", "-c", "cat; exit 4"];
        let output = kubectl.run_with_input(&once, b"all of it\n")?;
        ensure!(output.code == Some(4) && output.stdout.contains("all of it"), "{:?} {}", output.code, output.both());
    }
    Ok(())
}

fn containerd_runs_a_pod(both: &Clusters) -> Result<()> {
    let node = both.containerd.kubectl().text("node/node-1", "/status/nodeInfo/containerRuntimeVersion")?;
    ensure!(node.starts_with("containerd://"), "{node}");
    let kubectl = both.containerd.namespace("runs")?;
    kubectl.ok(&[
        "run",
        "runs",
        "--image=busybox",
        "--",
        "sh",
        "-c",
        "echo started; trap 'exit 0' TERM; sleep 3600 & wait",
    ])?;
    kubectl.wait_ready("runs")?;
    let id = kubectl.text("pod/runs", "/status/containerStatuses/0/containerID")?;
    ensure!(id.starts_with("containerd://"), "{id}");
    ensure!(!kubectl.text("pod/runs", "/status/podIP")?.is_empty());
    ensure!(kubectl.ok(&["logs", "runs"])? == "started\n");
    ensure!(kubectl.ok(&["exec", "runs", "--", "hostname"])? == "runs\n");
    ensure!(kubectl.ok_with_input(&["exec", "-i", "runs", "--", "cat"], b"typed in")? == "typed in");
    let output = kubectl.run(&["exec", "runs", "--", "sh", "-c", "exit 3"])?;
    ensure!(output.both().contains("exit code 3"), "{}", output.both());
    let group = host::running()?.into_iter().find(|process| process.command.contains("echo started"));
    ensure!(group.is_some_and(|process| process.cgroups.contains("/isopod-")), "in the Pod's control group");
    kubectl.ok(&["delete", "pod", "runs", "--timeout=30s"])?;
    Ok(())
}

fn containerd_restarts_what_ends(both: &Clusters) -> Result<()> {
    let kubectl = both.containerd.namespace("restarts")?;
    kubectl.ok(&["run", "crashes", "--image=busybox", "--", "sh", "-c", "sleep 1; exit 5"])?;
    let at = "/status/containerStatuses/0";
    kubectl.wait_value("pod/crashes", &format!("{at}/restartCount"), SOON, |count| count.as_u64() >= Some(1))?;
    kubectl.wait_value("pod/crashes", &format!("{at}/lastState/terminated/exitCode"), SOON, |code| code == 5)?;
    kubectl.ok(&["run", "ends", "--image=busybox", "--restart=Never", "--", "true"])?;
    kubectl.wait_value("pod/ends", "/status/phase", SOON, |phase| phase == "Succeeded")?;
    Ok(())
}

fn containerd_shows_volumes_and_last_words(both: &Clusters) -> Result<()> {
    let kubectl = both.containerd.namespace("volumes")?;
    kubectl.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {color: green}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {name: words}\nspec:\n  restartPolicy: Never\n  \
         initContainers: [{name: first, image: busybox, command: [sh, -c, 'echo prepared > /data/file'], \
         volumeMounts: [{name: data, mountPath: /data}]}]\n  \
         containers: [{name: main, image: busybox, env: [{name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}], \
         command: [sh, -c, 'cat /data/file /settings/color > /dev/termination-log; echo -n $COLOR >> /dev/termination-log'], \
         resources: {limits: {memory: 32Mi, cpu: 500m}}, \
         securityContext: {runAsUser: 1000, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}, \
         volumeMounts: [{name: data, mountPath: /data}, {name: settings, mountPath: /settings}]}]\n  \
         volumes: [{name: data, emptyDir: {}}, {name: settings, configMap: {name: settings}}]\n",
    )?;
    kubectl.wait_value("pod/words", "/status/phase", SOON, |phase| phase == "Succeeded")?;
    let words = kubectl.text("pod/words", "/status/containerStatuses/0/state/terminated/message")?;
    ensure!(words == "prepared\ngreengreen", "{words:?}");
    Ok(())
}

fn containerd_goes_on_without_us_and_reset_ends_it(_both: &Clusters) -> Result<()> {
    let before = Host::observe()?;
    let cluster = Cluster::start(Options { runtime: Runtime::Containerd, ..Options::default() })?;
    let kubectl = cluster.kubectl();
    kubectl.ok(&["wait", "--for=create", "serviceaccount/default", "--timeout=20s"])?;
    kubectl.ok(&["run", "left", "--image=busybox", "--", "sleep", "3600"])?;
    kubectl.wait_ready("left")?;
    let id = kubectl.text("pod/left", "/status/containerStatuses/0/containerID")?;
    cluster.stop_server()?;
    cluster.start_server()?;
    kubectl.wait_ready("left")?;
    ensure!(kubectl.text("pod/left", "/status/containerStatuses/0/containerID")? == id, "the container went on");
    ensure!(kubectl.ok(&["exec", "left", "--", "echo", "here"])? == "here\n");
    let container = id.rsplit('/').next().context("an id")?;
    let inside = host::running()?.into_iter().filter(|process| process.cgroups.contains(container));
    let cluster_id = host::cluster_id(&inside.collect::<Vec<_>>())?;
    cluster.reset()?;
    let left = Host::observe()?.left_behind(&before, &cluster.data_dir(), &cluster_id);
    ensure!(left.is_empty(), "left behind by reset: {left:#?}");
    let directory = cluster.containerd_dir();
    let name = directory.to_string_lossy().into_owned();
    drop(cluster);
    let left = Host::observe()?.left_behind(&before, &directory, &name);
    ensure!(left.is_empty(), "left behind by the test: {left:#?}");
    Ok(())
}
