//! The rules of an aggregated ClusterRole are those of all ClusterRoles that its selectors match.

use std::sync::Arc;

use api::labels::Selector;
use client::{Client, Lister, is_not_found};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::assembly::{Controllers, Wiring};
use crate::runtime::{Error, Next, Reconcile};

/// How upstream's controller names itself in what it wrote.
const FIELD_MANAGER: &str = "clusterrole-aggregation-controller";

/// The one key there is.
const EVERY_AGGREGATE: &str = "aggregated ClusterRoles";

struct ClusterRoleAggregation {
    client: Client,
    roles: Lister<ClusterRole>,
}

/// Starts the controller: it looks at all aggregates when any ClusterRole changes, for nobody knows which is part of which.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    wiring.wakes(&mut controllers.watches.cluster_roles, |_| [EVERY_AGGREGATE]);
    let roles = wiring.reads(&controllers.watches.cluster_roles);
    controllers.add(
        ClusterRoleAggregation { client: controllers.client_of("clusterrole-aggregation-controller"), roles },
        wiring,
        1,
    );
}

fn name(role: &ClusterRole) -> &str {
    role.metadata.name.as_deref().unwrap_or_default()
}

/// The rules an aggregate should have: selector by selector, in the order of the parts' names, each once. `None` when it is
/// no aggregate, or has a selector that cannot be understood.
fn aggregated(role: &ClusterRole, all: &[Arc<ClusterRole>]) -> Option<Vec<PolicyRule>> {
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in role.aggregation_rule.as_ref()?.cluster_role_selectors.iter().flatten() {
        let selector = Selector::from_label_selector(Some(selector)).ok()?;
        let mut parts: Vec<_> = all
            .iter()
            .filter(|part| name(part) != name(role) && selector.matches(part.metadata.labels.as_ref()))
            .collect();
        parts.sort_by(|a, b| name(a).cmp(name(b)));
        for rule in parts.into_iter().flat_map(|part| part.rules.iter().flatten()) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    Some(rules)
}

impl Reconcile for ClusterRoleAggregation {
    type Key = &'static str;
    const NAME: &'static str = "ClusterRole aggregation";

    async fn reconcile(&self, _: &&'static str) -> Result<Next, Error> {
        let all = self.roles.matching(|_| true);
        let api: Api<ClusterRole> = Api::all(self.client.clone());
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        for role in &all {
            let Some(rules) = aggregated(role, &all) else { continue };
            if rules == role.rules.as_deref().unwrap_or_default() {
                continue;
            }
            match api.patch(name(role), &params, &Patch::Merge(json!({ "rules": rules }))).await {
                Err(error) if !is_not_found(&error) => return Err(Error::during("writing aggregated rules")(error)),
                _ => {}
            }
        }
        Ok(Next::OnWakeUp)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn role(name: &str, labels: Value, verbs: &[&str], selectors: Value) -> Arc<ClusterRole> {
        let rule = |verb: &&str| json!({ "apiGroups": [""], "resources": ["pods"], "verbs": [verb] });
        let mut role = json!({ "metadata": { "name": name, "labels": labels },
                               "rules": verbs.iter().map(rule).collect::<Vec<_>>() });
        if !selectors.is_null() {
            role["aggregationRule"] = json!({ "clusterRoleSelectors": selectors });
        }
        Arc::new(serde_json::from_value(role).unwrap())
    }

    #[test]
    fn parts_come_by_name_and_each_rule_once() {
        let select = |key: &str| json!({ "matchLabels": { key: "true" } });
        let all = [
            role("sum", json!({ "to-a": "true" }), &["stale"], json!([select("to-a"), select("to-b")])),
            role("z", json!({ "to-a": "true" }), &["list", "get"], Value::Null),
            role("a", json!({ "to-a": "true", "to-b": "true" }), &["get"], Value::Null),
            role("b", json!({ "to-b": "true" }), &["watch"], Value::Null),
            role("c", json!({}), &["delete"], Value::Null),
        ];
        let verbs = |rules: Vec<PolicyRule>| rules.into_iter().flat_map(|rule| rule.verbs).collect::<Vec<_>>();
        assert_eq!(verbs(aggregated(&all[0], &all).unwrap()), ["get", "list", "watch"]);
        assert_eq!(aggregated(&all[1], &all), None);
        let nothing = role("none", json!({}), &[], json!([select("to-c")]));
        assert_eq!(aggregated(&nothing, &all).map(verbs), Some(Vec::new()));
    }
}
