//! Amounts that are a number or a share, such as `maxUnavailable`.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::field::{ErrorList, Json, Path, check_not_negative, invalid};

const NO_PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                          '93%', regex used for validation is '[0-9]+%')";

/// The share of a text such as `25%`.
fn percent(amount: &IntOrString) -> Option<i64> {
    let IntOrString::String(text) = amount else { return None };
    let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    // A share that no integer holds is still one, and far too large.
    (!digits.is_empty()).then(|| digits.parse().unwrap_or(i64::MAX))
}

/// The number or the share itself; anything else counts as nothing.
pub fn bare_value(amount: &IntOrString) -> i64 {
    match amount {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(text) => percent(amount).unwrap_or_else(|| text.parse().unwrap_or(0)),
    }
}

/// What an amount means for so many; shares are rounded up or down. `None` when it is neither number nor share.
pub fn scaled(amount: &IntOrString, total: i32, round_up: bool) -> Option<i32> {
    match amount {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(_) => {
            let product = percent(amount)?.saturating_mul(i64::from(total));
            let rest = i64::from(round_up && product % 100 != 0);
            i32::try_from(product / 100 + rest).ok()
        }
    }
}

/// Adds a problem unless an amount is a number that is not negative, or a share.
pub fn check(errors: &mut ErrorList, path: &Path<'_>, amount: &IntOrString) {
    match amount {
        IntOrString::Int(number) => check_not_negative(errors, path, Some(*number)),
        IntOrString::String(_) if percent(amount).is_none() => errors.push(invalid(path, Json(amount), NO_PERCENT)),
        IntOrString::String(_) => {}
    }
}

/// Adds a problem when a share is more than everything.
pub fn check_at_most_all(errors: &mut ErrorList, path: &Path<'_>, amount: &IntOrString) {
    if percent(amount).is_some_and(|percent| percent > 100) {
        errors.push(invalid(path, Json(amount), "must not be greater than 100%"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> IntOrString {
        IntOrString::String(text.to_owned())
    }

    #[test]
    fn amounts_are_numbers_or_shares() {
        for (amount, bare, of_ten, problems) in [
            (IntOrString::Int(3), 3, Some(3), 0),
            (IntOrString::Int(-1), -1, Some(-1), 1),
            (text("25%"), 25, Some(3), 0),
            (text("100%"), 100, Some(10), 0),
            (text("101%"), 101, Some(11), 1),
            (text("x%"), 0, None, 1),
            (text("%"), 0, None, 1),
            (text("7"), 7, None, 1),
        ] {
            let mut errors = ErrorList::new();
            check(&mut errors, &Path::new("a"), &amount);
            check_at_most_all(&mut errors, &Path::new("a"), &amount);
            assert_eq!((bare_value(&amount), errors.len()), (bare, problems), "{amount:?}");
            assert_eq!(scaled(&amount, 10, true), of_ten, "{amount:?}");
        }
        assert_eq!(scaled(&text("25%"), 10, false), Some(2));
    }
}
