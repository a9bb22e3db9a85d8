//! The OCI layout directory.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

const NAME_ANNOTATION: &str = "org.opencontainers.image.ref.name";

/// A directory with `index.json` and `blobs/sha256/`.
pub struct Layout {
    directory: PathBuf,
}

/// A manifest or index, ready to serve.
pub struct Manifest {
    pub media_type: String,
    pub digest: String,
    pub bytes: Vec<u8>,
}

impl Layout {
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The manifest that a tag or digest leads to in a repository (its path without the registry).
    pub fn manifest(&self, repository: &str, version: &str) -> Option<Manifest> {
        let digest =
            if version.starts_with("sha256:") { version.to_owned() } else { self.tagged(repository, version)? };
        let bytes = fs::read(self.blob_path(&digest)).ok()?;
        let document: Value = serde_json::from_slice(&bytes).ok()?;
        let media_type = document["mediaType"].as_str().unwrap_or("application/vnd.oci.image.manifest.v1+json");
        Some(Manifest { media_type: media_type.to_owned(), digest, bytes })
    }

    fn tagged(&self, repository: &str, tag: &str) -> Option<String> {
        let index: Value = serde_json::from_slice(&fs::read(self.directory.join("index.json")).ok()?).ok()?;
        let wanted = format!("{repository}:{tag}");
        let fits = |entry: &&Value| {
            let name = entry["annotations"][NAME_ANNOTATION].as_str().unwrap_or_default();
            name.split_once('/').is_some_and(|(_registry, rest)| rest == wanted)
        };
        let found = index["manifests"].as_array()?.iter().find(fits)?;
        Some(found["digest"].as_str()?.to_owned())
    }

    /// Where a blob is, if its digest is one.
    pub fn blob_path(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        self.directory.join("blobs/sha256").join(hex.unwrap_or("none"))
    }
}
