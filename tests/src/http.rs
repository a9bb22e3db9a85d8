//! Plain HTTP/1.1 through `kubectl proxy`: requests that a client library would not make, and their bare answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::kubectl::Kubectl;
use crate::stream::Stream;

const STARTS: Duration = Duration::from_secs(30);
/// No answer is waited for longer.
const ANSWERS: Duration = Duration::from_secs(70);

/// A running `kubectl proxy`.
pub struct Proxy {
    port: u16,
    _process: Stream,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status code.
    pub code: u16,
    /// Its headers, names in small letters.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// A header; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl Proxy {
    /// Starts one, with further flags for `kubectl`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(kubectl: &Kubectl, flags: &[&str]) -> Result<Self> {
        let arguments = [&["proxy", "--port=0", "--disable-filter=true"], flags].concat();
        let process = kubectl.stream(&arguments)?;
        let said =
            process.wait_for(STARTS, |text| text.lines().any(|line| line.starts_with("Starting to serve on")))?;
        let port = said.lines().find_map(|line| line.rsplit_once(':')?.1.trim().parse().ok());
        Ok(Self { port: port.with_context(|| format!("no port in {said:?}"))?, _process: process })
    }

    /// Sends a request up to its body, of which `withheld` more bytes are to come.
    ///
    /// # Errors
    /// When the proxy does not take it.
    pub fn send(&self, method: &str, path: &str, body: &str, withheld: usize) -> Result<Pending> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(ANSWERS))?;
        let length = body.len() + withheld;
        let kind = "Content-Type: application/json\r\nConnection: close";
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{kind}\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        Ok(Pending { stream })
    }

    /// `GET`.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.send("GET", path, "", 0)?.answer()
    }
}

/// A request that is not answered yet.
pub struct Pending {
    stream: TcpStream,
}

impl Pending {
    /// Sends more of its body.
    ///
    /// # Errors
    /// When the proxy has gone.
    pub fn send(&mut self, body: &str) -> Result<()> {
        Ok(self.stream.write_all(body.as_bytes())?)
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// When there is none, or it is no HTTP.
    pub fn answer(self) -> Result<Answer> {
        let mut reader = BufReader::new(self.stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let code = line.split_whitespace().nth(1).and_then(|code| code.parse().ok());
        let code = code.with_context(|| format!("no status line: {line:?}"))?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut body = Vec::new();
        reader.read_to_end(&mut body)?;
        Ok(Answer { code, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }
}
