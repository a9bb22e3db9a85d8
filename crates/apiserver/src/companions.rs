//! What the components beside this server tell of themselves to those who ask here.

use serde_json::Value;

use crate::metrics::Text;

/// Components of the same process. All that they are asked is optional: the defaults know nothing.
pub trait Companions: Send + Sync {
    /// What the scheduler found when it last looked for a node for a Pod of this name: data of its own.
    fn scheduling(&self, _namespace: &str, _name: &str) -> Option<Value> {
        None
    }

    /// What they count, for `/metrics`.
    fn write_metrics(&self, _text: &mut Text) {}
}

/// Nobody.
impl Companions for () {}
