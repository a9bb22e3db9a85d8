//! Which node nearly took the Pod, and what is missing there.

use super::NodeVerdict;
use crate::framework::Remedy;

impl NodeVerdict {
    /// The smaller the nearer: few obstacles before small ones.
    pub(super) fn distance(&self) -> (usize, i64) {
        (self.obstacles.len(), self.obstacles.iter().map(|obstacle| obstacle.distance).sum())
    }

    /// What would make the node take the Pod; none where nothing is in the way any more.
    pub(super) fn sentence(&self) -> Option<String> {
        let (mut needs, mut acts, mut unhelped) = (Vec::new(), Vec::new(), Vec::new());
        for obstacle in &self.obstacles {
            if obstacle.remedies.is_empty() {
                unhelped.push(obstacle.reason.as_str());
            }
            for remedy in &obstacle.remedies {
                match remedy {
                    Remedy::Needs(what) => needs.push(what.as_str()),
                    Remedy::Do(what) => acts.push(what.as_str()),
                }
            }
        }
        let node = &self.node;
        let mut parts = Vec::new();
        if !needs.is_empty() {
            parts.push(format!("needs {} on {node}", needs.join(" and ")));
        }
        if !acts.is_empty() {
            let fits =
                if needs.is_empty() && unhelped.is_empty() { format!(" and it fits {node}") } else { String::new() };
            parts.push(format!("{}{fits}", acts.join(" and ")));
        }
        if !unhelped.is_empty() {
            parts.push(format!("on {node}: {}", unhelped.join(", ")));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}
