//! How protobuf messages carry the fields: `protobuf.tsv`, one line per definition.
//!
//! A field is written `name=number`, or `name=2.1` where the field stands inline in JSON but in a nested message of field
//! 2 in protobuf. Letters follow the numbers:
//!
//! | | |
//! | --- | --- |
//! | `z` | Go's JSON leaves the field out when it holds its type's zero; protobuf carries the zero |
//! | `l` | each list is a message of its own, with the elements in field 1 |
//! | `a` `b` `s` | the unions of JSON schemas: schema or array, schema or bool, schema or texts |
//!
//! Sources: Go's struct tags in client-go 1.33, and the field numbers of k8s-pb 0.9 for what came later.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

/// The wire facts of all fields, packed as `api::schema` reads them.
pub struct Numbers(BTreeMap<(String, String), u32>);

impl Numbers {
    pub fn parse(text: &str) -> Result<Self> {
        let mut numbers = BTreeMap::new();
        for line in text.lines().skip(1) {
            let (definition, fields) = line.split_once('\t').context("a line without fields")?;
            for field in fields.split(' ') {
                let (name, wire) = field.split_once('=').with_context(|| format!("{definition}: {field}"))?;
                let packed = pack(wire).with_context(|| format!("{definition}: {field}"))?;
                let key = (definition.to_owned(), name.to_owned());
                ensure!(numbers.insert(key, packed).is_none(), "{definition}.{name} is said twice");
            }
        }
        Ok(Self(numbers))
    }

    /// The packed facts of a field; zero where it has no number.
    pub fn of(&self, definition: &str, field: &str) -> u32 {
        self.0.get(&(definition.to_owned(), field.to_owned())).copied().unwrap_or_default()
    }
}

/// Three numbers from the outside in, a byte each from the lowest; then the letters.
fn pack(wire: &str) -> Result<u32> {
    let end = wire.find(|c: char| c.is_ascii_lowercase()).unwrap_or(wire.len());
    let mut bytes = [0_u8; 4];
    for (place, number) in wire[..end].split('.').enumerate() {
        ensure!(place < 3, "nested too deeply");
        bytes[place] = number.parse().context("a number up to 255")?;
    }
    for letter in wire[end..].chars() {
        bytes[3] |= match letter {
            'z' => 1,
            'l' => 2,
            'a' => 4,
            'b' => 8,
            's' => 16,
            other => anyhow::bail!("unknown letter {other}"),
        };
    }
    Ok(u32::from_le_bytes(bytes))
}
