use super::*;

fn field(kind: (&str, &str, &str), path: &str) -> Field {
    let mut structure = Type::of_kind(kind.0, kind.1, kind.2).expect("a built-in kind");
    let mut names = path.split('.').peekable();
    loop {
        let field = structure.field(names.next().expect("a path")).expect("a field");
        if names.peek().is_none() {
            return field;
        }
        let mut value = field.value();
        while let Value::Array(element) | Value::Map(element) = value {
            value = element.value();
        }
        let Value::Object(next) = value else { panic!("{} is no structure", field.name()) };
        structure = next;
    }
}

const POD: (&str, &str, &str) = ("", "v1", "Pod");

#[test]
fn knows_types_as_go_prints_them() {
    for (path, name) in [
        ("metadata", "v1.ObjectMeta"),
        ("metadata.labels", "map[string]string"),
        ("metadata.creationTimestamp", "v1.Time"),
        ("spec.containers", "[]v1.Container"),
        ("spec.containers.command", "[]string"),
        ("spec.containers.ports.containerPort", "int32"),
        ("spec.containers.resources.limits", "v1.ResourceList"),
        ("spec.containers.livenessProbe.httpGet.port", "intstr.IntOrString"),
        ("spec.terminationGracePeriodSeconds", "int64"),
    ] {
        assert_eq!(field(POD, path).value().go_name(), name, "{path}");
    }
    assert_eq!(field(("", "v1", "Secret"), "data").value().go_name(), "map[string][]uint8");
}

#[test]
fn knows_how_lists_merge() {
    let ports = field(POD, "spec.containers.ports");
    assert_eq!(ports.list_type(), ListType::Map);
    assert_eq!(ports.list_map_keys().collect::<Vec<_>>(), ["containerPort", "protocol"]);
    assert_eq!((ports.patch_strategy(), ports.merge_key()), (PatchStrategy::Merge, Some("containerPort")));
    let command = field(POD, "spec.containers.command");
    assert_eq!((command.list_type(), command.merge_key()), (ListType::Atomic, None));
    assert_eq!(field(POD, "spec.containers.ports.protocol").default(), Some("\"TCP\""));
    assert_eq!(field(POD, "spec.volumes").patch_strategy(), PatchStrategy::MergeRetainKeys);
    assert!(Type::of_definition("io.k8s.api.core.v1.ObjectFieldSelector").is_some_and(Type::is_atomic));
}

#[test]
fn knows_every_group() {
    for (group, version, kind) in [
        ("apps", "v1", "Deployment"),
        ("autoscaling", "v2", "HorizontalPodAutoscaler"),
        ("policy", "v1", "Eviction"),
        ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
        ("apiregistration.k8s.io", "v1", "APIService"),
    ] {
        assert!(Type::of_kind(group, version, kind).is_some(), "{group}/{version} {kind}");
    }
    assert!(Type::of_kind("apps", "v1", "Pod").is_none());
}

#[test]
fn tables_are_consistent() {
    assert!(TYPES.is_sorted_by_key(|row| text(row.definition)));
    assert!(KINDS.is_sorted_by_key(|row| (text(row.group), text(row.version), text(row.kind))));
    for (number, _) in TYPES.iter().enumerate() {
        let structure = Type(u16::try_from(number).unwrap());
        let names: Vec<_> = structure.fields().map(Field::name).collect();
        assert!(names.is_sorted(), "{}", structure.definition());
        for field in structure.fields() {
            assert_eq!(structure.field(field.name()), Some(field));
            assert!(!field.value().go_name().is_empty());
        }
    }
}
