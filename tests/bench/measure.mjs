// What the peers written in JavaScript share: payload, batches, steady producer, percentiles, memory.

/** About 200 bytes of JSON, as every system here gets. */
export const payload = (n) => ({ n, text: 'x'.repeat(170) });

/** Calls `send(from, to)` for consecutive batches of `size` until `total`; jobs per second. */
export async function enqueueRate(total, size, send) {
  const start = performance.now();
  for (let from = 0; from < total; from += size) await send(from, Math.min(from + size, total));
  return (total * 1000) / (performance.now() - start);
}

/**
 * Runs `startWorker(handler)` until `total` jobs were handled and the worker has settled and closed;
 * jobs per second from the first job's start. `startWorker` resolves to the function that closes it.
 */
export async function drainRate(total, startWorker) {
  let count = 0;
  let first;
  let finish;
  const handled = new Promise((resolve) => (finish = resolve));
  const close = await startWorker(async () => {
    first ??= performance.now();
    if (++count === total) finish();
  });
  await handled;
  const rss_mb = process.resourceUsage().maxRSS / 1024;
  await close();
  return { drain_per_s: (total * 1000) / (performance.now() - first), rss_mb };
}

/**
 * Sends `total` jobs at 500 per second without waiting for answers. Pickup is the time from the
 * durable answer to the enqueue until the handler starts (0 when the handler was faster).
 */
export async function pickup(total, send, startedAt) {
  const answeredAt = new Array(total);
  const answers = [];
  const start = performance.now();
  for (let n = 0; n < total; n++) {
    const wait = start + n * 2 - performance.now();
    if (wait > 0) await sleep(wait);
    answers.push(send(n).then(() => (answeredAt[n] = performance.now())));
  }
  await Promise.all(answers);
  while (startedAt.size < total) await sleep(20);
  const waits = answeredAt.map((at, n) => Math.max(0, startedAt.get(n) - at)).sort((a, b) => a - b);
  const at = (share) => waits[Math.min(total - 1, Math.floor(total * share))];
  return { p50: at(0.5), p99: at(0.99) };
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
