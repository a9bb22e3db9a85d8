//! `/version`.

use serde_json::json;

/// The API level that is served.
const KUBERNETES: (&str, &str, &str) = ("1", "36", "2");

/// The version document. The git version is the API level with this server's own version as build metadata, which
/// clients print and otherwise ignore.
pub fn version() -> Vec<u8> {
    let (major, minor, patch) = KUBERNETES;
    let own = env!("CARGO_PKG_VERSION");
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    super::text(&json!({
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": "35",
        "gitVersion": format!("v{major}.{minor}.{patch}+isopod.{own}"),
        "gitCommit": option_env!("ISOPOD_GIT_COMMIT").unwrap_or_default(),
        "gitTreeState": "clean",
        "buildDate": option_env!("ISOPOD_BUILD_DATE").unwrap_or_default(),
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{architecture}", std::env::consts::OS),
    }))
}
