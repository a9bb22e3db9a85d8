//! `EncryptionConfiguration` of `apiserver.config.k8s.io/v1`, with upstream's validation.

use api::field::{self, ErrorList, Path};
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::cipher::{Keyring, Kind};
use crate::error::GroupResource;

const API_VERSION: &str = "apiserver.config.k8s.io/v1";
const KIND: &str = "EncryptionConfiguration";
const ANY: &str = "*";
const SECRET_SHOWN: &str = "REDACTED";
/// As Go's decoder, which does not mind what the last digit says beyond the last byte.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Why a configuration is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is not such a document.
    #[error("{0}")]
    Syntax(#[from] serde_saphyr::Error),
    /// It is something else.
    #[error("no kind \"{kind}\" is registered for version \"{version}\"")]
    Kind {
        /// What it says it is.
        kind: String,
        /// In which version.
        version: String,
    },
    /// It breaks rules.
    #[error("invalid configuration: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Invalid(ErrorList),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    #[serde(default)]
    resources: Vec<Rows>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    providers: Vec<Provider>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    aesgcm: Option<Keys>,
    aescbc: Option<Keys>,
    secretbox: Option<Keys>,
    identity: Option<IgnoredAny>,
    kms: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default)]
    keys: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    #[serde(default)]
    name: String,
    #[serde(default)]
    secret: String,
}

/// Some resources and their keys.
pub struct Rule {
    /// Group and plural, either of which may be `*`.
    resources: Vec<(String, String)>,
    /// The keys.
    pub keyring: Keyring,
}

impl Rule {
    /// Whether it is about a resource.
    pub fn covers(&self, of: GroupResource) -> bool {
        let fits = |pattern: &str, name: &str| pattern == ANY || pattern == name;
        self.resources.iter().any(|(group, plural)| fits(group, of.group) && fits(plural, of.resource))
    }
}

/// Reads and checks a configuration. Where several rules cover a resource, the first counts.
///
/// # Errors
/// [`ConfigError`].
pub fn parse(text: &str) -> Result<Vec<Rule>, ConfigError> {
    let document: Document = serde_saphyr::from_str(text)?;
    if document.kind != KIND || document.api_version != API_VERSION {
        return Err(ConfigError::Kind { kind: document.kind, version: document.api_version });
    }
    let root = Path::new("resources");
    let mut errors = ErrorList::new();
    if document.resources.is_empty() {
        errors.push(at_least_one(&root));
    }
    let mut rules = Vec::new();
    for (position, rows) in document.resources.iter().enumerate() {
        let row = root.index(position);
        check_resources(&rows.resources, &row.child("resources"), &mut errors);
        let keyring = keyring(&rows.providers, &row.child("providers"), &mut errors);
        let split = |name: &String| {
            let (plural, group) = split(name);
            (group.to_owned(), plural.to_owned())
        };
        rules.push(Rule { resources: rows.resources.iter().map(split).collect(), keyring });
    }
    if errors.is_empty() { Ok(rules) } else { Err(ConfigError::Invalid(errors)) }
}

/// `plural` or `plural.group`.
fn split(name: &str) -> (&str, &str) {
    name.split_once('.').unwrap_or((name, ""))
}

fn at_least_one(path: &Path<'_>) -> field::Error {
    field::required(path, &format!("at least one {path} is required"))
}

