//! Writes the static tables of `api::schema`: rows of small numbers that need neither relocation nor start-up work.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use crate::definitions::REFERENCE;
use crate::facts::{Fact, Facts};
use crate::kinds::Kind;
use crate::protobuf::Numbers;

/// Every text of the tables, once, in one string.
#[derive(Default)]
struct Texts {
    all: String,
    known: BTreeMap<String, u32>,
}

impl Texts {
    /// Offset in the upper 24 bits, length in the lower 8.
    fn add(&mut self, text: &str) -> Result<u32> {
        if let Some(&known) = self.known.get(text) {
            return Ok(known);
        }
        ensure!(text.len() < 256, "text too long for the tables: {text}");
        let offset = match self.all.find(text) {
            Some(offset) => offset,
            None => {
                self.all.push_str(text);
                self.all.len() - text.len()
            }
        };
        let packed = u32::try_from(offset << 8 | text.len())?;
        self.known.insert(text.to_owned(), packed);
        Ok(packed)
    }
}

/// Rows that are referred to by number; equal ones stand once.
struct Rows(Vec<String>);

impl Rows {
    fn add(&mut self, row: String) -> usize {
        self.0.iter().position(|known| *known == row).unwrap_or_else(|| {
            self.0.push(row);
            self.0.len() - 1
        })
    }

    fn write(&self, out: &mut String, name: &str, row: &str) {
        writeln!(out, "pub(super) static {name}: [{row}; {}] = [", self.0.len()).expect("strings take everything");
        self.0.iter().for_each(|row| writeln!(out, "    {row},").expect("strings take everything"));
        out.push_str("];\n");
    }
}

/// The source of `schema/generated.rs`.
pub fn write(definitions: &Map<String, Value>, kinds: &[Kind], facts: &Facts, numbers: &Numbers) -> Result<String> {
    let mut names: Vec<&String> = definitions.keys().filter(|name| is_structure(name)).collect();
    names.sort();
    let mut tables = Tables {
        numbers: names.iter().enumerate().map(|(number, name)| (name.as_str(), number)).collect(),
        facts,
        wire: numbers,
        texts: Texts::default(),
        values: Rows(Vec::new()),
        fact_rows: Rows(vec![no_fact()]),
    };
    let (mut types, mut fields) = (Rows(Vec::new()), Rows(Vec::new()));
    for name in &names {
        let first = fields.0.len();
        for field in tables.fields(name, &definitions[*name])? {
            fields.0.push(field);
        }
        let atomic = facts.of(name, ".").map_type == "atomic";
        let (text, count) = (tables.texts.add(name)?, fields.0.len() - first);
        types.0.push(format!("TypeRow {{ definition: {text}, first: {first}, count: {count}, atomic: {atomic} }}"));
    }
    let mut kind_rows = Rows(Vec::new());
    for kind in kinds {
        let (group, version) = (tables.texts.add(kind.group)?, tables.texts.add(kind.version)?);
        let number = tables.numbers.get(kind.definition.as_str()).context("a kind is a structure")?;
        let name = tables.texts.add(kind.kind)?;
        kind_rows
            .0
            .push(format!("KindRow {{ group: {group}, version: {version}, kind: {name}, type_number: {number} }}"));
    }
    let mut out = String::from(
        "// Written by `cargo run -p xtask -- generate`; change the generator or its facts instead.\n\n\
         use super::rows::{FactRow, FieldRow, KindRow, TypeRow, ValueRow};\n\n",
    );
    writeln!(out, "pub(super) static TEXTS: &str = {:?};", tables.texts.all)?;
    types.write(&mut out, "TYPES", "TypeRow");
    fields.write(&mut out, "FIELDS", "FieldRow");
    tables.values.write(&mut out, "VALUES", "ValueRow");
    tables.fact_rows.write(&mut out, "FACTS", "FactRow");
    kind_rows.write(&mut out, "KINDS", "KindRow");
    Ok(out)
}

/// Definitions whose values are no objects with known fields.
fn is_structure(name: &str) -> bool {
    special(name).is_none()
}

fn special(name: &str) -> Option<&'static str> {
    Some(match name.rsplit('.').next()? {
        "Quantity" => "Quantity",
        "IntOrString" => "IntOrString",
        "Time" => "Time",
        "MicroTime" => "MicroTime",
        "FieldsV1" | "RawExtension" | "Patch" | "JSON" => "Any",
        "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => "Any",
        _ => return None,
    })
}

