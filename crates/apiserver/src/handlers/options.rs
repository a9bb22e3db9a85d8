//! What query parameters ask for.

use std::num::{IntErrorKind, ParseIntError};
use std::sync::Mutex;

use api::decode::FieldValidation;
use api::field::{self, ErrorList, Path};
use api::{fields, labels};

use super::Target;
use crate::error::Error;
use crate::query::Query;
use crate::registry::Kept;
use crate::registry::store::WriteContext;
use crate::request::Request;
use crate::watch_cache::Filter;

/// The options of a write.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    /// Whether nothing shall be stored.
    pub dry_run: bool,
    /// What becomes of unknown fields.
    pub field_validation: FieldValidation,
}

impl WriteOptions {
    /// Reads the options of a request; `kind` is what upstream calls them, for instance `CreateOptions`.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn parse(query: &Query, kind: &str) -> Result<Self, Error> {
        let mut problems = ErrorList::new();
        let options = Self::read(query, &mut problems);
        refuse(kind, problems)?;
        Ok(options)
    }

    fn read(query: &Query, problems: &mut ErrorList) -> Self {
        let manager = query.get("fieldManager").unwrap_or_default();
        problems.extend(api::meta::validate_manager(manager, &Path::new("fieldManager")));
        let dry_run = dry_run(query.all("dryRun"), problems);
        let text = query.get("fieldValidation").unwrap_or_default();
        let field_validation = FieldValidation::parse(text).unwrap_or_else(|| {
            let supported = &["", "Ignore", "Strict", "Warn"];
            problems.push(field::not_supported(&Path::new("fieldValidation"), text, supported));
            FieldValidation::Ignore
        });
        Self { dry_run, field_validation }
    }
}

/// Reads the options of a patch, and whether it is forced.
///
/// # Errors
/// [`Error::Invalid`].
pub fn patch_options(query: &Query, is_apply: bool) -> Result<(WriteOptions, bool), Error> {
    let mut problems = ErrorList::new();
    if is_apply && query.get("fieldManager").unwrap_or_default().is_empty() {
        problems.push(field::required(&Path::new("fieldManager"), "is required for apply patch"));
    }
    if !is_apply && query.get("force").is_some() {
        problems.push(field::forbidden(&Path::new("force"), "may not be specified for non-apply patch"));
    }
    let options = WriteOptions::read(query, &mut problems);
    refuse("PatchOptions", problems)?;
    Ok((options, query.flag("force")))
}

/// Reads `dryRun`, which can only be `All`.
pub fn dry_run<'a>(values: impl Iterator<Item = &'a str>, problems: &mut ErrorList) -> bool {
    let mut asked = false;
    for value in values {
        match value {
            "" => {}
            "All" => asked = true,
            other => problems.push(field::not_supported(&Path::new("dryRun"), other, &["All"])),
        }
    }
    asked
}

/// Refuses options that have problems.
pub fn refuse(kind: &str, problems: ErrorList) -> Result<(), Error> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid { group: "meta.k8s.io", kind: kind.to_owned(), name: String::new(), problems })
}

/// The context of a write to a target.
pub fn write_context<'a>(
    target: &'a Target<'a>,
    request: &'a Request,
    dry_run: bool,
    warnings: &'a Mutex<Vec<String>>,
) -> WriteContext<'a> {
    let namespaced = target.kept.resource.info.namespaced;
    WriteContext {
        server: target.server,
        kept: target.kept,
        namespace: if namespaced { &target.path.namespace } else { "" },
        subresource: &target.path.subresource,
        user: &request.user,
        dry_run,
        warnings,
        annotations: &request.annotations,
    }
}

/// Which state a list or watch is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// The newest.
    Newest,
    /// Whatever is at hand.
    Any,
    /// At least as new as a revision.
    NotOlderThan(u64),
    /// Exactly a revision.
    Exact(u64),
}

/// The options of a list or watch.
#[derive(Debug)]
pub struct ListOptions {
    /// Which objects.
    pub filter: Filter,
    /// Which state.
    pub as_of: AsOf,
    /// The `resourceVersion` as a number; `None` when it was not given.
    pub revision: Option<u64>,
    /// So many at most; zero for all.
    pub limit: usize,
    /// The token of the page before.
    pub continue_token: String,
    /// How long a watch shall run; one that asks for less than no time ends at once.
    pub timeout_seconds: Option<u64>,
    /// Whether a watch tells from time to time how far it is.
    pub bookmarks: bool,
    /// Whether a watch starts with the objects there are.
    pub send_initial_events: Option<bool>,
}

