//! Where images come from: the `registries.yaml` file that k3s users know, resolved to endpoints and credentials.
//!
//! ```yaml
//! mirrors:
//!   docker.io:
//!     endpoint: ["http://127.0.0.1:5000"]
//!     rewrite: { "^library/(.*)": "mirrored/$1" }
//!   "*":
//!     endpoint: ["https://cache.example.com"]
//! configs:
//!   "cache.example.com":
//!     auth: { username: me, password: secret }
//!     tls: { ca_file: /etc/ssl/cache.pem }
//! ```
//!
//! A registry's mirrors are asked in their order, then the registry itself. Plain HTTP is spoken where an endpoint says
//! `http://`, and to registries on loopback addresses.

mod endpoint;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use regex::Regex;
use serde::Deserialize;

pub use endpoint::{Endpoint, EndpointError};

use super::reference::ImageReference;

const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_REGISTRY_ENDPOINT: &str = "https://registry-1.docker.io";
const DEFAULT_REGISTRY_NAMES: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];
const ANY_REGISTRY: &str = "*";

/// The resolved configuration.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    mirrors: BTreeMap<String, Mirror>,
    settings: BTreeMap<String, Settings>,
    without_default_endpoint: bool,
}

#[derive(Debug, Clone)]
struct Mirror {
    endpoints: Vec<Endpoint>,
    rewrites: Vec<(Regex, String)>,
}

/// How to talk to one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Settings {
    credentials: Option<Credentials>,
    trust: Trust,
}

/// Which server certificates to believe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Those the system trusts.
    #[default]
    System,
    /// Those of the system and of this PEM bundle.
    Also(Vec<u8>),
    /// Any. The user said so.
    Anyone,
}

/// Who to be to a registry.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Credentials {
    /// Name and password.
    Basic {
        /// The name.
        username: String,
        /// The password or access token.
        password: String,
    },
    /// A bearer token that the registry takes as it is.
    Token(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Basic { username, .. } => {
                formatter.debug_struct("Basic").field("username", username).finish_non_exhaustive()
            }
            Self::Token(_) => formatter.write_str("Token(..)"),
        }
    }
}

