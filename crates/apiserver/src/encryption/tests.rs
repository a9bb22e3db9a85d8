use store::Tier;
use store::memory::MemoryStore;

use super::*;

const KEY: &str = "/registry/secrets/ns/s";

fn config(providers: &str) -> String {
    format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  \
         providers: [{providers}]\n"
    )
}

fn keys(provider: &str, names: &[&str]) -> String {
    let key = |name: &&str| {
        let secret: String = std::iter::repeat_n(name.chars().next().unwrap(), 43).collect();
        format!("{{name: {name}, secret: {secret}=}}")
    };
    format!("{{{provider}: {{keys: [{}]}}}}", names.iter().map(key).collect::<Vec<_>>().join(", "))
}

fn encryption(providers: &str) -> Encryption {
    Encryption::parse(&config(providers)).unwrap()
}

fn opened(encryption: &Encryption, key: &str, value: &Bytes) -> Result<(String, bool), String> {
    let opened = encryption.keyring(key).decrypt(key, value).map_err(|error| error.to_string())?;
    Ok((String::from_utf8(opened.value.to_vec()).unwrap(), opened.stale))
}

#[test]
fn what_one_key_writes_it_reads_and_no_other_does() {
    let value = Bytes::from_static(b"{\"kind\":\"Secret\"}");
    let text = String::from_utf8(value.to_vec()).unwrap();
    for provider in ["aesgcm", "aescbc", "secretbox"] {
        let one = encryption(&keys(provider, &["A"]));
        let stored = one.encrypt(KEY, &value).unwrap();
        assert!(stored.starts_with(format!("k8s:enc:{provider}:v1:A:").as_bytes()), "{provider}");
        assert_ne!(stored, one.encrypt(KEY, &value).unwrap(), "never twice the same");
        assert_eq!(opened(&one, KEY, &stored), Ok((text.clone(), false)));
        let rotated = encryption(&keys(provider, &["B", "A"]));
        assert_eq!(opened(&rotated, KEY, &stored), Ok((text.clone(), true)));
        let other = encryption(&keys(provider, &["B"]));
        assert_eq!(opened(&other, KEY, &stored), Err("no matching prefix found".to_owned()));
        let mut altered = stored.to_vec();
        *altered.last_mut().unwrap() ^= 1;
        assert!(opened(&one, KEY, &altered.into()).is_err() || provider == "aescbc", "{provider}");
        assert!(opened(&one, KEY, &stored.slice(..stored.len() - 5)).is_err(), "{provider}");
        assert!(opened(&one, KEY, &stored.slice(..30)).is_err(), "{provider}");
        let elsewhere = opened(&one, "/registry/secrets/ns/t", &stored);
        assert_eq!(elsewhere.is_err(), provider == "aesgcm", "only AES-GCM binds values to their place");
    }
}

#[test]
fn identity_reads_plain_values_only() {
    let value = Bytes::from_static(b"{}");
    let both = encryption(&format!("{}, {{identity: {{}}}}", keys("aesgcm", &["A"])));
    assert_eq!(opened(&both, KEY, &value), Ok(("{}".to_owned(), true)));
    let sealed = both.encrypt(KEY, &value).unwrap();
    let back = encryption(&format!("{{identity: {{}}}}, {}", keys("aesgcm", &["A"])));
    assert_eq!(back.encrypt(KEY, &value).unwrap(), value);
    assert_eq!(opened(&back, KEY, &sealed), Ok(("{}".to_owned(), true)));
    assert_eq!(opened(&back, KEY, &value), Ok(("{}".to_owned(), false)));
    let strict = encryption(&keys("aesgcm", &["A"]));
    assert_eq!(opened(&strict, KEY, &value), Err("no matching prefix found".to_owned()));
    let elsewhere = "/registry/configmaps/ns/c";
    assert_eq!(strict.encrypt(elsewhere, &value).unwrap(), value);
    let told = Err("identity transformer tried to read encrypted data".to_owned());
    assert_eq!(opened(&strict, elsewhere, &sealed), told);
}

