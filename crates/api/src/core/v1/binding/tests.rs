use super::*;

#[test]
fn bindings_name_a_node() {
    let errors = |kind: &str, name: &str| -> Vec<String> {
        let mut binding = Binding::default();
        binding.target.kind = Some(kind.to_owned());
        binding.target.name = Some(name.to_owned());
        Kind::validate(&binding).iter().map(ToString::to_string).collect()
    };
    assert!(errors("Node", "n").is_empty());
    assert!(errors("", "n").is_empty());
    assert_eq!(
        errors("Pod", ""),
        [
            "target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\"",
            "target.name: Required value",
        ]
    );
}
