//! A byte stream in the messages of a WebSocket: where one message ends and the next begins means nothing.

use futures::{SinkExt, StreamExt};
use platform::tasks::{self, TaskKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// How many bytes the stream holds in each direction.
const BUFFER: usize = 64 * 1024;

/// The byte stream inside a WebSocket that was just opened.
pub async fn open<T>(connection: T) -> DuplexStream
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let socket = WebSocketStream::from_raw_socket(connection, Role::Server, None).await;
    let (mut sink, mut source) = socket.split();
    let (near, far) = tokio::io::duplex(BUFFER);
    let (mut reader, mut writer) = tokio::io::split(far);
    tasks::spawn(TaskKind::Worker, "tunnel to client", async move {
        let mut buffer = vec![0; BUFFER];
        while let Ok(length @ 1..) = reader.read(&mut buffer).await {
            if sink.send(Message::Binary(buffer[..length].to_vec().into())).await.is_err() {
                return;
            }
        }
        // The good-bye; a client that has left does not hear it.
        let _ = sink.close().await;
    });
    tasks::spawn(TaskKind::Worker, "tunnel from client", async move {
        while let Some(Ok(message)) = source.next().await {
            let sent = match message {
                Message::Binary(bytes) => writer.write_all(&bytes).await,
                Message::Close(_) => break,
                _ => continue,
            };
            if sent.is_err() {
                return;
            }
        }
        // The end of what the client says; nobody who listens is fine.
        let _ = writer.shutdown().await;
    });
    near
}
