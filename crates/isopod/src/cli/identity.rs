//! Flags about who is who, under the names upstream's API server and controller manager give them.

use std::time::Duration;

use clap::Args;

use super::kubelet::duration;

/// Identity and credentials.
#[derive(Debug, Clone, Args)]
pub struct Identity {
    /// How long certificates live that a CertificateSigningRequest asks for, unless it asks for less
    #[arg(long, default_value = "8760h", value_name = "DURATION", value_parser = duration)]
    pub cluster_signing_duration: Duration,
}
