use serde_json::{Value, from_value, json};

use super::*;

fn shown(shown: &Shown) -> String {
    serde_json::to_string(shown).expect("JSON")
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    from_value(value).expect("an object")
}

#[test]
fn fields_keep_their_order_and_stand_there_unset() {
    let term = read(json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["x"]}]}));
    let expected = r#"{"MatchExpressions":[{"Key":"a","Operator":"In","Values":["x"]}],"MatchFields":null}"#;
    assert_eq!(shown(&node_selector_term(&term)), expected);
    let affinity = read(json!({"required": {"nodeSelectorTerms": [{}]}}));
    let expected = r#"{"Required":{"NodeSelectorTerms":[{"MatchExpressions":null,"MatchFields":null}]}}"#;
    assert_eq!(shown(&volume_node_affinity(&affinity)), expected);
    let selector = read(json!({"matchExpressions": [{"scopeName": "BestEffort", "operator": "Exists"}]}));
    let expected = r#"{"MatchExpressions":[{"ScopeName":"BestEffort","Operator":"Exists","Values":null}]}"#;
    assert_eq!(shown(&scope_selector(&selector)), expected);
    let bundle = read(json!({"name": "a", "signerName": "b", "path": "c"}));
    let expected = r#"{"Name":"a","SignerName":"b","LabelSelector":null,"Optional":null,"Path":"c"}"#;
    assert_eq!(shown(&trust_bundle(&bundle)), expected);
}

#[test]
fn security_contexts_have_all_of_their_fields() {
    let context = read(json!({
        "privileged": true,
        "capabilities": {"add": ["X"]},
        "seLinuxOptions": {"level": "l"},
        "seccompProfile": {"type": "RuntimeDefault"},
    }));
    let expected = r#"{"Capabilities":{"Add":["X"],"Drop":null},"Privileged":true,"SELinuxOptions":{"User":"","Role":"","Type":"","Level":"l"},"WindowsOptions":null,"RunAsUser":null,"RunAsGroup":null,"RunAsNonRoot":null,"ReadOnlyRootFilesystem":null,"AllowPrivilegeEscalation":null,"ProcMount":null,"SeccompProfile":{"Type":"RuntimeDefault","LocalhostProfile":null},"AppArmorProfile":null}"#;
    assert_eq!(shown(&security_context(&context)), expected);
}
