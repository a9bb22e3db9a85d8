//! What each sandbox holds, in one file per sandbox: `<directory>/<sandbox id>.json`.
//!
//! A file appears whole or not at all (written beside, then renamed). It need not survive a power cut: no sandbox does.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What one sandbox holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The host end of its veth pair.
    pub interface: String,
    /// Its host ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<HostPort>,
}

/// A host port that leads to a Pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPort {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Port on the host.
    pub host_port: u16,
    /// Address on the host, or every one.
    pub host_ip: Option<IpAddr>,
    /// Port in the Pod.
    pub container_port: u16,
}

/// The directory of records.
#[derive(Debug)]
pub struct Records {
    directory: PathBuf,
}

impl Records {
    /// Opens the directory, making it if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// All records by sandbox id. A file that is no record (a daemon killed mid-write left it) is removed.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn load(&self) -> io::Result<BTreeMap<String, Record>> {
        let mut records = BTreeMap::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let parsed = name.strip_suffix(".json").and_then(|id| {
                let record = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
                Some((id.to_owned(), record))
            });
            match parsed {
                Some((id, record)) => drop(records.insert(id, record)),
                None => fs::remove_file(&path)?,
            }
        }
        Ok(records)
    }

    /// Writes a record.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, sandbox_id: &str, record: &Record) -> io::Result<()> {
        let partial = self.directory.join(format!("{sandbox_id}.partial"));
        fs::write(&partial, serde_json::to_vec(record)?)?;
        fs::rename(partial, self.path(sandbox_id))
    }

    /// Removes a record; one that is not there is fine.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(&self, sandbox_id: &str) -> io::Result<()> {
        match fs::remove_file(self.path(sandbox_id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn path(&self, sandbox_id: &str) -> PathBuf {
        self.directory.join(format!("{sandbox_id}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_and_fragments_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::open(directory.path().join("pods")).unwrap();
        let record =
            Record { addresses: vec!["10.0.0.2".parse().unwrap()], interface: "veth1".to_owned(), ports: vec![] };
        records.save("a", &record).unwrap();
        fs::write(directory.path().join("pods/b.json"), b"{\"addr").unwrap();
        fs::write(directory.path().join("pods/c.partial"), b"").unwrap();
        assert_eq!(records.load().unwrap(), BTreeMap::from([("a".to_owned(), record)]));
        assert_eq!(fs::read_dir(directory.path().join("pods")).unwrap().count(), 1);
        records.remove("a").unwrap();
        records.remove("a").unwrap();
        assert!(records.load().unwrap().is_empty());
    }
}
