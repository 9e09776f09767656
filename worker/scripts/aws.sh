#!/usr/bin/env bash
# A private emulator of SQS, DynamoDB and S3 for tests: moto, loopback only, own port, nothing kept.
#
#   aws.sh start DIR PORT     makes DIR if need be, starts, prints the address
#   aws.sh stop DIR           stops what was started in DIR
#   aws.sh hold DIR PORT      starts, then stops and deletes DIR when its input ends
#
# moto comes from PyPI into .cache/aws, once. Regions need not exist: each test takes its own, which
# is a store of its own. Calls of DynamoDB go one at a time, since moto does not isolate transactions.
set -euo pipefail

readonly MOTO=5.2.5
root=$(cd "$(dirname "$0")/../.." && pwd)
venv=$root/.cache/aws

fail() {
    echo "aws.sh: $*" >&2
    exit 1
}

install_package() {
    [[ -e $venv/moto-$MOTO ]] && return
    command -v python3 >/dev/null || fail "install python3 with venv, then try again"
    mkdir -p "$root/.cache"
    (
        flock 9 # several tests may begin at once
        [[ -e $venv/moto-$MOTO ]] && exit
        echo "aws.sh: installing moto $MOTO" >&2
        python3 -m venv "$venv" >&2 || fail "python3 -m venv failed (Debian: apt-get install python3-venv)"
        "$venv/bin/pip" install --quiet --disable-pip-version-check "moto[server,sqs,dynamodb,s3,sns]==$MOTO" >&2 ||
            fail "pip failed; install by hand: $venv/bin/pip install 'moto[server,sqs,dynamodb,s3,sns]==$MOTO'"
        touch "$venv/moto-$MOTO"
    ) 9>"$root/.cache/aws.lock"
}

server() {
    cat <<'PYTHON'
import copy, io, logging, sys, threading
from collections import defaultdict

import moto.backends
from moto.dynamodb.models.table import Table
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

class OneAtATime:
    """DynamoDB calls in turn: a transaction of moto that fails puts back the whole table."""

    def __init__(self, app):
        self.app, self.lock = app, threading.Lock()

    def __call__(self, environ, start_response):
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB"):
            return self.app(environ, start_response)
        # The body is read before the lock is taken, so that a slow sender holds nobody up.
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size)
        environ["wsgi.input"] = io.BytesIO(body)
        with self.lock:
            Snapshots.of_call = Snapshots(b'"Update"' in body)
            return list(self.app(environ, start_response))

class Snapshots:
    """moto copies the whole table once for each item of a transaction, to be able to put it back.
    Here it is copied once a call, and only as deep as puts and deletes change it."""

    def __init__(self, deep):
        self.deep, self.made = deep, {}

    def of(self, table, memo):
        if id(table) not in self.made:
            twin = copy.copy(table)
            memo[id(table)] = twin
            items = copy.deepcopy(table.items, memo) if self.deep else {
                key: dict(rows) for key, rows in table.items.items()}
            twin.items = defaultdict(dict, items)
            self.made[id(table)] = twin
        return self.made[id(table)]

Snapshots.of_call = Snapshots(True)
Table.__deepcopy__ = lambda table, memo: Snapshots.of_call.of(table, memo)

# Asked twice with every call, a walk over its folders each time.
modules = tuple(moto.backends.list_of_moto_modules())
moto.backends.list_of_moto_modules = lambda: modules

logging.getLogger("werkzeug").setLevel(logging.ERROR)
# Kept connections: a new one for each call costs more than the call.
MotoRequestHandler.protocol_version = "HTTP/1.1"
app = DomainDispatcherApplication(create_backend_app)
run_simple("127.0.0.1", int(sys.argv[1]), OneAtATime(app), threaded=True, request_handler=MotoRequestHandler)
PYTHON
}

start() {
    local dir=$1 port=$2 tries
    install_package
    mkdir -p "$dir"
    [[ ! -e $dir/pid ]] || ! kill -0 "$(cat "$dir/pid")" 2>/dev/null || fail "one runs already in $dir"
    server >"$dir/server.py"
    MOTO_ALLOW_NONEXISTENT_REGION=true AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test \
        setsid "$venv/bin/python" "$dir/server.py" "$port" </dev/null >"$dir/log" 2>&1 &
    echo $! >"$dir/pid"
    for ((tries = 0; tries < 300; tries++)); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "http://127.0.0.1:$port"
            return
        fi
        kill -0 "$(cat "$dir/pid")" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$dir/log" >&2
    fail "the emulator did not start (log above)"
}

stop() {
    local pid tries
    [[ -e $1/pid ]] || return 0
    pid=$(cat "$1/pid")
    rm -f "$1/pid"
    kill "$pid" 2>/dev/null || return 0
    for ((tries = 0; tries < 50; tries++)); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
}

case "${1:-} $#" in
    start\ 3)
        start "$2" "$3"
        ;;
    stop\ 2)
        stop "$2"
        ;;
    hold\ 3)
        shift
        [[ ! -e $1 ]] || fail "$1 exists; hold deletes its folder, so it wants a new one"
        trap '' INT HUP TERM # ends by its input alone, so that the emulator always stops
        start "$@"
        exec >/dev/null 2>&1 # who started this need not wait for the end of its output
        cat
        stop "$1"
        rm -rf -- "$1"
        ;;
    *)
        sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
