//! What the cache knows of an object without decoding it: names, labels and the fields selectors can ask for.

use std::fmt;

use api::labels::Labels;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

/// A field that field selectors can ask for, beyond `metadata.name` and `metadata.namespace`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectableField {
    /// What selectors call it.
    pub name: &'static str,
    /// Where it stands.
    pub path: &'static str,
    /// Its value where it is not set.
    pub absent: &'static str,
}

impl SelectableField {
    /// A field that is called after its path and empty when it is not set.
    pub const fn text(path: &'static str) -> Self {
        Self { name: path, path, absent: "" }
    }

    /// A boolean that is false when it is not set.
    pub const fn flag(path: &'static str) -> Self {
        Self { name: path, path, absent: "false" }
    }
}

/// The facts about one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Name.
    pub name: Box<str>,
    /// Namespace, or empty.
    pub namespace: Box<str>,
    /// Uid.
    pub uid: Box<str>,
    /// Labels.
    pub labels: Option<Box<Labels>>,
    /// Values of the resource's selectable fields, in the order of the fields.
    fields: Box<[Box<str>]>,
}

#[derive(Deserialize)]
struct Metadata {
    name: Box<str>,
    #[serde(default)]
    namespace: Box<str>,
    #[serde(default)]
    uid: Box<str>,
    #[serde(default)]
    labels: Option<Box<Labels>>,
}

impl Facts {
    /// Reads the facts off an object's JSON.
    ///
    /// # Errors
    /// When it is not JSON, or has no name.
    pub fn read(json: &[u8], selectable: &[SelectableField]) -> Result<Self, serde_json::Error> {
        let mut fields: Vec<Option<Box<str>>> = vec![None; selectable.len()];
        let wanted = selectable.iter().enumerate().map(|(index, field)| (index, field.path)).collect();
        let mut metadata = None;
        let root = Level { wanted, found: &mut fields, metadata: Some(&mut metadata) };
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        root.deserialize(&mut deserializer)?;
        let metadata: Metadata = metadata.ok_or_else(|| serde::de::Error::missing_field("metadata"))?;
        let fields = fields.into_iter().zip(selectable);
        Ok(Self {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            labels: metadata.labels,
            fields: fields.map(|(value, field)| value.unwrap_or_else(|| field.absent.into())).collect(),
        })
    }

    /// The value a field selector sees.
    pub fn field(&self, name: &str, selectable: &[SelectableField]) -> &str {
        match name {
            "metadata.name" => &self.name,
            "metadata.namespace" => &self.namespace,
            _ => {
                let index = selectable.iter().position(|field| field.name == name);
                index.and_then(|index| self.fields.get(index)).map_or("", |value| value)
            }
        }
    }
}

/// One level of the object: which paths go on from here.
struct Level<'a> {
    wanted: Vec<(usize, &'static str)>,
    found: &'a mut Vec<Option<Box<str>>>,
    /// Set at the root only.
    metadata: Option<&'a mut Option<Metadata>>,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Level<'_> {
    fn record(self, value: &str) {
        for (index, path) in self.wanted {
            if path.is_empty() {
                self.found[index] = Some(value.into());
            }
        }
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == "metadata"
                && let Some(metadata) = self.metadata.as_deref_mut()
            {
                *metadata = Some(map.next_value()?);
                continue;
            }
            let below = |(index, path): &(usize, &'static str)| {
                let rest = path.strip_prefix(key.as_ref())?;
                if rest.is_empty() { Some((*index, "")) } else { rest.strip_prefix('.').map(|rest| (*index, rest)) }
            };
            let wanted: Vec<_> = self.wanted.iter().filter_map(below).collect();
            if wanted.is_empty() {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(Level { wanted, found: self.found, metadata: None })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.record(value);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.record(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.record(&value.to_string());
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.record(&value.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.record(&value.to_string());
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_labels_and_selectable_fields_only() {
        let fields = [
            SelectableField::text("spec.nodeName"),
            SelectableField::flag("spec.hostNetwork"),
            SelectableField::text("type"),
        ];
        let json =
            br#"{"spec":{"containers":[{"nodeName":"no"}],"nodeName":"n1"},"metadata":{"name":"a","namespace":"b",
            "labels":{"x":"y"},"annotations":{"nodeName":"no"}},"type":"T"}"#;
        let facts = Facts::read(json, &fields).expect("facts");
        let field = |name| facts.field(name, &fields);
        assert_eq!((&*facts.name, &*facts.namespace), ("a", "b"));
        assert_eq!(facts.labels.as_ref().and_then(|labels| labels.get("x")).map(String::as_str), Some("y"));
        assert_eq!([field("spec.nodeName"), field("spec.hostNetwork"), field("type")], ["n1", "false", "T"]);
        assert_eq!(field("metadata.name"), "a");
        assert!(Facts::read(b"{}", &fields).is_err());
    }
}
