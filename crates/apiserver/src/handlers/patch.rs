//! `patch`: four kinds of patches by content type. Computed on the present object, and again when another write wins.

use std::sync::{Mutex, PoisonError};

use api::decode::{FieldValidation, Node, yaml};
use api::patch::{self, Patch, PatchType};
use api::{Object, field};
use http::StatusCode;
use serde_json::Value;

use super::options::{self, WriteOptions, write_context};
use super::owner_references::{self, Moment};
use super::{Target, decode, forms};
use crate::authorization;
use crate::body;
use crate::error::Error;
use crate::field_manager::Tracker;
use crate::filters::request_info::RequestInfo;
use crate::negotiate::{self, MEDIA_TYPES};
use crate::registry::store::{Updated, WriteContext};
use crate::registry::strategy::Part;
use crate::request::{Request, Response};

/// What a patch can be.
const PATCH_TYPES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

const MANAGED_FIELDS: &str = "managedFields";

/// Patches an object.
///
/// # Errors
/// Whatever refuses it.
pub async fn patch(target: Target<'_>, part: Part, mut request: Request) -> Result<Response, Error> {
    let accepted = negotiate::negotiate(&request.headers, &request.query, MEDIA_TYPES, true)?;
    let (body, options) = read(&mut request).await?;
    let warnings = Mutex::default();
    let patching = Patching {
        target: &target,
        request: &request,
        part,
        context: write_context(&target, &request, options.dry_run, &warnings),
        tracker: Tracker::new(&target, &request, part),
        options,
    };
    let updated = match body {
        Body::Patch { patch, names_managed_fields } => patching.patch(&patch, names_managed_fields).await?,
        Body::Configuration(applied) => patching.apply(&applied).await?,
    };
    let code = if updated.created { StatusCode::CREATED } else { StatusCode::OK };
    forms::one(&target, accepted, code, &updated.object, &warnings)
}

/// The body of a patch request.
pub enum Body {
    /// A change.
    Patch {
        /// What changes.
        patch: Patch,
        /// Whether it is about managed fields, too.
        names_managed_fields: bool,
    },
    /// A configuration to apply.
    Configuration(Configuration),
}

/// A configuration to apply.
pub struct Configuration {
    /// Its tree.
    pub tree: Value,
    /// Whether it takes fields from others.
    pub force: bool,
    /// The keys that stand twice in it.
    duplicates: Vec<String>,
}

/// Reads a patch.
///
/// # Errors
/// [`Error::UnsupportedMediaType`], or what makes it no patch.
pub async fn read(request: &mut Request) -> Result<(Body, WriteOptions), Error> {
    let patch_type = match decode::media_type(&request.headers) {
        "application/json-patch+json" => Some(PatchType::Json),
        "application/merge-patch+json" => Some(PatchType::Merge),
        "application/strategic-merge-patch+json" => Some(PatchType::Strategic),
        "application/apply-patch+yaml" => None,
        _ => return Err(Error::UnsupportedMediaType { accepted: PATCH_TYPES }),
    };
    let body = body::read_all(std::mem::take(&mut request.body)).await?;
    let (options, force) = options::patch_options(&request.query, patch_type.is_none())?;
    let body = match patch_type {
        Some(patch_type) => Body::Patch {
            patch: Patch::parse(patch_type, &body, options.field_validation).map_err(refusal)?,
            names_managed_fields: body.windows(MANAGED_FIELDS.len()).any(|text| text == MANAGED_FIELDS.as_bytes()),
        },
        None => Body::Configuration(Configuration::parse(&body, force)?),
    };
    Ok((body, options))
}

/// A patch on its way.
struct Patching<'a> {
    target: &'a Target<'a>,
    request: &'a Request,
    part: Part,
    context: WriteContext<'a>,
    tracker: Tracker<'a>,
    options: WriteOptions,
}

