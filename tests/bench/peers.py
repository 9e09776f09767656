"""Runs the systems of the side-by-side benchmark in turns, and prints medians and ratios.

Started by peers.sh, which installs them. Services listen on free loopback ports, keep their files in one
temporary folder on disk, and are stopped by process id when the run ends, however it ends.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

HERE = Path(__file__).parent
ROOT = os.geteuid() == 0
# Flotilla's drain rate divided by the other's: at least this. Every system that fsyncs counts, tuned or not.
GOALS = {"ceiling": 0.5, "bullmq-everysec": 2.0, "bullmq-always": 3.0, "graphile": 3.0, "celery": 3.0, "apalis": 3.0, "apalis-tuned": 3.0}
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, seconds=60):
    for _ in range(seconds * 10):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"the service on port {port} did not start; its output is above")


def tree(pid):
    """The process and its descendants."""
    found = [pid]
    for parent in found:
        for children in glob(f"/proc/{parent}/task/*/children"):
            try:
                found += map(int, Path(children).read_text().split())
            except OSError:
                pass  # ended meanwhile
    return found


def cpu_seconds(pid):
    """User and system time of the process and its descendants, those that ended and were waited for included."""
    total = 0
    for member in tree(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / TICKS


class Services:
    """What the peers need beside them. Each start returns the process and its port."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def start(self, name, command, port, user=None, environment=None):
        home = self.folder / name
        home.mkdir(exist_ok=True)
        if ROOT and user:
            shutil.chown(home, user, user)
            command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *command]
        # Its output comes to light only when it fails.
        log = open(self.folder / f"{name}.log", "w+")
        process = subprocess.Popen(command, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env={**os.environ, **(environment or {})}, start_new_session=True)
        self.running.append(process)
        try:
            wait_for(port, process)
        except RuntimeError:
            log.seek(0)
            sys.stderr.write(log.read())
            raise
        return process

    def redis(self, fsync):
        port = free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
                   "--appendfsync", fsync, "--maxmemory-policy", "noeviction"]
        return self.start(f"redis-{fsync}", command, port), port

    def postgres(self):
        port = free_port()
        tools = sorted(glob("/usr/lib/postgresql/*/bin"))[-1]
        home = self.folder / "postgres"
        home.mkdir()
        as_user = []
        if ROOT:
            shutil.chown(home, "postgres", "postgres")
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        subprocess.run([*as_user, f"{tools}/initdb", "-A", "trust", "-U", "bench", "-D", home / "data"],
                       cwd=home, check=True, stdout=subprocess.DEVNULL)
        command = [f"{tools}/postgres", "-D", str(home / "data"), "-p", str(port), "-k", str(home),
                   "-c", "listen_addresses=127.0.0.1", "-c", "fsync=on", "-c", "synchronous_commit=on",
                   "-c", "shared_buffers=256MB"]
        return self.start("postgres", command, port, user="postgres"), port

    def rabbitmq(self):
        port, epmd = free_port(), free_port()
        home = self.folder / "rabbitmq"
        self.epmd = epmd
        environment = {
            "HOME": str(home), "RABBITMQ_NODENAME": f"bench{port}@localhost", "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(epmd), "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"), "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            # No busy waiting: the machine is shared with those measured after it.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none",
        }
        return self.start("rabbitmq", ["/usr/lib/rabbitmq/bin/rabbitmq-server"], port, "rabbitmq", environment), port

    def stop(self):
        for process in self.running:
            family = tree(process.pid)
            for pid in reversed(family):
                try:
                    os.kill(pid, signal.SIGINT if "postgres" in process.args[-1] else signal.SIGTERM)
                except ProcessLookupError:
                    pass
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if hasattr(self, "epmd"):  # Erlang's name server outlives the node that started it
            subprocess.run(["epmd", "-kill"], env={**os.environ, "ERL_EPMD_PORT": str(self.epmd)},
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@dataclass
class System:
    name: str
    about: str
    jobs: int  # in a full run
    command: list
    environment: dict = field(default_factory=dict)
    service: subprocess.Popen | None = None
    whole: bool = False  # one command measures all
    rounds: list = field(default_factory=list)

    def call(self, *arguments):
        """One line of JSON from the program, and the CPU seconds it and its service spent."""
        before = cpu_seconds(self.service.pid) if self.service else 0
        used = os.times()
        result = subprocess.run([*self.command, *map(str, arguments)], env={**os.environ, **self.environment},
                                stdout=subprocess.PIPE, timeout=240)
        after = os.times()
        if result.returncode:
            raise RuntimeError(f"`{arguments[0]}` ended with {result.returncode}; what it said is above")
        cpu = after.children_user + after.children_system - used.children_user - used.children_system
        service = cpu_seconds(self.service.pid) - before if self.service else 0
        return json.loads(result.stdout), cpu + service

    def round(self, jobs, pickups):
        if self.whole:
            figures, _ = self.call(*(["--jobs", jobs] if self.name == "flotilla" else [jobs]))
        else:
            figures, _ = self.call("enqueue", jobs)
            drained, cpu = self.call("drain", jobs)
            figures |= drained | {"cpu_s_per_1000": cpu * 1000 / jobs}
            figures |= self.call("pickup", pickups)[0]
        self.rounds.append(figures)

    def median(self, *path):
        values = []
        for figures in self.rounds:
            for key in path:
                figures = (figures or {}).get(key)
            if figures is not None:
                values.append(figures)
        return statistics.median(values) if values else None


def systems(options, services, folder):
    """Ours, the ceiling, then the peers, each with its service started; those asked for only."""
    programs = options.cache / "target/release"
    wanted = lambda name: (not options.only or name in options.only) and name.split("-")[0] not in options.skip
    if wanted("flotilla"):
        command = [str(options.flotilla), "bench", "--profile", "embedded", "--work", "none", "--json"]
        yield System("flotilla", "this, embedded, SQLite FULL", 100_000, command, {"TMPDIR": str(folder)}, whole=True)
    if wanted("ceiling"):
        yield System("ceiling", "raw SQLite FULL, groups of 500", 100_000, [str(programs / "bench-ceiling")],
                     {"DATABASE": str(folder / "ceiling.db")}, whole=True)
    for fsync in ("everysec", "always"):
        if wanted(f"bullmq-{fsync}"):
            service, port = services.redis(fsync)
            yield System(f"bullmq-{fsync}", f"Redis, appendfsync {fsync}", 40_000,
                         ["node", str(HERE / "bullmq/bench.mjs")], {"REDIS_PORT": str(port)}, service)
    if wanted("graphile"):
        service, port = services.postgres()
        yield System("graphile", "PostgreSQL, fsync, local queue", 20_000,
                     ["node", str(HERE / "graphile/bench.mjs")],
                     {"DATABASE_URL": f"postgres://bench@127.0.0.1:{port}/postgres"}, service)
    if wanted("celery"):
        service, port = services.rabbitmq()
        yield System("celery", "RabbitMQ, durable, confirms", 4_000,
                     [str(options.cache / "venv/bin/python"), "-B", str(HERE / "celery/bench.py")],
                     {"AMQP_URL": f"amqp://guest:guest@127.0.0.1:{port}//", "STARTED_LOG": str(folder / "celery.bin")},
                     service)
    if wanted("apalis"):
        yield System("apalis", "SQLite FULL, as published", 3_000, [str(programs / "bench-apalis")],
                     {"DATABASE": str(folder / "apalis.db")})
    if wanted("apalis-tuned"):
        yield System("apalis-tuned", "SQLite FULL, one index dropped", 40_000, [str(programs / "bench-apalis")],
                     {"DATABASE": str(folder / "apalis.db"), "TUNED": "1"})


def versions():
    """What is measured, read from where it is pinned or from the programs themselves."""
    pinned = {
        "BullMQ": ("bullmq/package.json", r'"bullmq": "(.*)"'), "Graphile Worker": ("graphile/package.json", r'worker": "(.*)"'),
        "Celery": ("celery/requirements.txt", r"celery==(.*)"), "apalis": ("apalis/Cargo.toml", r'apalis = "=(.*)"'),
    }
    said = [f"{name} {re.search(pattern, (HERE / file).read_text())[1]}" for name, (file, pattern) in pinned.items()]
    packages = ["redis-server", "rabbitmq-server", "postgresql-*[0-9]"]
    installed = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Package} ${Version}\n", *packages],
                               capture_output=True, text=True).stdout.splitlines()
    return ", ".join(said + [line[3:].strip() for line in installed if line.startswith("ii")])


