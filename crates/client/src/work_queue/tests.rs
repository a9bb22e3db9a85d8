use super::*;

async fn next_now(queue: &WorkQueue<&'static str>) -> Option<Claim<&'static str>> {
    tokio::time::timeout(Duration::ZERO, queue.next()).await.ok()
}

#[tokio::test(start_paused = true)]
async fn hands_out_each_key_once_in_order() {
    let queue = WorkQueue::new();
    for key in ["a", "b", "a", "b", "c"] {
        queue.add(key);
    }
    let mut seen = Vec::new();
    while let Some(claim) = next_now(&queue).await {
        seen.push(*claim);
    }
    assert_eq!(seen, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_added_while_claimed_comes_again_afterwards() {
    let queue = WorkQueue::new();
    queue.add("a");
    let claim = queue.next().await;
    queue.add("a");
    queue.add("a");
    assert!(next_now(&queue).await.is_none(), "never handed out twice at a time");
    drop(claim);
    assert_eq!(*queue.next().await, "a");
    assert!(next_now(&queue).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_earliest_delay_wins_and_time_is_not_polled() {
    let queue = WorkQueue::new();
    let start = Instant::now();
    queue.add_after("late", Duration::from_secs(30));
    queue.add_after("key", Duration::from_secs(20));
    queue.add_after("key", Duration::from_secs(5));
    queue.add_after("key", Duration::from_secs(10));
    assert_eq!(*queue.next().await, "key");
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(*queue.next().await, "late");
    assert_eq!(start.elapsed().as_secs(), 30);
    assert!(tokio::time::timeout(Duration::from_secs(3600), queue.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn failures_wait_longer_up_to_a_bound_until_forgotten() {
    let queue = WorkQueue::new();
    let mut delays = Vec::new();
    for _ in 0..40 {
        let start = Instant::now();
        queue.add_failed("key");
        drop(queue.next().await);
        delays.push(start.elapsed().as_millis());
    }
    assert_eq!(delays[..4], [5, 10, 20, 40]);
    assert_eq!(delays[39], 60_000);
    queue.forget(&"key");
    let start = Instant::now();
    queue.add_failed("key");
    drop(queue.next().await);
    assert_eq!(start.elapsed().as_millis(), 5);
}

#[tokio::test]
async fn many_workers_share_the_keys_without_losing_any() {
    const KEYS: u32 = 1000;
    let queue = WorkQueue::new();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..4 {
        let (queue, sender) = (queue.clone(), sender.clone());
        platform::tasks::spawn(platform::tasks::TaskKind::Worker, "test worker", async move {
            loop {
                let claim = queue.next().await;
                if sender.send(*claim).is_err() {
                    return;
                }
            }
        });
    }
    (0..KEYS).for_each(|key| queue.add(key));
    let mut seen = HashSet::new();
    while seen.len() < KEYS as usize {
        seen.insert(receiver.recv().await.expect("workers live"));
    }
}
