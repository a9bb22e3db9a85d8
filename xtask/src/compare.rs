//! `cargo run -p xtask -- compare DIR`: what a running server says of itself against what another one said.
//!
//! `DIR` has up to three folders. `discovery` and `openapi-v3` hold one answer per file, `apis_apps_v1.json` for
//! `/apis/apps/v1`; `defaults` holds Lists of the objects that are there from the start, in YAML. What the server has
//! beyond the reference is no difference unless it stands within something the reference has.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

mod differences;
mod discovery;
mod objects;
mod openapi;

use differences::Difference;

/// What to compare.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The directory of the reference.
    reference: PathBuf,
    /// How to reach the server; by default as kubectl does.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Print no more than so many differences of each document.
    #[arg(long, default_value_t = 20)]
    most: usize,
}

/// A document of the reference, by the path that answered it.
#[derive(Debug)]
struct Document {
    path: String,
    content: Value,
}

/// Compares, prints, and fails if there is any difference.
pub fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    let differing = runtime.block_on(compare(arguments))?;
    ensure!(differing == 0, "{differing} documents differ");
    Ok(())
}

async fn compare(arguments: &Arguments) -> Result<usize> {
    let client = connect(arguments.kubeconfig.as_deref()).await?;
    let mut differing = 0;
    for document in documents(&arguments.reference.join("discovery"))? {
        differing += report(arguments, &document.path, &discovery::compare(&client, &document).await?);
    }
    for document in documents(&arguments.reference.join("openapi-v3"))? {
        let name = format!("/openapi/v3{}", document.path);
        differing += report(arguments, &name, &openapi::compare(&client, &document).await?);
    }
    for (name, list) in objects::lists(&arguments.reference.join("defaults"))? {
        differing += report(arguments, &name, &objects::compare(&client, &list).await?);
    }
    Ok(differing)
}

/// Prints the differences of a document; 1 if there are any.
fn report(arguments: &Arguments, name: &str, found: &[Difference]) -> usize {
    if found.is_empty() {
        return 0;
    }
    println!("{name}: {} differences", found.len());
    for difference in found.iter().take(arguments.most) {
        println!("  {difference}");
    }
    1
}

async fn connect(kubeconfig: Option<&Path>) -> Result<Client> {
    let config = match kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path).context("read the kubeconfig")?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .context("use the kubeconfig")?
        }
        None => Config::infer().await.context("find a server")?,
    };
    Client::try_from(config).context("make a client")
}

/// What the server answers; nothing if it does not know the path.
async fn get(client: &Client, path: &str, accept: &str) -> Result<Option<Value>> {
    let request = http::Request::get(path).header(http::header::ACCEPT, accept).body(Vec::new())?;
    match client.request_text(request).await {
        Ok(text) => serde_json::from_str(&text).map(Some).with_context(|| format!("{path} is no JSON")),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error).with_context(|| format!("get {path}")),
    }
}

/// The JSON documents of a folder, which need not be there.
fn documents(folder: &Path) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for file in files(folder, ".json")? {
        let text = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        let content = serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", file.display()))?;
        let name = file.file_name().and_then(|name| name.to_str()).context("a file's name is text")?;
        documents.push(Document { path: path_of(name.trim_end_matches(".json")), content });
    }
    Ok(documents)
}

/// The files of a folder with an ending, sorted.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    files.retain(|file| file.to_string_lossy().ends_with(ending));
    files.sort();
    Ok(files)
}

/// `apis_apps_v1` is `/apis/apps/v1`.
fn path_of(name: &str) -> String {
    format!("/{}", name.replace('_', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_paths() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("apis_a.b_v1.json"), r#"{"kind": "X"}"#).unwrap();
        std::fs::write(folder.path().join("apis.headers"), "HTTP/2 200").unwrap();
        let documents = documents(folder.path()).unwrap();
        assert_eq!(documents.len(), 1);
        assert_eq!((documents[0].path.as_str(), &documents[0].content["kind"]), ("/apis/a.b/v1", &"X".into()));
        assert!(super::documents(&folder.path().join("none")).unwrap().is_empty());
    }
}
