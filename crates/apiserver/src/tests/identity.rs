use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Cluster, send};
use crate::InProcess;

async fn get(user: &InProcess, path: &str) -> Answer {
    send(user, "GET", path, &[], "".into()).await
}

#[tokio::test]
async fn strangers_get_health_and_nothing_else() {
    let cluster = Cluster::start_with_policy().await;
    let nobody = cluster.api.in_process(crate::UserInfo::anonymous());
    get(&nobody, "/healthz").await;
    assert_eq!(get(&nobody, "/version").await.code.as_u16(), 200);
    assert_eq!(
        get(&nobody, "/api/v1/namespaces/default/pods").await.failure(),
        (
            403,
            "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" in the \
             namespace \"default\""
                .to_owned()
        )
    );
    assert_eq!(
        get(&nobody, "/api").await.failure(),
        (403, "forbidden: User \"system:anonymous\" cannot get path \"/api\"".to_owned())
    );
}

#[tokio::test]
async fn users_without_a_role_get_discovery() {
    let cluster = Cluster::start_with_policy().await;
    let user = cluster.user("u", &[]);
    assert_eq!(get(&user, "/api/v1").await.code.as_u16(), 200);
    let answer = get(&user, "/api/v1/namespaces/default/pods/x/log").await;
    let text = "pods \"x\" is forbidden: User \"u\" cannot get resource \"pods/log\" in API group \"\" in the namespace \
                \"default\"";
    assert_eq!(answer.failure(), (403, text.to_owned()));
}

#[tokio::test]
async fn components_may_do_their_work() {
    let cluster = Cluster::start_with_policy().await;
    let scheduler = cluster.user("system:kube-scheduler", &[]);
    assert_eq!(get(&scheduler, "/api/v1/pods").await.code.as_u16(), 200);
    assert_eq!(get(&scheduler, "/api/v1/secrets").await.code.as_u16(), 403);
}

#[tokio::test]
async fn administrators_may_act_as_others() {
    let cluster = Cluster::start_with_policy().await;
    let as_user = [("impersonate-user", "u")];
    let answer = send(&cluster.admin, "GET", "/api/v1/pods", &as_user, "".into()).await;
    assert_eq!(answer.code.as_u16(), 403);
    let answer = send(&cluster.user("u", &[]), "GET", "/api", &[("impersonate-user", "v")], "".into()).await;
    let text = "users \"v\" is forbidden: User \"u\" cannot impersonate resource \"users\" in API group \"\" at the \
                cluster scope";
    assert_eq!(answer.failure(), (403, text.to_owned()));
}

/// A token for the ServiceAccount `default`, bound to what the body says.
async fn token(cluster: &Cluster, spec: Value) -> String {
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let answer = cluster.post(path, json!({"spec": spec})).await.expect(201);
    answer["status"]["token"].as_str().expect("a token").to_owned()
}

async fn review(cluster: &Cluster, spec: Value) -> Value {
    let answer = cluster.post("/apis/authentication.k8s.io/v1/tokenreviews", json!({"spec": spec})).await;
    answer.expect(201)["status"].clone()
}

#[tokio::test]
async fn tokens_are_good_while_what_they_are_bound_to_exists() {
    let cluster = Cluster::start_with_policy().await;
    cluster.pod("p", json!({})).await;
    let bound = json!({"kind": "Pod", "apiVersion": "v1", "name": "p"});
    let token = token(&cluster, json!({"boundObjectRef": bound})).await;
    let status = review(&cluster, json!({"token": token})).await;
    assert_eq!(status["authenticated"], true);
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:default");
    assert_eq!(status["user"]["extra"]["authentication.kubernetes.io/pod-name"], json!(["p"]));
    let other = review(&cluster, json!({"token": token, "audiences": ["other"]})).await;
    assert_eq!(
        other["error"],
        "[invalid bearer token, token audiences [\"https://kubernetes.default.svc.cluster.local\"] is invalid for the \
         target audiences [\"other\"]]"
    );
    cluster.delete("/api/v1/namespaces/default/pods/p").await.expect(200);
    let status = review(&cluster, json!({"token": token})).await;
    assert_eq!(status["error"], "[invalid bearer token, service account token has been invalidated]");
    let forged = format!("{}AAAA", token.strip_suffix(&token[token.len() - 4..]).unwrap());
    let status = review(&cluster, json!({"token": forged})).await;
    assert_eq!(status["error"], "[invalid bearer token, go-jose/go-jose: error in cryptographic primitive]");
}

