//! Which images go. Pure.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::ImageGcConfig;

/// The file system images are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    pub capacity_bytes: u64,
    pub available_bytes: u64,
}

/// When images were seen and used.
#[derive(Debug, Default)]
pub struct Records {
    images: HashMap<String, Record>,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    first_seen: Timestamp,
    last_used: Option<Timestamp>,
}

impl Records {
    /// Notes what is here and what is used; forgets what is gone.
    pub fn note(&mut self, images: &[cri::Image], used: &HashSet<String>, now: Timestamp) {
        self.images.retain(|id, _| images.iter().any(|image| image.id == *id));
        for image in images {
            let fresh = Record { first_seen: now, last_used: None };
            let record = self.images.entry(image.id.clone()).or_insert(fresh);
            if is_used(image, used) {
                record.last_used = Some(now);
            }
        }
    }
}

/// What to remove, and what to complain of.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Ids, in the order they go.
    pub remove: Vec<String>,
    /// Why that is not enough.
    pub shortage: Option<String>,
}

/// How much is to be freed of a disk of which at most `high_percent` may be used.
pub fn wanted_bytes(config: &ImageGcConfig, disk: Disk) -> Option<u64> {
    if disk.capacity_bytes == 0 {
        return None;
    }
    let available_percent = u128::from(disk.available_bytes) * 100 / u128::from(disk.capacity_bytes);
    if 100 - available_percent.min(100) < u128::from(config.high_percent) {
        return None;
    }
    let wanted_free = u128::from(disk.capacity_bytes) * u128::from(100 - config.low_percent.min(100)) / 100;
    Some(u64::try_from(wanted_free).unwrap_or(u64::MAX).saturating_sub(disk.available_bytes))
}

/// The ids of images that were not used for too long, and the images that stay.
pub fn outdated(
    config: &ImageGcConfig,
    images: Vec<cri::Image>,
    used: &HashSet<String>,
    records: &Records,
    now: Timestamp,
) -> (Vec<String>, Vec<cri::Image>) {
    let Some(max_age) = config.max_age else { return (Vec::new(), images) };
    let max_age = SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX);
    let goes = |image: &cri::Image| {
        let record = records.images.get(&image.id).filter(|_| !image.pinned && !is_used(image, used));
        record.is_some_and(|record| now.duration_since(record.last_used.unwrap_or(record.first_seen)) > max_age)
    };
    let (outdated, rest): (Vec<_>, Vec<_>) = images.into_iter().partition(goes);
    (outdated.into_iter().map(|image| image.id).collect(), rest)
}

/// Plans to free so much.
pub fn plan(
    config: &ImageGcConfig,
    wanted: u64,
    images: &[cri::Image],
    used: &HashSet<String>,
    records: &Records,
    now: Timestamp,
) -> Plan {
    let min_age = SignedDuration::try_from(config.min_age).unwrap_or(SignedDuration::MAX);
    let mut candidates: Vec<(Record, &cri::Image)> = images
        .iter()
        .filter(|image| !image.pinned && !is_used(image, used))
        .filter_map(|image| Some((*records.images.get(&image.id)?, image)))
        .filter(|(record, _)| now.duration_since(record.first_seen) >= min_age)
        .collect();
    // One that was never used counts as used the longest ago.
    candidates.sort_by_key(|(record, image)| (record.last_used, record.first_seen, image.id.clone()));
    let mut plan = Plan::default();
    let mut freed = 0;
    for (_, image) in candidates {
        if freed >= wanted {
            break;
        }
        freed += image.size;
        plan.remove.push(image.id.clone());
    }
    if freed < wanted {
        plan.shortage = Some(format!(
            "Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only found \
             {freed} bytes eligible to free."
        ));
    }
    plan
}

fn is_used(image: &cri::Image, used: &HashSet<String>) -> bool {
    used.contains(&image.id) || image.repo_digests.iter().chain(&image.repo_tags).any(|name| used.contains(name))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::at;

    fn image(id: &str, size: u64) -> cri::Image {
        cri::Image {
            id: id.to_owned(),
            repo_tags: vec![format!("{id}:latest")],
            size,
            pinned: id == "pinned",
            ..cri::Image::default()
        }
    }

    /// Four images of 10 bytes on a disk of 100: `used` by a container now, `old` used once, `new` from just now.
    fn check(available: u64, high: u64, low: u64, min_age: u64, expected: &[&str], short: bool) {
        let config = ImageGcConfig {
            high_percent: high,
            low_percent: low,
            min_age: Duration::from_secs(min_age),
            max_age: None,
        };
        let mut images = vec![image("used", 10), image("old", 10), image("never", 10), image("pinned", 10)];
        let mut records = Records::default();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
        records.note(&images, &names(&["used:latest", "old"]), at(100));
        images.push(image("new", 10));
        let used = names(&["used:latest"]);
        records.note(&images, &used, at(200));
        let disk = Disk { capacity_bytes: 100, available_bytes: available };
        let plan = wanted_bytes(&config, disk).map(|wanted| plan(&config, wanted, &images, &used, &records, at(200)));
        let plan = plan.unwrap_or_default();
        assert_eq!((plan.remove.as_slice(), plan.shortage.is_some()), (names_of(expected).as_slice(), short));
    }

    #[test]
    fn images_unused_for_too_long_go_whatever_the_disk_is_like() {
        let images = || vec![image("used", 10), image("old", 10), image("never", 10), image("pinned", 10)];
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
        let mut records = Records::default();
        records.note(&images(), &names(&["used", "old"]), at(0));
        records.note(&images(), &names(&["used", "old"]), at(50));
        let check = |max_age: Option<u64>, now: i64, expected: &[&str]| {
            let config = ImageGcConfig { max_age: max_age.map(Duration::from_secs), ..ImageGcConfig::default() };
            let (outdated, rest) = outdated(&config, images(), &names(&["used"]), &records, at(now));
            assert_eq!((outdated, rest.len()), (names_of(expected), 4 - expected.len()), "{max_age:?} at {now}");
        };
        check(None, 1_000_000, &[]);
        check(Some(100), 100, &[]);
        check(Some(100), 101, &["never"]);
        check(Some(100), 151, &["old", "never"]);
    }

    fn names_of(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn unused_images_go_the_longest_unused_first_until_there_is_room() {
        check(16, 85, 80, 50, &[], false);
        check(15, 85, 80, 50, &["never"], false);
        check(5, 85, 80, 50, &["never", "old"], false);
        check(5, 85, 60, 50, &["never", "old"], true);
        check(5, 85, 60, 0, &["never", "new", "old"], true);
        check(5, 85, 60, 500, &[], true);
        check(0, 100, 0, 0, &["never", "new", "old"], true);
    }
}
