//! CustomResourceDefinitions: kinds that somebody adds.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionNames, CustomResourceDefinitionSpec,
    CustomResourceDefinitionVersion,
};

use crate::field::{ErrorList, Json, Path, extend_invalid, forbidden, invalid, not_supported, required};
use crate::meta::{IMMUTABLE, METADATA, Scope, text, validate_meta, validate_meta_update};
use crate::names::{dns1035_label, dns1123_subdomain, path_segment_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

const SPEC: Path<'static> = Path::new("spec");
const STATUS: Path<'static> = Path::new("status");

impl Kind for CustomResourceDefinition {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = &mut self.spec;
        omit_empty!(spec => preserve_unknown_fields);
        let names = &mut spec.names;
        omit_empty!(names => categories, list_kind, short_names, singular);
        if !names.kind.is_empty() {
            names.singular.get_or_insert_with(|| names.kind.to_lowercase());
            names.list_kind.get_or_insert_with(|| format!("{}List", names.kind));
        }
        let conversion = spec.conversion.get_or_insert_with(CustomResourceConversion::default);
        if conversion.strategy.is_empty() {
            "None".clone_into(&mut conversion.strategy);
        }
        let client = conversion.webhook.as_mut().and_then(|webhook| webhook.client_config.as_mut());
        if let Some(service) = client.and_then(|client| client.service.as_mut()) {
            service.port.get_or_insert(443);
        }
        for version in &mut spec.versions {
            omit_empty!(version => additional_printer_columns, deprecated, selectable_fields);
        }
        let status = self.status.get_or_insert_default();
        omit_empty!(status => conditions);
        status.accepted_names.get_or_insert_default();
        status.stored_versions.get_or_insert_default();
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, path_segment_name);
        let name = text(&self.metadata.name);
        if name != format!("{}.{}", self.spec.names.plural, self.spec.group) {
            errors.push(invalid(&METADATA.child("name"), name, "must be spec.names.plural+\".\"+spec.group"));
        }
        validate_spec(&self.spec, &mut errors);
        validate_stored_versions(self, &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        validate_spec(&self.spec, &mut errors);
        validate_stored_versions(self, &mut errors);
        let names_path = SPEC.child("names");
        let mut fixed = |path: Path<'_>, new: &str, old: &str| {
            if new != old {
                errors.push(invalid(&path, new, IMMUTABLE));
            }
        };
        if is_established(old) {
            fixed(SPEC.child("scope"), &self.spec.scope, &old.spec.scope);
            fixed(names_path.child("kind"), &self.spec.names.kind, &old.spec.names.kind);
        }
        fixed(SPEC.child("group"), &self.spec.group, &old.spec.group);
        fixed(names_path.child("plural"), &self.spec.names.plural, &old.spec.names.plural);
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        validate_stored_versions(self, &mut errors);
        errors
    }
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let lists = definition.status.iter().filter_map(|status| status.conditions.as_ref());
    lists.flatten().any(|condition| condition.type_ == "Established" && condition.status == "True")
}

/// The versions objects are stored in: remembered until somebody has rewritten them all.
fn validate_stored_versions(definition: &CustomResourceDefinition, errors: &mut ErrorList) {
    let stored = definition.status.as_ref().and_then(|status| status.stored_versions.as_deref()).unwrap_or_default();
    let path = STATUS.child("storedVersions");
    if stored.is_empty() {
        errors.push(invalid(&path, None::<i64>, "must have at least one stored version"));
        return;
    }
    let versions = &definition.spec.versions;
    for (position, name) in stored.iter().enumerate() {
        if !versions.iter().any(|version| version.name == *name) {
            let message = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            errors.push(invalid(&path.index(position), name, message));
        }
    }
    let storage = versions.iter().find(|version| version.storage);
    if let Some(storage) = storage.filter(|storage| !stored.contains(&storage.name)) {
        errors.push(invalid(&path, Json(&stored), format!("must have the storage version {}", storage.name)));
    }
}

