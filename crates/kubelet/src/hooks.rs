//! Lifecycle hooks: `postStart` and `preStop`.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};

use crate::http_check::{self, HttpCheckError};

/// Why a hook failed.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The command ended badly.
    #[error("Exec lifecycle hook ({command}) for Container \"{container}\" failed - error: {problem}")]
    Exec {
        /// The command.
        command: String,
        /// The container.
        container: String,
        /// How it ended.
        problem: String,
    },
    /// The request failed.
    #[error("HTTP lifecycle hook ({path}) for Container \"{container}\" failed - error: {source}")]
    Http {
        /// The path.
        path: String,
        /// The container.
        container: String,
        /// Why.
        source: HttpCheckError,
    },
}

/// Runs a hook to its end. A handler that names no action does nothing.
///
/// # Errors
/// [`HookError`] when the action fails; its output is not repeated in it.
pub async fn run(
    runtime: &dyn cri::RuntimeService,
    container_id: &str,
    container: &Container,
    hook: &LifecycleHandler,
    pod_ip: Option<&str>,
) -> Result<(), HookError> {
    if let Some(exec) = &hook.exec {
        let cmd = exec.command.clone().unwrap_or_default();
        let command = format!("[{}]", cmd.join(" "));
        let request = cri::ExecSyncRequest { container_id: container_id.to_owned(), cmd, timeout: 0 };
        let failed = |problem| HookError::Exec { command: command.clone(), container: container.name.clone(), problem };
        let response = runtime.exec_sync(request).await.map_err(|error| failed(error.to_string()))?;
        return match response.exit_code {
            0 => Ok(()),
            code => Err(failed(format!("command '{}' exited with {code}", command.trim_matches(['[', ']'])))),
        };
    }
    if let Some(get) = &hook.http_get {
        let path = get.path.clone().unwrap_or_default();
        let outcome = http_check::run_hook(container, get, pod_ip).await;
        return outcome.map_err(|source| HookError::Http { path, container: container.name.clone(), source });
    }
    if let Some(sleep) = &hook.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
    }
    Ok(())
}
