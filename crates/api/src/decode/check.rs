//! A parsed body against the structure of its kind: which fields are unknown or stand twice, which values have the wrong
//! type; in the words of Go's decoder, because those are what clients see.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::go;
use super::tree::{Node, number};
use crate::quantity::Quantity;
use crate::schema::{Element, Field, Type, Value};

/// No more problems than this are collected.
const MAX_PROBLEMS: usize = 100;

/// Times that the types cannot be without: what leaves them out is for validation to refuse, as upstream's is.
const REQUIRED_TIMES: &[(&str, &str)] = &[
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Condition", "lastTransitionTime"),
    ("io.k8s.api.events.v1.EventSeries", "lastObservedTime"),
];

/// A checked body.
#[derive(Debug, PartialEq)]
pub struct Checked {
    /// The body without its unknown fields, in the form that the typed decoder takes: zero values instead of `null` in
    /// lists and maps, no `null` fields.
    pub value: Json,
    /// Unknown and duplicate fields, in the order of the body.
    pub problems: Vec<String>,
}

/// Checks a body against a structure.
///
/// # Errors
/// The first value of a wrong type, in Go's words.
pub fn check(node: Node<'_>, structure: Type) -> Result<Checked, String> {
    let mut checker = Checker::default();
    let value = checker.value(node, Value::Object(structure), None)?;
    match checker.type_error {
        Some(error) => Err(error),
        None => Ok(Checked { value: value.unwrap_or_else(|| Json::Object(Map::new())), problems: checker.problems }),
    }
}

/// The JSON tree of a body of which nothing is known, and the fields that stand twice in it.
pub fn check_untyped(node: Node<'_>) -> Checked {
    let mut checker = Checker::default();
    let value = checker.untyped(node);
    Checked { value, problems: checker.problems }
}

#[derive(Default)]
struct Checker {
    problems: Vec<String>,
    /// The path of the present value, such as `spec.containers[0]`.
    path: String,
    /// The fields that lead to the present value, and the structure the last one belongs to.
    fields: Vec<&'static str>,
    structure: Option<Type>,
    /// The first type error. Decoding goes on after it, as upstream's does, since a value that refuses to be decoded
    /// takes precedence.
    type_error: Option<String>,
}

/// The members of a parsed map.
type Members<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

/// A value, or nothing for a `null` that leaves its place as it is. An error ends the decoding.
type Outcome = Result<Option<Json>, String>;

impl Checker {
    fn value(&mut self, node: Node<'_>, value: Value, go_type: Option<&'static str>) -> Outcome {
        if node == Node::Null {
            return Ok(None);
        }
        match (value, node) {
            (Value::Any, node) => Ok(Some(node.into_value())),
            (Value::Quantity, node) => quantity(node).map(Some),
            (Value::IntOrString, node) => self.int_or_string(node),
            (Value::Time, node) => self.time(node, false),
            (Value::MicroTime, node) => self.time(node, true),
            (Value::String, Node::String(text)) => Ok(Some(Json::String(text.into_owned()))),
            (Value::Bool, Node::Bool(value)) => Ok(Some(Json::Bool(value))),
            (Value::Int32, Node::Number(text)) => Ok(self.integer::<i32>(&text, "int32")),
            (Value::Int64, Node::Number(text)) => Ok(self.integer::<i64>(&text, "int64")),
            (Value::Float64, Node::Number(text)) => Ok(Some(number(&text))),
            (Value::Bytes, Node::String(text)) => Ok(self.bytes(&text)),
            (Value::Object(structure), Node::Object(members)) => self.object(members, structure).map(Some),
            (Value::Array(element), Node::Array(elements)) => self.array(elements, element, go_type).map(Some),
            (Value::Map(element), Node::Object(members)) => self.map(members, element).map(Some),
            (value, node) => {
                let go_type = go_type.map_or_else(|| value.go_name(), str::to_owned);
                self.save(self.mismatch(node.go_kind(), &go_type));
                Ok(None)
            }
        }
    }

    fn object(&mut self, members: Members<'_>, structure: Type) -> Result<Json, String> {
        let mut object = Map::new();
        let mut seen = BTreeSet::new();
        for (key, node) in members {
            let Some(field) = structure.field(&key) else {
                self.problem("unknown field", &key);
                continue;
            };
            if !seen.insert(field.name()) {
                self.problem("duplicate field", &key);
            }
            if let Some(mut value) = self.field(node, field, structure)? {
                keep_empty_selector(field, &mut value);
                put(&mut object, field.name().to_owned(), value);
            }
        }
        for (definition, field) in REQUIRED_TIMES {
            if structure.definition() == *definition && !object.contains_key(*field) {
                object.insert((*field).to_owned(), Json::String(crate::meta::ZERO_TIME.to_owned()));
            }
        }
        Ok(Json::Object(object))
    }

    fn field(&mut self, node: Node<'_>, field: Field, structure: Type) -> Outcome {
        let (path, outer) = (self.path.len(), self.structure.replace(structure));
        self.push_key(field.name());
        self.fields.push(field.name());
        // An error ends the decoding and is worded at this place, so nothing is restored for it.
        let value = self.value(node, field.value(), field.go_type())?;
        self.fields.pop();
        self.structure = outer;
        self.path.truncate(path);
        Ok(value)
    }

    fn map(&mut self, members: Members<'_>, element: Element) -> Result<Json, String> {
        let mut map = Map::new();
        let mut seen = BTreeSet::new();
        for (key, node) in members {
            if !seen.insert(key.clone()) {
                self.problem("duplicate field", &key);
            }
            let path = self.path.len();
            self.push_key(&key);
            let value = self.value(node, element.value(), None)?.unwrap_or_else(|| zero(element.value()));
            self.path.truncate(path);
            map.insert(key.into_owned(), value);
        }
        Ok(Json::Object(map))
    }