/// Why the configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistriesError {
    /// A file could not be read.
    #[error("reading {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It does not follow the format.
    #[error("registries configuration is malformed")]
    Malformed(#[source] Box<serde_saphyr::Error>),
    /// A mirror's endpoint is no URL of a registry.
    #[error("mirror {mirror:?} has a bad endpoint {endpoint:?}")]
    Endpoint {
        /// The mirror.
        mirror: String,
        /// As written.
        endpoint: String,
        /// What is wrong.
        #[source]
        source: EndpointError,
    },
    /// A mirror's rewrite rule is no regular expression.
    #[error("mirror {mirror:?} has a bad rewrite rule")]
    Rewrite {
        /// The mirror.
        mirror: String,
        /// What is wrong.
        #[source]
        source: Box<regex::Error>,
    },
    /// `auth` is not base64 of `name:password`.
    #[error("configs.{0:?}.auth.auth must be base64 of username:password")]
    Auth(String),
    /// Something of k3s's format that this version has not.
    #[error("configs.{host:?}.{field} is not supported")]
    Unsupported {
        /// The host.
        host: String,
        /// The field.
        field: &'static str,
    },
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawFile {
    mirrors: Option<BTreeMap<String, Option<RawMirror>>>,
    configs: Option<BTreeMap<String, RawConfig>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawMirror {
    endpoint: Vec<String>,
    rewrite: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    auth: Option<RawAuth>,
    tls: Option<RawTls>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawAuth {
    username: String,
    password: String,
    auth: String,
    identity_token: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawTls {
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    insecure_skip_verify: bool,
}

/// One place to ask for an image, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// The server.
    pub endpoint: Endpoint,
    /// The repository's path there.
    pub repository: String,
    /// The registry that this is a mirror of, if it is one.
    pub mirror_of: Option<String>,
    /// Credentials from the configuration.
    pub credentials: Option<Credentials>,
    /// Certificates to believe.
    pub trust: Trust,
}

impl Registries {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`RegistriesError`] says what is wrong with the file.
    pub fn load(path: &Path) -> Result<Self, RegistriesError> {
        let text =
            fs::read_to_string(path).map_err(|source| RegistriesError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Parses a configuration; reads the certificate files it names.
    ///
    /// # Errors
    /// [`RegistriesError`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, RegistriesError> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        let file: RawFile =
            serde_saphyr::from_str(text).map_err(|error| RegistriesError::Malformed(Box::new(error)))?;
        let mirrors = file.mirrors.unwrap_or_default().into_iter().map(|(name, mirror)| {
            let mirror = resolve_mirror(&name, mirror.unwrap_or_default())?;
            Ok((name, mirror))
        });
        let settings = file.configs.unwrap_or_default().into_iter().map(|(host, config)| {
            let settings = resolve_settings(&host, config)?;
            Ok((host, settings))
        });
        Ok(Self {
            mirrors: mirrors.collect::<Result<_, RegistriesError>>()?,
            settings: settings.collect::<Result<_, RegistriesError>>()?,
            without_default_endpoint: false,
        })
    }

    /// Asks only the mirrors of registries that have some, never the registry itself.
    pub fn without_default_endpoint(mut self) -> Self {
        self.without_default_endpoint = true;
        self
    }

    /// Where to ask for an image, in order.
    pub fn sources(&self, image: &ImageReference) -> Vec<Source> {
        let mirror = self.mirrors.get(image.registry()).or_else(|| self.mirrors.get(ANY_REGISTRY));
        let mut sources: Vec<Source> = mirror
            .iter()
            .flat_map(|mirror| mirror.endpoints.iter().map(|endpoint| (endpoint, mirror.rewrite(image.repository()))))
            .map(|(endpoint, repository)| self.source(endpoint.clone(), &repository, Some(image.registry())))
            .collect();
        if sources.is_empty() || !self.without_default_endpoint {
            let own = self.source(default_endpoint(image.registry()), image.repository(), None);
            if !sources.iter().any(|source| source.endpoint == own.endpoint && source.repository == own.repository) {
                sources.push(own);
            }
        }
        sources
    }

    fn source(&self, endpoint: Endpoint, repository: &str, mirror_of: Option<&str>) -> Source {
        let is_default = DEFAULT_REGISTRY_NAMES.contains(&endpoint.host.as_str());
        let names = if is_default { DEFAULT_REGISTRY_NAMES.as_slice() } else { &[] };
        let settings = std::iter::once(endpoint.host.as_str())
            .chain(names.iter().copied())
            .find_map(|name| self.settings.get(name))
            .cloned()
            .unwrap_or_default();
        let mirror_of = mirror_of.filter(|registry| *registry != endpoint.host).map(str::to_owned);
        let repository = endpoint.repository(repository);
        Source { endpoint, repository, mirror_of, credentials: settings.credentials, trust: settings.trust }
    }
}

impl Mirror {
    /// The first rule that matches rewrites the repository; as in k3s, it replaces what it matches and no more.
    fn rewrite(&self, repository: &str) -> String {
        let rule = self.rewrites.iter().find(|(pattern, _)| pattern.is_match(repository));
        rule.map_or_else(
            || repository.to_owned(),
            |(pattern, replacement)| pattern.replace_all(repository, replacement.as_str()).into_owned(),
        )
    }
}

/// Whether two host names mean the same registry.
pub fn same_registry(one: &str, other: &str) -> bool {
    one == other || (DEFAULT_REGISTRY_NAMES.contains(&one) && DEFAULT_REGISTRY_NAMES.contains(&other))
}

fn default_endpoint(registry: &str) -> Endpoint {
    if registry == DEFAULT_REGISTRY {
        return Endpoint::parse(DEFAULT_REGISTRY_ENDPOINT).expect("a constant that parses");
    }
    Endpoint::of_registry(registry)
}

fn resolve_mirror(name: &str, raw: RawMirror) -> Result<Mirror, RegistriesError> {
    let endpoint = |text: String| {
        Endpoint::parse(&text).map_err(|source| RegistriesError::Endpoint {
            mirror: name.to_owned(),
            endpoint: text,
            source,
        })
    };
    let rewrite = |(pattern, replacement): (String, String)| match Regex::new(&pattern) {
        Ok(pattern) => Ok((pattern, replacement)),
        Err(error) => Err(RegistriesError::Rewrite { mirror: name.to_owned(), source: Box::new(error) }),
    };
    Ok(Mirror {
        endpoints: raw.endpoint.into_iter().map(endpoint).collect::<Result<_, _>>()?,
        rewrites: raw.rewrite.into_iter().map(rewrite).collect::<Result<_, _>>()?,
    })
}

fn resolve_settings(host: &str, raw: RawConfig) -> Result<Settings, RegistriesError> {
    let unsupported = |field| RegistriesError::Unsupported { host: host.to_owned(), field };
    let auth = raw.auth.unwrap_or_default();
    if !auth.identity_token.is_empty() {
        return Err(unsupported("auth.identity_token"));
    }
    let credentials = credentials(&auth.username, &auth.password, &auth.auth)
        .map_err(|MalformedAuth| RegistriesError::Auth(host.to_owned()))?;
    let tls = raw.tls.unwrap_or_default();
    if tls.cert_file.is_some() || tls.key_file.is_some() {
        return Err(unsupported("tls.cert_file"));
    }
    let trust = match (tls.insecure_skip_verify, tls.ca_file) {
        (true, _) => Trust::Anyone,
        (false, Some(path)) => Trust::Also(fs::read(&path).map_err(|source| RegistriesError::Read { path, source })?),
        (false, None) => Trust::System,
    };
    Ok(Settings { credentials, trust })
}

/// Joined credentials that are not base64 of `name:password`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("auth must be base64 of username:password")]
pub struct MalformedAuth;

/// Credentials from a name and password, or from both joined in base64; nothing when all are empty.
///
/// # Errors
/// [`MalformedAuth`] when `joined` is not base64 of `name:password`.
pub fn credentials(username: &str, password: &str, joined: &str) -> Result<Option<Credentials>, MalformedAuth> {
    if !username.is_empty() {
        return Ok(Some(Credentials::Basic { username: username.to_owned(), password: password.to_owned() }));
    }
    if joined.is_empty() {
        return Ok(None);
    }
    let decoded = BASE64.decode(joined.trim()).map_err(|_| MalformedAuth)?;
    let text = String::from_utf8(decoded).map_err(|_| MalformedAuth)?;
    let (username, password) = text.split_once(':').ok_or(MalformedAuth)?;
    let password = password.trim_matches('\0');
    Ok(Some(Credentials::Basic { username: username.to_owned(), password: password.to_owned() }))
}
