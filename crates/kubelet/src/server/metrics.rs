//! Metrics in Prometheus' text format, written from one summary of what is measured. Names and labels are upstream's.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::probes::CountKey;
use crate::stats::Detail;
use crate::stats::summary::{
    ComputeStats, ContainerStats, CpuStats, FsStats, InterfaceStats, MemoryStats, PodStats, Summary,
};

/// What the text is.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// `/metrics`
    Kubelet,
    /// `/metrics/cadvisor`
    Cadvisor,
    /// `/metrics/resource`
    Resource,
}

impl Page {
    /// What has to be measured for it.
    pub(super) fn detail(self) -> Detail {
        match self {
            Self::Kubelet | Self::Cadvisor => Detail::All,
            Self::Resource => Detail::CpuAndMemory,
        }
    }
}

/// Writes a page; `pods` is how many Pods the kubelet knows.
pub(super) fn write(page: Page, summary: &Summary, pods: usize) -> String {
    let mut text = Text::default();
    match page {
        Page::Kubelet => {
            kubelet(&mut text, summary, pods);
            volumes(&mut text, summary);
        }
        Page::Cadvisor => cadvisor(&mut text, summary),
        Page::Resource => resource(&mut text, summary),
    }
    text.0
}

/// Writes how often probes succeeded and failed.
pub(super) fn probes(counts: &BTreeMap<CountKey, u64>) -> String {
    let mut text = Text::default();
    let samples = counts.iter().map(|(key, count)| {
        let labels = vec![
            ("container", key.container.as_str()),
            ("namespace", &key.namespace),
            ("pod", &key.pod),
            ("pod_uid", &key.pod_uid),
            ("probe_type", key.kind.title()),
            ("result", if key.success { "successful" } else { "failed" }),
        ];
        (labels, float(*count), None)
    });
    let help = "[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result.";
    text.metric("prober_probe_total", "counter", help, samples);
    text.0
}

/// A page being written.
#[derive(Default)]
struct Text(String);

/// One value of a metric: labels, value, and when it was read.
type Sample<'a> = (Vec<(&'a str, &'a str)>, f64, Option<Timestamp>);

impl Text {
    /// Writes a metric with its values; without values nothing.
    fn metric<'a>(&mut self, name: &str, kind: &str, help: &str, samples: impl IntoIterator<Item = Sample<'a>>) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value, at) in samples {
            self.0.push_str(name);
            for (index, (label, value)) in labels.iter().enumerate() {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                let _ = write!(self.0, "{}{label}=\"{value}\"", if index == 0 { '{' } else { ',' });
            }
            if !labels.is_empty() {
                self.0.push('}');
            }
            let at = at.map(|at| format!(" {}", at.as_millisecond())).unwrap_or_default();
            let _ = writeln!(self.0, " {value}{at}");
        }
    }
}

#[allow(clippy::cast_precision_loss)] // metrics are floating point by definition
fn float(value: u64) -> f64 {
    value as f64
}

fn seconds(cpu: &CpuStats) -> Option<f64> {
    cpu.usage_core_nano_seconds.map(|nanoseconds| float(nanoseconds) / 1e9)
}

fn start_seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

