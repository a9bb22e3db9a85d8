//! Certificates as bytes. Subject and key are the request's own bytes: what was checked is what is signed.

use std::net::IpAddr;

use api::certificates::request::CertificateRequest;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use yasna::models::ObjectIdentifier;
use yasna::tags::{TAG_GENERALIZEDTIME, TAG_UTCTIME};
use yasna::{DERWriter, DERWriterSeq, Tag};

/// The last year that certificates write with two digits.
const LAST_SHORT_YEAR: i16 = 2049;

const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const ALTERNATIVE_NAME: &[u64] = &[2, 5, 29, 17];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const AUTHORITY_KEY_ID: &[u64] = &[2, 5, 29, 35];
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];

/// How an authority signs.
#[derive(Debug)]
pub struct SignatureAlgorithm {
    oid: &'static [u64],
    /// RSA's have a parameter, which is nothing.
    has_null: bool,
}

/// The algorithm of a key, for those kinds that authorities have.
pub fn algorithm_of(key: &rcgen::SignatureAlgorithm) -> Option<&'static SignatureAlgorithm> {
    static ALGORITHMS: [(&rcgen::SignatureAlgorithm, SignatureAlgorithm); 4] = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, SignatureAlgorithm { oid: &[1, 2, 840, 10045, 4, 3, 2], has_null: false }),
        (&rcgen::PKCS_ECDSA_P384_SHA384, SignatureAlgorithm { oid: &[1, 2, 840, 10045, 4, 3, 3], has_null: false }),
        (&rcgen::PKCS_RSA_SHA256, SignatureAlgorithm { oid: &[1, 2, 840, 113_549, 1, 1, 11], has_null: true }),
        (&rcgen::PKCS_ED25519, SignatureAlgorithm { oid: &[1, 3, 101, 112], has_null: false }),
    ];
    ALGORITHMS.iter().find(|(known, _)| *known == key).map(|(_, algorithm)| algorithm)
}

/// What a certificate is for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Usages {
    /// Bits of the key usage extension, the first one highest.
    bits: u16,
    /// Purposes, each once, in upstream's order.
    purposes: Vec<&'static [u64]>,
}

/// The API's words for bits of the key usage.
const BITS: &[(&str, u16)] = &[
    ("signing", 0),
    ("digital signature", 0),
    ("content commitment", 1),
    ("key encipherment", 2),
    ("data encipherment", 3),
    ("key agreement", 4),
    ("cert sign", 5),
    ("crl sign", 6),
    ("encipher only", 7),
    ("decipher only", 8),
];

/// The API's words for purposes, in the order certificates list them.
const PURPOSES: &[(&str, &[u64])] = &[
    ("any", &[2, 5, 29, 37, 0]),
    ("server auth", &[1, 3, 6, 1, 5, 5, 7, 3, 1]),
    ("client auth", &[1, 3, 6, 1, 5, 5, 7, 3, 2]),
    ("code signing", &[1, 3, 6, 1, 5, 5, 7, 3, 3]),
    ("email protection", &[1, 3, 6, 1, 5, 5, 7, 3, 4]),
    ("s/mime", &[1, 3, 6, 1, 5, 5, 7, 3, 4]),
    ("ipsec end system", &[1, 3, 6, 1, 5, 5, 7, 3, 5]),
    ("ipsec tunnel", &[1, 3, 6, 1, 5, 5, 7, 3, 6]),
    ("ipsec user", &[1, 3, 6, 1, 5, 5, 7, 3, 7]),
    ("timestamping", &[1, 3, 6, 1, 5, 5, 7, 3, 8]),
    ("ocsp signing", &[1, 3, 6, 1, 5, 5, 7, 3, 9]),
    ("microsoft sgc", &[1, 3, 6, 1, 4, 1, 311, 10, 3, 3]),
    ("netscape sgc", &[2, 16, 840, 1, 113_730, 4, 1]),
];

impl Usages {
    /// Reads the API's words.
    ///
    /// # Errors
    /// The first word that is none.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut bits = 0;
        for word in words {
            match BITS.iter().find(|(known, _)| known == word) {
                Some((_, bit)) => bits |= 0x8000 >> bit,
                None if PURPOSES.iter().any(|(known, _)| known == word) => {}
                None => return Err(word.clone()),
            }
        }
        let wanted = PURPOSES.iter().filter(|(known, _)| words.iter().any(|word| word == known));
        let mut purposes: Vec<&'static [u64]> = wanted.map(|(_, oid)| *oid).collect();
        purposes.dedup();
        Ok(Self { bits, purposes })
    }
}

/// Everything a certificate says.
pub struct Template<'a> {
    pub serial: [u8; 16],
    pub issuer: &'a [u8],
    pub issuer_key_id: Option<&'a [u8]>,
    pub algorithm: &'static SignatureAlgorithm,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub asked: &'a CertificateRequest,
    pub usages: Usages,
}

