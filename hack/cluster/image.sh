#!/usr/bin/env bash
# Makes a container image of one static binary without a builder, as an archive that containerd and Docker can load. It has
# the layout of the Dockerfile's images: no shell, the user 65532, authorities of the machine it is made on.
#
#   hack/cluster/image.sh OUT.tar REFERENCE BINARY [ARGUMENT...]
#
# The binary is at /usr/local/bin/NAME, and is what the image runs, with the arguments. DATA=yes adds a folder /data that
# the user may write.
set -euo pipefail
[ $# -ge 3 ] || {
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}
out=$(realpath -m "$1") reference=$2 binary=$3
shift 3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{etc/ssl/certs,home/nonroot,tmp,usr/local/bin} ${DATA:+"$root/data"}
printf '%s\n' root:x:0:0:root:/root:/sbin/nologin nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin \
  nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin >"$root/etc/passwd"
printf '%s\n' root:x:0: nobody:x:65534: nonroot:x:65532: >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
for authorities in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
  [ ! -e "$authorities" ] || install -m 0644 "$(realpath "$authorities")" "$root/etc/ssl/certs/ca-certificates.crt"
done
install -m 0755 "$binary" "$root/usr/local/bin/$(basename "$binary")"

# The same input makes the same image: fixed times, fixed order.
pack() { tar --sort=name --mtime=@0 --numeric-owner -C "$root" "$@"; }
pack --owner=0 --group=0 --mode=go-w --exclude=./tmp --exclude=./home/nonroot --exclude=./data -cf "$work/layer.tar" .
pack --owner=0 --group=0 --mode=1777 -rf "$work/layer.tar" ./tmp
pack --owner=65532 --group=65532 --mode=0700 -rf "$work/layer.tar" ./home/nonroot ${DATA:+./data}

arguments=$(printf ',"%s"' "$@")
[ $# -gt 0 ] || arguments=,
cat >"$work/config.json" <<J
{"architecture":"$(go env GOARCH)","os":"linux","created":"1970-01-01T00:00:00Z",
 "config":{"User":"65532:65532","WorkingDir":"/","Entrypoint":["/usr/local/bin/$(basename "$binary")"],"Cmd":[${arguments:1}],
  "Env":["PATH=/usr/local/bin","SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"]},
 "rootfs":{"type":"layers","diff_ids":["sha256:$(sha256sum "$work/layer.tar" | cut -d' ' -f1)"]},
 "history":[{"created":"1970-01-01T00:00:00Z","created_by":"hack/cluster/image.sh"}]}
J
echo "[{\"Config\":\"config.json\",\"RepoTags\":[\"$reference\"],\"Layers\":[\"layer.tar\"]}]" >"$work/manifest.json"
mkdir -p "$(dirname "$out")"
tar -cf "$out.$$" -C "$work" manifest.json config.json layer.tar
mv -f "$out.$$" "$out"
