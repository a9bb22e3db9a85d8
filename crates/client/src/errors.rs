//! What an API error means to the caller.

use kube::Error;

/// The object (or its namespace, or the resource itself) does not exist.
pub fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.is_not_found())
}

/// The object changed since it was read, or a precondition did not hold: read again and decide again.
pub fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.reason != "AlreadyExists" && status.is_conflict())
}

/// An object of this name exists already.
pub fn is_already_exists(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.is_already_exists())
}

/// The resource version is too old to watch or list from: list again.
pub fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 410)
}

/// The request did not get a verdict, so repeating it unchanged may succeed: connection trouble, overload, or a failure
/// inside the server.
pub fn is_transient(error: &Error) -> bool {
    match error {
        Error::Api(status) => status.code == 429 || status.code >= 500,
        Error::HyperError(_) | Error::Service(_) | Error::ReadEvents(_) | Error::HttpError(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn tells_what_a_status_means() {
        let error = |code, reason: &str| Error::Api(Box::new(Status::failure("", reason).with_code(code)));
        assert!(is_conflict(&error(409, "Conflict")) && !is_conflict(&error(409, "AlreadyExists")));
        assert!(is_already_exists(&error(409, "AlreadyExists")) && !is_already_exists(&error(409, "Conflict")));
        assert!(is_not_found(&error(404, "NotFound")) && !is_not_found(&error(403, "Forbidden")));
        assert!(is_gone(&error(410, "Expired")));
        assert!(is_transient(&error(503, "ServiceUnavailable")) && !is_transient(&error(422, "Invalid")));
    }
}
