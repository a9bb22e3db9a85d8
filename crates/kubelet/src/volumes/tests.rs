//! Volumes on a real file system; memory file systems and bind mounts where the test may mount.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::VolumeMount;
use serde_json::json;
use testkit::fake_api::FakeApi;

use super::mounts::{MountContext, container_mounts, is_recursively_read_only};
use super::*;
use crate::container_config::ConfigError;
use crate::host::LinuxHost;
use crate::testing::{FakeHost, at, pod as spec_pod};

/// A Pod's directory, and an API to take objects from. Whatever is mounted is unmounted in the end.
struct Volumes {
    api: FakeApi,
    host: Box<dyn Host>,
    directory: tempfile::TempDir,
}

impl Volumes {
    fn new(host: impl Host + 'static) -> Self {
        Self { api: FakeApi::new(), host: Box::new(host), directory: tempfile::tempdir().unwrap() }
    }

    fn object(&self, kind: &str, name: &str, data: serde_json::Value) {
        let metadata = json!({ "name": name, "namespace": "default" });
        self.api.put(json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data }));
    }

    fn pod_dir(&self) -> PathBuf {
        self.directory.path().join("pods/u1")
    }

    async fn try_set_up(&self, pod: &Pod) -> Result<MountedVolumes, String> {
        let objects = Arc::new(crate::objects::Objects::new(self.api.client()));
        let objects = PodObjects::new(objects, Arc::default());
        let context = VolumeContext {
            host: &*self.host,
            objects: &objects,
            pod_dir: &self.pod_dir(),
            host_ips: &["192.0.2.1".to_owned()],
            allocatable: &Allocatable::default(),
            under_way: &crate::under_way::UnderWay::default(),
            now: at(1_000_000),
        };
        let joined = |errors: Vec<VolumeError>| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        set_up(pod, context).await.map_err(joined)
    }

    /// Sets up one volume and answers where it is.
    async fn set_up(&self, volume: &str) -> Result<PathBuf, String> {
        self.set_up_in(volume, "").await
    }

    async fn set_up_in(&self, volume: &str, spec: &str) -> Result<PathBuf, String> {
        let pod = spec_pod(&format!("{{{spec}containers: [{{name: app}}], volumes: [{{name: v, {volume}}}]}}"));
        self.try_set_up(&pod).await.map(|mounted| mounted.volumes["v"].host_path.clone())
    }
}

