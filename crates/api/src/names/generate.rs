//! `generateName`.

/// Length of the random suffix of a generated name.
pub const GENERATED_SUFFIX_LENGTH: usize = 5;
/// The longest generated name.
const MAX_LENGTH: usize = 63;

/// A name from a `generateName` and a random suffix: the prefix is cut so that the name fits a DNS label.
pub fn generate(prefix: &str, suffix: &str) -> String {
    let mut end = prefix.len().min(MAX_LENGTH - suffix.len().min(MAX_LENGTH));
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &prefix[..end])
}
