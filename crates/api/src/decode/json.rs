//! JSON text to a tree, with the errors of Go's scanner, because that is what clients see.

use std::borrow::Cow;

use super::go::quote_byte;
use super::tree::{MAX_DEPTH, Node};

/// Why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// The text ends too early.
    #[error("unexpected end of JSON input")]
    UnexpectedEnd,
    /// A character that may not stand where it does.
    #[error("invalid character {} {place}", quote_byte(*.found))]
    Invalid {
        /// The character's first byte.
        found: u8,
        /// Where it stands.
        place: &'static str,
    },
    /// Nested deeper than is accepted.
    #[error("exceeded max depth")]
    TooDeep,
}

type Result<T> = std::result::Result<T, SyntaxError>;

const BEGIN_VALUE: &str = "looking for beginning of value";
const BEGIN_KEY: &str = "looking for beginning of object key string";

/// Parses one JSON value with nothing after it but white space.
///
/// # Errors
/// See [`SyntaxError`].
pub fn parse(text: &[u8]) -> Result<Node<'_>> {
    parse_at(text, 0)
}

/// Parses one JSON value that stands `depth` deep in a tree.
///
/// # Errors
/// See [`SyntaxError`].
pub fn parse_at(text: &[u8], depth: usize) -> Result<Node<'_>> {
    let mut parser = Parser { text, place: 0 };
    let node = parser.value(depth)?;
    match parser.peek() {
        None => Ok(node),
        Some(found) => Err(SyntaxError::Invalid { found, place: "after top-level value" }),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    place: usize,
}

