//! The write-ahead log: where a commit becomes durable (see FORMAT.md).
//!
//! One append is one frame and costs one write and one sync. Frames start on block boundaries, so that writing one can
//! never tear an acknowledged one. The file is written over from its start in every epoch; a checkpoint begins a new
//! epoch, which makes all older frames void without touching them.

use std::io;

use redb::StorageBackend;

use super::record::{Malformed, Record};
use crate::Revision;

/// Unit of writing; no two frames share a block.
pub(crate) const BLOCK_BYTES: usize = 4096;
/// Space kept for frames, so that an append seldom has to change the file's size, which costs a second disk write.
pub(crate) const RESERVED_BYTES: u64 = 4 << 20;

const MAGIC: [u8; 8] = *b"isopwal1";
const HEADER_BYTES: usize = 56;

/// Which frames count: those of this store, written since the last checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch {
    /// Identifies the store.
    pub(crate) store: u64,
    /// Counts checkpoints.
    pub(crate) number: u64,
}

/// The log, open for appending.
#[derive(Debug)]
pub(crate) struct Wal {
    file: Box<dyn StorageBackend>,
    epoch: Epoch,
    /// Number of the next frame in this epoch.
    sequence: u64,
    /// Where the next frame goes.
    offset: u64,
    /// Length of the file.
    length: u64,
}

/// What an epoch's frames hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Replay {
    /// Every commit, in revision order.
    pub(crate) records: Vec<Record>,
    /// No revision above this one had been handed out.
    pub(crate) reserved: Revision,
}

/// Why a log can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error("reading the write-ahead log")]
    Read(#[source] io::Error),
    /// Frame `sequence` is damaged although a later one was written, so it was whole once.
    #[error("frame {sequence} of the write-ahead log at byte {offset} is damaged")]
    Damaged { sequence: u64, offset: u64 },
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the write-ahead log goes on with revision {found:?} instead of {expected:?}")]
    Order { expected: Revision, found: Revision },
}

impl Wal {
    /// Opens the log for an epoch without frames.
    pub(crate) fn start(file: Box<dyn StorageBackend>, epoch: Epoch) -> io::Result<Self> {
        let length = file.len()?;
        Ok(Self { file, epoch, sequence: 0, offset: 0, length })
    }

    /// Begins the next epoch: the frames so far are void.
    pub(crate) fn begin_epoch(&mut self, number: u64) -> io::Result<()> {
        self.epoch.number = number;
        self.sequence = 0;
        self.offset = 0;
        if self.length > RESERVED_BYTES {
            self.file.set_len(RESERVED_BYTES)?;
            self.length = RESERVED_BYTES;
        }
        Ok(())
    }

    /// Bytes used by this epoch's frames.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.offset
    }

    /// Makes records (see [`push_record`]) durable.
    ///
    /// # Errors
    /// After one, it is unknown what is on disk and the log must not be used any further.
    pub(crate) fn append(&mut self, records: &[u8], reserved: Revision) -> io::Result<()> {
        let frame = encode_frame(self.epoch, self.sequence, reserved, records);
        let end = self.offset + frame.len() as u64;
        if end > self.length {
            self.file.set_len(end)?;
            self.length = end;
        }
        self.file.write(self.offset, &frame)?;
        self.file.sync_data()?;
        self.offset = end;
        self.sequence += 1;
        Ok(())
    }
}

