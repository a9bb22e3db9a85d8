//! Why a node does not take a Pod.

use std::borrow::Cow;

use super::PluginName;

/// See the module. Most rejections give one reason, in words that need no memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Who rejects.
    pub plugin: PluginName,
    /// Worded as upstream, for the Pod's condition and Event.
    pub reason: Cow<'static, str>,
    /// Further reasons.
    pub more: Vec<Cow<'static, str>>,
    /// Whether removing other Pods from the node could help.
    pub curable: bool,
}

impl Rejection {
    /// A rejection that no preemption cures.
    pub fn incurable(plugin: PluginName, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { plugin, reason: reason.into(), more: Vec::new(), curable: false }
    }

    /// A rejection that ends when other Pods go.
    pub fn curable(plugin: PluginName, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { curable: true, ..Self::incurable(plugin, reason) }
    }

    /// All reasons.
    pub fn reasons(&self) -> impl Iterator<Item = &Cow<'static, str>> {
        std::iter::once(&self.reason).chain(&self.more)
    }

    /// All reasons as one text.
    pub fn message(&self) -> String {
        self.reasons().map(Cow::as_ref).collect::<Vec<_>>().join(", ")
    }
}
