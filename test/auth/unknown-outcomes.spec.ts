import type { TestingModule } from '@nestjs/testing';
import { CacheUnavailableError } from 'nestjs-redis-cache-store';
import {
  AttemptLimiter,
  OneTimeCodes,
  type RedisCacheAuthOptions,
  RefreshTokens,
  Sessions,
  TooManyAttemptsError,
} from 'nestjs-redis-cache-store/auth';
import { read } from '../../scripts/docs.mjs';
import { TcpProxy } from '../support/proxy.js';
import { AuthStage, SECRET } from './auth-stage.js';

const OPTIONS: RedisCacheAuthOptions = {
  sessions: { namespace: 'session', idle: '30m', absolute: '12h' },
  refreshTokens: { namespace: 'refresh', idle: '14d', absolute: '90d' },
  codes: { namespace: 'code', secret: SECRET, budget: { issues: 2 } },
  attempts: { namespace: 'attempt', limit: 10 },
};

interface Services {
  readonly sessions: Sessions<number>;
  readonly tokens: RefreshTokens<number>;
  readonly codes: OneTimeCodes<number>;
  readonly attempts: AttemptLimiter;
}

/** Does a call one of whose replies is lost; whether its outcome is unknown. */
type Lossy = (call: (services: Services) => Promise<unknown>) => Promise<boolean>;

/** A retry of one row, by `services` without a fault; `subject` is one that nobody else has. */
type Retry = (services: Services, lossy: Lossy, subject: string) => Promise<void>;

