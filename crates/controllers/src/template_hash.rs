//! The hash of a template, as it stands in names and labels. Pure.

use k8s_openapi::api::core::v1::PodTemplateSpec;

const OFFSET: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;
/// Neither vowels nor look-alikes.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// FNV-1a over the template and the number of collisions so far, written in letters that spell nothing.
pub fn of_template(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    // A template came as JSON, so it can be written as such.
    let bytes = serde_json::to_vec(template).unwrap_or_default();
    let mut hash = fnv(OFFSET, &bytes);
    if let Some(collisions) = collisions {
        let mut counter = [0; 8];
        counter[..4].copy_from_slice(&collisions.to_le_bytes());
        hash = fnv(hash, &counter);
    }
    safe(&hash.to_string())
}

fn fnv(hash: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(PRIME))
}

fn safe(text: &str) -> String {
    text.bytes().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_fnv_in_safe_letters() {
        assert_eq!(fnv(OFFSET, b""), 0x811c_9dc5);
        assert_eq!(fnv(OFFSET, b"foobar"), 0xbf9c_f968);
        assert_eq!(safe("0123456789"), "456789bcdf");
        let template = PodTemplateSpec::default();
        assert_eq!(of_template(&template, None), of_template(&template, None));
        assert_ne!(of_template(&template, None), of_template(&template, Some(1)));
        assert_ne!(of_template(&template, Some(1)), of_template(&template, Some(2)));
    }
}
