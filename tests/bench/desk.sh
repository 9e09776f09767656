#!/usr/bin/env bash
# How fast the desk is when there is much to look at: fills a queue with finished, waiting and dead
# jobs, then asks every page of the console and every list of the API, and says the 95th percentile.
#
#   tests/bench/desk.sh [BINARY]          embedded, in a folder of its own
#   CONFIG=postgres.toml tests/bench/desk.sh [BINARY]
#
# FINISHED, WAITING, LETTERS: how many of each. ASKS: requests per page. LIMIT: milliseconds that
# the 95th percentile of every page may take; more of it ends with exit code 1. DIR: where it works.
set -euo pipefail

binary=$(realpath "${1:-target/release/flotilla}")
finished=${FINISHED:-2500000}
waiting=${WAITING:-2500000}
letters=${LETTERS:-100000}
asks=${ASKS:-40}
limit=${LIMIT:-200}
port=${PORT:-18431}
dir=${DIR:-$(mktemp -d)}
mkdir -p "$dir"
export FLOTILLA_DATA="$dir/data"
common=()
if [ -n "${CONFIG:-}" ]; then common=(--config "$(realpath "$CONFIG")"); fi
worker=

stop() {
    if [ -n "$worker" ]; then kill "$worker" 2>/dev/null || true; wait "$worker" 2>/dev/null || true; fi
}
trap stop EXIT

flotilla() { "$binary" "${common[@]}" "$@"; }

# Captions of many sorts, so that payloads and errors differ as they do in life.
captions() {
    awk -v n="$1" -v what="$2" 'BEGIN {
        for (i = 0; i < n; i++)
            printf "{\"text\":\"%s %d #tag%d at https://example.com/%d\"}\n", what, i, i % 97, i
    }'
}

fill() {
    echo "filling $dir: $finished finished, $waiting waiting, $letters dead"
    if [ "$letters" -gt 0 ]; then
        captions "$letters" late | flotilla enqueue caption.parse --jsonl - --expires 1ms --tenant dead >/dev/null
    fi
    if [ "$finished" -gt 0 ]; then
        captions "$finished" "done" | flotilla enqueue caption.parse --jsonl - --tenant shop >/dev/null
    fi
    flotilla worker --until-idle 2>/dev/null
    if [ "$waiting" -gt 0 ]; then
        captions "$waiting" later | flotilla enqueue caption.parse --jsonl - --in 90h --tenant shop >/dev/null
    fi
}

if [ -z "${FILLED:-}" ]; then fill; fi
flotilla worker --lanes nothing --admin "127.0.0.1:$port" >"$dir/worker.log" 2>&1 &
worker=$!
job=$(flotilla jobs list --limit 1 --state dead,completed,scheduled --json | grep -m1 '"id"' | cut -d'"' -f4)

paths=(
    "/v1/jobs" "/v1/jobs?limit=500" "/v1/jobs?state=completed" "/v1/jobs?state=scheduled&kind=caption.parse"
    "/v1/jobs?tenant=shop" "/v1/jobs?lane=language&state=dead" "/v1/jobs/$job" "/v1/jobs/$job/detail"
    "/v1/lanes" "/v1/workers" "/v1/schedules" "/v1/dead" "/v1/dead?class=expired&limit=500" "/v1/dead/groups"
    "/v1/replays" "/v1/limits" "/v1/breakers" "/v1/accounts" "/v1/overview" "/v1/glance" "/v1/audit" "/scale" "/metrics"
    "/" "/jobs" "/jobs?state=completed" "/jobs?lane=language&tenant=shop" "/jobs/$job" "/lanes" "/dead"
    "/dead?class=expired" "/replays" "/platforms" "/accounts" "/schedules" "/flows" "/workers" "/audit"
)
for _ in $(seq 600); do
    if curl -fso /dev/null "http://127.0.0.1:$port/livez"; then break; fi
    sleep 0.2
done

# The first answer of each may fill a cache and counts apart.
printf '%-50s %9s %9s %9s\n' "path" "first ms" "p50 ms" "p95 ms"
slow=0
for path in "${paths[@]}"; do
    times=$(for _ in $(seq $((asks + 1))); do
        curl -fso /dev/null -w '%{time_total}\n' "http://127.0.0.1:$port$path" || echo 999
    done)
    line=$(echo "$times" | awk -v path="$path" '
        NR == 1 { first = $1 * 1000; next }
        { all[n++] = $1 * 1000 }
        END {
            for (i = 1; i < n; i++) for (j = i; j > 0 && all[j - 1] > all[j]; j--) {
                keep = all[j]; all[j] = all[j - 1]; all[j - 1] = keep
            }
            printf "%-50s %9.1f %9.1f %9.1f\n", path, first, all[int(n / 2)], all[int(n * 0.95)]
        }')
    echo "$line"
    if ! echo "$line" | awk -v limit="$limit" '{ exit !($NF <= limit) }'; then slow=$((slow + 1)); fi
done
du -sh "$FLOTILLA_DATA" 2>/dev/null | awk '{ print "on disk: " $1 }' || true
if [ "$slow" -gt 0 ]; then
    echo "$slow of ${#paths[@]} took more than $limit ms"
    exit 1
fi
echo "all ${#paths[@]} within $limit ms"
