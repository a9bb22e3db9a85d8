//! Whether a client can read aggregated discovery.

use super::aggregated::VERSION;

/// The form of `/api` and `/apis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One document per group version; negotiated like any other object.
    Plain,
    /// Everything at once.
    Aggregated,
}

/// The form an `Accept` header asks for: its first clause, by quality, that names one. The header of a client that reads
/// none of them leads to [`Form::Plain`], whose negotiation refuses it.
pub fn form_of(accept: &str) -> Form {
    let mut clauses: Vec<(f32, &str)> = accept.split(',').map(|clause| (quality(clause), clause)).collect();
    clauses.sort_by(|a, b| b.0.total_cmp(&a.0));
    clauses.into_iter().find_map(|(_, clause)| form(clause)).unwrap_or(Form::Plain)
}

fn parameters(clause: &str) -> impl Iterator<Item = (&str, &str)> {
    clause.split(';').skip(1).filter_map(|part| part.trim().split_once('='))
}

fn quality(clause: &str) -> f32 {
    let quality = parameters(clause).find(|(key, _)| *key == "q").and_then(|(_, value)| value.parse().ok());
    quality.unwrap_or(1.0)
}

fn form(clause: &str) -> Option<Form> {
    let media = clause.split(';').next()?.trim();
    if !matches!(media, "application/json" | "application/*" | "*/*") {
        return None;
    }
    let value = |name: &str| parameters(clause).find(|(key, _)| *key == name).map(|(_, value)| value);
    match (value("g"), value("v"), value("as")) {
        (None, None, None) => Some(Form::Plain),
        (Some("apidiscovery.k8s.io"), Some(VERSION), Some("APIGroupDiscoveryList")) => Some(Form::Aggregated),
        _ => None,
    }
}
