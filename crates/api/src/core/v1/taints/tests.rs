use serde_json::json;

use super::*;

fn taint(key: &str, value: &str, effect: &str) -> Taint {
    Taint { key: key.into(), value: Some(value.into()), effect: effect.into(), time_added: None }
}

fn toleration(value: serde_json::Value) -> Toleration {
    serde_json::from_value(value).unwrap()
}

#[test]
fn tolerations_accept_taints() {
    let taint = taint("k", "v", NO_SCHEDULE);
    for (value, accepts) in [
        (json!({"operator": "Exists"}), true),
        (json!({"key": "k", "operator": "Exists"}), true),
        (json!({"key": "k", "value": "v"}), true),
        (json!({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}), true),
        (json!({"key": "k", "value": "w"}), false),
        (json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}), false),
        (json!({"key": "j", "operator": "Exists"}), false),
        (json!({"key": "k", "operator": "Odd"}), false),
    ] {
        assert_eq!(tolerates(&toleration(value.clone()), &taint), accepts, "{value}");
    }
}

#[test]
fn the_first_untolerated_taint_is_found() {
    let taints = [taint("a", "", PREFER_NO_SCHEDULE), taint("b", "", NO_EXECUTE), taint("c", "", NO_SCHEDULE)];
    let tolerations = [toleration(json!({"key": "b", "operator": "Exists"}))];
    assert_eq!(find_untolerated(&taints, &tolerations, repels).unwrap().key, "c");
    assert!(find_untolerated(&taints[..2], &tolerations, repels).is_none());
}

#[test]
fn taints_are_unique_by_key_and_effect() {
    let taints = [taint("a", "x", NO_SCHEDULE), taint("a", "", NO_SCHEDULE), taint("a", "", "Odd")];
    let errors: Vec<String> = validate_taints(&taints, &Path::new("t")).iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "t[1]: Duplicate value: {\"Key\":\"a\",\"Value\":\"\",\"Effect\":\"NoSchedule\",\"TimeAdded\":null}: taints must be unique by key and effect pair",
            "t[2].effect: Unsupported value: \"Odd\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
        ]
    );
}
