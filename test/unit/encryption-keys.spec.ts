import { inspect } from 'node:util';
import { CacheConfigError } from 'nestjs-redis-cache-store';
import { reasonOf } from '../support/reason-of.js';
import { Shelf } from '../support/sealed-store.js';

describe('encryption keys', () => {
  let shelf: Shelf;
  beforeEach(() => (shelf = new Shelf()));

  const key = Buffer.from(Array.from({ length: 32 }, (_, i) => 0xf0 ^ (i * 37)));

  it('may be bytes, base64, base64url or hex: all the same key', async () => {
    const forms = [key, new Uint8Array(key), key.toString('base64'), key.toString('base64url'), key.toString('hex')];
    const [first] = forms;
    const store = await shelf.open({ encryption: { keys: [first ?? ''] } });
    await store.put('key', 1);
    for (const form of [...forms, key.toString('hex').toUpperCase()]) {
      expect(await (await shelf.open({ encryption: () => ({ keys: [form] }) })).get('key')).toBe(1);
    }
  });

  it('count once if they are given twice: the names of keys are then clear', async () => {
    const keys = [key, key.toString('hex')];
    const store = await shelf.open({ encryption: { keys }, hashKeys: true });
    await store.put('key', 1);
    expect(await store.get('key')).toBe(1);
  });

  const bad: [string, unknown][] = [
    ['31 bytes', key.subarray(1)],
    ['33 bytes', Buffer.concat([key, Buffer.of(1)])],
    ['16 bytes', key.subarray(16)],
    ['no bytes', Buffer.of()],
    ['31 bytes in base64', key.subarray(1).toString('base64')],
    ['33 bytes in base64', Buffer.concat([key, Buffer.of(1)]).toString('base64')],
    ['31 bytes in hex', key.subarray(1).toString('hex')],
    ['hex with a letter too much', `${key.toString('hex')}a`],
    ['a passphrase', 'correct horse battery staple'],
    ['a passphrase of 32 characters', 'correct horse battery staple 123'],
    ['a passphrase of 64 characters', 'correct horse battery staple 123'.repeat(2)],
    ['an empty text', ''],
    ['a missing environment variable', undefined],
    ['null', null],
    ['a number', 1234567890],
    ['an array of bytes', [...key]],
    ['an object', { key: key.toString('hex') }],
  ];

  async function expectRefused(option: string, encryption: unknown, hidden: string[] = []): Promise<void> {
    for (const source of [encryption, () => encryption, () => Promise.resolve(encryption)]) {
      const error = await reasonOf(shelf.open({ encryption: source } as Parameters<Shelf['open']>[0]));
      expect(error).toBeInstanceOf(CacheConfigError);
      expect(error).toMatchObject({ option });
      const shown = inspect(error, { depth: null, showHidden: true }) + JSON.stringify(error);
      for (const secret of hidden) expect(shown).not.toContain(secret);
    }
  }

  it.each(bad)('may not be %s: CacheConfigError, which does not show it', async (_, wrong) => {
    const shown =
      typeof wrong === 'string' && wrong !== ''
        ? [wrong, wrong.slice(4, 24)]
        : ['1234567890', 'd5 ba', '240,213', 'd5ba'];
    await expectRefused('encryption.keys[0]', { keys: [wrong] }, shown);
    await expectRefused('encryption.keys[1]', { keys: [key, wrong] }, shown);
    if (wrong !== undefined) await expectRefused('encryption.hashKey', { keys: [key], hashKey: wrong }, shown);
  });

  it.each([[[]], [key], [key.toString('hex')], [undefined], [null], [{ 0: key, length: 1 }], [42]])(
    'must be a list with at least one (%#)',
    async (keys) => {
      await expectRefused('encryption.keys', { keys }, [key.toString('hex'), 'f0 d5', '240,213']);
    },
  );

  it.each([[{}], [[]]])('must be there at all (%#)', async (options) => {
    await expectRefused('encryption.keys', options);
  });

  it('must come from the function that is to give them', async () => {
    for (const nothing of [undefined, null, 'key', 5]) {
      const open = shelf.open({ encryption: (() => nothing) as never });
      await expect(open).rejects.toMatchObject({ option: 'encryption.keys' });
    }
  });
});
