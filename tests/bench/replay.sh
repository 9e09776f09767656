#!/usr/bin/env bash
# Replays many dead letters on the embedded profile, kills the leading worker in the middle, and
# prints the rate that was reached and whether each went back once.
#
#   tests/bench/replay.sh [LETTERS] [RATE]
#
# FLOTILLA names the binary (target/release/flotilla when absent).
set -euo pipefail

letters=${1:-100000}
rate=${2:-1000}
flotilla=$(realpath "${FLOTILLA:-target/release/flotilla}")
dir=$(mktemp -d)
workers=()
cleanup() {
  for pid in "${workers[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap cleanup EXIT
cd "$dir"

run() { "$flotilla" --data "$dir/data" --set queue.poison_after=1000 "$@"; }
# Not through `run`: its pid must be the worker's own.
start() {
  "$flotilla" --data "$dir/data" --set queue.poison_after=1000 worker --concurrency 64 2>>"$dir/log" >/dev/null &
  workers+=("$!")
}

seq "$letters" | sed 's/.*/{"text":"#number&"}/' >captions.jsonl
run enqueue caption.parse --jsonl captions.jsonl --expires 1ms >/dev/null
start
dead() { run queues list --json | jq '[.[].counts.dead // 0] | add // 0'; }
until [ "$(dead)" -ge "$letters" ]; do sleep 1; done
kill "${workers[0]}"
wait "${workers[0]}" || true
workers=()
echo "dead letters: $(run dead replay --class expired --dry-run --json | jq .would_replay)"

id=$(run dead replay --class expired --rate "$rate" --reason bench --json | jq -r .id)
start
start
shown() { run dead replays show "$id" --json; }
until [ "$(shown | jq .counts.replayed)" -ge $((letters / 2)) ]; do sleep 0.5; done
leader=$(shown | jq -r .lease.worker)
for pid in "${workers[@]}"; do
  case "$leader" in *"-$pid-"*) kill -9 "$pid" && echo "killed the leader $leader" ;; esac
done
until [ "$(shown | jq -r .state)" = "done" ]; do sleep 0.5; done

shown | jq -r --argjson rate "$rate" '
  def at: sub("\\.[0-9]+"; "") | fromdateiso8601;
  def micro: capture("\\.(?<f>[0-9]+)") // {f: "0"} | ("0." + .f | tonumber);
  ((.last_put_at | at + micro) - (.started_at | at + micro)) as $took
  | "replayed \(.counts.replayed) of \(.plan.letters), succeeded \(.counts.succeeded), failed \(.counts.failed)",
    "took \($took * 10 | round / 10) s: \(.counts.replayed / $took | round) a second, asked for \($rate)"'
# Each job bears one mark, and ran once but for the attempts that went with the killed worker.
before=()
while :; do
  page=$(run jobs list --limit 1000 --json "${before[@]}")
  jq -r '.jobs[] | [.state, (.extra.desk_history | length), (.attempt - .crashes)] | @tsv' <<<"$page"
  next=$(jq -r '.next // empty' <<<"$page")
  [ -n "$next" ] || break
  before=(--before "$next")
done | sort | uniq -c | awk '{print $1 " jobs: " $2 ", went back " $3 " times, ran " $4 " times"}'
