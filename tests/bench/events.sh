#!/usr/bin/env bash
# How fast a subscriber hears of ends: captions drained from the embedded queue while a webhook on this machine takes
# each event after WAIT milliseconds (0), in the order of the subscriber and in that of each job.
# Prints events a second, from the first to the last that came, and whether each came.
#
#   tests/bench/events.sh [jobs] [wait]
#
# Another binary: FLOTILLA=...; one that knows no `order` key: ORDERS=subscriber.
set -euo pipefail
cd "$(dirname "$0")/../.."

jobs=${1:-2000} wait=${2:-0} orders=${ORDERS:-subscriber job}
binary=${FLOTILLA:-}
if [[ -z $binary ]]; then
    cargo build --locked --release --bin flotilla
    target=$(cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    binary=$target/release/flotilla
fi
place=$(mktemp -d)
listener=''
trap '[[ -z $listener ]] || kill "$listener" 2>/dev/null; rm -rf "$place"' EXIT

# Takes events and keeps when each came.
cat >"$place/listener.py" <<'PYTHON'
import http.server, json, pathlib, sys, threading, time

folder, wait = pathlib.Path(sys.argv[1]), float(sys.argv[2]) / 1000
kept, lock = open(folder / "heard", "w", buffering=1), threading.Lock()

class Ear(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        time.sleep(wait)
        with lock:
            kept.write(f"{time.time()} {event['id']}\n")
        self.send_response(204)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ear)
(folder / "port").write_text(str(server.server_port))
server.serve_forever()
PYTHON

python3 -c "
for n in range($jobs):
    print('{\"text\":\"a #b\"}')" >"$place/jobs.jsonl"

for order in $orders; do
    rm -rf "$place/data" "$place/heard" "$place/port"
    python3 "$place/listener.py" "$place" "$wait" &
    listener=$!
    until [[ -s $place/port ]]; do sleep 0.1; done
    port=$(<"$place/port")
    {
        echo '[[subscriber]]'
        echo 'name = "bench"'
        echo "to = \"http://127.0.0.1:$port/\""
        echo 'secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="'
        echo 'kinds = ["caption.parse"]'
        [[ $order == subscriber ]] || echo "order = \"$order\""
    } >"$place/fleet.toml"
    settings=(--data "$place/data" --config "$place/fleet.toml" --set "sources.allow_hosts=[\"127.0.0.1:$port\"]" --set log.level=off)
    "$binary" "${settings[@]}" enqueue caption.parse --jsonl "$place/jobs.jsonl" >/dev/null
    "$binary" "${settings[@]}" worker --until-idle >/dev/null
    kill "$listener" && wait "$listener" 2>/dev/null || true
    listener=''
    sort -n "$place/heard" | awk -v order="$order" -v jobs="$jobs" '
        NR == 1 { first = $1 }
        { last = $1; came[$2] = 1 }
        END {
            printf "order %-10s %6d of %d ends heard, %d calls, %.0f events/s\n",
                order, length(came), jobs, NR, (NR - 1) / (last - first)
        }'
done
