//! `$(NAME)` in commands, arguments and values.

use k8s_openapi::api::core::v1::Container;

/// The command and arguments with references to the environment replaced.
pub fn command_and_args(container: &Container, env: &[(String, String)]) -> (Vec<String>, Vec<String>) {
    let lookup = |name: &str| env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let expand_all = |texts: &Option<Vec<String>>| {
        texts.iter().flatten().map(|text| expand(text, |name| lookup(name))).collect::<Vec<_>>()
    };
    (expand_all(&container.command), expand_all(&container.args))
}

/// Replaces `$(NAME)` by its value; `$$` is a dollar sign that starts no reference. A name without a value, and
/// anything else after a dollar sign, stays as it is.
pub fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find('$') {
        expanded.push_str(&rest[..position]);
        let after = &rest[position + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            expanded.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match lookup(name) {
                Some(value) => expanded.push_str(&value),
                None => expanded.push_str(&format!("$({name})")),
            }
            rest = tail;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_as_upstream_does() {
        let lookup = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "B" => Some("$(A)".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expected) in [
            ("$(A)", "1"),
            ("x-$(A)-$(A)", "x-1-1"),
            ("$(B)", "$(A)"),
            ("[$(EMPTY)]", "[]"),
            ("$(MISSING)", "$(MISSING)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$(A)", "$$(A)"),
            ("$A $", "$A $"),
            ("$(A", "$(A"),
            ("$()", "$()"),
            ("é$(A)ß", "é1ß"),
        ] {
            assert_eq!(expand(text, lookup), expected, "{text}");
        }
    }
}
