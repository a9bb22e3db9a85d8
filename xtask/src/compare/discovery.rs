//! Which groups, versions, resources and verbs there are.

use anyhow::Result;
use kube::Client;
use serde_json::Value;

use super::Document;
use super::differences::{Difference, Order, between};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Compares one document with the server's.
pub async fn compare(client: &Client, document: &Document) -> Result<Vec<Difference>> {
    let (path, accept) = match document.path.strip_suffix(".aggregated") {
        Some(path) => (path, AGGREGATED),
        None => (document.path.as_str(), "application/json"),
    };
    let got = super::get(client, path, accept).await?.unwrap_or_default();
    Ok(differences(&document.content, &got))
}

/// Groups the server has on top are fine, and it answers from another address.
fn differences(want: &Value, got: &Value) -> Vec<Difference> {
    let whole_group = |difference: &Difference| {
        let inner = difference.path.strip_prefix("$.groups[").or_else(|| difference.path.strip_prefix("$.items["));
        difference.want.is_none() && inner.is_some_and(|inner| inner.find(']') == Some(inner.len() - 1))
    };
    let found = between(want, got, Order::Free);
    found
        .into_iter()
        .filter(|difference| !difference.path.starts_with("$.serverAddressByClientCIDRs") && !whole_group(difference))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn more_groups_are_fine_but_not_more_resources() {
        let want =
            json!({"groups": [{"name": "a", "versions": [{"version": "v1"}]}], "serverAddressByClientCIDRs": [1]});
        let more = json!({"groups": [{"name": "b"}, {"name": "a", "versions": [{"version": "v1"}]}]});
        assert_eq!(differences(&want, &more), []);
        let other = json!({"groups": [{"name": "a", "versions": [{"version": "v2"}]}]});
        let found: Vec<String> = differences(&want, &other).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "$.groups[a].versions[v1]: want {\"version\":\"v1\"}, got nothing",
                "$.groups[a].versions[v2]: want nothing, got {\"version\":\"v2\"}",
            ]
        );
    }
}
