//! The keys of a resource, and values with upstream's prefixes: `k8s:enc:<provider>:v1:<key>:`.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use bytes::Bytes;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Key, Nonce as BoxNonce, XSalsa20Poly1305};

/// How every encrypted value begins.
const ENCRYPTED: &[u8] = b"k8s:enc:";
const IV_LENGTH: usize = 16;
const BOX_NONCE_LENGTH: usize = 24;

/// Why a value cannot be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// None of the keys wrote it.
    #[error("no matching prefix found")]
    NoKey,
    /// The resource is no longer said to be encrypted, but the value is.
    #[error("identity transformer tried to read encrypted data")]
    Encrypted,
    /// The key is not the one that wrote it, or the value was altered.
    #[error("the value cannot be decrypted with the key it names")]
    Damaged,
    /// The key does not have a length the cipher takes.
    #[error("the key cannot be used")]
    Key,
    /// The cipher failed.
    #[error("the value cannot be encrypted")]
    Encrypt,
}

/// What encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    AesGcm,
    AesCbc,
    SecretBox,
}

impl Kind {
    /// The name in configurations and in values.
    pub fn name(self) -> &'static str {
        match self {
            Self::AesGcm => "aesgcm",
            Self::AesCbc => "aescbc",
            Self::SecretBox => "secretbox",
        }
    }

    /// How long its keys are.
    pub fn key_lengths(self) -> &'static [usize] {
        match self {
            Self::AesGcm | Self::AesCbc => &[16, 24, 32],
            Self::SecretBox => &[32],
        }
    }
}

enum Cipher {
    AesGcm(LessSafeKey),
    AesCbc(Box<CbcKeys>),
    SecretBox(Box<XSalsa20Poly1305>),
}

struct CbcKeys {
    encrypting: PaddedBlockEncryptingKey,
    decrypting: PaddedBlockDecryptingKey,
}

impl Cipher {
    fn new(kind: Kind, key: &[u8]) -> Result<Self, CipherError> {
        match kind {
            Kind::AesGcm => {
                let algorithm = match key.len() {
                    16 => &aead::AES_128_GCM,
                    24 => &aead::AES_192_GCM,
                    _ => &aead::AES_256_GCM,
                };
                UnboundKey::new(algorithm, key).map(|key| Self::AesGcm(LessSafeKey::new(key)))
            }
            Kind::AesCbc => {
                let algorithm = match key.len() {
                    16 => &AES_128,
                    24 => &AES_192,
                    _ => &AES_256,
                };
                let unbound = || UnboundCipherKey::new(algorithm, key);
                let encrypting = unbound().and_then(PaddedBlockEncryptingKey::cbc_pkcs7);
                let decrypting = unbound().and_then(PaddedBlockDecryptingKey::cbc_pkcs7);
                encrypting
                    .and_then(|encrypting| Ok(Self::AesCbc(Box::new(CbcKeys { encrypting, decrypting: decrypting? }))))
            }
            Kind::SecretBox => {
                let key = <[u8; 32]>::try_from(key).map_err(|_| CipherError::Key)?;
                return Ok(Self::SecretBox(Box::new(XSalsa20Poly1305::new(&Key::from(key)))));
            }
        }
        .map_err(|_| CipherError::Key)
    }

    /// Appends the encrypted value. Only AES-GCM binds it to the key of the store, as upstream does.
    fn encrypt(&self, place: &str, value: &[u8], out: &mut Vec<u8>) -> Result<(), CipherError> {
        let failed = |_| CipherError::Encrypt;
        match self {
            Self::AesGcm(key) => {
                let nonce = random::<NONCE_LEN>()?;
                let mut sealed = value.to_vec();
                let aad = Aad::from(place.as_bytes());
                let nonce_of = Nonce::assume_unique_for_key(nonce);
                key.seal_in_place_append_tag(nonce_of, aad, &mut sealed).map_err(failed)?;
                out.extend_from_slice(&nonce);
                out.append(&mut sealed);
            }
            Self::AesCbc(keys) => {
                let mut sealed = value.to_vec();
                let DecryptionContext::Iv128(iv) = keys.encrypting.encrypt(&mut sealed).map_err(failed)? else {
                    return Err(CipherError::Encrypt);
                };
                out.extend_from_slice(iv.as_ref());
                out.append(&mut sealed);
            }
            Self::SecretBox(key) => {
                let nonce = random::<BOX_NONCE_LENGTH>()?;
                let sealed = key.encrypt(&BoxNonce::from(nonce), value).map_err(|_| CipherError::Encrypt)?;
                out.extend_from_slice(&nonce);
                out.extend(sealed);
            }
        }
        Ok(())
    }

