//! A node for tests: a runtime on a directory of its own with real shims, and a root file system made of busybox.
#![allow(dead_code)] // each test file uses its part

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cri::{
    ContainerConfig, ContainerMetadata, ContainerState, ContainerStatus, ExecSyncRequest, ExecSyncResponse, ImageSpec,
    LinuxContainerConfig, LinuxContainerResources, LinuxContainerSecurityContext, LinuxPodSandboxConfig, PodNetwork,
    PodNetworkAttachment, PodNetworkRequest, PodSandboxConfig, PodSandboxMetadata, RuntimeService,
};
use platform::clock::SystemClock;
use platform::random::SystemRandom;
use runtime::image::ImageConfig;
use runtime::root_filesystem::{LayerUsage, RootFilesystem, RootFilesystems};
use runtime::{Config, EmbeddedRuntime, ShimCommand};

/// A machine with a runtime.
pub struct Node {
    pub home: Home,
    pub runtime: Arc<EmbeddedRuntime>,
}

/// What a node leaves on the host; removed at the end whatever happens.
pub struct Home {
    directory: tempfile::TempDir,
    pub cgroup_root: String,
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Err(error) = runtime::reset(&self.root(), &self.cgroup_root) {
            eprintln!("node was not cleaned up: {error}");
        }
    }
}

impl Home {
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn root(&self) -> PathBuf {
        self.path().join("runtime")
    }

    pub fn sandbox_dir(&self, id: &str) -> PathBuf {
        self.root().join("sandboxes").join(id)
    }
}

static NODES: AtomicU32 = AtomicU32::new(0);

impl Node {
    pub async fn start() -> Self {
        let number = NODES.fetch_add(1, Ordering::Relaxed);
        let cgroup_root = format!("runtime-test-{}-{number}", std::process::id());
        let home = Home { directory: tempfile::tempdir().unwrap(), cgroup_root };
        make_rootfs(&home.path().join("busybox"));
        let runtime = open(&home).await;
        Self { home, runtime }
    }

    /// Another daemon starts where one was before.
    pub async fn open(home: Home) -> Self {
        let runtime = open(&home).await;
        Self { home, runtime }
    }

    pub async fn run_sandbox(&self) -> String {
        self.runtime.run_pod_sandbox(self.sandbox_config(), "").await.unwrap()
    }

    pub fn sandbox_config(&self) -> PodSandboxConfig {
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: "pod".into(),
                uid: "uid".into(),
                namespace: "default".into(),
                attempt: 0,
            }),
            hostname: "pod".into(),
            log_directory: self.home.path().join("logs").display().to_string(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("/{}/pod", self.home.cgroup_root),
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        }
    }

    /// Creates and starts a container of the sandbox.
    pub async fn run(&self, sandbox: &str, config: ContainerConfig) -> String {
        let id = self.create(sandbox, config).await;
        self.runtime.start_container(&id).await.unwrap();
        id
    }

    pub async fn create(&self, sandbox: &str, config: ContainerConfig) -> String {
        self.runtime.create_container(sandbox, config, self.sandbox_config()).await.unwrap()
    }

    pub async fn exec(&self, container: &str, script: &str) -> ExecSyncResponse {
        self.runtime.exec_sync(exec_request(container, script)).await.unwrap()
    }

    /// Output of a command that succeeds.
    pub async fn output(&self, container: &str, script: &str) -> String {
        let response = self.exec(container, script).await;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(response.stdout), text(response.stderr));
        assert_eq!(response.exit_code, 0, "{script}: {stdout}{stderr}");
        stdout.trim_end().to_owned()
    }

    pub async fn status(&self, container: &str) -> ContainerStatus {
        self.runtime.container_status(container).await.unwrap()
    }

    /// Waits until the container has ended.
    pub async fn ended(&self, container: &str) -> ContainerStatus {
        use futures::StreamExt;
        let mut events = self.runtime.container_events().await.unwrap();
        let wait = async {
            loop {
                let status = self.status(container).await;
                if status.state == ContainerState::ContainerExited as i32 {
                    return status;
                }
                events.next().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the container ends")
    }

    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.home.path().join(format!("logs/{name}.log"))).unwrap_or_default()
    }

    /// Runs a container to its end and returns what it logged to standard output.
    pub async fn run_to_end(&self, sandbox: &str, config: ContainerConfig) -> (ContainerStatus, String) {
        let name = config.metadata.clone().unwrap().name;
        let id = self.run(sandbox, config).await;
        let status = self.ended(&id).await;
        let lines = self.log(&name);
        let lines = lines.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default());
        (status, lines.collect::<Vec<_>>().join("\n"))
    }
}

pub fn exec_request(container: &str, script: &str) -> ExecSyncRequest {
    let cmd = ["sh", "-c", script].map(String::from).to_vec();
    ExecSyncRequest { container_id: container.into(), cmd, timeout: 20 }
}

