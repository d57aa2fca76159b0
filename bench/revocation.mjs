// How long a deleted session is still served by another process that has a local copy.
import { startWorker } from './processes.mjs';
import { percentile } from './statistics.mjs';

/** Milliseconds from the deletion's acknowledgement, and from its beginning, to the first read that finds nothing. */
export async function revocation(id, url, { probes, patience }) {
  const workers = await Promise.all([startWorker(id, url), startWorker(id, url)]);
  try {
    const [writer, reader] = workers;
    const afterAcknowledged = [];
    const afterBegun = [];
    let late = 0;
    for (let probe = 0; probe < probes && late < 3; probe++) {
      const key = `revoked-${probe}`;
      await writer.do('put', { key });
      if (!(await reader.do('warm', { key }))) throw new Error('the reader does not see the record');
      const gone = reader.do('watch', { key, patience });
      const { began, acknowledged } = await writer.do('delete', { key });
      const at = await gone;
      if (at === null) late++;
      else {
        afterAcknowledged.push(Math.max(0, Number(BigInt(at) - BigInt(acknowledged)) / 1e6));
        afterBegun.push(Math.max(0, Number(BigInt(at) - BigInt(began)) / 1e6));
      }
    }
    return late > 0
      ? { late, patience }
      : { probes, acknowledged: percentiles(afterAcknowledged), begun: percentiles(afterBegun) };
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
  }
}

function percentiles(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), max: sorted.at(-1) };
}
