use super::*;

fn sources(config: &str, image: &str) -> Vec<String> {
    let registries = Registries::parse(config).expect("a good configuration");
    let sources = registries.sources(&ImageReference::parse(image).expect("a name"));
    sources.iter().map(|source| format!("{}/{}", source.endpoint, source.repository)).collect()
}

#[test]
fn asks_mirrors_in_order_then_the_registry() {
    let config = "
mirrors:
  docker.io:
    endpoint: ['http://127.0.0.1:5000', 'https://mirror.example.com/v2/hub']
    rewrite: {'^library/(.*)': 'debian/$1'}
  '*':
    endpoint: ['https://cache.example.com']
";
    let cases: [(&str, &[&str]); 4] = [
        (
            "nginx",
            &[
                "http://127.0.0.1:5000/debian/nginx",
                "https://mirror.example.com/hub/debian/nginx",
                "https://registry-1.docker.io/library/nginx",
            ],
        ),
        (
            "ikubernetes/myapp:v1",
            &[
                "http://127.0.0.1:5000/ikubernetes/myapp",
                "https://mirror.example.com/hub/ikubernetes/myapp",
                "https://registry-1.docker.io/ikubernetes/myapp",
            ],
        ),
        ("quay.example.com/a/b", &["https://cache.example.com/a/b", "https://quay.example.com/a/b"]),
        ("cache.example.com/a", &["https://cache.example.com/a"]),
    ];
    for (image, expected) in cases {
        assert_eq!(sources(config, image), expected, "{image}");
    }
}

#[test]
fn speaks_plain_http_to_loopback_only() {
    for (image, expected) in [
        ("localhost:5000/a", "http://localhost:5000/a"),
        ("127.0.0.5/a", "http://127.0.0.5/a"),
        ("[::1]:5000/a", "http://[::1]:5000/a"),
        ("registry.example.com:5000/a", "https://registry.example.com:5000/a"),
        ("localhost.example.com/a", "https://localhost.example.com/a"),
    ] {
        assert_eq!(sources("", image), [expected], "{image}");
    }
}

#[test]
fn leaves_the_registry_out_when_told() {
    let config = "mirrors: {docker.io: {endpoint: ['http://127.0.0.1:5000']}}";
    let registries = Registries::parse(config).expect("good").without_default_endpoint();
    let count = |image: &str| registries.sources(&ImageReference::parse(image).expect("a name")).len();
    assert_eq!(count("nginx"), 1);
    assert_eq!(count("quay.example.com/a"), 1, "a registry without mirrors is still asked itself");
}

#[test]
fn credentials_belong_to_the_host_they_are_written_for() {
    let config = "
configs:
  registry-1.docker.io: {auth: {username: hub, password: secret}}
  '127.0.0.1:5000': {auth: {auth: bWU6cGFzczp3b3Jk}}
  open.example.com: {tls: {insecure_skip_verify: true}}
";
    let registries = Registries::parse(config).expect("good");
    let source = |image: &str| registries.sources(&ImageReference::parse(image).expect("a name")).remove(0);
    let basic = |username: &str, password: &str| {
        Some(Credentials::Basic { username: username.to_owned(), password: password.to_owned() })
    };
    assert_eq!(source("nginx").credentials, basic("hub", "secret"));
    assert_eq!(source("127.0.0.1:5000/a").credentials, basic("me", "pass:word"));
    assert_eq!(source("127.0.0.1:5001/a").credentials, None);
    assert_eq!(source("open.example.com/a").trust, Trust::Anyone);
    assert!(!format!("{registries:?}").contains("secret"), "secrets stay out of logs");
}

#[test]
fn says_what_is_wrong() {
    for (config, message) in [
        ("mirrors: {a: {endpoint: ['127.0.0.1:5000']}}", "bad endpoint \"127.0.0.1:5000\""),
        ("mirrors: {a: {endpoint: ['http://h/path']}}", "bad endpoint"),
        ("mirrors: {a: {rewrite: {'(': x}}}", "bad rewrite rule"),
        ("mirrors: {a: {endpoints: []}}", "malformed"),
        ("configs: {a: {auth: {auth: '!'}}}", "base64"),
        ("configs: {a: {tls: {cert_file: /x}}}", "not supported"),
        ("configs: {a: {tls: {ca_file: /nonexistent}}}", "reading"),
        ("- list", "malformed"),
    ] {
        let error = Registries::parse(config).expect_err(config).to_string();
        assert!(error.contains(message), "{config}: {error}");
    }
    for empty in ["", "# nothing\n", "mirrors:\n", "mirrors:\n  docker.io:\n"] {
        assert!(Registries::parse(empty).is_ok(), "{empty:?}");
    }
}
