use super::with_default_tag;

#[test]
fn names_get_the_latest_tag_only_when_they_have_none() {
    let digest = format!("nginx@sha256:{}", "a".repeat(64));
    for (name, expected) in [
        ("nginx", "nginx:latest"),
        ("nginx:1.8", "nginx:1.8"),
        ("r.example:5000/a/b", "r.example:5000/a/b:latest"),
        ("r.example:5000/a/b:v1", "r.example:5000/a/b:v1"),
        ("a__b/c-d---e.f", "a__b/c-d---e.f:latest"),
        (digest.as_str(), digest.as_str()),
    ] {
        assert_eq!(with_default_tag(name).as_deref(), Ok(expected));
    }
}

#[test]
fn malformed_names_are_refused_in_dockers_words() {
    for (name, problem) in [
        ("", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("nginx:", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("a@sha256:12", "invalid reference format"),
        ("Nginx", "invalid reference format: repository name must be lowercase"),
    ] {
        let text = with_default_tag(name).unwrap_err().to_string();
        assert_eq!(text, format!("couldn't parse image name \"{name}\": {problem}"));
    }
}
