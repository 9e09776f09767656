"""Dramatiq on the RabbitMQ at $AMQP_URL: its durable queue, persistent messages, publisher confirms.

python bench.py enqueue N | drain N | pickup N      prints one line of JSON

With $RESULTS_URL, results are written to that Redis.
The worker's processes append (number, time of start) to the file $STARTED_LOG, a record per job.
"""

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RabbitmqBroker(url=os.environ["AMQP_URL"], confirm_delivery=True)
dramatiq.set_broker(broker)
if "RESULTS_URL" in os.environ:
    broker.add_middleware(Results(backend=RedisBackend(url=os.environ["RESULTS_URL"])))

STARTED = Path(os.environ["STARTED_LOG"])
RECORD = struct.Struct("qd")
started_log = None


@dramatiq.actor(queue_name="bench-dramatiq", **({"store_results": True} if "RESULTS_URL" in os.environ else {}))
def noop(n, text):
    global started_log
    if started_log is None:
        started_log = os.open(STARTED, os.O_WRONLY | os.O_APPEND)
    os.write(started_log, RECORD.pack(n, time.monotonic()))
    return n


def publish(n):
    noop.send(n, "x" * 170)


def enqueue(count):
    broker.declare_queue("bench-dramatiq", ensure=True)
    broker.flush("bench-dramatiq")
    start = time.monotonic()
    for n in range(count):
        publish(n)
    return {"enqueue_per_s": count / (time.monotonic() - start)}


class Worker:
    """`dramatiq` with two processes of eight threads, ready to take jobs when entered."""

    def __enter__(self):
        STARTED.write_bytes(b"")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dramatiq", "bench", "-p", "2", "-t", "8", "--skip-logging"],
            cwd=Path(__file__).parent, stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"},
        )
        return self

    def wait_for(self, count):
        while STARTED.stat().st_size < count * RECORD.size:
            if self.process.poll() is not None:
                raise SystemExit("the dramatiq worker ended early")
            time.sleep(0.02)
        return dict(RECORD.iter_unpack(STARTED.read_bytes()))

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def drain(count):
    with Worker() as worker:
        times = worker.wait_for(count).values()
    return {"drain_per_s": (count - 1) / (max(times) - min(times))}


def pickup(count):
    """500 jobs per second from four threads, since a confirmed publish waits for its answer."""
    answered = {}

    def produce(thread, start):
        for n in range(thread, count, 4):
            time.sleep(max(0, start + n / 500 - time.monotonic()))
            publish(n)
            answered[n] = time.monotonic()

    with Worker() as worker:
        publish(-1)  # the first job shows that the worker takes jobs
        worker.wait_for(1)
        start = time.monotonic()
        threads = [threading.Thread(target=produce, args=(thread, start)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        started = worker.wait_for(count + 1)
    waits = sorted(max(0.0, started[n] - at) * 1000 for n, at in answered.items())
    return {"pickup_ms": {"p50": waits[count // 2], "p99": waits[count * 99 // 100]}}


if __name__ == "__main__":
    mode = {"enqueue": enqueue, "drain": drain, "pickup": pickup}[sys.argv[1]]
    print(json.dumps(mode(int(sys.argv[2]))))
