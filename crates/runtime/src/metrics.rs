//! Metrics of sandboxes and containers for Prometheus, named as cAdvisor names them. One table says all there is.

use cri::{
    ContainerMetrics, ContainerStats, LinuxPodSandboxStats, Metric, MetricDescriptor, MetricType,
    NetworkInterfaceUsage, PodSandboxMetrics, PodSandboxStats, UInt64Value,
};

/// Labels of every metric.
const LABELS: [&str; 5] = ["id", "name", "image", "pod", "namespace"];

/// A metric and where its value comes from.
struct Entry {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    value: Value,
}

/// Whose value, and how it is read.
enum Value {
    /// Of the sandbox.
    Pod(fn(&LinuxPodSandboxStats) -> Option<u64>),
    /// Of each network interface of the sandbox.
    Interface(fn(&NetworkInterfaceUsage) -> Option<u64>),
    /// Of each container.
    Container(fn(&ContainerStats) -> Option<u64>),
}

fn of(value: &Option<UInt64Value>) -> Option<u64> {
    value.as_ref().map(|value| value.value)
}

const ENTRIES: [Entry; 14] = [
    Entry {
        name: "container_cpu_usage_seconds_total",
        help: "Cumulative cpu time consumed in seconds.",
        kind: MetricType::Counter,
        value: Value::Container(|stats| of(&stats.cpu.as_ref()?.usage_core_nano_seconds).map(|ns| ns / 1_000_000_000)),
    },
    Entry {
        name: "container_memory_usage_bytes",
        help: "Current memory usage in bytes, including all memory regardless of when it was accessed",
        kind: MetricType::Gauge,
        value: Value::Container(|stats| of(&stats.memory.as_ref()?.usage_bytes)),
    },
    Entry {
        name: "container_memory_working_set_bytes",
        help: "Current working set in bytes.",
        kind: MetricType::Gauge,
        value: Value::Container(|stats| of(&stats.memory.as_ref()?.working_set_bytes)),
    },
    Entry {
        name: "container_memory_rss",
        help: "Size of RSS in bytes.",
        kind: MetricType::Gauge,
        value: Value::Container(|stats| of(&stats.memory.as_ref()?.rss_bytes)),
    },
    Entry {
        name: "container_memory_swap",
        help: "Container swap usage in bytes.",
        kind: MetricType::Gauge,
        value: Value::Container(|stats| of(&stats.swap.as_ref()?.swap_usage_bytes)),
    },
    Entry {
        name: "container_memory_failures_total",
        help: "Cumulative count of memory allocation failures: major page faults.",
        kind: MetricType::Counter,
        value: Value::Container(|stats| of(&stats.memory.as_ref()?.major_page_faults)),
    },
    Entry {
        name: "container_fs_usage_bytes",
        help: "Number of bytes that are consumed by the container on this filesystem.",
        kind: MetricType::Gauge,
        value: Value::Container(|stats| of(&stats.writable_layer.as_ref()?.used_bytes)),
    },
    Entry {
        name: "container_fs_inodes_total",
        help: "Number of Inodes",
        kind: MetricType::Gauge,
        value: Value::Container(|stats| of(&stats.writable_layer.as_ref()?.inodes_used)),
    },
    Entry {
        name: "container_processes",
        help: "Number of processes running inside the container.",
        kind: MetricType::Gauge,
        value: Value::Pod(|stats| of(&stats.process.as_ref()?.process_count)),
    },
    Entry {
        name: "container_network_receive_bytes_total",
        help: "Cumulative count of bytes received",
        kind: MetricType::Counter,
        value: Value::Interface(|interface| of(&interface.rx_bytes)),
    },
    Entry {
        name: "container_network_receive_errors_total",
        help: "Cumulative count of errors encountered while receiving",
        kind: MetricType::Counter,
        value: Value::Interface(|interface| of(&interface.rx_errors)),
    },
    Entry {
        name: "container_network_transmit_bytes_total",
        help: "Cumulative count of bytes transmitted",
        kind: MetricType::Counter,
        value: Value::Interface(|interface| of(&interface.tx_bytes)),
    },
    Entry {
        name: "container_network_transmit_errors_total",
        help: "Cumulative count of errors encountered while transmitting",
        kind: MetricType::Counter,
        value: Value::Interface(|interface| of(&interface.tx_errors)),
    },
    Entry {
        name: "container_last_seen",
        help: "Last time a container was seen by the exporter",
        kind: MetricType::Gauge,
        value: Value::Container(|stats| {
            let at = stats.writable_layer.as_ref()?.timestamp;
            u64::try_from(at / 1_000_000_000).ok()
        }),
    },
];

