//! Removal of what nothing refers to.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{ImageFiles, lock};
use crate::image::digest::Digest;
use crate::image::error::StoreError;

impl ImageFiles {
    /// Removes layers that no image needs, removed images that no container uses, and what crashed processes left in
    /// `staging/`. Does nothing while anyone adds to the store; whoever does collects afterwards.
    ///
    /// # Errors
    /// [`StoreError`]; a later collection continues where this one ended.
    pub fn collect_garbage(&self) -> Result<(), StoreError> {
        // Collectors wait for each other: the one before may have looked before the garbage was made.
        let _turn = lock::exclusive(&self.root.join("garbage.lock"))?;
        let Some(in_use) = lock::try_exclusive(&self.root.join("lock"))? else { return Ok(()) };
        let used = self.images_of_snapshots()?;
        self.update(|index| index.forget_removed(&used))?;
        let index = self.index()?;
        let needed: BTreeSet<&str> = index.layers().into_iter().map(Digest::hex).collect();
        for layer in entries(&self.root.join("layers"))? {
            let name = layer.file_name().and_then(|name| name.to_str());
            if name.is_none_or(|name| !needed.contains(name)) {
                let out = self.staging_path();
                fs::rename(&layer, &out).map_err(StoreError::io("removing", &layer))?;
            }
        }
        let garbage = entries(&self.root.join("staging"))?;
        // Nobody waits for the slow part: the names are gone from `layers/`, and nobody reuses one in `staging/`.
        drop(in_use);
        garbage.iter().try_for_each(|path| remove(path))
    }

    fn images_of_snapshots(&self) -> Result<BTreeSet<Digest>, StoreError> {
        let snapshots = entries(&self.snapshots_path())?;
        let image = |path: &PathBuf| Digest::parse(fs::read_link(path.join("image")).ok()?.to_str()?);
        Ok(snapshots.iter().filter_map(image).collect())
    }
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let list = || fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    list().map_err(StoreError::io("listing", directory))
}

/// Another process may be removing the same thing.
fn remove(path: &Path) -> Result<(), StoreError> {
    let outcome = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(StoreError::io("removing", path)),
    }
}
