// Calls per second of every contender, in rounds: each round has everyone, beginning with another one, so that
// whatever else the machine does meanwhile hits all alike.
import { summary } from './statistics.mjs';

export const workloads = [
  { id: 'get1', title: 'get, 1 caller', operation: 'get', callers: 1 },
  { id: 'get64', title: 'get, 64 callers', operation: 'get', callers: 64 },
  { id: 'get512', title: 'get, 512 callers', operation: 'get', callers: 512 },
  { id: 'put64', title: 'put, 64 callers', operation: 'put', callers: 64 },
  { id: 'mixed64', title: '95% get, 5% put, 64 callers', operation: 'mixed', callers: 64 },
];

/**
 * So many ms before each measurement do not count. A contender sleeps while the others have their turn, and is slow when it
 * wakes up (V8 drops optimized code and garbage meanwhile, caches are cold), which no process that serves requests does.
 */
export const LEAD_IN = 100;

export async function throughput(workers, { rounds, ms, warmUp }) {
  const samples = {};
  const measure = async (worker, { id, operation, callers }) => {
    await worker.do('measure', { operation, callers, ms: LEAD_IN });
    const sample = await worker.do('measure', { operation, callers, ms });
    ((samples[id] ??= {})[worker.id] ??= []).push(sample);
  };
  for (const worker of workers) {
    await worker.do('fill');
    for (const { operation, callers } of workloads) await worker.do('measure', { operation, callers, ms: warmUp });
  }
  for (let round = 0; round < rounds; round++) {
    const order = workers.map((_, i) => workers[(i + round * 5) % workers.length]);
    for (const workload of workloads) for (const worker of order) await measure(worker, workload);
    // Everything is in the local layers: reads that hit.
    const near = { id: 'near', operation: 'get', callers: 64 };
    for (const worker of order.filter(({ local }) => local)) {
      await worker.do('fill');
      await measure(worker, near);
    }
  }
  const results = {};
  for (const [workload, byWorker] of Object.entries(samples)) {
    results[workload] = {};
    for (const [worker, of] of Object.entries(byWorker)) {
      results[workload][worker] = {
        ...summary(of.map(({ perSecond }) => perSecond)),
        cpuPerCall: summary(of.map(({ cpuPerCall }) => cpuPerCall)).median,
      };
    }
  }
  return results;
}

/** Bytes that a record takes in Redis, the mean over all of a contender's database. */
export async function bytesPerRecord(admin, db) {
  await admin.select(db);
  let bytes = 0;
  let records = 0;
  for await (const keys of admin.scanStream({ count: 500 })) {
    for (const key of keys) {
      if ((await admin.type(key)) !== 'string') continue;
      bytes += await admin.memory('USAGE', key);
      records++;
    }
  }
  return bytes / records;
}