def number(value, digits=0):
    return "–" if value is None else f"{value:,.{digits}f}"


def print_tables(measured):
    row = "{:<16} {:<33} {:>10} {:>10} {:>9} {:>9} {:>8} {:>11}".format
    print(row("system", "durability", "enqueue /s", "drain /s", "p50 ms", "p99 ms", "RSS MB", "CPU s/1000"))
    for system in measured:
        print(row(system.name, system.about, number(system.median("enqueue_per_s")), number(system.median("drain_per_s")),
                  number(system.median("pickup_ms", "p50"), 2), number(system.median("pickup_ms", "p99"), 2),
                  number(system.median("peak_rss_mb") or system.median("rss_mb")), number(system.median("cpu_s_per_1000"), 3)))

    ours = next((system for system in measured if system.name == "flotilla"), None)
    if ours is None or not ours.rounds:
        return
    print("\nflotilla ÷ the other (drain and enqueue: more is better; CPU: less is better)")
    row = "{:<16} {:>8} {:>8} {:>8}   {}".format
    print(row("other", "enqueue", "drain", "CPU", "goal for drain"))
    for other in measured:
        if other is ours or not other.rounds:
            continue
        goal = GOALS.get(other.name)
        ratios = [ours.median(key) / other.median(key) if ours.median(key) and other.median(key) else None
                  for key in ("enqueue_per_s", "drain_per_s", "cpu_s_per_1000")]
        verdict = "" if goal is None or ratios[1] is None else f"≥ {goal}  {'met' if ratios[1] >= goal else 'MISSED'}"
        print(row(other.name, *(number(ratio, 2) for ratio in ratios), verdict))
    p50, p99 = ours.median("pickup_ms", "p50"), ours.median("pickup_ms", "p99")
    if p50 is not None and p99 is not None:
        verdict = "met" if p50 <= 2 and p99 <= 25 else "MISSED"
        print(f"pickup at 500 jobs/s: p50 {p50:.2f} ms (goal ≤ 2), p99 {p99:.2f} ms (goal ≤ 25)  {verdict}")