impl Patching<'_> {
    /// Managed fields, often half of an object, are spared the way through the patch unless it names them.
    async fn patch(&self, patch: &Patch, names_managed_fields: bool) -> Result<Updated, Error> {
        let gvk = *self.target.kept.resource.gvk();
        let make = |present: &dyn Object| {
            let mut tree = present.to_value();
            if !names_managed_fields && let Some(Value::Object(metadata)) = tree.get_mut("metadata") {
                metadata.remove(MANAGED_FIELDS);
            }
            let patched = patch.apply(tree, gvk).map_err(refusal)?;
            let (mut object, mut warnings) = (patched.object, patched.warnings);
            object.set_defaults();
            warnings.extend(owner_references::dedup(object.as_mut(), Moment::AfterAdmission));
            self.warn(warnings);
            self.tracker.track_update(present, object.as_mut());
            self.fit(object)
        };
        self.context.update(&self.target.path.name, self.part, &make).await
    }

    /// Server-side apply: what is not there is created, by whoever may create it.
    async fn apply(&self, applied: &Configuration) -> Result<Updated, Error> {
        let apply = |live: Option<&dyn Object>| {
            let object = self.tracker.apply(live, &applied.tree, applied.force)?;
            self.warn(applied.judge(self.options.field_validation)?);
            self.fit(object)
        };
        let name = &self.target.path.name;
        let make = |present: &dyn Object| apply(Some(present));
        if self.part != Part::Whole {
            return self.context.update(name, self.part, &make).await;
        }
        let make_new = || {
            let mut object = apply(None)?;
            self.may_create(object.as_ref())?;
            object.metadata_mut().resource_version = None;
            Ok(object)
        };
        self.context.update_or_create(name, self.part, &make, &make_new).await
    }

    fn may_create(&self, object: &dyn Object) -> Result<(), Error> {
        let info = RequestInfo { verb: "create".to_owned(), ..self.request.info.clone() };
        let authorizer = self.target.server.authorizer.as_ref();
        authorization::check(authorizer, &self.request.user, &info, &self.request.annotations)?;
        match object.metadata().uid.as_deref() {
            None | Some("") => Ok(()),
            Some(uid) => Err(Error::Conflict {
                group: self.target.kept.resource.gvk().group,
                kind: self.target.kept.resource.info.plural.to_owned(),
                name: self.target.path.name.clone(),
                conflict: crate::error::Conflict::Other(format!(
                    "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                )),
            }),
        }
    }

    /// Tells the client what the last attempt said on the side.
    fn warn(&self, texts: Vec<String>) {
        *self.context.warnings.lock().unwrap_or_else(PoisonError::into_inner) = texts;
    }

    fn fit(&self, mut object: Box<dyn Object>) -> Result<Box<dyn Object>, Error> {
        decode::fit_namespace(object.as_mut(), self.context.namespace)?;
        decode::fit_name(object.as_ref(), &self.target.path.name)?;
        Ok(object)
    }
}

impl Configuration {
    fn parse(body: &[u8], force: bool) -> Result<Self, Error> {
        let undecodable = |error: String| Error::BadRequest(format!("error decoding YAML: {error}"));
        let text = std::str::from_utf8(body).map_err(|_| "yaml: invalid leading UTF-8 octet".to_owned());
        let document = text.and_then(yaml::parse);
        let document = document.map_err(|error| undecodable(format!("error converting YAML to JSON: {error}")))?;
        let tree = match document.node {
            Node::Null => Value::Object(serde_json::Map::new()),
            node @ Node::Object(_) => node.into_value(),
            other => {
                return Err(undecodable(format!(
                    "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type \
                     map[string]interface {{}}",
                    other.go_kind()
                )));
            }
        };
        Ok(Self { tree, force, duplicates: document.duplicates })
    }

    /// What becomes of keys that stand twice: nothing, a warning, or a refusal.
    fn judge(&self, validation: FieldValidation) -> Result<Vec<String>, Error> {
        if self.duplicates.is_empty() || validation == FieldValidation::Ignore {
            return Ok(Vec::new());
        }
        let lines: String = self.duplicates.iter().map(|line| format!("\n  {line}")).collect();
        let text = format!("error converting YAML to JSON: yaml: unmarshal errors:{lines}");
        match validation {
            FieldValidation::Strict => Err(Error::BadRequest(format!("error strict decoding YAML: {text}"))),
            _ => Ok(vec![text]),
        }
    }
}

/// Why a patch cannot be read or applied.
pub fn refusal(error: patch::Error) -> Error {
    let invalid = |problems| Error::Invalid { group: "", kind: String::new(), name: String::new(), problems };
    match error {
        patch::Error::BadRequest(text) => Error::BadRequest(text),
        patch::Error::TooLarge(text) => Error::TooLarge(text),
        patch::Error::DoesNotApply => Error::Unprocessable(error.to_string()),
        patch::Error::Invalid(text) => {
            invalid(vec![field::Error { kind: field::ErrorType::Invalid, field: "patch".to_owned(), message: text }])
        }
        patch::Error::CannotMerge(text) => Error::Unspecific(text),
    }
}
