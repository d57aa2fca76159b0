import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  CacheArgumentError,
  type CacheCallMessage,
  type CacheConnectionMessage,
  type CacheNearMessage,
  type CacheSessionMessage,
} from 'nestjs-redis-cache-store';
import { RedisCacheSessionStore } from 'nestjs-redis-cache-store/express-session';
import { AuthStage } from '../auth/auth-stage.js';
import { CacheApp } from '../support/cache-app.js';
import { everyCall, expectSecret, KEY, TAG, VALUE } from '../support/canaries.js';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from '../support/proxy.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer } from '../support/redis-server.js';
import { Stage } from '../support/stage.js';
import { WorkerProcess } from '../support/worker-process.js';

const CALLS = 'nestjs-redis-cache-store:call';
const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;

/** Listens until it is stopped. */
class Listener {
  readonly events: [event: string, message: CacheCallMessage][] = [];
  private readonly undo: (() => void)[] = [];

  constructor() {
    for (const event of EVENTS) {
      this.on<CacheCallMessage>(`tracing:${CALLS}:${event}`, (message) => this.events.push([event, message]));
    }
  }

  on<Message>(name: string, tell: (message: Message) => void): void {
    const listener = (message: unknown) => tell(message as Message);
    subscribe(name, listener);
    this.undo.push(() => void unsubscribe(name, listener));
  }

  /** The calls that are over. */
  get calls(): CacheCallMessage[] {
    return this.events.flatMap(([event, call]) => (event === 'asyncEnd' ? [call] : []));
  }

  stop(): void {
    for (const undo of this.undo.splice(0)) undo();
  }
}

