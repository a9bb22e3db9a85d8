//! Why no node takes a Pod, in upstream's words.

use std::borrow::Cow;

use crate::framework::{PluginSet, Rejection};
use crate::profile::Narrowed;

/// What the nodes said, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    nodes: usize,
    heard: usize,
    /// Few, so a list is faster than a map.
    reasons: Vec<(Cow<'static, str>, usize)>,
    /// What holds for all of them, whatever each says.
    everywhere: Option<String>,
    /// Nodes where fewer Pods would help, by position.
    curable: Vec<usize>,
    plugins: PluginSet,
}

impl Unfit {
    /// Of so many nodes, none has been heard yet.
    pub fn new(nodes: usize) -> Self {
        let (curable, plugins) = (Vec::new(), PluginSet::default());
        Self { nodes, heard: 0, reasons: Vec::new(), everywhere: None, curable, plugins }
    }

    /// The Pod can go nowhere, for this reason.
    #[must_use]
    pub fn everywhere(mut self, rejection: &Rejection) -> Self {
        self.plugins.insert(rejection.plugin);
        Self { everywhere: Some(rejection.message()), ..self }
    }

    /// One node's answer.
    pub fn add(&mut self, position: usize, rejection: &Rejection) {
        self.heard += 1;
        self.plugins.insert(rejection.plugin);
        for reason in rejection.reasons() {
            self.count(reason.clone(), 1);
        }
        if rejection.curable {
            self.curable.push(position);
        }
    }

    /// All nodes that were not heard say this.
    pub fn rest(&mut self, reason: &str) {
        let rest = self.nodes.saturating_sub(self.heard);
        if rest > 0 {
            self.count(Cow::Owned(reason.to_owned()), rest);
            self.heard = self.nodes;
        }
    }

    /// All nodes that were not heard do not come into question.
    pub fn narrowed(&mut self, narrowed: &Narrowed) {
        narrowed.by.iter().for_each(|plugin| self.plugins.insert(*plugin));
        self.rest(&narrowed.reason());
    }

    fn count(&mut self, reason: Cow<'static, str>, count: usize) {
        match self.reasons.iter_mut().find(|(other, _)| *other == reason) {
            Some(entry) => entry.1 += count,
            None => self.reasons.push((reason, count)),
        }
    }

    /// Nodes where fewer Pods would help, by position.
    pub fn curable(&self) -> &[usize] {
        &self.curable
    }

    /// Who rejected the Pod.
    pub fn plugins(&self) -> PluginSet {
        self.plugins
    }

    /// Whether no node was even asked.
    pub fn is_everywhere(&self) -> bool {
        self.everywhere.is_some()
    }

    /// The text of the Pod's condition and Event, with what preemption came to.
    pub fn message(&self, preemption: Option<&str>) -> String {
        match (&self.everywhere, preemption) {
            // Upstream's plugin for resource claims looks for what it prepared, which it had no chance to: that it finds
            // nothing ends the search for victims, and its words stand here.
            (Some(reason), _) => format!("0/{} nodes are available: {reason}. not found", self.nodes),
            // The first half is the answer of the plugin for resource claims, which we do not have yet.
            (None, Some(preemption)) => {
                format!("{} no new claims to deallocate, preemption: {preemption}", self.reasons_text())
            }
            (None, None) => self.reasons_text(),
        }
    }

    /// The reasons, each with how many nodes gave it.
    pub fn reasons_text(&self) -> String {
        let reasons = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}"));
        let mut reasons: Vec<String> = reasons.collect();
        reasons.sort_unstable();
        format!("0/{} nodes are available: {}.", self.nodes, reasons.join(", "))
    }
}
