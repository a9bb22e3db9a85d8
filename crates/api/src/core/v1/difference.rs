//! What differs between two objects, as a few lines for a message.

use serde::Serialize;

/// How many unchanged lines are shown around the changed ones.
const CONTEXT: usize = 3;

/// A unified diff of both objects' JSON in one hunk, from the first to the last line that differs; empty if none does.
pub(crate) fn difference<T: Serialize>(old: &T, new: &T) -> String {
    let (old, new) = (text(old), text(new));
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(old, new)| old == new).count();
    let head = same(&mut old.iter().zip(&new));
    if head == old.len() && head == new.len() {
        return String::new();
    }
    let tail = same(&mut old[head..].iter().rev().zip(new[head..].iter().rev()));
    let start = head.saturating_sub(CONTEXT);
    let end = |lines: &[&str]| (lines.len() - tail + CONTEXT).min(lines.len());
    let (old_end, new_end) = (end(&old), end(&new));
    let mut hunk = format!("@@ -{},{} +{},{} @@\n", start + 1, old_end - start, start + 1, new_end - start);
    let mut add = |mark: char, lines: &[&str]| {
        for line in lines {
            hunk.push(mark);
            hunk.push_str(line);
            hunk.push('\n');
        }
    };
    add(' ', &old[start..head]);
    add('-', &old[head..old.len() - tail]);
    add('+', &new[head..new.len() - tail]);
    add(' ', &old[old.len() - tail..old_end]);
    hunk
}

fn text<T: Serialize>(object: &T) -> String {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    object.serialize(&mut serializer).expect("API types always encode");
    String::from_utf8(text).expect("JSON is UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shows_the_changed_lines_with_their_surroundings() {
        let object = |value| json!({"a": 1, "b": value, "c": 3, "d": 4, "e": 5, "f": 6});
        assert_eq!(difference(&object(2), &object(2)), "");
        assert_eq!(
            difference(&object(2), &object(7)),
            "@@ -1,6 +1,6 @@\n {\n  \"a\": 1,\n- \"b\": 2,\n+ \"b\": 7,\n  \"c\": 3,\n  \"d\": 4,\n  \"e\": 5,\n"
        );
    }
}
