//! Flags about who is who, under the names upstream's API server and controller manager give them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::kubelet::duration;

/// Issuer and default audience of ServiceAccount tokens, as upstream's default.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Identity and credentials.
#[derive(Debug, Clone, Args)]
pub struct Identity {
    /// How long certificates live that a CertificateSigningRequest asks for, unless it asks for less
    #[arg(long, default_value = "8760h", value_name = "DURATION", value_parser = duration)]
    pub cluster_signing_duration: Duration,
    /// Tokens with their users, one per line: token,user,uid,"group1,group2"
    #[arg(long, value_name = "FILE")]
    pub token_auth_file: Option<PathBuf>,
    /// Let in who has a bootstrap token: a Secret of type bootstrap.kubernetes.io/token in kube-system
    #[arg(long)]
    pub enable_bootstrap_token_auth: bool,
    /// Who signs ServiceAccount tokens; more issuers whose tokens are good as well may follow
    #[arg(long, default_value = ISSUER, value_delimiter = ',', value_name = "URL")]
    pub service_account_issuer: Vec<String>,
    /// Private key that signs ServiceAccount tokens, RSA or ECDSA, PEM [default: one is made, ECDSA P-256]
    #[arg(long, value_name = "FILE")]
    pub service_account_signing_key_file: Option<PathBuf>,
    /// Further keys whose ServiceAccount tokens are good, public or private, PEM; may be repeated
    #[arg(long, value_name = "FILE")]
    pub service_account_key_file: Vec<PathBuf>,
    /// Audiences of ServiceAccount tokens that are good for this server [default: the issuer]
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub api_audiences: Vec<String>,
    /// Longest life of ServiceAccount tokens, from 1h [default: what is asked for]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub service_account_max_token_expiration: Option<Duration>,
    /// Let the tokens that Pods get by themselves live for a year, for programs that read them only once
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub service_account_extend_token_expiration: bool,
    /// Answer requests without credentials, as far as roles allow system:anonymous
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub anonymous_auth: bool,
    /// An EncryptionConfiguration: which resources are encrypted in the store, and with which keys
    #[arg(long, value_name = "FILE")]
    pub encryption_provider_config: Option<PathBuf>,
}
