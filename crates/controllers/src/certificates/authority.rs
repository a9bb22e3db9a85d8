//! The cluster's certificate authority at work: certificates for the subjects and keys of requests.

use std::fmt;
use std::time::Duration;

use api::certificates::pem;
use api::certificates::request::CertificateRequest;
use jiff::{SignedDuration, Timestamp};
use platform::random::Random;
use rcgen::{KeyPair, SigningKey as _};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::der::{self, Template};

/// Clocks may be this far apart.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);
/// Certificates that live shorter get their whole life after now.
const SHORT: SignedDuration = SignedDuration::from_hours(8);
/// No certificate lives shorter.
const LEAST: SignedDuration = SignedDuration::from_mins(10);

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The authority's certificate cannot be read.
    #[error("reading the cluster's certificate authority")]
    Certificate,
    /// Its key cannot be used.
    #[error("using the key of the cluster's certificate authority")]
    Key(#[source] rcgen::Error),
    /// Its key is of a kind nobody signs with.
    #[error("the key of the cluster's certificate authority is neither ECDSA, RSA nor Ed25519")]
    KeyType,
    /// Its time is over.
    #[error("refusing to sign a certificate that expired in the past")]
    Expired,
    /// A usage that validation should not have let in.
    #[error("unrecognized usage values: [{0:?}]")]
    Usage(String),
    /// Signing failed.
    #[error("signing a certificate")]
    Sign(#[source] rcgen::Error),
}

/// An authority with its key.
pub struct ClusterAuthority {
    subject: Vec<u8>,
    key_id: Option<Vec<u8>>,
    not_after: Timestamp,
    key: KeyPair,
    algorithm: &'static der::SignatureAlgorithm,
    longest: SignedDuration,
}

impl fmt::Debug for ClusterAuthority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ClusterAuthority").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// What to sign.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// For whom and which key.
    pub asked: &'a CertificateRequest,
    /// For what, in the API's words.
    pub usages: &'a [String],
    /// For how long, if not for as long as the authority gives.
    pub expiration_seconds: Option<i32>,
    /// The present moment.
    pub now: Timestamp,
}

impl ClusterAuthority {
    /// Reads certificate and key, PEM. `longest` is how long certificates live that do not ask for less.
    ///
    /// # Errors
    /// [`AuthorityError`] when they are of no use.
    pub fn new(certificate: &str, key: &str, longest: Duration) -> Result<Self, AuthorityError> {
        let block = pem::blocks(certificate).into_iter().next().ok_or(AuthorityError::Certificate)?;
        let (_, own) = X509Certificate::from_der(&block.data).map_err(|_| AuthorityError::Certificate)?;
        let key_id = own.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let not_after = Timestamp::from_second(own.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX);
        let key = KeyPair::from_pem(key).map_err(AuthorityError::Key)?;
        let algorithm = der::algorithm_of(key.algorithm()).ok_or(AuthorityError::KeyType)?;
        let longest = SignedDuration::try_from(longest).unwrap_or(SignedDuration::MAX);
        Ok(Self { subject: own.subject().as_raw().to_vec(), key_id, not_after, key, algorithm, longest })
    }

    /// A certificate, PEM.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn sign(&self, order: &Order<'_>, random: &dyn Random) -> Result<String, AuthorityError> {
        let (not_before, not_after) = self.validity(order)?;
        let template = Template {
            serial: serial(random),
            issuer: &self.subject,
            issuer_key_id: self.key_id.as_deref(),
            algorithm: self.algorithm,
            not_before,
            not_after,
            asked: order.asked,
            usages: der::Usages::parse(order.usages).map_err(AuthorityError::Usage)?,
        };
        let to_sign = template.to_be_signed();
        let signature = self.key.sign(&to_sign).map_err(AuthorityError::Sign)?;
        Ok(pem::certificate(&der::signed(&to_sign, self.algorithm, &signature)))
    }

    fn validity(&self, order: &Order<'_>) -> Result<(Timestamp, Timestamp), AuthorityError> {
        let asked = order.expiration_seconds.map(|seconds| SignedDuration::from_secs(seconds.into()).max(LEAST));
        let life = asked.map_or(self.longest, |asked| asked.min(self.longest));
        if order.now >= self.not_after {
            return Err(AuthorityError::Expired);
        }
        let end = if life < SHORT { life } else { life.saturating_sub(BACKDATE) };
        let moment = |offset| order.now.saturating_add(offset).unwrap_or(Timestamp::MAX);
        Ok((moment(-BACKDATE), moment(end).min(self.not_after)))
    }
}

/// 128 random bits that are not negative.
fn serial(random: &dyn Random) -> [u8; 16] {
    let mut serial = [0; 16];
    serial[..8].copy_from_slice(&random.bits().to_be_bytes());
    serial[8..].copy_from_slice(&random.bits().to_be_bytes());
    serial
}

#[cfg(test)]
mod tests;
