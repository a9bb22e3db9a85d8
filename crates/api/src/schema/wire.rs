//! How protobuf messages carry the fields.

use super::Field;

/// The place of a field in its structure's message, and what is special about its encoding.
///
/// Most fields have one number. A field that stands inline in JSON can be in a nested message instead: `Volume.emptyDir`
/// is field 2 of the message in field 2. So a place is a path of up to three numbers, from the outside in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wire([u8; 4]);

/// The path to a nested message that JSON does not show; empty for the structure's own message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Nest {
    path: [u8; 2],
    depth: u8,
}

/// How messages hold what JSON schemas call a union.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Union {
    /// A schema (1) or schemas (2).
    SchemaOrArray,
    /// A boolean (1) or a schema (2).
    SchemaOrBool,
    /// A schema (1) or texts (2).
    SchemaOrTexts,
}

const OMITS_ZERO: u8 = 1;
const LIST_MESSAGE: u8 = 2;
const SCHEMA_OR_ARRAY: u8 = 4;
const SCHEMA_OR_BOOL: u8 = 8;
const SCHEMA_OR_TEXTS: u8 = 16;

impl Wire {
    pub(super) fn unpack(row: u32) -> Option<Self> {
        let bytes = row.to_le_bytes();
        (bytes[0] != 0).then_some(Self(bytes))
    }

    /// The number of the field itself, in its innermost message.
    pub fn number(self) -> u8 {
        self.0[usize::from(self.nest().depth)]
    }

    /// The message the field is in.
    pub fn nest(self) -> Nest {
        match self.0 {
            [_, 0, ..] => Nest::default(),
            [outer, _, 0, _] => Nest { path: [outer, 0], depth: 1 },
            [outer, inner, ..] => Nest { path: [outer, inner], depth: 2 },
        }
    }

    /// Whether Go's JSON leaves the field out when it holds its type's zero, which protobuf carries all the same.
    pub fn omits_zero(self) -> bool {
        self.0[3] & OMITS_ZERO != 0
    }

    /// Whether its list, or each list in its map, is a message of its own with the elements in field 1.
    pub fn has_list_messages(self) -> bool {
        self.0[3] & LIST_MESSAGE != 0
    }

    /// The union it, or each value of its map, is.
    pub fn union(self) -> Option<Union> {
        match self.0[3] & !(OMITS_ZERO | LIST_MESSAGE) {
            SCHEMA_OR_ARRAY => Some(Union::SchemaOrArray),
            SCHEMA_OR_BOOL => Some(Union::SchemaOrBool),
            SCHEMA_OR_TEXTS => Some(Union::SchemaOrTexts),
            _ => None,
        }
    }
}

/// What a number in a message means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// A field.
    Field(Field, Wire),
    /// A nested message that JSON does not show.
    Nest(Nest),
}

impl Nest {
    /// The path to it, from the outside in.
    pub fn numbers(self) -> impl Iterator<Item = u8> {
        self.path.into_iter().take(usize::from(self.depth))
    }

    /// The message in its field of that number. There are no more than two levels: the tables have no longer paths.
    pub(super) fn inner(self, number: u8) -> Self {
        match self.depth {
            0 => Self { path: [number, 0], depth: 1 },
            _ => Self { path: [self.path[0], number], depth: 2 },
        }
    }

    /// The rows of the fields that a number in this message stands for: a mask, and what is left of them under it.
    pub(super) fn pattern(self, number: u8) -> (u32, u32) {
        let [outer, inner] = self.path;
        match self.depth {
            0 => (0xff, u32::from(number)),
            1 => (0xffff, u32::from_le_bytes([outer, number, 0, 0])),
            _ => (0x00ff_ffff, u32::from_le_bytes([outer, inner, number, 0])),
        }
    }
}