    fn decrypt(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, CipherError> {
        let damaged = |_| CipherError::Damaged;
        match self {
            Self::AesGcm(key) => {
                let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(CipherError::Damaged)?;
                let (nonce, mut sealed) = (Nonce::assume_unique_for_key(*nonce), sealed.to_vec());
                let opened = key.open_in_place(nonce, Aad::from(place.as_bytes()), &mut sealed).map_err(damaged)?;
                let length = opened.len();
                sealed.truncate(length);
                Ok(sealed)
            }
            Self::AesCbc(keys) => {
                let (iv, sealed) = sealed.split_first_chunk::<IV_LENGTH>().ok_or(CipherError::Damaged)?;
                let (context, mut sealed) = (DecryptionContext::Iv128(FixedLength::from(*iv)), sealed.to_vec());
                let opened = keys.decrypting.decrypt(&mut sealed, context).map_err(damaged)?;
                let length = opened.len();
                sealed.truncate(length);
                Ok(sealed)
            }
            Self::SecretBox(key) => {
                let (nonce, sealed) = sealed.split_first_chunk::<BOX_NONCE_LENGTH>().ok_or(CipherError::Damaged)?;
                key.decrypt(&BoxNonce::from(*nonce), sealed).map_err(|_| CipherError::Damaged)
            }
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], CipherError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| CipherError::Encrypt)?;
    Ok(bytes)
}

/// One way to write values, or to leave them as they are.
enum Way {
    Plain,
    Sealed { prefix: Vec<u8>, cipher: Cipher },
}

/// All ways a resource's values may be written. The first is the one that writes.
pub struct Keyring(Vec<Way>);

/// A value that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// The value.
    pub value: Bytes,
    /// Whether it was written in another way than the first.
    pub stale: bool,
}

impl Keyring {
    /// Leaves values as they are, and does not read others.
    pub const PLAIN: Self = Self(Vec::new());

    /// Adds values as they are.
    pub fn push_plain(&mut self) {
        self.0.push(Way::Plain);
    }

    /// Adds a key.
    ///
    /// # Errors
    /// [`CipherError::Key`].
    pub fn push(&mut self, kind: Kind, name: &str, key: &[u8]) -> Result<(), CipherError> {
        let prefix = format!("k8s:enc:{}:v1:{name}:", kind.name()).into_bytes();
        self.0.push(Way::Sealed { prefix, cipher: Cipher::new(kind, key)? });
        Ok(())
    }

    /// The value as it is stored at `place`.
    ///
    /// # Errors
    /// [`CipherError::Encrypt`].
    pub fn encrypt(&self, place: &str, value: &Bytes) -> Result<Bytes, CipherError> {
        match self.0.first() {
            None | Some(Way::Plain) => Ok(value.clone()),
            Some(Way::Sealed { prefix, cipher }) => {
                let mut out = prefix.clone();
                cipher.encrypt(place, value, &mut out)?;
                Ok(out.into())
            }
        }
    }

    /// What is stored at `place`.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn decrypt(&self, place: &str, stored: &Bytes) -> Result<Opened, CipherError> {
        if !stored.starts_with(ENCRYPTED) {
            let plain = self.0.iter().position(|way| matches!(way, Way::Plain));
            return match plain {
                None if !self.0.is_empty() => Err(CipherError::NoKey),
                position => Ok(Opened { value: stored.clone(), stale: position.unwrap_or(0) > 0 }),
            };
        }
        let mut reason = if self.0.is_empty() { CipherError::Encrypted } else { CipherError::NoKey };
        for (position, way) in self.0.iter().enumerate() {
            let Way::Sealed { prefix, cipher } = way else { continue };
            let Some(sealed) = stored.strip_prefix(prefix.as_slice()) else { continue };
            match cipher.decrypt(place, sealed) {
                Ok(value) => return Ok(Opened { value: value.into(), stale: position > 0 }),
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }
}
