//! Who is who and who may what: certificates, tokens, roles.

use std::fs;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{Cluster, Kubectl, Options, cases, suite};

fn main() -> ExitCode {
    let cases = cases![
        certificates_are_asked_approved_signed_and_log_in,
        certificates_nobody_may_have,
        kubelets_requests_are_approved_by_themselves,
        secrets_are_filled_with_tokens_and_go_with_their_account,
        tokens_end_with_what_they_are_bound_to,
        kubelets_read_only_what_is_theirs,
        strangers_can_be_turned_away,
        bootstrap_tokens_ask_for_certificates,
        the_token_file_names_users,
        encrypted_values_are_rewritten_with_a_new_key,
        bad_files_are_told_with_their_field,
    ];
    suite::run(start, cases, |context| context.cluster.diagnose())
}

/// The suite's cluster, with a file of tokens that lives as long.
struct Context {
    cluster: Cluster,
    _files: tempfile::TempDir,
}

impl std::ops::Deref for Context {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

fn start() -> Result<Context> {
    let files = tempfile::tempdir()?;
    let tokens = files.path().join("tokens.csv");
    fs::write(&tokens, "ann-s-own-token,ann,a-1,\"dev,ops\"\n")?;
    let flags = vec![format!("--token-auth-file={}", tokens.display()), "--enable-bootstrap-token-auth".to_owned()];
    let cluster = Cluster::start(Options { flags, ..Options::default() })?;
    Ok(Context { cluster, _files: files })
}

/// `kubectl` as somebody else: `user` is what a kubeconfig says of them.
fn as_user(cluster: &Cluster, name: &str, user: &Value) -> Result<Kubectl> {
    let admin = cluster.kubectl().ok(&["config", "view", "--raw", "-o", "json"])?;
    let mut config: Value = serde_json::from_str(&admin)?;
    config["users"][0]["user"] = user.clone();
    let file = cluster.scratch("kubeconfigs")?.join(name);
    fs::write(&file, config.to_string())?;
    Ok(Kubectl::new(file, "default"))
}

/// Who the API server takes somebody for.
fn whoami(kubectl: &Kubectl) -> Result<Value> {
    let answer: Value = serde_json::from_str(&kubectl.ok(&["auth", "whoami", "-o", "json"])?)?;
    Ok(answer["status"]["userInfo"].clone())
}

const WAIT: Duration = Duration::from_secs(20);
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";
const KUBELET_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// A key in a file, and a request for it, PEM.
struct Asked {
    key: String,
    request: String,
}

impl Asked {
    /// `subject` as openssl wants it: `/O=dev/CN=jane`. `key` is what `openssl genpkey` takes.
    fn new(cluster: &Cluster, name: &str, subject: &str, key: &[&str]) -> Result<Self> {
        let directory = cluster.scratch("certificates")?;
        let file = directory.join(format!("{name}.key")).display().to_string();
        openssl(&[&["genpkey", "-quiet", "-out", &file], key].concat())?;
        let request = openssl(&["req", "-new", "-key", &file, "-subj", subject])?;
        Ok(Self { key: file, request })
    }

    fn object(&self, name: &str, signer: &str, usages: &[&str], seconds: Option<i32>) -> Value {
        let mut spec =
            json!({"request": encode_base64(self.request.as_bytes()), "signerName": signer, "usages": usages});
        if let Some(seconds) = seconds {
            spec["expirationSeconds"] = json!(seconds);
        }
        json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
               "metadata": {"name": name}, "spec": spec})
    }
}

const EC: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

fn openssl(arguments: &[&str]) -> Result<String> {
    let output = Command::new("openssl").args(arguments).output()?;
    ensure!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn encode_base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        let digits = (0..4).map(|place| char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]));
        text.extend(digits.take(group.len() + 1));
        text.extend(std::iter::repeat_n('=', 3 - group.len()));
    }
    text
}

/// The certificate that was issued, PEM in base64.
fn issued(kubectl: &Kubectl, name: &str) -> Result<String> {
    let issued = kubectl.wait_value(&format!("csr/{name}"), "/status/certificate", WAIT, Value::is_string)?;
    Ok(issued.as_str().unwrap_or_default().to_owned())
}

fn condition(kubectl: &Kubectl, name: &str, kind: &str) -> Result<Value> {
    let find = |conditions: &Value| {
        conditions.as_array().and_then(|list| list.iter().find(|one| one["type"] == kind).cloned())
    };
    let conditions =
        kubectl.wait_value(&format!("csr/{name}"), "/status/conditions", WAIT, |all| find(all).is_some())?;
    Ok(find(&conditions).unwrap_or_default())
}

