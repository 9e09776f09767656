#!/usr/bin/env bash
# Flotilla beside other job queues, on this machine, in one run: medians and ratios.
#   tests/bench/peers.sh [--quick] [--rounds N] [--only name,name]
#
# Installs what it measures (Debian packages with root or sudo; npm, PyPI and crates at pinned versions,
# into .cache/peers and tests/bench/*/node_modules), then hands over to peers.py. A peer that cannot be
# installed here is named and left out.
set -euo pipefail
cd "$(dirname "$0")/../.."
bench=$PWD/tests/bench
cache=$PWD/.cache/peers
mkdir -p "$cache"
log=$cache/install.log
: >"$log"

# Debian's scripts start a service they install; this one keeps them from it while we install.
install_packages() {
    local root=(env) guard=/usr/sbin/policy-rc.d
    ((EUID == 0)) || root=(sudo)
    command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null || [[ -t 0 ]]; } || return 1
    local guarded=
    if [[ ! -e $guard ]]; then
        guarded=yes
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$guard" >/dev/null
        "${root[@]}" chmod +x "$guard"
    fi
    {
        "${root[@]}" apt-get -qq update
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"
    } >>"$log" 2>&1 || local failed=1
    [[ -z $guarded ]] || "${root[@]}" rm -f "$guard"
    return "${failed:-0}"
}

postgres() { compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; }
rabbitmq() { [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]]; }
venv() { python3 -c 'import ensurepip, venv'; }
missing=()
command -v python3 >/dev/null || missing+=(python3)
venv 2>/dev/null || missing+=(python3-venv)
command -v redis-server >/dev/null || missing+=(redis-server)
rabbitmq || missing+=(rabbitmq-server)
postgres || missing+=(postgresql)
command -v npm >/dev/null || missing+=(nodejs npm)
if ((${#missing[@]})); then
    echo "peers: installing ${missing[*]}"
    install_packages "${missing[@]}" || echo "peers: could not install all of: ${missing[*]} (see $log)"
fi

skip=()
without() { # name, command that must succeed
    local name=$1
    shift
    "$@" >>"$log" 2>&1 || { skip+=("$name"); echo "skipped: $name: '$*' failed (see $log)"; }
}
celery() {
    rabbitmq && { [[ -x $cache/venv/bin/python ]] || python3 -m venv "$cache/venv"; } &&
        "$cache/venv/bin/pip" install --quiet --requirement "$bench/celery/requirements.txt"
}
# Follows the lock file and leaves it alone; `npm ci` would also insist on optional builds for other systems.
javascript() { (cd "$bench/$1" && { [[ -d node_modules ]] || npm install --no-save --no-audit --no-fund; }); }
bullmq() { command -v redis-server && javascript bullmq; }
graphile() { postgres && javascript graphile; }
rust() { (cd "$bench/$1" && CARGO_TARGET_DIR=$cache/target cargo build --quiet --locked --release); }

echo "peers: preparing (the first time takes some minutes)"
without bullmq bullmq
without graphile graphile
without celery celery
without apalis rust apalis
without ceiling rust ceiling
cargo build --quiet --locked --release --bin flotilla
target=$(cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

exec python3 "$bench/peers.py" --cache "$cache" --flotilla "$target/release/flotilla" \
    --skip "$(IFS=,; echo "${skip[*]:-}")" "$@"
