//! PEM, as bundles of certificates are written: text between blocks is a comment.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
const LINE_LENGTH: usize = 64;

/// One block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it says it is, for instance `CERTIFICATE`.
    pub label: String,
    /// Whether it has headers.
    pub has_headers: bool,
    /// Its content.
    pub data: Vec<u8>,
}

/// All blocks of a text; what is not one is passed over.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut lines = text.lines().map(str::trim_end);
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) else { continue };
        let mut rest = lines.clone();
        let body: Vec<&str> = rest.by_ref().take_while(|line| !line.starts_with(END)).collect();
        let has_headers = body.iter().any(|line| line.contains(':'));
        let encoded = body.iter().filter(|line| !line.contains(':'));
        let encoded: String = encoded.flat_map(|line| line.split_whitespace()).collect();
        if let Ok(data) = STANDARD.decode(encoded) {
            blocks.push(Block { label: label.to_owned(), has_headers, data });
            lines = rest;
        }
    }
    blocks
}

/// The text of a certificate.
pub fn certificate(data: &[u8]) -> String {
    let encoded = STANDARD.encode(data);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in encoded.as_bytes().chunks(LINE_LENGTH) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_rest_passed_over() {
        let (one, two) = (vec![1; 100], vec![2; 3]);
        let text = format!("# a comment\n{}between\n{}", certificate(&one), certificate(&two));
        assert!(text.lines().all(|line| line.len() <= LINE_LENGTH));
        let read: Vec<_> =
            blocks(&text).into_iter().map(|block| (block.label, block.has_headers, block.data)).collect();
        assert_eq!(read, [("CERTIFICATE".to_owned(), false, one), ("CERTIFICATE".to_owned(), false, two)]);
        let other =
            "-----BEGIN KEY-----\nProc-Type: 4\n\nAQ==\n-----END KEY-----\n-----BEGIN X-----\n!\n-----END X-----";
        let read = blocks(other);
        assert_eq!(read, [Block { label: "KEY".into(), has_headers: true, data: vec![1] }]);
    }
}
