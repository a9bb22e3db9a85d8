//! YAML text to a tree, by the rules of the YAML 1.1 dialect that Kubernetes speaks: `yes` is true, `0777` is octal.

use std::borrow::Cow;
use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::go;
use super::tree::{MAX_DEPTH, Node};

/// Aliases multiply what they stand for; a document may not grow beyond this many values.
const MAX_VALUES: usize = 500_000;

/// A parsed document.
#[derive(Debug)]
pub struct Document {
    /// Its value, with members sorted by key.
    pub node: Node<'static>,
    /// Keys that stand twice in one map; the last one counts.
    pub duplicates: Vec<String>,
}

/// Parses the first document of a text.
///
/// # Errors
/// What is wrong, and in which line.
pub fn parse(text: &str) -> Result<Document, String> {
    let parser = Parser::new_from_str(text);
    let mut builder = Builder { parser, anchors: BTreeMap::new(), values: 0, duplicates: Vec::new() };
    let node = builder.document()?;
    Ok(Document { node, duplicates: builder.duplicates })
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, (Node<'static>, usize)>,
    values: usize,
    duplicates: Vec<String>,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), String> {
        loop {
            match self.parser.next_event() {
                None => return Err("yaml: unexpected end of the document".to_owned()),
                // Upstream counts lines from zero here, and does not name the first one.
                Some(Err(error)) if error.marker().line() <= 1 => return Err(format!("yaml: {}", error.info())),
                Some(Err(error)) => return Err(format!("yaml: line {}: {}", error.marker().line(), error.info())),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(event),
            }
        }
    }

    fn document(&mut self) -> Result<Node<'static>, String> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(Node::Null),
                (event, span) => return self.node(event, span, 0),
            }
        }
    }

    fn count(&mut self, values: usize, span: Span) -> Result<(), String> {
        self.values += values;
        if self.values > MAX_VALUES {
            return Err(format!("yaml: line {}: document contains excessive aliasing", span.start.line()));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node<'static>, String> {
        if depth > MAX_DEPTH {
            return Err(format!("yaml: line {}: exceeded max depth", span.start.line()));
        }
        let first = self.values;
        self.count(1, span)?;
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref()), anchor),
            Event::SequenceStart(_, anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(anchor) => {
                let (node, values) = self
                    .anchors
                    .get(&anchor)
                    .cloned()
                    .ok_or_else(|| format!("yaml: line {}: anchor contains itself", span.start.line()))?;
                self.count(values, span)?;
                return Ok(node);
            }
            _ => return Err(format!("yaml: line {}: did not find expected node content", span.start.line())),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.values - first));
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Node<'static>, String> {
        let mut elements = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Node::Array(elements)),
                (event, span) => elements.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Node<'static>, String> {
        let mut members = BTreeMap::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.node(event, span, depth + 1)?;
            let (event, value_span) = self.next()?;
            let value = self.node(event, value_span, depth + 1)?;
            if is_merge {
                merged.push(value);
                continue;
            }
            let key = key_text(key).ok_or_else(|| format!("yaml: line {}: invalid map key", span.start.line()))?;
            if members.insert(key.clone(), value).is_some() {
                let problem = format!("line {}: key {} already set in map", span.start.line(), go::quote(&key));
                self.duplicates.push(problem);
            }
        }
        for member in merged.into_iter().flat_map(maps) {
            members.entry(member.0.into_owned()).or_insert(member.1);
        }
        Ok(Node::Object(members.into_iter().map(|(key, node)| (Cow::Owned(key), node)).collect()))
    }
}

/// The members that `<<` brings in; earlier maps win over later ones.
fn maps(node: Node<'static>) -> Vec<(Cow<'static, str>, Node<'static>)> {
    match node {
        Node::Object(members) => members,
        Node::Array(nodes) => nodes.into_iter().flat_map(maps).collect(),
        _ => Vec::new(),
    }
}

fn key_text(node: Node<'static>) -> Option<String> {
    match node {
        Node::String(text) | Node::Number(text) => Some(text.into_owned()),
        Node::Bool(value) => Some(value.to_string()),
        Node::Null => Some("null".to_owned()),
        Node::Array(_) | Node::Object(_) => None,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Node<'static> {
    let string = || Node::String(text.to_owned().into());
    if style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix() == "str") {
        return string();
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Node::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Node::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Node::Bool(false),
        _ => numeral(text).map_or_else(string, |number| Node::Number(number.into())),
    }
}

/// A number in JSON's form, if the text is one.
fn numeral(text: &str) -> Option<String> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix(['-', '+']) {
        Some(digits) => (if plain.starts_with('-') { "-" } else { "" }, digits),
        None => ("", plain.as_str()),
    };
    let lower = digits.to_ascii_lowercase();
    let radix = |prefix: &str, radix| lower.strip_prefix(prefix).map(|digits| u64::from_str_radix(digits, radix));
    let integer = radix("0x", 16)
        .or_else(|| radix("0b", 2))
        .or_else(|| radix("0o", 8))
        .or_else(|| (lower.len() > 1).then(|| radix("0", 8)).flatten().filter(Result::is_ok));
    if let Some(integer) = integer {
        return integer.ok().map(|integer| format!("{sign}{integer}"));
    }
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() <= 18 {
        return digits.parse::<u64>().ok().map(|integer| format!("{sign}{integer}"));
    }
    let float = lower.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && lower.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'+' | b'-'));
    let number = float.then(|| lower.parse::<f64>().ok()).flatten().filter(|number| number.is_finite())?;
    Some(format!("{sign}{}", serde_json::Number::from_f64(number)?))
}
