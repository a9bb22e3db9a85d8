//! Adding a layer: decompress, unpack, verify, rename into place.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use super::ImageFiles;
use crate::image::compression::decompress;
use crate::image::digest::{Digest, DigestReader};
use crate::image::error::{LayerError, StoreError};
use crate::image::unpack::{UnpackError, Usage, unpack};

impl ImageFiles {
    /// Unpacks a layer from its blob, compressed or not. `blob` is the digest the blob must have, where one is known;
    /// `diff_id` that of the tar stream inside. The caller holds [`ImageFiles::enter`]'s lock.
    ///
    /// # Errors
    /// [`LayerError`]; then nothing is left behind.
    pub fn add_layer(&self, stream: impl Read, blob: Option<&Digest>, diff_id: &Digest) -> Result<(), LayerError> {
        let staged = self.staging_path();
        let outcome = self.stage_layer(&staged, stream, blob, diff_id).and_then(|()| self.publish(&staged, diff_id));
        if outcome.is_err() {
            // The next collection removes what can't be removed now; the error to report is the first one.
            let _ = fs::remove_dir_all(&staged);
        }
        outcome
    }

    fn stage_layer(
        &self,
        staged: &Path,
        stream: impl Read,
        blob: Option<&Digest>,
        diff_id: &Digest,
    ) -> Result<(), LayerError> {
        let content = staged.join("fs");
        let create = || {
            fs::DirBuilder::new().mode(0o700).create(staged)?;
            fs::DirBuilder::new().create(&content)?;
            fs::set_permissions(&content, fs::Permissions::from_mode(0o755))?;
            fs::File::open(&content)
        };
        let root = create().map_err(StoreError::io("creating", &content))?;
        let usage = unpack_verified(stream, &root, blob, diff_id)?;
        let path = staged.join("usage.json");
        let bytes = serde_json::to_vec(&usage).expect("two numbers");
        Ok(fs::write(&path, bytes).map_err(StoreError::io("writing", &path))?)
    }

    /// Whoever comes first wins; the content is the same.
    fn publish(&self, staged: &Path, diff_id: &Digest) -> Result<(), LayerError> {
        let path = self.layer_path(diff_id);
        match fs::rename(staged, &path) {
            Err(_) if path.exists() => Ok(fs::remove_dir_all(staged).map_err(StoreError::io("removing", staged))?),
            outcome => Ok(outcome.map_err(StoreError::io("creating", path))?),
        }
    }
}

fn unpack_verified(
    stream: impl Read,
    root: impl AsFd,
    blob: Option<&Digest>,
    diff_id: &Digest,
) -> Result<Usage, LayerError> {
    let unpack_error = |source| LayerError::Unpack { diff_id: diff_id.clone(), source };
    let damaged = |error| unpack_error(UnpackError::Stream(error));
    let mut compressed = DigestReader::new(stream);
    let mut tar = DigestReader::new(decompress(&mut compressed).map_err(damaged)?);
    let usage = unpack(&mut tar, root.as_fd()).map_err(unpack_error)?;
    // What follows the end-of-archive mark counts for the digests, too.
    let actual = tar.finish().map_err(damaged)?;
    check(diff_id, actual)?;
    if let Some(expected) = blob {
        check(expected, compressed.finish().map_err(damaged)?)?;
    }
    Ok(usage)
}

fn check(expected: &Digest, actual: Digest) -> Result<(), LayerError> {
    if *expected == actual { Ok(()) } else { Err(LayerError::Digest { expected: expected.clone(), actual }) }
}