fn certificates_are_asked_approved_signed_and_log_in(cluster: &Context) -> Result<()> {
    let admin = cluster.kubectl();
    for (round, kubectl) in admin.every_version()?.into_iter().enumerate() {
        let (name, user) = (format!("login-{round}"), format!("jane-{round}"));
        let key = if round % 2 == 0 { EC } else { RSA };
        let asked = Asked::new(cluster, &name, &format!("/O=dev/O=ops/CN={user}"), key)?;
        kubectl.apply(&asked.object(&name, CLIENT_SIGNER, &["client auth"], Some(3600)).to_string())?;
        ensure!(kubectl.ok(&["get", "csr", &name])?.contains("Pending"));
        let said = kubectl.ok(&["certificate", "approve", &name])?;
        ensure!(said.contains("approved"), "{said}");
        let certificate = issued(&kubectl, &name)?;
        ensure!(kubectl.ok(&["get", "csr", &name])?.contains("Approved,Issued"));
        let file = format!("{}.crt", asked.key);
        fs::write(&file, decode_base64(&certificate)?)?;
        let text = openssl(&["x509", "-in", &file, "-noout", "-subject", "-ext", "extendedKeyUsage,basicConstraints"])?;
        ensure!(text.contains("CA:FALSE") && text.contains("TLS Web Client Authentication"), "{text}");
        let login = json!({"client-certificate": file, "client-key": asked.key});
        let as_user = as_user(cluster, &name, &login)?;
        let whoami = whoami(&as_user)?;
        ensure!(whoami["username"] == *user, "{whoami}");
        ensure!(whoami["groups"] == json!(["dev", "ops", "system:authenticated"]), "{whoami}");
        let refused = as_user.fails(&["get", "pods"])?;
        ensure!(refused.contains(&format!("User \"{user}\" cannot list resource \"pods\"")), "{refused}");
    }
    Ok(())
}

fn decode_base64(text: &str) -> Result<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u8> = text.bytes().filter_map(digit).collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit)) << (6 * (4 - group.len()));
        bytes.extend(bits.to_be_bytes().into_iter().skip(1).take(group.len() - 1));
    }
    ensure!(!bytes.is_empty(), "nothing in {text:?}");
    Ok(bytes)
}

fn certificates_nobody_may_have(cluster: &Context) -> Result<()> {
    let kubectl = cluster.kubectl();
    let create = |object: Value| kubectl.fails_with_input(&["create", "-f", "-"], object.to_string().as_bytes());
    let masters = Asked::new(cluster, "masters", "/O=system:masters/CN=jane", EC)?;
    let error = create(masters.object("masters", CLIENT_SIGNER, &["client auth"], None))?;
    let wanted = format!("use of {CLIENT_SIGNER} signer with system:masters group is not allowed");
    ensure!(error.contains(&wanted), "{error}");
    let mut altered = masters.object("altered", CLIENT_SIGNER, &["client auth"], None);
    altered["spec"]["request"] =
        json!(encode_base64(b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"));
    let error = create(altered)?;
    ensure!(error.contains("spec.request: Invalid value"), "{error}");

    // Denied is denied, and stays so.
    let jane = Asked::new(cluster, "jane", "/CN=jane", EC)?;
    kubectl.apply(&jane.object("denied", CLIENT_SIGNER, &["client auth"], None).to_string())?;
    kubectl.ok(&["certificate", "deny", "denied"])?;
    ensure!(kubectl.ok(&["get", "csr", "denied"])?.contains("Denied"));
    let error = kubectl.fails(&["certificate", "approve", "denied"])?;
    ensure!(error.contains("already Denied"), "{error}");
    let approve = r#"{"status":{"conditions":[{"type":"Approved","status":"True"}]}}"#;
    let patch = ["patch", "csr", "denied", "--subresource=approval", "--type=merge", "-p", approve];
    let error = kubectl.fails(&patch)?;
    ensure!(error.contains("updates may not remove a condition of type \"Denied\""), "{error}");
    ensure!(kubectl.text("csr/denied", "/status/certificate")?.is_empty());

    // What the signer does not sign fails, and says why.
    kubectl.apply(&jane.object("server", CLIENT_SIGNER, &["server auth"], None).to_string())?;
    kubectl.ok(&["certificate", "approve", "server"])?;
    let failed = condition(&kubectl, "server", "Failed")?;
    ensure!(failed["reason"] == "SignerValidationFailure", "{failed}");
    ensure!(failed["message"] == "invalid usage for client certificate: server auth", "{failed}");

    // Who may update approvals still needs the right to approve for the signer.
    kubectl.ok(&[
        "create",
        "clusterrole",
        "approver",
        "--verb=get,update,patch",
        "--resource=certificatesigningrequests/approval,certificatesigningrequests",
    ])?;
    kubectl.ok(&["create", "clusterrolebinding", "approver", "--clusterrole=approver", "--user=approver"])?;
    kubectl.apply(&jane.object("waiting", CLIENT_SIGNER, &["client auth"], None).to_string())?;
    let approve = ["certificate", "approve", "waiting", "--as=approver"];
    let error = kubectl.fails(&approve)?;
    let wanted = format!("user not permitted to approve requests with signerName \"{CLIENT_SIGNER}\"");
    ensure!(error.contains(&wanted), "{error}");
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                      "metadata": {"name": "approver-of-clients"},
                      "rules": [{"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": ["approve"],
                                 "resourceNames": ["kubernetes.io/*"]}]});
    kubectl.apply(&role.to_string())?;
    kubectl.ok(&[
        "create",
        "clusterrolebinding",
        "approver-of-clients",
        "--clusterrole=approver-of-clients",
        "--user=approver",
    ])?;
    kubectl.ok(&approve)?;
    issued(&kubectl, "waiting")?;
    Ok(())
}

