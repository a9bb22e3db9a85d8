//! Lists of limited length, with unique elements.

use std::fmt;

use crate::field::{ErrorList, Path, Value, duplicate, too_many};

/// Checks each element of a list that is not too long; one that is too long is not looked into.
pub(super) fn validate_list<T>(
    list: &[T],
    max: usize,
    path: &Path<'_>,
    errors: &mut ErrorList,
    mut validate: impl FnMut(&T, &Path<'_>, &mut ErrorList),
) {
    if list.len() > max {
        errors.push(too_many(path, list.len(), max));
        return;
    }
    for (position, element) in list.iter().enumerate() {
        validate(element, &path.index(position), errors);
    }
}

/// The same for elements of which each may stand once, by their keys.
pub(super) fn validate_set<T, K: PartialEq + Value + fmt::Debug>(
    list: &[T],
    max: usize,
    key: impl Fn(&T) -> K,
    path: &Path<'_>,
    errors: &mut ErrorList,
    validate: impl FnMut(&T, &Path<'_>, &mut ErrorList),
) {
    validate_list(list, max, path, errors, validate);
    if list.len() > max {
        return;
    }
    for (position, element) in list.iter().enumerate() {
        if list[..position].iter().any(|other| key(other) == key(element)) {
            errors.push(duplicate(&path.index(position), key(element)));
        }
    }
}
