use super::*;

fn pod(uid: &str, host_users: Option<bool>) -> Pod {
    let mut pod: Pod =
        serde_json::from_value(serde_json::json!({"metadata": {"uid": uid}, "spec": {"containers": []}}))
            .expect("a Pod");
    pod.spec.as_mut().unwrap().host_users = host_users;
    pod
}

#[test]
fn every_pod_has_a_range_of_its_own_as_long_as_its_directory_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let users = UserNamespaces::new(directory.path().into(), 2);
    let first = |uid: &str| users.range_of(&pod(uid, Some(false))).map(|range| range.unwrap().first);
    assert_eq!(users.range_of(&pod("host", None)).unwrap(), None);
    assert_eq!(users.range_of(&pod("host", Some(true))).unwrap(), None);
    assert!(!directory.path().join("host").exists());
    assert_eq!((first("a").unwrap(), first("b").unwrap(), first("a").unwrap()), (65536, 131_072, 65536));
    assert_eq!(first("c").unwrap_err().to_string(), "could not find an empty slot to allocate a user namespace");
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(directory.path().join("b/userns")).unwrap()).unwrap();
    let mapping = serde_json::json!([{"hostId": 131_072, "containerId": 0, "length": 65536}]);
    assert_eq!(record, serde_json::json!({"uidMappings": mapping, "gidMappings": mapping}));

    let restarted = UserNamespaces::new(directory.path().into(), 2);
    assert_eq!(restarted.range_of(&pod("b", Some(false))).unwrap().unwrap().first, 131_072);
    fs::remove_dir_all(directory.path().join("a")).unwrap();
    assert_eq!(first("c").unwrap(), 65536);
}

#[test]
fn a_damaged_record_holds_up_its_own_pod_only() {
    let directory = tempfile::tempdir().unwrap();
    let users = UserNamespaces::new(directory.path().into(), 10);
    fs::create_dir(directory.path().join("a")).unwrap();
    let mapping = |host: u32| format!(r#"[{{"hostId":{host},"containerId":0,"length":65536}}]"#);
    let both = |uid, gid| format!(r#"{{"uidMappings":{},"gidMappings":{}}}"#, mapping(uid), mapping(gid));
    for text in ["", "{}", &both(0, 0), &both(65536, 131_072), &both(65537, 65537)] {
        fs::write(directory.path().join("a/userns"), text).unwrap();
        let error = users.range_of(&pod("a", Some(false))).unwrap_err();
        assert!(matches!(error, Error::Record(_)), "{text}");
        assert!(users.range_of(&pod("b", Some(false))).is_ok(), "{text}");
    }
}

#[test]
fn processes_tell_which_ranges_are_in_use() {
    let proc = tempfile::tempdir().unwrap();
    for (pid, map) in [("1", "0 0 4294967295"), ("7", "         0     131072      65536\n"), ("8", "0 131072 65536")] {
        fs::create_dir(proc.path().join(pid)).unwrap();
        fs::write(proc.path().join(pid).join("uid_map"), map).unwrap();
    }
    assert_eq!(ranges_of_processes(proc.path()), HashSet::from([0, 131_072]));
}
