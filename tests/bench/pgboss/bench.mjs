// pg-boss on the PostgreSQL at $DATABASE_URL, batches fetched and completed as one, notifications on; prints one line of JSON.
//   node bench.mjs enqueue N | single N | drain N | pickup N
import { PgBoss } from 'pg-boss';
import { drainRate, enqueueRate, payload, pickup } from '../measure.mjs';

const [mode, count] = [process.argv[2], Number(process.argv[3])];
const queue = 'noop';
const boss = new PgBoss({
  connectionString: process.env.DATABASE_URL,
  max: 12,
  useListenNotify: true,
  schedule: false,
});
boss.on('error', (error) => console.error(error));
await boss.start();
if (!(await boss.getQueue(queue))) await boss.createQueue(queue, { notify: true });

// A fetch takes a batch and its completion is one statement; the handler's work is nothing.
async function startWorker(noop) {
  const options = { batchSize: 250, localConcurrency: 4, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 };
  await boss.work(queue, options, async (jobs) => {
    for (const job of jobs) await noop({ n: job.data.n });
  });
  return () => boss.stop({ graceful: true, wait: true });
}

const modes = {
  async enqueue() {
    await boss.deleteAllJobs(queue);
    return {
      enqueue_per_s: await enqueueRate(count, 1000, (from, to) =>
        boss.insert(queue, Array.from({ length: to - from }, (_, i) => ({ data: payload(from + i) }))),
      ),
    };
  },
  async single() {
    const start = performance.now();
    const caller = async (first) => {
      for (let n = first; n < count; n += 50) await boss.send(queue, payload(n));
    };
    await Promise.all(Array.from({ length: 50 }, (_, first) => caller(first)));
    return { single_per_s: (count * 1000) / (performance.now() - start) };
  },
  drain: () => drainRate(count, startWorker),
  async pickup() {
    const startedAt = new Map();
    const close = await startWorker(async (job) => void startedAt.set(job.n, performance.now()));
    const result = await pickup(count, (n) => boss.send(queue, payload(n)), startedAt);
    await close();
    return { pickup_ms: result };
  },
};

console.log(JSON.stringify(await modes[mode]()));
await boss.stop({ graceful: false });
process.exit(0);
