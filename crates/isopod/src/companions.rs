//! What the API server can say of the components beside it.

use apiserver::Companions;
use serde_json::Value;

/// The components that are asked.
pub struct Beside {
    /// What the scheduler found.
    pub verdicts: scheduler::Verdicts,
}

impl Companions for Beside {
    fn scheduling(&self, namespace: &str, name: &str) -> Option<Value> {
        let attempt = self.verdicts.of(namespace, name)?;
        Some(serde_json::to_value(attempt).expect("names, texts and a time"))
    }
}