impl Drop for Volumes {
    fn drop(&mut self) {
        tear_down(&*self.host, &self.pod_dir()).unwrap();
        assert!(!self.pod_dir().exists());
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn an_empty_dir_is_for_everybody_or_for_its_group() {
    let volumes = Volumes::new(FakeHost::default());
    let path = volumes.set_up("emptyDir: {}").await.unwrap();
    assert_eq!(mode(&path), 0o777);
    fs::write(path.join("kept"), "").unwrap();
    assert_eq!(volumes.set_up("emptyDir: {}").await.unwrap(), path);
    assert!(path.join("kept").exists());
    let shared = Volumes::new(FakeHost::default());
    let path = shared.set_up_in("emptyDir: {}", "securityContext: {fsGroup: 2000}, ").await.unwrap();
    assert_eq!((fs::metadata(&path).unwrap().gid(), mode(&path)), (2000, 0o2777));
}

#[test]
fn huge_pages_are_those_that_the_pod_requests() {
    let plan = |medium: &str, requests: &str| {
        let pod = crate::testing::pod(&format!(
            "containers: [{{name: a, image: i, resources: {{requests: {{{requests}}}, limits: {{{requests}}}}}}}]"
        ));
        let source = serde_json::from_value(json!({ "medium": medium })).unwrap();
        let planned = super::empty_dir::plan(&pod, &source, PathBuf::from("/d"));
        planned.map(|plan| format!("{:?}", plan.medium)).map_err(|problem| problem.to_string())
    };
    let (one, both) = ("hugepages-2Mi: 4Mi", "hugepages-2Mi: 4Mi, hugepages-1Gi: 1Gi");
    for (medium, requests, expected) in [
        ("HugePages", one, Ok("HugePages(\"2Mi\")")),
        ("HugePages-2Mi", one, Ok("HugePages(\"2Mi\")")),
        ("HugePages-1Gi", both, Ok("HugePages(\"1Gi\")")),
        ("HugePages", both, Err("medium: HugePages can't be used if container requests multiple huge page sizes")),
        (
            "HugePages-1Gi",
            one,
            Err("medium HugePages-1Gi: hugePages storage requested, but there is no resource request for huge pages"),
        ),
    ] {
        assert_eq!(plan(medium, requests), expected.map(str::to_owned).map_err(str::to_owned));
    }
}

#[tokio::test]
async fn huge_pages_are_a_file_system_of_their_own() {
    let volumes = Volumes::new(LinuxHost::detect().unwrap());
    let directory = volumes.pod_dir().join("pages");
    let plan = super::empty_dir::EmptyDir {
        directory: directory.clone(),
        medium: super::empty_dir::Medium::HugePages("2Mi".to_owned()),
    };
    for _ in 0..2 {
        super::empty_dir::set_up(&plan, Some(2000), &*volumes.host).unwrap();
    }
    assert_eq!(volumes.host.mounts_below(&volumes.pod_dir()).unwrap(), std::slice::from_ref(&directory));
    assert_eq!((fs::metadata(&directory).unwrap().gid(), mode(&directory)), (2000, 0o2777));
}

#[tokio::test]
async fn memory_and_secrets_are_on_file_systems_of_their_own_and_go_without_a_trace() {
    let volumes = Volumes::new(LinuxHost::detect().unwrap());
    volumes.object("Secret", "s", json!({ "key": "dmFsdWU=" }));
    let memory = volumes.set_up("emptyDir: {medium: Memory, sizeLimit: 64Ki}").await.unwrap();
    assert!(is_mount_point(&memory));
    assert!(fs::write(memory.join("large"), vec![0; 128 << 10]).is_err());
    let secret = volumes.set_up("secret: {secretName: s, defaultMode: 256}").await.unwrap();
    assert!(is_mount_point(&secret));
    assert_eq!(fs::read_to_string(secret.join("key")).unwrap(), "value");
    assert_eq!(mode(&secret.join("key")), 0o400);
    volumes.set_up("secret: {secretName: s, defaultMode: 256}").await.unwrap();
    assert_eq!(volumes.host.mounts_below(&volumes.pod_dir()).unwrap().len(), 2);
}

#[tokio::test]
async fn host_paths_are_checked_or_made() {
    let volumes = Volumes::new(FakeHost::default());
    let base = volumes.directory.path().display().to_string();
    fs::write(volumes.directory.path().join("file"), "").unwrap();
    for (name, kind, problem) in [
        ("new", "", None),
        ("made", "DirectoryOrCreate", None),
        ("made-file", "FileOrCreate", None),
        ("file", "File", None),
        ("file", "Directory", Some("is not a directory")),
        ("missing", "Directory", Some("is not a directory")),
        ("missing", "File", Some("is not a file")),
        ("file", "Socket", Some("is not a socket file")),
        ("file", "CharDevice", Some("is not a character device")),
    ] {
        let outcome = volumes.set_up(&format!("hostPath: {{path: {base}/{name}, type: \"{kind}\"}}")).await;
        match problem {
            None => assert_eq!(outcome, Ok(PathBuf::from(format!("{base}/{name}")))),
            Some(problem) => {
                let expected = format!("hostPath type check failed: {base}/{name} {problem}");
                assert_eq!(outcome, Err(format!("MountVolume.SetUp failed for volume \"v\" : {expected}")));
            }
        }
    }
}

#[tokio::test]
async fn config_maps_appear_through_links_and_change_at_once() {
    let volumes = Volumes::new(FakeHost::default());
    volumes.object("ConfigMap", "c", json!({ "a": "1", "b": "2" }));
    let path = volumes.set_up("configMap: {name: c}").await.unwrap();
    assert_eq!(fs::read_link(path.join("a")).unwrap(), Path::new("..data/a"));
    assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "1");
    assert_eq!(mode(&path.join("a")), 0o644);
    let moment = fs::read_link(path.join("..data")).unwrap();
    volumes.set_up("configMap: {name: c}").await.unwrap();
    assert_eq!(fs::read_link(path.join("..data")).unwrap(), moment);
    volumes.object("ConfigMap", "c", json!({ "a": "3" }));
    volumes.set_up("configMap: {name: c}").await.unwrap();
    assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "3");
    assert!(!path.join("b").exists() && !path.join(moment).exists());
}