fn kubelet(text: &mut Text, summary: &Summary, pods: usize) {
    let containers = summary.pods.iter().map(|pod| pod.containers.len()).sum::<usize>();
    let one = |value: f64| [(Vec::new(), value, None)];
    let name = summary.node.node_name.as_str();
    text.metric(
        "kubelet_node_name",
        "gauge",
        "[ALPHA] The node's name. The count is always 1.",
        [(vec![("node", name)], 1.0, None)],
    );
    text.metric(
        "kubelet_desired_pods",
        "gauge",
        "[ALPHA] The number of pods the kubelet is being instructed to run.",
        one(float(pods as u64)),
    );
    text.metric(
        "kubelet_running_pods",
        "gauge",
        "[BETA] Number of pods that have a running pod sandbox",
        one(float(summary.pods.len() as u64)),
    );
    text.metric(
        "kubelet_running_containers",
        "gauge",
        "[BETA] Number of containers currently running",
        [(vec![("container_state", "running")], float(containers as u64), None)],
    );
    let own = summary.node.system_containers.iter().find(|container| container.name == "kubelet");
    if let Some(own) = own {
        let cpu = own.compute.cpu.as_ref().and_then(seconds).unwrap_or(0.0);
        let memory = own.compute.memory.and_then(|memory| memory.usage_bytes).unwrap_or(0);
        text.metric(
            "process_cpu_seconds_total",
            "counter",
            "Total user and system CPU time spent in seconds.",
            one(cpu),
        );
        text.metric("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", one(float(memory)));
        let help = "Start time of the process since unix epoch in seconds.";
        text.metric("process_start_time_seconds", "gauge", help, one(start_seconds(own.start_time)));
    }
}

/// A figure of a volume.
type VolumeFigure = fn(&FsStats) -> u64;

const VOLUMES: [(&str, &str, VolumeFigure); 6] = [
    ("kubelet_volume_stats_available_bytes", "[ALPHA] Number of available bytes in the volume", |fs| {
        fs.available_bytes
    }),
    ("kubelet_volume_stats_capacity_bytes", "[ALPHA] Capacity in bytes of the volume", |fs| fs.capacity_bytes),
    ("kubelet_volume_stats_inodes", "[ALPHA] Maximum number of inodes in the volume", |fs| fs.inodes),
    ("kubelet_volume_stats_inodes_free", "[ALPHA] Number of free inodes in the volume", |fs| fs.inodes_free),
    ("kubelet_volume_stats_inodes_used", "[ALPHA] Number of used inodes in the volume", |fs| fs.inodes_used),
    ("kubelet_volume_stats_used_bytes", "[ALPHA] Number of used bytes in the volume", |fs| fs.used_bytes),
];

/// Volumes of claims, each once however many Pods use it.
fn volumes(text: &mut Text, summary: &Summary) {
    let all = summary.pods.iter().flat_map(|pod| &pod.volumes);
    let claims: BTreeMap<_, _> = all.filter_map(|volume| Some((volume.claim.as_ref()?, &volume.fs))).collect();
    for (name, help, figure) in VOLUMES {
        let samples = claims.iter().map(|(claim, fs)| {
            let labels = vec![("namespace", claim.namespace.as_str()), ("persistentvolumeclaim", &claim.name)];
            (labels, float(figure(fs)), None)
        });
        text.metric(name, "gauge", help, samples);
    }
}

/// A figure of a container's memory.
type MemoryFigure = fn(&MemoryStats) -> Option<u64>;

const MEMORY: [(&str, &str, MemoryFigure); 3] = [
    (
        "container_memory_usage_bytes",
        "Current memory usage in bytes, including all memory regardless of when it was accessed",
        |memory| memory.usage_bytes,
    ),
    ("container_memory_working_set_bytes", "Current working set in bytes.", |memory| memory.working_set_bytes),
    ("container_memory_rss", "Size of RSS in bytes.", |memory| memory.rss_bytes),
];

/// A figure of an interface.
type InterfaceFigure = fn(&InterfaceStats) -> u64;

const NETWORK: [(&str, &str, InterfaceFigure); 4] = [
    ("container_network_receive_bytes_total", "Cumulative count of bytes received", |usage| usage.rx_bytes),
    ("container_network_receive_errors_total", "Cumulative count of errors encountered while receiving", |usage| {
        usage.rx_errors
    }),
    ("container_network_transmit_bytes_total", "Cumulative count of bytes transmitted", |usage| usage.tx_bytes),
    ("container_network_transmit_errors_total", "Cumulative count of errors encountered while transmitting", |usage| {
        usage.tx_errors
    }),
];

