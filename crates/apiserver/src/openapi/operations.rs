//! Paths and their operations, from the rows of the registry.

use api::Gvk;
use api::schema::Type;
use serde_json::{Map, Value, json};

use super::definitions::of_metrics;
use super::parameters::{self, Parameter};
use super::{META, REFERENCE};
use crate::registry::{ResourceInfo, SubresourceInfo};

const MEDIA: &[&str] = &["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"];
const WATCH_MEDIA: &[&str] = &[
    "application/json",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf",
    "application/vnd.kubernetes.protobuf;stream=watch",
    "application/yaml",
];
const PATCH_MEDIA: &[&str] = &[
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// Kinds whose deletion answers the object instead of a `Status`.
const ANSWERS_DELETED: &[&str] = &[
    "CSIDriver",
    "CSINode",
    "DeviceClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodTemplate",
    "ResourceClaim",
    "ResourceClaimTemplate",
    "ResourceQuota",
    "ResourceSlice",
    "Service",
    "ServiceAccount",
    "StorageClass",
    "VolumeAttachment",
    "VolumeAttributesClass",
];

/// The group as identifiers have it: `rbac.authorization.k8s.io` is `RbacAuthorization`, the core group `Core`.
pub(super) fn camel(group: &str) -> String {
    short(group).split('.').map(capital).collect()
}

/// The group as tags have it: `rbacAuthorization`, `core`.
pub(super) fn tag(group: &str) -> String {
    let name = camel(group);
    name[..1].to_lowercase() + &name[1..]
}

fn short(group: &str) -> &str {
    if group.is_empty() { "core" } else { group.strip_suffix(".k8s.io").unwrap_or(group) }
}

fn capital(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

/// A kind as sentences have it: `a Pod`, `an Event`, `Endpoints`.
fn with_article(kind: &str) -> String {
    match kind.as_bytes() {
        [.., b's'] if !kind.ends_with("ss") && !kind.ends_with("Status") => kind.to_owned(),
        [b'A' | b'E' | b'I' | b'O' | b'U', ..] => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

/// One operation before its parameters are sorted to their places.
struct Operation {
    method: &'static str,
    parameters: Vec<Parameter>,
    value: Value,
}

/// The paths of one group version.
struct Paths {
    tag: String,
    /// For instance `CoreV1`.
    prefix: String,
    all: Map<String, Value>,
}

/// The paths of a group version: its list of resources, and everything below.
pub(super) fn of_version(mut resources: Vec<&ResourceInfo>, group: &str, version: &str) -> Value {
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let mut paths = Paths {
        tag: format!("{}_{version}", tag(group)),
        prefix: format!("{}{}", camel(group), capital(version)),
        all: Map::new(),
    };
    let get =
        paths.operation("get", "get available resources", &format!("get{}APIResources", paths.prefix), None, None);
    let schema = reference(&format!("{META}APIResourceList"));
    paths.add(
        format!("{root}/"),
        &[],
        vec![Operation { value: answering(get, &["200"], MEDIA, &schema), ..plain("get") }],
    );
    resources.sort_by_key(|resource| resource.plural);
    for resource in resources {
        paths.resource(&root, resource);
        for subresource in resource.subresources {
            paths.subresource(&root, resource, subresource);
        }
        if resource.verbs.contains(&"watch") {
            paths.watches(&root, resource);
        }
    }
    Value::Object(paths.all)
}

/// The one path of a document about discovery.
pub(super) fn of_discovery(path: &str, tag: &str, identifier: &str, answer: &str) -> Value {
    let description = if answer == "APIGroup" { "get information of a group" } else { "get available API versions" };
    let operation = json!({"tags": [tag], "description": description, "operationId": identifier});
    json!({ path: {"get": answering(operation, &["200"], MEDIA, &reference(&format!("{META}{answer}")))} })
}

/// The path of the server's version.
pub(super) fn of_server_version() -> Value {
    let schema = reference("io.k8s.apimachinery.pkg.version.Info");
    let description = "get the version information for this server";
    let operation = json!({"tags": ["version"], "description": description, "operationId": "getCodeVersion"});
    json!({"/version/": {"get": answering(operation, &["200"], &["application/json"], &schema)}})
}

/// `/.well-known/openid-configuration/`.
pub(super) fn of_issuer() -> Value {
    let operation = json!({
        "tags": ["WellKnown"],
        "description": "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
        "operationId": "getServiceAccountIssuerOpenIDConfiguration",
    });
    json!({"/.well-known/openid-configuration/": {"get": answering_text(operation, "application/json")}})
}

/// `/openid/v1/jwks/`.
pub(super) fn of_key_set() -> Value {
    let operation = json!({
        "tags": ["openid"],
        "description": "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
        "operationId": "getServiceAccountIssuerOpenIDKeyset",
    });
    json!({"/openid/v1/jwks/": {"get": answering_text(operation, "application/jwk-set+json")}})
}

fn answering_text(operation: Value, media: &str) -> Value {
    answering(operation, &["200"], &[media], &json!({"type": "string"}))
}

fn plain(method: &'static str) -> Operation {
    Operation { method, parameters: Vec::new(), value: Value::Null }
}

fn reference(definition: &str) -> Value {
    json!({ "$ref": format!("{REFERENCE}{definition}") })
}

fn content(media: &[&str], schema: &Value) -> Value {
    media.iter().map(|media| ((*media).to_owned(), json!({ "schema": schema }))).collect::<Map<_, _>>().into()
}

/// The schema of a kind's objects.
fn schema(gvk: Gvk) -> Value {
    definition(gvk).map_or_else(|| json!({"type": "object"}), |name| reference(&name))
}

/// The schema of a kind's lists, which stands beside that of its objects.
fn list_schema(gvk: Gvk) -> Value {
    definition(gvk).map_or_else(|| json!({"type": "object"}), |name| reference(&format!("{name}List")))
}

fn definition(gvk: Gvk) -> Option<String> {
    let structure = Type::of_kind(gvk.group, gvk.version, gvk.kind);
    structure.map(|structure| structure.definition().to_owned()).or_else(|| of_metrics(gvk))
}

/// The operation with the answers it can have.
fn answering(mut operation: Value, codes: &[&str], media: &[&str], schema: &Value) -> Value {
    let mut responses = Map::new();
    for code in codes {
        let description = match *code {
            "201" => "Created",
            "202" => "Accepted",
            _ => "OK",
        };
        responses.insert((*code).to_owned(), json!({"description": description, "content": content(media, schema)}));
    }
    responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
    operation["responses"] = Value::Object(responses);
    operation
}

impl Paths {
    fn operation(
        &self,
        method: &'static str,
        description: &str,
        identifier: &str,
        action: Option<&str>,
        gvk: Option<Gvk>,
    ) -> Value {
        let mut value = json!({"tags": [self.tag], "description": description, "operationId": identifier});
        let action = action.unwrap_or(method);
        if let Some(gvk) = gvk {
            value["x-kubernetes-action"] = action.into();
            value["x-kubernetes-group-version-kind"] =
                json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind});
        }
        value
    }

    /// Adds a path. What all its operations take stands beside them once.
    fn add(&mut self, path: String, places: &[Parameter], operations: Vec<Operation>) {
        let Some(first) = operations.first() else { return };
        let shared =
            |parameter: &Parameter| operations.iter().all(|operation| operation.parameters.contains(parameter));
        let mut common: Vec<Parameter> =
            first.parameters.iter().filter(|parameter| shared(parameter)).copied().collect();
        common.extend(places);
        common.sort_by_key(|parameter| parameter.name);
        let mut item = Map::new();
        for operation in operations {
            let mut value = operation.value;
            let own: Vec<Value> = operation
                .parameters
                .iter()
                .filter(|parameter| !common.contains(parameter))
                .map(|parameter| parameter.value())
                .collect();
            if !own.is_empty() {
                value["parameters"] = own.into();
            }
            item.insert(operation.method.to_owned(), value);
        }
        if !common.is_empty() {
            item.insert("parameters".to_owned(), common.into_iter().map(Parameter::value).collect());
        }
        self.all.insert(path, Value::Object(item));
    }

    fn resource(&mut self, root: &str, resource: &ResourceInfo) {
        let has = |verb: &str| resource.verbs.contains(&verb);
        let gvk = resource.gvk;
        let scope = if resource.namespaced { "Namespaced" } else { "" };
        let (within, mut places) = within(root, resource);
        let mut collection = Vec::new();
        if has("list") {
            collection.push(self.list(resource, &format!("list{}{scope}{}", self.prefix, gvk.kind)));
        }
        if has("create") {
            let identifier = format!("create{}{scope}{}", self.prefix, gvk.kind);
            collection.push(self.write("post", &format!("create {}", with_article(gvk.kind)), &identifier, gvk));
        }
        if has("deletecollection") {
            let identifier = format!("delete{}Collection{scope}{}", self.prefix, gvk.kind);
            let description = format!("delete collection of {}", gvk.kind);
            let value = self.operation("delete", &description, &identifier, Some("deletecollection"), Some(gvk));
            let value = answering(with_delete_options(value), &["200"], MEDIA, &reference(&format!("{META}Status")));
            collection.push(Operation { method: "delete", parameters: parameters::DELETE_COLLECTION.to_vec(), value });
        }
        places.push(parameters::PRETTY);
        self.add(format!("{within}/{}", resource.plural), &places, collection);
        if resource.namespaced && has("list") {
            let list = self.list(resource, &format!("list{}{}ForAllNamespaces", self.prefix, gvk.kind));
            self.add(format!("{root}/{}", resource.plural), &[parameters::PRETTY], vec![list]);
        }
        let item = self.item(resource, "", gvk, resource.verbs);
        places.push(parameters::NAME);
        self.add(format!("{within}/{}/{{name}}", resource.plural), &places, item);
    }

    fn list(&self, resource: &ResourceInfo, identifier: &str) -> Operation {
        let (gvk, watchable) = (resource.gvk, resource.verbs.contains(&"watch"));
        let verb = if watchable { "list or watch" } else { "list" };
        let description = format!("{verb} objects of kind {}", gvk.kind);
        let value = self.operation("get", &description, identifier, Some("list"), Some(gvk));
        let value = answering(value, &["200"], WATCH_MEDIA, &list_schema(gvk));
        Operation { method: "get", parameters: parameters::LIST.to_vec(), value }
    }

    /// A request with an object as its body.
    fn write(&self, method: &'static str, description: &str, identifier: &str, gvk: Gvk) -> Operation {
        let object = schema(gvk);
        let mut value = self.operation(method, description, identifier, None, Some(gvk));
        value["requestBody"] = json!({"content": {"*/*": {"schema": object}}, "required": true});
        let codes: &[&str] = if method == "post" { &["200", "201", "202"] } else { &["200", "201"] };
        let value = answering(value, codes, MEDIA, &object);
        Operation { method, parameters: parameters::WRITE.to_vec(), value }
    }

    /// What can be done to one object, or to a part of it.
    fn item(&self, resource: &ResourceInfo, part: &str, gvk: Gvk, verbs: &[&str]) -> Vec<Operation> {
        let scope = if resource.namespaced { "Namespaced" } else { "" };
        let kind = resource.gvk.kind;
        let of = if part.is_empty() { String::new() } else { format!("{part} of ") };
        let suffix = if part.is_empty() { String::new() } else { capital(part) };
        let identifier = |verb: &str| format!("{verb}{}{scope}{kind}{suffix}", self.prefix);
        let mut operations = Vec::new();
        if verbs.contains(&"get") {
            let value =
                self.operation("get", &format!("read {of}the specified {kind}"), &identifier("read"), None, Some(gvk));
            operations.push(Operation { value: answering(value, &["200"], MEDIA, &schema(gvk)), ..plain("get") });
        }
        if verbs.contains(&"update") {
            let description = format!("replace {of}the specified {kind}");
            operations.push(self.write("put", &description, &identifier("replace"), gvk));
        }
        if verbs.contains(&"delete") && part.is_empty() {
            let value = self.operation(
                "delete",
                &format!("delete {}", with_article(kind)),
                &identifier("delete"),
                None,
                Some(gvk),
            );
            let answer =
                if ANSWERS_DELETED.contains(&kind) { schema(gvk) } else { reference(&format!("{META}Status")) };
            let value = answering(with_delete_options(value), &["200", "202"], MEDIA, &answer);
            operations.push(Operation { method: "delete", parameters: parameters::DELETE.to_vec(), value });
        }
        if verbs.contains(&"patch") {
            let description = format!("partially update {of}the specified {kind}");
            let mut value = self.operation("patch", &description, &identifier("patch"), None, Some(gvk));
            let body = content(PATCH_MEDIA, &reference(&format!("{META}Patch")));
            value["requestBody"] = json!({"content": body, "required": true});
            let value = answering(value, &["200", "201"], MEDIA, &schema(gvk));
            operations.push(Operation { method: "patch", parameters: parameters::WRITE_PATCH.to_vec(), value });
        }
        operations
    }

    fn subresource(&mut self, root: &str, resource: &ResourceInfo, subresource: &SubresourceInfo) {
        let (within, mut places) = within(root, resource);
        places.push(parameters::NAME);
        let path = format!("{within}/{}/{{name}}/{}", resource.plural, subresource.name);
        let kind = resource.gvk.kind;
        if subresource.gvk.kind.ends_with("Options") {
            places.extend(parameters::of_connection(subresource.gvk.kind));
            self.add(path.clone(), &places, self.connections(resource, subresource, ""));
            if subresource.name == "proxy" {
                places.push(parameters::PATH);
                self.add(format!("{path}/{{path}}"), &places, self.connections(resource, subresource, "WithPath"));
            }
            return;
        }
        let mut operations = self.item(resource, subresource.name, subresource.gvk, subresource.verbs);
        if subresource.verbs.contains(&"create") {
            let scope = if resource.namespaced { "Namespaced" } else { "" };
            let identifier = format!("create{}{scope}{kind}{}", self.prefix, capital(subresource.name));
            let description = format!("create {} of {}", subresource.name, with_article(kind));
            operations.push(self.write("post", &description, &identifier, subresource.gvk));
        }
        if subresource.name == "log" {
            places.extend(parameters::LOG);
            let media = [MEDIA, &["text/plain"]].concat();
            for operation in &mut operations {
                operation.value = answering(operation.value.take(), &["200"], &media, &json!({"type": "string"}));
            }
        } else {
            places.push(parameters::PRETTY);
        }
        self.add(path, &places, operations);
    }

    /// A subresource that opens a connection, by every method that its verbs stand for.
    fn connections(&self, resource: &ResourceInfo, subresource: &SubresourceInfo, suffix: &str) -> Vec<Operation> {
        let scope = if resource.namespaced { "Namespaced" } else { "" };
        let methods: &[(&str, &str)] =
            &[("create", "post"), ("delete", "delete"), ("get", "get"), ("patch", "patch"), ("update", "put")];
        let methods = methods.iter().filter(|(verb, _)| subresource.verbs.contains(verb)).map(|(_, method)| *method);
        // These have no verb of their own; a proxy passes them on all the same.
        let others: &[&str] = if subresource.name == "proxy" { &["head", "options"] } else { &[] };
        methods
            .chain(others.iter().copied())
            .map(|method| {
                let kind = resource.gvk.kind;
                let description =
                    format!("connect {} requests to {} of {kind}", method.to_uppercase(), subresource.name);
                let identifier = format!(
                    "connect{}{}{scope}{kind}{}{suffix}",
                    self.prefix,
                    capital(method),
                    capital(subresource.name)
                );
                let value = self.operation(method, &description, &identifier, Some("connect"), Some(subresource.gvk));
                Operation { value: answering(value, &["200"], &["*/*"], &json!({"type": "string"})), ..plain(method) }
            })
            .collect()
    }

    /// The old paths of watches.
    fn watches(&mut self, root: &str, resource: &ResourceInfo) {
        let (kind, scope) = (resource.gvk.kind, if resource.namespaced { "Namespaced" } else { "" });
        let list = format!(
            "watch individual changes to a list of {kind}. deprecated: use the 'watch' parameter with a list operation instead."
        );
        let one = format!(
            "watch changes to an object of kind {kind}. deprecated: use the 'watch' parameter with a list operation \
             instead, filtered to a single item with the 'fieldSelector' parameter."
        );
        let (within, places) = within(&format!("{root}/watch"), resource);
        let mut named = places.clone();
        named.push(parameters::NAME);
        let prefix = self.prefix.clone();
        let mut watch = |path: String, places: &[Parameter], description: &str, identifier: String, action: &str| {
            let value = self.operation("get", description, &identifier, Some(action), Some(resource.gvk));
            let value = answering(value, &["200"], WATCH_MEDIA, &reference(&format!("{META}WatchEvent")));
            let parameters = [parameters::LIST, &[parameters::PRETTY]].concat();
            self.add(path, places, vec![Operation { method: "get", parameters, value }]);
        };
        let plural = resource.plural;
        watch(format!("{within}/{plural}"), &places, &list, format!("watch{prefix}{scope}{kind}List"), "watchlist");
        watch(format!("{within}/{plural}/{{name}}"), &named, &one, format!("watch{prefix}{scope}{kind}"), "watch");
        if resource.namespaced {
            let identifier = format!("watch{prefix}{kind}ListForAllNamespaces");
            watch(format!("{root}/watch/{plural}"), &[], &list, identifier, "watchlist");
        }
    }
}

fn with_delete_options(mut operation: Value) -> Value {
    let schema = reference(&format!("{META}DeleteOptions"));
    operation["requestBody"] = json!({"content": {"*/*": {"schema": schema}}});
    operation
}

/// Where the collection of a resource stands, and what that path takes.
fn within(root: &str, resource: &ResourceInfo) -> (String, Vec<Parameter>) {
    if resource.namespaced {
        (format!("{root}/namespaces/{{namespace}}"), vec![parameters::NAMESPACE])
    } else {
        (root.to_owned(), Vec::new())
    }
}
