#!/usr/bin/env bash
# Makes the images that tests and the demo run, from Debian packages and without a container engine.
#
#   images/build.sh [DIR]                          build what is missing; prints the directory to serve
#   images/build.sh archive IMAGE FILE             write one of them as an OCI archive
#   images/build.sh archive --docker IMAGE FILE    ... as `docker save` would
#
# The result is an OCI layout in DIR/oci (DIR is $ISOPOD_IMAGES or else target/images), to be served by the project's test
# registry (`cargo run -p registry -- DIR/oci`) under the names that manifests use. Packages are downloaded once, into
# DIR/packages; a second run sees that nothing changed and ends at once. Needs root (for owners of files) and a Debian 12
# with apt.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${ISOPOD_IMAGES:-$here/../target/images}
if [ $# = 1 ]; then
  out=$1
  shift
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
packages=$out/packages
layout=$out/oci
blobs=$layout/blobs/sha256
architecture=$(dpkg --print-architecture)
# All files get this time, so that equal content has equal digests.
epoch=1735689600

# What the debian image is made of. Neither apt nor perl: nothing is installed into running containers.
debian_packages=(
  base-files base-passwd bash coreutils dash debianutils diffutils findutils grep gzip hostname libacl1 libattr1 libc6
  libc-bin libcap2 libcrypt1 libgcc-s1 libgmp10 libpcre2-8-0 libproc2-0 libselinux1 libssl3 libtinfo6 libzstd1 liblz4-1
  liblzma5 libgcrypt20 libgpg-error0 libsystemd0 libncursesw6 mawk ncurses-base procps psmisc sed tar zlib1g gcc-12-base
)
nginx_packages=(nginx nginx-common)
redis_packages=(
  redis-server redis-tools libatomic1 libhiredis0.14 libjemalloc2 liblua5.1-0 liblzf1 libstdc++6 lua-bitop lua-cjson
)
busybox_packages=(busybox-static)

trash=()
trap 'rm -rf "${trash[@]}"' EXIT

say() { echo "images: $*" >&2; }

# --- packages -------------------------------------------------------------------------------------------------------

# Downloads the packages that are not there yet.
fetch() {
  mkdir -p "$packages"
  local missing=() package
  for package in "$@"; do
    compgen -G "$packages/${package}_*.deb" >/dev/null || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  say "downloading ${#missing[@]} packages"
  local options=(-qq -o APT::Sandbox::User=root)
  (cd "$packages" && apt-get "${options[@]}" download "${missing[@]}" 2>/dev/null) && return 0
  say "refreshing the package lists"
  apt-get "${options[@]}" update
  (cd "$packages" && apt-get "${options[@]}" download "${missing[@]}")
}

# unpack ROOT PACKAGE...: unpacks packages, without documentation, into a root directory with a merged /usr.
unpack() {
  local root=$1 package
  shift
  for package in "$@"; do
    dpkg-deb --fsys-tarfile "$packages/${package}_"*.deb | tar -C "$root" --keep-directory-symlink --numeric-owner -xpf - \
      --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
      --exclude='./usr/share/info/*' --exclude='./usr/share/lintian/*' --exclude='./usr/share/bug/*'
  done
}

# An empty root directory with the usual skeleton.
skeleton() {
  local root=$1 directory
  mkdir -p "$root"/{usr/bin,usr/sbin,usr/lib,usr/lib64,etc,dev,proc,sys,run,root,home,var/log,var/lib,var/tmp,tmp}
  chmod 0700 "$root/root"
  chmod 1777 "$root/tmp" "$root/var/tmp"
  for directory in bin sbin lib lib64; do
    ln -s "usr/$directory" "$root/$directory"
  done
  ln -s /run "$root/var/run"
}

# --- layout ---------------------------------------------------------------------------------------------------------

# add_blob FILE: moves a file into the layout; prints its digest.
add_blob() {
  local hex
  hex=$(sha256sum "$1" | cut -d' ' -f1)
  mv "$1" "$blobs/$hex"
  echo "sha256:$hex"
}

# layer ROOT: makes a layer of everything in ROOT; prints "DIFF_ID DIGEST SIZE".
layer() {
  local file=$work/layer.tar diff_id digest
  tar -C "$1" --sort=name --mtime="@$epoch" --numeric-owner --format=gnu -cf "$file" .
  diff_id=sha256:$(sha256sum "$file" | cut -d' ' -f1)
  gzip -n "$file"
  digest=$(add_blob "$file.gz")
  echo "$diff_id $digest $(stat -c %s "$blobs/${digest#sha256:}")"
}

join() { local IFS=,; echo "$*"; }

entries=()

# image NAME CONFIG LAYER...: adds an image; CONFIG is the JSON object of its process, a LAYER what `layer` printed.
image() {
  local name=$1 config=$2 part diff_ids=() layers=() config_digest config_size manifest_digest manifest_size
  shift 2
  for part in "$@"; do
    local diff_id digest size
    read -r diff_id digest size <<<"$part"
    diff_ids+=("\"$diff_id\"")
    layers+=("{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"$digest\",\"size\":$size}")
  done
  printf '{"architecture":"%s","os":"linux","created":"2025-01-01T00:00:00Z","config":%s,"rootfs":{"type":"layers","diff_ids":[%s]}}' \
    "$architecture" "$config" "$(join "${diff_ids[@]}")" >"$work/config.json"
  config_size=$(stat -c %s "$work/config.json")
  config_digest=$(add_blob "$work/config.json")
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%s},"layers":[%s]}' \
    "$config_digest" "$config_size" "$(join "${layers[@]}")" >"$work/manifest.json"
  manifest_size=$(stat -c %s "$work/manifest.json")
  manifest_digest=$(add_blob "$work/manifest.json")
  entries+=("{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"$manifest_digest\",\"size\":$manifest_size,\"annotations\":{\"org.opencontainers.image.ref.name\":\"$name\"}}")
  say "made $name"
}