/// Something with a cgroup: a Pod as a whole, or one of its containers.
struct Subject<'a> {
    pod: &'a PodStats,
    container: Option<&'a ContainerStats>,
    id: String,
}

impl<'a> Subject<'a> {
    fn all(summary: &'a Summary) -> Vec<Self> {
        let of_pod = |pod: &'a PodStats| {
            let whole = Self { pod, container: None, id: format!("/{}", pod.cgroup) };
            let parts = pod.containers.iter().map(move |container| Self {
                pod,
                container: Some(container),
                id: format!("/{}/{}", pod.cgroup, container.identity.id),
            });
            std::iter::once(whole).chain(parts)
        };
        summary.pods.iter().flat_map(of_pod).collect()
    }

    fn compute(&self) -> &'a ComputeStats {
        self.container.map_or(&self.pod.compute, |container| &container.compute)
    }

    fn cpu(&self) -> Option<&'a CpuStats> {
        self.compute().cpu.as_ref()
    }

    fn memory(&self) -> Option<&'a MemoryStats> {
        self.compute().memory.as_ref()
    }

    /// The labels, with one more behind those that are sorted before it.
    fn labels(&'a self, more: Option<(&'a str, &'a str)>) -> Vec<(&'a str, &'a str)> {
        let container = self.container;
        let mut labels = vec![
            ("container", container.map_or("", |container| &container.name)),
            ("id", &self.id),
            ("image", container.map_or("", |container| &container.identity.image)),
            ("name", container.map_or("", |container| &container.identity.id)),
            ("namespace", &self.pod.pod_ref.namespace),
            ("pod", &self.pod.pod_ref.name),
        ];
        labels.extend(more);
        labels.sort_unstable();
        labels
    }
}

fn cadvisor(text: &mut Text, summary: &Summary) {
    let subjects = Subject::all(summary);
    let cpu = subjects.iter().filter_map(|subject| {
        let cpu = subject.cpu()?;
        Some((subject.labels(Some(("cpu", "total"))), seconds(cpu)?, Some(cpu.time)))
    });
    text.metric("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.", cpu);
    for (name, help, figure) in MEMORY {
        let samples = subjects.iter().filter_map(|subject| {
            let memory = subject.memory()?;
            Some((subject.labels(None), float(figure(memory)?), Some(memory.time)))
        });
        text.metric(name, "gauge", help, samples);
    }
    let failures = subjects.iter().filter_map(|subject| {
        let memory = subject.memory()?;
        let mut labels = subject.labels(Some(("failure_type", "pgmajfault")));
        labels.push(("scope", if subject.container.is_some() { "container" } else { "hierarchy" }));
        Some((labels, float(memory.major_page_faults?), Some(memory.time)))
    });
    let help = "Cumulative count of memory allocation failures.";
    text.metric("container_memory_failures_total", "counter", help, failures);
    let layers = subjects.iter().filter_map(|subject| {
        let layer = subject.container?.rootfs.as_ref()?;
        Some((subject.labels(None), float(layer.used_bytes), Some(layer.time)))
    });
    let help = "Number of bytes that are consumed by the container on this filesystem.";
    text.metric("container_fs_usage_bytes", "gauge", help, layers);
    let started = subjects.iter().map(|subject| {
        let started = subject.container.map_or(subject.pod.start_time, |container| container.start_time);
        (subject.labels(None), start_seconds(started), None)
    });
    let help = "Start time of the container since unix epoch in seconds.";
    text.metric("container_start_time_seconds", "gauge", help, started);
    let processes = subjects
        .iter()
        .filter(|subject| subject.container.is_none())
        .filter_map(|subject| Some((subject.labels(None), float(subject.pod.process_stats?.process_count), None)));
    text.metric("container_processes", "gauge", "Number of processes running inside the container.", processes);
    for (name, help, figure) in NETWORK {
        let wholes = subjects.iter().filter(|subject| subject.container.is_none());
        let samples = wholes.flat_map(|subject| {
            let network = subject.pod.network.iter();
            network.flat_map(move |network| {
                network.interfaces.iter().map(move |interface| {
                    let labels = subject.labels(Some(("interface", &interface.name)));
                    (labels, float(figure(interface)), Some(network.time))
                })
            })
        });
        text.metric(name, "counter", help, samples);
    }
}