#[tokio::test]
async fn tokens_are_refused_for_what_they_cannot_be() {
    let cluster = Cluster::start_with_policy().await;
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let check = async |spec: Value, code: u16, text: &str| {
        let answer = cluster.post(path, json!({"spec": spec})).await;
        assert_eq!(answer.failure(), (code, text.to_owned()));
    };
    check(
        json!({"expirationSeconds": 5}),
        422,
        "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 5: may not specify a \
         duration less than 10 minutes",
    )
    .await;
    check(json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "x"}}), 404, "pods \"x\" not found")
        .await;
    check(
        json!({"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "x"}}),
        400,
        "cannot bind token to object of type /v1, Kind=ConfigMap",
    )
    .await;
}

#[tokio::test]
async fn reviews_tell_who_may_do_what() {
    let cluster = Cluster::start_with_policy().await;
    let whoami = json!({});
    let answer = cluster.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", whoami).await.expect(201);
    assert_eq!(answer["status"]["userInfo"]["username"], "admin");
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let attributes = json!({"verb": "create", "resource": "pods", "subresource": "binding", "namespace": "x"});
    let spec = json!({"user": "system:kube-scheduler", "resourceAttributes": attributes});
    let answer = cluster.post(path, json!({ "spec": spec })).await.expect(201);
    assert_eq!(
        answer["status"],
        json!({"allowed": true, "reason": "RBAC: allowed by ClusterRoleBinding \"system:kube-scheduler\" of ClusterRole \
               \"system:kube-scheduler\" to User \"system:kube-scheduler\""})
    );
    let answer = cluster.post(path, json!({"spec": {"user": "u"}})).await;
    assert_eq!(answer.code.as_u16(), 422);
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let answer = cluster.post(path, json!({"spec": {"namespace": "default"}})).await.expect(201);
    assert_eq!(answer["status"]["resourceRules"][0]["verbs"], json!(["*"]));
}

#[tokio::test]
async fn others_can_verify_tokens() {
    let cluster = Cluster::start_with_policy().await;
    let account = cluster.api.in_process(crate::UserInfo::service_account("default", "default"));
    let configuration = get(&account, "/.well-known/openid-configuration").await.expect(200);
    assert_eq!(configuration["id_token_signing_alg_values_supported"], json!(["ES256"]));
    let keys = get(&account, "/openid/v1/jwks").await.expect(200);
    assert_eq!((&keys["keys"][0]["kty"], &keys["keys"][0]["use"]), (&json!("EC"), &json!("sig")));
    assert!(keys["keys"][0].get("d").is_none(), "no private part");
    let token = token(&cluster, json!({})).await;
    let key = jsonwebtoken::jwk::JwkSet::deserialize(&keys).expect("a key set").keys.remove(0);
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.validate_aud = false;
    let key = jsonwebtoken::DecodingKey::from_jwk(&key).expect("a key");
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).expect("a valid token").claims;
    assert_eq!(claims["sub"], "system:serviceaccount:default:default");
}

async fn as_user(user: &InProcess, method: &str, path: &str, body: Value) -> Answer {
    send(user, method, path, &[("content-type", "application/json")], body.to_string().into()).await
}

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";

