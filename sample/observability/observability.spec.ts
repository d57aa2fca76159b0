import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { channel } from 'node:diagnostics_channel';
import { join } from 'node:path';
import { ConsoleLogger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { RedisCacheModule, RedisCacheStore, RedisConnection } from 'nestjs-redis-cache-store';
import { Registry } from 'prom-client';
import { CacheApp } from '../../test/support/cache-app.js';
import { eventually } from '../../test/support/eventually.js';
import { promtool } from '../../test/support/promtool.js';
import { RedisServer } from '../../test/support/redis-server.js';
import { ROOT } from '../../test/support/sources.js';
import { collectStoreMetrics } from './prometheus.js';
import { RedisStatusLog } from './status-log.js';

const FOLDER = join(ROOT, 'sample', 'observability');
const read = (file: string) => readFileSync(join(FOLDER, file), 'utf8');
const isHeard = (name: string) => channel(`nestjs-redis-cache-store:${name}`).hasSubscribers;

describe('the recipes of docs/observability.md', () => {
  let server: RedisServer;
  beforeEach(async () => (server = await RedisServer.start()));
  afterEach(() => server.stop());

  it('log one structured line for each change of the status of a connection', async () => {
    const lines: unknown[] = [];
    const write = process.stdout.write.bind(process.stdout);
    process.stdout.write = (text: unknown) => lines.push(text) > 0;
    const imports = [RedisCacheModule.forRoot({ url: server.url, ttl: '1h' })];
    const module = await Test.createTestingModule({ imports, providers: [RedisStatusLog] })
      .setLogger(new ConsoleLogger({ json: true }))
      .compile();
    try {
      await module.init();
      await server.kill9();
      await eventually(() => expect(module.get(RedisConnection).status).toBe('down'));
      await server.restart();
      await eventually(() => expect(module.get(RedisConnection).status).toBe('ready'), { timeout: 10_000 });
    } finally {
      await module.close();
      process.stdout.write = write;
    }
    const told = lines
      .flatMap((text) => String(text).trim().split('\n'))
      .map((line) => JSON.parse(line) as { context?: string; level: string; message: object })
      .filter(({ context }) => context === 'Redis');
    const status = { message: 'redis status', connection: 'default' };
    expect(told.slice(0, 3).map(({ level, message }) => ({ level, ...message }))).toEqual([
      { level: 'log', ...status, previous: 'connecting', status: 'ready' },
      { level: 'warn', ...status, previous: 'ready', status: 'down', reason: expect.any(String) as string },
      { level: 'log', ...status, previous: 'down', status: 'ready' },
    ]);
    expect(isHeard('connection')).toBe(false);
  });

  it('give Prometheus what the alerts and the dashboard ask for', async () => {
    const registry = new Registry();
    const stop = collectStoreMetrics(registry);
    const app = await CacheApp.start({ url: server.url, ttl: '1h', namespace: 'session' });
    try {
      const store: RedisCacheStore = app.store;
      await store.put('a', 1);
      await store.getMany(['a', 'b']);
      await store.get('').catch(() => undefined);
    } finally {
      await app.close();
      stop();
    }
    const metrics = await registry.metrics();
    expect(metrics).toContain('redis_cache_reads_total{namespace="session",result="hit"} 1\n');
    expect(metrics).toContain('redis_cache_reads_total{namespace="session",result="miss"} 1\n');
    expect(metrics).toContain(
      'redis_cache_call_duration_seconds_count{namespace="session",operation="get",error="CACHE_ARGUMENT"} 1\n',
    );
    expect(metrics).toContain('redis_cache_connection_ready{connection="default"} 0\n'); // it was closed
    // A gauge that was never set stands there by its type only.
    const known = new Set([...metrics.matchAll(/^(?:# TYPE )?(\w+)[{ ]/gm)].map(([, name]) => name));
    const panels = (JSON.parse(read('dashboard.json')) as { panels: { targets: { expr: string }[] }[] }).panels;
    const asked = [...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)), read('alerts.yml')].join('\n');
    const names = [...asked.matchAll(/\bredis_cache_\w+/g)].map(([name]) => name);
    expect(names.length).toBeGreaterThan(8);
    expect(names.filter((name) => !known.has(name))).toEqual([]);
    expect(isHeard('connection') || channel('tracing:nestjs-redis-cache-store:call:start').hasSubscribers).toBe(false);
  });

  const tool = promtool();
  (tool === undefined ? it.skip : it)('have alerts that fire when they are to, as Prometheus evaluates them', () => {
    const { status, stdout, stderr } = spawnSync(tool ?? '', ['test', 'rules', 'alerts.test.yml'], {
      cwd: FOLDER,
      encoding: 'utf8',
    });
    expect([status, stderr, stdout]).toEqual([0, '', expect.stringContaining('SUCCESS')]);
  });
});
