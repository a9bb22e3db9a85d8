use serde_json::json;

use super::*;

const PODS: GroupResource = GroupResource { group: "", resource: "pods" };
const LEASES: GroupResource = GroupResource { group: "coordination.k8s.io", resource: "leases" };

fn check(error: &Error, code: u16, reason: &str, message: &str) {
    let status = Status::from(error);
    assert_eq!((status.code, status.reason, status.message.as_str()), (code, reason, message));
}

#[test]
fn errors_are_worded_like_upstream() {
    check(&Error::not_found(PODS, "x"), 404, "NotFound", "pods \"x\" not found");
    check(&Error::not_found(LEASES, "x"), 404, "NotFound", "leases.coordination.k8s.io \"x\" not found");
    check(
        &Error::AlreadyExists { resource: PODS, name: "x".into(), deleting: true },
        409,
        "AlreadyExists",
        "object is being deleted: pods \"x\" already exists",
    );
    check(
        &Error::modified(PODS, "x"),
        409,
        "Conflict",
        "Operation cannot be fulfilled on pods \"x\": the object has been modified; please apply your changes to the \
         latest version and try again",
    );
    check(&Error::forbidden(PODS, "", "no"), 403, "Forbidden", "pods is forbidden: no");
    check(
        &Error::ForbiddenPath { user: "u".into(), verb: "get".into(), path: "/api".into() },
        403,
        "Forbidden",
        "forbidden: User \"u\" cannot get path \"/api\"",
    );
}

#[test]
fn invalid_objects_list_every_cause_and_each_text_once() {
    let problem = |field: &str| field::required(&field::Path::new(field), "");
    let error = Error::Invalid {
        group: "",
        kind: "Pod".into(),
        name: "x".into(),
        problems: vec![problem("a"), problem("b"), problem("a")],
    };
    let status = Status::from(&error);
    assert_eq!(status.message, "Pod \"x\" is invalid: [a: Required value, b: Required value]");
    assert_eq!(status.details.expect("details").causes.len(), 3);
}

#[test]
fn json_has_upstreams_shape() {
    let status = Status::from(&Error::not_found(PODS, "x"));
    assert_eq!(
        serde_json::to_value(&status).expect("encodes"),
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "pods \"x\" not found",
               "reason": "NotFound", "details": {"name": "x", "kind": "pods"}, "code": 404}),
    );
}