fn kubelets_requests_are_approved_by_themselves(cluster: &Context) -> Result<()> {
    let kubectl = cluster.kubectl();
    let usages = ["digital signature", "client auth"];
    let asked = Asked::new(cluster, "kubelet", "/O=system:nodes/CN=system:node:other", EC)?;
    // Nobody gave this user the right to have nodes' certificates.
    let object = asked.object("stranger", KUBELET_SIGNER, &usages, None).to_string();
    kubectl.ok(&[
        "create",
        "clusterrole",
        "requester",
        "--verb=create,get",
        "--resource=certificatesigningrequests",
    ])?;
    kubectl.ok(&[
        "create",
        "clusterrolebinding",
        "requester",
        "--clusterrole=requester",
        "--user=stranger",
        "--user=joiner",
    ])?;
    kubectl.ok_with_input(&["create", "-f", "-", "--as=stranger"], object.as_bytes())?;
    kubectl.ok(&[
        "create",
        "clusterrolebinding",
        "joiner",
        "--user=joiner",
        "--clusterrole=system:certificates.k8s.io:certificatesigningrequests:nodeclient",
    ])?;
    let object = asked.object("joiner", KUBELET_SIGNER, &usages, None).to_string();
    kubectl.ok_with_input(&["create", "-f", "-", "--as=joiner"], object.as_bytes())?;
    let approved = condition(&kubectl, "joiner", "Approved")?;
    ensure!(approved["reason"] == "AutoApproved", "{approved}");
    issued(&kubectl, "joiner")?;
    ensure!(kubectl.ok(&["get", "csr", "stranger"])?.contains("Pending"));
    ensure!(kubectl.text("csr/joiner", "/spec/username")? == "joiner");
    Ok(())
}