impl ListOptions {
    /// Reads the options of a request.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for selectors that make no sense, [`Error::Invalid`] for combinations that do not.
    pub fn parse(target: &Target<'_>, query: &Query, watch: bool) -> Result<Self, Error> {
        let text = |name: &str| query.get(name).unwrap_or_default();
        let filter = filter(target, query)?;
        let send_initial_events = query.get("sendInitialEvents").map(|_| query.flag("sendInitialEvents"));
        check_combination(query, watch, send_initial_events)?;
        let revision = revision(query)?;
        let as_of = match (revision, text("resourceVersionMatch")) {
            (None, _) => AsOf::Newest,
            (Some(0), _) => AsOf::Any,
            (Some(revision), "Exact") => AsOf::Exact(revision),
            (Some(revision), _) => AsOf::NotOlderThan(revision),
        };
        Ok(Self {
            filter,
            as_of,
            revision,
            // None at all and less than none are no limit.
            limit: integer(query, "limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or_default(),
            continue_token: text("continue").to_owned(),
            timeout_seconds: integer(query, "timeoutSeconds")?
                .filter(|seconds| *seconds != 0)
                .map(|seconds| u64::try_from(seconds).unwrap_or_default()),
            bookmarks: query.flag("allowWatchBookmarks"),
            send_initial_events,
        })
    }
}

/// A parameter that is a number.
///
/// # Errors
/// [`Error::BadRequest`], in Go's words.
pub fn integer(query: &Query, name: &str) -> Result<Option<i64>, Error> {
    let Some(digits) = query.get(name) else { return Ok(None) };
    let refuse = |error| Error::BadRequest(unparsable("ParseInt", digits, &error));
    digits.parse().map(Some).map_err(refuse)
}

/// The `resourceVersion` as a number; `None` when it was not given.
///
/// # Errors
/// [`Error::Unspecific`], as upstream answers it.
pub fn revision(query: &Query) -> Result<Option<u64>, Error> {
    let Some(digits) = query.get("resourceVersion").filter(|digits| !digits.is_empty()) else { return Ok(None) };
    let refuse = |error| {
        let text = unparsable("ParseUint", digits, &error);
        Error::Unspecific(format!("resourceVersion: Invalid value: {digits:?}: {text}"))
    };
    digits.parse().map(Some).map_err(refuse)
}

fn unparsable(function: &str, digits: &str, error: &ParseIntError) -> String {
    let what = match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.{function}: parsing {digits:?}: {what}")
}

fn check_combination(query: &Query, watch: bool, send_initial_events: Option<bool>) -> Result<(), Error> {
    let text = |name: &str| query.get(name).unwrap_or_default();
    let (matching, version) = (text("resourceVersionMatch"), text("resourceVersion"));
    let path = Path::new("resourceVersionMatch");
    let mut problems = ErrorList::new();
    if watch {
        if send_initial_events.is_some() {
            if matching != "NotOlderThan" {
                let text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                problems.push(field::forbidden(&path, text));
            }
            if !matches!(matching, "" | "NotOlderThan") {
                problems.push(field::not_supported(&path, matching, &["NotOlderThan"]));
            }
        } else if !matching.is_empty() {
            let text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            problems.push(field::forbidden(&path, text));
        }
        if !text("continue").is_empty() {
            problems.push(field::forbidden(&Path::new("continue"), "continue is forbidden for watch"));
        }
        return refuse("ListOptions", problems);
    }
    if send_initial_events.is_some() {
        let text = "sendInitialEvents is forbidden for list";
        problems.push(field::forbidden(&Path::new("sendInitialEvents"), text));
    }
    if !matching.is_empty() {
        if version.is_empty() {
            let text = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            problems.push(field::forbidden(&path, text));
        }
        if !text("continue").is_empty() {
            problems.push(field::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
        }
        if !matches!(matching, "Exact" | "NotOlderThan") {
            problems.push(field::not_supported(&path, matching, &["Exact", "NotOlderThan", ""]));
        }
        if matching == "Exact" && version == "0" {
            let text = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            problems.push(field::forbidden(&path, text));
        }
    }
    refuse("ListOptions", problems)
}

/// The objects the path and the selectors mean.
fn filter(target: &Target<'_>, query: &Query) -> Result<Filter, Error> {
    let labels = query.get("labelSelector").unwrap_or_default();
    let labels = labels::Selector::parse(labels).map_err(|error| Error::BadRequest(error.to_string()))?;
    let mut text = query.get("fieldSelector").unwrap_or_default().to_owned();
    if target.path.named_in_path {
        // The legacy watch of one object.
        let comma = if text.is_empty() { "" } else { "," };
        text = format!("metadata.name={}{comma}{text}", target.path.name);
    }
    let fields = fields::Selector::parse(&text).map_err(|error| Error::BadRequest(error.to_string()))?;
    let fields = known_fields(target.kept, fields)?;
    let namespace = if target.kept.resource.info.namespaced { target.path.namespace.clone() } else { String::new() };
    Ok(Filter { namespace, labels, fields })
}

/// Puts the cache's names for fields into a selector.
fn known_fields(kept: &Kept, selector: fields::Selector) -> Result<fields::Selector, Error> {
    let mut text = String::new();
    let mut renamed = false;
    for requirement in selector.requirements() {
        let field = &requirement.field;
        let name = kept.selectable_field(field).ok_or_else(|| unknown_field(kept, field))?;
        renamed |= name != *field;
        let operator = if requirement.negated { "!=" } else { "=" };
        text.push_str(&format!("{name}{operator}{},", requirement.value));
    }
    if !renamed {
        return Ok(selector);
    }
    fields::Selector::parse(&text).map_err(|error| Error::BadRequest(error.to_string()))
}

fn unknown_field(kept: &Kept, field: &str) -> Error {
    if kept.has_selectable_fields() {
        return Error::BadRequest(format!("field label not supported: {field}"));
    }
    let text = format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
    Error::BadRequest(text)
}
