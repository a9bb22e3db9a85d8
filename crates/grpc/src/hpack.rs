//! As much of header compression (RFC 7541) as it takes to change the value of one header. Pure.

mod huffman;

/// Where the static table has `:authority`.
const AUTHORITY: usize = 1;

/// How a header field is written.
enum Field {
    /// Name and value from a table, or a new size of that.
    Indexed,
    /// A value in full, and the name by its index, or in full if that is 0.
    Literal { name: usize },
}

/// A block of headers in which each literal `:authority` with an octet that `fits` does not hold for is mapped by
/// `map`; none if there is no such, or the block makes no sense.
pub fn rewrite_authority(block: &[u8], fits: fn(u8) -> bool, map: fn(u8) -> u8) -> Option<Vec<u8>> {
    let mut rest = block;
    let mut rewritten = None;
    while !rest.is_empty() {
        let field = read_field(&mut rest)?;
        let Field::Literal { name } = field else { continue };
        // gRPC's C core spells even this name out.
        let is_authority = if name == 0 { read_string(&mut rest)? == b":authority" } else { name == AUTHORITY };
        let before = block.len() - rest.len();
        let value = read_string(&mut rest)?;
        if !is_authority || value.iter().all(|octet| fits(*octet)) {
            continue;
        }
        // The first is the only one a request may have.
        if rewritten.is_none() {
            let value: Vec<u8> = value.into_iter().map(map).collect();
            rewritten = Some([&block[..before], &length_of(&value), &value, rest].concat());
        }
    }
    rewritten
}

fn read_field(rest: &mut &[u8]) -> Option<Field> {
    let first = *rest.first()?;
    match first {
        0x80.. => read_integer(rest, 7).map(|_| Field::Indexed),
        0x40.. => read_integer(rest, 6).map(|name| Field::Literal { name }),
        0x20.. => read_integer(rest, 5).map(|_| Field::Indexed),
        _ => read_integer(rest, 4).map(|name| Field::Literal { name }),
    }
}

/// An integer in the low bits of an octet and, if it does not fit, in those that follow.
fn read_integer(rest: &mut &[u8], bits: u32) -> Option<usize> {
    let (first, mut tail) = rest.split_first()?;
    let most = (1 << bits) - 1;
    let mut value = usize::from(*first) & most;
    if value == most {
        for shift in (0..28).step_by(7) {
            let (octet, next) = tail.split_first()?;
            tail = next;
            value += usize::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                *rest = tail;
                return Some(value);
            }
        }
        return None;
    }
    *rest = tail;
    Some(value)
}

fn read_string(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let is_huffman = rest.first()? & 0x80 != 0;
    let length = read_integer(rest, 7)?;
    let (text, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    if is_huffman { huffman::decode(text) } else { Some(text.to_vec()) }
}

/// The length of a string that is written as it is.
fn length_of(value: &[u8]) -> Vec<u8> {
    const MOST: usize = 0x7f;
    let mut written = Vec::new();
    match u8::try_from(value.len()) {
        Ok(short) if usize::from(short) < MOST => written.push(short),
        _ => {
            written.push(0x7f);
            let mut more = value.len() - MOST;
            while more >= 0x80 {
                written.push(u8::try_from(more & 0x7f).unwrap_or_default() | 0x80);
                more >>= 7;
            }
            written.push(u8::try_from(more).unwrap_or_default());
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(block: &[u8]) -> Option<Vec<u8>> {
        rewrite_authority(block, |octet| octet != b'/', |octet| if octet == b'/' { b'-' } else { octet })
    }

    #[test]
    fn only_the_authority_changes() {
        // An index, a new table size, a literal with a name, then the authority and one more literal.
        let before = [&[0x83, 0x20, 0x40, 1, b'n', 2, b'a', b'/'][..]].concat();
        let after = [0x04, 2, b'/', b'x'];
        let block = |authority: &[u8]| [&before[..], &[0x41], authority, &after].concat();
        assert_eq!(rewrite(&block(b"\x02/s")).unwrap(), block(b"\x02-s"));
        assert_eq!(rewrite(&block(b"\x02ss")), None);
        let spelt_out = rewrite(b"\x40\x0a:authority\x03a/b\x83");
        assert_eq!(spelt_out.as_deref(), Some(&b"\x40\x0a:authority\x03a-b\x83"[..]));
        assert_eq!(rewrite(&block(b"\x02/")[..10]), None, "cut off");
    }

    #[test]
    fn compressed_and_long_values_are_read() {
        // `/tmp/x` as Go's encoder writes it.
        let compressed = [0x41, 0x85, 0x61, 0x34, 0xd6, 0xc7, 0x9f];
        let rewritten = rewrite(&compressed);
        assert_eq!(rewritten.as_deref(), Some(&b"\x41\x06-tmp-x"[..]));
        let long = "/".repeat(400);
        let block = [&[0x41][..], &length_of(long.as_bytes()), long.as_bytes()].concat();
        let expected = "-".repeat(400);
        assert_eq!(rewrite(&block).unwrap(), [&block[..block.len() - 400], expected.as_bytes()].concat());
    }

    #[test]
    fn nonsense_is_left_to_others() {
        for block in [&[0x41][..], &[0x41, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &[0x41, 9, b'/'], &[0x41, 0x81, 0x00]] {
            assert_eq!(rewrite(block), None, "{block:?}");
        }
    }
}
