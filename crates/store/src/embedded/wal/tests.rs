use std::sync::Arc;

use bytes::Bytes;
use redb::backends::InMemoryBackend;

use super::super::record::Change;
use super::*;
use crate::Tier;

const EPOCH: Epoch = Epoch { store: 77, number: 3 };

fn record(revision: u64, length: usize) -> Record {
    let value = Bytes::from(vec![revision as u8; length]);
    let change = Change::Put { value, tier: Tier::Durable };
    Record { revision: Revision(revision), previous: None, at_ms: 1, key: Arc::from("/key"), change }
}

fn append(wal: &mut Wal, records: &[Record], reserved: u64) {
    let mut bytes = Vec::new();
    records.iter().for_each(|record| push_record(&mut bytes, record));
    wal.append(&bytes, Revision(reserved)).unwrap();
}

/// A log of three frames: one record, two large ones, none.
fn written() -> (Vec<u8>, Vec<Record>) {
    let file = InMemoryBackend::new();
    let mut wal = Wal::start(Box::new(file), EPOCH).unwrap();
    let records = [record(1, 10), record(2, 5000), record(3, 6000)];
    append(&mut wal, &records[..1], 11);
    append(&mut wal, &records[1..], 13);
    append(&mut wal, &[], 23);
    let image = read_all(&*wal.file).unwrap();
    (image, records.to_vec())
}

fn file_of(image: &[u8]) -> InMemoryBackend {
    let file = InMemoryBackend::new();
    file.set_len(image.len() as u64).unwrap();
    file.write(0, image).unwrap();
    file
}

#[test]
fn frames_are_read_back_in_order() {
    let (image, records) = written();
    assert_eq!(image.len(), 4096 + 3 * 4096 + 4096);
    let replayed = replay(&file_of(&image), EPOCH).unwrap();
    assert_eq!(replayed, Replay { records, reserved: Revision(23) });
    assert!(holds_frames(&file_of(&image)).unwrap());
    assert!(!holds_frames(&file_of(&[0; 8192])).unwrap());
}

#[test]
fn a_log_cut_off_anywhere_keeps_its_whole_frames() {
    let (image, records) = written();
    let entry = |record: &Record| 8 + 4 + record.encoded_len();
    let first_end = HEADER_BYTES + entry(&records[0]);
    let second_end = BLOCK_BYTES + HEADER_BYTES + entry(&records[1]) + entry(&records[2]);
    for length in (0..image.len()).step_by(97) {
        let replayed = replay(&file_of(&image[..length]), EPOCH).unwrap();
        let whole = if length < first_end {
            0
        } else if length < second_end {
            1
        } else {
            3
        };
        assert_eq!(replayed.records, records[..whole], "{length} bytes");
    }
}

#[test]
fn a_torn_last_frame_is_left_out() {
    let (mut image, records) = written();
    image[4 * 4096 + 20] ^= 1;
    let replayed = replay(&file_of(&image), EPOCH).unwrap();
    assert_eq!(replayed, Replay { records, reserved: Revision(13) });
}

#[test]
fn damage_before_a_whole_frame_is_reported() {
    let (image, _) = written();
    for offset in [0, 9, 17, 60, 4096, 4096 + 5000] {
        let mut damaged = image.clone();
        damaged[offset] ^= 1;
        let outcome = replay(&file_of(&damaged), EPOCH);
        assert!(matches!(outcome, Err(ReplayError::Damaged { .. })), "byte {offset}: {outcome:?}");
    }
}

#[test]
fn frames_of_other_epochs_and_stores_do_not_count() {
    let (image, _) = written();
    for epoch in [Epoch { number: 4, ..EPOCH }, Epoch { store: 78, ..EPOCH }] {
        assert_eq!(replay(&file_of(&image), epoch).unwrap(), Replay::default());
    }
}

#[test]
fn a_new_epoch_writes_over_the_old_one() {
    let file = InMemoryBackend::new();
    let mut wal = Wal::start(Box::new(file), EPOCH).unwrap();
    (1..=5).for_each(|revision| append(&mut wal, &[record(revision, 10)], 100));
    wal.begin_epoch(4).unwrap();
    assert_eq!(wal.used_bytes(), 0);
    append(&mut wal, &[record(6, 10)], 100);
    assert_eq!(replay(&*wal.file, Epoch { number: 4, ..EPOCH }).unwrap().records, [record(6, 10)]);
}

#[test]
fn a_log_that_outgrew_its_space_gives_it_back() {
    let mut wal = Wal::start(Box::new(InMemoryBackend::new()), EPOCH).unwrap();
    append(&mut wal, &[record(1, RESERVED_BYTES as usize + 1)], 100);
    assert!(wal.file.len().unwrap() > RESERVED_BYTES);
    wal.begin_epoch(4).unwrap();
    assert_eq!(wal.file.len().unwrap(), RESERVED_BYTES);
}
