import { inspect } from 'node:util';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type } from 'arktype';
import { CacheArgumentError, CacheCorruptError, jsonSerializer } from 'nestjs-redis-cache-store';
import type { CacheStoreOf } from 'nestjs-redis-cache-store';
import * as v from 'valibot';
import { z } from 'zod';
import type { Stage } from '../support/stage.js';
import { HOUR } from './auth-contract.js';

interface Input {
  userId: number;
  role?: string | undefined;
  since: string;
}

interface Output {
  userId: number;
  role: string;
  since: Date;
}

type SessionSchema = StandardSchemaV1<Input, Output>;

/** The same session in three dialects: a default, and a text that is read as a Date. */
const SCHEMAS: [string, SessionSchema][] = [
  [
    'zod',
    z.object({
      userId: z.number(),
      role: z.string().default('guest'),
      since: z.string().transform((text) => new Date(text)),
    }),
  ],
  [
    'valibot',
    v.object({
      userId: v.number(),
      role: v.optional(v.string(), 'guest'),
      since: v.pipe(
        v.string(),
        v.transform((text) => new Date(text)),
      ),
    }),
  ],
  [
    'arktype',
    type({ userId: 'number', role: "string = 'guest'", since: ['string', '=>', (text: string) => new Date(text)] }),
  ],
];

const NOON = '2026-11-22T12:00:00.000Z';
const input: Input = { userId: 42, since: NOON };
const output: Output = { userId: 42, role: 'guest', since: new Date(NOON) };
const SECRET = 'hunter2';

