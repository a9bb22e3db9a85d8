//! The bytes of a backup: one [`Snapshot`], with everything that tells a whole one from another (see FORMAT.md).

use bytes::Bytes;

use crate::{KeyValue, Revision, Snapshot};

const MAGIC: [u8; 8] = *b"isopsnp1";
/// Magic, revision, number of items.
const HEAD_BYTES: usize = 24;
/// Revision, length of the key, length of the value.
const ITEM_HEAD_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 4;

/// Why bytes are no backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSnapshot {
    /// They do not begin like one.
    #[error("it is no snapshot of isopod's")]
    Foreign,
    /// The end is missing.
    #[error("the snapshot is cut off")]
    CutOff,
    /// They were changed.
    #[error("the snapshot is damaged")]
    Damaged,
}

/// The bytes of a backup, piece by piece.
pub fn encode(snapshot: &Snapshot) -> impl Iterator<Item = Vec<u8>> + '_ {
    let mut checksum = crc32fast::Hasher::new();
    let pieces = std::iter::once(head(snapshot)).chain(snapshot.items.iter().map(item));
    let mut pieces = pieces.map(Some).chain([None]);
    std::iter::from_fn(move || match pieces.next()? {
        Some(piece) => {
            checksum.update(&piece);
            Some(piece)
        }
        None => Some(checksum.clone().finalize().to_le_bytes().to_vec()),
    })
}

fn head(snapshot: &Snapshot) -> Vec<u8> {
    let count = snapshot.items.len() as u64;
    [MAGIC, snapshot.revision.0.to_le_bytes(), count.to_le_bytes()].concat()
}

fn item(item: &KeyValue) -> Vec<u8> {
    let mut piece = Vec::with_capacity(ITEM_HEAD_BYTES + item.key.len() + item.value.len());
    piece.extend_from_slice(&item.revision.0.to_le_bytes());
    for length in [item.key.len(), item.value.len()] {
        let length = u32::try_from(length).expect("keys and values are shorter than 4 GiB");
        piece.extend_from_slice(&length.to_le_bytes());
    }
    piece.extend_from_slice(item.key.as_bytes());
    piece.extend_from_slice(&item.value);
    piece
}

/// Reads a backup back.
///
/// # Errors
/// [`NoSnapshot`].
pub fn decode(bytes: &Bytes) -> Result<Snapshot, NoSnapshot> {
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] {
        return Err(NoSnapshot::Foreign);
    }
    let content = bytes.len().checked_sub(CHECKSUM_BYTES).filter(|length| *length >= HEAD_BYTES);
    let content = bytes.slice(..content.ok_or(NoSnapshot::CutOff)?);
    let (revision, count) = (number(&content, 8), number(&content, 16));
    let (items, end) = items(&content, count)?;
    if end != content.len() || bytes[end..] != crc32fast::hash(&content).to_le_bytes() {
        return Err(NoSnapshot::Damaged);
    }
    Ok(Snapshot { revision: Revision(revision), items })
}

/// The items, and where they end.
fn items(content: &Bytes, count: u64) -> Result<(Vec<KeyValue>, usize), NoSnapshot> {
    let mut items = Vec::new();
    let mut at = HEAD_BYTES;
    for _ in 0..count {
        let head = content.get(at..at + ITEM_HEAD_BYTES).ok_or(NoSnapshot::CutOff)?;
        let lengths = number(head, 8);
        let (key_length, value_length) = ((lengths & 0xffff_ffff) as usize, (lengths >> 32) as usize);
        let key_at = at + ITEM_HEAD_BYTES;
        let (value_at, end) = (key_at + key_length, key_at + key_length + value_length);
        let key = content.get(key_at..value_at).ok_or(NoSnapshot::CutOff)?;
        let key = std::str::from_utf8(key).map_err(|_| NoSnapshot::Damaged)?.into();
        if end > content.len() {
            return Err(NoSnapshot::CutOff);
        }
        items.push(KeyValue { key, value: content.slice(value_at..end), revision: Revision(number(head, 0)) });
        at = end;
    }
    Ok((items, at))
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes[at..].first_chunk::<8>().expect("the head was found to be there");
    u64::from_le_bytes(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let item = |key: &str, value: &'static str, revision| KeyValue {
            key: key.into(),
            value: value.into(),
            revision: Revision(revision),
        };
        Snapshot { revision: Revision(9), items: vec![item("/a", "one", 3), item("/ключ", "", 9)] }
    }

    fn encoded(snapshot: &Snapshot) -> Bytes {
        encode(snapshot).flatten().collect::<Vec<u8>>().into()
    }

    #[test]
    fn what_is_written_is_read() {
        let empty = Snapshot { revision: Revision(0), items: vec![] };
        for snapshot in [snapshot(), empty] {
            assert_eq!(decode(&encoded(&snapshot)), Ok(snapshot));
        }
    }

    #[test]
    fn whatever_is_missing_or_changed_is_noticed() {
        let whole = encoded(&snapshot());
        for length in 0..whole.len() {
            assert!(decode(&whole.slice(..length)).is_err(), "cut off at {length}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.to_vec();
            changed[at] ^= 0x10;
            assert!(decode(&changed.into()).is_err(), "changed at {at}");
        }
        let longer = [&whole[..], b"x"].concat();
        assert_eq!(decode(&longer.into()), Err(NoSnapshot::Damaged));
        assert_eq!(decode(&Bytes::from_static(b"SQLite format 3")), Err(NoSnapshot::Foreign));
        assert_eq!(decode(&Bytes::new()), Err(NoSnapshot::CutOff));
    }
}
