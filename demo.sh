#!/usr/bin/env bash
# From nothing to a real Pod that serves a page: builds isopod, makes test images from Debian packages, serves them from a
# registry on loopback, starts a cluster, runs examples/two-containers-one-volume.yaml, and says what to type next.
# Needs root and Rust; no kubectl: the API is spoken to with curl and the admin certificate.
set -euo pipefail
cd "$(dirname "$0")"

data=${ISOPOD_DATA_DIR:-/var/lib/isopod}
port=${ISOPOD_PORT:-6443}
images=$PWD/target/images
demo=$PWD/target/demo
pod=examples/two-containers-one-volume.yaml
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { echo "demo: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "must run as root: it makes namespaces, mounts and cgroups"
mkdir -p "$demo"

say "1. Building isopod (a few minutes the first time)"
cargo build --release --locked -p isopod
cargo build --release --locked -p registry
PATH=$PWD/target/release:$PATH

say "2. Making the images and serving them on loopback"
./images/build.sh "$images" >/dev/null
if ! curl -sf -o /dev/null http://127.0.0.1:5000/v2/; then
  setsid registry --write-registries "$demo/registries.yaml" "$images/oci" >"$demo/registry.log" 2>&1 &
  echo $! >"$demo/registry.pid"
fi
until curl -sf -o /dev/null http://127.0.0.1:5000/v2/; do
  kill -0 "$(cat "$demo/registry.pid")" 2>/dev/null || fail "the registry did not start: $(cat "$demo/registry.log")"
  sleep 0.05
done

say "3. Starting a cluster"
api() {
  curl -sS --fail-with-body --cacert "$data/tls/ca.crt" --cert "$data/tls/admin.crt" --key "$data/tls/admin.key" \
    "${@:2}" "https://127.0.0.1:$port$1"
}
if ! api /readyz >/dev/null 2>&1; then
  : >"$demo/server.log"
  setsid isopod server --data-dir "$data" --https-listen-port "$port" --private-registry "$demo/registries.yaml" \
    >"$demo/server.log" 2>&1 &
  server=$!
  until grep -q 'is Ready after' "$demo/server.log"; do
    kill -0 "$server" 2>/dev/null || fail "the server did not start: $(cat "$demo/server.log")"
    sleep 0.02
  done
fi
grep -h ' ready at \| is Ready after' "$demo/server.log"

say "4. Running a Pod: two containers, one volume"
pods=/api/v1/namespaces/default/pods
if ! api "$pods/mc1" >/dev/null 2>&1; then
  api "$pods" -H 'Content-Type: application/yaml' --data-binary "@$pod" >/dev/null
fi
address() { api "$pods/mc1" | python3 -c '
import json, sys
status = json.load(sys.stdin).get("status", {})
ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
print(status.get("podIP", "") if ready else "")'; }
for _ in $(seq 600); do
  ip=$(address)
  [ -n "$ip" ] && break
  sleep 0.1
done
[ -n "$ip" ] || fail "the Pod is not Ready: $(api "$pods/mc1")"
echo "mc1 is Running at $ip"

say "5. Its page, twice: the second container writes the date, nginx in the first one serves it"
page() { for _ in $(seq 50); do curl -sf "http://$ip/" | tail -n 1 | grep . && return; sleep 0.1; done; fail "no page at http://$ip/"; }
first=$(page); echo "$first"
sleep 2
second=$(page); echo "$second"
[ "$first" != "$second" ] || fail "the page does not change"

say "It works. What to type next:"
cat <<EOF
  export KUBECONFIG=$data/admin.kubeconfig PATH=$PWD/target/release:\$PATH
  kubectl get pods -o wide
  kubectl logs -f mc1 -c 1st
  kubectl exec -it mc1 -c 2nd -- bash
  kubectl apply -f examples/redis-emptydir.yaml
EOF
command -v kubectl >/dev/null || cat <<'EOF'

There is no kubectl on the PATH. Any kubectl from 1.27 on will do; Debian's package is kubernetes-client, and
https://kubernetes.io/docs/tasks/tools/ has the current one.
EOF
cat <<EOF

The cluster goes on running; \`make clean-host\` stops it and removes everything.
EOF
