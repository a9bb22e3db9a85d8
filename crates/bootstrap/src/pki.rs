//! The cluster's certificate authority and what it signs.
//!
//! ```text
//! <data-dir>/tls/ca.{crt,key}               signs everything below
//! <data-dir>/tls/apiserver.{crt,key}        the server's own certificate
//! <data-dir>/tls/kubelet.{crt,key}          the certificate the kubelet API is served with
//! <data-dir>/tls/admin.{crt,key}            CN system:admin, O system:masters
//! <data-dir>/tls/service-account.key        signs ServiceAccount tokens (ES256)
//! ```
//!
//! A key is written before its certificate, so a certificate that is there has its key.

use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use x509_parser::pem::Pem;
use x509_parser::prelude::{GeneralName, X509Certificate};

use crate::files;

/// What the credentials must fit.
#[derive(Debug, Clone)]
pub struct PkiConfig {
    /// The server's data directory; `tls/` is made in it.
    pub data_dir: PathBuf,
    /// DNS names and addresses the server is reached by.
    pub server_names: Vec<String>,
    /// The node's name.
    pub node_name: String,
    /// DNS names and addresses its kubelet is reached by.
    pub kubelet_names: Vec<String>,
    /// The present moment.
    pub now: Timestamp,
}

/// A certificate with its key, both PEM.
#[derive(Clone)]
pub struct Credential {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

/// All credentials of a server. Has no `Debug`: it must not reach a log.
pub struct Pki {
    /// The authority's certificate, PEM.
    pub authority: String,
    /// The authority's key, PEM.
    pub authority_key: String,
    /// The server's own.
    pub server: Credential,
    /// The kubelet's.
    pub kubelet: Credential,
    /// The administrator's.
    pub admin: Credential,
    /// Signs ServiceAccount tokens, PKCS#8 PEM of a P-256 key.
    pub service_account_key: String,
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A certificate or key could not be made.
    #[error("cannot make {what}")]
    Make {
        /// Which one.
        what: &'static str,
        /// Why not.
        source: rcgen::Error,
    },
    /// The authority's certificate is there without its key, or does not parse: nothing can be signed with it, and
    /// making another would cut off every client.
    #[error("{} is unusable; restore it, or remove the folder to make a new authority", .0.display())]
    Authority(PathBuf),
    /// A date past the calendar's end.
    #[error("the clock is not set")]
    Clock(#[source] jiff::Error),
}

const AUTHORITY_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 365;
/// A certificate with less time left is renewed at start.
const RENEW_DAYS: i64 = 90;

impl Pki {
    /// Loads what is there and makes what is missing, outdated or does not fit.
    ///
    /// # Errors
    /// [`Error`]; what was usable before still is.
    pub fn ensure(config: &PkiConfig) -> Result<Self, Error> {
        let directory = config.data_dir.join("tls");
        files::create_private_directory(&directory)?;
        let authority = ensure_authority(&directory, config.now)?;
        let leaves = Leaves { directory: &directory, authority: &authority, now: config.now };
        let server = leaves.ensure(&Leaf {
            file: "apiserver",
            common_name: "kube-apiserver",
            organization: None,
            names: &config.server_names,
            usage: ExtendedKeyUsagePurpose::ServerAuth,
        })?;
        let kubelet = leaves.ensure(&Leaf {
            file: "kubelet",
            common_name: &format!("system:node:{}", config.node_name),
            organization: Some("system:nodes"),
            names: &config.kubelet_names,
            usage: ExtendedKeyUsagePurpose::ServerAuth,
        })?;
        let admin = leaves.ensure(&Leaf {
            file: "admin",
            common_name: "system:admin",
            organization: Some("system:masters"),
            names: &[],
            usage: ExtendedKeyUsagePurpose::ClientAuth,
        })?;
        let service_account_key = ensure_key(&directory.join("service-account.key"), "the ServiceAccount key")?;
        let (authority, authority_key) = (authority.certificate, authority.key);
        Ok(Self { authority, authority_key, server, kubelet, admin, service_account_key })
    }
}

fn ensure_authority(directory: &Path, now: Timestamp) -> Result<Credential, Error> {
    let path = directory.join("ca.crt");
    if let Some(certificate) = files::read(&path)? {
        let key = files::read(&directory.join("ca.key"))?.ok_or_else(|| Error::Authority(path.clone()))?;
        let usable = KeyPair::from_pem(&key).ok().and_then(|pair| Issuer::from_ca_cert_pem(&certificate, pair).ok());
        return if usable.is_some() { Ok(Credential { certificate, key }) } else { Err(Error::Authority(path)) };
    }
    let key = ensure_key(&directory.join("ca.key"), "the authority's key")?;
    let make = |source| Error::Make { what: "the authority", source };
    let pair = KeyPair::from_pem(&key).map_err(make)?;
    let mut params = params("isopod-ca", None, &[], now, AUTHORITY_DAYS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&pair).map_err(make)?.pem();
    files::write_private(&path, &certificate)?;
    Ok(Credential { certificate, key })
}

/// Loads a P-256 key or makes one.
fn ensure_key(path: &Path, what: &'static str) -> Result<String, Error> {
    if let Some(key) = files::read(path)? {
        KeyPair::from_pem(&key).map_err(|source| Error::Make { what, source })?;
        return Ok(key);
    }
    let key = KeyPair::generate().map_err(|source| Error::Make { what, source })?.serialize_pem();
    files::write_private(path, &key)?;
    Ok(key)
}

/// A certificate that is not an authority's.
struct Leaf<'a> {
    file: &'static str,
    common_name: &'a str,
    organization: Option<&'static str>,
    names: &'a [String],
    usage: ExtendedKeyUsagePurpose,
}

struct Leaves<'a> {
    directory: &'a Path,
    authority: &'a Credential,
    now: Timestamp,
}

