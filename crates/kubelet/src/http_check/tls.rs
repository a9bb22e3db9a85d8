//! TLS towards containers.

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{Error, InvalidMessage};

/// What is said when the server speaks plain HTTP.
pub(super) const NOT_TLS: &str = "http: server gave HTTP response to HTTPS client";

/// A session with whoever answers.
pub(super) async fn connect(host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
    platform::tls::connect_to_anybody(host, stream).await.map_err(|error| {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => NOT_TLS.to_owned(),
            Some(error) => format!("tls: {error}"),
            None => super::cause(&error).to_owned(),
        }
    })
}
