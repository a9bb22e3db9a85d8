//! Leases for keys that live for a limited time. As upstream does, one lease serves all keys of a while: each costs etcd
//! memory and work, and a key may well live a minute longer.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::client::{Client, Failure};

/// A lease serves so many keys at most, as they all go in one stroke.
const MOST_KEYS: u32 = 1000;
/// A lease serves for so long at most.
const LONGEST_SERVICE: Duration = Duration::from_secs(60);

/// The lease that serves at present.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<Option<Lease>>);

#[derive(Debug, Clone, Copy)]
struct Lease {
    id: i64,
    time_to_live: Duration,
    granted: Instant,
    keys: u32,
}

impl Leases {
    /// A lease that keeps a key for that long at least, and one twentieth or a minute more at most.
    pub(super) async fn lease(&self, client: &Client, time_to_live: Duration) -> Result<i64, Failure> {
        let mut serving = self.0.lock().await;
        let now = Instant::now();
        if let Some(lease) = serving.as_mut().filter(|lease| lease.serves(time_to_live, now)) {
            lease.keys += 1;
            return Ok(lease.id);
        }
        let seconds = (time_to_live + service(time_to_live)).as_secs().max(1);
        let id = client.grant_lease(i64::try_from(seconds).unwrap_or(i64::MAX)).await?;
        *serving = Some(Lease { id, time_to_live, granted: now, keys: 1 });
        Ok(id)
    }
}

/// How long a lease takes in further keys.
fn service(time_to_live: Duration) -> Duration {
    LONGEST_SERVICE.min(time_to_live / 20)
}

impl Lease {
    fn serves(&self, time_to_live: Duration, now: Instant) -> bool {
        let in_service = now.duration_since(self.granted) < service(self.time_to_live);
        self.time_to_live == time_to_live && self.keys < MOST_KEYS && in_service
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_serves_a_while() {
        let hour = Duration::from_secs(3600);
        let granted = Instant::now();
        for (keys, time_to_live, age, serves) in [
            (1, hour, 59, true),
            (1, hour, 61, false),
            (999, hour, 0, true),
            (1000, hour, 0, false),
            (1, hour / 2, 0, false),
        ] {
            let lease = Lease { id: 1, time_to_live: hour, granted, keys };
            let now = granted + Duration::from_secs(age);
            assert_eq!(lease.serves(time_to_live, now), serves, "{keys} {time_to_live:?} {age}");
        }
        let short = Lease { id: 1, time_to_live: hour / 60, granted, keys: 1 };
        assert!(!short.serves(hour / 60, granted + Duration::from_secs(4)), "a twentieth of a minute is 3 s");
    }
}