#[test]
fn wildcards_cover_groups_and_the_first_rule_counts() {
    let text = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n\
                - {resources: [configmaps], providers: [{identity: {}}]}\n\
                - {resources: ['*.', '*.apps'], providers: [@]}\n"
        .replace('@', &keys("aesgcm", &["A"]));
    let encryption = Encryption::parse(&text).unwrap();
    let value = Bytes::from_static(b"{}");
    for (key, sealed) in [
        ("/registry/configmaps/ns/c", false),
        ("/registry/secrets/ns/s", true),
        ("/registry/deployments/ns/d", true),
        ("/registry/roles/ns/r", false),
    ] {
        assert_eq!(encryption.encrypt(key, &value).unwrap() != value, sealed, "{key}");
    }
}

#[test]
fn problems_are_told_with_their_field() {
    for (text, problem) in [
        ("a: b".to_owned(), "unknown field"),
        ("apiVersion: v1\nkind: EncryptionConfig\n".to_owned(), "no kind \"EncryptionConfig\" is registered"),
        (
            "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n".to_owned(),
            "resources: Required value: at least one resources is required",
        ),
        (config(""), "resources[0].providers: Required value: at least one resources[0].providers is required"),
        (config("{}"), "resources[0].providers[0]: Invalid value"),
        (config("{kms: {name: k}}"), "resources[0].providers[0].kms: Forbidden: this server has no KMS providers"),
        (config("{aescbc: {keys: []}}"), "resources[0].providers[0].aescbc.keys: Required value: at least one keys"),
        (
            config("{aescbc: {keys: [{name: a, secret: '!'}]}}"),
            "resources[0].providers[0].aescbc.keys[0].secret: Invalid value: \"REDACTED\": secrets must be base64 encoded",
        ),
        (
            config("{secretbox: {keys: [{name: a, secret: AAAA}]}}"),
            "secret: Invalid value: \"REDACTED\": secret is not of the expected length, got 3, expected one of [32]",
        ),
        (
            config("{aesgcm: {keys: [{secret: AAAA}]}}"),
            "keys[0].name: Required value: name is a mandatory field for a key",
        ),
        (
            config("{identity: {}}").replace("[secrets]", "[secrets, '*.']"),
            "resources[0].resources: Invalid value: [\"secrets\",\"*.\"]: using overlapping resources",
        ),
        (
            config("{identity: {}}").replace("[secrets]", "['*']"),
            "resources[0].resources[0]: Invalid value: \"*\": use '*.'",
        ),
        (config("{identity: {}}").replace("[secrets]", "[Secrets]"), "should not contain capital letters"),
        (config("{identity: {}}").replace("[secrets]", "[a, a]"), "cannot be specified multiple times"),
    ] {
        let error = Encryption::parse(&text).unwrap_err().to_string();
        assert!(error.contains(problem), "{text}\n{error}");
    }
}

#[tokio::test]
async fn a_store_shows_what_was_written_and_keeps_it_sealed() {
    let inner = Arc::new(MemoryStore::default());
    let first = Arc::new(encryption(&keys("aesgcm", &["A"])));
    let store = EncryptedStore::new(inner.clone(), first);
    let put =
        |value: &'static [u8]| Op::Put { value: Bytes::from_static(value), tier: Tier::Durable, time_to_live: None };
    let revision = store.commit(KEY, Expect::Absent, put(b"one")).await.unwrap();
    assert!(inner.get(KEY).await.unwrap().unwrap().value.starts_with(b"k8s:enc:aesgcm:v1:A:"));
    assert_eq!(store.get(KEY).await.unwrap().unwrap().value, "one");
    let Err(Error::Conflict { current: Some(current) }) = store.commit(KEY, Expect::Absent, put(b"x")).await else {
        panic!("the key is there");
    };
    assert_eq!(current.value, "one");

    let rotated = Arc::new(encryption(&keys("aesgcm", &["B", "A"])));
    let store = EncryptedStore::new(inner.clone(), rotated.clone());
    assert_eq!(store.list("/registry/").await.unwrap().items[0].value, "one");
    assert!(rotated.is_stale(KEY));
    let mut events = store.watch("/registry/", revision).await.unwrap();
    store.commit(KEY, Expect::Revision(revision), put(b"two")).await.unwrap();
    let Notice::Commit(event) = events.next().await.unwrap().unwrap() else { panic!("it was written") };
    assert!(!rotated.is_stale(KEY));
    assert_eq!((event.value.unwrap(), event.previous.unwrap().0), (Bytes::from("two"), Bytes::from("one")));
    assert!(inner.get(KEY).await.unwrap().unwrap().value.starts_with(b"k8s:enc:aesgcm:v1:B:"));
}
