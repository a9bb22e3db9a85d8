//! The definitions of all types: what `cargo run -p xtask -- generate` wrote, one line each.

use std::collections::BTreeMap;
use std::io::Read;

use api::Gvk;
use flate2::read::GzDecoder;

use super::REFERENCE;

/// Lines of a name, a tab and JSON, sorted and compressed.
pub(super) const COMPRESSED: &[u8] = include_bytes!("definitions.gz");

/// The same for metrics.k8s.io, which is no part of Kubernetes' own API and written by hand.
pub(super) const METRICS: &str = include_str!("metrics.tsv");

/// The name of the definition of a kind that only [`METRICS`] has.
pub(super) fn of_metrics(gvk: Gvk) -> Option<String> {
    let name = format!("io.k8s.metrics.pkg.apis.metrics.{}.{}", gvk.version, gvk.kind);
    let known = gvk.group == "metrics.k8s.io" && METRICS.lines().any(|line| line.split('\t').next() == Some(&name));
    known.then_some(name)
}

/// The unpacked definitions.
pub(super) struct Definitions {
    text: String,
}

impl Definitions {
    pub(super) fn unpack() -> Self {
        let mut text = String::new();
        GzDecoder::new(COMPRESSED).read_to_string(&mut text).expect("the binary holds what the generator wrote");
        text.push_str(METRICS);
        Self { text }
    }

    fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text.lines().filter_map(|line| line.split_once('\t'))
    }

    /// Every definition that a text leads to, directly or not, sorted by name.
    pub(super) fn reachable(&self, text: &str) -> Vec<(&str, &str)> {
        let all: BTreeMap<&str, &str> = self.lines().collect();
        let mut found = BTreeMap::new();
        let mut waiting = vec![text];
        while let Some(text) = waiting.pop() {
            for (name, text) in references(text).filter_map(|name| all.get_key_value(name)) {
                if found.insert(*name, *text).is_none() {
                    waiting.push(text);
                }
            }
        }
        found.into_iter().collect()
    }
}

/// The names of the definitions that a text refers to.
fn references(text: &str) -> impl Iterator<Item = &str> {
    text.split(REFERENCE).skip(1).filter_map(|rest| rest.split('"').next())
}
