//! Why no node takes a Pod, in upstream's words.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::plugins::Rejection;
use crate::pod_info::PodFacts;

/// What the nodes said, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    nodes: usize,
    reasons: BTreeMap<Cow<'static, str>, usize>,
    /// What holds for all of them, whatever each says.
    everywhere: Option<String>,
    /// Nodes where fewer Pods would help.
    curable: usize,
}

impl Unfit {
    /// Of so many nodes, none has been heard yet.
    pub fn new(nodes: usize) -> Self {
        Self { nodes, reasons: BTreeMap::new(), everywhere: None, curable: 0 }
    }

    /// The Pod can go nowhere, for this reason.
    #[must_use]
    pub fn everywhere(self, reason: &str) -> Self {
        Self { everywhere: Some(reason.to_owned()), ..self }
    }

    /// One node's answer.
    pub fn add(&mut self, rejection: Rejection) {
        for reason in rejection.reasons {
            *self.reasons.entry(reason).or_default() += 1;
        }
        self.curable += usize::from(rejection.curable);
    }

    /// The text of the Pod's condition and Event.
    pub fn message(&self, pod: &PodFacts) -> String {
        let reasons = self.reasons.iter().map(|(reason, count)| (*count, reason.as_ref()));
        match &self.everywhere {
            // Upstream's plugin for resource claims looks for what it prepared, which it had no chance to: that it finds
            // nothing ends the search for victims, and its words stand here.
            Some(reason) => format!("0/{} nodes are available: {reason}. not found", self.nodes),
            None => {
                let outcome = fit_error(self.nodes, reasons);
                // The first half is the answer of the plugin for resource claims, which we do not have yet.
                format!("{outcome} no new claims to deallocate, preemption: {}", self.preemption(pod))
            }
        }
    }

    /// Preemption itself is not there yet, so nobody can be a victim.
    fn preemption(&self, pod: &PodFacts) -> String {
        if pod.never_preempts {
            return "not eligible due to preemptionPolicy=Never.".to_owned();
        }
        let verdicts = [
            (self.curable, "No preemption victims found for incoming pod"),
            (self.nodes - self.curable, "Preemption is not helpful for scheduling"),
        ];
        fit_error(self.nodes, verdicts.into_iter().filter(|(count, _)| *count > 0))
    }
}

fn fit_error<'a>(nodes: usize, reasons: impl Iterator<Item = (usize, &'a str)>) -> String {
    let mut reasons: Vec<String> = reasons.map(|(count, reason)| format!("{count} {reason}")).collect();
    reasons.sort_unstable();
    format!("0/{nodes} nodes are available: {}.", reasons.join(", "))
}
