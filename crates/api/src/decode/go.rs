//! What Go's standard library prints and parses, where clients see it.

use std::fmt::Write;

use serde_json::{Map, Value};

/// Go's `%q` of a text.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            other => push_escaped(&mut out, other),
        }
    }
    out.push('"');
    out
}

/// A byte as Go's JSON scanner names it.
pub fn quote_byte(byte: u8) -> String {
    let mut out = String::from("'");
    match byte {
        b'\'' => out.push_str("\\'"),
        b'\\' => out.push_str("\\\\"),
        byte => push_escaped(&mut out, char::from(byte)),
    }
    out.push('\'');
    out
}

fn push_escaped(out: &mut String, character: char) {
    match character {
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        other if u32::from(other) < 0x20 || other == '\u{7f}' => {
            write!(out, "\\x{:02x}", u32::from(other)).expect("strings take everything");
        }
        other if other.is_control() => write!(out, "\\u{:04x}", u32::from(other)).expect("strings take everything"),
        other => out.push(other),
    }
}

/// Checks base64 as Go's standard encoding does, line breaks ignored.
///
/// # Errors
/// The offset of the byte that is not base64.
pub fn check_base64(text: &[u8]) -> Result<(), usize> {
    let mut place = 0;
    let skip_breaks = |place: &mut usize| {
        while matches!(text.get(*place), Some(b'\n' | b'\r')) {
            *place += 1;
        }
    };
    loop {
        let mut digits = 0;
        while digits < 4 {
            skip_breaks(&mut place);
            match text.get(place) {
                None if digits == 0 => return Ok(()),
                None => return Err(place - digits),
                Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/') => digits += 1,
                Some(b'=') if digits >= 2 => break,
                Some(_) => return Err(place),
            }
            place += 1;
        }
        if digits == 4 {
            continue;
        }
        place += 1;
        if digits == 2 {
            skip_breaks(&mut place);
            match text.get(place) {
                Some(b'=') => place += 1,
                Some(_) => return Err(place),
                None => return Err(text.len()),
            }
        }
        skip_breaks(&mut place);
        return if place < text.len() { Err(place) } else { Ok(()) };
    }
}

/// The layouts of `metav1.Time` and `metav1.MicroTime`.
const SECONDS_LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
const MICROS_LAYOUT: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Parses a time as Go's `time.Parse` does with the layout of `metav1.Time`, or of `metav1.MicroTime` if `micros`.
/// Returns the text in the form that a strict RFC 3339 parser takes.
///
/// # Errors
/// Go's words.
pub fn parse_time(text: &str, micros: bool) -> Result<String, String> {
    let layout = if micros { MICROS_LAYOUT } else { SECONDS_LAYOUT };
    let mut parser = TimeParser { text, rest: text, layout };
    let mut numbers = [0u32; 6];
    let elements = [("2006", 4), ("01", 2), ("02", 2), ("15", 2), ("04", 2), ("05", 2)];
    let ranges =
        [("", 0, 9999), ("month", 1, 12), ("day", 1, 31), ("hour", 0, 23), ("minute", 0, 59), ("second", 0, 59)];
    for (index, ((element, digits), (name, low, high))) in elements.into_iter().zip(ranges).enumerate() {
        if index > 0 {
            parser.literal(["-", "-", "T", ":", ":"][index - 1])?;
        }
        let number = parser.number(element, digits)?;
        if number < low || number > high {
            return Err(parser.out_of_range(name));
        }
        numbers[index] = number;
    }
    let fraction = parser.fraction(micros)?;
    let zone = parser.zone()?;
    if !parser.rest.is_empty() {
        return Err(format!("parsing time {}: extra text: {}", quote(text), quote(parser.rest)));
    }
    let [year, month, day, hour, minute, second] = numbers;
    if day > days_in(year, month) {
        return Err(parser.out_of_range("day"));
    }
    let fraction = if micros { fraction } else { "" };
    Ok(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

struct TimeParser<'a> {
    text: &'a str,
    rest: &'a str,
    layout: &'static str,
}

impl<'a> TimeParser<'a> {
    fn mismatch(&self, element: &str) -> String {
        let (text, layout, rest) = (quote(self.text), quote(self.layout), quote(self.rest));
        format!("parsing time {text} as {layout}: cannot parse {rest} as {}", quote(element))
    }

    fn out_of_range(&self, name: &str) -> String {
        format!("parsing time {}: {name} out of range", quote(self.text))
    }

    fn literal(&mut self, wanted: &str) -> Result<(), String> {
        self.rest = self.rest.strip_prefix(wanted).ok_or_else(|| self.mismatch(wanted))?;
        Ok(())
    }

    fn number(&mut self, element: &str, digits: usize) -> Result<u32, String> {
        let head = self.rest.get(..digits).filter(|head| head.bytes().all(|byte| byte.is_ascii_digit()));
        let number = head.and_then(|head| head.parse().ok()).ok_or_else(|| self.mismatch(element))?;
        self.rest = &self.rest[digits..];
        Ok(number)
    }

    /// The fraction of the second with its point, which is optional unless the layout names it.
    fn fraction(&mut self, micros: bool) -> Result<&'a str, String> {
        let digits = self.rest.bytes().skip(1).take_while(u8::is_ascii_digit).count();
        let fraction = match self.rest.as_bytes().first() {
            Some(b'.' | b',') if micros && digits >= 6 => &self.rest[..7],
            Some(b'.' | b',') if !micros && digits > 0 => &self.rest[..=digits],
            _ if micros => return Err(self.mismatch(".000000")),
            _ => "",
        };
        self.rest = &self.rest[fraction.len()..];
        Ok(fraction)
    }

    fn zone(&mut self) -> Result<&'a str, String> {
        let bytes = self.rest.as_bytes();
        let offset = |place: usize| bytes.get(place).is_some_and(u8::is_ascii_digit);
        let length = match bytes.first() {
            Some(b'Z') => 1,
            Some(b'+' | b'-') if [1, 2, 4, 5].into_iter().all(offset) && bytes[3] == b':' => 6,
            _ => return Err(self.mismatch("Z07:00")),
        };
        let (zone, rest) = self.rest.split_at(length);
        if length == 6 && (&zone[1..3] > "24" || &zone[4..6] > "60") {
            return Err(self.out_of_range("time zone offset hour"));
        }
        self.rest = rest;
        Ok(zone)
    }
}

/// Go's `%v` of a JSON tree, such as `map[a:1 b:[x y]]`.
pub fn print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(list) => print_list(list),
        Value::Object(map) => print_map(map),
    }
}

/// Go's `%v` of a map; its keys are sorted.
pub fn print_map(map: &Map<String, Value>) -> String {
    let mut members: Vec<_> = map.iter().collect();
    members.sort_by_key(|(key, _)| key.as_str());
    let members: Vec<String> = members.into_iter().map(|(key, value)| format!("{key}:{}", print(value))).collect();
    format!("map[{}]", members.join(" "))
}

/// Go's `%v` of a list.
pub fn print_list(list: &[Value]) -> String {
    format!("[{}]", list.iter().map(print).collect::<Vec<_>>().join(" "))
}