fn secrets_are_filled_with_tokens_and_go_with_their_account(cluster: &Context) -> Result<()> {
    let kubectl = cluster.namespace("secret-tokens")?;
    kubectl.ok(&["create", "serviceaccount", "robot"])?;
    let secret = |name: &str, account: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
               "metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": account}}})
    };
    kubectl.apply(&secret("robot-token", "robot").to_string())?;
    let held = kubectl.wait_value("secret/robot-token", "/data/token", WAIT, Value::is_string)?;
    let token = String::from_utf8(decode_base64(held.as_str().unwrap_or_default())?)?;
    let object = kubectl.value("secret/robot-token", "")?;
    ensure!(object["data"]["ca.crt"].is_string() && object["data"]["namespace"].is_string(), "{object}");
    let uid = kubectl.value("serviceaccount/robot", "/metadata/uid")?;
    ensure!(object["metadata"]["annotations"]["kubernetes.io/service-account.uid"] == uid, "{object}");
    let robot = as_user(cluster, "robot", &json!({"token": token}))?;
    let who = whoami(&robot)?;
    ensure!(who["username"] == "system:serviceaccount:secret-tokens:robot" && who["uid"] == uid, "{who}");
    let today = "/metadata/labels/kubernetes.io~1legacy-token-last-used";
    ensure!(kubectl.value("secret/robot-token", today)?.is_string(), "its use is noted");
    // Whoever marks it takes it away until the mark goes.
    let marked = "kubernetes.io/legacy-token-invalid-since";
    kubectl.ok(&["label", "secret", "robot-token", &format!("{marked}=2026-01-01")])?;
    let error = robot.fails(&["auth", "whoami"])?;
    ensure!(error.contains("You must be logged in"), "{error}");
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let answer = kubectl.ok_with_input(&["create", "-o", "json", "-f", "-"], review.to_string().as_bytes())?;
    ensure!(answer.contains("[invalid bearer token, the token in secret secret-tokens/robot-token"), "{answer}");
    kubectl.ok(&["label", "secret", "robot-token", &format!("{marked}-")])?;
    whoami(&robot)?;
    // A copy in another Secret is nobody's token.
    kubectl.ok(&["delete", "secret", "robot-token"])?;
    let error = robot.fails(&["auth", "whoami"])?;
    ensure!(error.contains("You must be logged in"), "{error}");
    // One without account, and one whose account goes, are deleted.
    kubectl.apply(&secret("nobody-token", "nobody").to_string())?;
    kubectl.ok(&["wait", "--for=delete", "secret/nobody-token", "--timeout=20s"])?;
    kubectl.apply(&secret("robot-token", "robot").to_string())?;
    kubectl.wait_value("secret/robot-token", "/data/token", WAIT, Value::is_string)?;
    kubectl.ok(&["delete", "serviceaccount", "robot"])?;
    kubectl.ok(&["wait", "--for=delete", "secret/robot-token", "--timeout=20s"])?;
    Ok(())
}

fn tokens_end_with_what_they_are_bound_to(cluster: &Context) -> Result<()> {
    let kubectl = cluster.namespace("bound-tokens")?;
    kubectl.ok(&["create", "serviceaccount", "robot"])?;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
                     "spec": {"serviceAccountName": "robot", "nodeSelector": {"no": "where"},
                              "containers": [{"name": "c", "image": "busybox"}]}});
    kubectl.apply(&pod.to_string())?;
    let token = |kind: &str, name: &str| {
        let bound = [format!("--bound-object-kind={kind}"), format!("--bound-object-name={name}")];
        let told = kubectl.ok(&["create", "token", "robot", "--duration=20m", &bound[0], &bound[1]])?;
        as_user(cluster, &format!("bound-{kind}"), &json!({"token": told.trim()}))
    };
    let of_pod = token("Pod", "p")?;
    let who = whoami(&of_pod)?;
    ensure!(who["extra"]["authentication.kubernetes.io/pod-name"] == json!(["p"]), "{who}");
    let id = who["extra"]["authentication.kubernetes.io/credential-id"][0].as_str().unwrap_or_default().to_owned();
    ensure!(id.starts_with("JTI="), "{who}");
    kubectl.ok(&["create", "secret", "generic", "s"])?;
    let of_secret = token("Secret", "s")?;
    whoami(&of_secret)?;
    kubectl.ok(&["delete", "pod/p", "secret/s", "--now"])?;
    for over in [of_pod, of_secret] {
        let error = over.fails(&["auth", "whoami"])?;
        ensure!(error.contains("You must be logged in"), "{error}");
    }
    let strangers = ["create", "token", "robot", "--audience=other"];
    let other = kubectl.ok(&strangers)?;
    let other = as_user(cluster, "other-audience", &json!({"token": other.trim()}))?;
    let error = other.fails(&["auth", "whoami"])?;
    ensure!(error.contains("You must be logged in"), "{error}");
    let list = kubectl.ok(&["auth", "can-i", "--list", "--as=system:serviceaccount:bound-tokens:robot"])?;
    ensure!(list.contains("selfsubjectreviews.authentication.k8s.io"), "{list}");
    Ok(())
}

