//! The outcome of a call, and how HTTP trailers say it.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue};

/// A call's outcome in `grpc-status`.
const STATUS: &str = "grpc-status";
/// Words for it, percent-encoded, in `grpc-message`.
const MESSAGE: &str = "grpc-message";

/// gRPC's codes other than success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // gRPC's own names; see its specification
pub enum Code {
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    const ALL: [Self; 16] = [
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// What Go's clients call it, in their errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "Canceled",
            Self::Unknown => "Unknown",
            Self::InvalidArgument => "InvalidArgument",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::PermissionDenied => "PermissionDenied",
            Self::ResourceExhausted => "ResourceExhausted",
            Self::FailedPrecondition => "FailedPrecondition",
            Self::Aborted => "Aborted",
            Self::OutOfRange => "OutOfRange",
            Self::Unimplemented => "Unimplemented",
            Self::Internal => "Internal",
            Self::Unavailable => "Unavailable",
            Self::DataLoss => "DataLoss",
            Self::Unauthenticated => "Unauthenticated",
        }
    }

    /// The code of a number that is not 0; numbers that gRPC does not have are `Unknown`.
    fn from_number(number: u32) -> Self {
        Self::ALL.into_iter().find(|code| *code as u32 == number).unwrap_or(Self::Unknown)
    }
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The kind of failure.
    pub code: Code,
    /// In words for a person.
    pub message: String,
}

impl Status {
    /// A failure in words.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Trailers that say it.
    pub(crate) fn to_trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(2);
        trailers.insert(STATUS, HeaderValue::from(self.code as u32));
        let message = HeaderValue::from_str(&encode(&self.message));
        trailers.insert(MESSAGE, message.expect("percent-encoded text is plain ASCII"));
        trailers
    }

    /// The outcome that headers or trailers tell of; `None` when they tell of none.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Result<(), Self>> {
        let number = headers.get(STATUS)?.to_str().ok().and_then(|text| text.parse::<u32>().ok());
        if number == Some(0) {
            return Some(Ok(()));
        }
        let code = number.map_or(Code::Unknown, Code::from_number);
        let message = headers.get(MESSAGE).map(|value| decode(value.as_bytes())).unwrap_or_default();
        Some(Err(Self { code, message }))
    }
}

/// Trailers of a call that went well.
pub(crate) fn success() -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static(STATUS), HeaderValue::from_static("0"))])
}

/// Percent-encodes all but printable ASCII, and the percent sign.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes every write");
        }
    }
    encoded
}

/// Undoes [`encode`]; what is not an escape stands for itself.
fn decode(bytes: &[u8]) -> String {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        let value = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        plain.push(value.unwrap_or(*first));
        rest = if value.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_trailers() {
        for words in ["", "plain words", "100 % sûr", "two\nlines", "%41 is not A"] {
            let status = Status::new(Code::NotFound, words);
            assert_eq!(Status::from_headers(&status.to_trailers()), Some(Err(status)));
        }
    }

    #[test]
    fn trailers_of_others_are_understood() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
        };
        let cases: [(HeaderMap, Option<Result<(), Status>>); 5] = [
            (headers(&[]), None),
            (headers(&[("grpc-status", "0"), ("grpc-message", "fine")]), Some(Ok(()))),
            (headers(&[("grpc-status", "14")]), Some(Err(Status::new(Code::Unavailable, "")))),
            (headers(&[("grpc-status", "77")]), Some(Err(Status::new(Code::Unknown, "")))),
            (headers(&[("grpc-status", "x"), ("grpc-message", "50%")]), Some(Err(Status::new(Code::Unknown, "50%")))),
        ];
        for (headers, outcome) in cases {
            assert_eq!(Status::from_headers(&headers), outcome, "{headers:?}");
        }
    }
}
