//! Which objects a list or watch is about.

use api::{fields, labels};

use super::entry::{Entry, EventKind};
use super::facts::SelectableField;

/// A namespace and selectors. The default is about everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this namespace; empty for all.
    pub namespace: String,
    /// Only objects with such labels.
    pub labels: labels::Selector,
    /// Only objects with such fields.
    pub fields: fields::Selector,
}

impl Filter {
    /// Whether an object is meant.
    pub fn matches(&self, entry: &Entry, selectable: &[SelectableField]) -> bool {
        let facts = &entry.facts;
        (self.namespace.is_empty() || *facts.namespace == *self.namespace)
            && (self.fields.is_empty() || self.fields.matches(|name| facts.field(name, selectable)))
            && (self.labels.is_everything() || self.labels.matches(facts.labels.as_deref()))
    }

    /// Whether it selects within its namespace at all.
    pub fn is_selective(&self) -> bool {
        !self.fields.is_empty() || !self.labels.is_everything()
    }

    /// What a change of an object means to someone who sees only what this filter lets through.
    pub fn transition(
        &self,
        current: Option<&Entry>,
        previous: Option<&Entry>,
        selectable: &[SelectableField],
    ) -> Option<EventKind> {
        let visible = |entry: Option<&Entry>| entry.is_some_and(|entry| self.matches(entry, selectable));
        match (visible(previous), visible(current)) {
            (false, false) => None,
            (false, true) => Some(EventKind::Added),
            (true, true) => Some(EventKind::Modified),
            (true, false) => Some(EventKind::Deleted),
        }
    }
}
