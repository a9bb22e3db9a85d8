//! Importing images from files: `docker save` archives (`manifest.json`) and OCI layouts (`index.json`), as tar, plain
//! or compressed.

mod reader;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use tracing::info;

use super::digest::Digest;
use super::error::ArchiveError;
use super::index::ImageRecord;
use super::manifest::{ConfigBlob, Descriptor, Document, ManifestError, select_platform};
use super::reference::{ImageReference, Version};
use super::store::ImageFiles;
use reader::Archive;

/// Annotations that name an image, the more precise one first.
const NAME_ANNOTATIONS: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/// One image in an archive: what to read, and what to call it.
#[derive(Debug)]
struct Entry {
    names: Vec<ImageReference>,
    /// Digest of manifest or index, where the archive has one.
    digest: Option<Digest>,
    config: Vec<u8>,
    layers: Vec<Blob>,
}

/// A layer in an archive.
#[derive(Debug)]
struct Blob {
    path: String,
    digest: Option<Digest>,
}

/// An element of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Imports all images of an archive.
///
/// # Errors
/// [`ArchiveError`]; images before the one that failed stay.
pub fn import(
    files: &ImageFiles,
    path: &Path,
    name: Option<&ImageReference>,
) -> Result<Vec<ImageRecord>, ArchiveError> {
    let _in_use = files.enter()?;
    let archive = Archive::open(path, &files.staging_path())?;
    let mut entries = read_entries(&archive)?;
    if let ([entry], Some(name)) = (entries.as_mut_slice(), name) {
        entry.names = vec![name.clone()];
    }
    if entries.is_empty() || entries.iter().any(|entry| entry.names.is_empty()) {
        return Err(ArchiveError::Unnamed);
    }
    entries.into_iter().map(|entry| import_entry(files, &archive, entry)).collect()
}

/// OCI's description is preferred since it has digests; Docker's when the other lacks names.
fn read_entries(archive: &Archive) -> Result<Vec<Entry>, ArchiveError> {
    let oci = archive.read_if_there("index.json")?.map(|bytes| read_oci(archive, &bytes)).transpose()?;
    match oci {
        Some(entries) if entries.iter().all(|entry| !entry.names.is_empty()) => Ok(entries),
        unnamed => match (archive.read_if_there("manifest.json")?, unnamed) {
            (Some(bytes), _) => read_docker(archive, &bytes),
            (None, Some(unnamed)) => Ok(unnamed),
            (None, None) => Err(ArchiveError::NotAnArchive),
        },
    }
}

fn read_oci(archive: &Archive, index: &[u8]) -> Result<Vec<Entry>, ArchiveError> {
    let Document::Index(descriptors) = Document::parse(index)? else {
        return Err(ManifestError::Unsupported(None).into());
    };
    descriptors.iter().map(|descriptor| read_oci_image(archive, descriptor)).collect()
}

fn read_oci_image(archive: &Archive, descriptor: &Descriptor) -> Result<Entry, ArchiveError> {
    let mut document = Document::parse(&archive.read(&blob_path(&descriptor.digest))?)?;
    if let Document::Index(entries) = &document {
        let entry = select_platform(entries)?;
        document = Document::parse(&archive.read(&blob_path(&entry.digest))?)?;
    }
    let Document::Manifest(manifest) = document else { return Err(ManifestError::Unsupported(None).into()) };
    let blob = |layer: Descriptor| Blob { path: blob_path(&layer.digest), digest: Some(layer.digest) };
    Ok(Entry {
        names: name_of(descriptor)?.into_iter().collect(),
        digest: Some(descriptor.digest.clone()),
        config: archive.read(&blob_path(&manifest.config.digest))?,
        layers: manifest.layers.into_iter().map(blob).collect(),
    })
}

/// Some tools write a bare tag as the name, which names nothing by itself.
fn name_of(descriptor: &Descriptor) -> Result<Option<ImageReference>, ArchiveError> {
    let names = NAME_ANNOTATIONS.iter().filter_map(|annotation| descriptor.annotations.get(*annotation));
    names.filter(|name| name.contains(['/', ':'])).map(|name| parse(name)).next().transpose()
}

fn read_docker(archive: &Archive, manifest: &[u8]) -> Result<Vec<Entry>, ArchiveError> {
    let entries: Vec<DockerEntry> = serde_json::from_slice(manifest).map_err(ManifestError::from)?;
    let read = |entry: DockerEntry| {
        Ok(Entry {
            names: entry.repo_tags.unwrap_or_default().iter().map(|name| parse(name)).collect::<Result<_, _>>()?,
            digest: None,
            config: archive.read(&entry.config)?,
            layers: entry.layers.into_iter().map(|path| Blob { path, digest: None }).collect(),
        })
    };
    entries.into_iter().map(read).collect()
}

fn import_entry(files: &ImageFiles, archive: &Archive, entry: Entry) -> Result<ImageRecord, ArchiveError> {
    let config = ConfigBlob::parse(&entry.config)?;
    let (diff_ids, layers) = (config.diff_ids.len(), entry.layers.len());
    if diff_ids != layers {
        return Err(ArchiveError::LayerCount { diff_ids, layers });
    }
    let mut size_bytes = entry.config.len() as u64;
    for (blob, diff_id) in entry.layers.iter().zip(&config.diff_ids) {
        let section = archive.section(&blob.path)?;
        size_bytes += section.length();
        if !files.has_layer(diff_id) {
            files.add_layer(section, blob.digest.as_ref(), diff_id)?;
        }
    }
    let is_tag = |name: &&ImageReference| matches!(name.version(), Version::Tag(_));
    let record = ImageRecord {
        id: Digest::of(&entry.config),
        tags: entry.names.iter().filter(is_tag).map(ToString::to_string).collect(),
        digests: digests_of(&entry),
        size_bytes,
        layers: config.diff_ids,
        config: config.config,
        unsynced_in_boot: Some(files.boot().to_owned()),
    };
    info!(id = %record.id, names = ?record.tags, layers, "imported image");
    files.update(|index| index.add(record.clone()))?;
    Ok(record)
}

fn digests_of(entry: &Entry) -> BTreeSet<String> {
    let by_archive = entry.digest.iter().flat_map(|digest| entry.names.iter().map(|name| name.with_digest(digest)));
    let by_name = entry.names.iter().filter_map(|name| match name.version() {
        Version::Digest(digest) if entry.digest.as_ref() == Some(digest) => Some(name.to_string()),
        _ => None,
    });
    by_archive.chain(by_name).collect()
}

fn parse(name: &str) -> Result<ImageReference, ArchiveError> {
    ImageReference::parse(name).map_err(|source| ArchiveError::Name { name: name.to_owned(), source })
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
