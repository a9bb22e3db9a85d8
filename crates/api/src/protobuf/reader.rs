//! Fields of a message, one after the other.

use std::borrow::Cow;

use super::Error;

/// The fields that are left of a message.
pub(super) struct Reader<'a>(&'a [u8]);

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// The next field's number and payload.
    pub(super) fn next_field(&mut self) -> Result<Option<(u64, Payload<'a>)>, Error> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let (number, wire_type) = (key >> 3, key & 7);
        if number == 0 || number > u64::from(i32::MAX.unsigned_abs()) {
            return Err(Error::Tag { number, wire_type });
        }
        let payload = match wire_type {
            0 => Payload::Varint(self.varint()?),
            1 => Payload::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                Payload::Bytes(self.take(usize::try_from(length).map_err(|_| Error::Truncated)?)?)
            }
            5 => Payload::Fixed32(u32::from_le_bytes(self.array()?)),
            other => return Err(Error::WireType(other)),
        };
        Ok(Some((number, payload)))
    }

    /// The next number of a packed list.
    pub(super) fn next_packed(&mut self) -> Result<Option<u64>, Error> {
        if self.0.is_empty() { Ok(None) } else { self.varint().map(Some) }
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut number = 0_u64;
        for (place, byte) in self.0.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.0 = &self.0[place + 1..];
                return Ok(number);
            }
        }
        Err(if self.0.len() < 10 { Error::Truncated } else { Error::Overflow })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Error::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Error::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }
}

impl<'a> Payload<'a> {
    /// Bytes: a text, a message, a packed list.
    pub(super) fn bytes(self, field: &str) -> Result<&'a [u8], Error> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(self.wrong(field)) }
    }

    /// A text; what is not UTF-8 is replaced, as Go's JSON encoder would.
    pub(super) fn text(self, field: &str) -> Result<Cow<'a, str>, Error> {
        self.bytes(field).map(String::from_utf8_lossy)
    }

    /// An integer or boolean.
    pub(super) fn varint(self, field: &str) -> Result<u64, Error> {
        if let Self::Varint(number) = self { Ok(number) } else { Err(self.wrong(field)) }
    }

    /// A floating point number.
    pub(super) fn double(self, field: &str) -> Result<f64, Error> {
        if let Self::Fixed64(bits) = self { Ok(f64::from_bits(bits)) } else { Err(self.wrong(field)) }
    }

    /// The error of a field that holds something else.
    fn wrong(self, field: &str) -> Error {
        let wire_type = match self {
            Self::Varint(_) => 0,
            Self::Fixed64(_) => 1,
            Self::Bytes(_) => 2,
            Self::Fixed32(_) => 5,
        };
        let mut name = field.to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Error::WrongWireType { wire_type, field: name }
    }
}