fn check_resources(names: &[String], path: &Path<'_>, errors: &mut ErrorList) {
    if names.is_empty() {
        errors.push(at_least_one(path));
    }
    let parsed: Vec<_> = names.iter().map(|name| split(name)).collect();
    let pairs = || (0..parsed.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
    let shown = || field::Json(&names);
    if pairs().any(|(a, b)| parsed[a] == parsed[b]) {
        errors.push(field::invalid(path, shown(), "the same resource cannot be specified multiple times"));
    }
    let masks =
        |(plural, group): (&str, &str), other: (&str, &str)| plural == ANY && (group == ANY || group == other.1);
    let overlap =
        |(a, b): (usize, usize)| parsed[a] != parsed[b] && (masks(parsed[a], parsed[b]) || masks(parsed[b], parsed[a]));
    if pairs().any(overlap) {
        let text = "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as \
                    they will be masked";
        errors.push(field::invalid(path, shown(), text));
    }
    for (position, name) in names.iter().enumerate() {
        if let Some(problem) = name_problem(name) {
            errors.push(field::invalid(&path.index(position), name.as_str(), problem));
        }
    }
}

fn name_problem(name: &str) -> Option<&'static str> {
    let (plural, group) = split(name);
    match name {
        _ if name.to_lowercase() != name => Some("resource name should not contain capital letters"),
        ANY => Some("use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"),
        "apiserveripinfo" | "serviceipallocations" | "servicenodeportallocations" => {
            Some("resources which do not have REST API/s cannot be encrypted")
        }
        _ if group == "events.k8s.io" => Some(
            "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config \
             file",
        ),
        _ if group == "extensions" => Some("'extensions' group has been removed and cannot be used for encryption"),
        _ if group == ANY && plural != ANY => Some("encrypting the same resource across groups is not supported"),
        _ => None,
    }
}

fn keyring(providers: &[Provider], path: &Path<'_>, errors: &mut ErrorList) -> Keyring {
    let mut keyring = Keyring::PLAIN;
    if providers.is_empty() {
        errors.push(at_least_one(path));
    }
    for (position, provider) in providers.iter().enumerate() {
        add_provider(&mut keyring, provider, &path.index(position), errors);
    }
    keyring
}

fn add_provider(keyring: &mut Keyring, provider: &Provider, path: &Path<'_>, errors: &mut ErrorList) {
    let keys =
        [(Kind::AesGcm, &provider.aesgcm), (Kind::AesCbc, &provider.aescbc), (Kind::SecretBox, &provider.secretbox)];
    let others = usize::from(provider.identity.is_some()) + usize::from(provider.kms.is_some());
    match keys.iter().filter(|(_, keys)| keys.is_some()).count() + others {
        0 => {
            let text =
                "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity";
            errors.push(field::invalid(path, "{}", text));
        }
        1 => {}
        _ => {
            let text =
                "more than one provider specified in a single element, should split into different list elements";
            errors.push(field::invalid(path, SECRET_SHOWN, text));
        }
    }
    if provider.kms.is_some() {
        errors.push(field::forbidden(&path.child("kms"), "this server has no KMS providers"));
    }
    if provider.identity.is_some() {
        keyring.push_plain();
    }
    for (kind, keys) in keys {
        if let Some(keys) = keys {
            add_keys(keyring, kind, &keys.keys, &path.child(kind.name()).child("keys"), errors);
        }
    }
}

fn add_keys(keyring: &mut Keyring, kind: Kind, keys: &[Key], path: &Path<'_>, errors: &mut ErrorList) {
    if keys.is_empty() {
        errors.push(field::required(path, "at least one keys is required"));
    }
    for (position, key) in keys.iter().enumerate() {
        let path = path.index(position);
        if key.name.is_empty() {
            errors.push(field::required(&path.child("name"), "name is a mandatory field for a key"));
        }
        let path = path.child("secret");
        if key.secret.is_empty() {
            errors.push(field::required(&path, "secret is a mandatory field for a key"));
            continue;
        }
        let Ok(secret) = BASE64.decode(&key.secret) else {
            errors.push(field::invalid(&path, SECRET_SHOWN, "secrets must be base64 encoded"));
            continue;
        };
        let lengths = kind.key_lengths();
        if !lengths.contains(&secret.len()) || keyring.push(kind, &key.name, &secret).is_err() {
            let expected = lengths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            let found = secret.len();
            let text = format!("secret is not of the expected length, got {found}, expected one of [{expected}]");
            errors.push(field::invalid(&path, SECRET_SHOWN, text));
        }
    }
}
