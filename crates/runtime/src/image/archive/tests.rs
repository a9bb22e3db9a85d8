use std::fs;

use serde_json::json;

use super::*;
use crate::image::fixture::{Layout, file, gzip, store, tar};

fn layers() -> Vec<Vec<u8>> {
    vec![tar(&[file("base", "base")]), tar(&[file("app", "app")])]
}

fn import_bytes(bytes: &[u8], name: Option<&str>) -> Result<Vec<ImageRecord>, String> {
    let root = tempfile::tempdir().expect("a directory");
    let store = store(&root.path().join("images"), "");
    let path = root.path().join("archive.tar");
    fs::write(&path, bytes).expect("writes");
    let name = name.map(|name| ImageReference::parse(name).expect("a name"));
    let imported = store.import(&path, name.as_ref()).map_err(|error| error.explain())?;
    for image in &imported {
        assert_eq!(store.list().expect("lists").iter().filter(|listed| listed.id == image.id).count(), 1);
        assert!(image.layers.iter().all(|layer| store.files().has_layer(layer)));
    }
    Ok(imported)
}

/// What `docker save` writes: old versions had layers as symlinks to equal layers of other images.
fn docker_archive(tags: &[&str]) -> Vec<u8> {
    let layers = layers();
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = json!({"config": {"Cmd": ["app"]}, "rootfs": {"diff_ids": diff_ids}}).to_string();
    let tags = if tags.is_empty() { json!(null) } else { json!(tags) };
    let manifest = json!([{
        "Config": "config.json", "RepoTags": tags, "Layers": ["one/layer.tar", "two/layer.tar"],
    }]);
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content).expect("memory");
    };
    add("manifest.json", manifest.to_string().as_bytes());
    add("config.json", config.as_bytes());
    add("shared/layer.tar", &layers[0]);
    add("two/layer.tar", &layers[1]);
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "one/layer.tar", "../shared/layer.tar").expect("memory");
    builder.into_inner().expect("memory")
}

#[test]
fn imports_docker_archives_plain_and_compressed() {
    let archive = docker_archive(&["nginx:1.8", "nginx:latest"]);
    for bytes in [archive.clone(), gzip(&archive), zstd::encode_all(archive.as_slice(), 1).expect("memory")] {
        let imported = import_bytes(&bytes, None).expect("imports");
        assert_eq!(imported.len(), 1);
        let tags: Vec<&str> = imported[0].tags.iter().map(String::as_str).collect();
        assert_eq!(tags, ["docker.io/library/nginx:1.8", "docker.io/library/nginx:latest"]);
        assert_eq!(imported[0].config.cmd, ["app"]);
        assert_eq!(imported[0].layers.len(), 2);
    }
}

#[test]
fn imports_oci_archives_with_their_digests() {
    let mut layout = Layout::new();
    let digest = layout.image("docker.io/library/app:v1", &layers());
    let imported = import_bytes(&layout.archive(), None).expect("imports");
    assert_eq!(imported[0].reference(), format!("docker.io/library/app@{digest}"));
    assert_eq!(imported[0].config.user, "1000:7");
}

#[test]
fn an_unnamed_image_needs_a_name() {
    let archive = docker_archive(&[]);
    let error = import_bytes(&archive, None).expect_err("has no name");
    assert!(error.contains("names no image"), "{error}");
    let imported = import_bytes(&archive, Some("my/app:v2")).expect("imports");
    assert!(imported[0].tags.contains("docker.io/my/app:v2"));
}

#[test]
fn says_what_is_wrong_with_an_archive() {
    let mut incomplete = Layout::new();
    let digest = incomplete.image("a:b", &layers());
    fs::remove_file(incomplete.directory.path().join("blobs/sha256").join(digest.hex())).expect("removes");
    let mut broken = Layout::new();
    let layers = layers();
    let (manifest, length) = broken.manifest(&[Digest::of(b"other"), Digest::of(&layers[1])], &layers);
    broken.tag("a:b", &manifest, length);
    for (bytes, message) in [
        (incomplete.archive(), "lacks blobs/sha256/"),
        (broken.archive(), "wrong digest of layer"),
        (tar(&[file("readme", "hello")]), "not a docker-save or OCI archive"),
        (vec![1; 600], "reading the archive"),
        (docker_archive(&["Bad Name"]), "bad image name"),
    ] {
        let error = import_bytes(&bytes, None).expect_err(message);
        assert!(error.contains(message), "{message}: {error}");
    }
}
