//! What every built-in kind looks like: fields, their types, and how lists and maps merge.
//!
//! The tables are static data of small numbers, so they cost nothing at start-up; [`Type`] and [`Field`] are handles into
//! them. `cargo run -p xtask -- generate` writes them from k8s-openapi's schemas and a file of facts.

#[rustfmt::skip]
mod generated;
mod rows;
pub mod wire;

#[cfg(test)]
mod tests;

use generated::{FACTS, FIELDS, KINDS, TYPES, VALUES};
use rows::{FactRow, FieldRow, TypeRow, ValueRow, is, text};
use wire::{Found, Nest, Wire};

/// A structure, such as `PodSpec`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Type(u16);

/// A field of a structure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Field(u16);

/// What a field, or an element of a list or map, can hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    /// Any text.
    String,
    /// True or false.
    Bool,
    /// An integer of 32 bits.
    Int32,
    /// An integer of 64 bits.
    Int64,
    /// A number.
    Float64,
    /// Bytes, in base64.
    Bytes,
    /// `resource.Quantity`: a text or a number.
    Quantity,
    /// `intstr.IntOrString`.
    IntOrString,
    /// RFC 3339 in seconds.
    Time,
    /// RFC 3339 in microseconds.
    MicroTime,
    /// Anything at all; nothing is known about what is inside.
    Any,
    /// A structure.
    Object(Type),
    /// A list.
    Array(Element),
    /// A map from any text.
    Map(Element),
}

/// What the elements of a list or map hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Element(u16);

/// How two lists merge under server-side apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListType {
    /// Nothing is said: as [`ListType::Atomic`].
    None,
    /// The list is one value.
    Atomic,
    /// A set of scalars.
    Set,
    /// A map, keyed by [`Field::list_map_keys`].
    Map,
}

/// How two maps or structures merge under server-side apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapType {
    /// Nothing is said: as [`MapType::Granular`].
    None,
    /// The map is one value.
    Atomic,
    /// Every entry stands for itself.
    Granular,
}

/// What a strategic merge patch does to a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatchStrategy {
    /// Nothing is said: lists are replaced, maps merged.
    None,
    /// Lists merge too.
    Merge,
    /// Maps are replaced too.
    Replace,
    /// Maps merge, and `$retainKeys` clears keys.
    RetainKeys,
    /// Both [`PatchStrategy::Merge`] and [`PatchStrategy::RetainKeys`].
    MergeRetainKeys,
}

impl Type {
    /// The structure of a kind's objects. The core group is the empty string.
    pub fn of_kind(group: &str, version: &str, kind: &str) -> Option<Self> {
        let wanted = (group, version, kind);
        let place = KINDS.binary_search_by(|row| (text(row.group), text(row.version), text(row.kind)).cmp(&wanted));
        place.ok().map(|place| Self(KINDS[place].type_number))
    }

    /// The structure of that definition, for instance `io.k8s.api.core.v1.PodSpec`.
    pub fn of_definition(definition: &str) -> Option<Self> {
        let place = TYPES.binary_search_by(|row| text(row.definition).cmp(definition)).ok()?;
        Some(Self(u16::try_from(place).expect("rows are numbered by u16")))
    }

    /// All structures, sorted by definition.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..u16::try_from(TYPES.len()).expect("rows are numbered by u16")).map(Self)
    }

    fn row(self) -> &'static TypeRow {
        &TYPES[usize::from(self.0)]
    }

    /// For instance `io.k8s.api.core.v1.PodSpec`.
    pub fn definition(self) -> &'static str {
        text(self.row().definition)
    }

    /// As Go prints it, for instance `v1.PodSpec`.
    pub fn go_name(self) -> &'static str {
        let definition = self.definition();
        let package = definition.len() - self.name().len() - 1;
        &definition[definition[..package].rfind('.').map_or(0, |dot| dot + 1)..]
    }

    /// For instance `PodSpec`.
    pub fn name(self) -> &'static str {
        let definition = self.definition();
        &definition[definition.rfind('.').map_or(0, |dot| dot + 1)..]
    }

    /// Its fields, sorted by name.
    pub fn fields(self) -> impl ExactSizeIterator<Item = Field> {
        let row = self.row();
        (row.first..row.first + row.count).map(Field)
    }

    /// Its field of that name.
    pub fn field(self, name: &str) -> Option<Field> {
        let (first, count) = (usize::from(self.row().first), usize::from(self.row().count));
        let place = FIELDS[first..first + count].binary_search_by(|row| text(row.name).cmp(name)).ok()?;
        Some(Field(u16::try_from(first + place).expect("rows are numbered by u16")))
    }

    /// Its field of that name, which most likely stands somewhere after `last`: for objects that are written in the order
    /// of the schema.
    pub fn field_after(self, last: Option<Field>, name: &str) -> Option<Field> {
        let row = self.row();
        let start = last.map_or(row.first, |last| last.0 + 1);
        let end = row.first + row.count;
        let later = FIELDS[usize::from(start.min(end))..usize::from(end)].iter();
        let place = (start..end).zip(later).find(|(_, row)| is(row.name, name));
        place.map(|(place, _)| Field(place)).or_else(|| self.field(name))
    }

    /// What a number means in its message, or in one nested in that; see [`wire`].
    pub fn numbered(self, nest: Nest, number: u64) -> Option<Found> {
        let number = u8::try_from(number).ok().filter(|number| *number > 0)?;
        let (mask, wanted) = nest.pattern(number);
        let (first, count) = (self.row().first, usize::from(self.row().count));
        let rows = FIELDS[usize::from(first)..].iter().take(count);
        let (place, row) = (first..).zip(rows).find(|(_, row)| row.wire & mask == wanted)?;
        let wire = Wire::unpack(row.wire)?;
        Some(if wire.nest() == nest { Found::Field(Field(place), wire) } else { Found::Nest(nest.inner(number)) })
    }

    /// Whether server-side apply takes it as one value.
    pub fn is_atomic(self) -> bool {
        self.row().atomic
    }
}

