use super::*;

#[test]
fn every_binding_names_a_role_there_is() {
    let roles: Vec<_> = cluster_roles().into_iter().filter_map(|role| role.metadata.name).collect();
    for binding in cluster_role_bindings() {
        assert!(roles.contains(&binding.role_ref.name), "{}", binding.role_ref.name);
    }
    let roles: Vec<_> =
        namespaced_roles().into_iter().map(|role| (role.metadata.namespace, role.metadata.name)).collect();
    for binding in role_bindings() {
        assert!(roles.contains(&(binding.metadata.namespace.clone(), Some(binding.role_ref.name))));
    }
}

#[test]
fn the_policy_is_valid_and_has_no_duplicates() {
    fn check<K: api::Kind>(objects: Vec<K>) {
        let mut keys = std::collections::BTreeSet::new();
        for mut object in objects {
            object.set_defaults();
            assert_eq!(api::Kind::validate(&object), [], "{object:?}");
            let meta = k8s_openapi_meta(&object);
            assert!(keys.insert((meta.namespace.clone(), meta.name.clone())), "{:?} twice", meta.name);
        }
    }
    fn k8s_openapi_meta<K: api::Kind>(object: &K) -> &ObjectMeta {
        api::k8s_openapi::Metadata::metadata(object)
    }
    check(cluster_roles());
    check(cluster_role_bindings());
    check(namespaced_roles());
    check(role_bindings());
}

#[test]
fn what_is_missing_is_added_and_nothing_else_is_touched() {
    use super::reconcile::Policy;
    let wanted = cluster_roles().into_iter().find(|role| role.metadata.name.as_deref() == Some("system:basic-user"));
    let wanted = wanted.expect("a default role");
    let mut there = wanted.clone();
    let lost = there.rules.as_mut().and_then(Vec::pop).expect("a rule");
    there.metadata.labels.get_or_insert_default().insert("mine".to_owned(), "1".to_owned());
    let mut complete = there.clone();
    complete.extend(&wanted);
    let rules = complete.rules.as_ref().expect("rules");
    assert_eq!(api::rbac::v1::uncovered(rules, &[lost]), []);
    assert_eq!(complete.metadata.labels, there.metadata.labels);
    let again = complete.clone();
    complete.extend(&wanted);
    assert_eq!(complete, again);
}
