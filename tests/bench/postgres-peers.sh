#!/usr/bin/env bash
# Flotilla on PostgreSQL beside Graphile Worker, pg-boss and Procrastinate: one server, in turns, in one run.
#   tests/bench/postgres-peers.sh [--quick] [--rounds N] [--only name,name]
#
# Wants PostgreSQL, Node.js and Python on this machine (peers.sh installs them); brings the rest at
# pinned versions. A peer that cannot run here is named and left out.
set -euo pipefail
cd "$(dirname "$0")/../.."
bench=$PWD/tests/bench
cache=$PWD/.cache/peers
mkdir -p "$cache"
log=$cache/install-postgres.log
: >"$log"
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || { echo "skipped: no PostgreSQL here" && exit 0; }

skip=()
without() { # name, command that must succeed
    local name=$1
    shift
    "$@" >>"$log" 2>&1 || { skip+=("$name"); echo "skipped: $name: '$*' failed (see $log)"; }
}
javascript() { (cd "$bench/$1" && { [[ -d node_modules ]] || npm install --no-save --no-audit --no-fund; }); }
python() {
    { [[ -x $cache/venv/bin/python ]] || python3 -m venv "$cache/venv"; } &&
        "$cache/venv/bin/pip" install --quiet --requirement "$bench/$1/requirements.txt"
}
without graphile javascript graphile
without pgboss javascript pgboss
without procrastinate python procrastinate
target=${CARGO_TARGET_DIR:-$cache/target}
(cd "$bench/postgres" && CARGO_TARGET_DIR=$target cargo build --quiet --release)

exec python3 -B "$bench/postgres_peers.py" --cache "$cache" --ours "$target/release/bench-postgres" \
    --skip "$(IFS=,; echo "${skip[*]:-}")" "$@"