#[tokio::test]
async fn items_choose_paths_and_modes() {
    let volumes = Volumes::new(FakeHost::default());
    volumes.object("ConfigMap", "c", json!({ "a": "1", "b": "2" }));
    let path = volumes.set_up("configMap: {name: c, items: [{key: a, path: deep/x, mode: 384}]}").await.unwrap();
    assert_eq!(fs::read_to_string(path.join("deep/x")).unwrap(), "1");
    assert_eq!(mode(&path.join("deep/x")), 0o600);
    assert!(!path.join("b").exists());
}

#[tokio::test]
async fn what_is_missing_is_named_unless_it_is_optional() {
    let volumes = Volumes::new(FakeHost::default());
    volumes.object("ConfigMap", "c", json!({ "a": "1" }));
    for (volume, problem) in [
        ("configMap: {name: none}", "configmap \"none\" not found"),
        ("secret: {secretName: none}", "secret \"none\" not found"),
        ("configMap: {name: c, items: [{key: z, path: z}]}", "references non-existent config key: z"),
        (
            "configMap: {name: c, items: [{key: a, path: ../z}]}",
            "invalid path \"../z\": must be relative and stay inside the volume",
        ),
        ("csi: {driver: d}", "volume type csi is not supported on this node"),
    ] {
        let expected = format!("MountVolume.SetUp failed for volume \"v\" : {problem}");
        assert_eq!(volumes.set_up(volume).await, Err(expected));
    }
    assert!(volumes.set_up("configMap: {name: none, optional: true}").await.is_ok());
}

#[tokio::test]
async fn projected_sources_share_a_directory_and_a_group() {
    let volumes = Volumes::new(FakeHost::default());
    volumes.object("ConfigMap", "c", json!({ "color": "purple" }));
    volumes.object("Secret", "s", json!({ "key": "dmFsdWU=" }));
    let sources = "projected: {sources: [{configMap: {name: c}}, {secret: {name: s}}, {downwardAPI: {items: \
                   [{path: name, fieldRef: {fieldPath: metadata.name}}]}}]}";
    let path = volumes.set_up_in(sources, "securityContext: {fsGroup: 2000}, ").await.unwrap();
    for (file, content) in [("color", "purple"), ("key", "value"), ("name", "web")] {
        assert_eq!(fs::read_to_string(path.join(file)).unwrap(), content);
        assert_eq!(fs::metadata(path.join(file)).unwrap().gid(), 2000);
    }
}

