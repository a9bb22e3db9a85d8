//! Sets of CPUs in the kernel's list format: `0-3,7`. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// No machine numbers its CPUs higher; a list that does is a mistake.
const MAX_CPU: u32 = 65_535;

/// CPUs by number.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuSet(BTreeSet<u32>);

impl CpuSet {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    /// Whether all of these are in the other set.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(&self.0 | &other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(&self.0 & &other.0)
    }

    /// What is not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<T: IntoIterator<Item = u32>>(cpus: T) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl FromStr for CpuSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let mut cpus = BTreeSet::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("invalid range {part:?} ({first} > {last})"));
            }
            cpus.extend(first..=last);
        }
        Ok(Self(cpus))
    }
}

fn number(text: &str) -> Result<u32, String> {
    let parsed = text.parse().ok().filter(|cpu| *cpu <= MAX_CPU);
    parsed.ok_or_else(|| format!("{text:?} is not the number of a CPU"))
}

impl fmt::Display for CpuSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for cpu in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => ranges.push((cpu, cpu)),
            }
        }
        for (position, (first, last)) in ranges.into_iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            match first == last {
                true => write!(formatter, "{comma}{first}")?,
                false => write!(formatter, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written_as_the_kernel_has_them() {
        for (text, same) in [("", ""), ("0", "0"), ("3,1,2,7-9", "1-3,7-9"), ("0-1\n", "0-1"), ("5,4", "4-5")] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), same, "{text:?}");
        }
        for (text, problem) in [
            ("1.3", "\"1.3\" is not the number of a CPU"),
            ("3-1", "invalid range \"3-1\" (3 > 1)"),
            ("0-99999999", "\"99999999\" is not the number of a CPU"),
            ("1,,2", "\"\" is not the number of a CPU"),
            ("-1", "\"\" is not the number of a CPU"),
        ] {
            assert_eq!(text.parse::<CpuSet>().unwrap_err(), problem);
        }
    }
}
