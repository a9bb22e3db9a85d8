//! What stands around the expressions of webhooks and policies. Expressions themselves are compiled by whoever
//! evaluates them.

use k8s_openapi::api::admissionregistration::v1::{MatchCondition, ParamKind, Variable};

use crate::field::{ErrorList, Path, duplicate, extend_invalid, invalid, required, too_many};
use crate::meta::text;
use crate::names::{dns1035_label, dns1123_subdomain, qualified_name};

const MAX_CONDITIONS: usize = 64;
const RESERVED: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

pub(super) fn validate_conditions(conditions: Option<&[MatchCondition]>, path: &Path<'_>, errors: &mut ErrorList) {
    let conditions = conditions.unwrap_or_default();
    let path = path.child("matchConditions");
    if conditions.len() > MAX_CONDITIONS {
        errors.push(too_many(&path, conditions.len(), MAX_CONDITIONS));
    }
    for (position, condition) in conditions.iter().enumerate() {
        let path = path.index(position);
        if condition.expression.trim().is_empty() {
            errors.push(required(&path.child("expression"), ""));
        }
        let (path, name) = (path.child("name"), condition.name.as_str());
        if name.is_empty() {
            errors.push(required(&path, ""));
            continue;
        }
        extend_invalid(errors, &path, name, qualified_name(name));
        if conditions[..position].iter().any(|other| other.name == name) {
            errors.push(duplicate(&path, name));
        }
    }
}

pub(super) fn validate_variables(variables: Option<&[Variable]>, path: &Path<'_>, errors: &mut ErrorList) {
    let path = path.child("variables");
    for (position, variable) in variables.unwrap_or_default().iter().enumerate() {
        let path = path.index(position);
        if variable.name.trim().is_empty() {
            errors.push(required(&path.child("name"), "name is not specified"));
        } else if !is_identifier(&variable.name) {
            errors.push(invalid(&path.child("name"), &variable.name, "name is not a valid CEL identifier"));
        }
        if variable.expression.trim().is_empty() {
            errors.push(required(&path.child("expression"), "expression is not specified"));
        }
    }
}

fn is_identifier(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !RESERVED.contains(&name)
}

/// The kind of a policy's parameters.
pub(super) fn validate_param_kind(kind: &ParamKind, path: &Path<'_>, errors: &mut ErrorList) {
    let path = &path.child("paramKind");
    let version_path = path.child("apiVersion");
    let api_version = text(&kind.api_version);
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if api_version.is_empty() {
        errors.push(required(&version_path, ""));
    } else if version.contains('/') {
        errors.push(invalid(&version_path, api_version, format!("unexpected GroupVersion string: {api_version}")));
    } else {
        check_joined(&version_path, group, dns1123_subdomain(group), !group.is_empty(), errors);
        if version.is_empty() {
            errors.push(invalid(&version_path, api_version, "version must be specified"));
        }
        check_joined(&version_path, version, dns1035_label(version), !version.is_empty(), errors);
    }
    let (path, name) = (path.child("kind"), text(&kind.kind));
    let problems = dns1035_label(&name.to_lowercase());
    if name.is_empty() {
        errors.push(required(&path, ""));
    } else if !problems.is_empty() {
        let message = format!("may have mixed case, but should otherwise match: {}", problems.join(","));
        errors.push(invalid(&path, name, message));
    }
}

/// All problems of one value in one text.
fn check_joined(
    path: &Path<'_>,
    value: &str,
    problems: crate::names::Problems,
    relevant: bool,
    errors: &mut ErrorList,
) {
    if relevant && !problems.is_empty() {
        errors.push(invalid(path, value, problems.join(",")));
    }
}
