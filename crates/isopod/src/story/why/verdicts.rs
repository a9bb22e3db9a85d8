//! Why no node took a Pod, node by node.

use jiff::Timestamp;
use scheduler::{Attempt, NodeVerdict, Remedy};

use crate::story::timeline::duration;

/// The nearest miss, and what each node said when the scheduler last asked.
pub fn lines(attempt: &Attempt, now: Timestamp) -> Vec<String> {
    let nearest = attempt.nearest.as_ref().map(|nearest| format!("Nearest miss: {nearest}"));
    let mut lines: Vec<String> = nearest.into_iter().collect();
    if attempt.nodes.is_empty() {
        return lines;
    }
    let ago = duration(now.duration_since(attempt.at).as_millis().max(0));
    lines.push(format!("What each node said at the last attempt, {ago} ago:"));
    lines.extend(attempt.nodes.iter().map(line));
    if attempt.omitted > 0 {
        lines.push(format!("  and {} nodes more", attempt.omitted));
    }
    lines
}

fn line(verdict: &NodeVerdict) -> String {
    let obstacles = verdict.obstacles.iter().map(|obstacle| {
        let remedies: Vec<String> = obstacle.remedies.iter().map(words).collect();
        let remedies = if remedies.is_empty() { String::new() } else { format!(" ({})", remedies.join(", ")) };
        format!("{}{remedies}", obstacle.reason)
    });
    let obstacles: Vec<String> = obstacles.collect();
    format!("  {}: {}", verdict.node, obstacles.join("; "))
}

fn words(remedy: &Remedy) -> String {
    match remedy {
        Remedy::Needs(what) => format!("needs {what}"),
        Remedy::Do(what) => what.clone(),
    }
}
