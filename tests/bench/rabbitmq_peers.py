"""Flotilla on RabbitMQ and PostgreSQL beside Celery, Dramatiq and a bare lapin consumer: one broker, in turns.

Started by rabbitmq-peers.sh, which installs them. Prints medians of the rounds, and ratios.
Ours writes a record for each job (records) or for failures only (failures) and answers an enqueue when it
is durable; the peers keep their messages in durable classic queues and write no results, or (+results) each
result where they can: Celery to PostgreSQL, Dramatiq to Redis with an append-only file synced every second.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from peers import HERE, Services

# Ours divided by the other's drain rate: at least this.
GOALS = [("records", "celery", 5.0), ("records", "celery+results", 5.0), ("records", "dramatiq", 1.0),
         ("records", "dramatiq+results", 1.0), ("failures", "raw", 0.5)]
LINE = re.compile(r"^(raw lapin|failures only|records): (publish|enqueue|drain)[^:]*: (\d+)/s$")
NAMES = {"raw lapin": "raw", "failures only": "failures", "records": "records"}
P99 = re.compile(r"^pickup after the answer .* p50 (\S+) .* p99 (\S+) max")


def milliseconds(text):
    number, unit = re.match(r"([\d.]+)(\D+)", text).groups()
    return float(number) * {"ns": 1e-6, "µs": 1e-3, "ms": 1.0, "s": 1000.0}[unit]


def ours(program, amqp, postgres, jobs):
    """Figures of the three ways of the example `drain`."""
    output = subprocess.run([program, amqp, postgres, str(jobs)], check=True, capture_output=True, text=True).stdout
    figures, lane = {}, None
    for line in output.splitlines():
        if found := LINE.match(line):
            what = "drain" if found[2] == "drain" else "enqueue"
            figures.setdefault(NAMES[found[1]], {})[what] = float(found[3])
        elif line.startswith("lane "):
            lane = line.split()[1].rstrip(":")
        elif found := P99.match(line):
            figures.setdefault(lane, {}).update(p50=milliseconds(found[1]), p99=milliseconds(found[2]))
    return figures


def peer(python, name, amqp, results, folder, jobs, pickups):
    environment = {**os.environ, "AMQP_URL": amqp, "STARTED_LOG": str(folder / f"{name}.started")}
    if results:
        environment["RESULTS_URL"] = results

    def call(mode, count):
        command = [python, "-W", "ignore", "-B", "bench.py", mode, str(count)]
        result = subprocess.run(command, cwd=HERE / name, env=environment, check=True, capture_output=True, text=True)
        return json.loads(result.stdout.splitlines()[-1])

    figures = {"enqueue": call("enqueue", jobs)["enqueue_per_s"], "drain": call("drain", jobs)["drain_per_s"]}
    call("enqueue", 0)
    return figures | call("pickup", pickups)["pickup_ms"]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--ours", required=True)
    options.add_argument("--python", required=True)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--quick", action="store_true")
    options = options.parse_args()
    scale, rounds = (10, 1) if options.quick else (1, options.rounds)
    folder = Path(tempfile.mkdtemp(prefix="flotilla-bench-"))
    folder.chmod(0o755)
    services, measured = Services(folder), {}
    try:
        _, port = services.rabbitmq()
        amqp = f"amqp://guest:guest@127.0.0.1:{port}/%2f"
        _, port = services.postgres()
        postgres = f"postgres://bench@127.0.0.1:{port}/postgres"
        _, redis = services.redis("everysec")
        results = {"celery": f"db+postgresql+psycopg://bench@127.0.0.1:{port}/postgres",
                   "dramatiq": f"redis://127.0.0.1:{redis}"}
        for _ in range(rounds):
            for name, figures in ours(options.ours, amqp, postgres, 100_000 // scale).items():
                measured.setdefault(name, []).append(figures)
            for name, jobs in [("celery", 5_000), ("dramatiq", 10_000)]:
                for suffix, url in [("", None), ("+results", results[name])]:
                    figures = peer(options.python, name, amqp, url, folder, jobs // scale, 2_500 // scale)
                    measured.setdefault(name + suffix, []).append(figures)
    finally:
        services.stop()
        shutil.rmtree(folder, ignore_errors=True)

    def median(name, what):
        values = [figures[what] for figures in measured.get(name, []) if what in figures]
        return statistics.median(values) if values else None

    def shown(value, digits=0):
        return "–" if value is None else f"{value:,.{digits}f}"

    row = "{:<17} {:>12} {:>12} {:>9} {:>9}".format
    print(row("system", "enqueue /s", "drain /s", "p50 ms", "p99 ms"))
    for name in measured:
        print(row(name, shown(median(name, "enqueue")), shown(median(name, "drain")), shown(median(name, "p50"), 2),
                  shown(median(name, "p99"), 2)))
    missed = False
    for name, other, goal in GOALS:
        if not (median(name, "drain") and median(other, "drain")):
            continue
        ratio = median(name, "drain") / median(other, "drain")
        missed |= ratio < goal
        print(f"drain, {name} ÷ {other}: {ratio:.2f} (goal {goal}{', missed' if ratio < goal else ''})")
    sys.exit(missed)


if __name__ == "__main__":
    main()
