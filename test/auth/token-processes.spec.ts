import { OneTimeCodes, type RedisCacheAuthOptions, RefreshTokens } from 'nestjs-redis-cache-store/auth';
import { WorkerProcess } from '../support/worker-process.js';
import { AuthStage, SECOND, SECRET } from './auth-stage.js';

type Tokens = typeof import('../support/workers/tokens.worker.js');

const options: RedisCacheAuthOptions = {
  refreshTokens: { namespace: 'refresh', idle: '14d', absolute: '90d', retryWindow: '1m' },
  codes: { namespace: 'code', secret: SECRET.toString('hex') },
  attempts: { namespace: 'attempt', limit: 10 },
};

describe('tokens and codes over two processes', () => {
  let stage: AuthStage;
  let workers: WorkerProcess<Tokens>[];
  beforeAll(async () => {
    stage = await AuthStage.redis();
    const env = { REDIS_URL: stage.stage.url, AUTH: JSON.stringify(options) };
    workers = await Promise.all([1, 2].map(() => WorkerProcess.start<Tokens>('tokens.worker', env)));
  }, 60_000);
  afterEach(() => stage.clean());
  afterAll(async () => {
    await Promise.all(workers?.map((worker) => worker.kill()) ?? []);
    await stage?.stop();
  });

  async function both<T>(run: (worker: WorkerProcess<Tokens>, at: number) => Promise<T>): Promise<T[]> {
    // Not Date.now(), which time that passed for the stage moves.
    const at = performance.timeOrigin + performance.now() + 200;
    return Promise.all(workers.map((worker) => run(worker, at)));
  }

  it('of 1,000 rotations of one token one is rotated and 999 are retried, with one successor; later all are reused', async () => {
    const tokens = (await stage.open(options)).get(RefreshTokens);
    const token = await tokens.issue('user:42', {});
    const rotations = (await both((worker, at) => worker.run('rotate', token, 500, at))).flat();
    const count = (outcome: string) => rotations.filter((each) => each.outcome === outcome).length;
    expect([count('rotated'), count('retried')]).toEqual([1, 999]);
    expect(new Set(rotations.map((each) => 'token' in each && each.token)).size).toBe(1);
    await stage.pass(61 * SECOND);
    const late = (await both((worker, at) => worker.run('rotate', token, 500, at))).flat();
    expect(new Set(late.map(({ outcome }) => outcome))).toEqual(new Set(['reused']));
    expect(late).toHaveLength(1000);
    expect(await tokens.list('user:42')).toEqual([]);
  }, 60_000);

  it('a process that is killed while it rotates leaves one successor, which the same token gives', async () => {
    const tokens = (await stage.open(options)).get(RefreshTokens);
    const env = { REDIS_URL: stage.stage.url, AUTH: JSON.stringify(options) };
    for (let i = 0; i < 3; i++) {
      const token = await tokens.issue('user:42', {});
      const victim = await WorkerProcess.start<Tokens>('tokens.worker', env);
      const rotating = victim.run('rotate', token, 50, 0).catch(() => 'killed');
      await new Promise((resolve) => setTimeout(resolve, 3 * i));
      await victim.kill();
      await rotating;
      const rotation = await tokens.rotate(token);
      expect(['rotated', 'retried']).toContain(rotation.outcome);
      const successor = 'token' in rotation ? rotation.token : '';
      expect(await tokens.rotate(token)).toMatchObject({ outcome: 'retried', token: successor });
      expect(await tokens.rotate(successor)).toMatchObject({ outcome: 'rotated' });
    }
  }, 60_000);

  it('of 1,000 guesses no more are compared than a code has attempts, and of 1,000 right ones one is ok', async () => {
    const codes = (await stage.open(options)).get(OneTimeCodes);
    const code = await codes.issue('login', 'user:42');
    const wrong = Array.from({ length: 1001 }, (_, i) => String(i).padStart(6, '0')).filter((each) => each !== code);
    const guesses = (await both((worker, at) => worker.run('guess', 'user:42', wrong.slice(0, 500), at))).flat();
    expect(guesses.filter((outcome) => outcome === 'wrong').length).toBeLessThanOrEqual(3);
    expect(guesses.filter((outcome) => outcome === 'ok')).toEqual([]);
    expect(await codes.redeem('login', 'user:42', code)).toEqual({ outcome: 'none' });
    const next = await codes.issue('login', 'user:42');
    const right = (
      await both((worker, at) => worker.run('guess', 'user:42', Array(500).fill(next) as string[], at))
    ).flat();
    expect(right.filter((outcome) => outcome === 'ok')).toHaveLength(1);
  }, 60_000);

  it('revokeAll ends families whose index was evicted if it is thorough, and emits that', async () => {
    const tokens = (await stage.open(options)).get(RefreshTokens);
    const token = await tokens.issue('user:7', {});
    const [family] = await tokens.list('user:7');
    const revoked: string[] = [];
    tokens.events$.subscribe((event) => event.type === 'revoked' && revoked.push(event.family));
    expect(await stage.stage.server.cli('DEL', 'refresh#user:7')).toBe(1);
    expect(await tokens.revokeAll('user:7')).toBe(0);
    expect(await tokens.revokeAll('user:7', { thorough: true })).toBe(1);
    expect(await tokens.rotate(token)).toEqual({ outcome: 'unknown' });
    expect(revoked).toEqual([family?.family]);
  });

  it('of 1,000 hits exactly as many are allowed as the limit says', async () => {
    const allowed = await both((worker, at) => worker.run('hit', 'key', 500, at));
    expect((allowed[0] ?? 0) + (allowed[1] ?? 0)).toBe(10);
  }, 60_000);
});
