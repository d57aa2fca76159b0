import { execFileSync } from 'node:child_process';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheUnavailableError } from 'nestjs-redis-cache-store';
import { eventually } from '../support/eventually.js';
import { reportFault } from '../support/fault-report.js';
import { DATA, FEED, NAMESPACE, NearStage, TRAVEL } from '../support/near-stage.js';

const LEASE = 350;
const options = { nearCache: { lease: LEASE }, timeout: 1000 };

/** How old an answer may get when messages of what changes no longer arrive, or not in time. */
describe('the near cache, when something breaks', () => {
  let stage: NearStage;
  let store: RedisCacheStore;
  let writer: RedisCacheStore;

  beforeAll(async () => (stage = await NearStage.start()));
  beforeEach(async () => {
    await stage.reset();
    [store, writer] = [await stage.proxied(options), await stage.open({ nearCache: false })];
    await writer.putMany([
      ['key', 'old'],
      ['source', 'new'],
    ]);
    await stage.warm(store, 'key');
  });
  afterEach(async () => {
    stage.server.thaw();
    await stage.clean();
  });
  afterAll(() => stage?.stop());

  /** How many ms after `since` the last read began that gave the old value; reads until nobody may get that any more. */
  async function lastOldAfter(since: number): Promise<number> {
    let last = 0;
    for (let begun = 0; begun < LEASE + TRAVEL; await sleep(2)) {
      begun = performance.now() - since;
      const value = await store.get('key').catch((error: unknown) => {
        if (error instanceof CacheUnavailableError) return 'unavailable';
        throw error;
      });
      if (value === 'old') last = begun;
    }
    return last;
  }

  async function expectRecovered(value: string): Promise<void> {
    await eventually(async () => expect(await store.get('key')).toBe(value), { timeout: 10_000 });
    await eventually(() => stage.warm(store, 'key'), { timeout: 10_000 });
    for (const next of ['newer', 'newest']) {
      await writer.put('key', next);
      await eventually(async () => expect(await store.get('key')).toBe(next), { timeout: TRAVEL });
    }
  }

  it('answers from this process for as long as nothing does, far beyond the lease', async () => {
    for (let i = 0; i < 4; i++) {
      await sleep(LEASE);
      await eventually(async () => expect(await stage.readsDuring(() => store.get('key'))).toBe(0), {
        timeout: TRAVEL,
      });
    }
  });

  it.each<[way: string, deleteAll: (own: RedisCacheStore) => Promise<unknown>]>([
    ['deleteByTag', (own) => own.deleteByTag('tag')],
    ['clear', (own) => own.clear()],
  ])(
    'serves nothing after a %s of its own, even if others deleted first and that has not been told yet',
    async (_, deleteAll) => {
      await writer.put('key', 'signed in', { tags: ['tag'] });
      await eventually(async () => expect(await store.get('key')).toBe('signed in'));
      await stage.warm(store, 'key');
      stage.proxy.stallReplies(FEED);
      await deleteAll(writer);
      await deleteAll(store);
      expect(await store.get('key')).toBeUndefined();
    },
  );

  it.each<[fault: string, breakIt: () => unknown]>([
    [
      'cut, and cannot be opened again',
      () => {
        stage.proxy.endConnections(FEED);
        stage.proxy.stall(FEED);
      },
    ],
    ['stalled', () => stage.proxy.stall(FEED)],
    ['silent, while what it sends gets through', () => stage.proxy.stallReplies(FEED)],
    ['slower than the lease, there and back', () => stage.proxy.delay(0.7 * LEASE, FEED)],
  ])(
    'with a feed that is %s no answer is older than the lease, then it is bypassed, and recovers by itself',
    async (fault, breakIt) => {
      breakIt();
      await writer.put('key', 'new');
      const oldest = await lastOldAfter(performance.now());
      expect(oldest).toBeLessThanOrEqual(LEASE);
      reportFault(`near cache: feed ${fault}`, { lease: LEASE, 'oldest answer (ms)': Math.round(oldest) });
      const reads = await stage.readsDuring(async () => {
        for (let i = 0; i < 10; i++) expect(await store.get('key')).toBe('new');
      });
      expect(reads).toBe(10);
      await stage.proxy.resume();
      await expectRecovered('new');
    },
  );

  it('a feed that is cut costs freshness nothing: from that moment on Redis is asked', async () => {
    stage.proxy.stall(FEED); // it cannot come back
    stage.proxy.endConnections(FEED);
    await eventually(async () => expect(await stage.readsDuring(() => store.get('key'))).toBe(1), { timeout: TRAVEL });
    await writer.put('key', 'new');
    expect(await store.get('key')).toBe('new');
  });

  it('a feed that died silently is replaced, without anything else being healed', async () => {
    const dead = stage.proxy.accepted;
    stage.proxy.stall((nth) => nth === dead);
    await writer.put('key', 'new');
    await expectRecovered('new');
  });

  it('with a link that Redis has closed without this process noticing, no answer is older than the lease', async () => {
    stage.proxy.stallReplies(DATA);
    await stage.server.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await eventually(() => writer.put('key', 'new'));
    expect(await lastOldAfter(performance.now())).toBeLessThanOrEqual(LEASE);
    await stage.proxy.resume();
    await expectRecovered('new');
  });

  it('a feed that has to log in again after the password was rotated does so with the new one', async () => {
    let password = 'first';
    await stage.server.cli('ACL', 'SETUSER', 'app', 'on', '>first', '~*', '&*', '+@all');
    store = await stage.open({ ...options, credentials: () => ({ username: 'app', password }) });
    await stage.warm(store, 'key');
    await stage.server.cli('ACL', 'SETUSER', 'app', 'resetpass', '>second');
    password = 'second';
    await stage.server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub', 'USER', 'app');
    await expectRecovered('old');
  });

  it('cut off from Redis, no answer is older than the lease, and then there is none', async () => {
    stage.proxy.stall();
    await writer.put('key', 'new');
    const oldest = await lastOldAfter(performance.now());
    expect(oldest).toBeLessThanOrEqual(LEASE);
    await expect(store.get('key')).rejects.toThrow(CacheUnavailableError);
    await stage.proxy.resume();
    await expectRecovered('new');
  });

  it('with a server that is frozen no answer is older than the lease, and it recovers by itself', async () => {
    stage.server.freeze();
    const frozenAt = performance.now();
    expect(await lastOldAfter(frozenAt)).toBeLessThanOrEqual(LEASE);
    await expect(store.get('key')).rejects.toThrow(CacheUnavailableError);
    stage.server.thaw();
    await stage.overwrite('key', 'source');
    const oldest = await lastOldAfter(performance.now());
    expect(oldest).toBeLessThanOrEqual(TRAVEL);
    await expectRecovered('new');
  });

  it('a server that starts again, with other records, is not mixed up with what it was', async () => {
    await stage.server.kill9();
    await stage.server.restart();
    await eventually(async () => expect(await store.get('key')).toBeUndefined(), { timeout: 10_000 });
    await eventually(() => writer.put('key', 'new'), { timeout: 10_000 });
    await expectRecovered('new');
  });

  it.each([
    ['longer than the lease', LEASE + 100],
    ['shorter than the lease', LEASE / 5],
  ])('with an event loop that is blocked for %s no answer is older than the lease', async (_, length) => {
    await sleep(LEASE); // the PINGs have settled
    const begun = performance.now();
    overwriteWithoutTheLoop(stage.server.port);
    const changed = performance.now();
    while (performance.now() - begun < length);
    // Asked before anything that has arrived meanwhile is looked at.
    const value = await store.get('key');
    expect(length > LEASE ? value === 'new' : value !== undefined).toBe(true);
    const oldest = await lastOldAfter(changed);
    expect(oldest).toBeLessThanOrEqual(length + TRAVEL);
    await expectRecovered('new');
  });

  it('a feed that is killed every 150 ms never lets a reader see an old value for longer than a message takes', async () => {
    const killing = setInterval(() => void stage.server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub').catch(() => 0), 150);
    let oldest = 0;
    try {
      for (let i = 0; i < 60; i++) {
        await writer.put('key', i);
        const acknowledged = performance.now();
        for (let begun = acknowledged; (await store.get('key')) !== i; begun = performance.now()) {
          oldest = Math.max(oldest, begun - acknowledged);
          await setImmediate(); // local answers alone would let no message in
        }
        await sleep(Math.random() * 50);
      }
    } finally {
      clearInterval(killing);
    }
    expect(oldest).toBeLessThan(TRAVEL);
    reportFault('near cache: feed killed every 150 ms', { 'oldest answer (ms)': Number(oldest.toFixed(1)) });
    await writer.put('key', 'new');
    await expectRecovered('new');
  });
});

/** From a process of its own, while this one does nothing. Resolves when Redis has answered. */
function overwriteWithoutTheLoop(port: number): void {
  const command = `COPY ${NAMESPACE}:source ${NAMESPACE}:key REPLACE\\r\\n`;
  const script = `const s = require('net').connect(${port}, '127.0.0.1', () => s.write('${command}')).on('data', () => s.end())`;
  execFileSync(process.execPath, ['-e', script], { env: { ...process.env, NODE_OPTIONS: '' } });
}
