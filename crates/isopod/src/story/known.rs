//! What can be known of the Pods of one name: the object, the Events about it, what the nodes remember, logs.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use api::k8s_openapi::api::core::v1::{Event, Pod};
use jiff::Timestamp;
use kube::Api;
use kube::api::{ListParams, LogParams};
use kubelet::history::{Act, Entry, PodIdentity, PodProcess, PodStory, Transition};
use scheduler::Attempt;
use serde::{Deserialize, Serialize};

use super::access::Access;

/// Lines of each container's log at the end of a story.
const LOG_LINES: i64 = 10;

/// Everything about the Pods of a name.
pub struct Known {
    /// Their namespace.
    pub namespace: String,
    /// Their name.
    pub name: String,
    /// One for each Pod, the latest first.
    pub told: Vec<Told>,
    /// Nodes that could not be asked.
    pub unreachable: Vec<String>,
}

/// Everything about one Pod.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// Its UID.
    pub uid: String,
    /// When its object was made.
    pub created_at: Option<Timestamp>,
    /// The node it is or was on.
    pub node: Option<String>,
    /// Its object, unless it is gone.
    pub pod: Option<Pod>,
    /// What the node remembers.
    pub entries: Vec<Entry>,
    /// What others than the node said of it.
    pub events: Vec<Event>,
    /// What runs in it now.
    pub processes: Vec<PodProcess>,
    /// What takes its time on the node right now.
    pub under_way: Vec<Act>,
    /// What the scheduler found when it last looked for a node, unless it found one.
    pub scheduling: Option<Attempt>,
    /// The last lines of its containers' logs.
    pub logs: BTreeMap<String, String>,
}

/// What the API server answers.
#[derive(Debug, Deserialize)]
struct Answer {
    stories: Vec<NodeStory>,
    unreachable: Vec<String>,
    #[serde(default)]
    scheduling: Option<Attempt>,
}

#[derive(Debug, Deserialize)]
struct NodeStory {
    node: String,
    #[serde(flatten)]
    story: PodStory,
}

impl Known {
    /// Asks the API for everything.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub async fn ask(access: &Access) -> Result<Self> {
        let (namespace, name) = (&access.namespace, &access.name);
        let pods: Api<Pod> = Api::namespaced(access.client.clone(), namespace);
        let pod = pods.get_opt(name).await.with_context(|| format!("cannot read pod/{name}"))?;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/story");
        let request = hyper::Request::get(path).body(Vec::new())?;
        let answer: Answer = access.client.request(request).await.context("cannot read the story")?;
        let mut told = BTreeMap::<String, Told>::new();
        for NodeStory { node, story } in answer.stories {
            let of = told.entry(story.pod.uid.clone()).or_default();
            of.add_story(node, story);
        }
        if let Some(attempt) = answer.scheduling {
            let uid = attempt.uid.clone();
            told.entry(uid).or_default().scheduling = Some(attempt);
        }
        for event in events(access).await? {
            let uid = event.involved_object.uid.clone().unwrap_or_default();
            told.entry(uid).or_default().events.push(event);
        }
        if let Some(pod) = pod {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            told.entry(uid).or_default().add_pod(&pods, pod).await;
        }
        let mut told: Vec<Told> = told.into_iter().map(|(uid, told)| Told { uid, ..told }).collect();
        told.sort_by_key(|told| std::cmp::Reverse((told.pod.is_some(), told.began())));
        let (namespace, name) = (namespace.clone(), name.clone());
        Ok(Self { namespace, name, told, unreachable: answer.unreachable })
    }

    /// What to say when nobody knows the Pod.
    pub fn unknown(&self) -> String {
        let mut text = format!(
            "no Pod \"{}\" in namespace \"{}\": there is none, and none is remembered",
            self.name, self.namespace
        );
        if !self.unreachable.is_empty() {
            text.push_str(&format!(" (not asked, because they do not answer: {})", self.unreachable.join(", ")));
        }
        text
    }
}

/// Events by others than kubelets, whose own are in their stories.
async fn events(access: &Access) -> Result<Vec<Event>> {
    let events: Api<Event> = Api::namespaced(access.client.clone(), &access.namespace);
    let about = format!("involvedObject.kind=Pod,involvedObject.name={}", access.name);
    let list = events.list(&ListParams::default().fields(&about)).await.context("cannot list Events")?;
    let component = |event: &Event| {
        let source = event.source.as_ref().and_then(|source| source.component.clone());
        source.or_else(|| event.reporting_component.clone()).unwrap_or_default()
    };
    Ok(list.items.into_iter().filter(|event| component(event) != "kubelet").collect())
}

impl Told {
    fn add_story(&mut self, node: String, story: PodStory) {
        let PodStory { pod: PodIdentity { created_at, .. }, entries, processes, under_way, .. } = story;
        self.created_at = created_at.or(self.created_at);
        self.node = Some(node);
        self.processes = processes;
        self.under_way = under_way;
        for entry in &entries {
            if let Transition::LastLines { container, text } = &entry.what {
                self.logs.insert(container.clone(), text.clone());
            }
        }
        self.entries.extend(entries);
        self.entries.sort_by_key(|entry| entry.at);
    }

    async fn add_pod(&mut self, pods: &Api<Pod>, pod: Pod) {
        let name = pod.metadata.name.clone().unwrap_or_default();
        self.created_at = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        self.node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let spec = pod.spec.iter();
        let containers = spec.flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
        for container in containers {
            let parameters = LogParams {
                container: Some(container.name.clone()),
                tail_lines: Some(LOG_LINES),
                ..Default::default()
            };
            // A container that has not started has none.
            if let Ok(text) = pods.logs(&name, &parameters).await
                && !text.is_empty()
            {
                self.logs.insert(container.name.clone(), text);
            }
        }
        self.pod = Some(pod);
    }

    /// When its story begins.
    pub fn began(&self) -> Option<Timestamp> {
        let events = self.events.iter().filter_map(event_time);
        self.created_at.into_iter().chain(self.entries.first().map(|entry| entry.at)).chain(events).min()
    }
}

/// When an Event last came up.
pub fn event_time(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = || event.last_timestamp.as_ref().map(|time| time.0);
    let exact = || event.event_time.as_ref().map(|time| time.0);
    series.or_else(last).or_else(exact).or_else(|| event.first_timestamp.as_ref().map(|time| time.0))
}
