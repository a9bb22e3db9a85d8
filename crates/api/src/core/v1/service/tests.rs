use serde_json::{Value, json};

use super::*;

fn service(spec: Value) -> Service {
    let mut service: Service = serde_json::from_value(json!({
        "metadata": {"name": "s", "namespace": "n", "resourceVersion": "1"}, "spec": spec,
    }))
    .unwrap();
    service.set_defaults();
    service
}

fn spec(value: Value) -> ServiceSpec {
    service(value).spec.unwrap()
}

#[test]
fn defaults_fill_type_ports_and_policies() {
    let got =
        spec(json!({"ports": [{"port": 80, "targetPort": 0}, {"port": 81, "targetPort": "http", "protocol": "UDP"}]}));
    assert_eq!(
        serde_json::to_value(&got).unwrap(),
        json!({
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ports": [
                {"port": 80, "targetPort": 80, "protocol": "TCP"},
                {"port": 81, "targetPort": "http", "protocol": "UDP"},
            ],
        })
    );
    let balanced = spec(json!({"type": "LoadBalancer", "ports": [{"port": 80}]}));
    assert_eq!(balanced.allocate_load_balancer_node_ports, Some(true));
    assert_eq!(balanced.external_traffic_policy.as_deref(), Some("Cluster"));
    let external = spec(json!({"type": "ExternalName", "externalName": "a.b"}));
    assert_eq!((external.internal_traffic_policy, external.external_traffic_policy), (None, None));
    let sticky = spec(json!({"sessionAffinity": "ClientIP"}));
    assert_eq!(sticky.session_affinity_config.unwrap().client_ip.unwrap().timeout_seconds, Some(10_800));
    assert_eq!(spec(json!({"sessionAffinityConfig": {"clientIP": {}}})).session_affinity_config, None);
}

