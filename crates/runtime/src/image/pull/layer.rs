//! One layer: its bytes go from the registry through a bounded channel to a thread that unpacks them.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use tokio::sync::mpsc;
use tracing::warn;

use super::Puller;
use super::progress::Progress;
use crate::image::digest::Digest;
use crate::image::error::{LayerError, PullError, RegistryError};
use crate::image::manifest::Descriptor;
use crate::image::registry::Registry;
use crate::image::store::InUse;

/// Pieces between network and disk; a piece is what one read of the connection gave, at most some ten KiB.
const PIECES_IN_FLIGHT: usize = 64;
const RESUMES_MAX: u32 = 4;
const RESUME_DELAY: Duration = Duration::from_millis(250);

impl Puller {
    /// Makes sure the layer is in the store.
    pub(super) async fn fetch_layer(
        &self,
        registry: &Registry,
        blob: Descriptor,
        diff_id: Digest,
        in_use: &Arc<InUse>,
        progress: &Progress,
    ) -> Result<(), PullError> {
        let turn = self.layer_turn(&diff_id);
        let _turn = turn.lock().await;
        if self.files.has_layer(&diff_id) {
            progress.layer_reused(blob.size);
            return Ok(());
        }
        let (sender, pieces) = mpsc::channel(PIECES_IN_FLIGHT);
        let (files, expected, id) = (self.files.clone(), blob.digest.clone(), diff_id.clone());
        // The lock goes with the work: a thread can't be cancelled, and goes on for a moment when the pull is.
        let in_use = in_use.clone();
        let unpacking = tokio::task::spawn_blocking(move || {
            let _in_use = in_use;
            files.add_layer(PieceReader { pieces, piece: Bytes::new() }, Some(&expected), &id)
        });
        let downloaded = download(registry, &blob, sender, progress).await;
        let unpacked = unpacking.await.unwrap_or(Err(LayerError::Aborted(diff_id)));
        // A broken download makes the unpacking fail, too; the download's error is the cause.
        downloaded.map_err(|source| PullError::Fetch { digest: blob.digest, source })?;
        unpacked?;
        progress.layer_done();
        Ok(())
    }
}

/// Sends the whole blob into the channel, resuming when the connection breaks. Ends early when nobody reads.
async fn download(
    registry: &Registry,
    blob: &Descriptor,
    sender: mpsc::Sender<Bytes>,
    progress: &Progress,
) -> Result<(), RegistryError> {
    let mut offset = 0;
    for attempt in 0.. {
        let error = match download_from(registry, blob, &mut offset, &sender, progress).await {
            Err(error @ RegistryError::Request { .. }) => error,
            outcome => return outcome,
        };
        if attempt == RESUMES_MAX {
            return Err(error);
        }
        warn!(blob = %blob.digest, offset, %error, "download broke, resuming");
        tokio::time::sleep(RESUME_DELAY * 2_u32.pow(attempt)).await;
    }
    unreachable!("the loop has no end of its own")
}

async fn download_from(
    registry: &Registry,
    blob: &Descriptor,
    offset: &mut u64,
    sender: &mpsc::Sender<Bytes>,
    progress: &Progress,
) -> Result<(), RegistryError> {
    let mut stream = registry.blob(blob, *offset).await?;
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| registry.broken(error))?;
        let length = piece.len() as u64;
        *offset += length;
        if *offset > blob.size {
            return Err(RegistryError::TooLarge { what: blob.digest.to_string(), limit: blob.size });
        }
        if sender.send(piece).await.is_err() {
            return Ok(());
        }
        progress.fetched(length);
    }
    match *offset == blob.size {
        true => Ok(()),
        false => Err(registry.broken(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// Reads what the channel brings; the end of the channel is the end of the stream.
struct PieceReader {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
