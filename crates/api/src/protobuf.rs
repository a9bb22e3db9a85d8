//! `application/vnd.kubernetes.protobuf`: what typed Go clients send and prefer to read.
//!
//! An object is four magic bytes and a [`Message`], upstream's `runtime.Unknown`: its kind, and the kind's own message as
//! bytes. The codec is generic: the schema tables say which field has which number ([`crate::schema::wire`]), so a kind
//! costs no code. Decoding gives the tree that the same object's JSON would give, and goes on from there as JSON does;
//! encoding starts from JSON text and builds no tree.

mod decode;
mod encode;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::borrow::Cow;

pub use decode::tree;
pub use encode::{EncodeError, encode};
pub use writer::{body, list_body, partial, watch_event};

use crate::schema::Type;
use reader::Reader;

/// What every object starts with.
pub const MAGIC: [u8; 4] = *b"k8s\0";

/// Why bytes are no object, in the words of upstream's decoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is nothing.
    #[error("empty data")]
    Empty,
    /// There is nothing after the magic bytes.
    #[error("empty body")]
    EmptyBody,
    /// Something else than protobuf.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Magic,
    /// A message ends in the middle of a field.
    #[error("unexpected EOF")]
    Truncated,
    /// A number has more than 64 bits.
    #[error("proto: integer overflow")]
    Overflow,
    /// An encoding that nothing has.
    #[error("proto: illegal wireType {0}")]
    WireType(u64),
    /// Fields are numbered from 1.
    #[error("proto: illegal tag {number} (wire type {wire_type})")]
    Tag {
        /// The number.
        number: u64,
        /// Its encoding.
        wire_type: u64,
    },
    /// A field in an encoding that is not its own.
    #[error("proto: wrong wireType = {wire_type} for field {field}")]
    WrongWireType {
        /// The encoding.
        wire_type: u64,
        /// As Go names it.
        field: String,
    },
    /// Messages within messages within messages.
    #[error("exceeded max depth")]
    TooDeep,
    /// JSON within a message is none.
    #[error("{0}")]
    Json(String),
    /// A union of no known type.
    #[error("impossible IntOrString.Type")]
    IntOrString,
    /// A time that no text can tell.
    #[error("Time.MarshalJSON: year outside of range [0,9999]")]
    Time,
}

/// An object whose kind is known and whose fields are not decoded yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// Group and version.
    pub api_version: Cow<'a, str>,
    /// Kind.
    pub kind: Cow<'a, str>,
    /// The message of the kind.
    pub raw: &'a [u8],
}

impl<'a> Message<'a> {
    /// Opens a body.
    ///
    /// # Errors
    /// When it is none.
    pub fn open(body: &'a [u8]) -> Result<Self, Error> {
        if body.is_empty() {
            return Err(Error::Empty);
        }
        let inside = body.strip_prefix(&MAGIC).ok_or(Error::Magic)?;
        if inside.is_empty() {
            return Err(Error::EmptyBody);
        }
        let mut message = Self { api_version: Cow::default(), kind: Cow::default(), raw: &[] };
        let mut fields = Reader::new(inside);
        while let Some((number, payload)) = fields.next_field()? {
            match number {
                1 => message.read_type(payload.bytes("TypeMeta")?)?,
                2 => message.raw = payload.bytes("Raw")?,
                _ => {} // the content's encoding and type, which upstream ignores, too
            }
        }
        Ok(message)
    }

    fn read_type(&mut self, bytes: &'a [u8]) -> Result<(), Error> {
        let mut fields = Reader::new(bytes);
        while let Some((number, payload)) = fields.next_field()? {
            match number {
                1 => self.api_version = payload.text("APIVersion")?,
                2 => self.kind = payload.text("Kind")?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// The structure that JSON schemas consist of.
fn json_schema() -> Type {
    let definition = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
    Type::of_definition(definition).expect("the tables have the kinds of apiextensions")
}
