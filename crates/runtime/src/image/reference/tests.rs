use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn short_names_stand_for_full_ones() {
    let cases = [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.8", "docker.io/library/nginx:1.8"),
        ("ikubernetes/myapp:v1", "docker.io/ikubernetes/myapp:v1"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("127.0.0.1:5000/a/b_c/d-e.f:V_1", "127.0.0.1:5000/a/b_c/d-e.f:V_1"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("Host/app", "Host/app:latest"),
        ("a--b/c__d", "docker.io/a--b/c__d:latest"),
    ];
    for (name, full) in cases {
        assert_eq!(ImageReference::parse(name).map(|reference| reference.to_string()), Ok(full.to_owned()), "{name}");
    }
}

#[test]
fn digest_wins_over_tag() {
    let reference = ImageReference::parse(&format!("nginx:1.8@sha256:{HEX}")).expect("a name");
    assert_eq!(reference.to_string(), format!("docker.io/library/nginx@sha256:{HEX}"));
}

#[test]
fn refuses_what_is_no_name() {
    use ParseReferenceError::{Digest, Format, TooLong, Uppercase};
    let long = "a".repeat(300);
    let cases = [
        ("", Format),
        (":latest", Format),
        ("nginx:", Format),
        ("Nginx", Uppercase),
        ("docker.io/Library/nginx", Uppercase),
        ("a b", Format),
        ("a..b", Format),
        ("a___b", Format),
        ("-a", Format),
        ("a/", Format),
        ("a//b", Format),
        ("host:port/a", Format),
        ("ho_st.io/a", Format),
        ("a:-tag", Format),
        ("a@sha256:abc", Digest),
        ("a@", Digest),
        (HEX, Format),
        ("http://a/b", Format),
        ("../../etc/passwd", Format),
        (&long, TooLong),
    ];
    for (name, error) in cases {
        assert_eq!(ImageReference::parse(name), Err(error), "{name}");
    }
}