impl<'a> Parser<'a> {
    /// The next byte that is not white space, not consumed.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.text.get(self.place), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.place += 1;
        }
        self.text.get(self.place).copied()
    }

    fn expect(&mut self, wanted: &[u8], place: &'static str) -> Result<u8> {
        let found = self.peek().ok_or(SyntaxError::UnexpectedEnd)?;
        if !wanted.contains(&found) {
            return Err(SyntaxError::Invalid { found, place });
        }
        self.place += 1;
        Ok(found)
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>> {
        let found = self.peek().ok_or(SyntaxError::UnexpectedEnd)?;
        if matches!(found, b'{' | b'[') && depth >= MAX_DEPTH {
            return Err(SyntaxError::TooDeep);
        }
        match found {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => Ok(Node::String(self.string()?)),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self
                .literal(
                    "true",
                    [
                        "in literal true (expecting 'r')",
                        "in literal true (expecting 'u')",
                        "in literal true (expecting 'e')",
                        "",
                    ],
                )
                .map(|()| Node::Bool(true)),
            b'f' => self
                .literal(
                    "false",
                    [
                        "in literal false (expecting 'a')",
                        "in literal false (expecting 'l')",
                        "in literal false (expecting 's')",
                        "in literal false (expecting 'e')",
                    ],
                )
                .map(|()| Node::Bool(false)),
            b'n' => self
                .literal(
                    "null",
                    [
                        "in literal null (expecting 'u')",
                        "in literal null (expecting 'l')",
                        "in literal null (expecting 'l')",
                        "",
                    ],
                )
                .map(|()| Node::Null),
            found => Err(SyntaxError::Invalid { found, place: BEGIN_VALUE }),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node<'a>> {
        self.place += 1;
        let mut members = Vec::new();
        if self.expect(b"\"}", BEGIN_KEY)? == b'}' {
            return Ok(Node::Object(members));
        }
        loop {
            self.place -= 1;
            let key = self.string()?;
            self.expect(b":", "after object key")?;
            members.push((key, self.value(depth + 1)?));
            if self.expect(b",}", "after object key:value pair")? == b'}' {
                return Ok(Node::Object(members));
            }
            self.expect(b"\"", BEGIN_KEY)?;
        }
    }

    fn array(&mut self, depth: usize) -> Result<Node<'a>> {
        self.place += 1;
        let mut elements = Vec::new();
        if self.peek() == Some(b']') {
            self.place += 1;
            return Ok(Node::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            if self.expect(b",]", "after array element")? == b']' {
                return Ok(Node::Array(elements));
            }
        }
    }

    fn literal(&mut self, word: &str, places: [&'static str; 4]) -> Result<()> {
        for (wanted, place) in word.bytes().skip(1).zip(places) {
            self.place += 1;
            match self.text.get(self.place) {
                None => return Err(SyntaxError::UnexpectedEnd),
                Some(&found) if found != wanted => return Err(SyntaxError::Invalid { found, place }),
                Some(_) => {}
            }
        }
        self.place += 1;
        Ok(())
    }

    fn number(&mut self) -> Result<Node<'a>> {
        let start = self.place;
        if self.text[self.place] == b'-' {
            self.place += 1;
        }
        match self.text.get(self.place) {
            Some(b'0') => self.place += 1,
            _ => self.digits("in numeric literal")?,
        }
        if self.text.get(self.place) == Some(&b'.') {
            self.place += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.text.get(self.place), Some(b'e' | b'E')) {
            self.place += 1;
            if matches!(self.text.get(self.place), Some(b'+' | b'-')) {
                self.place += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        let text = std::str::from_utf8(&self.text[start..self.place]).expect("numbers are ASCII");
        Ok(Node::Number(Cow::Borrowed(text)))
    }

    /// At least one digit.
    fn digits(&mut self, place: &'static str) -> Result<()> {
        let start = self.place;
        while self.text.get(self.place).is_some_and(u8::is_ascii_digit) {
            self.place += 1;
        }
        match self.text.get(self.place) {
            _ if self.place > start => Ok(()),
            None => Err(SyntaxError::UnexpectedEnd),
            Some(&found) => Err(SyntaxError::Invalid { found, place }),
        }
    }

    /// A text whose opening quote is at the present place.
    fn string(&mut self) -> Result<Cow<'a, str>> {
        self.place += 1;
        let start = self.place;
        let mut plain = true;
        loop {
            match self.text.get(self.place) {
                None => return Err(SyntaxError::UnexpectedEnd),
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    self.escape()?;
                }
                Some(&found) if found < 0x20 => return Err(SyntaxError::Invalid { found, place: "in string literal" }),
                Some(_) => self.place += 1,
            }
        }
        let raw = &self.text[start..self.place];
        self.place += 1;
        let text = String::from_utf8_lossy(raw);
        Ok(if plain { text } else { Cow::Owned(unescape(&text)) })
    }

    /// Checks one escape sequence.
    fn escape(&mut self) -> Result<()> {
        self.place += 1;
        match self.text.get(self.place).copied().ok_or(SyntaxError::UnexpectedEnd)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            b'u' => {
                for _ in 0..4 {
                    self.place += 1;
                    let found = self.text.get(self.place).copied().ok_or(SyntaxError::UnexpectedEnd)?;
                    if !found.is_ascii_hexdigit() {
                        return Err(SyntaxError::Invalid { found, place: "in \\u hexadecimal character escape" });
                    }
                }
            }
            found => return Err(SyntaxError::Invalid { found, place: "in string escape code" }),
        }
        self.place += 1;
        Ok(())
    }
}

/// Resolves the escapes of a checked text. Lone surrogates become the replacement character.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        out.push_str(&rest[..place]);
        let kind = rest.as_bytes()[place + 1];
        rest = &rest[place + 2..];
        match kind {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let unit = hex(&rest[..4]);
                rest = &rest[4..];
                let second = rest.strip_prefix("\\u").map(|next| hex(&next[..4]));
                match (unit, second) {
                    (0xd800..0xdc00, Some(second @ 0xdc00..0xe000)) => {
                        rest = &rest[6..];
                        let code = 0x10000 + ((unit - 0xd800) << 10) + (second - 0xdc00);
                        out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    _ => out.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)),
                }
            }
            other => out.push(char::from(other)),
        }
    }
    out.push_str(rest);
    out
}

/// Four checked hexadecimal digits.
fn hex(digits: &str) -> u32 {
    u32::from_str_radix(digits, 16).unwrap_or(0xfffd)
}
