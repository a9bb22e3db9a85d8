//! Keys of ServiceAccount tokens: one signs, that one and others verify.

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use serde_json::{Value, json};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey as PublicKeyBits;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::TokenError;

/// How an uncompressed point begins.
const UNCOMPRESSED: u8 = 4;

/// What verifies.
pub struct PublicKey {
    /// What it verifies with.
    pub algorithm: Algorithm,
    /// What tokens call it.
    pub id: String,
    /// The key.
    pub verifying: DecodingKey,
    /// The key, for others.
    pub jwk: Value,
}

/// What signs.
pub struct SigningKey {
    /// The key.
    pub signing: EncodingKey,
    /// Its other half.
    pub public: PublicKey,
}

impl SigningKey {
    /// Reads a private key, PEM.
    ///
    /// # Errors
    /// [`TokenError`] when it is not usable.
    pub fn read(pem: &[u8]) -> Result<Self, TokenError> {
        let public = PublicKey::new(&public_half(pem)?)?;
        let signing = match public.algorithm {
            Algorithm::RS256 => EncodingKey::from_rsa_pem(pem),
            _ => EncodingKey::from_ec_pem(pem),
        };
        Ok(Self { signing: signing.map_err(TokenError::Key)?, public })
    }
}

/// The public half of a private key, DER.
fn public_half(pem: &[u8]) -> Result<Vec<u8>, TokenError> {
    let der = PrivateKeyDer::from_pem_slice(pem).map_err(TokenError::KeyPem)?;
    let der = der.secret_der();
    for curve in [&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED_SIGNING] {
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(curve, der) {
            return Ok(pair.public_key().as_der().map_err(|_| TokenError::KeyType)?.as_ref().to_vec());
        }
    }
    let pair = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)).map_err(|_| TokenError::KeyType)?;
    Ok(pair.public_key().as_der().map_err(|_| TokenError::KeyType)?.as_ref().to_vec())
}

/// Reads all keys of a PEM text, public or private.
///
/// # Errors
/// [`TokenError`] when one is not usable, or there is none.
pub fn read_public(pem: &[u8]) -> Result<Vec<PublicKey>, TokenError> {
    let public: Result<Vec<_>, _> = SubjectPublicKeyInfoDer::pem_slice_iter(pem).collect();
    let public = public.map_err(TokenError::KeyPem)?;
    if public.is_empty() {
        return Ok(vec![PublicKey::new(&public_half(pem)?)?]);
    }
    public.iter().map(|der| PublicKey::new(der)).collect()
}

impl PublicKey {
    /// From the DER of a key with its algorithm.
    fn new(der: &[u8]) -> Result<Self, TokenError> {
        let id = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, der));
        let (_, info) = SubjectPublicKeyInfo::from_der(der).map_err(|_| TokenError::KeyType)?;
        let bits = info.subject_public_key.data.as_ref();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let plain = |bytes: &[u8]| {
            let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
            encode(&bytes[start..])
        };
        let (algorithm, verifying, mut jwk) = match info.parsed().map_err(|_| TokenError::KeyType)? {
            PublicKeyBits::RSA(key) => (
                Algorithm::RS256,
                DecodingKey::from_rsa_der(bits),
                json!({ "kty": "RSA", "n": plain(key.modulus), "e": plain(key.exponent) }),
            ),
            PublicKeyBits::EC(_) => {
                let point = bits.strip_prefix(&[UNCOMPRESSED]).ok_or(TokenError::KeyType)?;
                let (algorithm, curve) = match point.len() {
                    64 => (Algorithm::ES256, "P-256"),
                    96 => (Algorithm::ES384, "P-384"),
                    _ => return Err(TokenError::KeyType),
                };
                let (x, y) = point.split_at(point.len() / 2);
                let jwk = json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) });
                (algorithm, DecodingKey::from_ec_der(bits), jwk)
            }
            _ => return Err(TokenError::KeyType),
        };
        jwk["use"] = json!("sig");
        jwk["kid"] = json!(id);
        jwk["alg"] = json!(algorithm);
        Ok(Self { algorithm, id, verifying, jwk })
    }
}
