//! Both directions at once: a fake runtime, served over a socket and used through it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use cri::{
    ContainerConfig, ContainerEventType, ContainerFilter, ContainerMetadata, ContainerState, Error, ExecRequest,
    ImageFilter, ImageSpec, PodSandboxConfig, PodSandboxFilter, PodSandboxMetadata, StatusRequest,
};
use futures::StreamExt as _;
use platform::clock::SystemClock;
use platform::random::SystemRandom;
use platform::tasks::{self, TaskKind};
use testkit::fake_cri::FakeCri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::server::CriServer;

struct Served {
    fake: FakeCri,
    client: cri::Runtime,
    socket: std::path::PathBuf,
    _directory: tempfile::TempDir,
    _server: DropGuard,
}

async fn serve() -> Served {
    let fake = FakeCri::new(Arc::new(SystemClock), &["busybox"]);
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("cri.sock");
    let server = CriServer::listen(&socket, &fake.runtime(), Arc::new(SystemRandom)).await.unwrap();
    let cancel = CancellationToken::new();
    tasks::spawn(TaskKind::Worker, "test server", server.run(cancel.clone()));
    let client = crate::connect(socket.to_str().unwrap()).unwrap();
    Served { fake, client, socket, _directory: directory, _server: cancel.drop_guard() }
}

fn sandbox_config() -> PodSandboxConfig {
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata { name: "web".into(), uid: "u".into(), ..PodSandboxMetadata::default() }),
        labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        ..PodSandboxConfig::default()
    }
}

fn container_config() -> ContainerConfig {
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: "main".into(), attempt: 0 }),
        image: Some(ImageSpec { image: "busybox".into(), ..ImageSpec::default() }),
        ..ContainerConfig::default()
    }
}

#[tokio::test]
async fn a_pod_lives_and_ends_behind_the_socket() {
    let served = serve().await;
    let runtime = &served.client.runtime;
    assert_eq!(runtime.version().await.unwrap(), served.fake.runtime().runtime.version().await.unwrap());
    runtime.status(StatusRequest::default()).await.unwrap();
    let mut events = runtime.container_events().await.unwrap();
    let (sender, mut kinds) = tokio::sync::mpsc::unbounded_channel();
    tasks::spawn(TaskKind::Worker, "test events", async move {
        while let Some(event) = events.next().await {
            let _ = sender.send((event.container_id.clone(), event.container_event_type()));
        }
    });

    let sandbox = runtime.run_pod_sandbox(sandbox_config(), "").await.unwrap();
    let container = runtime.create_container(&sandbox, container_config(), sandbox_config()).await.unwrap();
    runtime.start_container(&container).await.unwrap();
    assert_eq!(runtime.container_status(&container).await.unwrap().state(), ContainerState::ContainerRunning);
    let listed = runtime.list_pod_sandbox(PodSandboxFilter::default()).await.unwrap();
    assert_eq!(listed.iter().map(|sandbox| &sandbox.id).collect::<Vec<_>>(), [&sandbox]);
    let elsewhere = ContainerFilter { pod_sandbox_id: "other".into(), ..ContainerFilter::default() };
    assert_eq!(runtime.list_containers(elsewhere).await.unwrap(), []);
    runtime.stop_container(&container, 1).await.unwrap();
    runtime.remove_pod_sandbox(&sandbox).await.unwrap();
    let gone = runtime.container_status(&container).await.unwrap_err();
    assert!(matches!(gone, Error::NotFound(_)), "{gone:?}");

    let stopped = async {
        while kinds.recv().await.unwrap() != (container.clone(), ContainerEventType::ContainerStoppedEvent) {}
    };
    tokio::time::timeout(Duration::from_secs(10), stopped).await.unwrap();
}

#[tokio::test]
async fn images_are_the_other_sides() {
    let served = serve().await;
    let images = &served.client.images;
    let spec = |image: &str| ImageSpec { image: image.to_owned(), ..ImageSpec::default() };
    assert!(images.image_status(&spec("busybox")).await.unwrap().is_some());
    assert!(images.image_status(&spec("absent")).await.unwrap().is_none());
    images.pull_image(spec("absent"), None, None).await.unwrap();
    assert_eq!(images.list_images(ImageFilter::default()).await.unwrap().len(), 2);
    served.fake.behave(|behaviour| {
        behaviour.pull_failures.insert("broken".into(), "no such manifest".into());
    });
    let failure = images.pull_image(spec("broken"), None, None).await.unwrap_err();
    assert!(failure.to_string().contains("no such manifest"), "{failure}");
}

#[tokio::test]
async fn only_the_owner_may_use_the_socket() {
    let served = serve().await;
    assert_eq!(std::fs::metadata(&served.socket).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_request_without_its_parts_is_refused() {
    let served = serve().await;
    let channel = grpc::Channel::new(grpc::Endpoint::Unix(served.socket.clone()));
    let request = cri::RunPodSandboxRequest::default();
    let call = |path| channel.unary::<_, cri::RunPodSandboxResponse>(path, &request, None);
    let status = call(crate::runtime_method!("RunPodSandbox")).await.unwrap_err();
    assert_eq!(
        (status.code, status.message.as_str()),
        (grpc::Code::InvalidArgument, "the request has no sandbox config")
    );
    let status = call(crate::runtime_method!("CheckpointContainer")).await.unwrap_err();
    assert_eq!(status.code, grpc::Code::Unimplemented);
}

#[tokio::test]
async fn lists_may_be_streamed() {
    let served = serve().await;
    for number in 0..crate::server::ITEMS_PER_MESSAGE + 1 {
        let mut config = sandbox_config();
        config.metadata.as_mut().unwrap().name = format!("web-{number}");
        served.client.runtime.run_pod_sandbox(config, "").await.unwrap();
    }
    let channel = grpc::Channel::new(grpc::Endpoint::Unix(served.socket.clone()));
    let request = cri::ListPodSandboxRequest::default();
    let path = crate::runtime_method!("StreamPodSandboxes");
    let messages = channel.server_stream::<_, cri::ListPodSandboxResponse>(path, &request).await.unwrap();
    let lengths: Vec<usize> = messages.map(|message| message.unwrap().items.len()).collect().await;
    assert_eq!(lengths, [crate::server::ITEMS_PER_MESSAGE, 1]);
}

#[tokio::test]
async fn streaming_needs_a_secret() {
    let served = serve().await;
    let exec = served.client.runtime.exec(ExecRequest::default()).await;
    // The fake has no streaming; what a URL of nobody's gets is the gate's own answer.
    assert!(exec.is_err());
    let runtime = served.fake.runtime().runtime;
    let gate = crate::server::StreamingGate::listen(runtime, Arc::new(SystemRandom)).await.unwrap();
    let url = gate.open("http://inside/exec/1".to_owned());
    let rest = url.strip_prefix("http://").unwrap();
    let (address, secret) = rest.split_once('/').unwrap();
    let (cancel, running) = (CancellationToken::new(), Arc::clone(&gate));
    let _end = cancel.clone().drop_guard();
    tasks::spawn(TaskKind::Worker, "test gate", async move { running.run(&cancel).await });
    for (path, status) in [("guess", "404"), (secret, "502"), (secret, "404")] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET /{path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        // A reset after the answer is as good an end.
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
}
