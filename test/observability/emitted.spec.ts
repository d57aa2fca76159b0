import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Attributes } from '@opentelemetry/api';
import type { MetricData } from '@opentelemetry/sdk-metrics';
import {
  type CacheCallFailure,
  type CacheNearMessage,
  type CacheSessionMessage,
  type ConnectionStatus,
  RedisCacheError,
  RedisCacheStore,
  type UnavailableReason,
} from 'nestjs-redis-cache-store';
import type { RefreshEvent, RefreshTokens, SessionEvent, Sessions } from 'nestjs-redis-cache-store/auth';
import { traceStores } from '../../sample/observability/tracing.js';
import { AuthStage } from '../auth/auth-stage.js';
import { everyCall, sightings, TAG } from '../support/canaries.js';
import { Collector } from '../support/collector.js';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from '../support/proxy.js';
import { reasonOf } from '../support/reason-of.js';
import { ROOT } from '../support/sources.js';
import { Stage } from '../support/stage.js';
import { shown } from '../support/witness.js';

/** The rows of a table of docs/observability.md. */
function tableOf(heading: string): string[][] {
  const page = readFileSync(join(ROOT, 'docs', 'observability.md'), 'utf8');
  const section = page.split(`### ${heading}\n`)[1]?.split('\n#')[0] ?? '';
  const rows = [...section.matchAll(/^\| (.*) \|$/gm)].map(([, row = '']) =>
    row.split(' | ').map((cell) => cell.trim()),
  );
  return rows.slice(2);
}

const quoted = (cell = '') => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
const [[, , spanAttributes] = [], ...metricRows] = tableOf('What is emitted');
const metricTable = metricRows.map(([name, unit, attributes, series = '']) => ({
  name: quoted(name)[0] ?? '',
  unit: quoted(unit)[0] ?? '',
  attributes: quoted(attributes),
  series,
}));
const attributeTable = new Map(
  tableOf('The values of attributes').map(([name, values = '', on = '']) => [quoted(name)[0] ?? '', { values, on }]),
);

/** The names of a type that has an end, each once: the compiler sees to that. */
const names = <Name extends string>(all: Record<Name, 0>) => Object.keys(all).toSorted();

type Failure = Exclude<CacheCallFailure['code'], 'CACHE_COMMAND' | 'CACHE_UNAVAILABLE'>;
const METHODS = Object.getOwnPropertyNames(RedisCacheStore.prototype)
  .filter((name) => !['constructor', 'scope', 'watch'].includes(name))
  .toSorted();

/** The attributes whose values have an end, and all that the types allow them. */
const CLOSED: Record<string, string[]> = {
  'db.system.name': ['redis'],
  'db.operation.name': METHODS,
  'error.type': names<Failure | `CACHE_UNAVAILABLE.${UnavailableReason}`>({
    OTHER: 0,
    CACHE_ARGUMENT: 0,
    CACHE_CONFIG: 0,
    CACHE_CORRUPT: 0,
    CACHE_LIMIT: 0,
    'CACHE_UNAVAILABLE.closed': 0,
    'CACHE_UNAVAILABLE.disconnected': 0,
    'CACHE_UNAVAILABLE.timeout': 0,
  }),
  'redis_cache.result': ['hit', 'miss'],
  'redis_cache.status': names<ConnectionStatus>({ connecting: 0, ready: 0, degraded: 0, down: 0, closed: 0 }),
  'redis_cache.near_cache.event': names<Exclude<CacheNearMessage['event'], `feed-${string}`>>({
    fill: 0,
    eviction: 0,
    invalidation: 0,
  }),
  'redis_cache.service': names<CacheSessionMessage['service']>({ sessions: 0, refreshTokens: 0 }),
  'redis_cache.session.event': names<SessionEvent['type'] | RefreshEvent['type']>({
    created: 0,
    regenerated: 0,
    evicted: 0,
    revoked: 0,
    issued: 0,
    rotated: 0,
    retried: 0,
    reused: 0,
  }),
};

const valuesIn = (cell: string) =>
  quoted(cell)
    .filter((each) => !attributeTable.has(each))
    .toSorted();
const kindIn = (cell: string) => /one for each(?= store| connection| error code of Redis)|^a number/.exec(cell)?.[0];

/** How many time series a metric with these attributes has at most, as the table says it. */
function seriesOf(attributes: readonly string[]): string {
  const each = attributes.includes('redis_cache.namespace') ? 'stores' : 'connections';
  const calls = attributes.includes('error.type');
  // A call that succeeds has no `error.type`.
  const sizes = attributes.map((name) => (CLOSED[name]?.length ?? 1) + (name === 'error.type' ? 1 : 0));
  const factors = sizes.filter((size) => size > 1);
  const replies = ` and ${METHODS.length} × ${each} for each error code of Redis`;
  return [...factors, each].join(' × ') + (calls ? replies : '');
}

const attributesOf = ({ dataPoints }: MetricData) => dataPoints.map(({ attributes }) => attributes);
const keysOf = (all: readonly Attributes[]) => new Set(all.flatMap((attributes) => Object.keys(attributes)));

/** An application's own error, which pretends to be one of the package. */
class StrangeError extends RedisCacheError {
  readonly code: string;
  constructor(key: string) {
    super(key);
    this.code = key;
  }
}

