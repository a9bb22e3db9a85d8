//! The order of merged lists: first as `$setElementOrder` says, then as in the patch, then as before.

use serde_json::Value as Json;

use super::{Error, Member, Object, PATCH, Result, SET_ORDER, merge_list, no_merge_key, other};
use crate::schema::Value;

/// Carries out every `$setElementOrder/<list>` of a patch together with the patch of its list, and takes both out.
pub(super) fn set_element_orders(original: &mut Object, patch: &mut Object, schema: Value) -> Result<()> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(SET_ORDER)).cloned().collect();
    for directive in directives {
        let Some(Json::Array(order)) = patch.remove(&directive) else { return Err(Error::BadElementOrder) };
        let key = directive[SET_ORDER.len()..].strip_prefix('/').ok_or(Error::BadElementOrder)?;
        set_element_order(original, patch, key, &order, schema)?;
    }
    Ok(())
}

fn set_element_order(
    original: &mut Object,
    patch: &mut Object,
    key: &str,
    order: &[Json],
    schema: Value,
) -> Result<()> {
    let member = Member::find(schema, key)?;
    let old = list(original.get(key))?;
    let new = list(patch.get(key))?;
    check_order(new.unwrap_or_default(), order, member.merge_key())?;
    let server_order = old.unwrap_or_default().to_vec();
    let merged = match (old, new) {
        (None, None) => return Ok(()),
        (Some(old), None) => old.to_vec(),
        (None, Some(new)) => new.to_vec(),
        (Some(old), Some(new)) if member.merges_lists() => merge_list(old.to_vec(), new.to_vec(), member, false)?,
        (Some(_), Some(new)) => new.to_vec(),
    };
    patch.remove(key);
    let key_of_elements = member.merge_key();
    original.insert(key.to_owned(), Json::Array(arrange(merged, order, &server_order, key_of_elements)?));
    Ok(())
}

fn list(value: Option<&Json>) -> Result<Option<&[Json]>> {
    match value {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Array(list)) => Ok(Some(list)),
        Some(_) => Err(Error::BadElementOrder),
    }
}

/// Whether the patch keeps the order: what it names must stand in it, in the same order.
fn check_order(patch: &[Json], order: &[Json], key: Option<&str>) -> Result<()> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut places = order.iter();
    for element in patch.iter().filter(|element| element.get(PATCH).is_none()) {
        let wanted = identity(element, key)?;
        let mut found = false;
        for place in places.by_ref() {
            found = identity(place, key)? == wanted;
            if found {
                break;
            }
        }
        if !found {
            let (patch, order) = (crate::decode::go::print_list(patch), crate::decode::go::print_list(order));
            return other(format!("The order in patch list:\n{patch}\n doesn't match {SET_ORDER} list:\n{order}\n"));
        }
    }
    Ok(())
}

/// What tells an element from others: itself, or its value under the merge key.
fn identity<'a>(element: &'a Json, key: Option<&str>) -> Result<&'a Json> {
    let Some(key) = key else { return Ok(element) };
    let Json::Object(map) = element else { return other("expected a map[string]interface {}".to_owned()) };
    map.get(key).ok_or_else(|| no_merge_key(map, key))
}

/// Puts merged elements into their order: those that stand in `order` as it says, the others as in `server_order`, each
/// of the latter as far to the front as `server_order` allows.
pub(super) fn arrange(
    merged: Vec<Json>,
    order: &[Json],
    server_order: &[Json],
    key: Option<&str>,
) -> Result<Vec<Json>> {
    let places = |list: &[Json]| list.iter().map(|element| identity(element, key).cloned()).collect::<Result<Vec<_>>>();
    let (order, server_order) = (places(order)?, places(server_order)?);
    let place = |list: &[Json], identity: &Json| list.iter().position(|known| known == identity);
    let (mut patched, mut server) = (Vec::new(), Vec::new());
    for element in merged {
        let identity = identity(&element, key)?.clone();
        let on_server = place(&server_order, &identity);
        match place(&order, &identity) {
            Some(rank) => patched.push((rank, on_server, element)),
            None => server.push((on_server.unwrap_or(usize::MAX), on_server, element)),
        }
    }
    patched.sort_by_key(|(rank, ..)| *rank);
    server.sort_by_key(|(rank, ..)| *rank);
    let mut arranged = Vec::with_capacity(patched.len() + server.len());
    let (mut patched, mut server) = (patched.into_iter().peekable(), server.into_iter().peekable());
    loop {
        let server_first = match (server.peek(), patched.peek()) {
            (None, None) => return Ok(arranged),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some((_, Some(left), _)), Some((_, Some(right), _))) => left < right,
            _ => false,
        };
        arranged.extend(if server_first { server.next() } else { patched.next() }.map(|(.., element)| element));
    }
}

/// Removes elements that stand in front of themselves already.
pub(super) fn dedup(list: &mut Vec<Json>) {
    let mut kept: Vec<Json> = Vec::with_capacity(list.len());
    for element in list.drain(..) {
        if !kept.contains(&element) {
            kept.push(element);
        }
    }
    *list = kept;
}