fn kubelets_read_only_what_is_theirs(cluster: &Context) -> Result<()> {
    let kubectl = cluster.kubectl();
    let node = kubectl.ok(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"])?;
    let (user, group) = (format!("--as=system:node:{node}"), "--as-group=system:nodes");
    let run = |arguments: &[&str]| kubectl.ok(&[arguments, &[user.as_str(), group][..]].concat());
    let refused = |arguments: &[&str]| kubectl.fails(&[arguments, &[user.as_str(), group][..]].concat());
    run(&["get", "node", &node])?;
    run(&["get", "pods", "-A", &format!("--field-selector=spec.nodeName={node}")])?;
    let told = refused(&["get", "pods", "-A"])?;
    ensure!(told.contains("can only list/watch pods with spec.nodeName field selector"), "{told}");
    let told = refused(&["get", "nodes"])?;
    ensure!(told.contains(&format!("node '{node}' cannot read all nodes, only its own Node object")), "{told}");
    Ok(())
}

fn strangers_can_be_turned_away(_: &Context) -> Result<()> {
    let flags = ["--anonymous-auth=false", "--service-account-max-token-expiration=1h"].map(str::to_owned);
    let cluster = Cluster::start(Options { flags: flags.to_vec(), ..Options::default() })?;
    let kubectl = cluster.kubectl();
    let server = kubectl.ok(&["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"])?;
    // Not with kubectl, which asks for a name and password when it has no credentials.
    let output = Command::new("curl").args(["--silent", "--insecure", &format!("{server}/version")]).output()?;
    let answer = String::from_utf8(output.stdout)?;
    ensure!(answer.contains("Unauthorized"), "{answer}");
    kubectl.wait_value("serviceaccount/default", "/metadata/uid", WAIT, Value::is_string)?;
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                         "spec": {"expirationSeconds": 7200}});
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let answer = kubectl.ok_with_input(&["create", "--raw", path, "-f", "-"], request.to_string().as_bytes())?;
    ensure!(answer.contains("\"expirationSeconds\":3600"), "{answer}");
    Ok(())
}

fn bootstrap_tokens_ask_for_certificates(cluster: &Context) -> Result<()> {
    let kubectl = cluster.kubectl();
    let secret = |id: &str, expiration: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
               "metadata": {"name": format!("bootstrap-token-{id}"), "namespace": "kube-system"},
               "stringData": {"token-id": id, "token-secret": "0123456789abcdef", "expiration": expiration,
                              "usage-bootstrap-authentication": "true",
                              "auth-extra-groups": "system:bootstrappers:test"}})
    };
    let login = |id: &str, secret: &str| {
        as_user(cluster, &format!("{id}.{secret}"), &json!({"token": format!("{id}.{secret}")}))
    };
    let create = |secret: Value| {
        kubectl.ok_with_input(&["create", "-n", "kube-system", "-f", "-"], secret.to_string().as_bytes())
    };
    create(secret("joiner", "2999-01-01T00:00:00Z"))?;
    let joiner = login("joiner", "0123456789abcdef")?;
    let who = whoami(&joiner)?;
    ensure!(who["username"] == "system:bootstrap:joiner", "{who}");
    let groups = json!(["system:bootstrappers", "system:bootstrappers:test", "system:authenticated"]);
    ensure!(who["groups"] == groups, "{who}");
    for (id, secret) in [("joiner", "0123456789abcdee"), ("nobody", "0123456789abcdef")] {
        let error = login(id, secret)?.fails(&["auth", "whoami"])?;
        ensure!(error.contains("You must be logged in"), "{error}");
    }
    for (name, role) in [
        ("bootstrap", "system:node-bootstrapper"),
        ("bootstrap-approve", "system:certificates.k8s.io:certificatesigningrequests:nodeclient"),
    ] {
        let role = format!("--clusterrole={role}");
        kubectl.ok(&["create", "clusterrolebinding", name, &role, "--group=system:bootstrappers:test"])?;
    }
    let asked = Asked::new(cluster, "bootstrap", "/O=system:nodes/CN=system:node:new", EC)?;
    let object = asked.object("bootstrap", KUBELET_SIGNER, &["digital signature", "client auth"], None);
    joiner.ok_with_input(&["create", "-f", "-"], object.to_string().as_bytes())?;
    issued(&kubectl, "bootstrap")?;
    let refused = joiner.fails(&["get", "secrets", "-A"])?;
    ensure!(refused.contains("User \"system:bootstrap:joiner\" cannot list resource \"secrets\""), "{refused}");
    // One that is over is deleted, and logs nobody in before.
    create(secret("oldone", "2020-01-01T00:00:00Z"))?;
    let error = login("oldone", "0123456789abcdef")?.fails(&["auth", "whoami"])?;
    ensure!(error.contains("You must be logged in"), "{error}");
    let wait = ["wait", "-n", "kube-system", "--for=delete", "secret/bootstrap-token-oldone", "--timeout=20s"];
    kubectl.ok(&wait)?;
    Ok(())
}

