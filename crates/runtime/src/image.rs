//! Images: names, registries, archives, and a content-addressed store of unpacked layers.
//!
//! ```text
//! reference   what a name means                 registries   where to ask, as whom
//! registry    asking one server                 pull         resolve, download, unpack, record
//! archive     docker-save and OCI files         manifest     the documents that describe an image
//! unpack      tar stream to overlay directory   store        layers, index, locks, garbage on disk
//! ```
//!
//! [`ImageStore`] is what the runtime and the command line hold. The daemon and `isopod images` may use one store at
//! the same time; see [`store`].

pub mod archive;
pub(crate) mod blocking;
mod compression;
pub mod digest;
pub mod error;
#[cfg(test)]
pub(crate) mod fixture;
pub mod index;
pub mod manifest;
pub mod pull;
pub mod reference;
pub mod registries;
mod registry;
mod service;
pub mod store;
pub mod unpack;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use platform::clock::SharedClock;
use platform::random::SharedRandom;

pub use digest::Digest;
pub use error::ImageError;
pub use index::ImageRecord;
pub use manifest::ImageConfig;
pub use reference::ImageReference;
pub use registries::Registries;

use error::StoreError;
use pull::Puller;
use store::ImageFiles;

/// What an image store needs.
pub struct Config {
    /// The store's directory: `<data-dir>/images`. Made if it is not there.
    pub root: PathBuf,
    /// Where images come from.
    pub registries: Registries,
    /// For times of measurement.
    pub clock: SharedClock,
    /// For names of temporary directories.
    pub random: SharedRandom,
}

/// The images on this node; implements [`cri::ImageService`].
pub struct ImageStore {
    files: Arc<ImageFiles>,
    puller: Arc<Puller>,
    clock: SharedClock,
}

impl ImageStore {
    /// Opens the store and clears away what a crash left.
    ///
    /// # Errors
    /// [`ImageError::Store`] when the directory can't be made or the index can't be read.
    pub fn open(config: Config) -> Result<Arc<Self>, ImageError> {
        let files = Arc::new(ImageFiles::open(&config.root, config.random)?);
        let puller = Puller::new(files.clone(), config.registries);
        Ok(Arc::new(Self { files, puller, clock: config.clock }))
    }

    /// The files beneath, which snapshots are made in.
    pub fn files(&self) -> &Arc<ImageFiles> {
        &self.files
    }

    /// All images, by id.
    ///
    /// # Errors
    /// [`ImageError::Store`] when the index can't be read.
    pub fn list(&self) -> Result<Vec<ImageRecord>, ImageError> {
        Ok(self.files.index()?.images().cloned().collect())
    }

    /// An image by name or id.
    ///
    /// # Errors
    /// [`ImageError::Name`] for what is neither, [`ImageError::Store`] when the index can't be read.
    pub fn find(&self, name: &str) -> Result<Option<ImageRecord>, ImageError> {
        self.files.find_image(name)
    }

    /// Imports every image of an archive (`docker save` or OCI layout, as tar or compressed tar) and returns them once
    /// they are on the disk. `name` names an archive's only image when the archive does not.
    ///
    /// # Errors
    /// [`ImageError::Import`]; images before the one that failed stay.
    pub fn import(&self, archive: &Path, name: Option<&ImageReference>) -> Result<Vec<ImageRecord>, ImageError> {
        let imported = archive::import(&self.files, archive, name)
            .map_err(|source| ImageError::Import { path: archive.to_owned(), source })?;
        self.files.sync()?;
        self.files.collect_garbage()?;
        Ok(imported)
    }

    /// Removes a name, and with its last tag the image; an id removes the image with all its names. Layers that
    /// containers still use stay until those are gone.
    ///
    /// # Errors
    /// [`ImageError::NotFound`] when there is no such image.
    pub fn remove(&self, name: &str) -> Result<(), ImageError> {
        self.files.remove_image(name)
    }
}

impl ImageFiles {
    /// An image by name or id.
    ///
    /// # Errors
    /// As [`ImageStore::find`].
    pub fn find_image(&self, name: &str) -> Result<Option<ImageRecord>, ImageError> {
        let index = self.index()?;
        let image = match parse_id(name) {
            Some(id) => index.get(&id).filter(|image| !image.is_removed()),
            None => index.find(&parse_name(name)?.to_string()),
        };
        Ok(image.cloned())
    }

    /// Removes a name or, by its id, an image.
    ///
    /// # Errors
    /// As [`ImageStore::remove`].
    pub fn remove_image(&self, name: &str) -> Result<(), ImageError> {
        let removed = match parse_id(name) {
            Some(id) => self.update(|index| index.remove_image(&id))?,
            None => {
                let full = parse_name(name)?.to_string();
                self.update(|index| index.remove_name(&full))?
            }
        };
        if !removed {
            return Err(ImageError::NotFound(name.to_owned()));
        }
        Ok(self.collect_garbage()?)
    }
}

/// An image id as CRI clients write it, with or without its algorithm.
fn parse_id(text: &str) -> Option<Digest> {
    Digest::parse(text).or_else(|| Digest::parse(&format!("sha256:{text}")))
}

fn parse_name(name: &str) -> Result<ImageReference, ImageError> {
    ImageReference::parse(name).map_err(|source| ImageError::Name { name: name.to_owned(), source })
}

/// Total disk use of the layers that images need.
fn layers_usage(files: &ImageFiles) -> Result<unpack::Usage, StoreError> {
    let index = files.index()?;
    index.layers().into_iter().try_fold(unpack::Usage::default(), |sum, layer| {
        let usage = files.layer_usage(layer)?;
        Ok(unpack::Usage { bytes: sum.bytes + usage.bytes, inodes: sum.inodes + usage.inodes })
    })
}
