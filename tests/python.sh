#!/usr/bin/env bash
# Makes a Python that has the `kubernetes` client, in target/python, unless it is there; prints its path.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
home=${ISOPOD_PYTHON:-$root/target/python/client}
exec 9>"$root/target/python.lock"
flock 9
if ! "$home/bin/python" -c 'import kubernetes' 2>/dev/null; then
  python3 -m venv "$home" >&2
  "$home/bin/pip" install --quiet --disable-pip-version-check kubernetes >&2
fi
echo "$home/bin/python"
