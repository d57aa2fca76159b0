import type { Session } from 'nestjs-redis-cache-store/auth';
import * as timers from '../../lib/redis-cache.timers.js';

/** By so much the clock of the package is ahead, in ms. */
let ahead = 0;
/** As Jest has it for ES modules; @types/jest lacks it. */
const jest = import.meta.jest as ImportMeta['jest'] & { unstable_mockModule(path: string, make: () => object): void };
const real = { ...timers };
jest.unstable_mockModule('../../lib/redis-cache.timers.js', () => ({ ...real, now: () => real.now() + ahead }));
const { jsonSerializer } = await import('nestjs-redis-cache-store');
const { RecordCodec } = await import('../../lib/record/codec.js');
const { GuardStage } = await import('./guard-stage.js');

const MINUTE = 60_000;

describe('Of records that cannot be read, one line a minute', () => {
  beforeEach(() => (ahead = 0));

  it('is logged by the guard', async () => {
    const stage = await GuardStage.start();
    try {
      await stage.open();
      await stage.listen();
      const token = await stage.login();
      const { id } = (await stage.sessions.list('ann'))[0] as Session;
      await stage.server.cli('SET', `session:${id}`, 'no record');
      const lines = async () => {
        expect((await stage.http.get('/me').set('Authorization', `Bearer ${token}`)).status).toBe(401);
        return stage.errors.filter((line) => line.includes('a session cannot be read')).length;
      };
      expect([await lines(), await lines()]).toEqual([1, 1]);
      ahead = MINUTE;
      expect([await lines(), await lines()]).toEqual([2, 2]);
    } finally {
      await stage.close();
      await stage.stop();
    }
  });

  it('is logged by a store that takes them for absent', async () => {
    const warnings: string[] = [];
    const warn = (message: string) => void warnings.push(message);
    const options = { namespace: 'session', onCorrupt: 'miss', serializer: jsonSerializer } as const;
    const places = { isReadable: true, recordKey: (id: string) => `session:${id}` };
    const codec = new RecordCodec({ ...options, maxBytes: 1000, timeout: 1000, warn }, places, undefined);
    const lines = async () => {
      expect(await codec.decode('id', Buffer.from('no record'))).toBeUndefined();
      return warnings.length;
    };
    expect([await lines(), await lines()]).toEqual([1, 1]);
    ahead = MINUTE;
    expect([await lines(), await lines()]).toEqual([2, 2]);
  });
});
