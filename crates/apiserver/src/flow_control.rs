//! API Priority and Fairness: so many requests at a time, shared out fairly.
//!
//! A request belongs to the first FlowSchema that is about it ([`classify`]) and so to a priority level with its own
//! seats ([`shares`]). Without a free one it is refused or waits in one of the level's queues ([`queue_set`]), which no
//! flow can fill for the others. Configuration is read off the watch caches when a request finds that it has changed,
//! and seats are lent anew when a request finds that it is time: a server without requests does nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use api::flowcontrol::v1::defaults;
use api::k8s_openapi::api::flowcontrol::v1::{
    FlowSchema, FlowSchemaSpec, PriorityLevelConfiguration, PriorityLevelConfigurationSpec,
};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use http::HeaderValue;
use tokio::time::Instant;

use crate::filters::request_info::RequestInfo;
use crate::identity::UserInfo;
use crate::watch_cache::{Caches, Decoded, Item};

pub mod classify;
pub mod dealer;
pub mod demand;
mod level;
pub mod max_in_flight;
pub mod queue_set;
pub mod retry_after;
pub mod shares;
pub mod stats;
pub mod work;

pub use level::{Level, Permit};
use queue_set::{Policy, Queuing};
use shares::{Seats, ShareSpec};
use stats::FlowStats;

/// How often seats are lent anew.
const BORROWING_PERIOD: Duration = Duration::from_secs(10);
const EXEMPT: &str = "Exempt";

/// Sorts requests into flows and levels.
pub struct FlowControl {
    schemas: Decoded<FlowSchema>,
    levels: Decoded<PriorityLevelConfiguration>,
    /// All seats of this server.
    total: usize,
    active: RwLock<Arc<Configuration>>,
    began: Instant,
    /// The period, counted from the beginning, in which seats were last lent.
    lent_in: AtomicU64,
}

/// What the objects come to.
struct Configuration {
    source: Source,
    /// In matching order; the last one matches everything.
    flows: Vec<Arc<Flow>>,
    levels: Vec<ActiveLevel>,
}

type Items<K> = Arc<[Arc<Item<K>>]>;

/// The objects a configuration was made of.
struct Source {
    schemas: Items<FlowSchema>,
    levels: Items<PriorityLevelConfiguration>,
}

/// A priority level that is configured.
#[derive(Debug, Clone)]
pub struct ActiveLevel {
    /// Its seats by configuration.
    pub seats: Seats,
    /// The level.
    pub level: Arc<Level>,
}

/// A FlowSchema with its level.
#[derive(Debug)]
pub struct Flow {
    /// Its name.
    pub name: String,
    spec: FlowSchemaSpec,
    precedence: i32,
    /// Its uid, and its level's, as clients are told.
    pub uid: HeaderValue,
    pub(crate) level_uid: HeaderValue,
    /// The level.
    pub level: Arc<Level>,
    /// Counters.
    pub stats: Arc<FlowStats>,
    max_seats: u64,
}

impl Flow {
    /// The most seats one of its requests may take.
    pub fn max_seats(&self) -> u64 {
        self.max_seats
    }

    /// Gets a request its seats, waiting for them so long at most.
    ///
    /// # Errors
    /// After how many seconds to come again, when there are none.
    pub async fn enter(
        &self,
        user: &UserInfo,
        info: &RequestInfo,
        seats: usize,
        patience: Duration,
    ) -> Result<Permit, u32> {
        let apart = self.level.set().tells_flows_apart();
        let flow = if apart { classify::flow(&self.name, &self.spec, user, info) } else { 0 };
        self.level.enter(&self.stats, seats, flow, patience).await.map_err(|_| self.level.refuse())
    }
}