fn validate_spec(spec: &CustomResourceDefinitionSpec, errors: &mut ErrorList) {
    let group_path = SPEC.child("group");
    let problems = dns1123_subdomain(&spec.group);
    if spec.group.is_empty() {
        errors.push(required(&group_path, ""));
    } else if problems.is_empty() && !spec.group.contains('.') {
        errors.push(invalid(&group_path, &spec.group, "should be a domain with at least one dot"));
    } else {
        extend_invalid(errors, &group_path, &spec.group, problems);
    }
    let scope_path = SPEC.child("scope");
    match spec.scope.as_str() {
        "" => errors.push(required(&scope_path, "")),
        "Cluster" | "Namespaced" => {}
        other => errors.push(not_supported(&scope_path, other, &["Cluster", "Namespaced"])),
    }
    let list_path = SPEC.child("versions");
    for (position, version) in spec.versions.iter().enumerate() {
        validate_version(version, &list_path.index(position), errors);
        if spec.versions[..position].iter().any(|other| other.name == version.name) {
            errors.push(invalid(&list_path, Json(&spec.versions), "must contain unique version names"));
        }
    }
    if spec.versions.iter().filter(|version| version.storage).count() != 1 {
        let message = "must have exactly one version marked as storage version";
        errors.push(invalid(&list_path, Json(&spec.versions), message));
    }
    validate_names(&spec.names, errors);
    if let Some(conversion) = &spec.conversion {
        validate_conversion(conversion, errors);
    }
}

fn validate_version(version: &CustomResourceDefinitionVersion, path: &Path<'_>, errors: &mut ErrorList) {
    extend_invalid(errors, &path.child("name"), &version.name, dns1035_label(&version.name));
    let schema_path = path.child("schema");
    let path = schema_path.child("openAPIV3Schema");
    let Some(schema) = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref()) else {
        errors.push(required(&path, ""));
        return;
    };
    match text(&schema.type_) {
        "object" => {}
        "" => errors.push(required(&path.child("type"), "must not be empty at the root")),
        other => errors.push(invalid(&path.child("type"), other, "must be object at the root")),
    }
}

fn validate_names(names: &CustomResourceDefinitionNames, errors: &mut ErrorList) {
    let path = SPEC.child("names");
    let list_kind = text(&names.list_kind);
    let given = [
        ("plural", names.plural.as_str()),
        ("singular", text(&names.singular)),
        ("kind", &names.kind),
        ("listKind", list_kind),
    ];
    for (field, _) in given.iter().filter(|(_, value)| value.is_empty()) {
        errors.push(required(&path.child(field), ""));
    }
    for (field, value) in given.into_iter().filter(|(_, value)| !value.is_empty()) {
        // Kinds are labels but for their capitals.
        let comparable = if field.ends_with("ind") { value.to_lowercase() } else { value.to_owned() };
        extend_invalid(errors, &path.child(field), value, dns1035_label(&comparable));
    }
    for (field, list) in [("shortNames", &names.short_names), ("categories", &names.categories)] {
        let list_path = path.child(field);
        for (position, value) in list.iter().flatten().enumerate() {
            extend_invalid(errors, &list_path.index(position), value, dns1035_label(value));
        }
    }
    if names.kind == list_kind && !list_kind.is_empty() {
        errors.push(invalid(&path.child("listKind"), list_kind, "kind and listKind may not be the same"));
    }
}

fn validate_conversion(conversion: &CustomResourceConversion, errors: &mut ErrorList) {
    let path = SPEC.child("conversion");
    match (conversion.strategy.as_str(), &conversion.webhook) {
        ("None", None) | ("Webhook", Some(_)) => {}
        ("None", Some(_)) => {
            let message = "should not be set when strategy is not set to Webhook";
            errors.push(forbidden(&path.child("webhook"), message));
        }
        ("Webhook", None) => {
            let message = "required when strategy is set to Webhook";
            errors.push(required(&path.child("webhookClientConfig"), message));
        }
        (other, _) => errors.push(not_supported(&path.child("strategy"), other, &["None", "Webhook"])),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn definitions_name_themselves_after_their_kind() {
        let problems = |names: Value, version: &Value| -> Vec<String> {
            let spec = json!({"group": "g.example.com", "scope": "Namespaced", "names": names, "versions": [version]});
            let status = json!({"storedVersions": ["v1"]});
            let object = json!({"metadata": {"name": "things.g.example.com"}, "spec": spec, "status": status});
            let mut definition: CustomResourceDefinition = serde_json::from_value(object).unwrap();
            definition.set_defaults();
            definition.validate().iter().map(ToString::to_string).collect()
        };
        let names = json!({"plural": "things", "kind": "Thing"});
        let bare = json!({"name": "v1", "served": true, "storage": true});
        let mut version = bare.clone();
        version["schema"] = json!({"openAPIV3Schema": {"type": "object"}});
        assert_eq!(problems(names.clone(), &version), [""; 0]);
        assert_eq!(problems(names, &bare), ["spec.versions[0].schema.openAPIV3Schema: Required value"]);
        assert_eq!(
            problems(json!({"plural": "things", "kind": ""}), &version),
            [
                "spec.names.singular: Required value",
                "spec.names.kind: Required value",
                "spec.names.listKind: Required value",
            ]
        );
    }
}
