//! How many seats a request takes. Pure.

/// The most a list takes, before its level's own bound.
const MAX_LIST_SEATS: u64 = 100;
/// A list is streamed from memory: however long it is, so much of it is under way at a time.
const MAX_BYTES_AT_ONCE: u64 = 1_000_000;
const BYTES_PER_SEAT: u64 = 100_000;
/// The part of a level's own seats that one request may take.
const MAX_PART: f64 = 0.15;

/// What a list, or a watch that begins with one, would carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Objects of the resource.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// So many at most are wanted; zero for all.
    pub limit: u64,
    /// Whether a name is given, which makes it one object.
    pub single: bool,
}

/// The most seats one request of a level may take.
pub fn max_seats(nominal: usize) -> u64 {
    ((nominal as f64 * MAX_PART).ceil() as u64).max(1)
}

/// The seats of a list on a level that gives one request so many at most.
pub fn list_seats(listed: Listed, max_seats: u64) -> usize {
    let wanted = match (listed.single, listed.limit) {
        (true, _) => 1,
        (false, 0) => listed.objects,
        (false, limit) => limit.min(listed.objects),
    };
    let average = listed.bytes.div_ceil(listed.objects.max(1));
    let bytes = wanted.saturating_mul(average).min(MAX_BYTES_AT_ONCE);
    let seats = bytes.div_ceil(BYTES_PER_SEAT).clamp(1, max_seats.clamp(1, MAX_LIST_SEATS));
    usize::try_from(seats).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_take_seats_by_their_size() {
        let listed = |objects, bytes, limit, single| Listed { objects, bytes, limit, single };
        for (listed, level, expected) in [
            (listed(0, 0, 0, false), 245, 1),
            (listed(50, 50_000, 0, false), 245, 1),
            (listed(1000, 400_000, 0, false), 245, 4),
            (listed(1000, 400_000, 500, false), 245, 2),
            (listed(1000, 400_000, 0, true), 245, 1),
            (listed(100_000, 200_000_000, 0, false), 245, 10),
            (listed(100_000, 200_000_000, 0, false), 13, 2),
            (listed(100_000, 200_000_000, 0, false), 0, 1),
        ] {
            assert_eq!(list_seats(listed, max_seats(level)), expected, "{listed:?} on {level}");
        }
    }
}