#[test]
fn problems_have_upstreams_places_and_words() {
    let ip = json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]});
    for (extra, problems) in [
        (json!({}), &["spec.ports: Required value"][..]),
        (json!({"clusterIP": "None", "clusterIPs": ["None"]}), &[]),
        (
            json!({"ports": [{"port": 0}]}),
            &[
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            json!({"ports": [{"port": 80}, {"port": 81}]}),
            &["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
        ),
        (
            json!({"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "a"}]}),
            &[
                "spec.ports[1].name: Duplicate value: \"a\"",
                "spec.ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\
                 \"Port\":80,\"TargetPort\":0,\"NodePort\":0}",
            ],
        ),
        (
            json!({"ports": [{"port": 80, "nodePort": 30000}]}),
            &["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
        ),
        (
            json!({"ports": [{"port": 80}], "clusterIPs": ["10.0.0.2"]}),
            &["spec.clusterIPs: Invalid value: [\"10.0.0.2\"]: first value must match `clusterIP`"],
        ),
        (
            json!({"ports": [{"port": 80}], "clusterIPs": ["10.0.0.1", "10.0.0.2"]}),
            &[
                "spec.clusterIPs: Invalid value: [\"10.0.0.1\",\"10.0.0.2\"]: may specify no more than one IP for each IP \
                 family",
            ],
        ),
        (
            json!({"ports": [{"port": 80}], "type": "LoadBalancer", "externalTrafficPolicy": "Local"}),
            &["spec.healthCheckNodePort: Required value"],
        ),
        (
            json!({"ports": [{"port": 80}], "healthCheckNodePort": 30000}),
            &["spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is 'LoadBalancer' and \
                 `externalTrafficPolicy` is 'Local'"],
        ),
        (
            json!({"ports": [{"port": 80}], "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86_401}}}),
            &[
                "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less \
                 than 86400",
            ],
        ),
    ] {
        let mut whole = ip.clone();
        whole.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let found: Vec<String> = service(whole).validate().iter().map(ToString::to_string).collect();
        assert_eq!(found, problems, "{extra}");
    }
}

#[test]
fn external_names_have_no_addresses() {
    let found: Vec<String> = service(json!({
        "type": "ExternalName", "externalName": "a.b.", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
    }))
    .validate()
    .iter()
    .map(ToString::to_string)
    .collect();
    assert_eq!(found, ["spec.clusterIPs: Forbidden: may not be set for ExternalName services"]);
}

#[test]
fn addresses_stay() {
    let old =
        json!({"ports": [{"port": 80}], "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"]});
    for (change, problem) in [
        (json!({}), None),
        (
            json!({"clusterIP": "None", "clusterIPs": ["None"]}),
            Some("spec.clusterIPs[0]: Invalid value: [\"None\"]: may not change once set"),
        ),
        (
            json!({"ipFamilies": ["IPv6"], "clusterIP": "fd00::1", "clusterIPs": ["fd00::1"]}),
            Some("spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: may not change once set"),
        ),
    ] {
        let mut new = old.clone();
        new.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let errors = Kind::validate_update(&service(new), &service(old.clone()));
        assert_eq!(errors.first().map(ToString::to_string).as_deref(), problem, "{change}");
    }
}

#[test]
fn updates_keep_what_they_leave_out() {
    let old = spec(json!({"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
        "ports": [{"name": "a", "port": 80, "nodePort": 30001}, {"name": "b", "port": 81, "nodePort": 30002}]}));
    let mut new = spec(json!({"type": "NodePort",
        "ports": [{"name": "a", "port": 8080}, {"name": "c", "port": 82, "nodePort": 30002}, {"name": "b", "port": 81}]}));
    patch_allocated(&mut new, &old);
    let ports: Vec<Option<i32>> = new.ports.iter().flatten().map(|port| port.node_port).collect();
    assert_eq!(ports, [Some(30001), Some(30002), None]);
    assert_eq!(new.cluster_ips, old.cluster_ips);
}

#[test]
fn older_clients_write_the_first_address_only() {
    let old = spec(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}));
    for (new, old, want) in [
        (json!({"clusterIP": "10.0.0.1"}), None, Some("10.0.0.1")),
        (json!({"clusterIP": "10.0.0.1"}), Some(&old), Some("10.0.0.1")),
        (json!({"clusterIPs": ["10.0.0.1"]}), Some(&old), None),
        (json!({"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.1"]}), Some(&old), Some("10.0.0.2")),
    ] {
        let mut got = spec(new.clone());
        sync_cluster_ips(&mut got, old);
        assert_eq!(got.cluster_ips.map(|all| all.concat()).as_deref(), want, "{new}");
    }
}

#[test]
fn another_type_drops_what_it_does_not_have() {
    let old = service(json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
        "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "ports": [{"port": 80, "nodePort": 30001}],
        "externalTrafficPolicy": "Local", "healthCheckNodePort": 30002, "allocateLoadBalancerNodePorts": true}));
    let mut new = old.clone();
    new.spec.as_mut().unwrap().type_ = Some("ExternalName".to_owned());
    new.spec.as_mut().unwrap().external_name = Some("a.b".to_owned());
    drop_type_dependent(&mut new, &old);
    assert_eq!(
        serde_json::to_value(new.spec.unwrap()).unwrap(),
        json!({"type": "ExternalName", "externalName": "a.b", "sessionAffinity": "None",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]})
    );
}

#[test]
fn warnings_name_what_is_ignored() {
    let warnings = service(json!({"clusterIP": "None", "clusterIPs": ["None"], "externalIPs": ["192.0.2.1"],
        "sessionAffinity": "ClientIP"}))
    .warnings();
    assert_eq!(
        warnings,
        [
            "spec.externalIPs is deprecated",
            "spec.externalIPs is ignored for headless services",
            "spec.SessionAffinity is ignored for headless services",
        ]
    );
    let warnings = service(json!({"externalName": "a.b", "trafficDistribution": "PreferClose"})).warnings();
    assert_eq!(
        warnings,
        [
            "spec.externalName is ignored when spec.type is not \"ExternalName\"",
            "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"",
        ]
    );
}
