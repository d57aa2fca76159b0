import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { context, metrics, trace } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { Test } from '@nestjs/testing';
import { type CacheNearMessage, RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheTelemetryModule } from 'nestjs-redis-cache-store/opentelemetry';
import { traceStores } from '../../sample/observability/tracing.js';
import { AuthStage } from '../auth/auth-stage.js';
import { SILENT } from '../support/cache-app.js';
import { everyCall, sightings, TAG } from '../support/canaries.js';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from '../support/proxy.js';
import { reasonOf } from '../support/reason-of.js';
import { ROOT } from '../support/sources.js';
import { Stage } from '../support/stage.js';
import { shown } from '../support/witness.js';

const spans = new InMemorySpanExporter();
const points = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const tracerProvider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
const meterProvider = new MeterProvider({
  readers: [new PeriodicExportingMetricReader({ exporter: points, exportIntervalMillis: 2 ** 30 })],
});

/** The metrics that a collector has by now, by name. */
async function collect() {
  points.reset();
  await meterProvider.forceFlush();
  const all: ResourceMetrics[] = points.getMetrics();
  return new Map(
    all
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
      .map((each) => [each.descriptor.name, each]),
  );
}

function asRequest<T>(name: string, action: () => Promise<T>): Promise<T> {
  return trace.getTracer('test').startActiveSpan(name, (span) => action().finally(() => span.end()));
}

/** The names in the first cells of a table of docs/observability.md, with what stands in the second one. */
function tableOf(heading: string): Map<string, string> {
  const page = readFileSync(join(ROOT, 'docs', 'observability.md'), 'utf8');
  const section = page.split(`### ${heading}\n`)[1]?.split('\n#')[0] ?? '';
  return new Map(
    [...section.matchAll(/^\| `([^`]+)` +\| (.*?) +\|/gm)].map(([, name = '', second = '']) => [
      name,
      second.replaceAll('`', ''),
    ]),
  );
}

