//! One commit as it is kept, and its bytes (see FORMAT.md).

use std::sync::Arc;

use bytes::Bytes;

use crate::{Event, KeyValue, Revision, Tier};

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) revision: Revision,
    /// The commit that wrote the value this one replaced.
    pub(crate) previous: Option<Revision>,
    /// When it was made, in milliseconds since the epoch.
    pub(crate) at_ms: i64,
    pub(crate) key: Arc<str>,
    pub(crate) change: Change,
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Put {
        value: Bytes,
        tier: Tier,
    },
    Delete,
    /// Stands for the revisions before it that a crash may have lost. It has no key and watchers never see it.
    Gap,
}

/// The part of a record that is enough to forget it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub(crate) previous: Option<Revision>,
    pub(crate) at_ms: i64,
    /// Whether it left a value behind.
    pub(crate) is_put: bool,
}

/// Bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record of revision {} is damaged", .0.0)]
pub(crate) struct Malformed(pub(crate) Revision);

const PUT_DURABLE: u8 = 1;
const PUT_VOLATILE: u8 = 2;
const DELETE: u8 = 3;
const GAP: u8 = 4;

const CHECKSUM_BYTES: usize = 4;
/// Checksum, kind, previous revision, time, length of the key.
const FIXED_BYTES: usize = 4 + 1 + 8 + 8 + 4;

impl Record {
    /// The value it left behind.
    pub(crate) fn key_value(&self) -> Option<KeyValue> {
        match &self.change {
            Change::Put { value, .. } => {
                Some(KeyValue { key: self.key.clone(), value: value.clone(), revision: self.revision })
            }
            Change::Delete | Change::Gap => None,
        }
    }

    /// What watchers see of it, given the value it replaced.
    pub(crate) fn event(&self, previous: Option<(Bytes, Revision)>) -> Option<Event> {
        let value = match &self.change {
            Change::Put { value, .. } => Some(value.clone()),
            Change::Delete => None,
            Change::Gap => return None,
        };
        Some(Event { key: self.key.clone(), value, previous, revision: self.revision })
    }

    /// Length of its bytes; also what it counts for in memory and in the history.
    pub(crate) fn encoded_len(&self) -> usize {
        FIXED_BYTES + self.key.len() + self.value().map_or(0, Bytes::len)
    }

    /// How urgent it is to bring its removal to disk.
    pub(crate) fn tier(&self) -> Tier {
        match &self.change {
            Change::Put { tier, .. } => *tier,
            Change::Delete | Change::Gap => Tier::Durable,
        }
    }

    fn value(&self) -> Option<&Bytes> {
        match &self.change {
            Change::Put { value, .. } => Some(value),
            Change::Delete | Change::Gap => None,
        }
    }

    /// Appends its bytes; the revision is not among them, as it is the key they are kept under.
    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; CHECKSUM_BYTES]);
        out.push(match &self.change {
            Change::Put { tier: Tier::Durable, .. } => PUT_DURABLE,
            Change::Put { tier: Tier::Volatile, .. } => PUT_VOLATILE,
            Change::Delete => DELETE,
            Change::Gap => GAP,
        });
        out.extend_from_slice(&self.previous.map_or(0, |revision| revision.0).to_le_bytes());
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        let key_length = u32::try_from(self.key.len()).expect("keys are shorter than 4 GiB");
        out.extend_from_slice(&key_length.to_le_bytes());
        out.extend_from_slice(self.key.as_bytes());
        if let Some(value) = self.value() {
            out.extend_from_slice(value);
        }
        let checksum = checksum(self.revision, &out[start + CHECKSUM_BYTES..]);
        out[start..start + CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads the bytes back.
    pub(crate) fn decode(revision: Revision, bytes: &[u8]) -> Result<Self, Malformed> {
        let malformed = || Malformed(revision);
        let (expected, body) = bytes.split_first_chunk::<CHECKSUM_BYTES>().ok_or_else(malformed)?;
        if checksum(revision, body) != u32::from_le_bytes(*expected) {
            return Err(malformed());
        }
        let (kind, head, rest) = split(body).ok_or_else(malformed)?;
        let (key_length, rest) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
        let key_length = u32::from_le_bytes(*key_length) as usize;
        let (key, value) = rest.split_at_checked(key_length).ok_or_else(malformed)?;
        let key = std::str::from_utf8(key).map_err(|_| malformed())?.into();
        let put = |tier| Change::Put { value: Bytes::copy_from_slice(value), tier };
        let change = match kind {
            PUT_DURABLE => put(Tier::Durable),
            PUT_VOLATILE => put(Tier::Volatile),
            DELETE => Change::Delete,
            GAP => Change::Gap,
            _ => return Err(malformed()),
        };
        Ok(Self { revision, previous: head.previous, at_ms: head.at_ms, key, change })
    }
}

impl RecordHead {
    /// Reads the start of a record's bytes.
    pub(crate) fn decode(revision: Revision, bytes: &[u8]) -> Result<Self, Malformed> {
        let body = bytes.get(CHECKSUM_BYTES..).ok_or(Malformed(revision))?;
        split(body).map(|(_, head, _)| head).ok_or(Malformed(revision))
    }
}

/// Covers the revision too, so that a record is not taken for another one.
fn checksum(revision: Revision, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&revision.0.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

fn split(bytes: &[u8]) -> Option<(u8, RecordHead, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (previous, rest) = rest.split_first_chunk::<8>()?;
    let (at_ms, rest) = rest.split_first_chunk::<8>()?;
    let previous = Some(u64::from_le_bytes(*previous)).filter(|revision| *revision != 0).map(Revision);
    let is_put = matches!(*kind, PUT_DURABLE | PUT_VOLATILE);
    Some((*kind, RecordHead { previous, at_ms: i64::from_le_bytes(*at_ms), is_put }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(change: Change) -> Record {
        Record { revision: Revision(7), previous: Some(Revision(3)), at_ms: -5, key: "/a/b".into(), change }
    }

    #[test]
    fn every_kind_of_record_is_read_back_as_written() {
        let value = Bytes::from_static(b"value");
        for change in [
            Change::Put { value: value.clone(), tier: Tier::Durable },
            Change::Put { value: Bytes::new(), tier: Tier::Volatile },
            Change::Delete,
            Change::Gap,
        ] {
            let record = record(change);
            let mut bytes = Vec::new();
            record.encode_into(&mut bytes);
            assert_eq!(bytes.len(), record.encoded_len());
            assert_eq!(Record::decode(Revision(7), &bytes), Ok(record.clone()));
            let head = RecordHead::decode(Revision(7), &bytes).unwrap();
            assert_eq!(head.is_put, record.key_value().is_some());
            assert_eq!((head.previous, head.at_ms), (Some(Revision(3)), -5));
        }
    }

    #[test]
    fn bytes_that_are_no_record_are_refused() {
        let mut bytes = Vec::new();
        record(Change::Delete).encode_into(&mut bytes);
        for length in 0..bytes.len() {
            assert_eq!(Record::decode(Revision(1), &bytes[..length]), Err(Malformed(Revision(1))), "{length} bytes");
        }
        assert_eq!(Record::decode(Revision(1), &bytes), Err(Malformed(Revision(1))), "it is of revision 7");
        for index in 0..bytes.len() {
            bytes[index] ^= 0x10;
            assert_eq!(Record::decode(Revision(7), &bytes), Err(Malformed(Revision(7))), "byte {index}");
            bytes[index] ^= 0x10;
        }
    }
}
