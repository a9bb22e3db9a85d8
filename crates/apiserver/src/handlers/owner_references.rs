//! Owner references that stand twice are kept once, and the client is told.

use std::collections::HashSet;

use api::Object;

/// When the same owner was found twice, as the warning says it.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// In what the client sent.
    Sent,
    /// In what a patch made of the present object, where upstream looks only after admission.
    AfterAdmission,
}

/// Keeps equal references once. Returns the warning, if there were any.
pub fn dedup(object: &mut dyn Object, moment: Moment) -> Option<String> {
    let references = object.metadata_mut().owner_references.as_mut()?;
    let (mut uids, mut kept, mut twice) = (HashSet::new(), Vec::new(), Vec::new());
    for reference in references.iter() {
        // Most owners are different ones: whole references are compared only where uids are the same.
        if !uids.insert(reference.uid.as_str()) && kept.contains(reference) {
            twice.push(reference.uid.clone());
        } else {
            kept.push(reference.clone());
        }
    }
    if twice.is_empty() {
        return None;
    }
    *references = kept;
    let when = match moment {
        Moment::Sent => "",
        Moment::AfterAdmission => " after mutating admission happens",
    };
    Some(format!(
        ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and may \
         reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
        twice.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use api::k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::{Value, json};

    use super::*;

    fn check(references: Value, left: usize, uids: Option<&str>) {
        let mut object: ConfigMap =
            serde_json::from_value(json!({"metadata": {"ownerReferences": references}})).unwrap();
        let warning = dedup(&mut object, Moment::Sent);
        assert_eq!(object.metadata.owner_references.unwrap().len(), left);
        let told = warning.as_deref().and_then(|text| text.rsplit_once(": ")).map(|(_, uids)| uids);
        assert_eq!(told, uids);
    }

    #[test]
    fn equal_references_are_kept_once() {
        let owner = |uid: &str, name: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid});
        check(json!([owner("1", "a"), owner("2", "a")]), 2, None);
        check(json!([owner("1", "a"), owner("2", "b"), owner("1", "a"), owner("1", "a")]), 2, Some("1, 1"));
        // Another name is another reference, whatever is wrong with it.
        check(json!([owner("1", "a"), owner("1", "b")]), 2, None);
    }

    #[test]
    fn the_warning_says_when() {
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "1"});
        let mut object: ConfigMap =
            serde_json::from_value(json!({"metadata": {"ownerReferences": [owner, owner]}})).unwrap();
        let warning = dedup(&mut object.clone(), Moment::AfterAdmission).unwrap();
        assert!(warning.starts_with(
            ".metadata.ownerReferences contains duplicate entries after mutating admission happens; API server dedups"
        ));
        let warning = dedup(&mut object, Moment::Sent).unwrap();
        assert!(warning.starts_with(".metadata.ownerReferences contains duplicate entries; API server dedups"));
    }
}