/** What `schema` and `onCorrupt` promise. */
export function describeSchemas(open: () => Promise<Stage>): void {
  describe('schema and onCorrupt', () => {
    let stage: Stage;
    beforeAll(async () => (stage = await open()));
    afterEach(() => stage.clean());

    it('a value that a schema makes undefined is refused, and a record that it does is corrupt, and not absent', async () => {
      let least = 1;
      const schema = z.number().transform((n) => (n > least ? n : undefined));
      const odd = await stage.open({ schema });
      const writes = [() => odd.put('key', 1), () => odd.putMany([['key', 1]]), () => odd.getOrPut('key', () => 1)];
      for (const write of writes) await expect(write()).rejects.toThrow('the schema makes it undefined');
      expect(await odd.has('key')).toBe(false);
      least = 0;
      await odd.put('key', 1);
      least = 1;
      expect(await odd.has('key')).toBe(true);
      await expect(odd.get('key')).rejects.toThrow(CacheCorruptError);
      await expect(odd.getOrPut('key', () => 2)).rejects.toThrow(CacheCorruptError);
    });

    it('what is checked is stored, whatever becomes of the value meanwhile', async () => {
      const checked = await stage.open({ schema: z.object({ n: z.number() }) });
      const value: { n: unknown } = { n: 1 };
      const written = checked.put('key', value);
      value.n = 'bad';
      await written;
      expect(await checked.get('key')).toEqual({ n: 1 });
    });

    describe.each(SCHEMAS)('with %s', (_, schema) => {
      let store: CacheStoreOf<SessionSchema>;
      beforeEach(async () => (store = await stage.open({ namespace: 'session', ttl: '1h', schema })));
      afterEach(() => store.clear());

      it('stores what goes in, and reads what comes out', async () => {
        await store.put('key', input);
        const session: Output | undefined = await store.get('key');
        expect(session).toEqual(output);
        expect(await store.getMany(['key', 'absent'])).toEqual([output, undefined]);
        for await (const entry of store.entries()) expect(entry).toEqual(['key', output]);
        const stored = await stage.open({ namespace: 'session' });
        if (stage.servers.length > 0) expect(await stored.get('key')).toEqual(input);
        expect(await store.take('key')).toEqual(output);
      });

      it('update is given what comes out, and takes what goes in', async () => {
        await store.put('key', input);
        const updated = await store.update('key', ({ since, ...rest }: Output) => ({
          ...rest,
          role: 'admin',
          since: since.toISOString(),
        }));
        expect(updated).toEqual({ ...output, role: 'admin' });
        expect(await store.get('key')).toEqual(updated);
      });

      it.each<[string, (bad: Input) => Promise<unknown>]>([
        ['put', (bad) => store.put('key', bad)],
        [
          'putMany',
          (bad) =>
            store.putMany([
              ['another', input],
              ['key', bad],
            ]),
        ],
        ['putIfAbsent', (bad) => store.putIfAbsent('key', bad)],
        ['replace', (bad) => store.replace('present', bad)],
        ['update', (bad) => store.update('present', () => bad)],
        ['getOrPut', (bad) => (store as CacheStoreOf<StandardSchemaV1>).getOrPut('key', () => bad)],
      ])(
        '%s refuses what does not match with a CacheArgumentError that has the issues, and not the value',
        async (__, write) => {
          await store.put('present', input);
          const bad = { userId: SECRET, since: NOON } as unknown as Input;
          const error: unknown = await write(bad).then(
            () => undefined,
            (reason: unknown) => reason,
          );
          if (!(error instanceof CacheArgumentError)) throw error;
          expect(error.issues).toEqual([expect.objectContaining({ message: expect.any(String) as string })]);
          expect(error.message).toContain('userId');
          expect(inspect(error, { depth: 10 })).not.toContain(SECRET);
          expect(JSON.stringify(error)).not.toContain(SECRET);
          expect(await store.keys()).toEqual(['present']);
          expect(await store.get('present')).toEqual(output);
        },
      );
    });

    describe('a record that does not match', () => {
      const [[, schema]] = SCHEMAS as [(typeof SCHEMAS)[0]];
      const options = { namespace: 'session', schema };
      // An older release of the application wrote it, without a schema. In memory it was this one, whose schema has changed.
      let isCorrupt: boolean;
      const fickle: SessionSchema = {
        '~standard': {
          ...schema['~standard'],
          validate: (value) => schema['~standard'].validate(isCorrupt ? { userId: SECRET } : value),
        },
      };

      const openWith = async (onCorrupt?: 'throw' | 'miss') => {
        isCorrupt = false;
        const store = await stage.open<CacheStoreOf<SessionSchema>>({
          ...options,
          schema: fickle,
          ttl: '1h',
          ...(onCorrupt && { onCorrupt }),
        });
        await store.put('session-id', input, { tags: ['user:42'] });
        await stage.pass(HOUR / 2);
        isCorrupt = true;
        return store;
      };

      it('is a CacheCorruptError on reading, which names the place and not the value', async () => {
        for (const onCorrupt of [undefined, 'throw'] as const) {
          const store = await openWith(onCorrupt);
          const reads: Promise<unknown>[] = [
            store.get('session-id'),
            store.getMany(['session-id']),
            store.update('session-id', () => input),
            store.getOrPut('session-id', () => input as never),
            store.entries()[Symbol.asyncIterator]().next(),
          ];
          for (const outcome of await Promise.allSettled(reads)) {
            const { reason } = outcome as PromiseRejectedResult;
            expect(reason).toBeInstanceOf(CacheCorruptError);
            expect(String(reason)).toContain('userId');
            expect(inspect(reason, { depth: 10 })).not.toMatch(/hunter2|session-id/);
          }
          expect(stage.warnings).toEqual([]);
          expect(await store.has('session-id')).toBe(true);
        }
      });

      it(`is absent with onCorrupt: 'miss', which warns without key or value and deletes nothing`, async () => {
        const store = await openWith('miss');
        expect(await store.get('session-id')).toBeUndefined();
        expect(await store.getMany(['session-id'])).toEqual([undefined]);
        expect(await store.update('session-id', () => input)).toBeUndefined();
        for await (const entry of store.entries()) expect(entry).toBeUndefined();
        expect(stage.warnings).toHaveLength(1); // of four reads: one a minute is enough
        expect(stage.warnings.join()).toContain('"session"');
        expect(stage.warnings.join()).not.toMatch(/hunter2|session-id|42/);
        expect(await store.has('session-id')).toBe(true);
        expect(await store.ttl('session-id')).toBeLessThanOrEqual(HOUR / 2);
        isCorrupt = false;
        expect(await store.get('session-id')).toEqual(output);
      });

      it('can be deleted, found by its tag and signed out all the same', async () => {
        const store = await openWith();
        expect(await store.keys({ tag: 'user:42' })).toEqual(['session-id']);
        expect(await store.deleteByTag('user:42')).toBe(1);
        isCorrupt = false;
        expect(await store.get('session-id')).toBeUndefined();
      });

      it('is extended by no sliding read', async () => {
        const store = await openWith('miss');
        const sliding = await stage.open({ ...options, schema: fickle, ttl: '1h', sliding: true, onCorrupt: 'miss' });
        await sliding.get('session-id');
        expect(await store.ttl('session-id')).toBeLessThanOrEqual(HOUR / 2);
      });
    });

    it('a value that the schema would refuse when it comes back is refused by put', async () => {
      class Money {
        amount = 1;
      }
      const dated = z.object({ at: z.date() });
      const json = await stage.open<CacheStoreOf<typeof dated>>({ schema: dated, serializer: jsonSerializer });
      const priced = z.object({ price: z.instanceof(Money) });
      const store = await stage.open<CacheStoreOf<typeof priced>>({ schema: priced });
      const writes = [
        () => json.put('key', { at: new Date() }),
        () => json.putIfAbsent('key', { at: new Date() }),
        () => json.putMany([['key', { at: new Date() }]]),
        () => json.getOrPut('key', () => ({ at: new Date() })),
        () => store.put('key', { price: new Money() }),
      ];
      for (const write of writes) await expect(write()).rejects.toThrow(CacheArgumentError);
      expect([await json.has('key'), await store.has('key')]).toEqual([false, false]);
    });

    it('a schema may take its time, and its own failure comes through as it is', async () => {
      const patient = z.object({ name: z.string().refine(async (text) => text !== 'taken') });
      const store = await stage.open<CacheStoreOf<typeof patient>>({ schema: patient });
      await store.put('key', { name: 'free' });
      expect(await store.get('key')).toEqual({ name: 'free' });
      await expect(store.put('key', { name: 'taken' })).rejects.toThrow(CacheArgumentError);
    });
  });
}