describe('OpenTelemetry', () => {
  let stage: Stage;
  let stop: () => void;
  beforeAll(async () => {
    tracerProvider.register();
    metrics.setGlobalMeterProvider(meterProvider);
    stop = traceStores();
    stage = await Stage.redis();
  });
  beforeEach(() => spans.reset());
  afterEach(() => stage.clean());
  afterAll(async () => {
    stop();
    await stage?.stop();
    await tracerProvider.shutdown();
    await meterProvider.shutdown();
    trace.disable();
    metrics.disable();
    context.disable();
  });

  it('has a span for each call, by the conventions for database clients, with no query text', async () => {
    const store = await stage.open({ ttl: '1h' });
    await store.put('a', 1);
    await stage.server.cli('RPUSH', `${store.namespace}:list`, 'x');
    await reasonOf(store.get('list'));
    const common = {
      'db.system.name': 'redis',
      'db.namespace': '0',
      'server.address': '127.0.0.1',
      'server.port': stage.server.port,
      'redis_cache.namespace': store.namespace,
      'redis_cache.connection': 'default',
    };
    const seen = spans
      .getFinishedSpans()
      .map(({ name, kind, attributes, status }) => ({ name, kind, attributes, status: status.code }));
    expect(seen).toEqual([
      { name: `put ${store.namespace}`, kind: 2, attributes: { ...common, 'db.operation.name': 'put' }, status: 0 },
      {
        name: `get ${store.namespace}`,
        kind: 2,
        attributes: {
          ...common,
          'db.operation.name': 'get',
          'db.response.status_code': 'WRONGTYPE',
          'error.type': 'WRONGTYPE',
        },
        status: 2,
      },
    ]);
  });

  it('has each call below the span of its request, also where requests share a command', async () => {
    const store = await stage.open({ ttl: '1h' });
    spans.reset();
    await Promise.all(Array.from({ length: 20 }, (_, i) => asRequest(`request ${i}`, () => store.get(`key ${i}`))));
    const all = spans.getFinishedSpans();
    const requests = new Map(
      all.filter(({ name }) => name.startsWith('request')).map((span) => [span.spanContext().spanId, span]),
    );
    const calls = all.filter(({ name }) => name.startsWith('get'));
    expect(requests.size).toBe(20);
    expect(new Set(calls.map(({ parentSpanContext }) => parentSpanContext?.spanId))).toEqual(new Set(requests.keys()));
    for (const call of calls) {
      expect(requests.get(call.parentSpanContext?.spanId ?? '')?.spanContext().traceId).toBe(
        call.spanContext().traceId,
      );
      expect(call.attributes['db.operation.batch.size']).toBeGreaterThan(1);
    }
  });

  it('has every attribute and metric that the documentation names, in the unit it names, and no other', async () => {
    const proxy = await TcpProxy.start(stage.server);
    const store = await stage.open({ url: proxy.url, ttl: '1h', timeout: '40s' });
    const auth = new AuthStage(stage);
    try {
      for (const [, call] of everyCall(store)) await call();
      await stage.server.cli('RPUSH', `${store.namespace}:list`, 'x');
      await reasonOf(store.get('list'));
      await Promise.all([store.get('a'), store.get('b')]);
      proxy.stallReplies();
      const reading = store.get('a');
      proxy.endConnections();
      await proxy.resume();
      await reading;
      await nearEvents(stage);
      const sessions = await auth.sessions();
      await sessions.create(TAG, {});
      await sessions.revokeAll(TAG);
    } finally {
      await auth.clean();
      await proxy.stop();
    }
    const emitted = await collect();
    const units = [...emitted.values()].map(({ descriptor: { name, unit } }) => [name, unit] as const);
    expect(new Map(units)).toEqual(tableOf('Metrics'));
    const names = new Set(spans.getFinishedSpans().flatMap(({ attributes }) => Object.keys(attributes)));
    expect(names).toEqual(new Set(tableOf('Spans').keys()));
    expect(
      sightings(
        [
          ...spans
            .getFinishedSpans()
            .map(({ name, attributes, events, status }) => ({ name, attributes, events, status })),
          ...emitted.values(),
        ]
          .map(shown)
          .join(),
      ),
    ).toEqual([]);
  });

  it('counts seconds, hits and misses, and no call as waiting once all have settled', async () => {
    const store = await stage.open({ ttl: '1h' });
    await store.put('a', 1);
    await Promise.all([store.get('a'), store.get('a'), store.get('b')]);
    const emitted = await collect();
    const valueOf = (name: string, attributes: object) =>
      emitted
        .get(name)
        ?.dataPoints.find((point) =>
          Object.entries({ 'redis_cache.namespace': store.namespace, ...attributes }).every(
            ([key, value]) => point.attributes[key] === value,
          ),
        )?.value;
    expect(valueOf('redis_cache.reads', { 'redis_cache.result': 'hit' })).toBe(2);
    expect(valueOf('redis_cache.reads', { 'redis_cache.result': 'miss' })).toBe(1);
    expect(valueOf('redis_cache.calls.waiting', {})).toBe(0);
    const durations = valueOf('db.client.operation.duration', { 'db.operation.name': 'get' });
    expect(durations).toMatchObject({
      count: 3,
      buckets: { boundaries: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10] },
    });
    expect((durations as { sum: number }).sum).toBeLessThan(30);
  });

  it('is listened for by RedisCacheTelemetryModule as long as the application runs, and leaves nothing behind', async () => {
    stop();
    const start = channel('tracing:nestjs-redis-cache-store:call:start');
    expect(start.hasSubscribers).toBe(false);
    const imports = [RedisCacheTelemetryModule.forRoot(), RedisCacheModule.forRoot({ url: 'memory:', ttl: '1h' })];
    const module = await Test.createTestingModule({ imports }).setLogger(SILENT).compile();
    await module.init();
    await module.get(RedisCacheStore).get('a');
    expect(spans.getFinishedSpans().map(({ name }) => name)).toEqual(['get cache']);
    await module.close();
    expect(start.hasSubscribers).toBe(false);
    stop = traceStores();
  });
});

/** A copy that is kept, and a feed that is refused. */
async function nearEvents(stage: Stage): Promise<void> {
  const heard = new Set<string>();
  const listener = (message: unknown) => void heard.add((message as CacheNearMessage).event);
  subscribe('nestjs-redis-cache-store:near-cache', listener);
  const store = await stage.open({ ttl: '1h', nearCache: { lease: '400ms' } });
  await store.put('a', 1);
  await eventually(async () => [await store.get('a'), expect(heard).toContain('fill')], { timeout: 10_000 });
  await stage.server.cli('ACL', 'SETUSER', 'default', '-subscribe');
  await stage.server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await eventually(() => expect(heard).toContain('feed-down'), { timeout: 10_000 });
  await stage.server.cli('ACL', 'SETUSER', 'default', '+subscribe');
  unsubscribe('nestjs-redis-cache-store:near-cache', listener);
}
