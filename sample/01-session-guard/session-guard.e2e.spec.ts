import type { INestApplication } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import { Test } from '@nestjs/testing';
import request from 'supertest';
import { CacheApp, SILENT } from '../../test/support/cache-app.js';
import { eventually } from '../../test/support/eventually.js';
import { RedisServer } from '../../test/support/redis-server.js';
import { AppModule } from './app.module.js';
import { Users } from './users.js';

const UNKNOWN = 'x'.repeat(43);
const MINUTE = 60_000;

/** An instance of the sample, spoken to over HTTP. */
class Sample {
  static async start(config: Record<string, string>): Promise<Sample> {
    const module = await Test.createTestingModule({ imports: [AppModule] })
      .overrideProvider(ConfigService)
      .useValue(new ConfigService(config))
      .setLogger(SILENT)
      .compile();
    const app = module.createNestApplication();
    await app.listen(0, '127.0.0.1');
    return new Sample(app);
  }

  private constructor(readonly app: INestApplication) {}

  async send(method: 'get' | 'post' | 'delete', path: string, session = '', body?: object) {
    const sent = request(this.app.getHttpServer())[method](path).set('User-Agent', 'a browser');
    if (session !== '') sent.set('Authorization', `Bearer ${session}`);
    return sent.send(body);
  }

  async login(name = 'ada', password = 'lovelace'): Promise<string> {
    const { status, body } = await this.send('post', '/login', '', { name, password });
    expect(status).toBe(201);
    return (body as { sessionId: string }).sessionId;
  }

  async statusOfMe(session: string): Promise<number> {
    return (await this.send('get', '/me', session)).status;
  }

  async resetToken(name: string): Promise<string> {
    const { status, body } = await this.send('post', '/password-reset', '', { name });
    expect(status).toBe(202);
    return (body as { token: string }).token;
  }

  async confirm(token: string, password: string): Promise<number> {
    return (await this.send('post', '/password-reset/confirm', '', { token, password })).status;
  }
}

