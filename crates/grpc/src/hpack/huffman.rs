//! The Huffman code of header compression, for what is written in printable ASCII.

/// Octets by the length of their codes in bits, in the order of these. Codes follow each other: the first of a length
/// comes after the last of the one before. Longer codes are those of octets that no header we look into has.
const CODES: [(u32, &[u8]); 10] = [
    (5, b"012aceiost"),
    (6, b" %-./3456789=A_bdfghlmnpru"),
    (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, b"&*,;XZ"),
    (10, b"!\"()?"),
    (11, b"'+|"),
    (12, b"#>"),
    (13, b"\0$@[]~"),
    (14, b"^}"),
    (15, b"<`{"),
];
/// Fewer bits than this may follow the last code, all of them set.
const PADDING: u32 = 8;

/// The octets that a text stands for; none if it is no code or has octets beyond those.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let (mut code, mut length) = (0_usize, 0);
    for byte in text {
        for bit in (0..8).rev() {
            (code, length) = (code << 1 | usize::from(byte >> bit & 1), length + 1);
            if let Some(octet) = octet_of(code, length) {
                octets.push(octet);
                (code, length) = (0, 0);
            }
        }
        if length > CODES[CODES.len() - 1].0 + PADDING {
            return None;
        }
    }
    (length < PADDING && code == (1 << length) - 1).then_some(octets)
}

fn octet_of(code: usize, length: u32) -> Option<u8> {
    let (mut first, mut before) = (0, CODES[0].0);
    for (bits, octets) in CODES.into_iter().take_while(|(bits, _)| *bits <= length) {
        first <<= bits - before;
        if bits == length {
            return octets.get(code.checked_sub(first)?).copied();
        }
        (first, before) = (first + octets.len(), bits);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_standard_are_read() {
        for (code, text) in [
            ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
            ("a8eb10649cbf", "no-cache"),
            ("9d29ad171863c78f0b97c8e9ae82ae43d3", "https://www.example.com"),
            ("d07abe941054d444a8200595040b8166e082a62d1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ] {
            let bytes: Vec<u8> =
                (0..code.len()).step_by(2).map(|at| u8::from_str_radix(&code[at..at + 2], 16).unwrap()).collect();
            assert_eq!(decode(&bytes).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn what_is_no_code_is_nothing() {
        for bytes in [&[0xff, 0xff, 0xff, 0xff][..], &[0x00], &[0xff]] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }
}
