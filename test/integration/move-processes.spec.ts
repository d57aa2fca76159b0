import { setTimeout as sleep } from 'node:timers/promises';
import { CacheUnavailableError, type MoveOptions, RedisCacheStore } from 'nestjs-redis-cache-store';
import { MINUTE } from '../contract/auth-contract.js';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from '../support/proxy.js';
import type { RedisServer } from '../support/redis-server.js';
import { Stage } from '../support/stage.js';
import { tagState, uncovered } from '../support/tag-invariant.js';
import { WorkerProcess } from '../support/worker-process.js';

const TAG = 'user:42';
const TIMEOUT = 5000;
const OPTIONS = { namespace: 'session', ttl: '1h', timeout: TIMEOUT } as const;
const OLD = `${OPTIONS.namespace}:old`;
const NEW = `${OPTIONS.namespace}:new`;

describe('moves of several processes', () => {
  let stage: Stage;
  let server: RedisServer;
  let store: RedisCacheStore;
  beforeAll(async () => {
    stage = await Stage.redis();
    ({ server } = stage);
  });
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    store = await stage.open(OPTIONS);
  });
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  const start = (url: string) =>
    WorkerProcess.start<typeof import('../support/workers/auth.worker.js')>('auth.worker', {
      REDIS_URL: url,
      STORE: JSON.stringify(OPTIONS),
    });
  /** What a tag finds is what there is, and the index names nothing else. */
  const expectKeys = async (keys: string[]) => {
    expect([await store.keys(), await store.keys({ tag: TAG })]).toEqual([keys, keys]);
    expect(await uncovered(server, OPTIONS.namespace, TAG)).toEqual([]);
  };

  it('a deleteByTag over a slow line reaches both keys, whichever of its steps a move falls between', async () => {
    const proxy = await TcpProxy.start(server);
    proxy.delay(12);
    const far = await stage.open({ ...OPTIONS, url: proxy.url });
    try {
      for (let offset = 15; offset < 110; offset += 6) {
        await store.put('old', 1, { tags: [TAG] });
        const moved = sleep(offset).then(() => store.move('old', 'new', { grace: '1m' }));
        await far.deleteByTag(TAG);
        // A move that begins later finds nothing to be moved.
        await moved;
        expect([offset, await store.getMany(['old', 'new'])]).toEqual([offset, [undefined, undefined]]);
      }
    } finally {
      await proxy.stop();
    }
  });

  it('a deleteByTag of several pages reaches a record that moves to a key whose record it has just deleted', async () => {
    const proxy = await TcpProxy.start(server);
    proxy.delay(12);
    const far = await stage.open({ ...OPTIONS, url: proxy.url });
    try {
      const first = Array.from({ length: 250 }, (_, i) => [`first ${i}`, i] as const);
      await store.putMany(first, { tags: [TAG] });
      await store.put('last', 1, { ttl: '2h', tags: [TAG] });
      const deletion = far.deleteByTag(TAG);
      await eventually(async () => expect(await store.has('first 0')).toBe(false), { interval: 1 });
      expect(await store.move('last', 'first 0')).toBe(1);
      await deletion;
      await expectKeys([]);
    } finally {
      await proxy.stop();
    }
  });

  it('a thorough deleteByTag reaches a record that no index named and that moves behind its walk over the namespace', async () => {
    await store.put('old', 1, { tags: [TAG] });
    await server.cli('DEL', `${OPTIONS.namespace}#${TAG}`); // evicted
    const { backend } = RedisCacheStore.operationsOf(store);
    const scan = backend.scan.bind(backend);
    backend.scan = async function* (...prefixes) {
      const pages = [];
      for await (const page of scan(...prefixes)) pages.push(page);
      expect(pages.flat()).toEqual([OLD]);
      expect(await store.move('old', 'new')).toBe(1);
      yield* pages;
    };
    expect(await store.deleteByTag(TAG, { thorough: true })).toBe(1);
    backend.scan = scan;
    await expectKeys([]);
  });

  it('stays in its index when the callback takes longer than any write does', async () => {
    const proxy = await TcpProxy.start(server);
    const far = await stage.open({ ...OPTIONS, url: proxy.url });
    try {
      await store.put('old', 1, { tags: [TAG] });
      const call = { isOver: false };
      const slow = async (value: number) => {
        await stage.pass(MINUTE);
        proxy.delay(12);
        return value + 1;
      };
      const moved = far.move<number>('old', 'new', { change: slow }).finally(() => (call.isOver = true));
      while (!call.isOver) {
        // Trims members without a record whose write is over.
        await store.keys({ tag: TAG });
      }
      expect(await moved).toBe(2);
      await expectKeys(['new']);
    } finally {
      await proxy.stop();
    }
  });

  it('is found by the tags that somebody gives it before its move is over', async () => {
    const proxy = await TcpProxy.start(server);
    const far = await stage.open({ ...OPTIONS, url: proxy.url });
    try {
      await store.put('old', 1);
      await far.has('old');
      proxy.delay(12);
      const moved = far.move<number>('old', 'new');
      await eventually(async () => expect(await store.has('new')).toBe(true), { interval: 1 });
      expect(await store.update<number>('new', (value) => value + 1, { tags: [TAG] })).toBe(2);
      expect(await moved).toBe(2);
      expect(await store.ttl('new')).toBeGreaterThan(MINUTE);
      await expectKeys(['new']);
    } finally {
      await proxy.stop();
    }
  });

  it('of 100 moves of one record in two processes exactly one wins, and nothing is left of the others', async () => {
    const workers = await Promise.all([start(server.url), start(server.url)]);
    try {
      for (let round = 0; round < 10; round++) {
        await store.put('old', round, { tags: [TAG] });
        const at = Date.now() + 30;
        const won = (await Promise.all(workers.map((worker) => worker.run('moveOften', 'old', 50, at)))).flat();
        expect(won).toHaveLength(1);
        expect(await store.get(won[0] ?? '')).toBe(round);
        await expectKeys(won);
        expect((await tagState(server, OPTIONS.namespace, TAG)).leftOver).toEqual([]);
        await store.clear();
      }
    } finally {
      await Promise.all(workers.map((worker) => worker.kill()));
    }
  });

  describe('a process that is killed amid a move', () => {
    /** Kills a process as soon as Redis is in a state, whose reply it has not seen. */
    async function killAt(isThere: () => Promise<boolean>, options: MoveOptions<unknown, unknown>): Promise<void> {
      const proxy = await TcpProxy.start(server);
      const worker = await start(proxy.url);
      try {
        await store.put('old', 1, { tags: [TAG] });
        await worker.run('putIfAbsent', 'warm', 1, 0);
        await store.delete('warm');
        proxy.delay(150);
        const move = worker.run('move', 'old', 'new', options).catch(() => undefined);
        await eventually(async () => expect(await isThere()).toBe(true), { timeout: 10_000 });
        proxy.stall();
        await worker.kill();
        await move;
        expect(await isThere()).toBe(true);
      } finally {
        await worker.kill();
        await proxy.stop();
      }
    }

    /** Nothing gives the new record a longer life, or lets it be read after that. */
    async function expectNewToEnd(): Promise<void> {
      await store.touch('new', '5h');
      await store.get('new', { touch: '5h' });
      await store.replace('new', 1, { ttl: null, tags: [TAG] });
      expect(Number(await server.cli('PTTL', NEW))).toBeGreaterThan(0);
      expect(Number(await server.cli('PTTL', NEW))).toBeLessThanOrEqual(2 * TIMEOUT);
    }

    const isClaimed = async () => (await server.cli('EXISTS', NEW)) === 1 && (await server.cli('EXISTS', OLD)) === 1;

    it('once the new record is there leaves the old one, and the new one for 2 × timeout', async () => {
      await killAt(isClaimed, {});
      expect(await store.get('old')).toBe(1);
      await expectNewToEnd();
      await stage.pass(2 * TIMEOUT);
      await expectKeys(['old']);
      expect(await store.move('old', 'new')).toBe(1);
      await stage.pass(MINUTE);
      await expectKeys(['new']);
    });

    it('once the new record is there leaves none that PERSIST keeps alive', async () => {
      await killAt(isClaimed, {});
      await server.cli('PERSIST', NEW);
      await stage.pass(2 * TIMEOUT);
      expect(await store.get('new')).toBeUndefined();
      expect(await store.move('new', 'again')).toBeUndefined();
    });

    it('once the old record is gone leaves nothing after 2 × timeout', async () => {
      const isReleased = async () => (await server.cli('EXISTS', NEW)) === 1 && (await server.cli('EXISTS', OLD)) === 0;
      await killAt(isReleased, {});
      await expectNewToEnd();
      await stage.pass(2 * TIMEOUT);
      await expectKeys([]);
    });

    it('once the old record has its grace leaves that one for it, and the new one for 2 × timeout', async () => {
      const isReleased = async () => {
        const left = Number(await server.cli('PTTL', OLD));
        return left > 0 && left < 11 * MINUTE;
      };
      await killAt(isReleased, { grace: '10m' });
      await expectNewToEnd();
      await stage.pass(2 * TIMEOUT);
      await store.touch('old', '5h');
      await expectKeys(['old']);
      await stage.pass(10 * MINUTE);
      await expectKeys([]);
    });
  });

  it('whose replies are lost, at whichever step, leave no more than one record after 2 × timeout', async () => {
    const proxy = await TcpProxy.start(server);
    try {
      const distant = await stage.open({ ...OPTIONS, url: proxy.url });
      const ended = new Set<string>();
      for (let step = 0; step < 6; step++) {
        await store.clear();
        await store.put('old', 1, { tags: [TAG] });
        await distant.has('any');
        proxy.delay(25);
        const moved = distant.move<number>('old', 'new').catch((error: unknown) => error);
        await sleep(step * 50);
        void proxy.dropReplies();
        const result = await moved;
        const outcome = result instanceof CacheUnavailableError ? result.outcome : 'moved';
        ended.add(outcome);
        await proxy.resume();
        await stage.pass(2 * TIMEOUT);
        const left = await store.keys();
        const allowed = { moved: [['new']], 'not-sent': [['old']], unknown: [['new'], ['old'], []] }[outcome];
        expect(allowed).toContainEqual(left);
        await expectKeys(left);
        expect([1, 'unavailable']).toContain(outcome === 'moved' ? result : 'unavailable');
      }
      expect(ended).toContain('unknown');
    } finally {
      await proxy.stop();
    }
  });
});
