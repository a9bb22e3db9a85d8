//! Whether a token is still good: by the present moment, and by what it is bound to.

use jiff::{SignedDuration, Timestamp};

use super::claims::{Claims, Reference};
use super::{BoundKind, TokenError};

/// Clocks may be this far apart, and what is deleted stays good for so long.
const LEEWAY: SignedDuration = SignedDuration::from_mins(1);

/// What is known of an object that a token is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its uid.
    pub uid: String,
    /// Since when it is to be deleted.
    pub deleted_at: Option<Timestamp>,
}

impl Found {
    fn is_gone(&self, now: Timestamp) -> bool {
        self.deleted_at.is_some_and(|deleted| deleted.saturating_add(LEEWAY).is_ok_and(|end| end < now))
    }
}

/// A token is good between two moments.
///
/// # Errors
/// [`TokenError::Rejected`].
pub fn times(claims: &Claims, now: Timestamp) -> Result<(), TokenError> {
    let (now, leeway) = (now.as_second(), LEEWAY.as_secs());
    let text = match claims {
        claims if now.saturating_add(leeway) < claims.nbf => "service account token is not valid yet",
        claims if now.saturating_sub(leeway) > claims.exp => "service account token has expired",
        claims if now.saturating_add(leeway) < claims.iat => "service account token is issued in the future",
        _ => return Ok(()),
    };
    Err(rejected(text))
}

/// Of a ServiceAccount that is there.
///
/// # Errors
/// [`TokenError::Rejected`].
pub fn account(found: Option<&Found>, namespace: &str, claimed: &Reference, now: Timestamp) -> Result<(), TokenError> {
    let name = &claimed.name;
    let Some(found) = found else { return Err(rejected(format!("serviceaccounts {name:?} not found"))) };
    if found.uid != claimed.uid {
        let text = format!("service account UID ({}) does not match claim ({})", found.uid, claimed.uid);
        return Err(rejected(text));
    }
    if found.is_gone(now) {
        return Err(rejected(format!("service account {namespace}/{name} has been deleted")));
    }
    Ok(())
}

/// A token ends with the object it is bound to.
///
/// # Errors
/// [`TokenError::Rejected`].
pub fn bound(kind: BoundKind, found: Option<&Found>, claimed: &Reference, now: Timestamp) -> Result<(), TokenError> {
    let invalidated = || rejected("service account token has been invalidated");
    let found = found.ok_or_else(invalidated)?;
    if found.uid != claimed.uid {
        let kind = kind.noun();
        let (is, claim) = (&found.uid, &claimed.uid);
        return Err(rejected(format!("{kind} UID ({is}) does not match service account {kind} ref claim ({claim})")));
    }
    if found.is_gone(now) { Err(invalidated()) } else { Ok(()) }
}

fn rejected(text: impl Into<String>) -> TokenError {
    TokenError::Rejected(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::claims::PrivateClaims;

    const NOW: i64 = 1_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn told(outcome: Result<(), TokenError>) -> String {
        outcome.err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn reference(uid: &str) -> Reference {
        Reference { name: "x".to_owned(), uid: uid.to_owned() }
    }

    fn found(uid: &str, deleted_ago: Option<i64>) -> Found {
        let deleted_at = deleted_ago.map(|ago| Timestamp::from_second(NOW - ago).unwrap());
        Found { uid: uid.to_owned(), deleted_at }
    }

    #[test]
    fn tokens_are_good_between_two_moments() {
        let check = |nbf: i64, exp: i64, iat: i64| {
            let kubernetes = PrivateClaims::of_account("ns", reference("1"));
            let (aud, iss, jti, sub) = (Vec::new(), String::new(), String::new(), String::new());
            let claims = Claims { aud, exp: NOW + exp, iat: NOW + iat, iss, jti, kubernetes, nbf: NOW + nbf, sub };
            told(times(&claims, now()))
        };
        assert_eq!(check(0, 10, 0), "");
        assert_eq!(check(60, -60, 60), "", "clocks are not the same everywhere");
        assert_eq!(check(61, 100, 0), "service account token is not valid yet");
        assert_eq!(check(-100, -61, -100), "service account token has expired");
        assert_eq!(check(0, 100, 61), "service account token is issued in the future");
    }

    #[test]
    fn accounts_must_be_the_same_and_there() {
        let check = |found: Option<Found>| told(account(found.as_ref(), "ns", &reference("1"), now()));
        assert_eq!(check(Some(found("1", None))), "");
        assert_eq!(check(Some(found("1", Some(60)))), "");
        assert_eq!(check(Some(found("1", Some(61)))), "service account ns/x has been deleted");
        assert_eq!(check(Some(found("2", None))), "service account UID (2) does not match claim (1)");
        assert_eq!(check(None), "serviceaccounts \"x\" not found");
    }

    #[test]
    fn tokens_end_with_what_they_are_bound_to() {
        for (kind, noun) in [(BoundKind::Pod, "pod"), (BoundKind::Secret, "secret"), (BoundKind::Node, "node")] {
            let check = |found: Option<Found>| told(bound(kind, found.as_ref(), &reference("1"), now()));
            assert_eq!(check(Some(found("1", Some(60)))), "");
            assert_eq!(check(Some(found("1", Some(61)))), "service account token has been invalidated");
            assert_eq!(check(None), "service account token has been invalidated");
            let text = format!("{noun} UID (2) does not match service account {noun} ref claim (1)");
            assert_eq!(check(Some(found("2", None))), text);
        }
    }
}
