//! JSON Patch (RFC 6902) with the leniencies of the library that upstream uses: a member that is not there can be
//! replaced and copied, and negative indices count from the end of a list.

use serde_json::Value;

use crate::decode::tree::{MAX_DEPTH, Node};

/// A patch may not have more operations than this.
pub const MAX_OPERATIONS: usize = 10_000;

/// How many values all `copy` and `move` operations together may carry. Copies of copies grow fast.
const MAX_CARRIED: usize = 500_000;

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    kind: Kind,
    path: String,
    from: String,
    value: Value,
}

/// What an operation does. An unknown kind fails when it is applied, not before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Add,
    Remove,
    Replace,
    Move,
    Copy,
    Test,
    Unknown,
}

/// The operation that cannot be applied; upstream does not tell clients why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("operation {0} of the JSON patch does not apply")]
pub struct DoesNotApply(pub usize);

/// The operations of a parsed body, and its unknown and duplicate fields.
///
/// # Errors
/// In Go's words, when the body is no list of operations.
pub fn parse(node: Node<'_>) -> Result<(Vec<Operation>, Vec<String>), String> {
    let elements = match node {
        Node::Array(elements) => elements,
        Node::Null => Vec::new(),
        other => return Err(mismatch(other.go_kind(), "value", "[]handlers.jsonPatchOp")),
    };
    let mut problems = Vec::new();
    let operations: Result<Vec<_>, _> =
        elements.into_iter().enumerate().map(|(index, node)| operation(index, node, &mut problems)).collect();
    Ok((operations?, problems))
}

fn mismatch(found: &str, place: &str, go_type: &str) -> String {
    format!("json: cannot unmarshal {found} into Go {place} of type {go_type}")
}

fn operation(index: usize, node: Node<'_>, problems: &mut Vec<String>) -> Result<Operation, String> {
    let members = match node {
        Node::Object(members) => members,
        Node::Null => Vec::new(),
        other => return Err(mismatch(other.go_kind(), "value", "handlers.jsonPatchOp")),
    };
    let mut operation = Operation { kind: Kind::Unknown, path: String::new(), from: String::new(), value: Value::Null };
    let mut seen: Vec<String> = Vec::new();
    for (key, node) in members {
        if seen.iter().any(|seen| *seen == *key) {
            problems.push(format!("json patch duplicate field \"[{index}].{key}\""));
        }
        seen.push(key.clone().into_owned());
        let text = |node: Node<'_>| match node {
            Node::String(text) => Ok(text.into_owned()),
            Node::Null => Ok(String::new()),
            other => Err(mismatch(other.go_kind(), &format!("struct field jsonPatchOp.{key}"), "string")),
        };
        match key.as_ref() {
            "op" => operation.kind = Kind::of(&text(node)?),
            "path" => operation.path = text(node)?,
            "from" => operation.from = text(node)?,
            "value" => operation.value = node.into_value(),
            _ => problems.push(format!("json patch unknown field \"[{index}].{key}\"")),
        }
    }
    Ok(operation)
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "add" => Self::Add,
            "remove" => Self::Remove,
            "replace" => Self::Replace,
            "move" => Self::Move,
            "copy" => Self::Copy,
            "test" => Self::Test,
            _ => Self::Unknown,
        }
    }
}

/// Applies operations in order.
///
/// # Errors
/// At the first one that does not apply; the document is then worth nothing.
pub fn apply(document: &mut Value, operations: &[Operation]) -> Result<(), DoesNotApply> {
    let mut carried = 0;
    for (index, operation) in operations.iter().enumerate() {
        apply_one(document, operation, &mut carried).ok_or(DoesNotApply(index))?;
    }
    Ok(())
}

fn apply_one(document: &mut Value, operation: &Operation, carried: &mut usize) -> Option<()> {
    let path = operation.path.as_str();
    let levels = path.split('/').count();
    match operation.kind {
        Kind::Add => {
            measure(&operation.value, levels, &mut 0)?;
            add(document, path, operation.value.clone())
        }
        Kind::Remove => remove(document, path).map(drop),
        Kind::Replace if path.is_empty() => {
            *document = operation.value.clone();
            Some(())
        }
        Kind::Replace => {
            measure(&operation.value, levels, &mut 0)?;
            replace(document, path, operation.value.clone())
        }
        Kind::Move => {
            let value = remove(document, &operation.from)?;
            measure(&value, levels, carried)?;
            add(document, path, value)
        }
        Kind::Copy => {
            let value = get(document, &operation.from)?;
            measure(value, levels, carried)?;
            let value = value.clone();
            add(document, path, value)
        }
        Kind::Test if path.is_empty() => (*document == operation.value).then_some(()),
        Kind::Test => (*get(document, path)? == operation.value).then_some(()),
        Kind::Unknown => None,
    }
}

/// Counts the values of a tree, unless there are too many of them or it would reach too deep below `level`.
fn measure(value: &Value, level: usize, count: &mut usize) -> Option<()> {
    *count += 1;
    if *count > MAX_CARRIED || level > MAX_DEPTH {
        return None;
    }
    match value {
        Value::Array(list) => list.iter().try_for_each(|value| measure(value, level + 1, count)),
        Value::Object(map) => map.values().try_for_each(|value| measure(value, level + 1, count)),
        _ => Some(()),
    }
}

/// The list or map that holds the end of a path, and the end's key.
fn parent<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (head, last) = path.rsplit_once('/')?;
    let mut parts = head.split('/');
    let mut place = document;
    parts.next();
    for part in parts {
        let key = unescape(part);
        place = match place {
            Value::Object(map) => map.get_mut(&key)?,
            Value::Array(list) => {
                let index = index(&key, list.len())?;
                list.get_mut(index)?
            }
            _ => return None,
        };
    }
    matches!(place, Value::Object(_) | Value::Array(_)).then(|| (place, unescape(last)))
}

fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// A place in a list; negative ones count from its end.
fn index(key: &str, length: usize) -> Option<usize> {
    let index: i64 = key.parse().ok()?;
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { index + length } else { index }).ok()
}

/// What stands at a path; `null` for a member that does not exist.
fn get<'a>(document: &'a mut Value, path: &str) -> Option<&'a Value> {
    const NULL: &Value = &Value::Null;
    let (parent, key) = parent(document, path)?;
    match parent {
        Value::Object(map) => Some(map.get(&key).unwrap_or(NULL)),
        Value::Array(list) => list.get(index(&key, list.len())?),
        _ => None,
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Option<()> {
    let (parent, key) = parent(document, path)?;
    match parent {
        Value::Object(map) => {
            map.insert(key, value);
        }
        Value::Array(list) if key == "-" => list.push(value),
        Value::Array(list) => {
            let index = index(&key, list.len()).filter(|&index| index <= list.len())?;
            list.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn replace(document: &mut Value, path: &str, value: Value) -> Option<()> {
    let (parent, key) = parent(document, path)?;
    match parent {
        Value::Object(map) => {
            map.insert(key, value);
        }
        Value::Array(list) => {
            let index = index(&key, list.len())?;
            *list.get_mut(index)? = value;
        }
        _ => return None,
    }
    Some(())
}

fn remove(document: &mut Value, path: &str) -> Option<Value> {
    let (parent, key) = parent(document, path)?;
    match parent {
        Value::Object(map) => map.remove(&key),
        Value::Array(list) => {
            let index = index(&key, list.len()).filter(|&index| index < list.len())?;
            Some(list.remove(index))
        }
        _ => None,
    }
}
