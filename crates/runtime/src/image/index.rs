//! The list of images: which names lead to which image, and what each consists of. A value; [`super::store`] keeps it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::manifest::ImageConfig;

#[cfg(test)]
mod tests;

/// Version of the file format. A later version is refused, not guessed at.
const FORMAT: u32 = 1;

/// All images by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    #[serde(deserialize_with = "check_format")]
    format: u32,
    images: BTreeMap<Digest, ImageRecord>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Digest of the configuration blob.
    pub id: Digest,
    /// Full names with tags. A tag leads to one image.
    pub tags: BTreeSet<String>,
    /// Full names with manifest digests, for images that came from a registry or an OCI archive.
    pub digests: BTreeSet<String>,
    /// Size of the blobs as transferred.
    pub size_bytes: u64,
    /// Digests of the uncompressed layers, bottom first.
    pub layers: Vec<Digest>,
    /// What to run.
    pub config: ImageConfig,
    /// Boot during which the layers were written, while it is not certain that they reached the disk. After a power
    /// loss they may be incomplete, so in another boot such a record counts as absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsynced_in_boot: Option<String>,
}

impl ImageRecord {
    /// Removed by the user, and kept only because containers were made from it.
    pub fn is_removed(&self) -> bool {
        self.tags.is_empty() && self.digests.is_empty()
    }

    /// What a container status shows as `image`: a tag where there is one, whatever name the container was made by.
    pub fn name(&self) -> &str {
        self.tags.first().map_or_else(|| self.reference(), String::as_str)
    }

    /// What a container status shows as `imageID`: a name with a digest where there is one, else the id.
    pub fn reference(&self) -> &str {
        self.digests.first().map_or(self.id.as_str(), String::as_str)
    }
}

impl Default for Index {
    fn default() -> Self {
        Self { format: FORMAT, images: BTreeMap::new() }
    }
}

impl Index {
    /// Images that users know of.
    pub fn images(&self) -> impl Iterator<Item = &ImageRecord> {
        self.images.values().filter(|image| !image.is_removed())
    }

    /// An image by id, removed ones included.
    pub fn get(&self, id: &Digest) -> Option<&ImageRecord> {
        self.images.get(id)
    }

    /// The image a full name leads to.
    pub fn find(&self, name: &str) -> Option<&ImageRecord> {
        self.images.values().find(|image| image.tags.contains(name) || image.digests.contains(name))
    }

    /// Adds an image; names it brings are taken away from others, names it already has are kept.
    pub fn add(&mut self, mut image: ImageRecord) {
        for other in self.images.values_mut() {
            other.tags.retain(|tag| !image.tags.contains(tag));
            other.digests.retain(|digest| !image.digests.contains(digest));
        }
        if let Some(there) = self.images.remove(&image.id) {
            image.tags.extend(there.tags);
            image.digests.extend(there.digests);
        }
        self.images.insert(image.id.clone(), image);
    }

    /// Takes a tag or digest name away; an image left without any tag loses its digest names, too, and so is removed.
    /// Returns whether the name was there.
    pub fn remove_name(&mut self, name: &str) -> bool {
        let Some(image) =
            self.images.values_mut().find(|image| image.tags.contains(name) || image.digests.contains(name))
        else {
            return false;
        };
        image.tags.remove(name);
        image.digests.remove(name);
        if image.tags.is_empty() {
            image.digests.clear();
        }
        true
    }

    /// Takes all names from an image. Returns whether it had any.
    pub fn remove_image(&mut self, id: &Digest) -> bool {
        let Some(image) = self.images.get_mut(id) else { return false };
        let was_there = !image.is_removed();
        image.tags.clear();
        image.digests.clear();
        was_there
    }

    /// Forgets removed images that are not in use. Returns whether any was.
    pub fn forget_removed(&mut self, used: &BTreeSet<Digest>) -> bool {
        let before = self.images.len();
        self.images.retain(|id, image| !image.is_removed() || used.contains(id));
        self.images.len() != before
    }

    /// Layers that some image needs.
    pub fn layers(&self) -> BTreeSet<&Digest> {
        self.images.values().flat_map(|image| &image.layers).collect()
    }

    /// Forgets images whose layers may not have survived the end of an earlier boot.
    pub fn forget_unsynced(&mut self, boot: &str) {
        self.images.retain(|_, image| image.unsynced_in_boot.as_deref().is_none_or(|written_in| written_in == boot));
    }

    /// Records that everything written so far for these images is on the disk.
    pub fn mark_synced(&mut self, ids: &[Digest]) {
        for id in ids {
            if let Some(image) = self.images.get_mut(id) {
                image.unsynced_in_boot = None;
            }
        }
    }

    /// Images that wait for [`Index::mark_synced`].
    pub fn unsynced(&self) -> Vec<Digest> {
        self.images.values().filter(|image| image.unsynced_in_boot.is_some()).map(|image| image.id.clone()).collect()
    }
}

fn check_format<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        FORMAT => Ok(FORMAT),
        other => Err(serde::de::Error::custom(format!("format {other} is not known to this version"))),
    }
}
