//! Messages being written, and the envelopes around them.

use super::MAGIC;

/// A message being written.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// What is encoded already.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(low_bits(number) | 0x80);
            number >>= 7;
        }
        self.0.push(low_bits(number));
    }

    /// A number or boolean.
    pub(super) fn integer(&mut self, field: u8, number: i64) {
        self.varint(u64::from(field) << 3);
        self.varint(number.cast_unsigned());
    }

    /// A floating point number.
    pub(super) fn double(&mut self, field: u8, number: f64) {
        self.varint(u64::from(field) << 3 | 1);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// A text, bytes, or a message that is encoded already.
    pub(super) fn bytes(&mut self, field: u8, bytes: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Begins a message within this one; the result ends it.
    pub(super) fn begin(&mut self, field: u8) -> usize {
        self.varint(u64::from(field) << 3 | 2);
        self.0.push(0); // its length, most often one byte
        self.0.len()
    }

    /// Ends the message that began at `mark`: only now is its length known.
    pub(super) fn end(&mut self, mark: usize) {
        let length = self.0.len() - mark;
        if length < 0x80 {
            self.0[mark - 1] = low_bits(length as u64);
            return;
        }
        let mut head = Self::default();
        head.varint(length as u64);
        let more = head.0.len() - 1;
        self.0.resize(mark + length + more, 0);
        self.0.copy_within(mark..mark + length, mark + more);
        self.0[mark - 1..mark + more].copy_from_slice(&head.0);
    }
}

/// The lowest seven bits.
#[allow(clippy::cast_possible_truncation)] // that is the purpose
fn low_bits(number: u64) -> u8 {
    (number & 0x7f) as u8
}

/// A body: the message of an object with its kind.
pub fn body(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut writer = envelope(api_version, kind, message.len());
    writer.bytes(2, message);
    writer.into_bytes()
}

/// The body of a list of any kind, from the messages of its `ListMeta` and its items.
pub fn list_body<'a>(
    api_version: &str,
    kind: &str,
    metadata: &[u8],
    items: impl Iterator<Item = &'a [u8]> + Clone,
) -> Vec<u8> {
    let length = bytes_length(metadata) + items.clone().map(bytes_length).sum::<usize>();
    let mut writer = envelope(api_version, kind, length);
    writer.varint(2 << 3 | 2);
    writer.varint(length as u64);
    writer.bytes(1, metadata);
    items.for_each(|item| writer.bytes(2, item));
    writer.into_bytes()
}

/// What stands before a message of that length; the message comes in field 2.
fn envelope(api_version: &str, kind: &str, length: usize) -> Writer {
    let mut writer = Writer::with_capacity(length + api_version.len() + kind.len() + 24);
    writer.raw(&MAGIC);
    let mark = writer.begin(1);
    writer.bytes(1, api_version.as_bytes());
    writer.bytes(2, kind.as_bytes());
    writer.end(mark);
    writer
}

/// So long are bytes with their length and a number of one byte before them.
fn bytes_length(bytes: &[u8]) -> usize {
    let bits = usize::BITS - (bytes.len() | 1).leading_zeros();
    1 + bits.div_ceil(7) as usize + bytes.len()
}

/// The message of a `PartialObjectMetadata`, from that of its metadata.
pub fn partial(metadata: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(metadata.len() + 6);
    writer.bytes(1, metadata);
    writer.into_bytes()
}

/// A watch event, from its type and the body of its object, with its length before it as streams have it.
pub fn watch_event(kind: &str, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(body.len() + kind.len() + 20);
    writer.raw(&[0; 4]);
    writer.bytes(1, kind.as_bytes());
    let mark = writer.begin(2);
    writer.bytes(1, body);
    writer.end(mark);
    let mut frame = writer.into_bytes();
    let length = u32::try_from(frame.len() - 4).expect("objects are far smaller than 4 GiB");
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}
