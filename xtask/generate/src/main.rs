//! Writes what the workspace knows about the schemas of the built-in kinds: the static tables of `api::schema`, the
//! compressed definitions of `apiserver::openapi` and the descriptions in the columns of `apiserver::table`.
//!
//! Sources: k8s-openapi's own schemas, `facts.tsv` and `texts.tsv`, which hold what those leave out, and `protobuf.tsv`.

mod definitions;
mod descriptions;
mod facts;
mod kinds;
mod protobuf;
mod tables;
mod texts;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use k8s_openapi::schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

fn main() -> Result<()> {
    let root = PathBuf::from(std::env::args_os().nth(1).context("usage: generate ROOT")?);
    let facts = std::fs::read_to_string(root.join("xtask/generate/facts.tsv")).context("read the facts")?;
    let facts = facts::Facts::parse(&facts)?;
    let numbers = std::fs::read_to_string(root.join("xtask/generate/protobuf.tsv")).context("read the numbers")?;
    let numbers = protobuf::Numbers::parse(&numbers)?;
    let texts = std::fs::read_to_string(root.join("xtask/generate/texts.tsv")).context("read the texts")?;
    let texts = texts::Texts::parse(&texts)?;
    let mut generator = SchemaSettings::openapi3().into_generator();
    let kinds = kinds::register_all(&mut generator);
    let mut definitions = generator.take_definitions(true);
    definitions::complete(&mut definitions, &kinds, &facts, &texts)?;
    let tables = tables::write(&definitions, &kinds, &facts, &numbers)?;
    std::fs::write(root.join("crates/api/src/schema/generated.rs"), tables).context("write the tables")?;
    let descriptions = descriptions::write(&definitions)?;
    std::fs::write(root.join("crates/apiserver/src/table/descriptions.rs"), descriptions)
        .context("write the descriptions")?;
    std::fs::write(root.join("crates/apiserver/src/openapi/definitions.gz"), compress(&definitions)?)
        .context("write the definitions")
}

/// One line per definition, sorted: its name, a tab, its JSON.
fn compress(definitions: &Map<String, Value>) -> Result<Vec<u8>> {
    let mut names: Vec<&String> = definitions.keys().collect();
    names.sort();
    let mut text = String::new();
    for name in names {
        writeln!(text, "{name}\t{}", definitions[name])?;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    Ok(encoder.finish()?)
}
