//! A disk that loses power.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use crate::tests::Sequence;

/// What is torn is torn at these boundaries.
const SECTOR: usize = 512;

/// A file on a disk that keeps, of what was not synced when the power went, any part.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What a reader sees.
    live: Vec<u8>,
    /// What is safe.
    synced: Vec<u8>,
    /// What was done since the last sync.
    pending: Vec<Change>,
    /// Syncs until the disk fails, if it is to fail.
    syncs_left: Option<u64>,
    syncs: u64,
    /// Where all changes are noted, and as whose.
    journal: Option<(Journal, usize)>,
}

/// What is done to a file.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

/// Everything that is done to some disks, in order, each change with the number of its disk.
pub(super) type Journal = Arc<Mutex<Vec<(usize, Change)>>>;

impl Change {
    /// Does it to an image.
    pub(super) fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Length(length) => image.resize(*length, 0),
            Self::Write { offset, data } => write(image, *offset, data),
        }
    }

    /// The ways in which it may be half done: of a write only the first sectors, or only the last.
    pub(super) fn torn(&self, sequence: &mut Sequence) -> Vec<Self> {
        let Self::Write { offset, data } = self else { return Vec::new() };
        let sectors = data.len().div_ceil(SECTOR) as u64;
        if sectors < 2 {
            return Vec::new();
        }
        let cut = usize::try_from(1 + sequence.below(sectors - 1)).unwrap() * SECTOR;
        let (first, last) = data.split_at(cut);
        vec![
            Self::Write { offset: *offset, data: first.to_vec() },
            Self::Write { offset: offset + cut, data: last.to_vec() },
        ]
    }
}

impl State {
    fn note(&mut self, change: Change) {
        if let Some((journal, number)) = &self.journal {
            journal.lock().unwrap().push((*number, change.clone()));
        }
        self.pending.push(change);
    }
}

impl Disk {
    /// A disk that holds this.
    pub(super) fn of(image: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { live: image.clone(), synced: image, ..State::default() })))
    }

    /// An empty disk whose changes are noted under a number.
    pub(super) fn noted(journal: &Journal, number: usize) -> Self {
        Self(Arc::new(Mutex::new(State { journal: Some((Arc::clone(journal), number)), ..State::default() })))
    }

    /// What may be found after a power cut now: everything synced, and of the rest a random part.
    pub(super) fn crash_image(&self, sequence: &mut Sequence) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        let mut image = state.synced.clone();
        let survival = sequence.below(5);
        for change in &state.pending {
            match change {
                Change::Length(length) if sequence.below(4) < survival => image.resize(*length, 0),
                Change::Length(_) => {}
                Change::Write { offset, data } => {
                    for (index, sector) in data.chunks(SECTOR).enumerate() {
                        if sequence.below(4) < survival {
                            write(&mut image, offset + index * SECTOR, sector);
                        }
                    }
                }
            }
        }
        image
    }

    /// Lets this many more syncs succeed.
    pub(super) fn fail_after(&self, syncs: u64) {
        self.0.lock().unwrap().syncs_left = Some(syncs);
    }

    /// How many syncs there were.
    pub(super) fn syncs(&self) -> u64 {
        self.0.lock().unwrap().syncs
    }
}

/// Writes where the file may be too short: the part of a growing file that made it to the disk.
fn write(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if image.len() < offset + data.len() {
        image.resize(offset + data.len(), 0);
    }
    image[offset..offset + data.len()].copy_from_slice(data);
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let offset = offset as usize;
        let data = state.live.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(data);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.live.resize(len as usize, 0);
        state.note(Change::Length(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if let Some(left) = &mut state.syncs_left {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("the disk is gone"))?;
        }
        state.syncs += 1;
        state.synced = state.live.clone();
        state.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let offset = offset as usize;
        if state.live.len() < offset + data.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        state.live[offset..offset + data.len()].copy_from_slice(data);
        state.note(Change::Write { offset, data: data.to_vec() });
        Ok(())
    }
}