/// The table without its values.
pub fn descriptors() -> Vec<MetricDescriptor> {
    let labels = |value: &Value| {
        let interface = matches!(value, Value::Interface(_)).then_some("interface");
        LABELS.into_iter().chain(interface).map(str::to_owned).collect()
    };
    let descriptor = |entry: &Entry| MetricDescriptor {
        name: entry.name.into(),
        help: entry.help.into(),
        label_keys: labels(&entry.value),
    };
    ENTRIES.iter().map(descriptor).collect()
}

/// The metrics of a sandbox and its containers.
pub fn metrics(stats: &PodSandboxStats, image_of: impl Fn(&str) -> String) -> PodSandboxMetrics {
    let attributes = stats.attributes.clone().unwrap_or_default();
    let metadata = attributes.metadata.clone().unwrap_or_default();
    let linux = stats.linux.clone().unwrap_or_default();
    let labels = |id: &str, name: &str, image: String| {
        vec![id.to_owned(), name.to_owned(), image, metadata.name.clone(), metadata.namespace.clone()]
    };
    let metric = |entry: &Entry, timestamp: i64, label_values: Vec<String>, value: u64| Metric {
        name: entry.name.into(),
        timestamp,
        metric_type: entry.kind.into(),
        label_values,
        value: Some(UInt64Value { value }),
    };
    let network = linux.network.clone().unwrap_or_default();
    let pod_labels = labels(&attributes.id, "", String::new());
    let timestamp = linux.cpu.as_ref().map(|cpu| cpu.timestamp).unwrap_or_default();
    let of_pod = ENTRIES.iter().flat_map(|entry| match entry.value {
        Value::Pod(read) => {
            read(&linux).map(|value| metric(entry, timestamp, pod_labels.clone(), value)).into_iter().collect()
        }
        Value::Interface(read) => network
            .default_interface
            .iter()
            .chain(&network.interfaces)
            .filter_map(|interface| {
                let labels = [pod_labels.clone(), vec![interface.name.clone()]].concat();
                Some(metric(entry, network.timestamp, labels, read(interface)?))
            })
            .collect(),
        Value::Container(_) => Vec::new(),
    });
    let of_containers = linux.containers.iter().map(|container| {
        let attributes = container.attributes.clone().unwrap_or_default();
        let labels = labels(
            &attributes.id,
            attributes.metadata.as_ref().map(|metadata| metadata.name.as_str()).unwrap_or_default(),
            image_of(&attributes.id),
        );
        let at = container.writable_layer.as_ref().map(|layer| layer.timestamp).unwrap_or_default();
        let metrics = ENTRIES.iter().filter_map(|entry| match entry.value {
            Value::Container(read) => Some(metric(entry, at, labels.clone(), read(container)?)),
            Value::Pod(_) | Value::Interface(_) => None,
        });
        ContainerMetrics { container_id: attributes.id.clone(), metrics: metrics.collect() }
    });
    PodSandboxMetrics {
        pod_sandbox_id: attributes.id.clone(),
        metrics: of_pod.collect(),
        container_metrics: of_containers.collect(),
    }
}
