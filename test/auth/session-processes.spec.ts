import { CacheCorruptError } from 'nestjs-redis-cache-store';
import { type RedisCacheAuthOptions, Sessions } from 'nestjs-redis-cache-store/auth';
import { commandsDuring } from '../support/command-stats.js';
import { eventually } from '../support/eventually.js';
import { WorkerProcess } from '../support/worker-process.js';
import { AuthStage, concurrently, HOUR, SECRET } from './auth-stage.js';

type Tokens = typeof import('../support/workers/tokens.worker.js');

const session = { namespace: 'session', idle: '30m', absolute: '12h' };
const LIMITS = {
  none: { sessions: session },
  refuse: { sessions: { ...session, limit: { sessions: 5, when: 'refuse' } } },
  evict: { sessions: { ...session, limit: { sessions: 5, when: 'evict-oldest' } } },
} satisfies Record<string, RedisCacheAuthOptions>;

describe('sessions over two processes', () => {
  let stage: AuthStage;
  let workers: WorkerProcess<Tokens>[] = [];
  beforeAll(async () => (stage = await AuthStage.redis()));
  afterEach(async () => {
    await Promise.all(workers.splice(0).map((worker) => worker.kill()));
    await stage.clean();
    await stage.stage.server.cli('FLUSHALL');
  });
  afterAll(() => stage?.stop());

  async function start(options: RedisCacheAuthOptions): Promise<Sessions> {
    const env = { REDIS_URL: stage.stage.url, AUTH: JSON.stringify(options) };
    workers = await Promise.all([1, 2].map(() => WorkerProcess.start<Tokens>('tokens.worker', env)));
    return (await stage.open(options)).get(Sessions);
  }

  async function both<T>(run: (worker: WorkerProcess<Tokens>, at: number) => Promise<T[]>): Promise<T[]> {
    const at = Date.now() + 200;
    return (await Promise.all(workers.map((worker) => run(worker, at)))).flat();
  }

  async function live(sessions: Sessions, tokens: readonly string[]): Promise<number> {
    const found = await Promise.all(tokens.map((token) => sessions.get(token)));
    return found.filter((each) => each !== undefined).length;
  }

  it('of 200 concurrent creates exactly as many succeed as a refusing limit allows', async () => {
    const sessions = await start(LIMITS.refuse);
    const tokens = await both((worker, at) => worker.run('create', 'user:42', 100, at));
    expect(tokens).toHaveLength(5);
    expect(await live(sessions, tokens)).toBe(5);
    expect(await sessions.list('user:42')).toHaveLength(5);
  }, 60_000);

  it('of 60 concurrent creates exactly as many remain as an evicting limit allows', async () => {
    const sessions = await start(LIMITS.evict);
    const tokens = await both((worker, at) => worker.run('create', 'user:42', 30, at));
    expect(tokens).toHaveLength(60);
    expect(await live(sessions, tokens)).toBe(5);
    expect(await sessions.list('user:42')).toHaveLength(5);
  }, 60_000);

  it('of 200 concurrent regenerates of one token one wins', async () => {
    const sessions = await start(LIMITS.none);
    const { token } = await sessions.create('user:42', {});
    const tokens = await both((worker, at) => worker.run('regenerate', token, 100, at));
    expect(tokens).toHaveLength(1);
    expect(await live(sessions, tokens)).toBe(1);
    expect(await sessions.get(token)).toBeUndefined();
    expect(await sessions.list('user:42')).toHaveLength(1);
  }, 60_000);

  it('revokeAll ends what two processes are regenerating, updating and using', async () => {
    const sessions = await start(LIMITS.none);
    for (let round = 0; round < 5; round++) {
      const created = await concurrently(20, () => sessions.create('user:42', {}));
      const tokens = created.map(({ token }) => token);
      await Promise.all(workers.map((worker, i) => worker.run('churn', tokens.slice(i * 10, i * 10 + 10))));
      await new Promise((resolve) => setTimeout(resolve, 30 * round));
      await sessions.revokeAll('user:42');
      const ends = (await Promise.all(workers.map((worker) => worker.run('endChurn')))).flat();
      expect(await live(sessions, [...tokens, ...ends])).toBe(0);
      expect(await sessions.list('user:42')).toEqual([]);
    }
  }, 60_000);

  it('a process that is killed while it regenerates leaves no session twice, and none that outlives revokeAll', async () => {
    const sessions = await start(LIMITS.none);
    const created = await concurrently(20, () => sessions.create('user:42', {}));
    const [victim] = workers;
    await victim?.run(
      'churn',
      created.map(({ token }) => token),
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    await victim?.kill();
    expect((await sessions.list('user:42')).length).toBeLessThanOrEqual(20);
    await sessions.revokeAll('user:42');
    expect(await sessions.list('user:42')).toEqual([]);
    expect(
      await live(
        sessions,
        created.map(({ token }) => token),
      ),
    ).toBe(0);
  }, 60_000);

  it('the read of a guard is one get of the store, and a malformed token none', async () => {
    const sessions = (await stage.open(LIMITS.none)).get(Sessions);
    const { token } = await sessions.create('user:42', {});
    await sessions.get(token);
    expect(await commandsDuring(stage.stage.server, () => sessions.get(token))).toEqual({ getrange: 1 });
    expect(await commandsDuring(stage.stage.server, () => sessions.get('malformed'))).toEqual({});
  });

  it('the read of a guard with a near cache is no round trip', async () => {
    const sessions = (await stage.open({ sessions: { ...session, nearCache: true } })).get(Sessions);
    const { token } = await sessions.create('user:42', {});
    const read = async () => expect(await sessions.get(token)).toMatchObject({ subject: 'user:42' });
    await eventually(async () => {
      await read();
      expect(await commandsDuring(stage.stage.server, read)).toEqual({});
    });
    await sessions.revokeToken(token);
    expect(await sessions.get(token)).toBeUndefined();
  });

  it('keep nobody from logging in if they cannot be read, and revokeOthers ends all but those', async () => {
    const other = { sessions: { ...LIMITS.evict.sessions, encryption: { keys: [SECRET] } } };
    await (await stage.open(other)).get(Sessions).create('user:42', {});
    const sessions = (await stage.open(LIMITS.evict)).get(Sessions);
    const { session: foreign } = await sessions.create('user:42', {});
    await stage.stage.server.cli('SET', `session:${foreign.id}`, 'no record');
    const tokens: string[] = [];
    for (let i = 0; i < 6; i++) tokens.push((await sessions.create('user:42', {})).token);
    expect(await live(sessions, tokens)).toBe(5);
    await expect(sessions.list('user:42')).rejects.toThrow(CacheCorruptError);
    await expect(sessions.revokeOthers(tokens[5] ?? '')).rejects.toThrow(CacheCorruptError);
    expect(await live(sessions, tokens)).toBe(1);
    await expect(sessions.revokeAll('user:42')).rejects.toThrow(CacheCorruptError);
    expect(await live(sessions, tokens)).toBe(0);
  });

  it('end by revokeAll though no key of this process opens them and keys are hashed', async () => {
    const opened = (key: Buffer) =>
      stage.open(LIMITS.none, { encryption: { keys: [key], hashKey: SECRET }, hashKeys: true });
    const old = (await opened(SECRET)).get(Sessions);
    const { token } = await old.create('user:42', {});
    expect(await (await opened(Buffer.alloc(32, 1))).get(Sessions).revokeAll('user:42')).toBe(1);
    expect(await old.get(token)).toBeUndefined();
  });

  it('revokeAll finds sessions whose index was evicted if it is thorough, and emits that', async () => {
    const sessions = (await stage.open(LIMITS.none)).get(Sessions);
    const { token, session: created } = await sessions.create('user:42', {});
    expect(await stage.stage.server.cli('DEL', 'session#user:42')).toBe(1);
    const revoked: string[] = [];
    sessions.events$.subscribe(({ type, id }) => type === 'revoked' && revoked.push(id));
    expect(await sessions.revokeAll('user:42')).toBe(0);
    expect(await sessions.get(token)).toBeDefined();
    expect(revoked).toEqual([]);
    expect(await sessions.revokeAll('user:42', { thorough: true })).toBe(1);
    expect(await sessions.get(token)).toBeUndefined();
    expect(revoked).toEqual([created.id]);
  });

  it('ends by the clock of Redis, whatever the hosts believe', async () => {
    const sessions = (await stage.open(LIMITS.none)).get(Sessions);
    const { token, session: created } = await sessions.create('user:42', {});
    const { now } = Date;
    try {
      for (const ahead of [24 * HOUR, -24 * HOUR]) {
        Date.now = () => now() + ahead;
        expect(await sessions.get(token)).toMatchObject({ createdAt: created.createdAt });
        const { session: other } = await sessions.create('user:42', {});
        expect(Math.abs(Number(other.createdAt) - Number(created.createdAt))).toBeLessThan(HOUR);
      }
    } finally {
      Date.now = now;
    }
  });

  it('ends though somebody made it last for ever in Redis', async () => {
    const sessions = (await stage.open({ sessions: { ...session, idle: '1s' } })).get(Sessions);
    const { token, session: created } = await sessions.create('user:42', {});
    expect(await stage.stage.server.cli('PERSIST', `session:${created.id}`)).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    expect(await sessions.get(token)).toBeUndefined();
    expect(await sessions.list('user:42')).toEqual([]);
  });

  it('ends by a limit that was lowered since', async () => {
    const sessions = (await stage.open(LIMITS.none)).get(Sessions);
    const { token } = await sessions.create('user:42', {});
    const lowered = (await stage.open({ sessions: { ...session, absolute: 1 } })).get(Sessions);
    expect(await lowered.get(token)).toBeUndefined();
    expect(await sessions.get(token)).toBeDefined();
  });
});
