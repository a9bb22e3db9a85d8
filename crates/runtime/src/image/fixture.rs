//! Test images: layers from short descriptions, layouts and stores in temporary directories.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use platform::clock::SystemClock;
use platform::random::SystemRandom;
use serde_json::json;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::digest::Digest;
use super::store::ImageFiles;
use super::{Config, ImageStore, Registries};

/// One tar entry, `path` as raw bytes so that names the tar crate would refuse can be made.
pub struct Item<'a> {
    pub path: &'a str,
    pub kind: EntryType,
    pub content: &'a str,
    pub link: &'a str,
    pub mode: u32,
    pub owner: (u64, u64),
    pub xattrs: &'a [(&'a str, &'a [u8])],
}

pub fn file<'a>(path: &'a str, content: &'a str) -> Item<'a> {
    Item { path, kind: EntryType::Regular, content, link: "", mode: 0o644, owner: (0, 0), xattrs: &[] }
}

pub fn directory(path: &str) -> Item<'_> {
    Item { kind: EntryType::Directory, mode: 0o755, ..file(path, "") }
}

pub fn symlink<'a>(path: &'a str, target: &'a str) -> Item<'a> {
    Item { kind: EntryType::Symlink, link: target, ..file(path, "") }
}

pub fn hard_link<'a>(path: &'a str, target: &'a str) -> Item<'a> {
    Item { kind: EntryType::Link, link: target, ..file(path, "") }
}

/// A tar stream of these entries.
pub fn tar(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for item in items {
        if !item.xattrs.is_empty() {
            let keys: Vec<String> = item.xattrs.iter().map(|(name, _)| format!("SCHILY.xattr.{name}")).collect();
            let extensions = keys.iter().map(String::as_str).zip(item.xattrs.iter().map(|(_, value)| *value));
            builder.append_pax_extensions(extensions).expect("memory");
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(item.kind);
        header.set_size(item.content.len() as u64);
        header.set_mode(item.mode);
        header.set_uid(item.owner.0);
        header.set_gid(item.owner.1);
        header.set_mtime(1_000_000_000);
        let fields = header.as_gnu_mut().expect("made as one");
        fields.name[..item.path.len()].copy_from_slice(item.path.as_bytes());
        fields.linkname[..item.link.len()].copy_from_slice(item.link.as_bytes());
        header.set_cksum();
        builder.append(&header, item.content.as_bytes()).expect("memory");
    }
    builder.into_inner().expect("memory")
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// An OCI layout directory that grows.
pub struct Layout {
    pub directory: TempDir,
    entries: Vec<serde_json::Value>,
}

impl Layout {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(directory.path().join("blobs/sha256")).expect("blobs");
        Self { directory, entries: Vec::new() }
    }

    pub fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        fs::write(self.directory.path().join("blobs/sha256").join(digest.hex()), bytes).expect("a blob");
        digest
    }

    /// Adds an image of these tar layers, gzipped; returns its manifest's digest.
    pub fn image(&mut self, name: &str, layers: &[Vec<u8>]) -> Digest {
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let blobs: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
        let (manifest, length) = self.manifest(&diff_ids, &blobs);
        self.tag(name, &manifest, length);
        manifest
    }

    /// Adds a manifest without a name.
    pub fn manifest(&self, diff_ids: &[Digest], blobs: &[Vec<u8>]) -> (Digest, usize) {
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "config": {"Cmd": ["/bin/app"], "User": "1000:7", "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = config.to_string().into_bytes();
        let layers: Vec<_> = blobs.iter().map(|blob| json!({"digest": self.blob(blob), "size": blob.len()})).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"digest": self.blob(&config), "size": config.len()},
            "layers": layers,
        });
        let manifest = manifest.to_string().into_bytes();
        (self.blob(&manifest), manifest.len())
    }

    /// Names a manifest or index.
    pub fn tag(&mut self, name: &str, digest: &Digest, length: usize) {
        self.entries.push(json!({
            "digest": digest, "size": length,
            "annotations": {"org.opencontainers.image.ref.name": name},
        }));
        let index = json!({"schemaVersion": 2, "manifests": self.entries}).to_string();
        fs::write(self.directory.path().join("index.json"), index).expect("an index");
        fs::write(self.directory.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a mark");
    }

    /// The whole layout as one tar.
    pub fn archive(&self) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        builder.append_dir_all(".", self.directory.path()).expect("memory");
        builder.into_inner().expect("memory")
    }
}

pub fn files(root: &Path) -> ImageFiles {
    ImageFiles::open(root, Arc::new(SystemRandom)).expect("a store")
}

pub fn store(root: &Path, registries: &str) -> Arc<ImageStore> {
    let registries = Registries::parse(registries).expect("a good configuration").without_default_endpoint();
    let config =
        Config { root: root.to_owned(), registries, clock: Arc::new(SystemClock), random: Arc::new(SystemRandom) };
    ImageStore::open(config).expect("a store")
}
