import { RedisClock } from '../../lib/connection/redis-clock.js';
import { eventually } from '../../test/support/eventually.js';
import { RedisServer } from '../../test/support/redis-server.js';
import { cookieOf, SampleApp } from './sample-app.js';
import { Users } from './users.js';

const MINUTE = 60_000;
const realNow = Object.getOwnPropertyDescriptor(RedisClock.prototype, 'now')?.value as (this: RedisClock) => number;

describe('the sample', () => {
  let server: RedisServer;
  let samples: SampleApp[] = [];
  let sample: SampleApp;

  async function start(config: Record<string, string> = {}): Promise<SampleApp> {
    const started = await SampleApp.start({ REDIS_URL: server.url, CODES_SECRET: 'a5'.repeat(32), ...config });
    samples.push(started);
    return started;
  }

  beforeAll(async () => (server = await RedisServer.start({ appendonly: true })));
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    sample = await start();
  });
  afterEach(async () => {
    RedisClock.prototype.now = realNow;
    await Promise.all(samples.map(({ app }) => app.close()));
    samples = [];
  });
  afterAll(() => server.stop());

  describe('a session of a browser', () => {
    it('begins with a login and is over after the logout, on every instance', async () => {
      const other = await start();
      const cookie = await sample.login();
      expect((await other.send('get', '/me', cookie)).body).toMatchObject({ name: 'ada' });
      expect((await other.send('post', '/logout', cookie)).status).toBe(303);
      expect(await sample.statusOfMe(cookie)).toBe(401);
    });

    it('is a cookie that scripts cannot read, and without TLS no more than that can be had', async () => {
      const { headers } = await sample.send('post', '/login', '', { name: 'ada', password: 'lovelace' });
      expect(headers['set-cookie']).toEqual([
        expect.stringMatching(/^session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/),
      ]);
    });

    it('is a __Host- cookie for TLS alone where the site has TLS', async () => {
      const secure = await start({ PUBLIC_URL: 'https://app.example.com' });
      const { headers } = await secure.send('post', '/login', '', { name: 'ada', password: 'lovelace' });
      expect(headers['set-cookie']).toEqual([
        expect.stringMatching(/^__Host-session=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Lax$/),
      ]);
    });

    it('has a new token at every login, and the one from before is worth nothing', async () => {
      const before = await sample.login();
      const after = await sample.login('ada', 'lovelace', before);
      expect(after).not.toBe(before);
      expect(await sample.statusOfMe(before)).toBe(401);
      expect(await sample.statusOfMe(after)).toBe(200);
    });

    it('outlives the application', async () => {
      const cookie = await sample.login();
      await sample.app.close();
      samples = [];
      expect(await (await start()).statusOfMe(cookie)).toBe(200);
    });

    it('cannot be used by a page of somebody else', async () => {
      const cookie = await sample.login();
      const { status } = await sample.send('post', '/logout', cookie).set('Sec-Fetch-Site', 'cross-site');
      expect(status).toBe(403);
      expect(await sample.statusOfMe(cookie)).toBe(200);
    });

    it('is the oldest of six, and so it is over', async () => {
      const first = await sample.login();
      for (let i = 0; i < 5; i++) await sample.login();
      expect(await sample.statusOfMe(first)).toBe(401);
    });
  });

  describe('a login', () => {
    it.each([
      ['a wrong password', { name: 'ada', password: 'builder1' }, 401],
      ['a name that nobody has', { name: 'eve', password: 'lovelace' }, 401],
      ['no password', { name: 'ada' }, 400],
      ['objects for strings', { name: { $ne: '' }, password: ['lovelace'] }, 400],
      ['nothing', undefined, 400],
    ])('is refused with %s', async (_, body, status) => {
      expect((await sample.send('post', '/login', '', body)).status).toBe(status);
      expect(await server.cli('KEYS', 'session*')).toEqual([]);
    });

    it('is refused after ten wrong passwords, on every instance, the right one included', async () => {
      const other = await start();
      const tries = Array.from({ length: 12 }, (_, i) =>
        [sample, other][i % 2]?.send('post', '/login', '', { name: 'ada', password: `wrong ${i}` }),
      );
      const statuses = (await Promise.all(tries)).map((response) => response?.status);
      expect(statuses.filter((status) => status === 401)).toHaveLength(10);
      const { status, headers } = await sample.send('post', '/login', '', { name: 'Ada', password: 'lovelace' });
      expect([status, Number(headers['retry-after']) > 0]).toEqual([429, true]);
    });

    it('that was under way with the old password during a reset gives no session', async () => {
      const users = sample.app.get(Users);
      const authenticate = users.authenticate.bind(users);
      users.authenticate = async (name, password) => {
        const user = await authenticate(name, password);
        await users.changePassword('1', 'analytical');
        return user;
      };
      const response = await sample.send('post', '/login', '', { name: 'ada', password: 'lovelace' });
      expect(await sample.statusOfMe(cookieOf(response))).toBe(401);
    });
  });

  describe('a password', () => {
    it('is changed by a recent login, which ends all other sessions and the token of this one', async () => {
      const [other, cookie] = [await sample.login(), await sample.login()];
      const changed = await sample.send('post', '/password', cookie, { password: 'analytical' });
      expect(changed.status).toBe(303);
      for (const old of [other, cookie]) expect(await sample.statusOfMe(old)).toBe(401);
      expect(await sample.statusOfMe(cookieOf(changed))).toBe(200);
    });

    it('is asked for again before it is changed by an old login', async () => {
      const cookie = await sample.login();
      RedisClock.prototype.now = function () {
        return realNow.call(this) + 10 * MINUTE;
      };
      const refused = await sample.send('get', '/password', cookie);
      expect([refused.status, refused.headers['location']]).toEqual([303, '/confirm']);
      expect((await sample.send('post', '/confirm', cookie, { password: 'wrong' })).status).toBe(401);
      expect((await sample.send('post', '/confirm', cookie, { password: 'lovelace' })).headers['location']).toBe(
        '/password',
      );
      expect((await sample.send('get', '/password', cookie)).status).toBe(200);
    });

    it('that was forgotten is set anew by a code, once, in the browser that asked for it', async () => {
      const sessions = [await sample.login(), await sample.login()];
      const bind = cookieOf(await sample.send('post', '/reset', '', { name: 'ada' }));
      const [code = ''] = sample.codes;
      const confirm = (cookie: string, password: string) =>
        sample.send('post', '/reset/confirm', cookie, { name: 'ada', code, password });
      expect((await confirm('', 'analytical')).status).toBe(400);
      expect((await confirm(bind, 'short')).status).toBe(400);
      const both = await Promise.all([confirm(bind, 'analytical'), confirm(bind, 'difference')]);
      expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([303, 400]);
      for (const cookie of sessions) expect(await sample.statusOfMe(cookie)).toBe(401);
      expect((await sample.send('post', '/login', '', { name: 'ada', password: 'lovelace' })).status).toBe(401);
    });

    it('reset tells nobody whether a name is known', async () => {
      const [known, unknown] = [
        await sample.send('post', '/reset', '', { name: 'ada' }),
        await sample.send('post', '/reset', '', { name: 'eve' }),
      ];
      expect(known.status).toBe(unknown.status);
      expect(known.text.replaceAll('ada', 'eve')).toBe(unknown.text);
      expect(sample.codes).toHaveLength(1);
    });
  });

  describe('a mobile client', () => {
    const login = async () =>
      (await sample.mobile('post', '/login', '', { name: 'ada', password: 'lovelace' })).body as Tokens;

    it('gets a bearer token, and the next one for its refresh token, also if the answer was lost', async () => {
      const { token, refreshToken } = await login();
      expect((await sample.mobile('get', '/me', token)).body).toMatchObject({ name: 'ada' });
      const first = (await sample.mobile('post', '/refresh', '', { refreshToken })).body as Tokens;
      const again = (await sample.mobile('post', '/refresh', '', { refreshToken })).body as Tokens;
      expect(again.refreshToken).toBe(first.refreshToken);
      expect((await sample.mobile('get', '/me', again.token)).status).toBe(200);
    });

    it('loses its family when an old refresh token is used again', async () => {
      const { refreshToken } = await login();
      const next = (await sample.mobile('post', '/refresh', '', { refreshToken })).body as Tokens;
      const last = (await sample.mobile('post', '/refresh', '', next)).body as Tokens;
      expect((await sample.mobile('post', '/refresh', '', { refreshToken })).status).toBe(401);
      expect((await sample.mobile('post', '/refresh', '', last)).status).toBe(401);
    });

    it('is a stranger to the pages of browsers, and they to it', async () => {
      const { token } = await login();
      expect(await sample.statusOfMe(`session=${token}`)).toBe(401);
      const cookie = await sample.login();
      expect((await sample.mobile('get', '/me', cookie.split('=')[1])).status).toBe(401);
    });

    it('ends with its logout', async () => {
      const { token, refreshToken } = await login();
      expect((await sample.mobile('post', '/logout', token, { refreshToken })).status).toBe(204);
      expect((await sample.mobile('get', '/me', token)).status).toBe(401);
      expect((await sample.mobile('post', '/refresh', '', { refreshToken })).status).toBe(401);
    });
  });

  // The last: it takes the server away, and brings it back.
  it('answers 503 with Retry-After while Redis is down, never 401, and knows its sessions afterwards', async () => {
    const cookie = await sample.login();
    await server.kill9();
    const answers = await Promise.all([
      sample.send('get', '/me', cookie),
      sample.send('post', '/logout', cookie),
      sample.send('post', '/login', '', { name: 'ada', password: 'lovelace' }),
      sample.send('post', '/reset', '', { name: 'ada' }),
      sample.mobile('post', '/refresh', '', { refreshToken: 'x' }),
      sample.mobile('get', '/me', 'x'.repeat(43)),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503, 503, 401, 503]);
    await server.restart();
    await eventually(async () => expect(await sample.statusOfMe(cookie)).toBe(200), { timeout: 15_000 });
  });
});

interface Tokens {
  token: string;
  refreshToken: string;
}
