//! How a server and its connections come to an end: what late requests are told, and which connections are asked to
//! come anew.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use platform::random::Random;

use crate::body::Body;
use crate::handlers::health;

/// So many seconds later another server may be there.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// Whether a request is answered to the very end: what asks for health shall hear the truth.
pub fn is_exempt(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    health::ENDPOINTS.contains(&first)
}

/// What a request is told that comes too late.
pub fn refusal() -> Response<Body> {
    let text = Bytes::from_static(b"The apiserver is shutting down, please try again later.\n");
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, RETRY_SECONDS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Whether the dice say that a connection shall end after what it has under way. `chance` is between 0 and 1.
pub fn says_go_away(chance: f64, random: &dyn Random) -> bool {
    chance > 0.0 && (random.bits() >> 11) as f64 / (1u64 << 53) as f64 <= chance
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u64);

    impl Random for Fixed {
        fn uuid(&self) -> String {
            String::new()
        }

        fn bits(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn the_chance_decides() {
        for (chance, bits, expected) in
            [(0.0, 0, false), (1.0, u64::MAX, true), (0.02, u64::MAX / 100, true), (0.02, u64::MAX / 10, false)]
        {
            assert_eq!(says_go_away(chance, &Fixed(bits)), expected, "{chance} {bits}");
        }
    }

    #[test]
    fn health_is_told_to_the_end() {
        assert!(is_exempt("/readyz/ping") && is_exempt("/livez"));
        assert!(!is_exempt("/api/v1/pods") && !is_exempt("/"));
        assert_eq!(refusal().headers()[RETRY_AFTER], "5");
    }
}
