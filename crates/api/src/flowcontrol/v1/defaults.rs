//! The FlowSchemas and PriorityLevelConfigurations that every cluster has, as tables.
//!
//! The *mandatory* ones hold whatever users do: something must be there for every request. The *suggested* ones are
//! kept as they are here until somebody sets [`AUTO_UPDATE`] to `"false"`.

use k8s_openapi::api::flowcontrol::v1::{
    ExemptPriorityLevelConfiguration, FlowDistinguisherMethod, FlowSchema, FlowSchemaSpec, GroupSubject, LimitResponse,
    LimitedPriorityLevelConfiguration, NonResourcePolicyRule, PolicyRulesWithSubjects, PriorityLevelConfiguration,
    PriorityLevelConfigurationReference, PriorityLevelConfigurationSpec, QueuingConfiguration, ResourcePolicyRule,
    ServiceAccountSubject, Subject, UserSubject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Whether the server keeps the object's spec as it is here.
pub const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

/// What is served without limit, and what is left over. These two hold always.
pub const MANDATORY: [&str; 2] = ["exempt", "catch-all"];

/// A priority level that limits; without queues it refuses.
struct LevelRow {
    name: &'static str,
    shares: i32,
    lendable_percent: i32,
    /// Number and hand size.
    queues: Option<(i32, i32)>,
}

const fn level(name: &'static str, shares: i32, lendable_percent: i32, queues: Option<(i32, i32)>) -> LevelRow {
    LevelRow { name, shares, lendable_percent, queues }
}

const LEVELS: &[LevelRow] = &[
    level("catch-all", 5, 0, None),
    level("system", 30, 33, Some((64, 6))),
    level("node-high", 40, 25, Some((64, 6))),
    level("leader-election", 10, 0, Some((16, 4))),
    level("workload-high", 40, 50, Some((128, 6))),
    level("workload-low", 100, 90, Some((128, 6))),
    level("global-default", 20, 50, Some((128, 6))),
];

/// Requests that may wait in one queue.
const QUEUE_LENGTH: i32 = 50;

/// Every default level.
pub fn priority_levels() -> Vec<PriorityLevelConfiguration> {
    let exempt = PriorityLevelConfigurationSpec {
        type_: "Exempt".to_owned(),
        exempt: Some(ExemptPriorityLevelConfiguration {
            nominal_concurrency_shares: Some(0),
            lendable_percent: Some(0),
        }),
        limited: None,
    };
    let limited = LEVELS.iter().map(|row| (row.name, limited(row)));
    let all = std::iter::once(("exempt", exempt)).chain(limited);
    all.map(|(name, spec)| PriorityLevelConfiguration { metadata: metadata(name), spec: Some(spec), status: None })
        .collect()
}

fn limited(row: &LevelRow) -> PriorityLevelConfigurationSpec {
    let queuing = row.queues.map(|(queues, hand_size)| QueuingConfiguration {
        queues: Some(queues),
        hand_size: Some(hand_size),
        queue_length_limit: Some(QUEUE_LENGTH),
    });
    let type_ = if queuing.is_some() { "Queue" } else { "Reject" }.to_owned();
    PriorityLevelConfigurationSpec {
        type_: "Limited".to_owned(),
        exempt: None,
        limited: Some(LimitedPriorityLevelConfiguration {
            nominal_concurrency_shares: Some(row.shares),
            lendable_percent: Some(row.lendable_percent),
            borrowing_limit_percent: None,
            limit_response: Some(LimitResponse { queuing, type_ }),
        }),
    }
}

/// Whose requests a schema means.
enum Who {
    User(&'static str),
    Group(&'static str),
    /// All ServiceAccounts of a namespace.
    Accounts(&'static str),
}

/// Which of them.
enum What {
    Everything,
    /// `get` of paths.
    Paths(&'static [&'static str]),
    /// Verbs, group, resources; whether outside namespaces too.
    Resources(&'static [(&'static [&'static str], &'static str, &'static [&'static str], bool)]),
}

struct SchemaRow {
    name: &'static str,
    level: &'static str,
    precedence: i32,
    distinguisher: Option<&'static str>,
    who: &'static [Who],
    what: What,
}

const EVERYBODY: &[Who] = &[Who::Group("system:unauthenticated"), Who::Group("system:authenticated")];
const BY_USER: Option<&str> = Some("ByUser");
const BY_NAMESPACE: Option<&str> = Some("ByNamespace");

#[rustfmt::skip]
const SCHEMAS: &[SchemaRow] = &[
    SchemaRow { name: "exempt", level: "exempt", precedence: 1, distinguisher: None,
        who: &[Who::Group("system:masters")], what: What::Everything },
    SchemaRow { name: "probes", level: "exempt", precedence: 2, distinguisher: None,
        who: EVERYBODY, what: What::Paths(&["/healthz", "/readyz", "/livez"]) },
    SchemaRow { name: "system-leader-election", level: "leader-election", precedence: 100, distinguisher: BY_USER,
        who: &[Who::User("system:kube-controller-manager"), Who::User("system:kube-scheduler"), Who::Accounts("kube-system")],
        what: What::Resources(&[(&["get", "create", "update"], "coordination.k8s.io", &["leases"], false)]) },
    SchemaRow { name: "system-node-high", level: "node-high", precedence: 400, distinguisher: BY_USER,
        who: &[Who::Group("system:nodes")],
        what: What::Resources(&[
            (&["*"], "", &["nodes", "nodes/status"], true),
            (&["*"], "coordination.k8s.io", &["leases"], false),
        ]) },
    SchemaRow { name: "system-nodes", level: "system", precedence: 500, distinguisher: BY_USER,
        who: &[Who::Group("system:nodes")], what: What::Everything },
    SchemaRow { name: "kube-controller-manager", level: "workload-high", precedence: 800, distinguisher: BY_NAMESPACE,
        who: &[Who::User("system:kube-controller-manager")], what: What::Everything },
    SchemaRow { name: "kube-scheduler", level: "workload-high", precedence: 800, distinguisher: BY_NAMESPACE,
        who: &[Who::User("system:kube-scheduler")], what: What::Everything },
    SchemaRow { name: "kube-system-service-accounts", level: "workload-high", precedence: 900, distinguisher: BY_NAMESPACE,
        who: &[Who::Accounts("kube-system")], what: What::Everything },
    SchemaRow { name: "service-accounts", level: "workload-low", precedence: 9000, distinguisher: BY_USER,
        who: &[Who::Group("system:serviceaccounts")], what: What::Everything },
    SchemaRow { name: "global-default", level: "global-default", precedence: 9900, distinguisher: BY_USER,
        who: EVERYBODY, what: What::Everything },
    SchemaRow { name: "catch-all", level: "catch-all", precedence: 10_000, distinguisher: BY_USER,
        who: EVERYBODY, what: What::Everything },
];

/// Every default schema.
pub fn flow_schemas() -> Vec<FlowSchema> {
    let schema = |row: &SchemaRow| FlowSchema {
        metadata: metadata(row.name),
        spec: Some(FlowSchemaSpec {
            distinguisher_method: row.distinguisher.map(|type_| FlowDistinguisherMethod { type_: type_.to_owned() }),
            matching_precedence: Some(row.precedence),
            priority_level_configuration: PriorityLevelConfigurationReference { name: row.level.to_owned() },
            rules: Some(vec![rules(row)]),
        }),
        status: None,
    };
    SCHEMAS.iter().map(schema).collect()
}

/// The levels that are there even without their objects.
pub fn mandatory_levels() -> Vec<PriorityLevelConfiguration> {
    priority_levels().into_iter().filter(|level| is_mandatory(&level.metadata)).collect()
}

/// The schemas that are there even without their objects.
pub fn mandatory_schemas() -> Vec<FlowSchema> {
    flow_schemas().into_iter().filter(|schema| is_mandatory(&schema.metadata)).collect()
}

/// Whether an object's spec is not for users to change.
pub fn is_mandatory(metadata: &ObjectMeta) -> bool {
    metadata.name.as_deref().is_some_and(|name| MANDATORY.contains(&name))
}

fn rules(row: &SchemaRow) -> PolicyRulesWithSubjects {
    let everywhere = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let resource = |verbs: &[&str], group: &str, resources: &[&str], cluster: bool| ResourcePolicyRule {
        verbs: everywhere(verbs),
        api_groups: vec![group.to_owned()],
        resources: everywhere(resources),
        cluster_scope: cluster.then_some(true),
        namespaces: Some(everywhere(&["*"])),
    };
    let path = |verbs: &[&str], paths: &[&str]| NonResourcePolicyRule {
        verbs: everywhere(verbs),
        non_resource_urls: everywhere(paths),
    };
    let (resources, paths) = match row.what {
        What::Everything => (Some(vec![resource(&["*"], "*", &["*"], true)]), Some(vec![path(&["*"], &["*"])])),
        What::Paths(paths) => (None, Some(vec![path(&["get"], paths)])),
        What::Resources(rows) => {
            let rules =
                rows.iter().map(|(verbs, group, resources, cluster)| resource(verbs, group, resources, *cluster));
            (Some(rules.collect()), None)
        }
    };
    PolicyRulesWithSubjects {
        subjects: row.who.iter().map(subject).collect(),
        resource_rules: resources,
        non_resource_rules: paths,
    }
}

fn subject(who: &Who) -> Subject {
    let none = Subject { kind: String::new(), user: None, group: None, service_account: None };
    match who {
        Who::User(name) => {
            Subject { kind: "User".to_owned(), user: Some(UserSubject { name: (*name).to_owned() }), ..none }
        }
        Who::Group(name) => {
            Subject { kind: "Group".to_owned(), group: Some(GroupSubject { name: (*name).to_owned() }), ..none }
        }
        Who::Accounts(namespace) => Subject {
            kind: "ServiceAccount".to_owned(),
            service_account: Some(ServiceAccountSubject { name: "*".to_owned(), namespace: (*namespace).to_owned() }),
            ..none
        },
    }
}

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        annotations: Some([(AUTO_UPDATE.to_owned(), "true".to_owned())].into()),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Kind;

    #[test]
    fn the_tables_are_valid_and_complete() {
        let levels = priority_levels();
        for level in &levels {
            assert_eq!(level.validate(), [], "{level:?}");
        }
        let named = |name: &str| levels.iter().any(|level| level.metadata.name.as_deref() == Some(name));
        for schema in flow_schemas() {
            assert_eq!(schema.validate(), [], "{schema:?}");
            let spec = schema.spec.expect("a table row has one");
            assert!(named(&spec.priority_level_configuration.name), "{spec:?}");
        }
        assert_eq!((mandatory_levels().len(), mandatory_schemas().len()), (2, 2));
    }
}
