#!/usr/bin/env bash
# Flotilla on RabbitMQ beside Celery, Dramatiq and a bare lapin consumer: one broker, in turns, in one run.
#   tests/bench/rabbitmq-peers.sh [--quick] [--rounds N]
#
# Wants RabbitMQ, PostgreSQL and Python on this machine (peers.sh installs them); brings the peers at
# pinned versions.
set -euo pipefail
cd "$(dirname "$0")/../.."
bench=$PWD/tests/bench
cache=$PWD/.cache/peers
mkdir -p "$cache"
[[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] || { echo "skipped: no RabbitMQ here" && exit 0; }
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || { echo "skipped: no PostgreSQL here" && exit 0; }
[[ -x $cache/venv/bin/python ]] || python3 -m venv "$cache/venv"
for peer in celery dramatiq; do
    "$cache/venv/bin/pip" install --quiet --requirement "$bench/$peer/requirements.txt"
done
target=${CARGO_TARGET_DIR:-$PWD/target}
CARGO_TARGET_DIR=$target cargo build --quiet --release -p flotilla-amqp --example rabbitmq_drain

exec python3 -B "$bench/rabbitmq_peers.py" --ours "$target/release/examples/rabbitmq_drain" --python "$cache/venv/bin/python" "$@"
