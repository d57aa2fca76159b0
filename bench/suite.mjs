// Runs everything, one thing after the other, on one Redis server.
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { openStore } from './contenders/own.mjs';
import { contenders } from './contenders/index.mjs';
import { http } from './http.mjs';
import { keysAtScale } from './keys-at-scale.mjs';
import { startRedis, startWorker } from './processes.mjs';
import { revocation } from './revocation.mjs';
import { bytesPerRecord, throughput } from './throughput.mjs';

export async function runAll(settings) {
  const started = performance.now();
  const say = (what) => console.log(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${what}`);
  const redis = await startRedis();
  const skipped = [];
  const names = {};
  /** Tries; a contender that cannot run here is named in the report, with the reason. */
  const attempt = async (name, action) => {
    try {
      return await action();
    } catch (error) {
      skipped.push({ name, reason: error.message.split('\n')[0] });
      say(`skipped: ${name}: ${error.message}`);
    }
  };
  try {
    const { admin } = redis;
    say('starting the contenders');
    const workers = [];
    for (const [db, { id }] of contenders.entries()) {
      const worker = await attempt(id, async () => {
        const candidate = await startWorker(id, `${redis.url}/${db}`);
        await candidate.do('fill').catch(async (error) => {
          await candidate.stop();
          throw error;
        });
        return candidate;
      });
      if (worker === undefined) continue;
      workers.push(worker);
      names[id] = worker.name;
    }
    say(`throughput: ${workers.length} contenders, ${settings.rounds} rounds`);
    const speed = await throughput(workers, settings);
    const bytes = {};
    for (const { id } of workers)
      bytes[id] = await bytesPerRecord(
        admin,
        contenders.findIndex((one) => one.id === id),
      );
    for (const worker of workers) await worker.stop();

    say('revocation across processes');
    const revoked = {};
    for (const { id, local } of workers) {
      if (!local) continue;
      await admin.flushall();
      const probes = { probes: settings.probes, patience: 1_000 };
      revoked[id] = await attempt(`${names[id]} (revocation)`, () => revocation(id, redis.url, probes));
    }

    say(`keys at scale: among ${settings.foreign.toLocaleString('en')}`);
    await admin.flushall();
    await admin.select(0);
    const keys = await keysAtScale(redis.url, admin, settings);
    await admin.flushall();

    say('HTTP requests');
    const fill = async (records) => {
      const own = await openStore(redis.url, { namespace: 'http' });
      await own.store.putMany(records, { ttl: '30m' }).finally(own.close);
    };
    const requests = await http(redis.url, fill, admin, settings.http);
    const server = /redis_version:(\S+)/.exec(await admin.info('server'))[1];
    return {
      machine: { node: process.version, redis: server, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length },
      settings,
      versions: versions(),
      names,
      speed,
      bytes,
      revoked,
      keys,
      requests,
      skipped,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await redis.stop();
  }
}

function versions() {
  const read = (file) => JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8'));
  const { ioredis } = read('../package.json').devDependencies;
  return { ioredis, ...read('package.json').dependencies };
}
