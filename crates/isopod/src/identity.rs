//! What the flags about identities name, read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use apiserver::{AuthenticationConfig, Encryption, TokenConfig, TokenFile};

use crate::cli;

/// The files behind the flags.
pub struct Identity {
    /// Whose tokens are good.
    pub tokens: TokenConfig,
    /// The issuer of this server's tokens.
    pub issuer: String,
    /// The key that signs them, if one is given.
    pub signing_key: Option<Vec<u8>>,
    /// Other ways to log in.
    pub authentication: AuthenticationConfig,
    /// What is encrypted in the store.
    pub encryption: Option<Arc<Encryption>>,
}

impl Identity {
    /// Reads all files.
    pub fn load(flags: &cli::Identity) -> Result<Self> {
        let mut issuers = flags.service_account_issuer.iter().cloned();
        let keys = flags.service_account_key_file.iter();
        Ok(Self {
            issuer: issuers.next().context("--service-account-issuer: at least one issuer is required")?,
            tokens: TokenConfig {
                other_issuers: issuers.collect(),
                audiences: flags.api_audiences.clone(),
                other_keys_pem: keys.map(|path| read("--service-account-key-file", path)).collect::<Result<_>>()?,
                max_expiration: max_expiration(flags.service_account_max_token_expiration)?,
                extend_expiration: flags.service_account_extend_token_expiration,
            },
            signing_key: load(
                "--service-account-signing-key-file",
                flags.service_account_signing_key_file.as_deref(),
                |text| Ok(text.into_bytes()),
            )?,
            authentication: AuthenticationConfig {
                token_file: load("--token-auth-file", flags.token_auth_file.as_deref(), |text| {
                    Ok(TokenFile::parse(&text)?)
                })?,
                bootstrap_tokens: flags.enable_bootstrap_token_auth,
                refuse_anonymous: !flags.anonymous_auth,
            },
            encryption: load("--encryption-provider-config", flags.encryption_provider_config.as_deref(), |text| {
                Ok(Arc::new(Encryption::parse(&text)?))
            })?,
        })
    }
}

/// Tokens that live shorter are of no use to anybody.
fn max_expiration(asked: Option<Duration>) -> Result<Option<Duration>> {
    const LEAST: Duration = Duration::from_hours(1);
    const MOST: Duration = Duration::from_secs(1 << 32);
    let fits = asked.is_none_or(|asked| (LEAST..=MOST).contains(&asked));
    anyhow::ensure!(fits, "the service-account-max-token-expiration must be between 1 hour and 2^32 seconds");
    Ok(asked)
}

/// The bytes of a file that a flag names.
fn read(flag: &str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("{flag} {}", path.display()))
}

/// What is in the file that a flag names, if it names one.
fn load<T>(flag: &str, path: Option<&Path>, parse: impl FnOnce(String) -> Result<T>) -> Result<Option<T>> {
    let Some(path) = path else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(anyhow::Error::from);
    text.and_then(parse).map(Some).with_context(|| format!("{flag} {}", path.display()))
}
