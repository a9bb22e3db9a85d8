//! What the crate's schemas leave out: `facts.tsv`, one line per definition (field `.`) or field.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

/// The facts of one definition or field. Empty texts and lists mean that nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    pub list_type: String,
    pub list_map_keys: String,
    pub patch_strategy: String,
    pub patch_merge_key: String,
    pub map_type: String,
    /// JSON text.
    pub default: String,
    pub values: String,
    pub required: String,
    /// The name of a scalar's Go type where it is not the plain one.
    pub go_type: String,
}

/// All facts by definition and field.
pub struct Facts(BTreeMap<(String, String), Fact>);

const COLUMNS: usize = 11;

impl Facts {
    pub fn parse(text: &str) -> Result<Self> {
        let mut facts = BTreeMap::new();
        for (number, line) in text.lines().enumerate().skip(1) {
            let mut columns = line.split('\t').map(str::to_owned);
            let key = (columns.next().unwrap_or_default(), columns.next().context("a fact without a field")?);
            let mut rest: Vec<String> = columns.collect();
            ensure!(rest.len() + 2 <= COLUMNS, "line {}: too many columns", number + 1);
            rest.resize(COLUMNS - 2, String::new());
            let mut rest = rest.into_iter();
            let mut next = || rest.next().unwrap_or_default();
            let fact = Fact {
                list_type: next(),
                list_map_keys: next(),
                patch_strategy: next(),
                patch_merge_key: next(),
                map_type: next(),
                default: next(),
                values: next(),
                required: next(),
                go_type: next(),
            };
            ensure!(facts.insert(key, fact).is_none(), "line {}: said twice", number + 1);
        }
        Ok(Self(facts))
    }

    /// Whether anything is said of a definition.
    pub fn know(&self, definition: &str) -> bool {
        self.0.range((definition.to_owned(), String::new())..).next().is_some_and(|((name, _), _)| name == definition)
    }

    /// The facts of a field, or of the definition itself for `.`.
    pub fn of(&self, definition: &str, field: &str) -> Fact {
        self.0.get(&(definition.to_owned(), field.to_owned())).cloned().unwrap_or_default()
    }
}
