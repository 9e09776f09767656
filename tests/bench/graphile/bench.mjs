// Graphile Worker on the PostgreSQL at $DATABASE_URL, local queue and batched completion on; prints one line of JSON.
//   node bench.mjs enqueue N | single N | drain N | pickup N
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import { drainRate, enqueueRate, payload, pickup } from '../measure.mjs';

const [mode, count] = [process.argv[2], Number(process.argv[3])];
const connectionString = process.env.DATABASE_URL;
const logger = new Logger(() => () => {});
const utils = await makeWorkerUtils({ connectionString, logger });

async function startWorker(noop) {
  const runner = await run({
    logger,
    noHandleSignals: true,
    taskList: { noop },
    preset: {
      worker: {
        connectionString,
        concurrentJobs: 24,
        maxPoolSize: 12,
        pollInterval: 2000,
        localQueue: { size: 500 },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
  });
  return () => runner.stop();
}

const modes = {
  async enqueue() {
    await utils.migrate();
    await utils.withPgClient((client) => client.query('truncate graphile_worker._private_jobs'));
    const job = (n) => ({ identifier: 'noop', payload: payload(n) });
    return {
      enqueue_per_s: await enqueueRate(count, 1000, (from, to) =>
        utils.addJobs(Array.from({ length: to - from }, (_, i) => job(from + i))),
      ),
    };
  },
  async single() {
    const start = performance.now();
    const caller = async (first) => {
      for (let n = first; n < count; n += 50) await utils.addJob('noop', payload(n));
    };
    await Promise.all(Array.from({ length: 50 }, (_, first) => caller(first)));
    return { single_per_s: (count * 1000) / (performance.now() - start) };
  },
  drain: () => drainRate(count, startWorker),
  async pickup() {
    const startedAt = new Map();
    const close = await startWorker(async (job) => void startedAt.set(job.n, performance.now()));
    const result = await pickup(count, (n) => utils.addJob('noop', payload(n)), startedAt);
    await close();
    return { pickup_ms: result };
  },
};

console.log(JSON.stringify(await modes[mode]()));
await utils.release();
