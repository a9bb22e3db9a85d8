//! The process a session is connected to, whatever protocol its client speaks.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::channel::End;
use crate::container::{Container, attach, exec};
use crate::runtime::Shared;
use crate::shim::protocol::Streams;
use crate::stdio::ProcessStreams;

/// A process for a client.
pub enum Process {
    /// A new one in a container.
    Exec {
        /// Which container.
        container: Arc<Container>,
        /// Program and arguments.
        argv: Vec<String>,
        /// On a terminal.
        tty: bool,
    },
    /// The container's first one.
    Attach {
        /// Which container.
        container: Arc<Container>,
        /// Whether the client has a terminal.
        tty: bool,
    },
}

/// A process whose streams are ours.
pub struct Connected {
    /// Its streams.
    pub streams: ProcessStreams,
    /// Waits for its end.
    pub ended: BoxFuture<'static, End>,
}

impl Process {
    /// Starts the process, or attaches to it.
    ///
    /// # Errors
    /// [`End::Failed`], in words for the client.
    pub async fn connect(self, shared: &Shared, streams: Streams) -> Result<Connected, End> {
        let failed = |error: cri::Error| End::Failed(error.to_string());
        match self {
            Self::Exec { container, argv, tty } => {
                let execution = exec::execute(shared, &container, argv.clone(), tty, streams).await;
                let mut execution = execution.map_err(failed)?;
                let streams = std::mem::take(&mut execution.streams);
                let ended = async move {
                    match execution.wait().await {
                        Ok(0) => End::Success,
                        Ok(code) => End::ExitCode { code, argv },
                        Err(error) => End::Failed(error.to_string()),
                    }
                };
                Ok(Connected { streams, ended: ended.boxed() })
            }
            Self::Attach { container, .. } => {
                let streams = attach::attach(&container, streams).await.map_err(failed)?;
                let ended = async move {
                    container.wait().await;
                    End::Success
                };
                Ok(Connected { streams, ended: ended.boxed() })
            }
        }
    }

    /// Whether the client has a terminal to tell the size of.
    pub fn has_terminal(&self) -> bool {
        let (Self::Exec { tty, .. } | Self::Attach { tty, .. }) = self;
        *tty
    }
}