    fn array(
        &mut self,
        elements: Vec<Node<'_>>,
        element: Element,
        go_type: Option<&'static str>,
    ) -> Result<Json, String> {
        let go_type = go_type.and_then(|name| name.strip_prefix("[]"));
        let mut array = Vec::with_capacity(elements.len());
        let path = self.path.len();
        for (index, node) in elements.into_iter().enumerate() {
            self.path.push_str(&format!("[{index}]"));
            array.push(self.value(node, element.value(), go_type)?.unwrap_or_else(|| zero(element.value())));
            self.path.truncate(path);
        }
        Ok(Json::Array(array))
    }

    fn untyped(&mut self, node: Node<'_>) -> Json {
        let length = self.path.len();
        match node {
            Node::Array(elements) => {
                let mut array = Vec::with_capacity(elements.len());
                for (index, node) in elements.into_iter().enumerate() {
                    self.path.push_str(&format!("[{index}]"));
                    array.push(self.untyped(node));
                    self.path.truncate(length);
                }
                Json::Array(array)
            }
            Node::Object(members) => {
                let mut map = Map::new();
                for (key, node) in members {
                    if map.contains_key(key.as_ref()) {
                        self.problem("duplicate field", &key);
                    }
                    self.push_key(&key);
                    let value = self.untyped(node);
                    self.path.truncate(length);
                    map.insert(key.into_owned(), value);
                }
                Json::Object(map)
            }
            scalar => scalar.into_value(),
        }
    }

    fn integer<T: std::str::FromStr + Into<Json>>(&mut self, text: &str, go_type: &str) -> Option<Json> {
        match text.parse::<T>() {
            Ok(integer) => Some(integer.into()),
            Err(_) => {
                self.save(self.mismatch(&format!("number {text}"), go_type));
                None
            }
        }
    }

    fn bytes(&mut self, text: &str) -> Option<Json> {
        match go::check_base64(text.as_bytes()) {
            Ok(()) => Some(Json::String(text.replace(['\r', '\n'], ""))),
            Err(offset) => {
                self.save(format!("illegal base64 data at input byte {offset}"));
                None
            }
        }
    }

    fn int_or_string(&mut self, node: Node<'_>) -> Outcome {
        match node {
            Node::String(text) => Ok(Some(Json::String(text.into_owned()))),
            Node::Number(text) => match text.parse::<i32>() {
                Ok(integer) => Ok(Some(integer.into())),
                Err(_) => Err(self.mismatch(&format!("number {text}"), "int32")),
            },
            node => Err(self.mismatch(node.go_kind(), "int32")),
        }
    }

    fn time(&mut self, node: Node<'_>, micros: bool) -> Outcome {
        match node {
            Node::String(text) => go::parse_time(&text, micros).map(|time| Some(Json::String(time))),
            node => Err(self.mismatch(node.go_kind(), "string")),
        }
    }

    fn mismatch(&self, found: &str, go_type: &str) -> String {
        match self.structure {
            Some(structure) => {
                let (name, path) = (structure.name(), self.fields.join("."));
                format!("json: cannot unmarshal {found} into Go struct field {name}.{path} of type {go_type}")
            }
            None => format!("json: cannot unmarshal {found} into Go value of type {go_type}"),
        }
    }

    fn save(&mut self, error: String) {
        self.type_error.get_or_insert(error);
    }

    fn problem(&mut self, what: &str, key: &str) {
        let dot = if self.path.is_empty() { "" } else { "." };
        let problem = format!("{what} {}", go::quote(&format!("{}{dot}{key}", self.path)));
        if self.problems.len() < MAX_PROBLEMS && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn push_key(&mut self, key: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(key);
    }
}

/// A required selector is a field whose type has no unset one: `{}` there is told from nothing by its empty labels.
/// No such selector is ever valid, so none is stored.
fn keep_empty_selector(field: Field, value: &mut Json) {
    if let (true, Value::Object(structure), Json::Object(members)) = (field.is_required(), field.value(), value)
        && members.is_empty()
        && structure.name() == "LabelSelector"
    {
        members.insert("matchLabels".to_owned(), Json::Object(Map::new()));
    }
}

/// A field that stands twice is decoded into what the first one left: maps merge, anything else is replaced.
fn put(object: &mut Map<String, Json>, key: String, value: Json) {
    match (object.get_mut(&key), value) {
        (Some(Json::Object(old)), Json::Object(new)) => new.into_iter().for_each(|(key, value)| put(old, key, value)),
        (_, value) => {
            object.insert(key, value);
        }
    }
}

/// What `null` means as an element of a list or map.
fn zero(value: Value) -> Json {
    match value {
        Value::String | Value::Bytes => "".into(),
        Value::Bool => false.into(),
        Value::Int32 | Value::Int64 | Value::Float64 | Value::IntOrString => 0.into(),
        Value::Quantity => "0".into(),
        Value::Time | Value::MicroTime | Value::Any => Json::Null,
        Value::Array(_) => Json::Array(Vec::new()),
        Value::Object(_) | Value::Map(_) => Json::Object(Map::new()),
    }
}

fn quantity(node: Node<'_>) -> Result<Json, String> {
    let text = match node {
        Node::String(text) | Node::Number(text) => text.into_owned(),
        other => other.into_value().to_string(),
    };
    let text = text.trim();
    Quantity::parse(text).map_err(|error| error.to_string())?;
    Ok(text.into())
}
