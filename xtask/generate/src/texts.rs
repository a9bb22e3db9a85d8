//! What the crate's descriptions leave out: `texts.tsv`, one line per definition (field `.`) or field, a JSON string.
//! A text goes on where the crate's own ends: the meanings of an enumeration's values, all of a list.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

/// The missing texts by definition and field.
pub struct Texts(BTreeMap<(String, String), String>);

impl Texts {
    pub fn parse(text: &str) -> Result<Self> {
        let mut texts = BTreeMap::new();
        for (number, line) in text.lines().enumerate().skip(1) {
            let mut columns = line.splitn(3, '\t');
            let mut next = || columns.next().with_context(|| format!("line {}: a column is missing", number + 1));
            let key = (next()?.to_owned(), next()?.to_owned());
            let text = serde_json::from_str(next()?).with_context(|| format!("line {}: no JSON string", number + 1))?;
            ensure!(texts.insert(key, text).is_none(), "line {}: said twice", number + 1);
        }
        Ok(Self(texts))
    }

    /// Completes the description of a field, or of the definition itself for `.`.
    pub fn complete(&self, definition: &str, field: &str, schema: &mut Map<String, Value>) {
        let Some(more) = self.0.get(&(definition.to_owned(), field.to_owned())) else { return };
        let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        schema.insert("description".into(), format!("{text}{more}").into());
    }
}
