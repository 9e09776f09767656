"""Flotilla on PostgreSQL beside its peers: one server with one durability, in turns; medians and ratios.

Started by postgres-peers.sh, which installs them. Each system works in tables of its own.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from peers import HERE, Services, System, number

OURS = "flotilla"
GOAL = 2.0  # our drain rate, per wall second and per CPU second, divided by the best of the others


class Peer(System):
    def round(self, jobs, pickups):
        figures, _ = self.call("enqueue", jobs)
        drained, cpu = self.call("drain", jobs)
        figures |= drained | {"cpu_s_per_1000": cpu * 1000 / jobs, "drain_per_cpu_s": jobs / max(cpu, 0.01)}
        try:
            figures |= self.call("pickup", pickups)[0]
        except RuntimeError as error:  # 500 jobs a second are more than it can take here
            print(f"  {self.name}: no pickup: {error}", flush=True)
            self.call("enqueue", 0)
        few = max(jobs // 10, 500)
        figures |= self.call("single", few)[0]
        self.call("drain", few)
        self.rounds.append(figures)


def systems(options, services):
    service, port = services.postgres()
    environment = {"DATABASE_URL": f"postgres://bench@127.0.0.1:{port}/postgres"}
    python = [str(options.cache / "venv/bin/python"), "-W", "ignore", "-B"]
    for name, jobs, command in [
        (OURS, 60_000, [str(options.ours)]),
        ("graphile", 20_000, ["node", str(HERE / "graphile/bench.mjs")]),
        ("pgboss", 20_000, [str(HERE / "pgboss/node_modules/.bin/node"), str(HERE / "pgboss/bench.mjs")]),
        ("procrastinate", 1_000, [*python, str(HERE / "procrastinate/bench.py")]),
    ]:
        if name not in options.skip and (not options.only or name in options.only):
            yield Peer(name, "fsync, synchronous commit", jobs, command, environment, service)


def print_tables(measured):
    row = "{:<14} {:>11} {:>14} {:>10} {:>12} {:>11} {:>9} {:>9} {:>7}".format
    print(row("system", "enqueue /s", "one by one /s", "drain /s", "drain /CPU s", "CPU s/1000", "p50 ms", "p99 ms", "RSS MB"))
    for system in measured:
        median = system.median
        print(row(system.name, number(median("enqueue_per_s")), number(median("single_per_s")), number(median("drain_per_s")),
                  number(median("drain_per_cpu_s")), number(median("cpu_s_per_1000"), 3), number(median("pickup_ms", "p50"), 2),
                  number(median("pickup_ms", "p99"), 2), number(median("rss_mb"))))
    ours = next((system for system in measured if system.name == OURS), None)
    others = [system for system in measured if system is not ours]
    if ours is None or not others:
        return
    print("\nflotilla ÷ the other (more is better)")
    row = "{:<14} {:>8} {:>11} {:>8} {:>12}".format
    print(row("other", "enqueue", "one by one", "drain", "drain per CPU"))
    keys = ("enqueue_per_s", "single_per_s", "drain_per_s", "drain_per_cpu_s")
    for other in others:
        print(row(other.name, *(number(ours.median(key) / other.median(key), 2) for key in keys)))
    for key, per in (("drain_per_s", "wall second"), ("drain_per_cpu_s", "CPU second")):
        ratio = ours.median(key) / max(other.median(key) for other in others)
        print(f"drain per {per}: {ratio:.2f} × the best of them (goal ≥ {GOAL})  {'met' if ratio >= GOAL else 'MISSED'}")
    p99 = ours.median("pickup_ms", "p99")
    print(f"pickup at 500 jobs/s: p99 {p99:.2f} ms (goal < 25)  {'met' if p99 < 25 else 'MISSED'}")


def main():
    parser = argparse.ArgumentParser(prog="postgres-peers.sh")
    names = lambda text: [name for name in text.split(",") if name]
    parser.add_argument("--cache", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--ours", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--skip", type=names, default=[], help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="one round, a tenth of the jobs: shows that all runs")
    parser.add_argument("--rounds", type=int, help="rounds to take the median of (3)")
    parser.add_argument("--only", type=names, help="names of systems, with commas between")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 3)
    share, pickups = (10, 500) if options.quick else (1, 2_500)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="flotilla-peers.", dir="/var/tmp"))
    folder.chmod(0o711)
    services = Services(folder)
    try:
        measured = list(systems(options, services))
        for turn in range(rounds):
            for system in list(measured):
                start = time.monotonic()
                try:
                    system.round(system.jobs // share, pickups)
                except Exception as error:  # a peer that fails here is left out, whatever it is
                    measured.remove(system)
                    print(f"skipped: {system.name}: {error}", flush=True)
                    continue
                print(f"  round {turn + 1} of {rounds}: {system.name} took {time.monotonic() - start:.0f} s: "
                      + ", ".join(f"{key} {value:,.1f}" for key, value in system.rounds[-1].items() if isinstance(value, float)),
                      flush=True)
    finally:
        services.stop()
        shutil.rmtree(folder, ignore_errors=True)
    load = os.getloadavg()[0]
    print(f"\nmedians of {rounds} round{'s' * (rounds > 1)}, no-op jobs of about 200 bytes, {os.cpu_count()} cores, load {load:.1f}\n")
    print_tables(measured)


if __name__ == "__main__":
    main()
