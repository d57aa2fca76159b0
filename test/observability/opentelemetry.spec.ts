import { once, EventEmitter } from 'node:events';
import { channel } from 'node:diagnostics_channel';
import { trace } from '@opentelemetry/api';
import { Test } from '@nestjs/testing';
import { RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheTelemetryModule } from 'nestjs-redis-cache-store/opentelemetry';
import { traceStores } from '../../sample/observability/tracing.js';
import { SILENT } from '../support/cache-app.js';
import { Collector } from '../support/collector.js';
import { reasonOf } from '../support/reason-of.js';
import { Stage } from '../support/stage.js';

function asRequest<T>(name: string, action: () => Promise<T>): Promise<T> {
  return trace.getTracer('test').startActiveSpan(name, (span) => action().finally(() => span.end()));
}

describe('OpenTelemetry', () => {
  let collector: Collector;
  let stage: Stage;
  let stop: () => void;
  beforeAll(async () => {
    collector = new Collector();
    stop = traceStores();
    stage = await Stage.redis();
  });
  beforeEach(() => collector.spans.reset());
  afterEach(() => stage.clean());
  afterAll(async () => {
    stop();
    await stage?.stop();
    await collector.stop();
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
    const seen = collector.spans
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
    collector.spans.reset();
    await Promise.all(Array.from({ length: 20 }, (_, i) => asRequest(`request ${i}`, () => store.get(`key ${i}`))));
    const all = collector.spans.getFinishedSpans();
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
    }
    // Not all of them: on a busy machine some begin too late to share the command of the others.
    const sizes = calls.map(({ attributes }) => Number(attributes['db.operation.batch.size'] ?? 1));
    expect(Math.max(...sizes)).toBeGreaterThan(1);
  });

  it('counts seconds, hits and misses, and no call as waiting once all have settled', async () => {
    const store = await stage.open({ ttl: '1h' });
    await store.put('a', 1);
    await Promise.all([store.get('a'), store.get('a'), store.get('b')]);
    const emitted = await collector.metrics();
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

  it('tells calls that have begun to their end once it is stopped, tells no other, and leaves nothing behind', async () => {
    const store = await stage.open({ ttl: '1h' });
    const [loading, loaded] = [new EventEmitter(), new EventEmitter()];
    const call = store.getOrPut('a', async () => {
      loading.emit('begun');
      return (await once(loaded, 'value')) as number[];
    });
    await once(loading, 'begun');
    stop();
    await store.get('b');
    expect(collector.spans.getFinishedSpans()).toEqual([]);
    loaded.emit('value', 1);
    await call;
    expect(collector.spans.getFinishedSpans().map(({ name }) => name)).toEqual([`getOrPut ${store.namespace}`]);
    const waiting = (await collector.metrics()).get('redis_cache.calls.waiting')?.dataPoints;
    expect(new Set(waiting?.map(({ value }) => value))).toEqual(new Set([0]));
    const events = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'];
    const channels = ['connection', 'near-cache', 'session'].map((name) => `nestjs-redis-cache-store:${name}`);
    channels.push(...events.map((event) => `tracing:nestjs-redis-cache-store:call:${event}`));
    expect(channels.filter((name) => channel(name).hasSubscribers)).toEqual([]);
    stop = traceStores();
  });

  it('is listened for by RedisCacheTelemetryModule as long as the application runs, and leaves nothing behind', async () => {
    stop();
    const start = channel('tracing:nestjs-redis-cache-store:call:start');
    expect(start.hasSubscribers).toBe(false);
    const imports = [RedisCacheTelemetryModule.forRoot(), RedisCacheModule.forRoot({ url: 'memory:', ttl: '1h' })];
    const module = await Test.createTestingModule({ imports }).setLogger(SILENT).compile();
    await module.init();
    await module.get(RedisCacheStore).get('a');
    expect(collector.spans.getFinishedSpans().map(({ name }) => name)).toEqual(['get cache']);
    await module.close();
    expect(start.hasSubscribers).toBe(false);
    stop = traceStores();
  });
});
