//! The randomness seam: identifiers and suffixes.

use std::sync::Arc;

/// Source of identifiers.
pub trait Random: Send + Sync {
    /// A random (version 4) UUID in its canonical text form.
    fn uuid(&self) -> String;
    /// 64 random bits.
    fn bits(&self) -> u64;
}

/// A source that many parts share.
pub type SharedRandom = Arc<dyn Random>;

/// The operating system's randomness.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemRandom;

#[allow(clippy::disallowed_methods)] // the seam itself
impl Random for SystemRandom {
    fn uuid(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }

    fn bits(&self) -> u64 {
        uuid::Uuid::new_v4().as_u64_pair().0
    }
}

/// The alphabet of generated names: no vowels, no characters that are easily confused.
const SUFFIX_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A suffix for generated names such as `web-x7k2p`, `length` characters long (at most 12).
pub fn name_suffix(random: &dyn Random, length: usize) -> String {
    let mut bits = random.bits();
    (0..length.min(12))
        .map(|_| {
            let index = (bits % SUFFIX_ALPHABET.len() as u64) as usize;
            bits /= SUFFIX_ALPHABET.len() as u64;
            char::from(SUFFIX_ALPHABET[index])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_have_the_length_and_alphabet() {
        let suffix = name_suffix(&SystemRandom, 5);
        assert_eq!(suffix.len(), 5);
        assert!(suffix.bytes().all(|byte| SUFFIX_ALPHABET.contains(&byte)), "{suffix}");
        assert_ne!(name_suffix(&SystemRandom, 10), name_suffix(&SystemRandom, 10));
    }
}
