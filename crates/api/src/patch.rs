//! Patches: JSON Patch, JSON Merge Patch and strategic merge patch, as pure functions over the JSON tree of an object.
//!
//! Flow: [`Patch::parse`] once, [`Patch::apply`] to the present object, again after each conflict. Server-side apply is
//! another thing: see [`crate::managed_fields`].

pub mod json_patch;
pub mod merge;
pub mod strategic;
pub mod unstructured;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::decode::{self, FieldValidation, Node, go, json};
use crate::object::{Gvk, Object};
use crate::schema::Type;

/// The kinds of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    /// `application/json-patch+json`.
    Json,
    /// `application/merge-patch+json`.
    Merge,
    /// `application/strategic-merge-patch+json`.
    Strategic,
}

/// A parsed patch.
#[derive(Debug, Clone)]
pub struct Patch {
    operation: Operation,
    problems: Vec<String>,
    validation: FieldValidation,
}

#[derive(Debug, Clone)]
enum Operation {
    Json(Vec<json_patch::Operation>),
    Merge(Map<String, Value>),
    Strategic(Map<String, Value>),
}

/// A patched object.
#[derive(Debug)]
pub struct Patched {
    /// The object, neither defaulted nor validated.
    pub object: Box<dyn Object>,
    /// Unknown and duplicate fields, to be sent as warnings.
    pub warnings: Vec<String>,
}

/// Why a patch is refused, by what the answer is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `BadRequest`: the body is no such patch.
    #[error("{0}")]
    BadRequest(String),
    /// `RequestEntityTooLarge`.
    #[error("{0}")]
    TooLarge(String),
    /// The patch does not apply: `Invalid` with upstream's general words, without a name or causes.
    #[error("the server rejected our request due to an error in our request")]
    DoesNotApply,
    /// The result is no object of the kind: `Invalid` with one cause on the field `patch`, without a name or kind. The
    /// text is the cause's message.
    #[error("{0}")]
    Invalid(String),
    /// A strategic merge patch that cannot be merged: an internal error, with this message and no reason.
    #[error("{0}")]
    CannotMerge(String),
}

impl Patch {
    /// Parses the body of a patch request.
    ///
    /// # Errors
    /// [`Error::BadRequest`] and [`Error::TooLarge`].
    pub fn parse(patch_type: PatchType, body: &[u8], validation: FieldValidation) -> Result<Self, Error> {
        let bad = |error: String| match patch_type {
            PatchType::Strategic => Error::BadRequest(error),
            PatchType::Json | PatchType::Merge => Error::BadRequest(format!("error decoding patch: {error}")),
        };
        let node = json::parse(body).map_err(|error| bad(error.to_string()))?;
        let (operation, problems) = match patch_type {
            PatchType::Json => {
                let (operations, problems) = json_patch::parse(node).map_err(bad)?;
                let (count, limit) = (operations.len(), json_patch::MAX_OPERATIONS);
                if count > limit {
                    let text = format!("The allowed maximum operations in a JSON patch is {limit}, got {count}");
                    return Err(Error::TooLarge(text));
                }
                (Operation::Json(operations), problems)
            }
            PatchType::Merge if node == Node::Null => return Err(Error::BadRequest("Invalid JSON Patch".to_owned())),
            PatchType::Merge => {
                let (map, problems) = map(node).map_err(bad)?;
                (Operation::Merge(map), problems)
            }
            PatchType::Strategic => {
                let (map, problems) = map(node).map_err(bad)?;
                (Operation::Strategic(map), problems)
            }
        };
        Ok(Self { operation, problems, validation })
    }

    /// Applies the patch to the JSON tree of an object of kind `gvk`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn apply(&self, mut current: Value, gvk: Gvk) -> Result<Patched, Error> {
        match &self.operation {
            Operation::Json(operations) => {
                json_patch::apply(&mut current, operations).map_err(|_| Error::DoesNotApply)?;
                self.decode(&current, gvk)
            }
            Operation::Merge(patch) => {
                merge::apply(&mut current, patch.clone());
                self.decode(&current, gvk)
            }
            Operation::Strategic(patch) => self.apply_strategic(current, patch, gvk),
        }
    }

    fn decode(&self, patched: &Value, gvk: Gvk) -> Result<Patched, Error> {
        let invalid =
            |error: String| Error::Invalid(format!("Invalid value: {}: {error}", go::quote(&patched.to_string())));
        let (object, problems) = decode::object(Node::from_value(patched), gvk).map_err(invalid)?;
        let problems = self.problems.iter().cloned().chain(problems).collect();
        let warnings = self.validation.judge(problems).map_err(invalid)?;
        Ok(Patched { object, warnings })
    }

    fn apply_strategic(&self, current: Value, patch: &Map<String, Value>, gvk: Gvk) -> Result<Patched, Error> {
        let invalid =
            |error: String| Error::Invalid(format!("Invalid value: {}: {error}", go::quote(&go::print_map(patch))));
        let structure = Type::of_kind(gvk.group, gvk.version, gvk.kind)
            .ok_or_else(|| invalid(decode::not_registered(gvk.kind, gvk.group, gvk.version)))?;
        let Value::Object(mut object) = current else { return Err(Error::DoesNotApply) };
        strategic::apply(&mut object, patch.clone(), structure)?;
        // Here upstream never looks at the kind again.
        object.remove("apiVersion");
        object.remove("kind");
        let checked = unstructured::convert(object, structure).map_err(invalid)?;
        let problems = self.problems.iter().cloned().chain(checked.problems).collect();
        let warnings = self.validation.judge(problems).map_err(invalid)?;
        let object = decode::typed(checked.value, gvk).map_err(invalid)?;
        Ok(Patched { object, warnings })
    }
}

impl From<strategic::Error> for Error {
    fn from(error: strategic::Error) -> Self {
        match error {
            strategic::Error::Other(text) => Self::CannotMerge(text),
            strategic::Error::ListOfLists => Self::DoesNotApply,
            other => Self::BadRequest(other.to_string()),
        }
    }
}

/// The map of a body, and its duplicate fields.
fn map(node: Node<'_>) -> Result<(Map<String, Value>, Vec<String>), String> {
    match node {
        Node::Null => Ok((Map::new(), Vec::new())),
        Node::Object(_) => {
            let checked = decode::check::check_untyped(node);
            let Value::Object(map) = checked.value else { return Ok((Map::new(), Vec::new())) };
            Ok((map, checked.problems))
        }
        other => {
            let found = other.go_kind();
            Err(format!("json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"))
        }
    }
}