describe('the channels of node:diagnostics_channel', () => {
  let listener: Listener;
  let stage: Stage;
  beforeAll(async () => (stage = await Stage.redis()));
  beforeEach(() => (listener = new Listener()));
  afterEach(async () => {
    listener.stop();
    await stage.clean();
  });
  afterAll(() => stage?.stop());

  it.each([{}, { nearCache: true }, { sliding: true }])(
    'tell each call of a method once, from start to end, with no secret (%j)',
    async (options) => {
      const store = await stage.open({ ttl: '1h', ...options });
      for (const [name, call] of everyCall(store)) {
        listener.events.length = 0;
        await call();
        const operation = name === 'scope' ? 'put' : name.split(' ', 1)[0];
        expect(listener.events.map(([event, message]) => [event, message.operation])).toEqual(
          ['start', 'end', 'asyncStart', 'asyncEnd'].map((event) => [event, operation]),
        );
        const [message] = listener.calls;
        expect(message).toMatchObject({ namespace: store.namespace, connection: 'default', database: 0 });
        expect(message).toMatchObject({ address: '127.0.0.1', port: stage.server.port });
        expectSecret(message);
      }
    },
  );

  it('tell hits and misses', async () => {
    const store = await stage.open({ ttl: '1h' });
    await store.put('a', 1);
    const counted = async (call: () => Promise<unknown>) => {
      listener.events.length = 0;
      await call();
      const [last] = listener.calls;
      return [last?.hits, last?.misses];
    };
    expect(await counted(() => store.get('a'))).toEqual([1, 0]);
    expect(await counted(() => store.get('b'))).toEqual([0, 1]);
    expect(await counted(() => store.get('a', { touch: true }))).toEqual([1, 0]);
    expect(await counted(() => store.getMany(['a', 'b', 'c']))).toEqual([1, 2]);
    expect(await counted(() => store.has('a'))).toEqual([1, 0]);
    expect(await counted(() => store.has('b'))).toEqual([0, 1]);
    expect(await counted(() => store.ttl('b'))).toEqual([0, 1]);
    expect(await counted(() => store.inspect('a'))).toEqual([1, 0]);
    expect(await counted(() => store.getOrPut('a', () => 2))).toEqual([1, 0]);
    expect(await counted(() => store.getOrPut('d', () => 2))).toEqual([0, 1]);
    expect(await counted(() => store.take('a'))).toEqual([1, 0]);
    expect(await counted(() => store.put('a', 1))).toEqual([0, 0]);
  });

  it('tell how many keys shared a command, each call for itself', async () => {
    const store = await stage.open({ ttl: '1h' });
    await Promise.all([store.get('a'), store.get('b'), store.get('b'), store.get('c')]);
    await store.get('a');
    await store.get('a');
    const sizes = listener.calls.map(({ batchSize }) => batchSize);
    expect(sizes).toEqual([3, 3, 3, 3, expect.any(Number), 1]);
    listener.events.length = 0;
    await store.putMany([
      ['a', 1],
      ['b', 2],
    ]);
    await store.put('a', 1);
    await store.put('a', 1, { tags: ['tag'] });
    expect(listener.calls.map(({ batchSize }) => batchSize)).toEqual([2, 1, 0]);
  });

  it('tell of a call whose key Redis refuses to write for others that it was sent by itself', async () => {
    const store = await stage.open({ ttl: '1h' });
    await stage.server.cli('ACL', 'SETUSER', 'default', 'resetkeys', `~${store.namespace}:a`);
    try {
      await Promise.allSettled([store.put('a', 1), store.put('b', 1)]);
    } finally {
      await stage.server.cli('ACL', 'SETUSER', 'default', 'allkeys');
    }
    expect(listener.calls.map(({ batchSize }) => batchSize)).toEqual([1, 1]);
    expect(listener.calls.map(({ failure }) => failure?.reply)).toEqual([undefined, 'NOPERM']);
  });

  it('tell why a call failed, and not the error itself', async () => {
    const store = await stage.open({ ttl: '1h' });
    await store.put('a', 1);
    await stage.server.cli('RPUSH', `${store.namespace}:list`, 'x');
    listener.events.length = 0;
    const fail = () => Promise.reject(new Error(VALUE));
    expect(await reasonOf(store.get(''))).toBeInstanceOf(CacheArgumentError);
    await reasonOf(store.get('list'));
    await reasonOf(store.update('a', fail));
    expect(listener.calls.map(({ failure }) => failure)).toEqual([
      { code: 'CACHE_ARGUMENT' },
      { code: 'CACHE_COMMAND', reply: 'WRONGTYPE' },
      { code: 'OTHER' },
    ]);
    expect(listener.events.filter(([event]) => event === 'error')).toHaveLength(3);
    expectSecret(listener.events);
  });

  it('tell reads that are sent again, and changes of the status of a connection', async () => {
    const proxy = await TcpProxy.start(stage.server);
    const changes: CacheConnectionMessage[] = [];
    listener.on<CacheConnectionMessage>('nestjs-redis-cache-store:connection', (message) => changes.push(message));
    const app = await CacheApp.start({ url: proxy.url, redis: { db: 3 }, ttl: '1h', timeout: '40s' });
    try {
      await app.store.get('a');
      await app.store.get('a');
      listener.events.length = 0;
      proxy.stallReplies();
      const reading = Promise.all([app.store.get('a'), app.store.get('b')]);
      await sleep(100); // they are written by now, or are sent once
      proxy.endConnections();
      await proxy.resume();
      await reading;
    } finally {
      await app.close();
      await proxy.stop();
    }
    const at = { connection: 'default', address: '127.0.0.1', port: Number(new URL(proxy.url).port), database: 3 };
    expect(changes).toEqual([
      { ...at, previous: 'connecting', status: 'ready' },
      { ...at, previous: 'ready', status: 'down', reason: expect.any(String) as string },
      { ...at, previous: 'down', status: 'ready' },
      { ...at, previous: 'ready', status: 'closed' },
    ]);
    expect(listener.calls.map(({ retries }) => retries > 0)).toEqual([true, true]);
  });

  it('tell copies that are kept, evicted and invalidated, and a feed that is refused and comes again', async () => {
    const told: CacheNearMessage[] = [];
    listener.on<CacheNearMessage>('nestjs-redis-cache-store:near-cache', (message) => told.push(message));
    const server = await RedisServer.start();
    const app = await CacheApp.start({ url: server.url, ttl: '1h', nearCache: { lease: '400ms', maxEntries: 1 } });
    try {
      await server.cli('ACL', 'SETUSER', 'default', '-subscribe');
      await server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub');
      const events = () => told.map(({ event }) => event);
      await eventually(() => expect(events()).toContain('feed-down'), { timeout: 10_000 });
      await server.cli('ACL', 'SETUSER', 'default', '+subscribe');
      await app.store.put('a', 1);
      const read = async (event: string) => {
        await app.store.get('a');
        expect(events()).toContain(event);
      };
      await eventually(() => read('feed-up'), { timeout: 10_000 });
      await eventually(() => read('fill'), { timeout: 10_000 });
      await app.store.put('b', 1);
      await eventually(async () => [await app.store.get('b'), expect(events()).toContain('eviction')], {
        timeout: 10_000,
      });
      await server.cli('DEL', 'cache:b');
      await eventually(() => expect(events()).toContain('invalidation'));
      const fill = told.find(({ event }) => event === 'fill');
      expect(fill).toMatchObject({
        namespace: 'cache',
        connection: 'default',
        entries: 1,
        bytes: expect.any(Number) as number,
      });
    } finally {
      await app.close();
      await server.stop();
    }
  }, 60_000);

  it('tell the events of sessions and refresh tokens, without whose they are', async () => {
    const told: CacheSessionMessage[] = [];
    listener.on<CacheSessionMessage>('nestjs-redis-cache-store:session', (message) => told.push(message));
    const auth = new AuthStage(stage);
    try {
      const sessions = await auth.sessions({ namespace: 'session' });
      await sessions.create(TAG, { [VALUE]: KEY });
      await sessions.revokeAll(TAG);
      const tokens = await auth.refreshTokens({ namespace: 'refresh' });
      await tokens.rotate(await tokens.issue(TAG, KEY));
      expect(told).toEqual([
        { service: 'sessions', namespace: 'session', type: 'created' },
        { service: 'sessions', namespace: 'session', type: 'revoked' },
        { service: 'refreshTokens', namespace: 'refresh', type: 'issued' },
        { service: 'refreshTokens', namespace: 'refresh', type: 'rotated' },
      ]);
    } finally {
      await auth.clean();
    }
  });

  it('tell each call of an adapter once, also where it reads records of another program', async () => {
    const store = await stage.open({ ttl: '1h' });
    const sessions = new RedisCacheSessionStore(store, { legacy: 'connect-redis' });
    await stage.server.cli('SET', `${store.namespace}:${KEY}`, JSON.stringify({ cookie: {}, [VALUE]: VALUE }));
    expect(await sessions.get(KEY)).toMatchObject({ [VALUE]: VALUE });
    const { namespace } = store;
    expect(listener.calls).toEqual([expect.objectContaining({ operation: 'get', namespace, hits: 1, misses: 0 })]);
    expectSecret(listener.calls);
  });

  it('leave no listener and no message behind when the last listener has gone', async () => {
    const store = await stage.open({ ttl: '1h' });
    await store.get('a');
    const before = listener.events.length;
    listener.stop();
    for (const [, call] of everyCall(store)) await call();
    expect(listener.events).toHaveLength(before);
    expect(EVENTS.filter((event) => channel(`tracing:${CALLS}:${event}`).hasSubscribers)).toEqual([]);

    const messages: WeakRef<CacheCallMessage>[] = [];
    const forget = (message: unknown) => void messages.push(new WeakRef(message as CacheCallMessage));
    for (let i = 0; i < 20; i++) {
      subscribe(`tracing:${CALLS}:asyncEnd`, forget);
      await store.put('a', i);
      await Promise.all([store.get('a'), store.getMany(['a', 'b']), store.update('a', () => 1)]);
      unsubscribe(`tracing:${CALLS}:asyncEnd`, forget);
      await store.get('a');
    }
    expect(messages).toHaveLength(80);
    await eventually(() => {
      collectGarbage();
      expect(messages.filter((message) => message.deref() !== undefined)).toEqual([]);
    });
  });

  it('let no promise of the process be followed once the last listener has gone', async () => {
    const worker =
      await WorkerProcess.start<typeof import('../support/workers/listening.worker.js')>('listening.worker');
    try {
      // From Node 24 on contexts need no hooks.
      const needsHooks = Number(process.versions.node.split('.', 1)[0]) < 24;
      expect(await worker.run('followedPromises')).toEqual([false, needsHooks, false]);
    } finally {
      await worker.kill();
    }
  });
});

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
