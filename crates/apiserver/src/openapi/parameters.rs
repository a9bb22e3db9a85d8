//! The parameters of operations, in the order of the documents: by name.

use serde_json::{Value, json};

/// A parameter of a path or query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    place: &'static str,
    kind: &'static str,
    description: &'static str,
}

const fn query(name: &'static str, kind: &'static str, description: &'static str) -> Parameter {
    Parameter { name, place: "query", kind, description }
}

const fn path(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, place: "path", kind: "string", description }
}

pub(super) const NAME: Parameter = path("name", "name of the object");
pub(super) const NAMESPACE: Parameter = path("namespace", "namespace of the object");
pub(super) const PATH: Parameter = path("path", "path to the resource");
pub(super) const PRETTY: Parameter = query("pretty", "string", "Whether the answer is laid out for people.");

const CONTINUE: Parameter = query("continue", "string", "The token of an earlier answer, to get what comes after it.");
const DRY_RUN: Parameter = query("dryRun", "string", "With \"All\" everything is checked and nothing is stored.");
const FIELD_MANAGER: Parameter =
    query("fieldManager", "string", "Who makes the change: at most 128 printable characters.");
const FIELD_SELECTOR: Parameter = query("fieldSelector", "string", "Only objects whose fields match.");
const FIELD_VALIDATION: Parameter = query(
    "fieldValidation",
    "string",
    "What becomes of unknown and duplicate fields: Ignore drops them, Warn names them in warnings, Strict refuses the request.",
);
const FORCE: Parameter = query("force", "boolean", "Whether an apply patch takes over fields that others own.");
const LABEL_SELECTOR: Parameter = query("labelSelector", "string", "Only objects whose labels match.");
const LIMIT: Parameter = query("limit", "integer", "The most objects to answer; the answer tells how to get the rest.");
const RESOURCE_VERSION: Parameter = query("resourceVersion", "string", "Which state of the objects may be answered.");
const RESOURCE_VERSION_MATCH: Parameter =
    query("resourceVersionMatch", "string", "Whether resourceVersion means exactly that state or a later one too.");
const SEND_INITIAL_EVENTS: Parameter =
    query("sendInitialEvents", "boolean", "Whether a watch begins with the present objects and a bookmark.");
const SHARD_SELECTOR: Parameter =
    query("shardSelector", "string", "Only objects whose hash is within the ranges: alpha, and without effect here.");
const IGNORE_STORE_READ_ERROR: Parameter = query(
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "boolean",
    "Whether to delete what cannot be read: alpha, and without effect here.",
);
const TIMEOUT_SECONDS: Parameter = query("timeoutSeconds", "integer", "How long a list or watch may take.");
const WATCH: Parameter = query("watch", "boolean", "Whether to stream changes instead of answering a list.");
const CONTAINER: Parameter = query("container", "string", "The container, where the Pod has more than one.");
const STDIN: Parameter = query("stdin", "boolean", "Whether standard input is sent.");
const STDOUT: Parameter = query("stdout", "boolean", "Whether standard output is received.");
const STDERR: Parameter = query("stderr", "boolean", "Whether standard error is received.");
const TTY: Parameter = query("tty", "boolean", "Whether a terminal is allocated.");

pub(super) const LIST: &[Parameter] = &[
    query("allowWatchBookmarks", "boolean", "Whether a watch may have events of type BOOKMARK."),
    CONTINUE,
    FIELD_SELECTOR,
    LABEL_SELECTOR,
    LIMIT,
    RESOURCE_VERSION,
    RESOURCE_VERSION_MATCH,
    SEND_INITIAL_EVENTS,
    SHARD_SELECTOR,
    TIMEOUT_SECONDS,
    WATCH,
];

pub(super) const WRITE: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
pub(super) const WRITE_PATCH: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];

const GRACE_PERIOD: Parameter = query("gracePeriodSeconds", "integer", "How long the object may take to end.");
const ORPHAN: Parameter = query("orphanDependents", "boolean", "Deprecated: use propagationPolicy.");
const PROPAGATION: Parameter =
    query("propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground.");

pub(super) const DELETE: &[Parameter] = &[DRY_RUN, GRACE_PERIOD, IGNORE_STORE_READ_ERROR, ORPHAN, PROPAGATION];
pub(super) const DELETE_COLLECTION: &[Parameter] = &[
    CONTINUE,
    DRY_RUN,
    FIELD_SELECTOR,
    GRACE_PERIOD,
    IGNORE_STORE_READ_ERROR,
    LABEL_SELECTOR,
    LIMIT,
    ORPHAN,
    PROPAGATION,
    RESOURCE_VERSION,
    RESOURCE_VERSION_MATCH,
    SEND_INITIAL_EVENTS,
    SHARD_SELECTOR,
    TIMEOUT_SECONDS,
];

const EXEC: &[Parameter] = &[
    query("command", "string", "The command, one parameter per argument. No shell is involved."),
    CONTAINER,
    STDERR,
    STDIN,
    STDOUT,
    TTY,
];
const ATTACH: &[Parameter] = &[CONTAINER, STDERR, STDIN, STDOUT, TTY];
const PORT_FORWARD: &[Parameter] = &[query("ports", "integer", "The ports to forward, for WebSockets.")];
const PROXY: &[Parameter] = &[query("path", "string", "The path of the proxied request.")];
pub(super) const LOG: &[Parameter] = &[
    CONTAINER,
    query("follow", "boolean", "Whether to go on with lines as they are written."),
    query("insecureSkipTLSVerifyBackend", "boolean", "Whether the kubelet's certificate is left unchecked."),
    query("limitBytes", "integer", "The most bytes to answer."),
    PRETTY,
    query("previous", "boolean", "Whether to answer the log of the container before its last restart."),
    query("sinceSeconds", "integer", "Only lines not older than this."),
    query("stream", "string", "Which stream: All, Stdout or Stderr."),
    query("tailLines", "integer", "Only this many of the last lines."),
    query("timestamps", "boolean", "Whether each line begins with its time."),
];

/// The parameters of a subresource that opens a connection, by the kind of its options.
pub(super) fn of_connection(options: &str) -> &'static [Parameter] {
    match options {
        "PodExecOptions" => EXEC,
        "PodAttachOptions" => ATTACH,
        "PodPortForwardOptions" => PORT_FORWARD,
        _ => PROXY,
    }
}

impl Parameter {
    pub(super) fn value(self) -> Value {
        let mut value = json!({
            "name": self.name,
            "in": self.place,
            "description": self.description,
            "schema": {"type": self.kind, "uniqueItems": true},
        });
        if self.place == "path" {
            value["required"] = true.into();
        }
        value
    }
}
