// BullMQ on the Redis at 127.0.0.1:$REDIS_PORT; prints one line of JSON.
//   node bench.mjs enqueue N | drain N | pickup N
import { Queue, Worker } from 'bullmq';
import { drainRate, enqueueRate, payload, pickup } from '../measure.mjs';

const [mode, count] = [process.argv[2], Number(process.argv[3])];
const connection = { host: '127.0.0.1', port: Number(process.env.REDIS_PORT), maxRetriesPerRequest: null };
const options = { removeOnComplete: true };
const queue = new Queue('bench', { connection });

async function startWorker(handler) {
  const worker = new Worker('bench', handler, { connection, concurrency: 100 });
  await worker.waitUntilReady();
  return () => worker.close();
}

const modes = {
  async enqueue() {
    await queue.obliterate({ force: true });
    const job = (n) => ({ name: 'noop', data: payload(n), opts: options });
    return {
      enqueue_per_s: await enqueueRate(count, 1000, (from, to) =>
        queue.addBulk(Array.from({ length: to - from }, (_, i) => job(from + i))),
      ),
    };
  },
  drain: () => drainRate(count, startWorker),
  async pickup() {
    const startedAt = new Map();
    const close = await startWorker(async (job) => void startedAt.set(job.data.n, performance.now()));
    const result = await pickup(count, (n) => queue.add('noop', payload(n), options), startedAt);
    await close();
    return { pickup_ms: result };
  },
};

console.log(JSON.stringify(await modes[mode]()));
await queue.close();
