// What a Cluster costs: calls a second on a Cluster of one master against those on a server by itself, of the same build.
// Usage: npm run build && node bench/cluster.mjs; writes results/cluster.md, which docs/benchmarks.md shows.
import { writeFileSync } from 'node:fs';
import prettier from 'prettier';
import { startLoneMaster, startRedis, startWorker } from './processes.mjs';
import { throughput, workloads } from './throughput.mjs';

const SETTINGS = { rounds: 11, ms: 350, warmUp: 500 };
const CONTENDERS = ['own', 'ioredis'];
/** With one caller the time to wake up decides, which differs from run to run. */
const SHOWN = workloads.filter(({ callers }) => callers > 1);

const server = await startRedis();
const cluster = await startLoneMaster();
const workers = [];
try {
  for (const id of CONTENDERS) {
    workers.push(await startWorker(id, server.url));
    workers.push({ ...(await startWorker(id, cluster.url)), id: `${id}-cluster` });
  }
  const speed = await throughput(workers, SETTINGS);
  const version = /redis_version:(\S+)/.exec(await server.admin.info('server'))[1];
  const row = (cells) => `| ${cells.join(' | ')} |`;
  const times = (one, other) =>
    SHOWN.map(({ id }) => `${(speed[id][one].median / speed[id][other].median).toFixed(2)}×`);
  const text = [
    `Node ${process.versions.node}, Redis ${version}; ratios of the medians of ${SETTINGS.rounds} interleaved rounds.`,
    [
      row(['', ...SHOWN.map(({ title }) => title)]),
      row(['---', ...SHOWN.map(() => '---:')]),
      row(['this package, a Cluster of one master against one server', ...times('own-cluster', 'own')]),
      row(['ioredis, the same', ...times('ioredis-cluster', 'ioredis')]),
      row(['on the Cluster, this package against ioredis', ...times('own-cluster', 'ioredis-cluster')]),
    ].join('\n'),
  ].join('\n\n');
  const results = new URL('results/cluster.md', import.meta.url);
  writeFileSync(results, await prettier.format(text, { parser: 'markdown', printWidth: 120 }));
  console.log(text);
  for (const { id } of SHOWN) {
    const each = Object.entries(speed[id]).map(
      ([who, { median, cpuPerCall }]) => `${who} ${Math.round(median / 1000)}k, ${cpuPerCall.toFixed(1)} µs`,
    );
    console.log(`${id}: ${each.join(' · ')}`);
  }
} finally {
  await Promise.all(workers.map((worker) => worker.stop()));
  await Promise.all([server.stop(), cluster.stop()]);
}