impl Field {
    fn row(self) -> &'static FieldRow {
        &FIELDS[usize::from(self.0)]
    }

    fn facts(self) -> &'static FactRow {
        &FACTS[usize::from(self.row().facts)]
    }

    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        text(self.row().name)
    }

    /// What it holds.
    pub fn value(self) -> Value {
        Element(self.row().value).value()
    }

    /// Whether upstream's schema requires it.
    pub fn is_required(self) -> bool {
        self.row().required
    }

    /// How protobuf carries it; `None` where upstream's messages do not have it.
    pub fn wire(self) -> Option<Wire> {
        Wire::unpack(self.row().wire)
    }

    /// How its list merges.
    pub fn list_type(self) -> ListType {
        self.facts().list_type
    }

    /// The fields that identify an element of its list; empty unless it is a [`ListType::Map`].
    pub fn list_map_keys(self) -> impl Iterator<Item = &'static str> {
        text(self.facts().list_map_keys).split(',').filter(|key| !key.is_empty())
    }

    /// How its map or structure merges.
    pub fn map_type(self) -> MapType {
        self.facts().map_type
    }

    /// What a strategic merge patch does to it.
    pub fn patch_strategy(self) -> PatchStrategy {
        self.facts().patch_strategy
    }

    /// The field by which a strategic merge patch matches the elements of its list.
    pub fn merge_key(self) -> Option<&'static str> {
        Some(text(self.facts().merge_key)).filter(|key| !key.is_empty())
    }

    /// The default that its schema names, as JSON text.
    pub fn default(self) -> Option<&'static str> {
        Some(text(self.facts().default)).filter(|default| !default.is_empty())
    }

    /// The Go type of its scalar or list of scalars, where that has a name of its own, for instance `v1.PullPolicy` or
    /// `[]v1.Capability`.
    pub fn go_type(self) -> Option<&'static str> {
        Some(text(self.facts().go_type)).filter(|name| !name.is_empty())
    }
}

impl Element {
    /// What each element holds.
    pub fn value(self) -> Value {
        match VALUES[usize::from(self.0)] {
            ValueRow::String => Value::String,
            ValueRow::Bool => Value::Bool,
            ValueRow::Int32 => Value::Int32,
            ValueRow::Int64 => Value::Int64,
            ValueRow::Float64 => Value::Float64,
            ValueRow::Bytes => Value::Bytes,
            ValueRow::Quantity => Value::Quantity,
            ValueRow::IntOrString => Value::IntOrString,
            ValueRow::Time => Value::Time,
            ValueRow::MicroTime => Value::MicroTime,
            ValueRow::Any => Value::Any,
            ValueRow::Object(number) => Value::Object(Type(number)),
            ValueRow::Array(number) => Value::Array(Element(number)),
            ValueRow::Map(number) => Value::Map(Element(number)),
        }
    }
}

impl Value {
    /// As Go prints the type, for instance `[]v1.Container` or `map[string]string`.
    pub fn go_name(self) -> String {
        match self {
            Self::String => "string".into(),
            Self::Bool => "bool".into(),
            Self::Int32 => "int32".into(),
            Self::Int64 => "int64".into(),
            Self::Float64 => "float64".into(),
            Self::Bytes => "[]uint8".into(),
            Self::Quantity => "resource.Quantity".into(),
            Self::IntOrString => "intstr.IntOrString".into(),
            Self::Time => "v1.Time".into(),
            Self::MicroTime => "v1.MicroTime".into(),
            Self::Any => "interface {}".into(),
            Self::Object(structure) => structure.go_name().into(),
            Self::Array(element) => format!("[]{}", element.value().go_name()),
            Self::Map(element) => match element.value() {
                Self::Quantity => "v1.ResourceList".into(),
                value => format!("map[string]{}", value.go_name()),
            },
        }
    }
}