/** By the first column of the table in docs/auth.md: what it says, for each call that it names. */
const RETRIES: Record<string, Record<string, Retry>> = {
  '`create`, `regenerate`, `issue` of a family': {
    async create({ sessions }, lossy, subject) {
      const isUnknown = await lossy((services) => services.sessions.create(subject, 1));
      const { token } = await sessions.create(subject, 1);
      expect(await sessions.get(token)).toMatchObject({ subject });
      expect((await sessions.list(subject)).length).toBeLessThanOrEqual(2);
      expect(isUnknown || (await sessions.list(subject)).length === 2).toBe(true);
      await sessions.revokeAll(subject);
      expect(await sessions.list(subject)).toEqual([]);
    },
    async regenerate({ sessions }, lossy, subject) {
      const { token } = await sessions.create(subject, 1);
      await lossy((services) => services.sessions.regenerate(token, { subject }));
      const next = await sessions.create(subject, 1);
      expect(await sessions.get(next.token)).toMatchObject({ subject });
      await sessions.revokeAll(subject);
      expect([await sessions.get(token), await sessions.list(subject)]).toEqual([undefined, []]);
    },
    async issue({ tokens }, lossy, subject) {
      await lossy((services) => services.tokens.issue(subject, 1));
      expect((await tokens.rotate(await tokens.issue(subject, 1))).outcome).toBe('rotated');
      await tokens.revokeAll(subject);
      expect(await tokens.list(subject)).toEqual([]);
    },
  },
  '`rotate`': {
    async rotate({ tokens }, lossy, subject) {
      const token = await tokens.issue(subject, 1);
      await lossy((services) => services.tokens.rotate(token));
      const again = await tokens.rotate(token);
      expect(['rotated', 'retried']).toContain(again.outcome);
      const successor = 'token' in again ? again.token : '';
      expect(await tokens.rotate(token)).toMatchObject({ outcome: 'retried', token: successor });
      expect((await tokens.rotate(successor)).outcome).toBe('rotated');
    },
  },
  '`redeem`, `redeemToken`': {
    async redeem({ codes }, lossy, subject) {
      const code = await codes.issue('login', subject, 1);
      await lossy((services) => services.codes.redeem('login', subject, code));
      expect(['ok', 'none']).toContain((await codes.redeem('login', subject, code)).outcome);
      expect((await codes.redeem('login', subject, code)).outcome).toBe('none');
      const next = await codes.issue('login', subject, 2);
      // A wrong guess costs an attempt, or two.
      await lossy((services) => services.codes.redeem('login', subject, 'wrong'));
      const wrong = await codes.redeem('login', subject, 'wrong');
      expect([1, 2]).toContain(wrong.outcome === 'wrong' && wrong.attemptsLeft);
      expect(await codes.redeem('login', subject, next)).toEqual({ outcome: 'ok', data: 2 });
    },
    async redeemToken({ codes }, lossy, subject) {
      const link = await codes.issueToken('reset', subject, 1);
      const isUnknown = await lossy((services) => services.codes.redeemToken('reset', link));
      const { outcome } = await codes.redeemToken('reset', link);
      expect(isUnknown ? ['ok', 'none'] : ['none']).toContain(outcome);
      expect((await codes.redeemToken('reset', link)).outcome).toBe('none');
      const next = await codes.issueToken('reset', subject, 2);
      expect(await codes.redeemToken('reset', next)).toMatchObject({ outcome: 'ok', data: 2 });
    },
  },
  '`issue` of a code': {
    async issue({ codes }, lossy, subject) {
      await lossy((services) => services.codes.issue('login', subject, 1));
      const code = await codes.issue('login', subject, 2);
      expect(await codes.redeem('login', subject, code)).toEqual({ outcome: 'ok', data: 2 });
      // Of two issues an hour none is left, unless the first was not carried out.
      const third = await codes.issue('login', subject, 3).catch((error: unknown) => error);
      if (typeof third !== 'string') expect(third).toBeInstanceOf(TooManyAttemptsError);
    },
  },
  '`issueToken`': {
    async issueToken({ codes }, lossy, subject) {
      await lossy((services) => services.codes.issueToken('reset', subject, 1));
      const link = await codes.issueToken('reset', subject, 2);
      expect(await codes.redeemToken('reset', link)).toEqual({ outcome: 'ok', subject, data: 2 });
    },
  },
  '`get`, `update`, `reauthenticate`, `list`, `peek`': {
    async get({ sessions }, lossy, subject) {
      const { token } = await sessions.create(subject, 1);
      await lossy((services) => services.sessions.get(token));
      expect(await sessions.get(token)).toMatchObject({ data: 1 });
    },
    async update({ sessions }, lossy, subject) {
      const { token } = await sessions.create(subject, 1);
      await lossy((services) => services.sessions.update(token, (count) => count + 1));
      const again = await sessions.update(token, (count) => count + 1);
      expect([2, 3]).toContain(again?.data);
    },
    async reauthenticate({ sessions }, lossy, subject) {
      const { token } = await sessions.create(subject, 1);
      await lossy((services) => services.sessions.reauthenticate(token));
      expect((await sessions.reauthenticate(token))?.isFresh('1m')).toBe(true);
    },
    async list({ sessions, tokens }, lossy, subject) {
      const { session } = await sessions.create(subject, 1);
      await lossy((services) => services.sessions.list(subject));
      expect(await sessions.list(subject)).toMatchObject([{ id: session.id }]);
      await tokens.issue(subject, 1);
      await lossy((services) => services.tokens.list(subject));
      expect(await tokens.list(subject)).toMatchObject([{ subject }]);
    },
    async peek({ attempts }, lossy, subject) {
      await attempts.hit(subject);
      await lossy((services) => services.attempts.peek(subject));
      expect(await attempts.peek(subject)).toMatchObject({ count: 1 });
    },
  },
  '`revoke`, `revokeToken`, `revokeOthers`, `revokeAll`, `reset`': {
    async revoke({ sessions, tokens }, lossy, subject) {
      const { token, session } = await sessions.create(subject, 1);
      const isUnknown = await lossy((services) => services.sessions.revoke(subject, session.id));
      const again = await sessions.revoke(subject, session.id);
      expect(isUnknown || !again).toBe(true);
      expect(await sessions.get(token)).toBeUndefined();
      const family = await tokens.issue(subject, 1);
      await lossy((services) => services.tokens.revoke(family));
      await tokens.revoke(family);
      expect((await tokens.rotate(family)).outcome).toBe('unknown');
    },
    async revokeToken({ sessions }, lossy, subject) {
      const { token } = await sessions.create(subject, 1);
      const isUnknown = await lossy((services) => services.sessions.revokeToken(token));
      expect(isUnknown || !(await sessions.revokeToken(token))).toBe(true);
      await sessions.revokeToken(token);
      expect(await sessions.get(token)).toBeUndefined();
    },
    async revokeOthers({ sessions }, lossy, subject) {
      for (let i = 0; i < 2; i++) await sessions.create(subject, 1);
      const { token, session } = await sessions.create(subject, 1);
      const isUnknown = await lossy((services) => services.sessions.revokeOthers(token));
      expect(await sessions.revokeOthers(token)).toBeLessThanOrEqual(isUnknown ? 2 : 0);
      expect(await sessions.list(subject)).toMatchObject([{ id: session.id }]);
    },
    async revokeAll({ sessions, tokens }, lossy, subject) {
      for (let i = 0; i < 3; i++) await sessions.create(subject, 1);
      await lossy((services) => services.sessions.revokeAll(subject));
      expect(await sessions.revokeAll(subject)).toBeLessThanOrEqual(3);
      expect(await sessions.list(subject)).toEqual([]);
      await tokens.issue(subject, 1);
      await lossy((services) => services.tokens.revokeAll(subject));
      expect(await tokens.revokeAll(subject)).toBeLessThanOrEqual(1);
      expect(await tokens.list(subject)).toEqual([]);
    },
    async reset({ attempts }, lossy, subject) {
      await attempts.hit(subject);
      const isUnknown = await lossy((services) => services.attempts.reset(subject));
      expect(isUnknown || !(await attempts.reset(subject))).toBe(true);
      await attempts.reset(subject);
      expect(await attempts.peek(subject)).toMatchObject({ count: 0 });
    },
  },
  '`hit`': {
    async hit({ attempts }, lossy, subject) {
      await lossy((services) => services.attempts.hit(subject));
      expect([1, 2]).toContain((await attempts.hit(subject)).count);
    },
  },
};

