//! CRI's failures as gRPC's, and back.

use cri::Error;
use grpc::{Code, Status};

/// A failure as it goes over the wire.
pub fn to_grpc(error: Error) -> Status {
    match error {
        Error::NotFound(words) => Status::new(Code::NotFound, words),
        Error::InvalidArgument(words) => Status::new(Code::InvalidArgument, words),
        Error::Unavailable(words) => Status::new(Code::Unavailable, words),
        Error::DeadlineExceeded(words) => Status::new(Code::DeadlineExceeded, words),
        Error::Failed(words) => Status::new(Code::Unknown, words),
    }
}

/// A failure as the kubelet knows it.
pub fn to_cri(status: Status) -> Error {
    let words = status.message;
    match status.code {
        Code::NotFound => Error::NotFound(words),
        Code::InvalidArgument => Error::InvalidArgument(words),
        Code::Unavailable => Error::Unavailable(words),
        Code::DeadlineExceeded => Error::DeadlineExceeded(words),
        _ => Error::Failed(words),
    }
}