fn mounts(volumes: &Volumes, mounted: &MountedVolumes, mount: &str) -> Result<Vec<cri::Mount>, ConfigError> {
    let spec = format!("{{containers: [{{name: app, terminationMessagePath: /dev/last, volumeMounts: [{mount}]}}]}}");
    let pod = spec_pod(&spec);
    let context = MountContext {
        recursive_read_only: true,
        host: &*volumes.host,
        pod_dir: &volumes.pod_dir(),
        volumes: mounted,
        image_volumes: &BTreeMap::from([("artifact".to_owned(), "sha256:2".to_owned())]),
        etc_hosts: Some("hosts"),
        attempt: 0,
    };
    let env = [("WHO", "me"), ("EMPTY", ""), ("ROOT", "/tmp"), ("UP", "..")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    container_mounts(&pod.spec.unwrap().containers[0], &env, context)
}

async fn with_empty_dir(volumes: &Volumes) -> (MountedVolumes, PathBuf) {
    let pod = spec_pod("{containers: [], volumes: [{name: v, emptyDir: {}}]}");
    let mounted = volumes.try_set_up(&pod).await.unwrap();
    let path = mounted.volumes["v"].host_path.clone();
    (mounted, path)
}

#[tokio::test]
async fn containers_mount_volumes_hosts_and_last_words() {
    let volumes = Volumes::new(FakeHost::default());
    let (mounted, path) = with_empty_dir(&volumes).await;
    let all = mounts(&volumes, &mounted, "{name: v, mountPath: /data, readOnly: true}").unwrap();
    let short: Vec<_> = all.iter().map(|mount| (mount.container_path.as_str(), mount.readonly)).collect();
    assert_eq!(short, [("/data", true), ("/etc/hosts", false), ("/dev/last", false)]);
    assert_eq!(all[0].host_path, path.display().to_string());
    assert_eq!(fs::read_to_string(&all[1].host_path).unwrap(), "hosts");
    let own_hosts = mounts(&volumes, &mounted, "{name: v, mountPath: /etc/hosts}").unwrap();
    assert_eq!(own_hosts.len(), 2);
    let missing = mounts(&volumes, &mounted, "{name: w, mountPath: /w}").unwrap_err();
    assert_eq!(missing.to_string(), "cannot find volume \"w\" to mount into container \"app\"");
}

#[test]
fn recursion_is_left_out_or_refused_where_the_runtime_cannot_do_it() {
    let refused = || Err(ConfigError::NoRecursiveReadOnly("v".to_owned()));
    for (read_only, mode, with, without) in [
        (true, None, Ok(false), Ok(false)),
        (true, Some("Disabled"), Ok(false), Ok(false)),
        (true, Some("IfPossible"), Ok(true), Ok(false)),
        (true, Some("Enabled"), Ok(true), refused()),
        (false, Some("IfPossible"), Ok(false), Ok(false)),
    ] {
        let mount = VolumeMount {
            name: "v".to_owned(),
            read_only: Some(read_only),
            recursive_read_only: mode.map(str::to_owned),
            ..VolumeMount::default()
        };
        let seen = (is_recursively_read_only(&mount, true), is_recursively_read_only(&mount, false));
        assert_eq!(seen, (with, without), "{mode:?}");
    }
}

#[tokio::test]
async fn sub_paths_are_bound_and_stay_inside_their_volume() {
    let volumes = Volumes::new(LinuxHost::detect().unwrap());
    let (mounted, path) = with_empty_dir(&volumes).await;
    let bound = |mount: &str| mounts(&volumes, &mounted, mount).map(|all| PathBuf::from(&all[0].host_path));
    let new = bound("{name: v, mountPath: /d, subPathExpr: new/$(WHO)}").unwrap();
    fs::write(new.join("file"), "here").unwrap();
    assert_eq!(fs::read_to_string(path.join("new/me/file")).unwrap(), "here");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(&path.join("new")), mode(&new)], [mode(&path); 2], "parts are as open as the volume");
    symlink("new/me/file", path.join("inside")).unwrap();
    assert_eq!(fs::read_to_string(bound("{name: v, mountPath: /d, subPath: inside}").unwrap()).unwrap(), "here");
    symlink("/etc", path.join("absolute")).unwrap();
    symlink("../../../../../..", path.join("upwards")).unwrap();
    for sub_path in ["absolute", "absolute/passwd", "upwards", "upwards/etc"] {
        let error = bound(&format!("{{name: v, mountPath: /d, subPath: {sub_path}}}")).unwrap_err().to_string();
        assert!(error.contains("leads out of the volume"), "{sub_path}: {error}");
    }
    let missing = bound("{name: v, mountPath: /d, subPathExpr: $(NOBODY)}").unwrap_err();
    assert_eq!(missing, ConfigError::SubPathExpansion(vec!["NOBODY".to_owned()]));
    let empty = bound("{name: v, mountPath: /d, subPathExpr: $(NOBODY)-$(EMPTY)}").unwrap_err().to_string();
    assert_eq!(empty, "missing value for EMPTY, NOBODY", "nothing is no value");
    let absolute = bound("{name: v, mountPath: /d, subPathExpr: $(ROOT)}").unwrap_err().to_string();
    assert_eq!(absolute, "error SubPath `/tmp` must not be an absolute path");
    let upwards = bound("{name: v, mountPath: /d, subPathExpr: a/$(UP)}").unwrap_err().to_string();
    assert_eq!(upwards, "unable to provision SubPath `a/..`: must not contain '..'");
}

#[tokio::test]
async fn images_are_mounted_by_reference() {
    let volumes = Volumes::new(FakeHost::default());
    let mount = "{name: artifact, mountPath: /models, subPath: large}";
    let (mounted, _) = with_empty_dir(&volumes).await;
    let mounts = mounts(&volumes, &mounted, mount).unwrap();
    let image = mounts.iter().find(|mount| mount.container_path == "/models").unwrap();
    assert_eq!(image.image.as_ref().unwrap().image, "sha256:2");
    assert_eq!((image.image_sub_path.as_str(), image.readonly, image.host_path.as_str()), ("large", true, ""));
}