impl FlowControl {
    /// With the objects in the caches, which must be those of this group, and so many seats in all.
    pub fn new(caches: &Caches, total: usize) -> Option<Self> {
        let schemas = Decoded::new(Arc::clone(caches.of("flowschemas")?));
        let levels = Decoded::new(Arc::clone(caches.of("prioritylevelconfigurations")?));
        let source = Source { schemas: schemas.all(), levels: levels.all() };
        let active = RwLock::new(Arc::new(Configuration::new(source, None, total)));
        Some(Self { schemas, levels, total, active, began: Instant::now(), lent_in: AtomicU64::new(0) })
    }

    /// The flow a request belongs to.
    pub fn classify(&self, user: &UserInfo, info: &RequestInfo) -> Arc<Flow> {
        let active = self.active();
        self.lend_if_due(&active);
        let mut flows = active.flows.iter();
        let found = flows.find(|flow| classify::matches(&flow.spec, user, info));
        Arc::clone(found.or(active.flows.last()).expect("there is always the schema for all that is left"))
    }

    /// All flows, in matching order.
    pub fn flows(&self) -> Vec<Arc<Flow>> {
        self.active().flows.clone()
    }

    /// All levels.
    pub fn levels(&self) -> Vec<ActiveLevel> {
        self.active().levels.clone()
    }

    /// The configuration as the objects have it now.
    fn active(&self) -> Arc<Configuration> {
        let (schemas, levels) = (self.schemas.all(), self.levels.all());
        {
            let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
            if active.source.is(&schemas, &levels) {
                return Arc::clone(&active);
            }
        }
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        if !active.source.is(&schemas, &levels) {
            *active = Arc::new(Configuration::new(Source { schemas, levels }, Some(&active), self.total));
        }
        Arc::clone(&active)
    }

