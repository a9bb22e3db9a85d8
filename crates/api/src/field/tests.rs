use super::*;

#[test]
fn paths_print_fields_indexes_and_keys() {
    let spec = Path::new("spec");
    let containers = spec.child("containers");
    let first = containers.index(0);
    assert_eq!(first.child("name").to_string(), "spec.containers[0].name");
    assert_eq!(Path::new("metadata").child("labels").key("a/b").to_string(), "metadata.labels[a/b]");
    assert_eq!(Path::ROOT.child("kind").to_string(), "kind");
    assert_eq!(Path::ROOT.to_string(), "");
}

#[test]
fn messages_quote_values_as_go_does() {
    let path = Path::new("x");
    assert_eq!(invalid(&path, "a\"b\n\u{1}é", "bad").message, r#"Invalid value: "a\"b\n\x01é": bad"#);
    assert_eq!(invalid(&path, -1_i32, "bad").message, "Invalid value: -1: bad");
    assert_eq!(invalid(&path, None::<i32>, "bad").message, "Invalid value: null: bad");
    assert_eq!(invalid(&path, Json(&["a"]), "bad").message, r#"Invalid value: ["a"]: bad"#);
    assert_eq!(required(&path, "").message, "Required value");
    assert_eq!(required(&path, "why").to_string(), "x: Required value: why");
    assert_eq!(duplicate(&path, "v").message, r#"Duplicate value: "v""#);
    assert_eq!(forbidden(&path, "no").message, "Forbidden: no");
    assert_eq!(not_supported(&path, "v", &["a", "b"]).message, r#"Unsupported value: "v": supported values: "a", "b""#);
    assert_eq!(too_long(&path, 5).message, "Too long: may not be more than 5 bytes");
    assert_eq!(too_many(&path, 7, 5).message, "Too many: 7: must have at most 5 items");
}
