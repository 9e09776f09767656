#!/usr/bin/env bash
# What a worker costs that has nothing to do, and how soon a fresh one has done its first job.
# Prints medians of five rounds. Builds the optimised binary first.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --locked --release --quiet --bin flotilla
target=$(cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
flotilla=$target/release/flotilla
dir=$(mktemp -d)
worker=
trap '[[ -z $worker ]] || kill "$worker" 2>/dev/null || true; rm -rf "$dir"' EXIT

median() { sort -n | awk '{a[NR]=$1} END {print a[int((NR+1)/2)]}'; }
ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{print $12 + $13}'; }

for round in 1 2 3 4 5; do
    data=$dir/$round
    "$flotilla" --data "$data" enqueue caption.parse --payload '{"text":"first #job"}' >/dev/null
    begin=$(date +%s%N)
    "$flotilla" --data "$data" worker --until-idle >/dev/null 2>&1
    echo $((($(date +%s%N) - begin) / 1000)) >>"$dir/first"
    job=$("$flotilla" --data "$data" jobs list --json | sed -n 's/.*"finished_at": "\(.*\)".*/\1/p')
    echo $((($(date -d "$job" +%s%N) - begin) / 1000)) >>"$dir/done"
done

"$flotilla" --data "$dir/idle" worker >/dev/null 2>&1 &
worker=$!
sleep 3
for round in 1 2 3 4 5; do
    before=$(ticks "$worker")
    sleep 4
    echo "$((($(ticks "$worker") - before) * 1000 / (4 * $(getconf CLK_TCK))))" >>"$dir/cpu"
    awk '/^VmRSS/ {print $2}' "/proc/$worker/status" >>"$dir/rss"
done

printf 'start to first job done   %s ms (goal: under 150)\n' "$(($(median <"$dir/done") / 1000))"
printf 'start to end, one job     %s ms\n' "$(($(median <"$dir/first") / 1000))"
printf 'idle memory, resident     %s KiB (goal: under 30720)\n' "$(median <"$dir/rss")"
printf 'idle CPU                  %s thousandths of a core (goal: under 10)\n' "$(median <"$dir/cpu")"
