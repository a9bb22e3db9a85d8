#!/usr/bin/env bash
# Installs the Debian packages that building, running and testing need, only those that are missing.
set -euo pipefail

need=()
want() { command -v "$1" >/dev/null || need+=("$2"); }
want cc gcc
want make make
want nft nftables
want ip iproute2
want iptables iptables
want pstree psmisc
want curl curl
want python3 python3
want dpkg-deb dpkg
want script bsdutils
want openssl openssl
want kubectl kubernetes-client
want containerd containerd
want runc runc
want etcd etcd-server
want etcdctl etcd-client
python3 -c 'import venv, ensurepip' 2>/dev/null || need+=(python3-venv)
[ -x /usr/lib/cni/bridge ] || need+=(containernetworking-plugins)
[ -x /bin/busybox ] || need+=(busybox-static)
if [ "${#need[@]}" -gt 0 ]; then
  echo "Installing ${need[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
fi
command -v cargo >/dev/null || { echo "Rust is missing: install it with rustup, then run this again" >&2; exit 1; }