/// A container that runs a shell script under the given name.
pub fn shell(name: &str, script: &str) -> ContainerConfig {
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: name.into(), attempt: 0 }),
        image: Some(ImageSpec { image: "busybox".into(), ..ImageSpec::default() }),
        command: ["sh", "-c", script].map(String::from).to_vec(),
        log_path: format!("{name}.log"),
        ..ContainerConfig::default()
    }
}

/// A container that does nothing until it is ended.
pub fn idle(name: &str) -> ContainerConfig {
    shell(name, "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done")
}

pub fn secured(mut config: ContainerConfig, security: LinuxContainerSecurityContext) -> ContainerConfig {
    config.linux.get_or_insert_with(LinuxContainerConfig::default).security_context = Some(security);
    config
}

pub fn limited(mut config: ContainerConfig, resources: LinuxContainerResources) -> ContainerConfig {
    config.linux.get_or_insert_with(LinuxContainerConfig::default).resources = Some(resources);
    config
}

async fn open(home: &Home) -> Arc<EmbeddedRuntime> {
    let images = Directories { image: home.path().join("busybox"), layers: home.path().join("layers") };
    let config = Config {
        root: home.root(),
        cgroup_root: home.cgroup_root.clone(),
        network: Arc::new(NoNetwork),
        root_filesystems: Arc::new(images),
        shim: ShimCommand { program: env!("CARGO_BIN_EXE_runtime-shim").into(), argument: "shim".into() },
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    };
    EmbeddedRuntime::open(config).await.unwrap()
}

fn make_rootfs(root: &Path) {
    for directory in ["bin", "etc", "tmp", "data"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    let busybox = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    fs::copy(busybox.expect("Debian's busybox-static is installed"), root.join("bin/busybox")).unwrap();
    for name in [
        "sh", "cat", "ls", "sleep", "id", "kill", "touch", "grep", "mount", "mknod", "dd", "ps", "tty", "stty",
        "hostname", "echo", "head", "wc", "test", "readlink", "yes", "chroot", "rm", "mkdir", "seq", "true", "env",
    ] {
        symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\napp:x:500:501::/data:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\napp:x:501:\nstaff:x:50:app\n").unwrap();
}

/// One directory is every image.
struct Directories {
    image: PathBuf,
    layers: PathBuf,
}

impl RootFilesystems for Directories {
    fn prepare(&self, container_id: &str, image: &str) -> cri::Result<RootFilesystem> {
        let layer = self.layers.join(container_id);
        let (upper, work) = (layer.join("fs"), layer.join("work"));
        for directory in [&upper, &work] {
            fs::create_dir_all(directory).map_err(|error| cri::Error::Failed(error.to_string()))?;
        }
        let env = vec!["PATH=/bin".into(), "FROM_IMAGE=yes".into()];
        let user = image.strip_prefix("busybox-as-").unwrap_or_default().to_owned();
        Ok(RootFilesystem {
            lower: vec![self.image.clone()],
            upper,
            work,
            image_id: "sha256:0".into(),
            image_name: image.into(),
            image_ref: image.into(),
            config: ImageConfig { env, user, ..empty_config() },
        })
    }

    fn prepare_volume(&self, container_id: &str, number: usize, _image: &str) -> cri::Result<Vec<PathBuf>> {
        let top = self.layers.join(container_id).join(number.to_string());
        fs::create_dir_all(&top).map_err(|error| cri::Error::Failed(error.to_string()))?;
        Ok(vec![top, self.image.clone()])
    }

    fn remove(&self, container_id: &str) -> cri::Result<()> {
        let _ = fs::remove_dir_all(self.layers.join(container_id));
        Ok(())
    }

    fn retain(&self, _live: &[String]) -> cri::Result<()> {
        Ok(())
    }

    fn usage(&self, _container_id: &str) -> cri::Result<LayerUsage> {
        Ok(LayerUsage::default())
    }
}

fn empty_config() -> ImageConfig {
    ImageConfig {
        env: Vec::new(),
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        working_dir: String::new(),
        user: String::new(),
        stop_signal: String::new(),
        volumes: Vec::new(),
        labels: BTreeMap::new(),
    }
}

/// Addresses without a network.
struct NoNetwork;

#[async_trait::async_trait]
impl PodNetwork for NoNetwork {
    async fn attach(&self, _request: &PodNetworkRequest, _netns: BorrowedFd<'_>) -> cri::Result<PodNetworkAttachment> {
        Ok(PodNetworkAttachment { addresses: vec![IpAddr::V4(Ipv4Addr::new(10, 42, 0, 7))] })
    }

    async fn detach(&self, _sandbox_id: &str) -> cri::Result<()> {
        Ok(())
    }

    async fn retain(&self, _live: &[String]) -> cri::Result<()> {
        Ok(())
    }
}
