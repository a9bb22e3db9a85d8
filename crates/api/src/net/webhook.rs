//! Where webhooks are: URLs and Services, with upstream's checks and wording.

use crate::field::{ErrorList, Path, invalid, required};
use crate::names::{dns1123_subdomain, port_number};

const FORM: &str = "; desired format: https://host[/path]";

/// The parts of a URL that are checked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Url<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    host: &'a str,
    query: &'a str,
    fragment: &'a str,
}

impl<'a> Url<'a> {
    /// # Errors
    /// What Go says of texts that are no URLs.
    fn parse(text: &'a str) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("parse {text:?}: {why}"));
        if text.chars().any(char::is_control) {
            return refuse("net/url: invalid control character in URL");
        }
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let (scheme, rest) = match rest.split_once(':') {
            Some(("", _)) => return refuse("missing protocol scheme"),
            Some((scheme, rest))
                if scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(known) =>
            {
                (scheme, rest)
            }
            Some((first, _)) if !first.contains('/') && !scheme_stops(first) => {
                return refuse("first path segment in URL cannot contain colon");
            }
            _ => ("", rest),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = rest.strip_prefix("//").map_or("", |rest| rest.split('/').next().unwrap_or_default());
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let port = host.rsplit_once(']').map_or(host, |(_, rest)| rest).split_once(':');
        if let Some((_, port)) = port.filter(|(_, port)| !port.bytes().all(|byte| byte.is_ascii_digit())) {
            return refuse(&format!("invalid port {:?} after host", format!(":{port}")));
        }
        Ok(Self { scheme, user, host, query, fragment })
    }
}

/// Whether what stands before a colon can be no scheme, but is no path either.
fn scheme_stops(first: &str) -> bool {
    first.contains(['?', '#'])
}

/// Checks the URL of a webhook, which must be `https://host[/path]`.
pub fn validate_url(url: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let parsed = match Url::parse(url) {
        Ok(parsed) => parsed,
        Err(error) => return errors.push(required(path, &format!("url must be a valid URL: {error}{FORM}"))),
    };
    if parsed.scheme != "https" {
        errors.push(invalid(path, parsed.scheme, format!("'https' is the only allowed URL scheme{FORM}")));
    }
    if parsed.host.is_empty() {
        errors.push(invalid(path, "", format!("host must be specified{FORM}")));
    }
    if let Some(user) = parsed.user {
        errors.push(invalid(path, user, "user information is not permitted in the URL"));
    }
    if !parsed.fragment.is_empty() {
        errors.push(invalid(path, parsed.fragment, "fragments are not permitted in the URL"));
    }
    if !parsed.query.is_empty() {
        errors.push(invalid(path, parsed.query, "query parameters are not permitted in the URL"));
    }
}

/// Checks the Service of a webhook and the path it is asked at.
pub fn validate_service(
    name: &str,
    namespace: &str,
    url_path: Option<&str>,
    port: i32,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    for (field, value) in [("name", name), ("namespace", namespace)] {
        if value.is_empty() {
            let word = if field == "name" { "name" } else { "namespace" };
            errors.push(required(&path.child(field), &format!("service {word} is required")));
        }
    }
    if let Some(problem) = port_number(port) {
        errors.push(invalid(&path.child("port"), port, format!("port is not valid: {problem}")));
    }
    if let Some(url_path) = url_path.filter(|url_path| !matches!(*url_path, "" | "/")) {
        validate_path(url_path, &path.child("path"), errors);
    }
}

fn validate_path(url_path: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let mut refuse = |why: String| errors.push(invalid(path, url_path, why));
    if url_path == "//" {
        return refuse("segment[0] may not be empty".to_owned());
    }
    if !url_path.starts_with('/') {
        refuse("must start with a '/'".to_owned());
    }
    let mut characters = url_path.chars();
    characters.next(); // whatever it is
    let segments = characters.as_str();
    for (position, segment) in segments.strip_suffix('/').unwrap_or(segments).split('/').enumerate() {
        if segment.is_empty() {
            refuse(format!("segment[{position}] may not be empty"));
            continue;
        }
        for problem in dns1123_subdomain(segment) {
            refuse(format!("segment[{position}]: {problem}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: Path<'static> = Path::new("p");

    #[test]
    fn urls_are_https_with_a_host_and_nothing_after_the_path() {
        for (url, expected) in [
            ("https://a.example.com:8443/x/y", vec![]),
            (
                "http://x",
                vec![
                    r#"p: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]"#,
                ],
            ),
            (
                "https:///x",
                vec![r#"p: Invalid value: "": host must be specified; desired format: https://host[/path]"#],
            ),
            ("https://u@x", vec![r#"p: Invalid value: "u": user information is not permitted in the URL"#]),
            (
                "https://x?a=b#c",
                vec![
                    r#"p: Invalid value: "c": fragments are not permitted in the URL"#,
                    r#"p: Invalid value: "a=b": query parameters are not permitted in the URL"#,
                ],
            ),
            (
                "://x",
                vec![
                    r#"p: Required value: url must be a valid URL: parse "://x": missing protocol scheme; desired format: https://host[/path]"#,
                ],
            ),
            (
                "https://x:y",
                vec![
                    r#"p: Required value: url must be a valid URL: parse "https://x:y": invalid port ":y" after host; desired format: https://host[/path]"#,
                ],
            ),
        ] {
            let mut errors = ErrorList::new();
            validate_url(url, &PATH, &mut errors);
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{url}");
        }
    }

    #[test]
    fn services_have_names_and_paths_of_subdomains() {
        let problems = |name, url_path, port| {
            let mut errors = ErrorList::new();
            validate_service(name, "n", Some(url_path), port, &PATH, &mut errors);
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(problems("s", "/a/b/", 443), Vec::<String>::new());
        assert_eq!(
            problems("", "//", 0),
            [
                "p.name: Required value: service name is required",
                "p.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
                "p.path: Invalid value: \"//\": segment[0] may not be empty",
            ]
        );
        assert_eq!(
            problems("s", "a//b", 1),
            [
                "p.path: Invalid value: \"a//b\": must start with a '/'",
                "p.path: Invalid value: \"a//b\": segment[0] may not be empty",
                "p.path: Invalid value: \"a//b\": segment[1] may not be empty",
            ]
        );
    }
}
