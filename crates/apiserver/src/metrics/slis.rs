//! What each health check said, as service level indicators: `/metrics/slis`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{Kind, Text};

/// What one check of one endpoint said.
#[derive(Debug, Default, Clone, Copy)]
struct Said {
    passes: bool,
    successes: u64,
    errors: u64,
}

/// What the checks said, by their names and endpoints.
#[derive(Debug, Default)]
pub struct Slis(Mutex<BTreeMap<(&'static str, &'static str), Said>>);

impl Slis {
    /// Notes what a check said.
    pub fn note(&self, check: &'static str, endpoint: &'static str, passes: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = all.entry((check, endpoint)).or_default();
        said.passes = passes;
        *(if passes { &mut said.successes } else { &mut said.errors }) += 1;
    }

    /// All of it.
    pub fn text(&self) -> String {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = Text::default();
        if all.is_empty() {
            return text.finish();
        }
        let name = "kubernetes_healthcheck";
        text.family(name, Kind::Gauge, "[STABLE] This metric records the result of a single healthcheck.");
        for ((check, endpoint), said) in all.iter() {
            text.sample(name, &[("name", check), ("type", endpoint)], u8::from(said.passes));
        }
        let name = "kubernetes_healthchecks_total";
        text.family(name, Kind::Counter, "[STABLE] This metric records the results of all healthcheck.");
        for ((check, endpoint), said) in all.iter() {
            for (status, count) in [("error", said.errors), ("success", said.successes)] {
                if count > 0 {
                    text.sample(name, &[("name", check), ("status", status), ("type", endpoint)], count);
                }
            }
        }
        text.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_and_all_of_them_are_told() {
        let slis = Slis::default();
        assert_eq!(slis.text(), "");
        slis.note("ping", "livez", true);
        slis.note("ping", "livez", true);
        slis.note("ping", "livez", false);
        let text = slis.text();
        for line in [
            "kubernetes_healthcheck{name=\"ping\",type=\"livez\"} 0",
            "kubernetes_healthchecks_total{name=\"ping\",status=\"error\",type=\"livez\"} 1",
            "kubernetes_healthchecks_total{name=\"ping\",status=\"success\",type=\"livez\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{text}");
        }
    }
}
