//! Kubeconfig files: where a server is and who one is to it.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::files;

/// The content of a kubeconfig with one cluster and one user, both embedded.
#[derive(Debug, Clone, Copy)]
pub struct Kubeconfig<'a> {
    /// For instance `https://127.0.0.1:6443`.
    pub server: &'a str,
    /// Certificate of the authority that signed the server's certificate, PEM.
    pub authority: &'a str,
    /// The user's certificate, PEM.
    pub certificate: &'a str,
    /// The user's key, PEM.
    pub key: &'a str,
}

impl Kubeconfig<'_> {
    /// The file's text. Cluster, user and context are all called `isopod`.
    pub fn to_yaml(&self) -> String {
        let encode = |text: &str| STANDARD.encode(text);
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: isopod\npreferences: {{}}\n\
             clusters:\n- name: isopod\n  cluster:\n    certificate-authority-data: {}\n    server: {}\n\
             contexts:\n- name: isopod\n  context:\n    cluster: isopod\n    user: isopod\n\
             users:\n- name: isopod\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
            encode(self.authority),
            self.server,
            encode(self.certificate),
            encode(self.key),
        )
    }

    /// Writes the file, 0600, unless it says the same already.
    ///
    /// # Errors
    /// [`files::Error`].
    pub fn write(&self, path: &Path) -> Result<(), files::Error> {
        let content = self.to_yaml();
        if files::read(path)?.as_deref() == Some(&content) {
            return Ok(());
        }
        files::write_private(path, &content)
    }
}
