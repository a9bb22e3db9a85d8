#!/usr/bin/env bash
# The whole test: style, unit and table tests, then end to end through the built binary and the real kubectl.
set -euo pipefail
cd "$(dirname "$0")"
step() { echo "== $*"; "$@"; }
step cargo fmt --all --check
step cargo clippy --locked --workspace --all-targets -- -D warnings
step cargo build --locked --workspace --all-targets
step ./images/build.sh target/images
step cargo test --locked --workspace --no-fail-fast
# The same kubelet on another runtime: what leans on the runtime most, beside the suite `cri` that has both.
step env ISOPOD_TEST_RUNTIME=containerd cargo test --locked --no-fail-fast -p tests --test kubectl --test lifecycle --test security
