//! Image names: `[registry/]path[:tag][@digest]`.

/// Why a text is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("couldn't parse image name \"{name}\": {problem}")]
pub struct InvalidImageName {
    name: String,
    problem: &'static str,
}

/// The name with `:latest` added where it has neither tag nor digest. The registry is not filled in: that is the
/// runtime's business.
///
/// # Errors
/// [`InvalidImageName`] with the words `docker` uses.
pub fn with_default_tag(name: &str) -> Result<String, InvalidImageName> {
    let invalid = |problem| InvalidImageName { name: name.to_owned(), problem };
    let (rest, digest) = match name.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (name, None),
    };
    let (repository, tag) = match rest.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (rest, None),
    };
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) && is_repository(&repository.to_ascii_lowercase()) {
        let (registry, path) = split_registry(repository);
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(invalid("invalid reference format: repository name must be lowercase"));
        }
        debug_assert!(registry.is_some(), "without a registry everything is path");
    } else if !is_repository(repository) {
        return Err(invalid("invalid reference format"));
    }
    if !tag.is_none_or(is_tag) || !digest.is_none_or(is_digest) {
        return Err(invalid("invalid reference format"));
    }
    Ok(if tag.is_none() && digest.is_none() { format!("{name}:latest") } else { name.to_owned() })
}

/// The registry, if the first component is one, and the path.
pub(super) fn split_registry(repository: &str) -> (Option<&str>, &str) {
    match repository.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), path),
        _ => (None, repository),
    }
}

fn is_repository(text: &str) -> bool {
    let (registry, path) = split_registry(text);
    let registry_fits = registry.is_none_or(|registry| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        registry.bytes().all(allowed)
    });
    registry_fits && text.len() <= 255 && path.split('/').all(is_path_component)
}

/// Lower-case letters and digits, separated by single dots, one or two underscores, or dashes.
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let edges = text.bytes().next().is_some_and(alphanumeric) && text.bytes().last().is_some_and(alphanumeric);
    let separators = text.split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit());
    edges && separators.into_iter().all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

fn is_tag(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    first && text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        let lengths = match algorithm {
            "sha256" => hex.len() == 64,
            "sha512" => hex.len() == 128,
            _ => hex.len() >= 32,
        };
        !algorithm.is_empty() && lengths && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}
