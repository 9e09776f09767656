#!/usr/bin/env bash
# Two workers against one on PostgreSQL: the same backlog, drained by one process and by two, in turns.
#   tests/bench/postgres-replicas.sh bench-postgres [jobs] [rounds]     (100000 and 3)
#
# Prints jobs per second for both and their ratio, and the share of the machine that the server took:
# where that is all there is, more workers cannot help. Starts a server of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
ours=$1 jobs=${2:-100000} rounds=${3:-3}
folder=$(mktemp -d /var/tmp/flotilla-replicas.XXXXXX)
trap 'worker/scripts/postgres.sh stop "$folder" || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
DATABASE_URL=$(worker/scripts/postgres.sh start "$folder" $((20000 + RANDOM % 10000)))
export DATABASE_URL

for ((round = 1; round <= rounds; round++)); do
    for workers in 1 2; do
        "$ours" enqueue "$jobs" >/dev/null
        before=$(awk '/^cpu /{print $2 + $3 + $4, $5 + $6}' /proc/stat)
        pids=()
        for ((n = 0; n < workers; n++)); do
            "$ours" share "$jobs" >"$folder/worker-$n" &
            pids+=($!)
        done
        wait "${pids[@]}"
        after=$(awk '/^cpu /{print $2 + $3 + $4, $5 + $6}' /proc/stat)
        cat "$folder"/worker-* | python3 -c '
import json, sys
parts = [json.loads(line) for line in sys.stdin]
busy, idle = (float(b) - float(a) for a, b in zip(sys.argv[2].split(), sys.argv[3].split()))
done, seconds = sum(p["completed"] for p in parts), max(p["until"] for p in parts) - min(p["from"] for p in parts)
print(sys.argv[1], round(done / seconds), f"{busy / (busy + idle):.2f}", *[p["completed"] for p in parts])
' "$workers" "$before" "$after" | tee -a "$folder/figures"
        rm -f "$folder"/worker-*
    done
done
python3 - "$folder/figures" <<'END'
import statistics, sys
rows = [line.split() for line in open(sys.argv[1])]
rate = {n: statistics.median(float(r[1]) for r in rows if r[0] == n) for n in "12"}
busy = {n: statistics.median(float(r[2]) for r in rows if r[0] == n) for n in "12"}
print(f"one worker {rate['1']:.0f} jobs/s ({busy['1']:.0%} of the machine busy), two {rate['2']:.0f} ({busy['2']:.0%}): ratio {rate['2'] / rate['1']:.2f}")
END
