//! How a controller is put together: every one in the same few lines.
//!
//! A controller names what it [reads](Wiring::reads) and what [wakes](Wiring::wakes) it, and is [added](Controllers::add)
//! with a number of workers. A waker says which keys to look at, never what happened; workers begin once everything that
//! is read is complete, so that nothing missing from a half-filled copy is taken for gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::reflector::Reflected;
use client::{Change, Client, EventFormat, EventRecorder, EventSource, Lister, Reflector, WorkQueue};
use futures::future::{BoxFuture, FutureExt as _, join_all};
use platform::clock::SharedClock;
use tokio_util::sync::CancellationToken;

use crate::Clients;
use crate::objects::Objects;
use crate::runtime::{Reconcile, Workers};
use crate::watches::Watches;

/// All controllers, until they [run](Self::run), and what they share.
pub struct Controllers {
    clients: Clients,
    client: Client,
    /// For times in conditions and for deadlines.
    pub clock: SharedClock,
    /// Copies of single resources.
    pub watches: Watches,
    /// The metadata of everything.
    pub objects: Objects,
    events: BTreeMap<&'static str, EventRecorder>,
    workers: Workers,
    cancel: CancellationToken,
}

impl Controllers {
    /// None yet; they stop when cancelled.
    pub fn new(clients: Clients, clock: SharedClock, watches: Watches, cancel: CancellationToken) -> Self {
        let client = clients.shared();
        let (objects, workers) = (Objects::new(client.clone()), Workers::new(cancel.clone()));
        Self { clients, client, clock, watches, objects, events: BTreeMap::new(), workers, cancel }
    }

    /// How one controller speaks to the API server: as the ServiceAccount of that name, with the rights of its role
    /// `system:controller:<name>`.
    pub fn client_of(&self, controller: &str) -> Client {
        self.clients.of(controller)
    }

    /// How those speak to it that run before the others have identities: as the controller manager itself.
    pub fn shared_client(&self) -> Client {
        self.client.clone()
    }

    /// The Events of one component, by upstream's name for it.
    pub fn events(&mut self, component: &'static str) -> EventRecorder {
        let start = || {
            let source =
                EventSource { component: component.into(), instance: String::new(), format: EventFormat::Counted };
            EventRecorder::start(self.client.clone(), source, Arc::clone(&self.clock))
        };
        self.events.entry(component).or_insert_with(start).clone()
    }

    /// Adds a controller with this many workers.
    pub fn add<R: Reconcile>(&mut self, controller: R, wiring: Wiring<R::Key>, workers: usize) {
        let Wiring { queue, complete } = wiring;
        self.workers.add(controller, &queue, workers, join_all(complete).map(drop));
    }

    /// Runs until cancelled. Pending Events are written before it returns.
    pub async fn run(self) {
        let Self { watches, objects, events, workers, cancel, .. } = self;
        tokio::join!(watches.run(&cancel), objects.run(&cancel), workers.run());
        join_all(events.values().map(EventRecorder::flush)).await;
    }

    /// The same for those that read nothing but volumes, so that nothing else is watched.
    pub async fn run_on_volumes(self) {
        let Self { watches, events, workers, cancel, .. } = self;
        tokio::join!(watches.run_volumes(&cancel), workers.run());
        join_all(events.values().map(EventRecorder::flush)).await;
    }
}

/// What connects one controller with the copies.
pub struct Wiring<K> {
    queue: WorkQueue<K>,
    /// Each resolves when a copy that is read shows everything.
    complete: Vec<BoxFuture<'static, ()>>,
}

impl<K: Clone + Eq + std::hash::Hash + Send + Sync + 'static> Wiring<K> {
    /// Nothing is read, and nothing wakes it.
    pub fn new() -> Self {
        Self { queue: WorkQueue::new(), complete: Vec::new() }
    }

    /// What wakes the controller, for those that do it themselves.
    pub fn queue(&self) -> WorkQueue<K> {
        self.queue.clone()
    }

    /// A copy the controller reads.
    pub fn reads<O: Reflected, V: Send + Sync + 'static>(&mut self, copy: &Reflector<O, V>) -> Lister<V> {
        let lister = copy.lister();
        let read = lister.clone();
        self.waits_for(async move { read.synced().await });
        lister
    }

    /// Something else that has to be complete before the first pass.
    pub fn waits_for(&mut self, complete: impl Future<Output = ()> + Send + 'static) {
        self.complete.push(complete.boxed());
    }

    /// Looks at some keys when the copy changes. `keys` runs while the copy is being kept up and must be quick.
    pub fn wakes<O: Reflected, V: Send + Sync + 'static, I: IntoIterator<Item = K>>(
        &self,
        copy: &mut Reflector<O, V>,
        mut keys: impl FnMut(&Change<V>) -> I + Send + 'static,
    ) {
        let queue = self.queue.clone();
        copy.subscribe(move |change| keys(change).into_iter().for_each(|key| queue.add(key)));
    }
}
