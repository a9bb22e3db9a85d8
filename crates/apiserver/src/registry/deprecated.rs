//! Kinds that are on their way out: what every answer about them says on the side.

use crate::filters::request_info::ResourcePath;

/// Group, version, resource, and the warning.
const DEPRECATED: &[(&str, &str, &str, &str)] = &[
    ("", "v1", "componentstatuses", "v1 ComponentStatus is deprecated in v1.19+"),
    ("", "v1", "endpoints", "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
];

/// The warning about a resource, if it is deprecated.
pub fn warning(path: &ResourcePath) -> Option<&'static str> {
    let own = (path.group.as_str(), path.version.as_str(), path.resource.as_str());
    DEPRECATED.iter().find(|(group, version, resource, _)| (*group, *version, *resource) == own).map(|row| row.3)
}