    /// Lends seats anew when a period has passed. One request does it; nobody waits for it.
    fn lend_if_due(&self, active: &Configuration) {
        let now = Instant::now();
        let period = now.duration_since(self.began).as_secs() / BORROWING_PERIOD.as_secs();
        let last = self.lent_in.load(Ordering::Relaxed);
        if period <= last || self.lent_in.compare_exchange(last, period, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let periods = u32::try_from(period - last).unwrap_or(u32::MAX);
        let demands = active.levels.iter().map(|one| (one.seats, one.level.set().take_demand(now, periods)));
        let Some(limits) = shares::borrow(&demands.collect::<Vec<_>>()) else { return };
        for (one, limit) in active.levels.iter().zip(limits) {
            one.level.set_limit(now, limit);
        }
    }
}

impl Source {
    fn is(&self, schemas: &Items<FlowSchema>, levels: &Items<PriorityLevelConfiguration>) -> bool {
        Arc::ptr_eq(&self.schemas, schemas) && Arc::ptr_eq(&self.levels, levels)
    }
}

impl Configuration {
    /// The configuration that objects describe, with what the mandatory ones say where those are missing. Levels and
    /// counters go on from the previous one.
    fn new(source: Source, previous: Option<&Self>, total: usize) -> Self {
        let now = Instant::now();
        let objects: Vec<PriorityLevelConfiguration> = present(&source.levels, defaults::mandatory_levels());
        let specs: Vec<&PriorityLevelConfigurationSpec> =
            objects.iter().filter_map(|object| object.spec.as_ref()).collect();
        let seats = shares::nominal(total, &specs.iter().map(|spec| share_spec(spec)).collect::<Vec<_>>());
        let (mut levels, mut by_name) = (Vec::new(), HashMap::new());
        for ((object, spec), seats) in objects.iter().zip(specs).zip(seats) {
            let name = name(&object.metadata);
            let known = previous.and_then(|previous| previous.levels.iter().find(|one| one.level.name == name));
            let level = match known {
                Some(known) => keep(known, policy(spec), seats, now),
                None => Arc::new(Level::new(name, policy(spec), seats.initial(), now)),
            };
            by_name.insert(name, (uid(&object.metadata), seats, Arc::clone(&level)));
            levels.push(ActiveLevel { seats, level });
        }
        let schemas: Vec<FlowSchema> = present(&source.schemas, defaults::mandatory_schemas());
        let flow = |schema: &FlowSchema| {
            let spec = schema.spec.clone()?;
            // A schema of a level that does not exist is as good as none.
            let (level_uid, seats, level) = by_name.get(spec.priority_level_configuration.name.as_str())?;
            let name = name(&schema.metadata).to_owned();
            let known = previous.and_then(|previous| {
                previous.flows.iter().find(|flow| flow.name == name && Arc::ptr_eq(&flow.level, level))
            });
            Some(Arc::new(Flow {
                precedence: spec.matching_precedence.unwrap_or_default(),
                uid: uid(&schema.metadata),
                level_uid: level_uid.clone(),
                level: Arc::clone(level),
                stats: known.map(|flow| Arc::clone(&flow.stats)).unwrap_or_default(),
                max_seats: work::max_seats(seats.nominal),
                name,
                spec,
            }))
        };
        let mut flows: Vec<Arc<Flow>> = schemas.iter().filter_map(flow).collect();
        flows.sort_by(|a, b| (a.precedence, &a.name).cmp(&(b.precedence, &b.name)));
        Self { source, flows, levels }
    }
}

/// A level that goes on under a configuration that may be new.
fn keep(known: &ActiveLevel, policy: Policy, seats: Seats, now: Instant) -> Arc<Level> {
    known.level.set().set_policy(policy);
    if known.seats != seats {
        let limit = known.level.set().limit().clamp(seats.min, seats.max);
        known.level.set_limit(now, limit);
    }
    Arc::clone(&known.level)
}

/// Every object, and those of the mandatory ones that are missing.
fn present<K: api::Kind + Clone>(items: &[Arc<Item<K>>], mandatory: Vec<K>) -> Vec<K> {
    let mut objects: Vec<K> = items.iter().filter_map(|item| item.object().cloned()).collect();
    let missing = mandatory.into_iter().filter(|wanted| {
        let wanted = wanted.metadata().name.as_deref();
        !items.iter().any(|item| Some(item.key.as_ref()) == wanted)
    });
    objects.extend(missing.collect::<Vec<_>>());
    objects
}

fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

fn uid(metadata: &ObjectMeta) -> HeaderValue {
    let uid = metadata.uid.as_deref().unwrap_or_default();
    HeaderValue::from_str(uid).unwrap_or(HeaderValue::from_static(""))
}

fn share_spec(spec: &PriorityLevelConfigurationSpec) -> ShareSpec {
    let number = |value: Option<i32>| u32::try_from(value.unwrap_or_default()).unwrap_or_default();
    let exempt = spec.type_ == EXEMPT;
    let (shares, lendable, borrowing) = if exempt {
        let own = spec.exempt.as_ref();
        (own.and_then(|own| own.nominal_concurrency_shares), own.and_then(|own| own.lendable_percent), None)
    } else {
        let own = spec.limited.as_ref();
        (
            own.and_then(|own| own.nominal_concurrency_shares),
            own.and_then(|own| own.lendable_percent),
            own.and_then(|own| own.borrowing_limit_percent),
        )
    };
    ShareSpec {
        shares: number(shares),
        lendable_percent: number(lendable),
        borrowing_percent: borrowing.map(|percent| number(Some(percent))),
        exempt,
    }
}

fn policy(spec: &PriorityLevelConfigurationSpec) -> Policy {
    if spec.type_ == EXEMPT {
        return Policy::Exempt;
    }
    let response = spec.limited.as_ref().and_then(|limited| limited.limit_response.as_ref());
    let Some(queuing) = response.and_then(|response| response.queuing.as_ref()) else { return Policy::Reject };
    let number = |value: Option<i32>| usize::try_from(value.unwrap_or_default()).unwrap_or_default();
    match number(queuing.queues) {
        0 => Policy::Reject,
        queues => Policy::Queue(Queuing {
            queues,
            hand_size: number(queuing.hand_size).max(1),
            queue_length: number(queuing.queue_length_limit),
        }),
    }
}
