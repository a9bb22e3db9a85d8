//! Image names as users write them, and the full names they stand for.
//!
//! `nginx` is `docker.io/library/nginx:latest`, `127.0.0.1:5000/app:v1` names a registry because its first part looks
//! like a host. The grammar is that of the `distribution` project, which every container tool follows.

use std::fmt;

use super::digest::Digest;

#[cfg(test)]
mod tests;

const DEFAULT_REGISTRY: &str = "docker.io";
const LEGACY_DEFAULT_REGISTRY: &str = "index.docker.io";
const DEFAULT_TAG: &str = "latest";
const REPOSITORY_LENGTH_MAX: usize = 255;
const TAG_LENGTH_MAX: usize = 128;

/// A full image name: registry, repository and which version of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageReference {
    registry: String,
    repository: String,
    version: Version,
}

/// What selects one image of a repository. A name with both a tag and a digest means the digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// A movable name such as `latest`.
    Tag(String),
    /// The digest of a manifest or an index.
    Digest(Digest),
}

/// Why a text is no image name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseReferenceError {
    /// It does not follow the grammar.
    #[error("invalid reference format")]
    Format,
    /// It would follow the grammar in lower case.
    #[error("invalid reference format: repository name must be lowercase")]
    Uppercase,
    /// The repository is too long.
    #[error("repository name must not be more than {REPOSITORY_LENGTH_MAX} characters")]
    TooLong,
    /// The digest names no known algorithm or has a wrong length.
    #[error("invalid checksum digest")]
    Digest,
}

impl ImageReference {
    /// Parses a name and fills in what short names leave out.
    ///
    /// # Errors
    /// [`ParseReferenceError`] says which rule the name breaks.
    pub fn parse(name: &str) -> Result<Self, ParseReferenceError> {
        let (rest, digest) = match name.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (name, None),
        };
        let (path, tag) = split_tag(rest);
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ParseReferenceError::Format);
        }
        let (registry, repository) = split_registry(path);
        check_registry(registry)?;
        check_repository(repository)?;
        let digest = digest.map(|text| Digest::parse(text).ok_or(ParseReferenceError::Digest)).transpose()?;
        let registry = if registry == LEGACY_DEFAULT_REGISTRY { DEFAULT_REGISTRY } else { registry };
        let repository = if registry == DEFAULT_REGISTRY && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        if repository.len() > REPOSITORY_LENGTH_MAX {
            return Err(ParseReferenceError::TooLong);
        }
        let version = digest.map_or_else(|| Version::Tag(tag.unwrap_or(DEFAULT_TAG).to_owned()), Version::Digest);
        Ok(Self { registry: registry.to_owned(), repository, version })
    }

    /// Host, and port where given, of the registry.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path of the repository within the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Tag or digest.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The name of the same repository's content with this digest, as in `imageID` of a container status.
    pub fn with_digest(&self, digest: &Digest) -> String {
        format!("{}/{}@{digest}", self.registry, self.repository)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)?;
        match &self.version {
            Version::Tag(tag) => write!(formatter, ":{tag}"),
            Version::Digest(digest) => write!(formatter, "@{digest}"),
        }
    }
}

/// Splits a trailing `:tag` off; a colon before the last slash belongs to a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (text, None),
    }
}

/// The first part is a registry when it could be a host: it has a dot or a port, is `localhost`, or has an upper-case
/// letter, which no repository may have.
fn split_registry(path: &str) -> (&str, &str) {
    match path.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_REGISTRY, path),
    }
}

fn check_registry(registry: &str) -> Result<(), ParseReferenceError> {
    let (host, port) = split_port(registry);
    let port_fits = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let host_fits = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_host_label),
    };
    if port_fits && host_fits { Ok(()) } else { Err(ParseReferenceError::Format) }
}

/// Splits `host:port`; the colons of a bracketed IPv6 address are no port.
fn split_port(registry: &str) -> (&str, Option<&str>) {
    match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    }
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn check_repository(repository: &str) -> Result<(), ParseReferenceError> {
    let fits = |path: &str| path.split('/').all(is_repository_part);
    if is_hex_id(repository) {
        return Err(ParseReferenceError::Format);
    }
    match (fits(repository), fits(&repository.to_ascii_lowercase())) {
        (true, _) => Ok(()),
        (false, true) => Err(ParseReferenceError::Uppercase),
        (false, false) => Err(ParseReferenceError::Format),
    }
}

/// 64 hex digits are an image id, never a name.
fn is_hex_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Lower-case letters and digits, in runs joined by one dot, one or two underscores, or any number of dashes.
fn is_repository_part(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    is_word(*first)
        && is_word(*last)
        && part
            .split(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit())
            .all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|byte| byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_LENGTH_MAX
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}
