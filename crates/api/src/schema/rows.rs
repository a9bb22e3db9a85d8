//! The shape of the generated tables. Texts are slices of one string, everything else is a row number, so that the tables
//! hold no pointer the loader would have to relocate.

use super::generated::TEXTS;
use super::{ListType, MapType, PatchStrategy};

/// A slice of [`TEXTS`]: its offset in the upper 24 bits, its length in the lower 8.
pub(super) type Text = u32;

/// The text itself.
pub(super) fn text(text: Text) -> &'static str {
    let (offset, length) = (text as usize >> 8, text as usize & 0xff);
    &TEXTS[offset..offset + length]
}

/// Whether the text is that one; most often its length tells.
pub(super) fn is(text: Text, other: &str) -> bool {
    let (offset, length) = (text as usize >> 8, text as usize & 0xff);
    length == other.len() && TEXTS.as_bytes()[offset..offset + length] == *other.as_bytes()
}

/// A structure with its run of fields.
pub(super) struct TypeRow {
    pub(super) definition: Text,
    pub(super) first: u16,
    pub(super) count: u16,
    pub(super) atomic: bool,
}

pub(super) struct FieldRow {
    pub(super) name: Text,
    pub(super) value: u16,
    pub(super) facts: u16,
    pub(super) required: bool,
    /// See [`super::wire`].
    pub(super) wire: u32,
}

/// What a value holds; numbers refer to types or to further values.
#[derive(Clone, Copy)]
pub(super) enum ValueRow {
    String,
    Bool,
    Int32,
    Int64,
    Float64,
    Bytes,
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    Any,
    Object(u16),
    Array(u16),
    Map(u16),
}

pub(super) struct FactRow {
    pub(super) list_type: ListType,
    pub(super) list_map_keys: Text,
    pub(super) patch_strategy: PatchStrategy,
    pub(super) merge_key: Text,
    pub(super) map_type: MapType,
    pub(super) default: Text,
    pub(super) go_type: Text,
}

/// A kind with the structure of its objects.
pub(super) struct KindRow {
    pub(super) group: Text,
    pub(super) version: Text,
    pub(super) kind: Text,
    pub(super) type_number: u16,
}
