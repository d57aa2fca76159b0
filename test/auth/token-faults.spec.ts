import { CacheUnavailableError } from 'nestjs-redis-cache-store';
import {
  AttemptLimiter,
  OneTimeCodes,
  type RedisCacheAuthOptions,
  RefreshTokens,
  type Rotation,
} from 'nestjs-redis-cache-store/auth';
import { commandsDuring } from '../support/command-stats.js';
import { TcpProxy } from '../support/proxy.js';
import { eventually } from '../support/eventually.js';
import { AuthStage, DAY, HOUR, SECOND, SECRET } from './auth-stage.js';

const OPTIONS: RedisCacheAuthOptions = {
  refreshTokens: { namespace: 'refresh', idle: '14d', absolute: '90d' },
  codes: { namespace: 'code', secret: SECRET },
  attempts: { namespace: 'attempt', limit: 10 },
};
/** Each way, in ms: what is sent together is answered together. */
const DELAY = 10;

describe('tokens and codes on a bad network', () => {
  let stage: AuthStage;
  let proxy: TcpProxy;
  let tokens: RefreshTokens;
  let codes: OneTimeCodes;
  let attempts: AttemptLimiter;
  beforeAll(async () => {
    stage = await AuthStage.redis();
    proxy = await TcpProxy.start(stage.stage.server);
  });
  beforeEach(async () => {
    const module = await stage.open(OPTIONS, { url: proxy.url, heartbeat: '1h' });
    [tokens, codes, attempts] = [module.get(RefreshTokens), module.get(OneTimeCodes), module.get(AttemptLimiter)];
    // Scripts that Redis does not know yet take a round trip more.
    const token = await tokens.issue('user:0', {});
    await tokens.rotate(token);
    await attempts.hit('key');
    await attempts.peek('key');
  });
  afterEach(async () => {
    await proxy.resume();
    await stage.clean();
  });
  afterAll(async () => {
    await proxy?.stop();
    await stage?.stop();
  });

  async function roundTripsOf(call: () => Promise<unknown>): Promise<number> {
    await stage.settled();
    proxy.delay(DELAY);
    const before = proxy.roundTrips;
    await call();
    const count = proxy.roundTrips - before;
    proxy.delay(0);
    return count;
  }

  it('a rotation takes two round trips, a retried one one, a hit one, and the token of a link one', async () => {
    const token = await tokens.issue('user:42', {});
    expect(await roundTripsOf(() => tokens.rotate(token))).toBe(2);
    expect(await roundTripsOf(() => tokens.rotate(token))).toBe(1);
    expect(await roundTripsOf(() => attempts.hit('key'))).toBe(1);
    expect(await roundTripsOf(() => attempts.peek('key'))).toBe(1);
    const [first, link] = [await codes.issueToken('reset', 'user:42'), await codes.issueToken('reset', 'user:42')];
    await codes.redeemToken('reset', first); // Redis knows the script from now on
    expect(await roundTripsOf(() => codes.redeemToken('reset', link))).toBe(1);
  });

  it('a rotation that loses a race takes three round trips: of a race to an extension of its family, four', async () => {
    const other = await stage.open(OPTIONS);
    const token = await tokens.issue('user:42', {});
    const rotations: Rotation[] = [];
    const lost = async (faster: () => Promise<unknown>) => {
      let calls = 0;
      // Between the read of the rotation and its write.
      const change = async (data: unknown) => (calls++ === 0 ? void (await faster()) : undefined, data);
      const last = rotations.flatMap((rotation) => ('token' in rotation ? [rotation.token] : [])).at(-1) ?? token;
      return roundTripsOf(async () => void rotations.push(await tokens.rotate(last, change)));
    };
    expect(await lost(() => other.get(RefreshTokens).rotate(token))).toBe(3);
    // What an extension writes.
    const families = await stage.stage.open({ namespace: 'refresh' });
    const family = String((await tokens.list('user:42'))[0]?.family);
    const left = 20 * DAY;
    const extend = () => families.update<object>(family, (record) => ({ ...record, left }), { ttl: left });
    expect(await lost(extend)).toBe(4);
    expect(rotations).toMatchObject([{ outcome: 'retried' }, { outcome: 'rotated' }]);
  });

  it('a rotation takes no more at any time in the life of a family, while it is extended behind the answer', async () => {
    let token = await tokens.issue('user:42', {});
    const key = `refresh:${(await tokens.list('user:42'))[0]?.family}`;
    const lives: number[] = [];
    for (let day = 6; day < 90; day += 6) {
      await stage.pass(6 * DAY);
      const rotations: Rotation[] = [];
      const rotate = async () => void rotations.push(await tokens.rotate(token));
      expect(await roundTripsOf(rotate)).toBe(2);
      expect(await roundTripsOf(rotate)).toBe(1);
      expect(rotations).toMatchObject([{ outcome: 'rotated' }, { outcome: 'retried' }]);
      token = rotations.flatMap((rotation) => ('token' in rotation ? [rotation.token] : []))[0] ?? '';
      await stage.settled();
      lives.push(Number(await stage.stage.server.cli('PTTL', key)) / DAY);
    }
    expect(lives).toHaveLength(14);
    // Twice `idle` at most; never less than `idle`, or than what is left of `absolute`.
    expect(Math.max(...lives)).toBeLessThanOrEqual(28);
    for (const [i, life] of lives.entries()) expect(life).toBeGreaterThan(Math.min(14, 90 - 6 * (i + 1)) - 0.2);
  });

  it('a family whose extensions were lost is extended before the answer, and so lives for `idle`', async () => {
    const token = await tokens.issue('user:42', {});
    const key = `refresh:${(await tokens.list('user:42'))[0]?.family}`;
    const life = async () => Number(await stage.stage.server.cli('PTTL', key)) / DAY;
    const ending = (await stage.open(OPTIONS, { url: proxy.url, timeout: '1s' })).get(RefreshTokens);
    await stage.pass(10 * DAY);
    const rotation = await ending.rotate(token);
    await proxy.cut(); // as if the process had ended with its answer
    await stage.settled();
    expect(await life()).toBeLessThan(19);
    await stage.pass(5 * DAY);
    await proxy.resume();
    const next = 'token' in rotation ? rotation.token : '';
    await eventually(() => tokens.list('user:42'));
    expect(await tokens.rotate(next)).toMatchObject({ outcome: 'rotated' });
    expect(await life()).toBeGreaterThan(27);
  });

  it('a family that is extended says how long ago it was rotated all the same', async () => {
    const token = await tokens.issue('user:42', {});
    await stage.pass(10 * DAY);
    const first = await tokens.rotate(token);
    await stage.pass(9 * SECOND);
    const again = await tokens.rotate(token);
    expect([first.outcome, again.outcome]).toEqual(['rotated', 'retried']);
    await stage.pass(2 * SECOND);
    expect((await tokens.rotate(token)).outcome).toBe('reused');
  });

  it('a malformed token is answered without asking Redis', async () => {
    const asked = await commandsDuring(stage.stage.server, async () => {
      expect(await tokens.rotate('malformed')).toEqual({ outcome: 'unknown' });
      expect(await tokens.revoke('malformed')).toBe(false);
      expect(await codes.redeemToken('reset', 'malformed')).toEqual({ outcome: 'none' });
    });
    expect(asked).toEqual({});
  });

  /** The error of a call of which Redis carries out a command whose reply is lost: the nth of those that write. */
  async function withReplyLost(call: () => Promise<unknown>): Promise<unknown> {
    const lost = proxy.dropReplies();
    const failure = await call().catch((error: unknown) => error);
    await lost;
    await proxy.resume();
    return failure;
  }

  it('after a rotation whose answer is lost, the same token gives one successor, whatever Redis has done', async () => {
    const token = await tokens.issue('user:42', {});
    const failures: unknown[] = [];
    for (let i = 0; i < 3; i++) failures.push(await withReplyLost(() => tokens.rotate(token)));
    const errors = failures.filter((failure) => failure instanceof Error);
    expect(errors.filter((error) => !(error instanceof CacheUnavailableError))).toEqual([]);
    const rotation = await tokens.rotate(token);
    expect(['rotated', 'retried']).toContain(rotation.outcome);
    expect(await tokens.rotate(token)).toMatchObject({ token: 'token' in rotation && rotation.token });
    expect(await tokens.rotate('token' in rotation ? rotation.token : '')).toMatchObject({ outcome: 'rotated' });
  });

  it('after a redemption whose answer is lost, a retry is ok or none, and never gives a second one', async () => {
    const link = await codes.issueToken('reset', 'user:42');
    const failure = await withReplyLost(() => codes.redeemToken('reset', link));
    expect(failure).toMatchObject({ outcome: 'unknown' });
    expect(await codes.redeemToken('reset', link)).toEqual({ outcome: 'none' });
    const code = await codes.issue('login', 'user:42');
    let oks = 0;
    for (let i = 0; i < 3; i++) {
      const told = await withReplyLost(() => codes.redeem('login', 'user:42', code));
      if (!(told instanceof Error) && (told as { outcome: string }).outcome === 'ok') oks++;
    }
    if ((await codes.redeem('login', 'user:42', code)).outcome === 'ok') oks++;
    expect(oks).toBeLessThanOrEqual(1);
  });

  it('the window of a retry runs by the clock of Redis, whatever the hosts believe', async () => {
    const token = await tokens.issue('user:42', {});
    await tokens.rotate(token);
    const { now } = Date;
    for (const ahead of [HOUR, -HOUR]) {
      Date.now = () => now() + ahead;
      expect((await tokens.rotate(token)).outcome).toBe('retried');
    }
  });

  it('a family that somebody made last for ever in Redis is unknown', async () => {
    const token = await tokens.issue('user:7', {});
    const family = (await tokens.list('user:7'))[0]?.family;
    expect(await stage.stage.server.cli('PERSIST', `refresh:${family}`)).toBe(1);
    expect(await tokens.rotate(token)).toEqual({ outcome: 'unknown' });
    expect(await tokens.list('user:7')).toEqual([]);
  });
});