def main():
    parser = argparse.ArgumentParser(prog="peers.sh")
    names = lambda text: [name for name in text.split(",") if name]
    parser.add_argument("--cache", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--flotilla", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--skip", type=names, default=[], help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="one round, a tenth of the jobs: shows that all runs")
    parser.add_argument("--rounds", type=int, help="rounds to take the median of (3)")
    parser.add_argument("--only", type=names, help="names of systems, with commas between")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 3)
    share, pickups = (10, 500) if options.quick else (1, 2_500)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the services are stopped then as well
    folder = Path(tempfile.mkdtemp(prefix="flotilla-peers.", dir="/var/tmp"))
    folder.chmod(0o711)
    services = Services(folder)
    try:
        print(f"peers: {versions()}\npeers: starting the services", flush=True)
        measured = list(systems(options, services, folder))
        for turn in range(rounds):
            for system in list(measured):
                start = time.monotonic()
                try:
                    system.round(system.jobs // share, pickups)
                except (RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
                    measured.remove(system)
                    print(f"skipped: {system.name}: {error}", flush=True)
                    continue
                print(f"  round {turn + 1} of {rounds}: {system.name} took {time.monotonic() - start:.0f} s", flush=True)
    finally:
        services.stop()
        shutil.rmtree(folder, ignore_errors=True)

    print(f"\nmedians of {rounds} round{'s' * (rounds > 1)}, no-op jobs of about 200 bytes, "
          f"{os.cpu_count()} cores; each system's durability is in the table\n")
    print_tables(measured)


if __name__ == "__main__":
    main()
