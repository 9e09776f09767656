#!/usr/bin/env bash
# What metrics, logs and traces cost on jobs that do next to nothing (a caption of two words) on the embedded queue:
# everything off against everything on, in turns.
# Prints each run and the ratio of the medians; exit code 1 when it costs more than BOUND percent (5).
#
#   tests/bench/observe.sh [jobs] [rounds]
#
# "on": /metrics scraped every second, JSON log at "info", every attempt traced to a collector on this machine.
set -euo pipefail
cd "$(dirname "$0")/../.."

jobs=${1:-100000} rounds=${2:-5} bound=${BOUND:-5}
binary=${FLOTILLA:-}
if [[ -z $binary ]]; then
    cargo build --locked --release --features otlp --bin flotilla
    target=$(cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    binary=$target/release/flotilla
fi
place=$(mktemp -d)
collector=''
trap '[[ -z $collector ]] || kill "$collector" 2>/dev/null; rm -rf "$place"' EXIT

# Takes what it is sent and says yes.
python3 - "$place/port" <<'PYTHON' &
import http.server, pathlib, sys

class Yes(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Yes)
pathlib.Path(sys.argv[1]).write_text(str(server.server_port))
server.serve_forever()
PYTHON
collector=$!
until [[ -s $place/port ]]; do sleep 0.1; done
otlp=http://127.0.0.1:$(<"$place/port")

python3 -c "
for n in range($jobs):
    print('{\"text\":\"a #b\"}')" >"$place/jobs.jsonl"
admin=127.0.0.1:$((20000 + RANDOM % 10000))

# The seconds of one drain of all jobs.
drain() { # on | off
    local data=$place/data settings=() watcher='' started ended
    rm -rf "$data"
    "$binary" --data "$data" enqueue caption.parse --jsonl "$place/jobs.jsonl" >/dev/null
    if [[ $1 == on ]]; then
        settings=(--admin "$admin" --set log.format=json --set log.level=info --set "telemetry.otlp_endpoint=$otlp")
        (while sleep 1; do curl -s -o /dev/null "http://$admin/metrics" || true; done) &
        watcher=$!
    else
        settings=(--set log.level=off)
    fi
    started=$(date +%s.%N)
    "$binary" --data "$data" worker --until-idle --lanes language "${settings[@]}" >/dev/null 2>"$place/log"
    ended=$(date +%s.%N)
    [[ -z $watcher ]] || kill "$watcher" 2>/dev/null || true
    awk -v a="$started" -v b="$ended" 'BEGIN { printf "%.3f\n", b - a }'
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

drain off >/dev/null # the first run warms the disk
for ((round = 1; round <= rounds; round++)); do
    for how in off on; do
        seconds=$(drain "$how")
        echo "$seconds" >>"$place/$how"
        awk -v how="$how" -v n="$jobs" -v s="$seconds" 'BEGIN { printf "%-4s %8.0f jobs/s\n", how, n / s }'
    done
done
awk -v off="$(median <"$place/off")" -v on="$(median <"$place/on")" -v bound="$bound" 'BEGIN {
    cost = (on / off - 1) * 100
    printf "metrics, logs and traces cost %.1f %% of the throughput (median of each; at most %s %%)\n", cost, bound
    exit cost > bound
}'
