import { type } from 'arktype';
import {
  CacheArgumentError,
  CacheConfigError,
  CacheCorruptError,
  type CacheStoreBehavior,
  CacheUnavailableError,
  RedisCacheError,
  type RedisCacheModuleOptions,
  type RedisCacheStore,
} from 'nestjs-redis-cache-store';
import * as v from 'valibot';
import { z } from 'zod';
import { freePort } from '../../scripts/processes.mjs';
import { expectSecret, KEY, MASTER_KEY, PASSWORD, sightings, TAG, VALUE } from '../support/canaries.js';
import { eventually } from '../support/eventually.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer } from '../support/redis-server.js';
import { WatchedApps } from '../support/watched-apps.js';

const LOGIN = `:${encodeURIComponent(PASSWORD)}@`;

describe('no refusal shows what was refused', () => {
  let apps: WatchedApps;
  let server: RedisServer;
  beforeAll(async () => (server = await RedisServer.start()));
  beforeEach(() => (apps = new WatchedApps({ url: server.url, namespace: 'session' })));
  afterEach(async () => {
    await apps.end();
    await server.cli('FLUSHALL');
  });
  afterAll(() => server?.stop());

  async function expectRefused(kind: abstract new (...args: never[]) => Error, call: Promise<unknown>): Promise<Error> {
    const error = await reasonOf(call);
    expect(error).toBeInstanceOf(kind);
    expectSecret(error);
    return error as Error;
  }

  describe('of a boot', () => {
    const host = (login = LOGIN) => server.url.replace('//', `//${login}`);
    const boots: [string, () => RedisCacheModuleOptions][] = [
      ['a password where none is needed', () => ({ url: host() })],
      ['an unknown user', () => ({ url: host(`nobody${LOGIN}`) })],
      ['an unknown user of a Cluster', () => ({ url: host(`nobody${LOGIN}`).replace('redis:', 'redis-cluster:') })],
      ['an unknown user among the options', () => ({ redis: { username: 'nobody', password: PASSWORD } })],
      [
        'an unknown database',
        () => ({ url: `${server.url}/4711`, redis: { username: 'default', password: PASSWORD } }),
      ],
      ['a url with spaces and a password', () => ({ url: `redis://${LOGIN}local host` })],
      ['a url of another kind', () => ({ url: `http://${LOGIN}localhost` })],
      ['a url with an unescaped password', () => ({ url: `redis://:${PASSWORD}%zz@localhost` })],
      ['a url whose password became the port', () => ({ url: `redis://localhost:${PASSWORD}` })],
      ['a url whose password became the database', () => ({ url: `redis://localhost/${PASSWORD}` })],
      ['a url with a password among its parameters', () => ({ url: `redis://localhost?password=${PASSWORD}` })],
      ['a url whose parameter has a password for a name', () => ({ url: `redis://localhost?${PASSWORD}=1` })],
      ['a password as the url', () => ({ url: PASSWORD })],
      ['a password as the namespace', () => ({ namespace: PASSWORD })],
      ['a password as a duration', () => ({ ttl: PASSWORD })],
      ['a password as an encryption key', () => ({ encryption: { keys: [PASSWORD] } })],
      ['a key as the whole of encryption', () => ({ encryption: MASTER_KEY.toString('hex') as never })],
      ['keys that are no list', () => ({ encryption: { keys: MASTER_KEY as never } })],
      ['a key that is too short', () => ({ encryption: { keys: [MASTER_KEY.subarray(1)] } })],
      ['a key with a line break', () => ({ encryption: { keys: [`${MASTER_KEY.toString('base64')}\n`] } })],
    ];
    it.each(boots)('%s', async (_, options) => {
      const unused = { ...options(), startupTimeout: 3000 };
      await expectRefused(CacheConfigError, apps.boot(unused));
    });

    it('a server that is not there', async () => {
      const url = `redis://${LOGIN}127.0.0.1:${await freePort()}`;
      await expectRefused(RedisCacheError, apps.boot({ url, startupTimeout: 300 }));
    });

    it('a server that speaks no TLS', async () => {
      await expectRefused(
        RedisCacheError,
        apps.boot({ url: host().replace('redis:', 'rediss:'), startupTimeout: 2000 }),
      );
    });
  });

  describe('of an argument', () => {
    const long = `${KEY}${'x'.repeat(512)}`;
    const calls: [string, (store: RedisCacheStore) => Promise<unknown>][] = [
      ['a key that is too long', (store) => store.get(long)],
      ['a key that is no text', (store) => store.get({ id: KEY } as never)],
      ['a key with a lone surrogate', (store) => store.put(`${KEY}\ud800`, VALUE)],
      ['one bad key among many', (store) => store.putMany([[KEY, VALUE] as const, [long, VALUE] as const])],
      ['a tag that is too long', (store) => store.put(KEY, VALUE, { tags: [TAG, TAG + long] })],
      ['tags that are no list', (store) => store.put(KEY, VALUE, { tags: TAG as never })],
      ['too many tags', (store) => store.put(KEY, 1, { tags: Array.from({ length: 65 }, (_, i) => `${TAG}${i}`) })],
      ['a ttl that is none', (store) => store.put(KEY, VALUE, { ttl: VALUE })],
      ['a prefix that is no text', (store) => store.keys({ prefix: [KEY] as never })],
      ['a function in a value', (store) => store.put(KEY, { [VALUE]: () => VALUE })],
      ['a symbol in a value', (store) => store.put(KEY, [VALUE, Symbol(VALUE)])],
      ['a value that throws when it is looked at', (store) => store.put(KEY, { toJSON: () => quote(VALUE) })],
      ['a value that is too large', (store) => store.put(KEY, VALUE.repeat(100))],
      ['a change into nothing', (store) => store.put(KEY, VALUE).then(() => store.update(KEY, () => undefined))],
    ];
    it.each(calls)('%s', async (_, call) => {
      for (const options of [{}, { encryption: { keys: [MASTER_KEY] }, hashKeys: true }]) {
        const store = await apps.open({ ...options, namespace: `n${Object.keys(options).length}`, maxBytes: 1000 });
        await expectRefused(CacheArgumentError, call(store));
      }
    });
  });

  describe('of a serializer whose errors quote the value', () => {
    const quoting: CacheStoreBehavior['serializer'] = {
      serialize: (value) => quote(JSON.stringify(value)),
      deserialize: (bytes) => quote(Buffer.from(bytes).toString('latin1')),
    };

    it('on writing and on reading', async () => {
      const store = await apps.open({ serializer: quoting });
      await (await apps.open({})).put(KEY, { secret: VALUE });
      const error = await expectRefused(CacheArgumentError, store.put(KEY, { secret: VALUE }));
      expect(error.message).toContain('QuotingError'); // its kind is told
      await expectRefused(CacheArgumentError, store.putMany([[KEY, VALUE]]));
      await expectRefused(
        CacheArgumentError,
        store.getOrPut('other', () => VALUE),
      );
      await expectRefused(CacheCorruptError, store.get(KEY));
      await expectRefused(
        CacheCorruptError,
        store.update(KEY, () => VALUE),
      );
      await expectRefused(CacheCorruptError, store.take(KEY));
    });
  });

  describe('of a function that gives keys', () => {
    it('and whose error quotes one', async () => {
      let asked = 0;
      const other = MASTER_KEY.toReversed();
      await (await apps.open({ encryption: { keys: [MASTER_KEY] } })).put(KEY, VALUE);
      const encryption = () => (asked++ === 0 ? { keys: [other] } : quote(MASTER_KEY.toString('hex')));
      const store = await apps.open({ encryption });
      await eventually(async () => {
        expectSecret(await reasonOf(store.get(KEY)));
        expect(asked).toBe(2);
      });
      await expectRefused(CacheUnavailableError, store.get(KEY));
      expect(apps.witness.seen.map(([, what]) => what).join()).toContain('gave no new keys (QuotingError)');
    });
  });

  describe('of a schema whose messages quote the value', () => {
    const message = (input: unknown) => `not ${JSON.stringify(input)}`;
    const dialects: [string, NonNullable<CacheStoreBehavior['schema']>][] = [
      ['zod', z.object({ name: z.string().refine((text) => text === 'me', { error: ({ input }) => message(input) }) })],
      ['valibot', v.object({ name: v.literal('me', ({ input }) => message(input)) })],
      ['arktype', type({ name: "'me'" })],
    ];
    describe.each(dialects)('%s', (_, schema) => {
      const bad = { name: VALUE };

      it('on writing: the caller may ask for the issues, nobody sees them by accident', async () => {
        const store = await apps.open({ schema });
        const writes = [
          () => store.put(KEY, bad),
          () => store.putIfAbsent(KEY, bad),
          () => store.replace(KEY, bad),
          () => store.getOrPut(KEY, () => bad),
        ];
        for (const write of writes) {
          const { issues, ...shown } = (await expectRefused(CacheArgumentError, write())) as CacheArgumentError;
          expect(shown).not.toHaveProperty('issues');
          expect(sightings(issues?.[0]?.message ?? '')).not.toEqual([]); // so it really quotes
          expect(issues?.map((issue) => Object.keys(issue))).toEqual([['message', 'path']]);
        }
      });

      it('on reading: names the place, and no more', async () => {
        await (await apps.open({})).put(KEY, bad, { tags: [TAG] });
        const store = await apps.open({ schema });
        const reads = [
          () => store.get(KEY),
          () => store.getMany([KEY]),
          () => store.update(KEY, () => bad),
          () => store.take(KEY),
        ];
        for (const read of reads) {
          const error = await expectRefused(CacheCorruptError, read());
          expect(error.message).toContain('at "name"');
        }
      });

      it(`on reading with onCorrupt: 'miss'`, async () => {
        await (await apps.open({})).put(KEY, bad);
        const store = await apps.open({ schema, onCorrupt: 'miss' });
        expect(await store.get(KEY)).toBeUndefined();
        expect(apps.witness.seen.map(([, what]) => what).join()).toContain('counts as absent');
      });
    });

    const maps: [string, NonNullable<CacheStoreBehavior['schema']>][] = [
      ['zod', z.record(z.string(), z.object({ age: z.number() }))],
      ['valibot', v.record(v.string(), v.object({ age: v.number() }))],
      ['arktype', type({ '[string]': { age: 'number' } })],
    ];
    it.each(maps)('where the names of properties are data: %s', async (_, schema) => {
      const store = await apps.open({ schema });
      for (const name of [VALUE, 'canary@example.com', 'b2a7e9d0-5f0b', '+49 170 1234567']) {
        const error = await expectRefused(CacheArgumentError, store.put(KEY, { [name]: { age: VALUE } }));
        expect(error.message).toContain('at "….age"');
      }
    });
  });
});

class QuotingError extends Error {
  override readonly name = 'QuotingError';
}

function quote(text: string): never {
  throw new QuotingError(`cannot take ${text}`, { cause: { text } });
}
