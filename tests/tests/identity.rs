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
    ];
    suite::run(|| Cluster::start(Options::default()), cases, Cluster::diagnose)
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
        let mut spec = json!({"request": base64(self.request.as_bytes()), "signerName": signer, "usages": usages});
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

fn base64(bytes: &[u8]) -> String {
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

fn certificates_are_asked_approved_signed_and_log_in(cluster: &Cluster) -> Result<()> {
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
        fs::write(&file, openssl_base64(&certificate)?)?;
        let text = openssl(&["x509", "-in", &file, "-noout", "-subject", "-ext", "extendedKeyUsage,basicConstraints"])?;
        ensure!(text.contains("CA:FALSE") && text.contains("TLS Web Client Authentication"), "{text}");
        let as_user = [format!("--client-certificate={file}"), format!("--client-key={}", asked.key)];
        let with = |arguments: &[&str]| kubectl.run(&[arguments, &[as_user[0].as_str(), as_user[1].as_str()]].concat());
        let whoami = kubectl_whoami(&admin, &as_user)?;
        ensure!(whoami["username"] == *user, "{whoami}");
        ensure!(whoami["groups"] == json!(["dev", "ops", "system:authenticated"]), "{whoami}");
        let refused = with(&["get", "pods"])?;
        ensure!(
            refused.both().contains(&format!("User \"{user}\" cannot list resource \"pods\"")),
            "{}",
            refused.both()
        );
    }
    Ok(())
}

/// Who the API server takes the holder of a certificate for.
fn kubectl_whoami(kubectl: &Kubectl, credential: &[String; 2]) -> Result<Value> {
    let answer = kubectl.ok(&["auth", "whoami", "-o", "json", &credential[0], &credential[1]])?;
    let answer: Value = serde_json::from_str(&answer)?;
    Ok(answer["status"]["userInfo"].clone())
}

fn openssl_base64(text: &str) -> Result<Vec<u8>> {
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

fn certificates_nobody_may_have(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    let create = |object: Value| kubectl.fails_with_input(&["create", "-f", "-"], object.to_string().as_bytes());
    let masters = Asked::new(cluster, "masters", "/O=system:masters/CN=jane", EC)?;
    let error = create(masters.object("masters", CLIENT_SIGNER, &["client auth"], None))?;
    let wanted = format!("use of {CLIENT_SIGNER} signer with system:masters group is not allowed");
    ensure!(error.contains(&wanted), "{error}");
    let mut altered = masters.object("altered", CLIENT_SIGNER, &["client auth"], None);
    altered["spec"]["request"] =
        json!(base64(b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"));
    let error = create(altered)?;
    ensure!(error.contains("spec.request: Invalid value"), "{error}");

    // Denied is denied, and stays so.
    let jane = Asked::new(cluster, "jane", "/CN=jane", EC)?;
    kubectl.apply(&jane.object("denied", CLIENT_SIGNER, &["client auth"], None).to_string())?;
    kubectl.ok(&["certificate", "deny", "denied"])?;
    ensure!(kubectl.ok(&["get", "csr", "denied"])?.contains("Denied"));
    let error = kubectl.fails(&["certificate", "approve", "denied"])?;
    ensure!(error.contains("Approved and Denied conditions are mutually exclusive"), "{error}");
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
    kubectl.ok(&[
        "create",
        "clusterrole",
        "approver-of-clients",
        "--verb=approve",
        "--resource=signers.certificates.k8s.io",
        "--resource-name=kubernetes.io/*",
    ])?;
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

fn kubelets_requests_are_approved_by_themselves(cluster: &Cluster) -> Result<()> {
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
