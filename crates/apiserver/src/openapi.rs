//! OpenAPI v3: one document per group version, which `kubectl explain` and client-side validation read.
//!
//! Flow: the index names every document with its hash; a document is the paths that follow from the registry and the
//! definitions they lead to. The definitions lie compressed in the binary. They are unpacked for one document and
//! dropped with it; nothing is kept in memory between requests.

mod definitions;
mod operations;
mod parameters;
pub mod v2;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::discovery::{Catalog, hash};
use definitions::Definitions;

/// Where definitions stand in a document.
const REFERENCE: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// A document, named by its path below `/openapi/v3/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name<'a> {
    /// `api`: the core versions.
    Core,
    /// `apis`: the groups.
    Groups,
    /// `apis/GROUP`.
    Group(&'a str),
    /// `api/VERSION` with the empty group, or `apis/GROUP/VERSION`.
    Version(&'a str, &'a str),
    /// `version`.
    ServerVersion,
    /// `.well-known/openid-configuration`: who issues ServiceAccount tokens.
    Issuer,
    /// `openid/v1/jwks`: the keys of the tokens.
    KeySet,
}

impl<'a> Name<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        if parts.contains(&"") {
            return None;
        }
        match parts[..] {
            ["api"] => Some(Self::Core),
            ["apis"] => Some(Self::Groups),
            ["version"] => Some(Self::ServerVersion),
            [".well-known", "openid-configuration"] => Some(Self::Issuer),
            ["openid", "v1", "jwks"] => Some(Self::KeySet),
            ["apis", group] => Some(Self::Group(group)),
            ["api", version] => Some(Self::Version("", version)),
            ["apis", group, version] => Some(Self::Version(group, version)),
            _ => None,
        }
    }

    fn path(self) -> String {
        match self {
            Self::Core => "api".to_owned(),
            Self::Groups => "apis".to_owned(),
            Self::Group(group) => format!("apis/{group}"),
            Self::Version("", version) => format!("api/{version}"),
            Self::Version(group, version) => format!("apis/{group}/{version}"),
            Self::ServerVersion => "version".to_owned(),
            Self::Issuer => ".well-known/openid-configuration".to_owned(),
            Self::KeySet => "openid/v1/jwks".to_owned(),
        }
    }

    /// Whether there is such a document.
    fn exists(self, catalog: &Catalog<'_>) -> bool {
        match self {
            Self::Core | Self::Groups | Self::ServerVersion | Self::Issuer | Self::KeySet => true,
            Self::Group(group) => catalog.groups().contains(&group),
            Self::Version(group, version) => catalog.of(group, version).next().is_some(),
        }
    }
}

/// `/openapi/v3`: the path of every document, with a hash so that clients can keep it.
pub fn index(catalog: &Catalog<'_>) -> Vec<u8> {
    let mut names = vec![Name::Core, Name::Groups, Name::ServerVersion, Name::Issuer, Name::KeySet];
    names.extend(catalog.versions("").into_iter().map(|version| Name::Version("", version)));
    for group in catalog.groups() {
        names.push(Name::Group(group));
        names.extend(catalog.versions(group).into_iter().map(|version| Name::Version(group, version)));
    }
    let entry = |name: Name<'_>| {
        let (path, hash) = (name.path(), fingerprint(name, catalog));
        (path.clone(), json!({ "serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}") }))
    };
    let paths: Map<String, Value> = names.into_iter().map(entry).collect();
    json!({ "paths": paths }).to_string().into_bytes()
}

/// The hash of the document at `/openapi/v3/PATH`, if there is one. It is what the index says, and the document's entity
/// tag. It is made of what the document is made from, so that it costs no document.
pub fn document_hash(catalog: &Catalog<'_>, path: &str) -> Option<String> {
    let name = Name::parse(path).filter(|name| name.exists(catalog))?;
    Some(fingerprint(name, catalog))
}

fn fingerprint(name: Name<'_>, catalog: &Catalog<'_>) -> String {
    let mut sources = format!("{} {}\n", env!("CARGO_PKG_VERSION"), name.path()).into_bytes();
    if let Name::Version(group, version) = name {
        sources.extend(catalog.resource_list(group, version).unwrap_or_default());
    }
    sources.extend_from_slice(definitions::COMPRESSED);
    sources.extend_from_slice(definitions::METRICS.as_bytes());
    hash(&sources)
}

/// The document at `/openapi/v3/PATH`, if there is one, as JSON. It is long: let the compression filter pass over it.
pub fn document(catalog: &Catalog<'_>, path: &str) -> Option<Vec<u8>> {
    let name = Name::parse(path).filter(|name| name.exists(catalog))?;
    let definitions = Definitions::unpack();
    let paths = match name {
        Name::Version(group, version) => operations::of_version(catalog.of(group, version).collect(), group, version),
        Name::Core => operations::of_discovery("/api/", "core", "getCoreAPIVersions", "APIVersions"),
        Name::Groups => operations::of_discovery("/apis/", "apis", "getAPIVersions", "APIGroupList"),
        Name::Group(group) => {
            let identifier = format!("get{}APIGroup", operations::camel(group));
            operations::of_discovery(&format!("/apis/{group}/"), &operations::tag(group), &identifier, "APIGroup")
        }
        Name::ServerVersion => operations::of_server_version(),
        Name::Issuer => operations::of_issuer(),
        Name::KeySet => operations::of_key_set(),
    };
    let of = match name {
        Name::Version(group, version) => Some((group, version)),
        _ => None,
    };
    Some(write(&paths.to_string(), &definitions, of))
}

fn write(paths: &str, definitions: &Definitions, of: Option<(&str, &str)>) -> Vec<u8> {
    let reachable = definitions.reachable(paths);
    let length: usize = reachable.iter().map(|(name, text)| name.len() + text.len() + 4).sum();
    let mut out = String::with_capacity(paths.len() + length + 300);
    out.push_str(r#"{"openapi":"3.0.0","info":{"title":"Kubernetes","version":"1.36"},"paths":"#);
    out.push_str(paths);
    out.push_str(r#","components":{"#);
    let (opening, closing) = if reachable.is_empty() { ("", "") } else { (r#""schemas":{"#, "},") };
    out.push_str(opening);
    for (index, (name, text)) in reachable.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push('"');
        out.push_str(name);
        out.push_str("\":");
        out.push_str(&in_every_version(name, text, of));
    }
    let scheme = r#""type":"apiKey","description":"Bearer Token authentication","name":"authorization","in":"header""#;
    out.push_str(closing);
    out.push_str(&format!("\"securitySchemes\":{{\"BearerToken\":{{{scheme}}}}}}}}}"));
    out.into_bytes()
}

/// Some kinds are in each group's every version, beside the core one.
fn in_every_version<'a>(name: &str, text: &'a str, of: Option<(&str, &str)>) -> Cow<'a, str> {
    let Some(kind @ ("DeleteOptions" | "WatchEvent")) = name.strip_prefix(META) else { return Cow::Borrowed(text) };
    let gvk = |group: &str, version: &str| format!(r#"{{"group":"{group}","kind":"{kind}","version":"{version}"}}"#);
    match of {
        None | Some(("", _)) => Cow::Borrowed(text),
        Some((group, version)) => {
            let core = gvk("", "v1");
            Cow::Owned(text.replacen(&core, &format!("{core},{}", gvk(group, version)), 1))
        }
    }
}