describe('the sample', () => {
  let server: RedisServer;
  let samples: Sample[] = [];
  let sample: Sample;

  async function start(config: Record<string, string> = {}): Promise<Sample> {
    const started = await Sample.start({ REDIS_URL: server.url, NODE_ENV: 'test', ...config });
    samples.push(started);
    return started;
  }

  beforeAll(async () => (server = await RedisServer.start({ appendonly: true })));
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    sample = await start();
  });
  afterEach(async () => {
    await Promise.all(samples.map(({ app }) => app.close()));
    samples = [];
  });
  afterAll(() => server.stop());

  describe('a session', () => {
    it('begins with a login and is over after the logout', async () => {
      const session = await sample.login();
      const me = await sample.send('get', '/me', session);
      expect(me.status).toBe(200);
      expect(me.body).toEqual({ id: 1, name: 'ada', loggedInAt: expect.stringMatching(/^\d{4}-.*Z$/) });
      expect((await sample.send('post', '/logout', session)).status).toBe(204);
      expect(await sample.statusOfMe(session)).toBe(401);
      expect((await sample.send('post', '/logout', session)).status).toBe(401);
    });

    it('has a new id of 256 bits at every login, also of somebody who brings one', async () => {
      const first = await sample.login();
      const again = await sample.send('post', '/login', first, { name: 'ada', password: 'lovelace' });
      expect(first).toMatch(/^[\w-]{43}$/);
      expect(again.body).toEqual({ sessionId: expect.stringMatching(/^[\w-]{43}$/) });
      expect(again.body).not.toEqual({ sessionId: first });
    });

    it('is shared by all instances, its end as well', async () => {
      const other = await start();
      const session = await sample.login();
      expect(await other.statusOfMe(session)).toBe(200);
      await other.send('post', '/logout', session);
      expect(await sample.statusOfMe(session)).toBe(401);
    });

    it('outlives the application', async () => {
      const session = await sample.login();
      await sample.app.close();
      expect(await (await start()).statusOfMe(session)).toBe(200);
    });

    it('gets its half hour again with a request', async () => {
      const session = await sample.login();
      await server.cli('PEXPIRE', `session:${session}`, 10 * MINUTE);
      expect(await sample.statusOfMe(session)).toBe(200);
      expect(await server.cli('PTTL', `session:${session}`)).toBeGreaterThan(29 * MINUTE);
    });

    it('is over twelve hours after its login, requests or not', async () => {
      const session = await sample.login();
      await server.cli('PEXPIRE', `session:${session}`, MINUTE);
      const { now } = Date;
      Date.now = () => now() + (12 * 60 - 5) * MINUTE;
      const status = await sample.statusOfMe(session).finally(() => void (Date.now = now));
      expect(status).toBe(200);
      const left = await server.cli('PTTL', `session:${session}`);
      expect(left).toBeGreaterThan(2 * MINUTE);
      expect(left).toBeLessThanOrEqual(5 * MINUTE);
    });

    it('that an older release wrote, or nobody, is no session, and spoils no list', async () => {
      const older = await CacheApp.start({ url: server.url, namespace: 'session' });
      await older.store.put(UNKNOWN, { user: 'ada' }, { tags: ['user:1'] });
      await older.close();
      expect(await sample.statusOfMe(UNKNOWN)).toBe(401);
      const { body } = await sample.send('get', '/sessions', await sample.login());
      expect(body).toHaveLength(1);
      await server.cli('SET', `session:${UNKNOWN}`, 'nothing of ours');
      expect(await sample.statusOfMe(UNKNOWN)).toBe(401);
    });
  });

  describe('a stranger', () => {
    it.each([
      ['a wrong password', { name: 'ada', password: 'builder1' }, 401],
      ['a name that nobody has', { name: 'eve', password: 'lovelace' }, 401],
      ['no password', { name: 'ada' }, 400],
      ['objects for strings', { name: { $ne: '' }, password: ['lovelace'] }, 400],
      ['an endless password', { name: 'ada', password: 'x'.repeat(50_000) }, 400],
      ['nothing', undefined, 400],
    ])('is not let in with %s', async (_, body, status) => {
      expect((await sample.send('post', '/login', '', body)).status).toBe(status);
      expect(await server.cli('DBSIZE')).toBe(0);
    });

    it.each([
      ['no session id', ''],
      ['one that was never issued', `Bearer ${UNKNOWN}`],
      ['another scheme', 'Basic YWRhOmxvdmVsYWNl'],
      ['an empty one', 'Bearer '],
      ['a pattern', 'Bearer *'],
      ['a long one', `Bearer ${'x'.repeat(5000)}`],
      ['one that is not ASCII', `Bearer ${'\u00fc'.repeat(43)}`],
      ['a key of another store', 'Bearer ../reset-token:1'],
      ['a property of every object', 'Bearer __proto__'],
    ])('gets 401 for %s', async (_, authorization) => {
      const { status } = await request(sample.app.getHttpServer()).get('/me').set('Authorization', authorization);
      expect(status).toBe(401);
    });

    it('gets 401 at every route that needs a session', async () => {
      const routes = [
        ['get', '/me'],
        ['post', '/logout'],
        ['get', '/sessions'],
        ['delete', '/sessions'],
        ['get', '/admin/sessions'],
      ] as const;
      for (const [method, path] of routes) expect((await sample.send(method, path)).status).toBe(401);
    });
  });

  describe('the sessions of a user', () => {
    it('are listed with too little of their ids to use them, and none of others', async () => {
      const [first, second] = [await sample.login(), await sample.login()];
      await sample.login('bob', 'builder1');
      const { body } = await sample.send('get', '/sessions', second);
      const common = { createdAt: expect.any(String), userAgent: 'a browser' };
      expect(body).toEqual([
        { id: first.slice(0, 8), current: false, ...common },
        { id: second.slice(0, 8), current: true, ...common },
      ]);
    });

    it('end everywhere but here', async () => {
      const [first, second, third] = [await sample.login(), await sample.login(), await sample.login()];
      const bobs = await sample.login('bob', 'builder1');
      const { body } = await sample.send('delete', '/sessions', second);
      expect(body).toEqual({ ended: 2 });
      for (const session of [first, third]) expect(await sample.statusOfMe(session)).toBe(401);
      for (const session of [second, bobs]) expect(await sample.statusOfMe(session)).toBe(200);
    });

    it('are counted by an administrator, and by nobody else', async () => {
      const [ada, bob] = [await sample.login(), await sample.login('bob', 'builder1')];
      expect((await sample.send('get', '/admin/sessions', bob)).status).toBe(403);
      const { body } = await sample.send('get', '/admin/sessions', ada);
      expect(body).toEqual({ count: 2, sessions: [ada, bob].map((id) => id.slice(0, 8)).toSorted() });
    });
  });

  describe('a password reset', () => {
    it('ends all sessions of the user, and the old password', async () => {
      const sessions = [await sample.login(), await sample.login()];
      const bobs = await sample.login('bob', 'builder1');
      expect(await sample.confirm(await sample.resetToken('ada'), 'analytical')).toBe(204);
      for (const session of sessions) expect(await sample.statusOfMe(session)).toBe(401);
      expect(await sample.statusOfMe(bobs)).toBe(200);
      expect((await sample.send('post', '/login', '', { name: 'ada', password: 'lovelace' })).status).toBe(401);
      expect(await sample.statusOfMe(await sample.login('ada', 'analytical'))).toBe(200);
    });

    it('works once, of two requests at once too, and voids the tokens asked for before', async () => {
      const [older, token] = [await sample.resetToken('ada'), await sample.resetToken('ada')];
      const statuses = await Promise.all([sample.confirm(token, 'analytical'), sample.confirm(token, 'difference')]);
      expect(statuses.toSorted((a, b) => a - b)).toEqual([204, 400]);
      expect(await sample.confirm(token, 'analytical')).toBe(400);
      expect(await sample.confirm(older, 'analytical')).toBe(400);
    });

    it('leaves a token usable whose new password was refused', async () => {
      const token = await sample.resetToken('ada');
      expect(await sample.confirm(token, 'short')).toBe(400);
      expect(await sample.confirm(token, 'analytical')).toBe(204);
    });

    it('tells nobody whether a name is known, and does nothing for an unknown one', async () => {
      const token = await sample.resetToken('eve');
      expect(token).toMatch(/^[\w-]{43}$/);
      for (const hostile of [token, UNKNOWN, '*', '', 'x'.repeat(5000)]) {
        expect(await sample.confirm(hostile, 'analytical')).toBe(400);
      }
    });

    it('also ends a session whose login was under way with the old password', async () => {
      const users = sample.app.get(Users);
      const authenticate = users.authenticate.bind(users);
      users.authenticate = async (name, password) => {
        const user = await authenticate(name, password);
        await users.changePassword(1, 'analytical');
        return user;
      };
      expect((await sample.send('post', '/login', '', { name: 'ada', password: 'lovelace' })).status).toBe(401);
      expect(await server.cli('KEYS', 'session:*')).toEqual([]);
    });

    it('hands out no token in production', async () => {
      const production = await start({ NODE_ENV: 'production' });
      const { status, body } = await production.send('post', '/password-reset', '', { name: 'ada' });
      expect(status).toBe(202);
      expect(body).toEqual({});
    });
  });

  // The last: it takes the server away, and brings it back.
  it('answers 503 with Retry-After while Redis is down, never 401, and knows its sessions afterwards', async () => {
    const session = await sample.login();
    await server.kill9();
    const answers = await Promise.all([
      sample.send('get', '/me', session),
      sample.send('get', '/me', UNKNOWN),
      sample.send('post', '/logout', session),
      sample.send('post', '/login', '', { name: 'ada', password: 'lovelace' }),
      sample.send('post', '/password-reset', '', { name: 'ada' }),
      sample.send('post', '/password-reset', '', { name: 'eve' }),
      sample.send('post', '/password-reset/confirm', '', { token: UNKNOWN, password: 'analytical' }),
    ]);
    for (const { status, headers, body } of answers) {
      expect({ status, body: body as unknown }).toEqual({
        status: 503,
        body: { statusCode: 503, message: 'Service Unavailable' },
      });
      expect(headers['retry-after']).toBe('1');
    }
    await server.restart();
    await eventually(async () => expect(await sample.statusOfMe(session)).toBe(200), { timeout: 15_000 });
  });
});
