use std::collections::BTreeMap;

use super::*;

type Set = QueueSet<&'static str>;

const QUEUING: Queuing = Queuing { queues: 8, hand_size: 1, queue_length: 100 };

fn seated(start: (Start, Woken<&'static str>)) -> Seated {
    match start.0 {
        Start::Seated(seated) => seated,
        other => panic!("{other:?}"),
    }
}

fn waits(start: (Start, Woken<&'static str>)) -> Waiter {
    match start.0 {
        Start::Waits(waiter) => waiter,
        other => panic!("{other:?}"),
    }
}

fn refused(start: (Start, Woken<&'static str>)) -> Refusal {
    match start.0 {
        Start::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_queues_the_limit_refuses() {
    let now = Instant::now();
    let mut set = Set::new(Policy::Reject, 2, now);
    let first = seated(set.start(now, 1, 0, || "a"));
    let _second = seated(set.start(now, 1, 0, || "b"));
    assert_eq!(refused(set.start(now, 1, 0, || "c")), Refusal::ConcurrencyLimit);
    assert!(set.finish(now, first).is_empty());
    let _third = seated(set.start(now, 1, 0, || "c"));
    assert_eq!(refused(set.start(now, 1, 0, || "d")), Refusal::ConcurrencyLimit);
}

#[test]
fn exempt_requests_are_only_counted() {
    let now = Instant::now();
    let mut set = Set::new(Policy::Exempt, 0, now);
    let all: Vec<Seated> = (0..100).map(|_| seated(set.start(now, 1, 0, || "a"))).collect();
    assert_eq!(set.in_use(), (100, 100));
    for one in all {
        assert!(set.finish(now, one).is_empty());
    }
    assert_eq!(set.in_use(), (0, 0));
}

#[test]
fn requests_wait_in_order_and_full_queues_refuse() {
    let now = Instant::now();
    let queuing = Queuing { queues: 1, hand_size: 1, queue_length: 2 };
    let mut set = Set::new(Policy::Queue(queuing), 1, now);
    let running = seated(set.start(now, 1, 0, || "a"));
    let _b = waits(set.start(now, 1, 0, || "b"));
    let c = waits(set.start(now, 1, 0, || "c"));
    assert_eq!(refused(set.start(now, 1, 0, || "d")), Refusal::QueueFull);
    assert!(set.abandon(now, &c), "it still waited");
    assert!(!set.abandon(now, &c));
    let woken = set.finish(now, running);
    assert_eq!(woken.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["b"]);
    assert_eq!((set.in_use(), set.waiting()), ((1, 1), 0));
}

#[test]
fn a_wide_request_waits_until_it_fits_and_one_wider_than_all_is_served_alone() {
    let now = Instant::now();
    let mut set = Set::new(Policy::Queue(QUEUING), 4, now);
    let narrow = seated(set.start(now, 1, 0, || "narrow"));
    let _wide = waits(set.start(now, 4, 1, || "wide"));
    let _late = waits(set.start(now, 1, 1, || "late"));
    let mut woken = set.finish(now, narrow);
    assert_eq!(woken.len(), 1, "the wide one takes all seats");
    let (name, wide) = woken.remove(0);
    assert_eq!(name, "wide");
    let mut woken = set.finish(now, wide);
    let (name, late) = woken.remove(0);
    assert_eq!(name, "late");
    let _giant = waits(set.start(now, 9, 2, || "giant"));
    let woken = set.finish(now, late);
    assert_eq!(woken[0].0, "giant");
}

#[test]
fn more_seats_wake_those_who_wait() {
    let now = Instant::now();
    let mut set = Set::new(Policy::Queue(QUEUING), 1, now);
    let _running = seated(set.start(now, 1, 0, || "a"));
    let _b = waits(set.start(now, 1, 1, || "b"));
    let _c = waits(set.start(now, 1, 2, || "c"));
    let woken = set.set_limit(now, 3);
    assert_eq!(woken.len(), 2);
    assert_eq!(set.in_use(), (3, 3));
}

#[test]
fn queues_that_are_no_longer_wanted_go_when_they_are_empty() {
    let now = Instant::now();
    let mut set = Set::new(Policy::Queue(QUEUING), 1, now);
    let running = seated(set.start(now, 1, 7, || "a"));
    let _b = waits(set.start(now, 1, 7, || "b"));
    set.set_policy(Policy::Queue(Queuing { queues: 2, hand_size: 1, queue_length: 1 }));
    let mut woken = set.finish(now, running);
    let (name, last) = woken.remove(0);
    assert_eq!(name, "b");
    assert!(set.finish(now, last).is_empty());
    assert_eq!(set.queues.len(), 2);
    set.set_policy(Policy::Reject);
    assert!(set.queues.is_empty());
}

/// Closed loops of clients, each request taking a while; who got how much?
fn compete(clients: &[(&'static str, u64, usize, u64)], limit: usize) -> BTreeMap<&'static str, usize> {
    let mut now = Instant::now();
    let end = now + Duration::from_secs(10);
    let mut set: QueueSet<(&'static str, u64, u64)> = QueueSet::new(Policy::Queue(QUEUING), limit, now);
    let mut served = BTreeMap::new();
    let mut running: Vec<(Instant, (&'static str, u64, u64), Seated)> = Vec::new();
    let mut arriving: Vec<(&'static str, u64, u64)> = Vec::new();
    for (name, flow, threads, millis) in clients {
        arriving.extend((0..*threads).map(|_| (*name, *flow, *millis)));
    }
    loop {
        for client in std::mem::take(&mut arriving) {
            let (start, woken) = set.start(now, 1, client.1, || client);
            let mut seated = woken;
            if let Start::Seated(one) = start {
                seated.push((client, one));
            }
            running.extend(seated.into_iter().map(|(who, one)| (now + Duration::from_millis(who.2), who, one)));
        }
        running.sort_by_key(|(at, ..)| *at);
        let (at, who, one) = running.remove(0);
        now = at;
        if now > end {
            return served;
        }
        *served.entry(who.0).or_default() += 1;
        let woken = set.finish(now, one);
        running.extend(woken.into_iter().map(|(who, one)| (now + Duration::from_millis(who.2), who, one)));
        arriving.push(who);
    }
}

#[test]
fn flows_get_equal_parts_however_many_requests_they_make() {
    let served = compete(&[("greedy", 0, 90, 10), ("modest", 1, 10, 10)], 5);
    let (greedy, modest) = (served["greedy"] as f64, served["modest"] as f64);
    assert!((greedy / modest - 1.0).abs() < 0.05, "{served:?}");
}

#[test]
fn flows_get_equal_time_however_long_their_requests_take() {
    let served = compete(&[("slow", 0, 20, 40), ("quick", 1, 20, 10)], 4);
    let (slow, quick) = (served["slow"] as f64 * 40.0, served["quick"] as f64 * 10.0);
    assert!((slow / quick - 1.0).abs() < 0.15, "{served:?}");
}

#[test]
fn a_flow_that_wants_less_than_its_part_hardly_waits() {
    let served = compete(&[("flood", 0, 90, 20), ("sparse", 1, 1, 20)], 4);
    // One thread alone could make 500 requests in ten seconds.
    assert!(served["sparse"] > 240, "{served:?}");
}
