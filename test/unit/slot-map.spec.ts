import { readSlots, slotOf, slotOfKey } from '../../lib/connection/topology/slot-map.js';
import { RedisServer } from '../support/redis-server.js';

describe('the slot of a key', () => {
  let node: RedisServer;
  beforeAll(async () => (node = await RedisServer.start({ args: ['--cluster-enabled', 'yes'] })));
  afterAll(() => node?.stop());

  it.each(['', 'key', '{a}b', 'a{b}c{d}', '{}a', '{', '}{', 'a{}b{c}', '{a', 'ключ', '\u{1f600}', 'x'.repeat(5000)])(
    'is the one that Redis says: %s',
    async (key) => {
      const slot = await node.cli('CLUSTER', 'KEYSLOT', key);
      expect(slotOfKey(key)).toBe(slot);
      expect(slotOfKey(Buffer.from(key))).toBe(slot);
      expect(slotOf(['get', key])).toBe(slot);
      expect(slotOf(['evalsha', 'digest', '1', key, 'argument'])).toBe(slot);
    },
  );

  it('is none for a command without a key', () => {
    expect(slotOf(['ping'])).toBeUndefined();
    expect(slotOf(['scan', '0', 'MATCH', '*'])).toBeUndefined();
  });
});

describe('a reply of CLUSTER SLOTS', () => {
  const asked = { host: 'asked', port: 1 };
  const read = (host: Buffer | null, ...metadata: string[]) =>
    readSlots([[0, 5, [host, 7000, Buffer.from('id'), metadata.map((text) => Buffer.from(text))]]], asked)[0]?.owner;

  it('names hosts by address or name', () => {
    expect(read(Buffer.from('10.0.0.1'))).toEqual({ host: '10.0.0.1', port: 7000 });
    expect(read(Buffer.from('node.internal'), 'ip', '10.0.0.1')).toEqual({ host: 'node.internal', port: 7000 });
  });

  it('means the node that was asked by an empty host, and by none', () => {
    expect(read(Buffer.from(''))).toEqual({ host: 'asked', port: 7000 });
    expect(read(null)).toEqual({ host: 'asked', port: 7000 });
  });

  it('has the address among the further data where the host name is not known yet', () => {
    expect(read(Buffer.from('?'), 'ip', '10.0.0.1')).toEqual({ host: '10.0.0.1', port: 7000 });
  });

  it('is none where nobody knows the address any more, which Redis says with port 0', () => {
    expect(readSlots([[0, 5, [Buffer.from(''), 0, Buffer.from('id'), []]]], asked)).toEqual([]);
  });
});
