"""Celery on the RabbitMQ at $AMQP_URL: durable queue, persistent deliveries, publisher confirms, late acks.

python bench.py enqueue N | drain N | pickup N      prints one line of JSON

With $RESULTS_URL, results are written there (Celery's own back-ends).
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

from celery import Celery
from kombu import Queue

app = Celery("bench", broker=os.environ["AMQP_URL"])
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    task_queues=[Queue("bench", durable=True)],
    task_default_queue="bench",
    task_default_delivery_mode="persistent",
    task_acks_late=True,
    task_ignore_result="RESULTS_URL" not in os.environ,
    result_backend=os.environ.get("RESULTS_URL"),
    worker_prefetch_multiplier=50,
)

STARTED = Path(os.environ["STARTED_LOG"])
RECORD = struct.Struct("qd")
started_log = None


@app.task(name="noop")
def noop(n, text):
    global started_log
    if started_log is None:
        started_log = os.open(STARTED, os.O_WRONLY | os.O_APPEND)
    os.write(started_log, RECORD.pack(n, time.monotonic()))
    return n


def publish(n, producer):
    noop.apply_async((n, "x" * 170), producer=producer)


def enqueue(count):
    with app.connection_for_write() as connection:
        Queue("bench", durable=True)(connection).declare()
        connection.default_channel.queue_purge("bench")
    with app.producer_pool.acquire(block=True) as producer:
        start = time.monotonic()
        for n in range(count):
            publish(n, producer)
        return {"enqueue_per_s": count / (time.monotonic() - start)}


class Worker:
    """`celery worker` with two processes, its default pool, ready to take jobs when entered."""

    def __enter__(self):
        STARTED.write_bytes(b"")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "bench", "worker", "-P", "prefork", "-c", "2", "-l", "ERROR",
             "--without-gossip", "--without-mingle", "--without-heartbeat"],
            cwd=Path(__file__).parent, stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"},
        )
        return self

    def wait_for(self, count):
        while STARTED.stat().st_size < count * RECORD.size:
            if self.process.poll() is not None:
                raise SystemExit("the celery worker ended early")
            time.sleep(0.02)
        return dict(RECORD.iter_unpack(STARTED.read_bytes()))

    def rss_mb(self):
        """Peak of the parent and its children together."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        total = 0
        for pid in [self.process.pid, *children]:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1])
        return total / 1024

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def drain(count):
    with Worker() as worker:
        times = worker.wait_for(count).values()
        rss = worker.rss_mb()
    return {"drain_per_s": (count - 1) / (max(times) - min(times)), "rss_mb": rss}


def pickup(count):
    """500 jobs per second from four threads, since a confirmed publish waits for its answer."""
    answered = {}

    def produce(thread, start):
        with app.producer_pool.acquire(block=True) as producer:
            for n in range(thread, count, 4):
                time.sleep(max(0, start + n / 500 - time.monotonic()))
                publish(n, producer)
                answered[n] = time.monotonic()

    with Worker() as worker:
        with app.producer_pool.acquire(block=True) as producer:
            publish(-1, producer)  # the first job shows that the worker takes jobs
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
