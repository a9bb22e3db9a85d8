//! The kubelet's URLs for what clients ask of a Pod.

use crate::error::Error;
use crate::query::Query;
use crate::registry::NodeCall;

/// Parameters of logs that are switches.
const LOG_FLAGS: [&str; 3] = ["follow", "previous", "timestamps"];
/// Parameters of logs that have values.
const LOG_VALUES: [&str; 5] = ["sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream"];
/// What clients, and what kubelets call the streams of a process.
const STREAMS: [(&str, &str); 4] = [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")];

/// Path and query on the kubelet.
///
/// # Errors
/// [`Error::BadRequest`] for an exec without a command.
pub fn path(call: NodeCall, namespace: &str, pod: &str, container: &str, query: &Query) -> Result<String, Error> {
    let mut url = Url::default();
    match call {
        NodeCall::Log => {
            LOG_FLAGS.iter().filter(|flag| query.flag(flag)).for_each(|flag| url.add(flag, "true"));
            for name in LOG_VALUES {
                query.get(name).filter(|value| !value.is_empty()).into_iter().for_each(|value| url.add(name, value));
            }
            Ok(url.finish(&format!("/containerLogs/{namespace}/{pod}/{container}")))
        }
        NodeCall::Exec => {
            add_streams(&mut url, query);
            let mut commands = query.all("command").peekable();
            if commands.peek().is_none() {
                return Err(Error::bad_request("you must specify at least 1 command for the container"));
            }
            commands.for_each(|command| url.add("command", command));
            Ok(url.finish(&format!("/exec/{namespace}/{pod}/{container}")))
        }
        NodeCall::Attach => {
            add_streams(&mut url, query);
            Ok(url.finish(&format!("/attach/{namespace}/{pod}/{container}")))
        }
        NodeCall::PortForward => {
            let lists = query.all("ports").flat_map(|list| list.split(','));
            lists.filter(|port| !port.is_empty()).for_each(|port| url.add("port", port));
            Ok(url.finish(&format!("/portForward/{namespace}/{pod}")))
        }
    }
}

/// Where the kubelet tells what befell the Pods of a name, or the one with this UID.
pub fn story(namespace: &str, pod: &str, uid: Option<&str>) -> String {
    let mut url = Url::default();
    uid.into_iter().for_each(|uid| url.add("uid", uid));
    url.finish(&format!("/story/{namespace}/{pod}"))
}

fn add_streams(url: &mut Url, query: &Query) {
    for (client, kubelet) in STREAMS {
        if query.flag(client) {
            url.add(kubelet, "1");
        }
    }
}

/// A query string being written.
#[derive(Default)]
struct Url(String);

impl Url {
    fn add(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => self.0.push(char::from(byte)),
                _ => self.0.push_str(&format!("%{byte:02X}")),
            }
        }
    }

    fn finish(self, path: &str) -> String {
        format!("{path}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_get_the_kubelets_names() {
        let check = |call, query: &str, expected: &str| {
            let url = path(call, "ns", "p", "c", &Query::parse(query));
            assert_eq!(url.map_err(|error| error.to_string()), Ok(expected.to_owned()));
        };
        check(NodeCall::Log, "follow=true&previous=false&tailLines=5", "/containerLogs/ns/p/c?follow=true&tailLines=5");
        check(
            NodeCall::Exec,
            "command=sh&command=-c&command=a%20b%26&stdin=true&stdout=1&tty=false",
            "/exec/ns/p/c?input=1&output=1&command=sh&command=-c&command=a%20b%26",
        );
        check(NodeCall::PortForward, "ports=80&ports=81", "/portForward/ns/p?port=80&port=81");
        check(NodeCall::Attach, "", "/attach/ns/p/c");
        assert!(path(NodeCall::Exec, "ns", "p", "c", &Query::default()).is_err());
    }
}
