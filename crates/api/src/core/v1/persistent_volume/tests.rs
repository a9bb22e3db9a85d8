use serde_json::{Value, json};

use super::*;

fn volume(spec: Value) -> PersistentVolume {
    let volume = json!({ "metadata": { "name": "v", "resourceVersion": "1" }, "spec": spec });
    let mut volume: PersistentVolume = serde_json::from_value(volume).unwrap();
    volume.set_defaults();
    volume
}

fn spec(changes: &[(&str, Value)]) -> Value {
    let mut spec = json!({
        "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "hostPath": { "path": "/tmp/x" }
    });
    for (name, value) in changes {
        spec[*name] = value.clone();
    }
    spec
}

fn texts(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(|error| error.to_string().lines().next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn problems_of_new_volumes() {
    for (changes, expected) in [
        (vec![], vec![]),
        (vec![("accessModes", json!([]))], vec!["spec.accessModes: Required value"]),
        (vec![("hostPath", json!(null))], vec!["spec: Required value: must specify a volume type"]),
        (
            vec![("nfs", json!({ "server": "s", "path": "/p" }))],
            vec!["spec.nfs: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            vec![("hostPath", json!({ "path": "/." })), ("persistentVolumeReclaimPolicy", json!("Recycle"))],
            vec!["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"],
        ),
        (
            vec![("hostPath", json!(null)), ("local", json!({ "path": "/a/../b" })), ("nodeAffinity", json!({}))],
            vec![
                "spec.nodeAffinity.required: Required value: must specify required node constraints",
                "spec.local.path: Invalid value: \"/a/../b\": must not contain '..'",
            ],
        ),
    ] {
        assert_eq!(texts(&Kind::validate(&volume(spec(&changes)))), expected);
    }
}

#[test]
fn a_volume_stays_what_it_is() {
    let old = volume(spec(&[]));
    for (changes, expected) in [
        (vec![("persistentVolumeReclaimPolicy", json!("Delete"))], vec![]),
        (
            vec![("hostPath", json!({ "path": "/z" }))],
            vec!["spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"],
        ),
        (vec![("volumeMode", json!("Block"))], vec!["volumeMode: Invalid value: \"Block\": field is immutable"]),
    ] {
        assert_eq!(texts(&Kind::validate_update(&volume(spec(&changes)), &old)), expected);
    }
}

mod matching {
    use k8s_openapi::api::core::v1::PersistentVolumeClaim;

    use super::super::matching::{Search, find};
    use super::*;

    fn volume(name: &str, size: &str, changes: Value) -> PersistentVolume {
        let mut spec = spec(&[("capacity", json!({ "storage": size })), ("storageClassName", json!("slow"))]);
        for (key, value) in changes.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        let mut volume = super::volume(spec);
        volume.metadata.name = Some(name.to_owned());
        volume.metadata.labels = Some([("name".to_owned(), name.to_owned())].into());
        volume.status.as_mut().unwrap().phase = Some("Available".to_owned());
        volume
    }

    fn claim(changes: Value) -> PersistentVolumeClaim {
        let mut spec = json!({ "accessModes": ["ReadWriteOnce"], "storageClassName": "slow",
                               "resources": { "requests": { "storage": "2Gi" } } });
        for (key, value) in changes.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        let claim = json!({ "metadata": { "name": "c", "namespace": "n", "uid": "u" }, "spec": spec });
        let mut claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
        claim.set_defaults();
        claim
    }

    fn found(claim: &PersistentVolumeClaim, volumes: &[PersistentVolume], search: Search<'_>) -> String {
        let volume = find(claim, volumes, search);
        volume.and_then(|volume| volume.metadata.name.clone()).unwrap_or_else(|| "none".to_owned())
    }

    #[test]
    fn the_smallest_that_fits_is_taken_unless_one_is_reserved() {
        let sizes = [
            volume("small", "1Gi", json!({})),
            volume("large", "9Gi", json!({})),
            volume("fits", "3Gi", json!({})),
            volume("block", "2Gi", json!({ "volumeMode": "Block" })),
            volume("other", "2Gi", json!({ "storageClassName": "fast" })),
            volume("many", "2Gi", json!({ "accessModes": ["ReadOnlyMany"] })),
            volume("taken", "2Gi", json!({ "claimRef": { "namespace": "n", "name": "d" } })),
        ];
        assert_eq!(found(&claim(json!({})), &sizes, Search::Anywhere), "fits");
        assert_eq!(found(&claim(json!({})), &sizes, Search::Reserved), "none");
        let selector = json!({ "selector": { "matchLabels": { "name": "large" } } });
        assert_eq!(found(&claim(selector), &sizes, Search::Anywhere), "large");
        let reserved = volume("reserved", "5Gi", json!({ "claimRef": { "namespace": "n", "name": "c" } }));
        let with_reserved = [&sizes[..], &[reserved]].concat();
        assert_eq!(found(&claim(json!({})), &with_reserved, Search::Reserved), "reserved");
        let former = json!({ "claimRef": { "namespace": "n", "name": "c", "uid": "another" } });
        assert_eq!(found(&claim(json!({})), &[volume("former", "5Gi", former)], Search::Anywhere), "none");
    }

    #[test]
    fn a_node_must_reach_its_volumes() {
        let on = |zone: &str| {
            let expression = json!({ "key": "zone", "operator": "In", "values": [zone] });
            json!({ "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [expression] }] } } })
        };
        let volumes = [volume("a", "2Gi", on("a")), volume("b", "3Gi", on("b"))];
        let node = serde_json::from_value(json!({ "metadata": { "name": "n", "labels": { "zone": "b" } } })).unwrap();
        assert_eq!(found(&claim(json!({})), &volumes, Search::On(&node)), "b");
    }
}

#[test]
fn sources_have_upstreams_rules() {
    let gone = |name: &'static str, source: Value| vec![("hostPath", json!(null)), (name, source)];
    for (changes, expected) in [
        (
            vec![("hostPath", json!({"path": "/x", "type": "Odd"}))],
            &["spec.hostPath.type: Unsupported value: \"Odd\""][..],
        ),
        (
            gone("csi", json!({"driver": "a b", "volumeHandle": "h", "nodePublishSecretRef": {"name": "s"}})),
            &["spec.csi.driver: Invalid value: \"a b\"", "spec.csi.nodePublishSecretRef.namespace: Required value"],
        ),
        (
            gone("iscsi", json!({"targetPortal": "", "iqn": "bad", "lun": 256, "chapAuthSession": true})),
            &[
                "spec.iscsi.targetPortal: Required value",
                "spec.iscsi.iqn: Invalid value: \"bad\": must be valid format",
                "spec.iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
                "spec.iscsi.secretRef: Required value",
            ],
        ),
        (
            gone("local", json!({"path": "/x"})),
            &["spec.nodeAffinity: Required value: Local volume requires node affinity"],
        ),
        (
            gone("glusterfs", json!({"endpoints": "e", "path": "p", "endpointsNamespace": ""})),
            &["spec.glusterfs.endpointsNamespace: Invalid value: \"\": if the endpointnamespace is set, it must be a \
               valid namespace name"],
        ),
        (
            vec![("capacity", json!({"storage": "-1Ki"}))],
            &[
                "spec.capacity[storage]: Invalid value: -1024: must be a valid resource quantity",
                "spec.capacity[storage]: Invalid value: \"-1Ki\": must be greater than zero",
            ],
        ),
        (
            gone("cinder", json!({"volumeID": "v", "secretRef": {}})),
            &["spec.cinder.secretRef.name: Required value", "spec.cinder.secretRef.namespace: Required value"],
        ),
        (
            gone("azureFile", json!({"secretName": "s", "shareName": "", "secretNamespace": ""})),
            &["spec.azureFile.shareName: Required value", "spec.azureFile.secretNamespace: Required value"],
        ),
        (
            vec![("cephfs", json!({"monitors": []})), ("flexVolume", json!({"driver": ""}))],
            &[
                "spec.cephFS: Forbidden: may not specify more than 1 volume type",
                "spec.flexVolume.driver: Required value",
            ],
        ),
        (
            vec![("volumeAttributesClassName", json!(""))],
            &[
                "spec.volumeAttributesClassName: Required value: an empty string is disallowed",
                "spec.csi: Required value: has to be specified when using volumeAttributesClassName",
            ],
        ),
    ] {
        let found = texts(&Kind::validate(&volume(spec(&changes))));
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }
}

#[test]
fn a_changed_source_is_shown_as_upstream_names_it() {
    let (old, new) = (volume(spec(&[])), volume(spec(&[("hostPath", json!({"path": "/z"}))])));
    let errors = Kind::validate_update(&new, &old);
    let expected = "@@ -2,7 +2,7 @@\n  \"GCEPersistentDisk\": null,\n  \"AWSElasticBlockStore\": null,\n  \"HostPath\": {\n\
                    -  \"Path\": \"/tmp/x\",\n+  \"Path\": \"/z\",\n   \"Type\": \"\"\n  },\n  \"Glusterfs\": null,\n";
    assert!(errors[0].to_string().ends_with(expected), "{}", errors[0]);
}

#[test]
fn inline_volumes_are_of_drivers() {
    let mut errors = ErrorList::new();
    let path = crate::field::Path::new("i");
    validate_inline_volume(volume(spec(&[])).spec.as_ref().unwrap(), &path, &mut errors);
    assert_eq!(
        texts(&errors),
        [
            "i.capacity: Forbidden: may not be specified in the context of inline volumes",
            "i.csi: Required value: has to be specified in the context of inline volumes",
        ]
    );
}