fn the_token_file_names_users(cluster: &Context) -> Result<()> {
    let who = whoami(&as_user(cluster, "ann", &json!({"token": "ann-s-own-token"}))?)?;
    ensure!(who["username"] == "ann" && who["uid"] == "a-1", "{who}");
    ensure!(who["groups"] == json!(["dev", "ops", "system:authenticated"]), "{who}");
    let error = as_user(cluster, "not-ann", &json!({"token": "ann-s-own-toke"}))?.fails(&["auth", "whoami"])?;
    ensure!(error.contains("You must be logged in"), "{error}");
    Ok(())
}

/// An `EncryptionConfiguration` for Secrets with these keys of AES-GCM.
fn encryption(keys: &[&str], and_plain: bool) -> String {
    let keys: Vec<Value> =
        keys.iter().map(|name| json!({"name": name, "secret": encode_base64(name.repeat(32).as_bytes())})).collect();
    let mut providers = vec![json!({"aesgcm": {"keys": keys}})];
    providers.extend(and_plain.then(|| json!({"identity": {}})));
    json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration",
           "resources": [{"resources": ["secrets"], "providers": providers}]})
    .to_string()
}

/// Whether some bytes stand in the store of a server that is stopped.
fn stored(cluster: &Cluster, text: &str) -> Result<bool> {
    let mut found = false;
    for name in ["store.redb", "store.wal"] {
        let bytes = fs::read(cluster.data_dir().join(name))?;
        found |= bytes.windows(text.len()).any(|window| window == text.as_bytes());
    }
    Ok(found)
}

fn encrypted_values_are_rewritten_with_a_new_key(_: &Context) -> Result<()> {
    let files = tempfile::tempdir()?;
    let config = files.path().join("encryption.yaml");
    fs::write(&config, encryption(&["A"], true))?;
    let flags = vec![format!("--encryption-provider-config={}", config.display())];
    let cluster = Cluster::start(Options { flags, ..Options::default() })?;
    let kubectl = cluster.kubectl();
    kubectl.ok(&["create", "secret", "generic", "s", "--from-literal=k=a-very-plain-value"])?;
    kubectl.ok(&["create", "configmap", "c", "--from-literal=k=another-plain-value"])?;
    let value = encode_base64(b"a-very-plain-value");
    ensure!(kubectl.text("secret/s", "/data/k")? == value);
    cluster.stop_server()?;
    ensure!(stored(&cluster, "k8s:enc:aesgcm:v1:A:")? && !stored(&cluster, &value)?, "it is encrypted");
    ensure!(stored(&cluster, "another-plain-value")?, "only Secrets are");

    // The new key first: it writes what is replaced as it is, so that the old one can go.
    fs::write(&config, encryption(&["B", "A"], false))?;
    cluster.start_server()?;
    ensure!(kubectl.text("secret/s", "/data/k")? == value);
    let all = kubectl.ok(&["get", "secrets", "-A", "-o", "json"])?;
    kubectl.ok_with_input(&["replace", "-f", "-"], all.as_bytes())?;
    cluster.stop_server()?;
    ensure!(stored(&cluster, "k8s:enc:aesgcm:v1:B:")?);
    fs::write(&config, encryption(&["B"], false))?;
    cluster.start_server()?;
    ensure!(kubectl.text("secret/s", "/data/k")? == value);
    Ok(())
}

fn bad_files_are_told_with_their_field(cluster: &Context) -> Result<()> {
    let scratch = cluster.scratch("bad-files")?;
    let kms = encryption(&["A"], false).replace("aesgcm", "kms");
    let short = encryption(&["A"], false).replace(&encode_base64("A".repeat(32).as_bytes()), "AAAA");
    for (flag, text, problem) in [
        ("--encryption-provider-config", kms.as_str(), "resources[0].providers[0].kms: Forbidden"),
        (
            "--encryption-provider-config",
            short.as_str(),
            "resources[0].providers[0].aesgcm.keys[0].secret: Invalid value",
        ),
        ("--token-auth-file", "token,user", "line 1: must have at least 3 columns"),
        ("--service-account-signing-key-file", "no key", "reading the ServiceAccount signing key"),
    ] {
        let file = scratch.join("file");
        fs::write(&file, text)?;
        let data_dir = format!("--data-dir={}", scratch.join("data").display());
        let flag = format!("{flag}={}", file.display());
        // Nothing comes so far as to listen on the default port.
        let output = Command::new(cluster.binary()).args(["server", &flag, &data_dir]).output()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && told.contains(problem), "{flag}: {told}");
    }
    Ok(())
}
