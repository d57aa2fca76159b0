import { createHash, createHmac, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { CacheCorruptError, type RedisCacheModuleOptions } from 'nestjs-redis-cache-store';
import { AttemptLimiter, OneTimeCodes, RefreshTokens, Sessions } from 'nestjs-redis-cache-store/auth';
import { assertFamily, firstToken, parseToken, successorOf, tokenText } from '../../lib/auth/refresh-family.js';
import { AuthStage, SECRET } from './auth-stage.js';

const OPTIONS = {
  sessions: { namespace: 'session', idle: '30m', absolute: '12h' },
  refreshTokens: { namespace: 'refresh', idle: '14d', absolute: '90d' },
  codes: { namespace: 'code', secret: SECRET },
  attempts: { namespace: 'attempt' },
};

/** Each form in which bytes may lie in Redis. */
const formsOf = (secret: string) => [
  secret,
  Buffer.from(secret, 'base64url').toString('latin1'),
  Buffer.from(secret, 'base64url').toString('hex'),
  Buffer.from(secret).toString('base64url'),
];

describe('a dump of Redis', () => {
  let stage: AuthStage;
  beforeAll(async () => (stage = await AuthStage.redis()));
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  /** Every key with all its bytes. */
  async function dump(): Promise<string> {
    const redis = new Redis(stage.stage.url);
    try {
      const keys = await redis.keys('*');
      const bytes = keys.map(async (key) => {
        const isIndex = (await redis.type(key)) === 'zset';
        return isIndex ? redis.zrangeBuffer(key, '0', '-1') : [await redis.getBuffer(key)];
      });
      const all = (await Promise.all(bytes)).flat();
      return [...keys, ...all.map((each) => each?.toString('latin1'))].join('\n');
    } finally {
      redis.disconnect();
    }
  }

  async function fill(root: RedisCacheModuleOptions = {}) {
    const module = await stage.open(OPTIONS, root);
    const [sessions, tokens, codes] = [module.get(Sessions), module.get(RefreshTokens), module.get(OneTimeCodes)];
    const session = await sessions.create('user:42', { theme: 'dark' });
    const next = await sessions.regenerate(session.token, { overlap: '1m' });
    const first = await tokens.issue('user:42', {});
    const rotation = await tokens.rotate(first);
    const current = 'token' in rotation ? rotation.token : '';
    const code = await codes.issue('login', 'mail@example.com', {}, { bind: 'cookie-of-the-client' });
    const link = await codes.issueToken('reset', 'user:42');
    await module.get(AttemptLimiter).hit('login:mail@example.com');
    await codes.redeem('login', 'mail@example.com', 'wrong', { bind: 'cookie-of-the-client' });
    return { sessionTokens: [session.token, next?.token ?? ''], refreshTokens: [first, current], code, link, module };
  }

  it('has no token in it, in no form, and no key that tells whose a code or a count is', async () => {
    const { sessionTokens, refreshTokens, link } = await fill();
    const text = await dump();
    const secrets = [
      ...sessionTokens,
      link,
      ...refreshTokens.flatMap((token) => token.split('.')).filter((part) => part.length > 2),
    ];
    expect(secrets).toHaveLength(7);
    for (const form of secrets.flatMap(formsOf)) expect(text).not.toContain(form);
    for (const plain of ['mail@example.com', 'cookie-of-the-client']) expect(text).not.toContain(plain);
  });

  it('shows subjects and data, with `encryption` subjects alone, and with `hashKeys` none of both', async () => {
    const encryption = { keys: [SECRET] };
    const shown = async (root: RedisCacheModuleOptions) => {
      await stage.stage.server.cli('FLUSHALL');
      await fill(root);
      const text = await dump();
      return ['user:42', 'theme'].filter((plain) => text.includes(plain));
    };
    expect(await shown({})).toEqual(['user:42', 'theme']);
    expect(await shown({ encryption })).toEqual(['user:42']);
    expect(await shown({ encryption, hashKeys: true })).toEqual([]);
    await stage.stage.server.cli('FLUSHALL');
  });

  it('finds a session, a family and a link by the SHA-256 of what nobody but the client has', async () => {
    const { sessionTokens, refreshTokens } = await fill();
    const sha256 = (part: string) => createHash('sha256').update(part).digest('base64url');
    const keys = (await stage.stage.server.cli('KEYS', '*')) as string[];
    expect(keys).toContain(`session:${sha256(sessionTokens[1] ?? '')}`);
    expect(keys).toContain(`refresh:${sha256(refreshTokens[0]?.split('.')[0] ?? '')}`);
    for (const key of keys)
      expect(key).toMatch(/^(session|refresh|code|attempt)[:#+](user:42|((link|code|wrong|issues):)?[\w-]{43})$/);
  });

  it('does not let a code be found by trying all of them', async () => {
    const { code } = await fill();
    const text = await dump();
    const parts = ['login', 'mail@example.com', 'cookie-of-the-client', code];
    const guesses = [code, parts.join(''), parts.join(':'), JSON.stringify(parts), JSON.stringify(['hash', ...parts])];
    for (const guess of guesses) {
      const hashes = ['sha256', 'sha1', 'md5'].map((algorithm) => createHash(algorithm).update(guess).digest());
      // With a secret that is not that of the service.
      const keyed = createHmac('sha256', randomBytes(32)).update(guess).digest();
      for (const hash of [...hashes, keyed]) {
        for (const form of ['latin1', 'hex', 'base64url'] as const) expect(text).not.toContain(hash.toString(form));
      }
    }
  });

  it('has one record of a family, of constant size, however often it is rotated', async () => {
    const tokens = (await stage.open(OPTIONS)).get(RefreshTokens);
    let token = await rotateOn(tokens, await tokens.issue('user:43', { scope: 'mobile' }));
    const [{ family } = { family: '' }] = await tokens.list('user:43');
    const sizes = async () => [
      ((await stage.stage.server.cli('KEYS', 'refresh*')) as string[]).toSorted(),
      Number(await stage.stage.server.cli('STRLEN', `refresh:${family}`)),
    ];
    const [keys, size] = await sizes();
    for (let i = 0; i < 50; i++) token = await rotateOn(tokens, token);
    const [laterKeys, laterSize] = await sizes();
    expect(keys).toEqual(expect.arrayContaining([`refresh:${family}`, 'refresh#user:43']));
    expect(laterKeys).toEqual(keys);
    expect(Number(size)).toBeGreaterThan(100);
    expect(Math.abs(Number(laterSize) - Number(size))).toBeLessThan(20); // numbers take more or fewer digits
  });

  it('gives the current refresh token to nobody but who has the previous one, and that until the next rotation', async () => {
    const tokens = (await stage.open(OPTIONS)).get(RefreshTokens);
    const store = await stage.stage.open({ namespace: 'refresh' });
    const read = async () => {
      const [{ family } = { family: '' }] = await tokens.list('user:44');
      const record = await store.get(family);
      assertFamily(record);
      return record;
    };
    const chain = [await tokens.issue('user:44', {})];
    const tokenAt = (i: number) => parseToken(chain[i]) ?? firstToken('');
    for (let i = 0; i < 2; i++) chain.push(await rotateOn(tokens, chain[i] ?? ''));
    expect(tokenText(successorOf(tokenAt(1), await read()))).toBe(chain[2]);
    const record = await read();
    expect(() => successorOf(tokenAt(0), record)).toThrow(CacheCorruptError);
    expect(() => successorOf(firstToken(tokenAt(1).family), record)).toThrow(CacheCorruptError);
    await rotateOn(tokens, chain[2] ?? '');
    const next = await read();
    expect(() => successorOf(tokenAt(1), next)).toThrow(CacheCorruptError);
  });

  it('cannot be written to with `encryption` so that a session of one token becomes that of another', async () => {
    const keys = { keys: [SECRET] };
    const sessions = (await stage.open(OPTIONS, { encryption: keys })).get(Sessions);
    const [own, foreign] = [await sessions.create('mallory', {}), await sessions.create('ann', {})];
    const redis = new Redis(stage.stage.url);
    try {
      const stolen = await redis.getBuffer(`session:${foreign.session.id}`);
      await redis.set(`session:${own.session.id}`, stolen ?? '', 'KEEPTTL');
    } finally {
      redis.disconnect();
    }
    await expect(sessions.get(own.token)).rejects.toBeInstanceOf(CacheCorruptError);
    expect(await sessions.get(foreign.token)).toMatchObject({ subject: 'ann' });
  });

  it('is not shown by services, events, errors and logs either', async () => {
    const { module, sessionTokens, refreshTokens, code, link } = await fill();
    const tokens = module.get(RefreshTokens);
    const events: unknown[] = [];
    tokens.events$.subscribe((event) => events.push(event));
    await tokens.rotate(await rotateOn(tokens, refreshTokens[1] ?? ''));
    await tokens.rotate(refreshTokens[0] ?? '');
    const services = [Sessions, RefreshTokens, OneTimeCodes, AttemptLimiter].map((type) => module.get<object>(type));
    const session = await module.get(Sessions).get(sessionTokens[1] ?? '');
    const shown =
      inspect([services, session, events], { depth: 20, showHidden: true }) +
      stage.log.join() +
      JSON.stringify(session);
    for (const secret of [...sessionTokens, ...refreshTokens, code, link, SECRET.toString('hex')]) {
      expect(shown).not.toContain(secret);
    }
  });

  async function rotateOn(tokens: RefreshTokens, token: string): Promise<string> {
    const rotation = await tokens.rotate(token);
    return 'token' in rotation ? rotation.token : '';
  }
});