impl Leaves<'_> {
    fn ensure(&self, leaf: &Leaf<'_>) -> Result<Credential, Error> {
        let path = self.directory.join(leaf.file);
        let (certificate_path, key_path) = (path.with_added_extension("crt"), path.with_added_extension("key"));
        let key = ensure_key(&key_path, "a key")?;
        if let Some(certificate) = files::read(&certificate_path)?
            && fits(&certificate, &key, &self.authority.certificate, leaf.names, self.now)
        {
            return Ok(Credential { certificate, key });
        }
        let certificate = self.sign(leaf, &key)?;
        files::write_private(&certificate_path, &certificate)?;
        Ok(Credential { certificate, key })
    }

    fn sign(&self, leaf: &Leaf<'_>, key: &str) -> Result<String, Error> {
        let make = |source| Error::Make { what: leaf.file, source };
        let mut params = params(leaf.common_name, leaf.organization, leaf.names, self.now, LEAF_DAYS)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![leaf.usage.clone()];
        let authority_key = KeyPair::from_pem(&self.authority.key).map_err(make)?;
        let issuer = Issuer::from_ca_cert_pem(&self.authority.certificate, authority_key).map_err(make)?;
        let pair = KeyPair::from_pem(key).map_err(make)?;
        Ok(params.signed_by(&pair, &issuer).map_err(make)?.pem())
    }
}

fn params(
    common_name: &str,
    organization: Option<&str>,
    names: &[String],
    now: Timestamp,
    days: i64,
) -> Result<CertificateParams, Error> {
    let mut params =
        CertificateParams::new(names).map_err(|source| Error::Make { what: "a certificate's names", source })?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        subject.push(DnType::OrganizationName, organization);
    }
    params.distinguished_name = subject;
    params.use_authority_key_identifier_extension = true;
    let today = now.to_zoned(TimeZone::UTC).date();
    // Clients' clocks may be behind ours.
    let first = today.checked_sub(1.day()).map_err(Error::Clock)?;
    let last = today.checked_add(days.days()).map_err(Error::Clock)?;
    let date = |day: jiff::civil::Date| {
        rcgen::date_time_ymd(day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs())
    };
    (params.not_before, params.not_after) = (date(first), date(last));
    Ok(params)
}

/// Whether a certificate is of this key and this authority, lasts long enough, and covers these names and no others.
fn fits(certificate: &str, key: &str, authority: &str, names: &[String], now: Timestamp) -> bool {
    let (Ok(certificate), Ok(authority)) = (parse(certificate), parse(authority)) else { return false };
    let Ok(key) = KeyPair::from_pem(key) else { return false };
    let (Ok(leaf), Ok(issuer)) = (certificate.parse_x509(), authority.parse_x509()) else { return false };
    let ends = leaf.validity().not_after.timestamp();
    // The key identifier, because two authorities of one name are told apart by nothing else.
    authority_key_id(&leaf) == subject_key_id(&issuer)
        && leaf.public_key().subject_public_key.data.as_ref() == key.public_key_raw()
        && ends > now.as_second() + RENEW_DAYS * 86_400
        && covered_names(&leaf) == sorted(names.iter().map(|name| canonical_name(name)).collect())
}

fn parse(pem: &str) -> Result<Pem, x509_parser::error::PEMError> {
    Pem::read(std::io::Cursor::new(pem)).map(|(pem, _)| pem)
}

fn authority_key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(id) => {
            id.key_identifier.as_ref().map(|id| id.0.to_vec())
        }
        _ => None,
    })
}

fn subject_key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}

fn covered_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(v4) => Some(std::net::IpAddr::from(v4).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|v6| std::net::IpAddr::from(v6).to_string()),
        },
        _ => None,
    };
    sorted(names.value.general_names.iter().filter_map(text).collect())
}

fn canonical_name(name: &str) -> String {
    name.parse::<std::net::IpAddr>().map_or_else(|_| name.to_owned(), |address| address.to_string())
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[cfg(test)]
mod tests;
