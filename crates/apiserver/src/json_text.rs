//! Cutting JSON text without decoding it. Only for text this server encoded itself: it is known to be valid.

use std::ops::Range;

/// The position after the value that starts at `start`.
pub fn value_end(json: &[u8], start: usize) -> usize {
    match json.get(start) {
        Some(b'"') => string_end(json, start),
        Some(b'{' | b'[') => nested_end(json, start),
        _ => {
            let rest = json.get(start..).unwrap_or_default();
            let length = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']'));
            start + length.unwrap_or(rest.len())
        }
    }
}

fn string_end(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    json.len()
}

fn nested_end(json: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => {
                at = string_end(json, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return at + 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    json.len()
}

/// A member of an object: where its key (without quotes) and its value stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The key.
    pub key: Range<usize>,
    /// The value.
    pub value: Range<usize>,
}

/// The members of the object that the text is.
pub fn members(json: &[u8]) -> Vec<Member> {
    let mut members = Vec::with_capacity(8);
    members.extend(each_member(json));
    members
}

/// The value of a member of the object that the text is. What comes first is found first.
pub fn member<'a>(json: &'a [u8], key: &str) -> Option<&'a [u8]> {
    each_member(json).find(|member| json[member.key.clone()] == *key.as_bytes()).map(|member| &json[member.value])
}

fn each_member(json: &[u8]) -> impl Iterator<Item = Member> {
    let mut at = 1;
    std::iter::from_fn(move || {
        if json.get(at) != Some(&b'"') {
            return None;
        }
        let key_end = string_end(json, at);
        let value_start = key_end + 1; // the colon
        let end = value_end(json, value_start);
        let member = Member { key: at + 1..key_end - 1, value: value_start..end };
        at = end + 1; // the comma, or the closing brace
        Some(member)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_members_whatever_their_values_hold() {
        let json = br#"{"a":"x\"}{","b":{"c":[1,{"d":"]"}]},"e":null,"f":[],"g":-1.5}"#;
        let text = |range: &Range<usize>| String::from_utf8_lossy(&json[range.clone()]).into_owned();
        let found: Vec<String> =
            members(json).iter().map(|member| format!("{}={}", text(&member.key), text(&member.value))).collect();
        assert_eq!(found, [r#"a="x\"}{""#, r#"b={"c":[1,{"d":"]"}]}"#, "e=null", "f=[]", "g=-1.5"]);
        assert!(members(b"{}").is_empty());
        assert_eq!((member(json, "g"), member(json, "h")), (Some(b"-1.5".as_slice()), None));
    }
}
