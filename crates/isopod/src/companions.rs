//! What the API server can say of the components beside it.

use apiserver::Companions;
use platform::metrics::Text;
use serde_json::Value;

/// The components that are asked.
pub struct Beside {
    /// What the scheduler found.
    pub verdicts: scheduler::Verdicts,
    /// What the scheduler counts.
    pub scheduler_metrics: scheduler::Metrics,
}

impl Companions for Beside {
    fn scheduling(&self, namespace: &str, name: &str) -> Option<Value> {
        let attempt = self.verdicts.of(namespace, name)?;
        Some(serde_json::to_value(attempt).expect("names, texts and a time"))
    }

    fn write_metrics(&self, text: &mut Text) {
        self.scheduler_metrics.write(text);
    }
}