fn role(name: &str, verbs: &[&str], resources: &[&str]) -> Value {
    let rule = json!({"apiGroups": ["", "rbac.authorization.k8s.io"], "resources": resources, "verbs": verbs});
    json!({"metadata": {"name": name}, "rules": [rule]})
}

fn binding(name: &str, kind: &str, role: &str, user: &str) -> Value {
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role});
    json!({"metadata": {"name": name}, "roleRef": role, "subjects": [{"kind": "User", "name": user}]})
}

#[tokio::test]
async fn a_binding_gives_what_its_role_says_at_once() {
    let cluster = Cluster::start_with_policy().await;
    let user = cluster.user("u", &[]);
    assert_eq!(get(&user, "/api/v1/namespaces/default/configmaps").await.code.as_u16(), 403);
    cluster.post(BINDINGS, binding("b", "Role", "readers", "u")).await.expect(201);
    assert_eq!(
        get(&user, "/api/v1/namespaces/default/configmaps").await.failure().1,
        "configmaps is forbidden: User \"u\" cannot list resource \"configmaps\" in API group \"\" in the namespace \
         \"default\": RBAC: role.rbac.authorization.k8s.io \"readers\" not found"
    );
    cluster.post(ROLES, role("readers", &["list"], &["configmaps"])).await.expect(201);
    get(&user, "/api/v1/namespaces/default/configmaps").await.expect(200);
    assert_eq!(get(&user, "/api/v1/namespaces/kube-system/configmaps").await.code.as_u16(), 403);
    cluster.delete(&format!("{BINDINGS}/b")).await.expect(200);
    assert_eq!(get(&user, "/api/v1/namespaces/default/configmaps").await.code.as_u16(), 403);
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_hold() {
    let cluster = Cluster::start_with_policy().await;
    let user = cluster.user("u", &["team"]);
    let writers = role("writers", &["create", "update"], &["roles", "rolebindings"]);
    cluster.post(ROLES, writers).await.expect(201);
    cluster.post(BINDINGS, binding("writers", "Role", "writers", "u")).await.expect(201);
    let greedy = role("greedy", &["get", "create"], &["secrets"]);
    let missing = "user \"u\" (groups=[\"team\" \"system:authenticated\"]) is attempting to grant RBAC permissions not \
                   currently held:\n\
                   {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"create\"]}\n\
                   {APIGroups:[\"rbac.authorization.k8s.io\"], Resources:[\"secrets\"], Verbs:[\"get\" \"create\"]}";
    assert_eq!(
        as_user(&user, "POST", ROLES, greedy.clone()).await.failure(),
        (403, format!("roles.rbac.authorization.k8s.io \"greedy\" is forbidden: {missing}"))
    );
    cluster.post(ROLES, greedy).await.expect(201);
    assert_eq!(
        as_user(&user, "POST", BINDINGS, binding("b", "Role", "greedy", "u")).await.failure(),
        (403, format!("rolebindings.rbac.authorization.k8s.io \"b\" is forbidden: {missing}"))
    );
    let own = role("own", &["create"], &["roles"]);
    as_user(&user, "POST", ROLES, own).await.expect(201);
    as_user(&user, "POST", BINDINGS, binding("b", "Role", "own", "v")).await.expect(201);
    assert_eq!(
        as_user(&user, "POST", BINDINGS, binding("c", "ClusterRole", "none", "v")).await.failure(),
        (404, "clusterrole.rbac.authorization.k8s.io \"none\" not found".to_owned())
    );
    // Who may bind a role, or escalate, may do so without holding it.
    let allowed = role("allowed", &["bind", "escalate"], &["roles"]);
    cluster.post(ROLES, allowed).await.expect(201);
    cluster.post(BINDINGS, binding("allowed", "Role", "allowed", "u")).await.expect(201);
    as_user(&user, "POST", BINDINGS, binding("d", "Role", "greedy", "u")).await.expect(201);
    as_user(&user, "POST", ROLES, role("more", &["*"], &["*"])).await.expect(201);
}
