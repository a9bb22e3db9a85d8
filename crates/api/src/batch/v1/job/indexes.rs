//! Sets of indexes as Jobs write them: `1,3-5,7`.

use crate::field::Value as _;

/// How many indexes a text names, all below `completions`.
///
/// # Errors
/// What is wrong, in upstream's words.
pub(super) fn count(text: &str, completions: i32) -> Result<i32, String> {
    let mut total = 0;
    let mut last: Option<i32> = None;
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (first, end) = interval(part, completions)?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

/// The first index that both texts name; parts that are no intervals are passed over.
pub(super) fn overlap(one: &str, other: &str, completions: i32) -> Option<i32> {
    let intervals = |text: &str| -> Vec<(i32, i32)> {
        text.split(',').filter_map(|part| interval(part, completions).ok()).collect()
    };
    let (one, other) = (intervals(one), intervals(other));
    let common = |a: (i32, i32), b: (i32, i32)| (a.0 <= b.1 && b.0 <= a.1).then(|| a.0.max(b.0));
    one.iter().flat_map(|a| other.iter().filter_map(|b| common(*a, *b))).min()
}

fn interval(part: &str, completions: i32) -> Result<(i32, i32), String> {
    let quoted = |text: &str| {
        let mut out = String::new();
        text.quote(&mut out);
        out
    };
    let limits: Vec<&str> = part.split('-').collect();
    if limits.len() > 2 {
        let part = quoted(part);
        return Err(format!(
            "the fragment {part} violates the requirement that an index interval can have at most two parts separated by '-'"
        ));
    }
    let index = |text: &str| -> Result<i32, String> {
        let number: i64 =
            text.parse().map_err(|_| format!("cannot convert string to integer for index: {}", quoted(text)))?;
        i32::try_from(number)
            .ok()
            .filter(|index| *index < completions)
            .ok_or_else(|| format!("too large index: {}", quoted(text)))
    };
    let first = index(limits[0])?;
    let Some(end) = limits.get(1) else { return Ok((first, first)) };
    let end = index(end)?;
    if first >= end {
        return Err(format!("non-increasing order, previous: {first}, current: {end}"));
    }
    Ok((first, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_increasing_and_within_bounds() {
        let error = |text: &str| Err(text.to_owned());
        for (text, outcome) in [
            ("", Ok(0)),
            ("1,3-5,7", Ok(5)),
            ("3-1", error("non-increasing order, previous: 3, current: 1")),
            ("4,2", error("non-increasing order, previous: 4, current: 2")),
            ("x", error("cannot convert string to integer for index: \"x\"")),
            ("10", error("too large index: \"10\"")),
        ] {
            assert_eq!(count(text, 10), outcome, "{text}");
        }
        assert_eq!(overlap("1,3-5", "2,4-8", 10), Some(4));
        assert_eq!(overlap("1", "2", 10), None);
    }
}
