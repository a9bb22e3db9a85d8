use std::os::unix::fs::PermissionsExt;

use super::*;

fn config(data_dir: &Path, names: &[&str], day: &str) -> PkiConfig {
    PkiConfig {
        data_dir: data_dir.to_owned(),
        server_names: names.iter().map(|name| (*name).to_owned()).collect(),
        node_name: "node-1".to_owned(),
        kubelet_names: vec!["node-1".to_owned()],
        now: format!("{day}T00:00:00Z").parse().unwrap(),
    }
}

#[test]
fn credentials_are_made_once_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let names = ["localhost", "127.0.0.1", "fd00:0::1"];
    let first = Pki::ensure(&config(directory.path(), &names, "2026-01-01")).unwrap();
    let again = Pki::ensure(&config(directory.path(), &names, "2026-06-01")).unwrap();
    assert_eq!(first.authority, again.authority);
    assert_eq!(first.server.certificate, again.server.certificate);
    assert_eq!(first.admin.key, again.admin.key);
    assert_eq!(first.service_account_key, again.service_account_key);
    let pem = parse(&first.admin.certificate).unwrap();
    assert_eq!(pem.parse_x509().unwrap().subject().to_string(), "CN=system:admin, O=system:masters");
    for entry in std::fs::read_dir(directory.path().join("tls")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[test]
fn a_certificate_is_renewed_for_new_names_and_near_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let first = Pki::ensure(&config(directory.path(), &["a"], "2026-01-01")).unwrap();
    let renamed = Pki::ensure(&config(directory.path(), &["a", "b"], "2026-01-01")).unwrap();
    assert_ne!(first.server.certificate, renamed.server.certificate);
    assert_eq!(first.admin.certificate, renamed.admin.certificate);
    let later = Pki::ensure(&config(directory.path(), &["a", "b"], "2026-11-01")).unwrap();
    assert_ne!(renamed.server.certificate, later.server.certificate);
    assert_ne!(renamed.admin.certificate, later.admin.certificate);
    assert_eq!(first.authority, later.authority);
}

#[test]
fn a_half_made_folder_is_completed_and_a_broken_authority_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), &["a"], "2026-01-01");
    Pki::ensure(&config).unwrap();
    let tls = directory.path().join("tls");
    std::fs::remove_file(tls.join("apiserver.key")).unwrap();
    std::fs::remove_file(tls.join("admin.crt")).unwrap();
    let mended = Pki::ensure(&config).unwrap();
    let server_key = KeyPair::from_pem(&mended.server.key).unwrap();
    let certificate = parse(&mended.server.certificate).unwrap();
    assert_eq!(
        certificate.parse_x509().unwrap().public_key().subject_public_key.data.as_ref(),
        server_key.public_key_raw(),
        "certificate and key belong together"
    );
    std::fs::remove_file(tls.join("ca.key")).unwrap();
    let Err(error) = Pki::ensure(&config) else { panic!("an authority without key is refused") };
    assert!(error.to_string().contains("ca.crt is unusable"), "{error}");
}
