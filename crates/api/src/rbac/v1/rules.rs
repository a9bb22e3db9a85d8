//! What one set of rules allows beyond another.

use k8s_openapi::api::rbac::v1::PolicyRule;

/// Stands for everything in a list of a rule.
pub const ALL: &str = "*";

/// What `wanted` allows and `held` does not, in rules of one group, resource, name or path and one verb each. One held
/// rule must cover such a piece alone, as upstream has it.
pub fn uncovered(held: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let pieces = wanted.iter().flat_map(pieces);
    pieces.filter(|piece| !held.iter().any(|rule| covers(rule, piece))).collect()
}

fn list(field: &Option<Vec<String>>) -> &[String] {
    field.as_deref().unwrap_or_default()
}

fn pieces(rule: &PolicyRule) -> Vec<PolicyRule> {
    let one = |text: &String| Some(vec![text.clone()]);
    let names: Vec<_> = match list(&rule.resource_names) {
        [] => vec![None],
        names => names.iter().map(one).collect(),
    };
    let mut pieces = Vec::new();
    for group in list(&rule.api_groups) {
        for resource in list(&rule.resources) {
            for verb in &rule.verbs {
                pieces.extend(names.iter().map(|name| PolicyRule {
                    api_groups: one(group),
                    resources: one(resource),
                    resource_names: name.clone(),
                    verbs: vec![verb.clone()],
                    non_resource_urls: None,
                }));
            }
        }
    }
    for path in list(&rule.non_resource_urls) {
        pieces.extend(rule.verbs.iter().map(|verb| PolicyRule {
            non_resource_urls: one(path),
            verbs: vec![verb.clone()],
            ..PolicyRule::default()
        }));
    }
    pieces
}

fn covers(held: &PolicyRule, piece: &PolicyRule) -> bool {
    let has = |list: &[String], wanted: &str| list.iter().any(|entry| entry == wanted);
    let all = |mine: &[String], theirs: &[String]| has(mine, ALL) || theirs.iter().all(|entry| has(mine, entry));
    all(&held.verbs, &piece.verbs)
        && all(list(&held.api_groups), list(&piece.api_groups))
        && (has(list(&held.resources), ALL)
            || list(&piece.resources).iter().all(|resource| covers_resource(list(&held.resources), resource)))
        && (list(&held.resource_names).is_empty()
            || (!list(&piece.resource_names).is_empty()
                && list(&piece.resource_names).iter().all(|name| has(list(&held.resource_names), name))))
        && list(&piece.non_resource_urls)
            .iter()
            .all(|path| list(&held.non_resource_urls).iter().any(|pattern| covers_path(pattern, path)))
}

fn covers_resource(held: &[String], wanted: &str) -> bool {
    let any_parent = wanted.split_once('/').map(|(_, child)| format!("*/{child}"));
    held.iter().any(|entry| entry == wanted || any_parent.as_ref() == Some(entry))
}

/// Whether a pattern, which may end in `*`, stands for a path or for a narrower pattern.
pub fn covers_path(pattern: &str, path: &str) -> bool {
    pattern == path || (pattern.ends_with(ALL) && path.starts_with(pattern.trim_end_matches('*')))
}
