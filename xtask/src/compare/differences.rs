//! Where two trees differ. Pure.

use std::fmt;

use serde_json::Value;

/// One place where the server says something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub path: String,
    /// What the reference says, if it says anything.
    pub want: Option<Value>,
    /// What the server says, if it says anything.
    pub got: Option<Value>,
}

/// The longest value that is printed whole.
const SHOWN_CHARACTERS: usize = 160;

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<Value>| {
            let text = value.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
            if text.chars().count() <= SHOWN_CHARACTERS {
                return text;
            }
            text.chars().take(SHOWN_CHARACTERS).chain("...".chars()).collect()
        };
        write!(formatter, "{}: want {}, got {}", self.path, shown(&self.want), shown(&self.got))
    }
}

/// How lists are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Element by element.
    Counts,
    /// Elements with names by their names, others as a whole in any order.
    Free,
}

/// Every difference between two trees.
pub fn between(want: &Value, got: &Value, order: Order) -> Vec<Difference> {
    let mut found = Vec::new();
    walk("$", Some(want), Some(got), order, &mut found);
    found
}

fn walk(path: &str, want: Option<&Value>, got: Option<&Value>, order: Order, found: &mut Vec<Difference>) {
    match (want, got) {
        (Some(Value::Object(want)), Some(Value::Object(got))) => {
            let mut names: Vec<&String> = want.keys().chain(got.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                walk(&format!("{path}.{name}"), want.get(name), got.get(name), order, found);
            }
        }
        (Some(Value::Array(want)), Some(Value::Array(got))) => walk_lists(path, want, got, order, found),
        _ if want == got => {}
        _ => found.push(Difference { path: path.to_owned(), want: want.cloned(), got: got.cloned() }),
    }
}

fn walk_lists(path: &str, want: &[Value], got: &[Value], order: Order, found: &mut Vec<Difference>) {
    if order == Order::Counts {
        for position in 0..want.len().max(got.len()) {
            walk(&format!("{path}[{position}]"), want.get(position), got.get(position), order, found);
        }
        return;
    }
    let (mut want, mut got) = (keyed(want), keyed(got));
    while let Some((key, wanted)) = want.pop() {
        let match_at = got.iter().position(|(other, _)| *other == key);
        let other = match_at.map(|position| got.swap_remove(position).1);
        walk(&format!("{path}[{key}]"), Some(wanted), other, order, found);
    }
    for (key, other) in got {
        walk(&format!("{path}[{key}]"), None, Some(other), order, found);
    }
}

/// Elements by what names them, or by themselves.
fn keyed(list: &[Value]) -> Vec<(String, &Value)> {
    let name = |element: &Value| {
        let fields = ["name", "groupVersion", "version", "resource", "subresource"];
        let named = fields.iter().find_map(|field| element.get(field).and_then(Value::as_str));
        let metadata = element.pointer("/metadata/name").and_then(Value::as_str);
        metadata.or(named).map_or_else(|| element.to_string(), str::to_owned)
    };
    list.iter().map(|element| (name(element), element)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(want: &Value, got: &Value, order: Order) -> Vec<String> {
        between(want, got, order).into_iter().map(|difference| difference.path).collect()
    }

    #[test]
    fn names_each_place_that_differs() {
        let want = json!({"a": 1, "b": {"c": [1, 2], "d": "x"}, "e": null});
        let got = json!({"a": 1, "b": {"c": [1, 3, 4], "d": "x"}, "f": true});
        assert_eq!(paths(&want, &want, Order::Counts), [""; 0]);
        assert_eq!(paths(&want, &got, Order::Counts), ["$.b.c[1]", "$.b.c[2]", "$.e", "$.f"]);
    }

    #[test]
    fn elements_are_found_by_their_names() {
        let want = json!([{"name": "a", "verbs": ["get", "list"]}, {"name": "b"}]);
        let got = json!([{"name": "c"}, {"name": "a", "verbs": ["list", "get"]}]);
        assert_eq!(paths(&want, &got, Order::Free), ["$[b]", "$[c]"]);
    }

    #[test]
    fn long_values_are_cut() {
        let difference = Difference { path: "$".into(), want: Some("x".repeat(500).into()), got: None };
        let text = difference.to_string();
        assert!(text.ends_with("..., got nothing") && text.len() < 250, "{text}");
    }
}
