use std::net::SocketAddr;

use cri::{AuthConfig, ImageFilter, ImageService, ImageSpec};
use registry::{Options, Registry as Server};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::image::ImageStore;
use crate::image::fixture::{Layout, file, gzip, store, tar};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

struct Setup {
    server: Server,
    store: Arc<ImageStore>,
    _root: TempDir,
}

async fn setup(layout: &Layout, options: Options) -> Setup {
    let server = Server::start(LOOPBACK, layout.directory.path(), options).await.expect("starts");
    let root = tempfile::tempdir().expect("a directory");
    let store = store(root.path(), &server.registries_yaml());
    Setup { server, store, _root: root }
}

fn spec(image: &str) -> ImageSpec {
    ImageSpec { image: image.to_owned(), ..ImageSpec::default() }
}

impl Setup {
    async fn pull(&self, image: &str) -> cri::Result<String> {
        self.store.pull_image(spec(image), None, None).await
    }

    fn count(&self, fits: impl Fn(&str) -> bool) -> usize {
        self.server.requests().iter().filter(|request| fits(request)).count()
    }
}

fn layers() -> Vec<Vec<u8>> {
    // Random enough to stay large when compressed.
    let noise: String =
        (0_u32..60_000).map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 27) as u8 % 26)).collect();
    vec![tar(&[file("base", &noise)]), tar(&[file("app", "app")])]
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_by_short_name_and_by_digest() {
    let mut layout = Layout::new();
    let digest = layout.image("docker.io/library/app:latest", &layers());
    let setup = setup(&layout, Options::default()).await;
    let id = setup.pull("app").await.expect("pulls");
    let image = setup.store.image_status(&spec("app")).await.expect("answers").expect("there");
    assert_eq!(image.id, id);
    assert_eq!(image.repo_tags, ["docker.io/library/app:latest"]);
    assert_eq!(image.repo_digests, [format!("docker.io/library/app@{digest}")]);
    assert_eq!(image.uid.map(|uid| uid.value), Some(1000));
    for name in [&id, &id["sha256:".len()..], "docker.io/app:latest", &format!("app@{digest}")] {
        assert!(setup.store.image_status(&spec(name)).await.expect("answers").is_some(), "{name}");
    }
    let blobs = setup.count(|request| request.contains("/blobs/"));
    for name in ["app", &format!("app@{digest}")] {
        assert_eq!(setup.pull(name).await.expect("pulls"), id);
    }
    assert_eq!(setup.count(|request| request.contains("/blobs/")), blobs, "it was up to date");
    assert_eq!(setup.store.list_images(ImageFilter::default()).await.expect("lists").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn picks_this_machine_from_an_index() {
    let mut layout = Layout::new();
    let layers = layers();
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let (right, length) = layout.manifest(&diff_ids, &layers);
    let (wrong, _) = layout.manifest(&[], &[]);
    let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {"digest": wrong, "size": 1, "platform": {"os": "linux", "architecture": "s390x"}},
        {"digest": right, "size": length, "platform": {"os": "linux", "architecture": arch}},
    ]});
    let index = index.to_string().into_bytes();
    let digest = layout.blob(&index);
    layout.tag("docker.io/library/app:latest", &digest, index.len());
    let setup = setup(&layout, Options::default()).await;
    setup.pull("app").await.expect("pulls");
    let image = setup.store.find("app").expect("reads").expect("there");
    assert_eq!(image.layers, diff_ids);
    assert_eq!(image.reference(), format!("docker.io/library/app@{digest}"), "the index is what the name led to");
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_of_one_image_share_the_work() {
    let mut layout = Layout::new();
    layout.image("docker.io/library/app:latest", &layers());
    layout.image("docker.io/library/other:latest", &layers()[..1]);
    let setup = setup(&layout, Options::default()).await;
    let pulls = ["app", "app", "docker.io/library/app:latest", "other"].map(|image| setup.pull(image));
    for outcome in futures::future::join_all(pulls).await {
        outcome.expect("pulls");
    }
    assert_eq!(setup.count(|request| request.contains("library/app/manifests/")), 1);
    let blob = format!("/blobs/{}", Digest::of(&gzip(&layers()[0])));
    assert_eq!(setup.count(|request| request.ends_with(&blob)), 1, "a shared layer is fetched once");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_downloads_resume() {
    for ignore_ranges in [false, true] {
        let mut layout = Layout::new();
        layout.image("docker.io/library/app:latest", &layers()[..1]);
        // The configuration is the first blob; it is small and not resumed, so it must come whole.
        let options = Options { whole_blobs: 1, broken_blobs: 2, ignore_ranges, ..Options::default() };
        let setup = setup(&layout, options).await;
        setup.pull("app").await.expect("pulls");
        assert_eq!(setup.count(|request| request.contains("/blobs/")), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_the_request_or_the_configuration() {
    let mut layout = Layout::new();
    layout.image("docker.io/library/app:latest", &layers());
    let options = Options { credentials: Some("me:secret".to_owned()), ..Options::default() };
    let server = Server::start(LOOPBACK, layout.directory.path(), options).await.expect("starts");
    let address = server.address();
    let mirror = format!("mirrors: {{docker.io: {{endpoint: ['http://{address}']}}}}");
    let root = tempfile::tempdir().expect("a directory");
    let without = store(&root.path().join("without"), &mirror);
    let error = without.pull_image(spec("app"), None, None).await.expect_err("anonymous").to_string();
    assert!(error.contains("pull access denied, repository does not exist or may require authorization"), "{error}");
    let auth = |server: &str, password: &str| AuthConfig {
        username: "me".to_owned(),
        password: password.to_owned(),
        server_address: server.to_owned(),
        ..AuthConfig::default()
    };
    for (auth, works) in [
        (auth("", "secret"), true),
        (auth(&format!("http://{address}"), "secret"), true),
        (auth("", "wrong"), false),
        (auth("https://elsewhere.example.com", "secret"), false),
        (AuthConfig { auth: "bWU6c2VjcmV0".to_owned(), ..AuthConfig::default() }, true),
        (AuthConfig { identity_token: "token".to_owned(), ..AuthConfig::default() }, false),
    ] {
        let outcome = without.pull_image(spec("app"), Some(auth.clone()), None).await;
        assert_eq!(outcome.is_ok(), works, "{}: {outcome:?}", auth.server_address);
    }
    let with = store(&root.path().join("with"), &server.registries_yaml());
    with.pull_image(spec("app"), None, None).await.expect("the configuration has them");
}

#[tokio::test(flavor = "multi_thread")]
async fn says_what_users_know() {
    let layout = Layout::new();
    let setup = setup(&layout, Options::default()).await;
    let error = setup.pull("nosuch:v1").await.expect_err("not there");
    assert!(matches!(error, cri::Error::NotFound(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "failed to pull and unpack image \"docker.io/library/nosuch:v1\": failed to resolve reference \
         \"docker.io/library/nosuch:v1\": docker.io/library/nosuch:v1: not found"
    );
    let error = setup.pull("Bad Name").await.expect_err("no name");
    assert!(matches!(error, cri::Error::InvalidArgument(_)), "{error:?}");
    assert_eq!(error.to_string(), "couldn't parse image name \"Bad Name\": invalid reference format");
    let error = setup.pull("127.0.0.1:1/app").await.expect_err("nobody listens").to_string();
    assert!(error.contains("Connection refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_not_what_it_should_be_is_refused() {
    let mut layout = Layout::new();
    layout.image("docker.io/library/app:latest", &layers());
    let blob = gzip(&layers()[1]);
    let path = layout.directory.path().join("blobs/sha256").join(Digest::of(&blob).hex());
    let mut evil = blob.clone();
    *evil.last_mut().expect("some") ^= 1;
    std::fs::write(path, &evil).expect("writes");
    let setup = setup(&layout, Options::default()).await;
    assert!(setup.pull("app").await.is_err());
    assert!(setup.store.list().expect("lists").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_images_take_their_layers_along() {
    let mut layout = Layout::new();
    layout.image("docker.io/library/app:latest", &layers());
    layout.image("docker.io/library/other:latest", &layers()[..1]);
    let setup = setup(&layout, Options::default()).await;
    for image in ["app", "other"] {
        setup.pull(image).await.expect("pulls");
    }
    let ids: Vec<Digest> = layers().iter().map(|layer| Digest::of(layer)).collect();
    setup.store.remove_image(&spec("app")).await.expect("removes");
    setup.store.remove_image(&spec("app")).await.expect("again");
    setup.store.files().collect_garbage().expect("collects");
    assert!(setup.store.files().has_layer(&ids[0]) && !setup.store.files().has_layer(&ids[1]));
    let info = setup.store.image_fs_info().await.expect("measures");
    assert!(info.image_filesystems[0].used_bytes.as_ref().expect("measured").value >= 60_000);
}