/// How one series of `/metrics/resource` is read: a value and when it was.
type Figure<'a> = &'a dyn Fn(&Subject<'_>) -> Option<(f64, Option<Timestamp>)>;

fn resource(text: &mut Text, summary: &Summary) {
    let cpu_of = |cpu: Option<&CpuStats>| cpu.and_then(|cpu| Some((seconds(cpu)?, cpu.time)));
    let memory_of = |memory: Option<&MemoryStats>| memory.and_then(|it| Some((float(it.working_set_bytes?), it.time)));
    let subjects = Subject::all(summary);
    let labels = |subject: &Subject<'_>| {
        let reference = &subject.pod.pod_ref;
        // Borrowed from the summary, which outlives the page.
        (subject.container.map(|container| container.name.clone()), reference.namespace.clone(), reference.name.clone())
    };
    let mut series = |name: &str, kind: &str, help: &str, of_pods: bool, value: Figure<'_>| {
        let chosen = subjects.iter().filter(|subject| subject.container.is_none() == of_pods);
        let values: Vec<_> = chosen.filter_map(|subject| Some((labels(subject), value(subject)?))).collect();
        let samples = values.iter().map(|((container, namespace, pod), (value, at))| {
            let container = container.as_deref().map(|name| ("container", name));
            let labels = container.into_iter().chain([("namespace", namespace.as_str()), ("pod", pod.as_str())]);
            (labels.collect(), *value, *at)
        });
        text.metric(name, kind, help, samples);
    };
    let cpu = |subject: &Subject<'_>| cpu_of(subject.cpu()).map(|(value, at)| (value, Some(at)));
    let memory = |subject: &Subject<'_>| memory_of(subject.memory()).map(|(value, at)| (value, Some(at)));
    let start = |subject: &Subject<'_>| Some((start_seconds(subject.container?.start_time), None));
    let help = "[STABLE] Cumulative cpu time consumed by the container in core-seconds";
    series("container_cpu_usage_seconds_total", "counter", help, false, &cpu);
    let help = "[STABLE] Current working set of the container in bytes";
    series("container_memory_working_set_bytes", "gauge", help, false, &memory);
    let help = "[STABLE] Start time of the container since unix epoch in seconds";
    series("container_start_time_seconds", "gauge", help, false, &start);
    let help = "[STABLE] Cumulative cpu time consumed by the pod in core-seconds";
    series("pod_cpu_usage_seconds_total", "counter", help, true, &cpu);
    let help = "[STABLE] Current working set of the pod in bytes";
    series("pod_memory_working_set_bytes", "gauge", help, true, &memory);
    let node = |value: Option<(f64, Timestamp)>| value.map(|(value, at)| (Vec::new(), value, Some(at)));
    let help = "[STABLE] Cumulative cpu time consumed by the node in core-seconds";
    text.metric("node_cpu_usage_seconds_total", "counter", help, node(cpu_of(summary.node.compute.cpu.as_ref())));
    let help = "[STABLE] Current working set of the node in bytes";
    text.metric("node_memory_working_set_bytes", "gauge", help, node(memory_of(summary.node.compute.memory.as_ref())));
    let help = "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise";
    text.metric("resource_scrape_error", "gauge", help, [(Vec::new(), 0.0, None)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::ProbeKind;
    use crate::stats::summary::{ClaimReference, Identity, NetworkStats, PodReference, VolumeStats};
    use crate::testing::at;

    fn summary() -> Summary {
        let cpu = CpuStats { time: at(5), usage_nano_cores: None, usage_core_nano_seconds: Some(1_500_000_000) };
        let interface = InterfaceStats { name: "eth0".to_owned(), rx_bytes: 7, ..InterfaceStats::default() };
        let container = ContainerStats {
            name: "app".to_owned(),
            start_time: at(2),
            compute: ComputeStats { cpu: Some(cpu), ..ComputeStats::default() },
            identity: Identity { id: "c1".to_owned(), image: "busybox".to_owned() },
            ..ContainerStats::default()
        };
        let fs = FsStats {
            time: at(5),
            available_bytes: 6,
            capacity_bytes: 10,
            used_bytes: 4,
            inodes_free: 1,
            inodes: 3,
            inodes_used: 2,
        };
        let claim = ClaimReference { name: "data".to_owned(), namespace: "default".to_owned() };
        let volume = |claim| VolumeStats { fs, name: "v".to_owned(), claim };
        let pod = PodStats {
            volumes: vec![volume(None), volume(Some(claim.clone())), volume(Some(claim))],
            pod_ref: PodReference { name: "web".to_owned(), namespace: "default".to_owned(), uid: "u".to_owned() },
            containers: vec![container],
            network: Some(NetworkStats { time: at(5), default: None, interfaces: vec![interface] }),
            cgroup: "kubepods/podu".to_owned(),
            ..PodStats::default()
        };
        Summary { pods: vec![pod], ..Summary::default() }
    }

    #[test]
    fn series_carry_upstreams_names_and_labels() {
        let cadvisor = write(Page::Cadvisor, &summary(), 1);
        let cpu = "container_cpu_usage_seconds_total{container=\"app\",cpu=\"total\",id=\"/kubepods/podu/c1\",\
                   image=\"busybox\",name=\"c1\",namespace=\"default\",pod=\"web\"} 1.5 5000\n";
        assert!(cadvisor.contains(cpu), "{cadvisor}");
        let traffic = "container_network_receive_bytes_total{container=\"\",id=\"/kubepods/podu\",image=\"\",\
                       interface=\"eth0\",name=\"\",namespace=\"default\",pod=\"web\"} 7 5000\n";
        assert!(cadvisor.contains(traffic), "{cadvisor}");
        let resource = write(Page::Resource, &summary(), 1);
        let cpu = "# TYPE container_cpu_usage_seconds_total counter\n\
                   container_cpu_usage_seconds_total{container=\"app\",namespace=\"default\",pod=\"web\"} 1.5 5000\n";
        assert!(resource.contains(cpu), "{resource}");
        assert!(resource.ends_with("\nresource_scrape_error 0\n"), "{resource}");
        assert!(write(Page::Kubelet, &summary(), 3).contains("\nkubelet_desired_pods 3\n"));
    }

    #[test]
    fn volumes_of_claims_are_told_once() {
        let text = write(Page::Kubelet, &summary(), 1);
        let labels = "{namespace=\"default\",persistentvolumeclaim=\"data\"}";
        for (name, value) in [("available_bytes", 6), ("capacity_bytes", 10), ("used_bytes", 4), ("inodes_used", 2)] {
            let line = format!("kubelet_volume_stats_{name}{labels} {value}");
            assert_eq!(text.lines().filter(|one| *one == line).count(), 1, "{line}: {text}");
        }
    }

    #[test]
    fn probes_are_counted_by_container_and_outcome() {
        let key = |success| CountKey {
            pod_uid: "u".to_owned(),
            namespace: "default".to_owned(),
            pod: "web".to_owned(),
            container: "app".to_owned(),
            kind: ProbeKind::Readiness,
            success,
        };
        let text = probes(&BTreeMap::from([(key(true), 5), (key(false), 1)]));
        let line = "prober_probe_total{container=\"app\",namespace=\"default\",pod=\"web\",pod_uid=\"u\",\
                    probe_type=\"Readiness\",result=\"successful\"} 5\n";
        assert!(text.contains(line) && text.contains("result=\"failed\"} 1\n"), "{text}");
    }
}