describe('the tables of docs/observability.md', () => {
  let collector: Collector;
  let stage: Stage;
  let auth: AuthStage;
  let stop: () => void;
  beforeAll(async () => {
    collector = new Collector();
    stop = traceStores();
    stage = await Stage.redis();
    auth = new AuthStage(stage);
  });
  afterEach(async () => {
    await auth.clean();
    await stage.clean();
  });
  afterAll(async () => {
    stop();
    await stage?.stop();
    await collector.stop();
  });

  it('name every span attribute and every metric with its unit and its attributes, and no other', async () => {
    const proxy = await TcpProxy.start(stage.server);
    const store = await stage.open({ url: proxy.url, ttl: '1h', timeout: '40s' });
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
      await useServices(await auth.sessions(), await auth.refreshTokens(), 1);
    } finally {
      await proxy.stop();
    }
    const emitted = await collector.metrics();
    const rows = [...emitted.values()].map((metric) => ({
      name: metric.descriptor.name,
      unit: metric.descriptor.unit,
      attributes: keysOf(attributesOf(metric)),
    }));
    expect(new Set(rows)).toEqual(
      new Set(metricTable.map(({ name, unit, attributes }) => ({ name, unit, attributes: new Set(attributes) }))),
    );
    const spans = collector.spans.getFinishedSpans();
    const all = [spans.map(({ attributes }) => attributes), ...[...emitted.values()].map(attributesOf)].flat();
    expect(keysOf(spans.map(({ attributes }) => attributes))).toEqual(new Set(quoted(spanAttributes)));
    expect(keysOf(all)).toEqual(new Set(attributeTable.keys()));

    const replies = new Set(all.flatMap(({ 'db.response.status_code': reply }) => reply ?? []));
    for (const [name, values] of Object.entries(CLOSED)) {
      const seen = new Set(all.flatMap(({ [name]: value }) => value ?? []));
      const known: unknown[] = name === 'error.type' ? [...values, ...replies] : values;
      expect([name, [...seen].filter((value) => !known.includes(value))]).toEqual([name, []]);
    }
    const told = [
      ...spans.map(({ name, attributes, events, status }) => ({ name, attributes, events, status })),
      ...all,
    ];
    expect(sightings(told.map(shown).join())).toEqual([]);
  }, 30_000);

  it('have all values of an attribute, or say of what there is one each', () => {
    const has = [...attributeTable].map(([name, { values }]) => [
      name,
      CLOSED[name] ? valuesIn(values) : kindIn(values),
    ]);
    const isNumber = (name: string) => !metricTable.some(({ attributes }) => attributes.includes(name));
    const expected = [...attributeTable.keys()].map((name) => [
      name,
      CLOSED[name] ?? (isNumber(name) ? 'a number' : 'one for each'),
    ]);
    expect(has).toEqual(expected);
  });

  it('say how many time series a metric has at most, as follows from its attributes', () => {
    for (const { name, attributes, series } of metricTable)
      expect([name, series]).toEqual([name, seriesOf(attributes)]);
  });

  it('hold whatever the number of keys, tags, subjects and messages of errors: none adds a time series', async () => {
    const store = await stage.open({ ttl: '1h', nearCache: { lease: '1s', maxEntries: 1 } });
    const [sessions, tokens] = [await auth.sessions(), await auth.refreshTokens()];
    const seriesAfter = async (keys: number) => {
      for (let i = 0; i < keys; i++) {
        const key = `key ${i} of ${keys}`;
        await store.put(key, i, { tags: [`tag of ${key}`] });
        await store.getMany([key, `no ${key}`]);
        await store.increment(key);
        await reasonOf(store.update(key, () => Promise.reject(new Error(key))));
        await reasonOf(store.update(key, () => Promise.reject(new StrangeError(key))));
      }
      await useServices(sessions, tokens, keys);
      const metrics = [...(await collector.metrics()).values()];
      return new Map(metrics.map((metric) => [metric.descriptor.name, metric.dataPoints.length]));
    };
    await eventually(
      async () => {
        for (const key of ['a', 'b']) await store.put(key, 1).then(() => store.get(key));
        const events = (await collector.metrics()).get('redis_cache.near_cache.events');
        expect(
          events?.dataPoints.filter(({ attributes }) => attributes['redis_cache.namespace'] === store.namespace),
        ).toHaveLength(3);
      },
      { timeout: 10_000 },
    );
    const few = await seriesAfter(2);
    expect(await seriesAfter(40)).toEqual(few);
  }, 30_000);
});

/** Sessions and token families of so many subjects. */
async function useServices(sessions: Sessions, tokens: RefreshTokens, subjects: number): Promise<void> {
  for (let i = 0; i < subjects; i++) {
    const subject = `${TAG} ${i} of ${subjects}`;
    const { token } = await sessions.create(subject, {});
    await sessions.regenerate(token);
    await sessions.revokeAll(subject);
    const first = await tokens.issue(subject, {});
    await tokens.rotate(first);
    await tokens.rotate(first);
    await tokens.revokeAll(subject);
  }
}

/** A copy that is kept, and a feed that is refused. */
async function nearEvents(stage: Stage): Promise<void> {
  const heard = new Set<string>();
  const listener = (message: unknown) => void heard.add((message as CacheNearMessage).event);
  subscribe('nestjs-redis-cache-store:near-cache', listener);
  const store = await stage.open({ ttl: '1h', nearCache: { lease: '400ms' } });
  await store.put('a', 1);
  await eventually(async () => [await store.get('a'), expect(heard).toContain('fill')], { timeout: 10_000 });
  await eventually(async () => [await store.get('a'), expect(heard).toContain('feed-up')], { timeout: 10_000 });
  unsubscribe('nestjs-redis-cache-store:near-cache', listener);
}
