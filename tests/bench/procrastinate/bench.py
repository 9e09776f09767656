"""Procrastinate on the PostgreSQL at $DATABASE_URL, async worker, notifications on.

python bench.py enqueue N | single N | drain N | pickup N      prints one line of JSON
"""

import asyncio
import json
import os
import resource
import sys
import time

from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"], min_size=4, max_size=24))
started = {}
first = None


@app.task(name="noop")
async def noop(n, text):
    global first
    now = time.monotonic()
    first = first or now
    started[n] = now


def job(n):
    return {"n": n, "text": "x" * 170}


async def enqueue(count):
    there = await app.connector.execute_query_one_async("SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS there")
    if not there["there"]:
        await app.schema_manager.apply_schema_async()
    await app.connector.execute_query_async("TRUNCATE procrastinate_jobs CASCADE")
    start = time.monotonic()
    for begin in range(0, count, 1000):
        await noop.batch_defer_async(*[job(n) for n in range(begin, min(begin + 1000, count))])
    return {"enqueue_per_s": count / (time.monotonic() - start)}


async def single(count):
    async def caller(begin):
        for n in range(begin, count, 50):
            await noop.defer_async(**job(n))

    start = time.monotonic()
    await asyncio.gather(*[caller(begin) for begin in range(50)])
    return {"single_per_s": count / (time.monotonic() - start)}


async def drain(count):
    # Finished jobs are deleted, as fast as it gets; it ends by itself when none is left.
    await app.run_worker_async(concurrency=20, wait=False, delete_jobs="always", install_signal_handlers=False)
    rate = count / (time.monotonic() - first)
    if len(started) != count:
        raise SystemExit(f"{len(started)} of {count} jobs were run")
    return {"drain_per_s": rate, "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


async def pickup(count):
    answered = {}

    async def send(n):
        await noop.defer_async(**job(n))
        answered[n] = time.monotonic()

    worker = asyncio.create_task(app.run_worker_async(
        concurrency=20, delete_jobs="always", install_signal_handlers=False, shutdown_graceful_timeout=5))
    await send(-1)  # the first job shows that the worker takes jobs
    while -1 not in started:
        await asyncio.sleep(0.02)
    start, sends = time.monotonic(), []
    for n in range(count):
        await asyncio.sleep(max(0, start + n / 500 - time.monotonic()))
        sends.append(asyncio.create_task(send(n)))
    await asyncio.gather(*sends)
    while len(started) <= count:
        await asyncio.sleep(0.02)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    waits = sorted(max(0.0, started[n] - answered[n]) * 1000 for n in range(count))
    return {"pickup_ms": {"p50": waits[count // 2], "p99": waits[count * 99 // 100]}}


async def main():
    mode = {"enqueue": enqueue, "single": single, "drain": drain, "pickup": pickup}[sys.argv[1]]
    async with app.open_async():
        print(json.dumps(await mode(int(sys.argv[2]))))


asyncio.run(main())