struct Tables<'a> {
    numbers: BTreeMap<&'a str, usize>,
    facts: &'a Facts,
    wire: &'a Numbers,
    texts: Texts,
    values: Rows,
    fact_rows: Rows,
}

impl Tables<'_> {
    /// The rows of a definition's fields, sorted by name.
    fn fields(&mut self, definition: &str, schema: &Value) -> Result<Vec<String>> {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let mut names: Vec<&String> = properties.keys().collect();
        names.sort();
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut rows = Vec::new();
        for name in names {
            let value = self.value(&properties[name]).with_context(|| format!("{definition}.{name}"))?;
            let facts = self.fact(&self.facts.of(definition, name))?;
            let (text, required) = (self.texts.add(name)?, required.contains(&name.as_str()));
            let wire = self.wire.of(definition, name);
            rows.push(format!(
                "FieldRow {{ name: {text}, value: {value}, facts: {facts}, required: {required}, wire: {wire} }}"
            ));
        }
        Ok(rows)
    }

    /// The number of the row that describes a field's values.
    fn value(&mut self, schema: &Value) -> Result<usize> {
        let reference = schema.get("$ref").or_else(|| schema.pointer("/allOf/0/$ref")).and_then(Value::as_str);
        let row = match (reference, schema["type"].as_str(), schema["format"].as_str()) {
            (Some(reference), ..) => {
                let name = reference.strip_prefix(REFERENCE).context("a reference to elsewhere")?;
                match special(name) {
                    Some(special) => special.to_owned(),
                    None => format!("Object({})", self.numbers.get(name).context("an unknown definition")?),
                }
            }
            (None, Some("string"), Some("byte")) => "Bytes".to_owned(),
            (None, Some("string"), None) => "String".to_owned(),
            (None, Some("boolean"), _) => "Bool".to_owned(),
            (None, Some("integer"), Some("int32")) => "Int32".to_owned(),
            (None, Some("integer"), _) => "Int64".to_owned(),
            (None, Some("number"), _) => "Float64".to_owned(),
            (None, Some("array"), _) => format!("Array({})", self.value(&schema["items"])?),
            (None, Some("object"), _) => match schema.get("additionalProperties") {
                Some(values) => format!("Map({})", self.value(values)?),
                None => "Any".to_owned(),
            },
            other => bail!("cannot describe {other:?}"),
        };
        Ok(self.values.add(format!("ValueRow::{row}")))
    }

    fn fact(&mut self, fact: &Fact) -> Result<usize> {
        let strategy = match fact.patch_strategy.as_str() {
            "" => "None",
            "merge" => "Merge",
            "replace" => "Replace",
            "retainKeys" => "RetainKeys",
            "merge,retainKeys" => "MergeRetainKeys",
            other => bail!("unknown patch strategy {other}"),
        };
        let list = match fact.list_type.as_str() {
            "" => "None",
            "atomic" => "Atomic",
            "set" => "Set",
            "map" => "Map",
            other => bail!("unknown list type {other}"),
        };
        let map = match fact.map_type.as_str() {
            "" => "None",
            "atomic" => "Atomic",
            "granular" => "Granular",
            other => bail!("unknown map type {other}"),
        };
        let keys = self.texts.add(&fact.list_map_keys)?;
        let merge_key = self.texts.add(&fact.patch_merge_key)?;
        let (default, go_type) = (self.texts.add(&fact.default)?, self.texts.add(&fact.go_type)?);
        Ok(self.fact_rows.add(fact_row(list, keys, strategy, merge_key, map, default, go_type)))
    }
}

fn fact_row(list: &str, keys: u32, strategy: &str, merge_key: u32, map: &str, default: u32, go_type: u32) -> String {
    format!(
        "FactRow {{ list_type: super::ListType::{list}, list_map_keys: {keys}, \
         patch_strategy: super::PatchStrategy::{strategy}, merge_key: {merge_key}, \
         map_type: super::MapType::{map}, default: {default}, go_type: {go_type} }}"
    )
}

/// Number 0, for most fields.
fn no_fact() -> String {
    fact_row("None", 0, "None", 0, "None", 0, 0)
}