# --- images ---------------------------------------------------------------------------------------------------------

path_env='"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"'

build_busybox() {
  local root=$work/busybox applet
  mkdir -p "$root"/{bin,etc,dev,proc,sys,root,home,tmp,var/www,usr/bin,usr/sbin,sbin}
  chmod 1777 "$root/tmp"
  dpkg-deb --fsys-tarfile "$packages"/busybox-static_*.deb | tar -C "$work" -xf - ./bin/busybox
  mv "$work/bin/busybox" "$root/bin/busybox"
  # Debian does not ship the applets by name.
  for applet in $("$root/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
  done
  printf 'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nwww-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nnobody:x:65534:\n' >"$root/etc/group"
  local layer
  layer=$(layer "$root")
  image docker.io/library/busybox:latest '{"Env":['"$path_env"'],"Cmd":["sh"]}' "$layer"
  # Its user has a name, which only the image's own files know.
  image docker.io/test/named-user:latest '{"User":"www-data:daemon","Env":['"$path_env"'],"Cmd":["sh"]}' "$layer"
}

build_debian() {
  local root=$work/debian
  skeleton "$root"
  unpack "$root" "${debian_packages[@]}"
  rm -rf "$root"/usr/share/{doc,man,locale,info,lintian,bug,doc-base,common-licenses,bash-completion} "$root"/usr/lib/*/gconv
  sed 's/^\([^:]*\):\*:/\1:x:/' "$root/usr/share/base-passwd/passwd.master" >"$root/etc/passwd"
  sed 's/^\([^:]*\):\*:/\1:x:/' "$root/usr/share/base-passwd/group.master" >"$root/etc/group"
  ln -sf mawk "$root/usr/bin/awk"
  [ -e "$root/usr/bin/sh" ] || ln -s dash "$root/usr/bin/sh"
  printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
  cp "$root/usr/share/base-files/dot.bashrc" "$root/root/.bashrc"
  chroot "$root" /bin/bash -c 'date && tar --version && id && awk "BEGIN {}"' >/dev/null
  debian_layer=$(layer "$root")
  image docker.io/library/debian:latest '{"Env":['"$path_env"'],"Cmd":["bash"]}' "$debian_layer"
}

# A directory to put the files of a layer above the debian one into. The merged /usr of the layer below must stay.
above_debian() {
  local root=$1
  mkdir -p "$root"/usr/{bin,sbin,lib,lib64}
  local directory
  for directory in bin sbin lib lib64; do
    ln -s "usr/$directory" "$root/$directory"
  done
}

# check ROOT COMMAND...: runs a command in the layer's files over those of the debian image.
check() {
  local root=$work/check
  rm -rf "$root"
  cp -a "$work/debian" "$root"
  cp -a "$1/." "$root/"
  shift
  chroot "$root" "$@" >/dev/null 2>&1 || { say "this does not run: $*"; chroot "$root" "$@" >&2; exit 1; }
}

build_nginx() {
  local root=$work/nginx
  above_debian "$root"
  unpack "$root" "${nginx_packages[@]}"
  rm -rf "$root"/etc/{nginx,init.d,default,logrotate.d,ufw} "$root"/usr/lib/systemd "$root"/usr/share/{doc,man,lintian}
  unpack_one "$root" nginx-common ./etc/nginx/mime.types
  mkdir -p "$root"/etc/nginx/conf.d "$root"/var/cache/nginx "$root"/var/log/nginx "$root"/var/lib/nginx "$root"/run
  ln -sf /dev/stdout "$root/var/log/nginx/access.log"
  ln -sf /dev/stderr "$root/var/log/nginx/error.log"
  cp "$here/nginx/nginx.conf" "$root/etc/nginx/nginx.conf"
  cp "$here/nginx/default.conf" "$root/etc/nginx/conf.d/default.conf"
  mkdir -p "$root/usr/share/nginx/html"
  cp "$here/nginx/index.html" "$here/nginx/50x.html" "$root/usr/share/nginx/html/"
  cp "$work/debian/etc/passwd" "$root/etc/passwd"
  cp "$work/debian/etc/group" "$root/etc/group"
  echo 'nginx:x:101:101:nginx user:/nonexistent:/bin/false' >>"$root/etc/passwd"
  echo 'nginx:x:101:' >>"$root/etc/group"
  check "$root" nginx -t
  nginx_layer=$(layer "$root")
  local version config
  for version in latest 1.8; do
    config='{"Env":['"$path_env"',"NGINX_TAG='"$version"'"],"Cmd":["nginx","-g","daemon off;"],"StopSignal":"SIGQUIT","ExposedPorts":{"80/tcp":{}}}'
    image "docker.io/library/nginx:$version" "$config" "$debian_layer" "$nginx_layer"
  done
}

# unpack_one ROOT PACKAGE PATH
unpack_one() { dpkg-deb --fsys-tarfile "$packages/$2_"*.deb | tar -C "$1" --numeric-owner -xpf - "$3"; }

build_redis() {
  local root=$work/redis
  above_debian "$root"
  unpack "$root" "${redis_packages[@]}"
  rm -rf "$root"/etc/{init.d,default,logrotate.d,redis} "$root"/usr/lib/systemd "$root"/usr/share/{doc,man,lintian}
  mkdir -p "$root/data" "$root/usr/local/bin"
  install -m 0755 "$here/redis/docker-entrypoint.sh" "$root/usr/local/bin/docker-entrypoint.sh"
  check "$root" redis-server --version
  local config='{"Env":['"$path_env"'],"Entrypoint":["docker-entrypoint.sh"],"Cmd":["redis-server"],"WorkingDir":"/data","ExposedPorts":{"6379/tcp":{}}}'
  image docker.io/library/redis:latest "$config" "$debian_layer" "$(layer "$root")"
}

build_myapp() {
  local version=$1 root=$work/myapp-$1
  mkdir -p "$root"/usr/{local/bin,share/nginx/html}
  printf 'Hello MyApp | Version: %s | <a href="hostname.html">Pod Name</a>\n' "$version" >"$root/usr/share/nginx/html/index.html"
  install -m 0755 "$here/myapp/start.sh" "$root/usr/local/bin/start.sh"
  local config='{"Env":['"$path_env"'],"Cmd":["start.sh"],"StopSignal":"SIGQUIT","ExposedPorts":{"80/tcp":{}}}'
  image "docker.io/ikubernetes/myapp:$version" "$config" "$debian_layer" "$nginx_layer" "$(layer "$root")"
}

# A web server with a place for applications, under the names that Tomcat's images have; not Tomcat itself.
build_tomcat() {
  local root=$work/tomcat name
  mkdir -p "$root"/usr/local/{bin,tomcat/webapps} "$root"/etc/nginx/conf.d
  echo 'No applications are deployed here.' >"$root/usr/local/tomcat/webapps/index.html"
  install -m 0755 "$here/tomcat/start.sh" "$root/usr/local/bin/catalina.sh"
  cp "$here/tomcat/default.conf" "$root/etc/nginx/conf.d/default.conf"
  local config='{"Env":['"$path_env"'],"Cmd":["catalina.sh","run"],"ExposedPorts":{"8080/tcp":{}}}' layer
  layer=$(layer "$root")
  for name in library/tomcat:10 test/tomcat-8.5-jre8:v1; do
    image "docker.io/$name" "$config" "$debian_layer" "$nginx_layer" "$layer"
  done
}

# Holds an application to be copied, as a file.
build_sample() {
  local root=$work/sample
  mkdir -p "$root"
  echo 'the application' >"$root/sample.war"
  image docker.io/library/sample:v2 '{"Env":['"$path_env"'],"Cmd":["sh"]}' "$debian_layer" "$(layer "$root")"
}

build_all() {
  work=$(mktemp -d "$out/work.XXXXXX")
  trash+=("$work")
  fetch "${busybox_packages[@]}" "${debian_packages[@]}" "${nginx_packages[@]}" "${redis_packages[@]}"
  mkdir -p "$blobs"
  build_busybox
  build_debian
  build_nginx
  build_redis
  build_myapp v1
  build_tomcat
  build_sample
  echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
  printf '{"schemaVersion":2,"manifests":[%s]}\n' "$(join "${entries[@]}")" >"$layout/index.json.new"
  mv "$layout/index.json.new" "$layout/index.json"
  echo "$stamp" >"$out/stamp"
}

# --- archives -------------------------------------------------------------------------------------------------------

# field DOCUMENT NAME: the first string of that name in a JSON document made by this script.
field() { grep -o "\"$2\":\"[^\"]*\"" "$1" | head -n 1 | cut -d'"' -f4; }

archive() {
  local kind=oci
  if [ "$1" = --docker ]; then
    kind=docker
    shift
  fi
  local name=$1 file=$2 entry manifest config digest layers=() stage
  entry=$(grep -o "{[^{}]*{[^{}]*\"$name\"}}" "$layout/index.json") || { say "no image $name; see $layout/index.json"; exit 1; }
  manifest=$(grep -o '"digest":"[^"]*"' <<<"$entry" | cut -d: -f3 | tr -d '"')
  stage=$(mktemp -d "$out/archive.XXXXXX")
  trash+=("$stage")
  config=$(field "$blobs/$manifest" digest)
  mapfile -t layers < <(grep -o '"digest":"[^"]*"' "$blobs/$manifest" | tail -n +2 | cut -d: -f3 | tr -d '"')
  if [ "$kind" = oci ]; then
    mkdir -p "$stage/blobs/sha256"
    for digest in "$manifest" "${config#sha256:}" "${layers[@]}"; do
      ln "$blobs/$digest" "$stage/blobs/sha256/$digest"
    done
    echo '{"imageLayoutVersion":"1.0.0"}' >"$stage/oci-layout"
    printf '{"schemaVersion":2,"manifests":[%s]}\n' "$entry" >"$stage/index.json"
  else
    local names=() n=0
    ln "$blobs/${config#sha256:}" "$stage/config.json"
    for digest in "${layers[@]}"; do
      gunzip -c "$blobs/$digest" >"$stage/layer-$n.tar"
      names+=("\"layer-$n.tar\"")
      n=$((n + 1))
    done
    printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":[%s]}]\n' "$name" "$(join "${names[@]}")" >"$stage/manifest.json"
  fi
  tar -C "$stage" -cf "$file" .
}

stamp=$(cat "$here"/build.sh "$here"/*/* | sha256sum | cut -d' ' -f1)
exec 9>"$out/lock"
flock 9
if [ "$(cat "$out/stamp" 2>/dev/null)" != "$stamp" ]; then
  build_all >&2
fi
if [ $# = 0 ]; then
  echo "$layout"
elif [ "$1" = archive ] && [ $# -ge 3 ]; then
  shift
  archive "$@"
else
  sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
