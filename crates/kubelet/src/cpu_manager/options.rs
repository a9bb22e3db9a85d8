//! What the CPU manager is told: its policy and the options of that.

use std::str::FromStr;

use super::cpu_set::CpuSet;

/// Who gets CPUs for itself (`--cpu-manager-policy`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// Nobody.
    #[default]
    None,
    /// Containers of Guaranteed Pods that ask for whole CPUs.
    Static,
}

impl Policy {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Static => "static",
        }
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::None, Self::Static]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| format!("unknown policy: {text:?}"))
    }
}

/// Options of the static policy (`--cpu-manager-policy-options`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PolicyOptions {
    /// Containers get whole cores or nothing.
    pub full_pcpus_only: bool,
    /// Nobody runs on reserved CPUs.
    pub strict_cpu_reservation: bool,
}

impl FromStr for PolicyOptions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, value) = item.split_once('=').ok_or_else(|| format!("{item:?} is not OPTION=true|false"))?;
            let option = match name {
                "full-pcpus-only" => &mut options.full_pcpus_only,
                "strict-cpu-reservation" => &mut options.strict_cpu_reservation,
                "align-by-socket" | "distribute-cpus-across-cores" => {
                    return Err(format!(
                        "CPU Manager Policy Alpha-level Options not enabled, but option {name:?} provided"
                    ));
                }
                "distribute-cpus-across-numa" | "prefer-align-cpus-by-uncorecache" => {
                    return Err(format!("CPU Manager Policy option {name:?} is not supported here"));
                }
                _ => return Err(format!("unknown CPU Manager Policy option: {name:?}")),
            };
            *option = value.parse().map_err(|_| format!("bad value for option {name:?}: {value:?}"))?;
        }
        Ok(options)
    }
}

/// Everything the CPU manager is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuManagerConfig {
    /// Who gets CPUs for itself.
    pub policy: Policy,
    /// How.
    pub options: PolicyOptions,
    /// CPUs that nobody gets for itself (`--reserved-cpus`); if empty, as many as are reserved otherwise.
    pub reserved: CpuSet,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_or_refused_by_name() {
        let both = PolicyOptions { full_pcpus_only: true, strict_cpu_reservation: false };
        assert_eq!("full-pcpus-only=true, strict-cpu-reservation=false".parse(), Ok(both));
        assert_eq!("".parse(), Ok(PolicyOptions::default()));
        for (text, problem) in [
            ("full-pcpus-only", "\"full-pcpus-only\" is not OPTION=true|false"),
            ("full-pcpus-only=maybe", "bad value for option \"full-pcpus-only\": \"maybe\""),
            ("x=true", "unknown CPU Manager Policy option: \"x\""),
            (
                "align-by-socket=true",
                "CPU Manager Policy Alpha-level Options not enabled, but option \"align-by-socket\" provided",
            ),
        ] {
            assert_eq!(text.parse::<PolicyOptions>().unwrap_err(), problem);
        }
        assert_eq!("dynamic".parse::<Policy>().unwrap_err(), "unknown policy: \"dynamic\"");
    }
}
