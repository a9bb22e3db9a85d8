//! The wire format of protobuf: numbered fields, four ways to write a value.

use super::{Error, NO_TEXT};

const CUT_SHORT: Error = Error::Malformed("unexpected EOF");

/// A value as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireValue<'a> {
    /// A number, or the bits of one.
    Number(u64),
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
}

impl<'a> WireValue<'a> {
    pub(super) fn number(self) -> Result<u64, Error> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Bytes(_) => Err(Error::Malformed("proto: wrong wireType")),
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], Error> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(Error::Malformed("proto: wrong wireType")),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.bytes()?).map_err(|_| NO_TEXT)
    }
}

/// Reads the fields of one message.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next field's number and value.
    pub(super) fn field(&mut self) -> Result<Option<(u64, WireValue<'a>)>, Error> {
        if self.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => WireValue::Number(self.varint()?),
            1 => WireValue::Number(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| CUT_SHORT)?;
                WireValue::Bytes(self.take(length)?)
            }
            5 => WireValue::Number(u32::from_le_bytes(self.array()?).into()),
            _ => return Err(Error::Malformed("proto: illegal wireType")),
        };
        Ok(Some((tag >> 3, value)))
    }

    pub(super) fn varint(&mut self) -> Result<u64, Error> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(CUT_SHORT)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Error::Malformed("proto: integer overflow"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CUT_SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(CUT_SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }
}