/** Reads are sent again by themselves: nobody is told that their first reply was lost. */
const NEVER_UNKNOWN = ['get', 'list', 'peek'];
/** Methods that ask Redis by others, and never reject, or that an application does not call. */
const NOT_IN_TABLE = ['Sessions.bind', 'Sessions.left'];

/** `Sessions.create` and so on: the public methods of the services, less the hooks that Nest calls. */
const METHODS = [Sessions, RefreshTokens, OneTimeCodes, AttemptLimiter].flatMap(({ name, prototype }) =>
  Object.entries(Object.getOwnPropertyDescriptors<object>(prototype))
    .filter(([method, { value }]) => typeof value === 'function' && !/^constructor$|Shutdown$/.test(method))
    .map(([method]) => `${name}.${method}`)
    .filter((method) => !NOT_IN_TABLE.includes(method)),
);

/** A service that notes which of its methods are called. */
function noting<Service extends object>(service: Service, called: Set<string>): Service {
  return new Proxy(service, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      called.add(`${target.constructor.name}.${String(name)}`);
      return member.bind(target) as unknown;
    },
  });
}

function servicesOf(module: TestingModule, called = new Set<string>()): Services {
  return {
    sessions: noting(module.get<Sessions<number>>(Sessions), called),
    tokens: noting(module.get<RefreshTokens<number>>(RefreshTokens), called),
    codes: noting(module.get<OneTimeCodes<number>>(OneTimeCodes), called),
    attempts: noting(module.get(AttemptLimiter), called),
  };
}

describe('after an unknown outcome, the retry that docs/auth.md names resolves the state', () => {
  let stage: AuthStage;
  let proxy: TcpProxy;
  let direct: Services;
  let subjects = 0;
  /** The methods of which a reply was lost. */
  const lost = new Set<string>();
  beforeAll(async () => {
    stage = await AuthStage.redis();
    proxy = await TcpProxy.start(stage.stage.server);
    direct = servicesOf(await stage.open(OPTIONS));
  });
  afterAll(async () => {
    await stage?.clean();
    await proxy?.stop();
    await stage?.stop();
  });

  /** Whether the outcome of a call is unknown, of which the reply after so many `others` is lost. */
  async function lose(others: number, call: (services: Services) => Promise<unknown>): Promise<boolean> {
    // One for each loss: a connection that ends again and again is opened later and later.
    const module = await stage.open(OPTIONS, { url: proxy.url, heartbeat: '1h' });
    await module.get(AttemptLimiter).peek('connected');
    const services = servicesOf(module, lost);
    void proxy.dropReplies(others);
    try {
      await call(services);
      return false;
    } catch (error) {
      if (!(error instanceof CacheUnavailableError)) throw error;
      return error.outcome === 'unknown';
    } finally {
      await proxy.resume();
      await module.close();
    }
  }

  it('of every row of the table, and of every call that a row names', () => {
    const [, table = ''] = read('docs/auth.md').split('## After an unknown outcome');
    const rows = [...String(table.split('\n## ')[0]).matchAll(/^\| (`.*?) +\|/gm)].map(([, row = '']) => row);
    expect(rows).toEqual(Object.keys(RETRIES));
    for (const [row, retries] of Object.entries(RETRIES)) {
      expect(Object.keys(retries)).toEqual(Array.from(row.matchAll(/`(\w+)`/g), ([, call]) => call));
    }
  });

  it.each(
    Object.entries(RETRIES).flatMap(([row, all]) => Object.entries(all).map(([call, retry]) => ({ row, call, retry }))),
  )('of $call, as of the row: $row', async ({ call, retry }) => {
    const unknown: unknown[] = [];
    // Each of its replies in turn.
    for (
      let others = 0;
      others < 4 || (others < 10 && unknown.length === 0 && !NEVER_UNKNOWN.includes(call));
      others++
    ) {
      const lossy: Lossy = async (asked) => {
        const isUnknown = await lose(others, asked);
        if (isUnknown) unknown.push(call);
        return isUnknown;
      };
      await retry(direct, lossy, `user:${++subjects}`);
    }
    expect(unknown.length > 0).toBe(!NEVER_UNKNOWN.includes(call));
  });

  it('of every method of every service', () => {
    expect([...lost].toSorted()).toEqual(METHODS.toSorted());
  });
});
