//! PKCS#10: what a certificate is asked for, and for whom.

use std::net::IpAddr;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::error::X509Error;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer as _, GeneralName};
use x509_parser::x509::X509Name;

use super::pem;

const LABEL: &str = "CERTIFICATE REQUEST";
/// The attribute of subjects that is a user's uid.
const UID_OID: &str = "1.3.6.1.4.1.57683.2";

/// Why a request is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It is something else.
    #[error("PEM block type must be CERTIFICATE REQUEST")]
    Pem,
    /// It is not well-formed.
    #[error("asn1: structure error: {0}")]
    Structure(String),
    /// Whoever made it does not have the key.
    #[error("{0}")]
    Signature(String),
}

/// A request that was read. Its signature is not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The subject, DER.
    pub subject: Vec<u8>,
    /// The public key with its algorithm, DER.
    pub public_key: Vec<u8>,
    /// The subject's common name: the last one, where there are several.
    pub common_name: String,
    /// The subject's organizations.
    pub organizations: Vec<String>,
    /// Alternative names.
    pub dns_names: Vec<String>,
    /// Alternative names that are addresses.
    pub ip_addresses: Vec<IpAddr>,
    /// Alternative names that are mailboxes.
    pub email_addresses: Vec<String>,
    /// Alternative names that are URIs.
    pub uris: Vec<String>,
}

impl CertificateRequest {
    /// Reads the first block of a PEM text.
    ///
    /// # Errors
    /// [`RequestError`], but not for its signature.
    pub fn from_pem(text: &[u8]) -> Result<Self, RequestError> {
        let der = block(text)?;
        let (_, request) = parse(&der)?;
        let info = &request.certification_request_info;
        let mut read = Self {
            subject: info.subject.as_raw().to_vec(),
            public_key: info.subject_pki.raw.to_vec(),
            common_name: common_name(&info.subject).unwrap_or_default().to_owned(),
            organizations: organizations(&info.subject).map(str::to_owned).collect(),
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            email_addresses: Vec::new(),
            uris: Vec::new(),
        };
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                names.general_names.iter().try_for_each(|name| read.take(name))?;
            }
        }
        Ok(read)
    }

    fn take(&mut self, name: &GeneralName<'_>) -> Result<(), RequestError> {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::RFC822Name(name) => self.email_addresses.push((*name).to_owned()),
            GeneralName::URI(name) => self.uris.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => self.ip_addresses.push(address(bytes)?),
            GeneralName::Invalid(..) => return Err(RequestError::Structure("invalid subjectAltName".to_owned())),
            // Nobody asks for the others, and no certificate gets them.
            _ => {}
        }
        Ok(())
    }
}

/// Checks that a PEM text begins with a request that is signed by the key it is about.
///
/// # Errors
/// [`RequestError`].
pub fn verify(text: &[u8]) -> Result<(), RequestError> {
    let der = block(text)?;
    let (_, request) = parse(&der)?;
    request.verify_signature().map_err(|error| {
        RequestError::Signature(match error {
            X509Error::SignatureUnsupportedAlgorithm => {
                "x509: cannot verify signature: algorithm unimplemented".to_owned()
            }
            _ => "x509: verification failure".to_owned(),
        })
    })
}

fn block(text: &[u8]) -> Result<Vec<u8>, RequestError> {
    let first = pem::blocks(&String::from_utf8_lossy(text)).into_iter().next();
    first.filter(|block| block.label == LABEL).map(|block| block.data).ok_or(RequestError::Pem)
}

fn parse(der: &[u8]) -> Result<(&[u8], X509CertificationRequest<'_>), RequestError> {
    let parsed = X509CertificationRequest::from_der(der);
    let (rest, request) = parsed.map_err(|error| RequestError::Structure(error.to_string()))?;
    if rest.is_empty() { Ok((rest, request)) } else { Err(RequestError::Structure("trailing data".to_owned())) }
}

fn address(bytes: &[u8]) -> Result<IpAddr, RequestError> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| v6()).map_err(|_| RequestError::Structure("cannot parse IP address".to_owned()))
}

/// The common name of a subject: the last one, where there are several. Whoever checks requests and whoever believes
/// certificates must agree on this.
pub fn common_name<'a>(subject: &X509Name<'a>) -> Option<&'a str> {
    subject.iter_common_name().filter_map(|attribute| attribute.as_str().ok()).last()
}

/// The organizations of a subject.
pub fn organizations<'a>(subject: &X509Name<'a>) -> impl Iterator<Item = &'a str> {
    subject.iter_organization().filter_map(|attribute| attribute.as_str().ok())
}

/// More than one uid in a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unable to parse UID from certificate: a subject has at most one")]
pub struct SeveralUids;

/// The uid of a subject, in Kubernetes' own attribute.
///
/// # Errors
/// [`SeveralUids`].
pub fn uid<'a>(subject: &X509Name<'a>) -> Result<Option<&'a str>, SeveralUids> {
    let mut uids = subject.iter_attributes().filter(|attribute| attribute.attr_type().to_id_string() == UID_OID);
    let uid = uids.next().and_then(|attribute| attribute.as_str().ok());
    if uids.next().is_some() { Err(SeveralUids) } else { Ok(uid) }
}
