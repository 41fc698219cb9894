# Sourced by cluster.sh: names and places, the record of what was made, processes, certificates.
# shellcheck shell=bash

name=${CLUSTER_NAME:-kvs}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/k8s-vectordb-sync
state=$cache/cluster/$name
made=$state/made
pki=$state/pki
kubeconfig=$state/kubeconfig

say() { echo "cluster: $*" >&2; }
die() {
  say "$@"
  exit 1
}

# since prints the seconds since a moment of $EPOCHREALTIME, with one decimal.
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# await SECONDS WHAT COMMAND... runs a command every fifth of a second until it succeeds.
await() {
  local seconds=$1 what=$2 end
  shift 2
  end=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || {
      say "$what: not within $seconds s"
      return 1
    }
    sleep 0.2
  done
}

# --- The record. What is made on this machine outside the state directory is written down with what tells it from a
# later thing of the same name, and only what is written down is ever removed.

# record KIND NAME IDENTITY
record() { echo "$1 $2 $3" >>"$made"; }

recorded() { grep -qs "^$1 $2 " "$made"; }

netns_identity() { stat -L -c %i "/run/netns/$1" 2>/dev/null; }

# make_netns NAME makes a network namespace, and refuses one that is there already.
make_netns() {
  [ ! -e "/run/netns/$1" ] ||
    die "there is a network namespace $1 that was not made here: remove it (ip netns del $1), or choose another CLUSTER_NAME"
  ip netns add "$1"
  record netns "$1" "$(netns_identity "$1")"
  ip -n "$1" link set lo up
}

# make_cgroup PATH makes a cgroup, and refuses one that is there already.
make_cgroup() {
  [ ! -e "$1" ] || die "there is a cgroup $1 that was not made here: remove it, or choose another CLUSTER_NAME"
  mkdir "$1"
  record cgroup "$1" "$(stat -c %i "$1")"
}

remove_cgroup() {
  [ -d "$1" ] || return 0
  find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
  [ ! -d "$1" ]
}

# unmake removes what is on the record, newest first, and leaves alone what has been replaced by something of the same name.
unmake() {
  local kind what identity left=
  [ -e "$made" ] || return 0
  while read -r kind what identity; do
    case $kind in
      netns)
        [ -e "/run/netns/$what" ] || continue
        if [ "$(netns_identity "$what")" = "$identity" ]; then
          ip netns del "$what" || left=yes
        else
          say "network namespace $what is not the one that was made here: left alone"
        fi
        ;;
      cgroup)
        [ -e "$what" ] || continue
        if [ "$(stat -c %i "$what")" = "$identity" ]; then
          await 20 "removing cgroup $what" remove_cgroup "$what" || left=yes
        else
          say "cgroup $what is not the one that was made here: left alone"
        fi
        ;;
    esac
  done < <(tac "$made")
  [ -z "$left" ]
}

# --- Processes. A pid file has the pid and when the process was started: a pid alone may be somebody else's by now.

# started PID prints when a process was started, in ticks since the boot.
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# pid_of NAME prints the pid of a process that was started here and runs.
pid_of() {
  local pid ticks
  read -r pid ticks 2>/dev/null <"$state/run/$1.pid" || return 1
  [ -n "$ticks" ] && [ "$(started "$pid")" = "$ticks" ] && ! dead "$pid" && echo "$pid"
}

# dead PID tells whether nothing is left of a process but its number. While other threads of it end, its sockets are open.
dead() { grep -qs '^State:.Z' "/proc/$1/status" && [ "$(find "/proc/$1/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" -le 1 ]; }

# start NAME COMMAND... starts a daemon in a session of its own, with its log in log/NAME.log.
start() {
  local process=$1 pid
  shift
  mkdir -p "$state/run" "$state/log"
  setsid "$@" >>"$state/log/$process.log" 2>&1 </dev/null 9>&- &
  pid=$!
  disown # or the shell would tell of its end
  echo "$pid $(started $pid)" >"$state/run/$process.pid"
}

# stop NAME [SIGNAL] ends a process that was started here, with SIGKILL after ten seconds.
stop() {
  local process=$1 signal=${2:-TERM} pid
  if pid=$(pid_of "$process"); then
    kill "-$signal" "$pid" 2>/dev/null || true
    await 10 "ending $process" not pid_of "$process" || {
      kill -KILL "$pid" 2>/dev/null || true
      await 10 "killing $process" not pid_of "$process" || return 1
    }
  fi
  rm -f "$state/run/$process.pid"
}

not() { ! "$@"; }

# --- Certificates, all of one authority.

authority() {
  [ ! -s "$pki/ca.crt" ] || return 0
  mkdir -p "$pki"
  openssl ecparam -name prime256v1 -genkey -noout -out "$pki/ca.key"
  openssl req -x509 -new -key "$pki/ca.key" -subj "/CN=$name-ca" -days 30 -out "$pki/ca.crt" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"
  openssl genrsa -out "$pki/sa.key" 2048 2>/dev/null
  openssl rsa -in "$pki/sa.key" -pubout -out "$pki/sa.pub" 2>/dev/null
}

# certificate NAME SUBJECT [NAMES]
certificate() {
  [ ! -s "$pki/$1.crt" ] || return 0
  openssl ecparam -name prime256v1 -genkey -noout -out "$pki/$1.key"
  {
    printf '%s\n' basicConstraints=CA:FALSE keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth,clientAuth
    [ -z "${3:-}" ] || echo "subjectAltName=$3"
  } >"$pki/$1.ext"
  openssl req -new -key "$pki/$1.key" -subj "$2" |
    openssl x509 -req -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -set_serial "0x$(openssl rand -hex 15)" \
      -days 30 -extfile "$pki/$1.ext" -out "$pki/$1.crt" 2>/dev/null
}

# user NAME FILE SUBJECT writes a kubeconfig of a user whom the authority vouches for.
user() {
  certificate "$1" "$3"
  (
    umask 077
    cat >"$2" <<K
apiVersion: v1
kind: Config
current-context: $name
clusters: [{name: $name, cluster: {server: "$server", certificate-authority-data: $(base64 -w0 "$pki/ca.crt")}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$pki/$1.crt"), client-key-data: $(base64 -w0 "$pki/$1.key")}}]
contexts: [{name: $name, context: {cluster: $name, user: $1}}]
K
  )
}
