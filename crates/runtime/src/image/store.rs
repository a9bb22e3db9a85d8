//! The image store on disk.
//!
//! ```text
//! images/             0700
//!   index.json        names, images and their layers (index.rs); replaced by rename
//!   index.lock        held exclusively while the index is read, changed and replaced
//!   garbage.lock      held exclusively by the garbage collection, so that collectors take turns
//!   lock              held shared by whoever adds layers or snapshots, exclusively by the garbage collection
//!   layers/<hex>/     one unpacked layer by the digest of its tar: fs/ for overlayfs, usage.json
//!   staging/          layers that are being unpacked, and garbage on its way out
//!   snapshots/<id>/   one container: image -> id of its image, fs/ and work/ for overlayfs
//! ```
//!
//! Guarantees: several processes may use one store (the daemon and `isopod images`), and each sees what the others did
//! at its next call, because the index is compared with the file before each use. A layer appears under `layers/` by a
//! rename after its digest was verified, so it is whole as far as processes can see; whether it is whole after a power
//! loss is what `unsynced_in_boot` answers. What nobody refers to is removed by the next collection that finds the
//! store at rest; the last one out of a pull, import or removal runs it.

mod garbage;
mod layer;
mod lock;

#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use platform::random::SharedRandom;

use super::digest::Digest;
use super::error::StoreError;
use super::index::Index;
use super::unpack::Usage;
pub use lock::InUse;

/// A store on disk. Cheap to share; all methods block on files and locks, none for long except
/// [`ImageFiles::add_layer`] and [`ImageFiles::sync`].
pub struct ImageFiles {
    root: PathBuf,
    boot: String,
    random: SharedRandom,
    /// The index as last read, and the file it was read from.
    cache: Mutex<Option<(FileStamp, Arc<Index>)>>,
}

/// Tells whether a file is still the same: every replacement is a new inode with a new time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    length: u64,
}

impl FileStamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            length: metadata.len(),
        }
    }
}

impl ImageFiles {
    /// Opens the store, making it if it is not there, and clears away what a crash left, unless another process has
    /// the store in use and so did that already.
    ///
    /// # Errors
    /// [`StoreError`] when the directory can't be made or the index can't be read.
    pub fn open(root: &Path, random: SharedRandom) -> Result<Self, StoreError> {
        for directory in ["", "layers", "staging", "snapshots"] {
            let path = root.join(directory);
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(StoreError::io("creating", &path))?;
        }
        // It may have been made by someone with a wider idea of who reads it.
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(root, private).map_err(StoreError::io("changing the mode of", root))?;
        let boot_path = "/proc/sys/kernel/random/boot_id";
        let boot = fs::read_to_string(boot_path).map_err(StoreError::io("reading", boot_path))?.trim().to_owned();
        let files = Self { root: root.to_owned(), boot, random, cache: Mutex::new(None) };
        files.collect_garbage()?;
        Ok(files)
    }

    /// Where the store is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The present boot of the machine.
    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// The images as of now. Costs one `stat` when nothing changed.
    ///
    /// # Errors
    /// [`StoreError`] when the index can't be read.
    pub fn index(&self) -> Result<Arc<Index>, StoreError> {
        let path = self.index_path();
        let stamp = match fs::metadata(&path) {
            Ok(metadata) => FileStamp::of(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Arc::default()),
            Err(error) => return Err(StoreError::io("reading", path)(error)),
        };
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((cached, index)) = cache.as_ref()
            && *cached == stamp
        {
            return Ok(index.clone());
        }
        // The file may be replaced between `stat` and `read`; then the stamp is old and the next call reads again.
        let bytes = fs::read(&path).map_err(StoreError::io("reading", &path))?;
        let mut index: Index = serde_json::from_slice(&bytes).map_err(|source| StoreError::Index { path, source })?;
        index.forget_unsynced(&self.boot);
        let index = Arc::new(index);
        *cache = Some((stamp, index.clone()));
        Ok(index)
    }

    /// Changes the index; nobody else changes it meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]; the index is then as it was.
    pub fn update<T>(&self, change: impl FnOnce(&mut Index) -> T) -> Result<T, StoreError> {
        let _lock = lock::exclusive(&self.root.join("index.lock"))?;
        let before = self.index()?;
        let mut index = Index::clone(&before);
        let outcome = change(&mut index);
        if index != *before {
            self.write_index(&index)?;
        }
        Ok(outcome)
    }

    fn write_index(&self, index: &Index) -> Result<(), StoreError> {
        let (path, new) = (self.index_path(), self.root.join("index.json.new"));
        let bytes = serde_json::to_vec(index).expect("an index has string keys only");
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&bytes)?;
            file.sync_data()?;
            fs::rename(&new, &path)
        };
        write().map_err(StoreError::io("writing", &path))
    }

    /// Keeps the garbage collection away while layers or snapshots are added that the index does not refer to yet.
    ///
    /// # Errors
    /// [`StoreError`] when the lock file can't be opened.
    pub fn enter(&self) -> Result<InUse, StoreError> {
        lock::shared(&self.root.join("lock"))
    }

    /// Waits until everything added so far is on the disk and says so in the index. May take seconds: it flushes the
    /// whole file system.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    pub fn sync(&self) -> Result<(), StoreError> {
        let ids = self.index()?.unsynced();
        if ids.is_empty() {
            return Ok(());
        }
        let root = fs::File::open(&self.root).map_err(StoreError::io("opening", &self.root))?;
        rustix::fs::syncfs(&root).map_err(StoreError::io("syncing", &self.root))?;
        self.update(|index| index.mark_synced(&ids))
    }

    /// Directory of a layer's content, for overlayfs.
    pub fn layer_content(&self, diff_id: &Digest) -> PathBuf {
        self.layer_path(diff_id).join("fs")
    }

    /// Whether the layer is here.
    pub fn has_layer(&self, diff_id: &Digest) -> bool {
        self.layer_path(diff_id).exists()
    }

    /// Disk use of a layer.
    ///
    /// # Errors
    /// [`StoreError`] when the layer is not here.
    pub fn layer_usage(&self, diff_id: &Digest) -> Result<Usage, StoreError> {
        let path = self.layer_path(diff_id).join("usage.json");
        let bytes = fs::read(&path).map_err(StoreError::io("reading", &path))?;
        serde_json::from_slice(&bytes).map_err(|source| StoreError::Index { path, source })
    }

    /// Directory of a container's snapshot. `container_id` must be checked before.
    pub(crate) fn snapshots_path(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.root.join("layers").join(diff_id.hex())
    }

    /// A name in `staging/` that nobody else has.
    pub(crate) fn staging_path(&self) -> PathBuf {
        self.root.join("staging").join(self.random.uuid())
    }
}
