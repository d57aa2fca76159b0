import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import type { Stage } from '../support/stage.js';
import { expectTtl, HOUR, MINUTE } from './auth-contract.js';

const SECONDS = 1000;

/** What `sliding` and `maxAge` promise. */
export function describeSliding(open: () => Promise<Stage>): void {
  describe('sliding and maxAge', () => {
    let stage: Stage;
    beforeAll(async () => (stage = await open()));
    afterEach(() => stage.clean());

    it('a successful get gives the record its full ttl again', async () => {
      const store = await stage.open({ ttl: '1h', sliding: true });
      await store.put('key', 1);
      for (let reads = 0; reads < 5; reads++) {
        await stage.pass(50 * MINUTE);
        expect(await store.get('key')).toBe(1);
        await expectTtl(store, 'key', HOUR);
      }
      await stage.pass(61 * MINUTE);
      expect(await store.get('key')).toBeUndefined();
    });

    it('the full ttl of a record is the one that it was written with', async () => {
      const store = await stage.open({ ttl: '1h', sliding: true });
      await store.put('long', 1, { ttl: '10h' });
      await store.put('short', 1, { ttl: '10m' });
      await store.put('endless', 1, { ttl: null });
      await store.put('replaced', 1);
      await store.replace('replaced', 2, { ttl: '20h' });
      await store.put('updated', 1, { ttl: '20h' });
      await store.update('updated', () => 2);
      await stage.pass(9 * MINUTE);
      expect(await store.get('short')).toBe(1);
      await expectTtl(store, 'short', 10 * MINUTE);
      await stage.pass(5 * HOUR);
      for (const key of ['long', 'endless', 'replaced', 'updated']) await store.get(key);
      await expectTtl(store, 'long', 10 * HOUR);
      await expectTtl(store, 'replaced', 20 * HOUR);
      await expectTtl(store, 'updated', 20 * HOUR);
      expect(await store.ttl('endless')).toBeNull();
    });

    it('the extra write happens only once a tenth of the ttl has passed', async () => {
      const store = await stage.open({ ttl: '10h', sliding: true });
      await store.put('key', 1);
      await stage.pass(50 * MINUTE);
      await store.get('key');
      await expectTtl(store, 'key', 10 * HOUR - 50 * MINUTE);
      await stage.pass(20 * MINUTE);
      await store.get('key');
      await expectTtl(store, 'key', 10 * HOUR);
    });

    it('getOrPut slides as get does; nothing else does', async () => {
      const store = await stage.open({ ttl: '1h', sliding: true });
      await store.put('key', 1, { tags: ['user:42'] });
      await stage.pass(30 * MINUTE);
      await store.getMany(['key']);
      await store.has('key');
      await store.ttl('key');
      await store.keys({ tag: 'user:42' });
      for await (const entry of store.entries()) void entry;
      await store.update('key', () => 2);
      await store.replace('key', 3);
      await expectTtl(store, 'key', 30 * MINUTE);
      expect(await store.getOrPut('key', () => 4)).toBe(3);
      await expectTtl(store, 'key', HOUR);
    });

    it('a get never takes back what a touch gives at the same moment', async () => {
      const store = await stage.open({ ttl: '1h', sliding: true });
      for (let steps = 0; steps < 5; steps++) {
        await store.put('key', 1);
        await store.touch('key', '50m');
        const read = store.get('key'); // which extends it
        for (let i = 0; i < steps; i++) await store.has('another');
        expect(await store.touch('key', '24h')).toBe(true);
        expect(await read).toBe(1);
        await expectTtl(store, 'key', 24 * HOUR);
      }
    });

    it('a get never shortens what a touch has given', async () => {
      const store = await stage.open({ ttl: '1h', sliding: true });
      await store.put('key', 1);
      await store.touch('key', '5h');
      await store.get('key');
      await expectTtl(store, 'key', 5 * HOUR);
    });

    it('a get that finds nothing, or the end of a record, brings nothing back', async () => {
      const store = await stage.open({ ttl: '1h', sliding: true });
      expect(await store.get('key')).toBeUndefined();
      await store.put('key', 1);
      await stage.pass(30 * MINUTE);
      const read = store.get('key');
      await store.delete('key');
      await read;
      expect(await store.has('key')).toBe(false);
    });

    const extensions: [string, (store: RedisCacheStore) => Promise<unknown>][] = [
      ['get', (s) => s.get('key')],
      ['get with touch', (s) => s.get('key', { touch: '9h' })],
      ['touch', (s) => s.touch('key', '9h')],
      ['replace', (s) => s.replace('key', 2)],
      ['replace with a ttl', (s) => s.replace('key', 2, { ttl: '9h' })],
      ['replace without end', (s) => s.replace('key', 2, { ttl: null })],
      ['replace with tags', (s) => s.replace('key', 2, { tags: ['user:7'] })],
      ['update', (s) => s.update('key', () => 2)],
      ['getOrPut', (s) => s.getOrPut('key', () => 3)],
    ];

    it.each(extensions)('%s extends no record beyond maxAge after its creation', async (_, extend) => {
      const store = await stage.open({ ttl: '1h', sliding: true, maxAge: '2h' });
      await store.put('key', 1, { tags: ['user:42'] });
      for (let age = 45 * MINUTE; age < 2 * HOUR; age += 15 * MINUTE) {
        await stage.pass(age === 45 * MINUTE ? age : 15 * MINUTE);
        await store.get('key'); // keeps it alive
        await extend(store);
        expect(await store.ttl('key')).toBeLessThanOrEqual(2 * HOUR - age);
      }
      await stage.pass(15 * MINUTE - SECONDS); // it has been a few more ms
      expect(await store.has('key')).toBe(true);
      await extend(store);
      await stage.pass(SECONDS);
      expect(await store.get('key')).toBeUndefined();
    });

    it.each(extensions)(
      '%s extends no record beyond maxAge in a store that does not slide either',
      async (_, extend) => {
        const store = await stage.open({ ttl: '90m', maxAge: '2h' });
        await store.put('key', 1);
        await stage.pass(80 * MINUTE);
        await extend(store);
        expect(await store.ttl('key')).toBeLessThanOrEqual(40 * MINUTE);
      },
    );

    it('maxAge caps every ttl, and that of records that would never expire', async () => {
      const store = await stage.open({ ttl: '1h', maxAge: '2h' });
      await store.put('long', 1, { ttl: '9h' });
      await store.put('endless', 1, { ttl: null });
      await store.putIfAbsent('absent', 1, { ttl: null });
      await store.putMany([['many', 1]], { ttl: null });
      await store.getOrPut('loaded', () => 1, { ttl: null });
      await store.put('short', 1);
      await expectTtl(store, 'short', HOUR);
      for (const key of ['long', 'endless', 'absent', 'many', 'loaded']) await expectTtl(store, key, 2 * HOUR);
      const endless = await stage.open({ maxAge: '3h' });
      await endless.put('key', 1);
      await expectTtl(endless, 'key', 3 * HOUR);
    });

    it('put begins a new record, with a new age', async () => {
      const store = await stage.open({ ttl: '1h', maxAge: '2h' });
      await store.put('key', 1);
      await stage.pass(50 * MINUTE);
      await store.put('key', 2);
      await stage.pass(50 * MINUTE);
      await store.touch('key', '9h');
      await expectTtl(store, 'key', 70 * MINUTE);
    });
  });
}
