import { ReadBatcher } from '../../lib/backend/read-batcher.js';
import type { Fetched } from '../../lib/backend/read-batcher.js';

const SOON = 1000;
type Bytes = Buffer | undefined;
const copyOf = (bytes: Bytes) => bytes && Buffer.from(bytes);

describe('ReadBatcher', () => {
  let fetches: { keys: readonly string[]; deadline: number }[];
  let answer: (key: string) => Fetched;
  let batcher: ReadBatcher;

  beforeEach(() => {
    fetches = [];
    answer = (key) => Buffer.from(`value of ${key}`);
    batcher = new ReadBatcher<Bytes>((keys, deadline) => {
      fetches.push({ keys, deadline });
      return Promise.resolve(keys.map(answer));
    }, copyOf);
  });

  const get = (...keys: string[]) => Promise.all(keys.map((key) => batcher.get(key, SOON)));
  const settle = (...keys: string[]) => Promise.allSettled(keys.map((key) => batcher.get(key, SOON)));

  const sizes = () => fetches.map((fetch) => fetch.keys.length);

  it('fetches what is asked for in one turn of the event loop at once, and gives each caller its own', async () => {
    const found = await get('a', 'b', 'c');
    expect(found.map(String)).toEqual(['value of a', 'value of b', 'value of c']);
    expect(fetches).toEqual([{ keys: ['a', 'b', 'c'], deadline: SOON }]);
  });

  it('fetches again what is asked for later, also while the earlier fetch is on its way', async () => {
    let reply: (found: Fetched[]) => void = () => undefined;
    const slow = new ReadBatcher<Bytes>(
      (keys) =>
        new Promise((resolve) => {
          fetches.push({ keys, deadline: SOON });
          reply = resolve;
        }),
      copyOf,
    );
    const first = slow.get('a', SOON);
    await new Promise(setImmediate);
    const replyFirst = reply;
    const second = slow.get('a', SOON);
    await new Promise(setImmediate);
    expect(fetches.map(({ keys }) => keys)).toEqual([['a'], ['a']]);
    reply([Buffer.from('new')]);
    replyFirst([Buffer.from('old')]);
    expect([await first, await second].map(String)).toEqual(['old', 'new']);
  });

  it('fetches equal keys once, and gives each caller bytes of its own', async () => {
    const [first, second, other, third] = await get('a', 'a', 'b', 'a');
    expect(fetches.map(({ keys }) => keys)).toEqual([['a', 'b']]);
    first?.fill(0);
    third?.fill(0);
    expect([String(second), String(other)]).toEqual(['value of a', 'value of b']);
  });

  it('tells every caller of an absent key so', async () => {
    answer = () => undefined;
    expect(await get('a', 'a', 'b')).toEqual([undefined, undefined, undefined]);
  });

  it('an error of one key reaches the callers of that key, and nobody else', async () => {
    answer = (key) => (key === 'bad' ? Promise.reject(new Error('WRONGTYPE')) : Buffer.from(key));
    const found = await settle('a', 'bad', 'b', 'bad');
    expect(found.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected']);
  });

  it('waits for a slow key only on behalf of its own callers', async () => {
    answer = (key) => (key === 'slow' ? new Promise<undefined>(() => undefined) : Buffer.from(key));
    void batcher.get('slow', SOON);
    expect(String(await batcher.get('a', SOON))).toBe('a');
  });

  it('an error of the whole fetch reaches every caller, and the next batch is a new one', async () => {
    const reason = new Error('disconnected');
    let fails = true;
    batcher = new ReadBatcher<Bytes>(
      (keys) => (fails ? Promise.reject(reason) : Promise.resolve(keys.map(answer))),
      copyOf,
    );
    const found = await settle('a', 'a', 'b');
    expect(found).toEqual(Array.from({ length: 3 }, () => ({ status: 'rejected', reason })));
    fails = false;
    expect(String(await batcher.get('a', SOON))).toBe('value of a');
  });

  it('fetches at most 256 keys at once', async () => {
    const keys = Array.from({ length: 600 }, (_, i) => `${i}`);
    const found = await get(...keys);
    expect(found.map(String)).toEqual(keys.map((key) => `value of ${key}`));
    expect(sizes()).toEqual([256, 256, 88]);
  });

  it('fetches in parts what callers ask for as soon as they are answered, each as large as what is on its way', async () => {
    const keys = Array.from({ length: 200 }, (_, i) => `${i}`);
    const twice = async (key: string) => [await batcher.get(key, SOON), await batcher.get(key, SOON)];
    await Promise.all(keys.map(twice));
    expect(sizes()).toEqual([200, 32, 32, 64, 72]);
  });

  it('lets the read of a caller who was alone before leave before the turn ends, with all that was asked for until then', async () => {
    const immediate = new Promise(setImmediate);
    await get('a');
    await immediate;
    const late = new Promise((resolve) => setImmediate(() => resolve(sizes())));
    const found = get('b', 'c', 'd');
    expect(await late).toEqual([1, 3]);
    expect((await found).map(String)).toEqual(['value of b', 'value of c', 'value of d']);
    const later = new Promise((resolve) => setImmediate(() => resolve(sizes())));
    const more = get('e');
    expect(await later).toEqual([1, 3]); // those were three
    await more;
  });

  it('does not let callers who come one by one leave alone: while one is on its way, the others wait for each other', async () => {
    batcher = new ReadBatcher<Bytes>((keys, deadline) => {
      fetches.push({ keys, deadline });
      return keys.map(async (key) => {
        await new Promise(setImmediate);
        await new Promise(setImmediate);
        return Buffer.from(key);
      });
    }, copyOf);
    await get('a');
    const found: Promise<unknown>[] = [];
    for (const key of ['b', 'c', 'd', 'e']) {
      found.push(get(key));
      await new Promise<void>((resolve) => process.nextTick(resolve)); // as between the events of several sockets
    }
    await Promise.all(found);
    expect(fetches.map(({ keys }) => keys)).toEqual([['a'], ['b'], ['c', 'd', 'e']]);
  });

  it('what was refused is on its way no longer', async () => {
    batcher = new ReadBatcher<Bytes>((keys) => {
      fetches.push({ keys, deadline: SOON });
      return Promise.reject(new Error('disconnected'));
    }, copyOf);
    await settle('a');
    const late = new Promise((resolve) => setImmediate(() => resolve(sizes())));
    void settle('b');
    expect(await late).toEqual([1, 1]);
  });

  it('lets no caller wait beyond its deadline because of another one', async () => {
    await Promise.all([batcher.get('a', 1000), batcher.get('b', 1004), batcher.get('c', 2000), batcher.get('d', 500)]);
    expect(fetches).toEqual([
      { keys: ['a', 'b'], deadline: 1000 },
      { keys: ['c'], deadline: 2000 },
      { keys: ['d'], deadline: 500 },
    ]);
  });
});