impl Template<'_> {
    /// The part that is signed.
    pub fn to_be_signed(&self) -> Vec<u8> {
        sequence(|writer| {
            writer.next().write_tagged(Tag::context(0), |writer| writer.write_u8(2)); // version 3
            writer.next().write_bigint_bytes(&self.serial, true);
            write_algorithm(writer.next(), self.algorithm);
            writer.next().write_der(self.issuer);
            writer.next().write_sequence(|writer| {
                write_time(writer.next(), self.not_before);
                write_time(writer.next(), self.not_after);
            });
            writer.next().write_der(&self.asked.subject);
            writer.next().write_der(&self.asked.public_key);
            writer.next().write_tagged(Tag::context(3), |writer| {
                writer.write_sequence(|writer| self.write_extensions(writer));
            });
        })
    }

    fn write_extensions(&self, writer: &mut DERWriterSeq<'_>) {
        if self.usages.bits != 0 {
            let length = 16 - self.usages.bits.trailing_zeros() as usize;
            let bytes = self.usages.bits.to_be_bytes();
            let value = yasna::construct_der(|writer| {
                writer.write_bitvec_bytes(&bytes[..length.div_ceil(8)], length);
            });
            write_extension(writer, KEY_USAGE, true, &value);
        }
        if !self.usages.purposes.is_empty() {
            let value = sequence(|writer| {
                self.usages.purposes.iter().for_each(|purpose| writer.next().write_oid(&oid(purpose)));
            });
            write_extension(writer, EXTENDED_KEY_USAGE, false, &value);
        }
        write_extension(writer, BASIC_CONSTRAINTS, true, &sequence(|_| {}));
        if let Some(id) = self.issuer_key_id {
            let value = sequence(|writer| {
                writer.next().write_tagged_implicit(Tag::context(0), |writer| writer.write_bytes(id));
            });
            write_extension(writer, AUTHORITY_KEY_ID, false, &value);
        }
        self.write_names(writer);
    }

    fn write_names(&self, writer: &mut DERWriterSeq<'_>) {
        let asked = self.asked;
        let texts =
            |tag, names: &[String]| names.iter().map(|name| (tag, name.clone().into_bytes())).collect::<Vec<_>>();
        let address = |address: &IpAddr| match address {
            IpAddr::V4(v4) => (7, v4.octets().to_vec()),
            IpAddr::V6(v6) => (7, v6.octets().to_vec()),
        };
        let mut names = texts(2, &asked.dns_names);
        names.extend(texts(1, &asked.email_addresses));
        names.extend(asked.ip_addresses.iter().map(address));
        names.extend(texts(6, &asked.uris));
        if names.is_empty() {
            return;
        }
        let value = sequence(|writer| {
            for (tag, bytes) in &names {
                writer.next().write_tagged_implicit(Tag::context(*tag), |writer| writer.write_bytes(bytes));
            }
        });
        write_extension(writer, ALTERNATIVE_NAME, asked.common_name.is_empty(), &value);
    }
}

/// A certificate of its signed part and the signature.
pub fn signed(to_be_signed: &[u8], algorithm: &SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
    sequence(|writer| {
        writer.next().write_der(to_be_signed);
        write_algorithm(writer.next(), algorithm);
        writer.next().write_bitvec_bytes(signature, signature.len() * 8);
    })
}

/// An ASN.1 SEQUENCE.
fn sequence(write: impl FnOnce(&mut DERWriterSeq<'_>)) -> Vec<u8> {
    yasna::construct_der(|writer| writer.write_sequence(write))
}

fn oid(parts: &[u64]) -> ObjectIdentifier {
    ObjectIdentifier::from_slice(parts)
}

fn write_algorithm(writer: DERWriter<'_>, algorithm: &SignatureAlgorithm) {
    writer.write_sequence(|writer| {
        writer.next().write_oid(&oid(algorithm.oid));
        if algorithm.has_null {
            writer.next().write_null();
        }
    });
}

fn write_extension(writer: &mut DERWriterSeq<'_>, id: &[u64], critical: bool, value: &[u8]) {
    writer.next().write_sequence(|writer| {
        writer.next().write_oid(&oid(id));
        if critical {
            writer.next().write_bool(true);
        }
        writer.next().write_bytes(value);
    });
}

fn write_time(writer: DERWriter<'_>, time: Timestamp) {
    let time = time.to_zoned(TimeZone::UTC);
    let short = time.year() <= LAST_SHORT_YEAR;
    let (tag, format) = if short { (TAG_UTCTIME, "%y%m%d%H%M%SZ") } else { (TAG_GENERALIZEDTIME, "%Y%m%d%H%M%SZ") };
    let text = time.strftime(format).to_string();
    writer.write_tagged_implicit(tag, |writer| writer.write_bytes(text.as_bytes()));
}