/// Appends one record with its revision and length, as frames hold them.
pub(crate) fn push_record(out: &mut Vec<u8>, record: &Record) {
    let length = u32::try_from(record.encoded_len()).expect("a record is shorter than 4 GiB");
    out.extend_from_slice(&record.revision.0.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    record.encode_into(out);
}

/// Reads an epoch's frames. What follows the last whole frame was never acknowledged and is left out.
pub(crate) fn replay(file: &dyn StorageBackend, epoch: Epoch) -> Result<Replay, ReplayError> {
    let image = read_all(file).map_err(ReplayError::Read)?;
    let mut replay = Replay::default();
    let mut offset = 0;
    for sequence in 0.. {
        let Some(frame) = decode_frame(&image[offset..]).filter(|frame| frame.is(epoch, sequence)) else {
            refuse_later_frame(&image[offset..], epoch, sequence, offset)?;
            break;
        };
        decode_records(frame.records, &mut replay.records)?;
        replay.reserved = frame.reserved;
        offset = image.len().min(offset + frame_bytes(frame.records.len()));
    }
    Ok(replay)
}

/// Whether the log holds any whole frame, of whichever store or epoch.
pub(crate) fn holds_frames(file: &dyn StorageBackend) -> io::Result<bool> {
    Ok(blocks(&read_all(file)?).any(|(_, block)| decode_frame(block).is_some()))
}

fn read_all(file: &dyn StorageBackend) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut image = vec![0; length];
    file.read(0, &mut image)?;
    Ok(image)
}

/// A frame is only written once the one before it is on disk: a later one proves that the damage is no torn write.
fn refuse_later_frame(image: &[u8], epoch: Epoch, sequence: u64, offset: usize) -> Result<(), ReplayError> {
    let is_later = |frame: Frame<'_>| frame.epoch == epoch && frame.sequence > sequence;
    if blocks(image).any(|(_, block)| decode_frame(block).is_some_and(is_later)) {
        return Err(ReplayError::Damaged { sequence, offset: offset as u64 });
    }
    Ok(())
}

fn blocks(image: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    (0..image.len()).step_by(BLOCK_BYTES).map(|offset| (offset, &image[offset..]))
}

#[derive(Debug, Clone, Copy)]
struct Frame<'a> {
    epoch: Epoch,
    sequence: u64,
    reserved: Revision,
    records: &'a [u8],
}

impl Frame<'_> {
    fn is(&self, epoch: Epoch, sequence: u64) -> bool {
        self.epoch == epoch && self.sequence == sequence
    }
}

fn frame_bytes(records_length: usize) -> usize {
    (HEADER_BYTES + records_length).next_multiple_of(BLOCK_BYTES)
}

fn encode_frame(epoch: Epoch, sequence: u64, reserved: Revision, records: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(frame_bytes(records.len()));
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&[0; 8]);
    for field in [epoch.store, epoch.number, sequence, reserved.0, records.len() as u64] {
        frame.extend_from_slice(&field.to_le_bytes());
    }
    frame.extend_from_slice(records);
    let checksum = u64::from(crc32fast::hash(&frame[16..]));
    frame[8..16].copy_from_slice(&checksum.to_le_bytes());
    // Whole blocks are written, so that no block has to be read from disk first.
    frame.resize(frame_bytes(records.len()), 0);
    frame
}

/// The frame at the start of `image`, if there is a whole one.
fn decode_frame(image: &[u8]) -> Option<Frame<'_>> {
    let (header, rest) = image.split_first_chunk::<HEADER_BYTES>()?;
    if header[..8] != MAGIC {
        return None;
    }
    let field = |index: usize| {
        let bytes = header[8 + 8 * index..].first_chunk::<8>().expect("the header has six fields");
        u64::from_le_bytes(*bytes)
    };
    let length = usize::try_from(field(5)).ok()?;
    let records = rest.get(..length)?;
    if field(0) != u64::from(crc32fast::hash(&image[16..HEADER_BYTES + length])) {
        return None;
    }
    Some(Frame {
        epoch: Epoch { store: field(1), number: field(2) },
        sequence: field(3),
        reserved: Revision(field(4)),
        records,
    })
}

fn decode_records(mut bytes: &[u8], records: &mut Vec<Record>) -> Result<(), Malformed> {
    let malformed = |records: &[Record]| Malformed(records.last().map_or(Revision(0), |record| record.revision));
    while !bytes.is_empty() {
        let (revision, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| malformed(records))?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(|| malformed(records))?;
        let length = u32::from_le_bytes(*length) as usize;
        let (record, rest) = rest.split_at_checked(length).ok_or_else(|| malformed(records))?;
        records.push(Record::decode(Revision(u64::from_le_bytes(*revision)), record)?);
        bytes = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
