import { type ExecutionContext, UnauthorizedException } from '@nestjs/common';
import { APP_GUARD, Reflector } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { Test } from '@nestjs/testing';
import { RedisCacheModule } from 'nestjs-redis-cache-store';
import {
  getSessionsToken,
  RedisCacheAuthModule,
  RequireFresh,
  type Session,
  SessionGuard,
  SessionGuardFor,
  type Sessions,
  type SessionsOptions,
} from 'nestjs-redis-cache-store/auth';
import { SILENT } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { AdminController, GuardStage, OPTIONS, SharedController } from './guard-stage.js';

describe('SessionGuard', () => {
  let stage: GuardStage;

  beforeAll(async () => (stage = await GuardStage.start()));
  afterAll(() => stage.stop());
  afterEach(() => stage.close());

  async function start(options: Partial<SessionsOptions> = {}, { fastify = false, metadata = {} } = {}): Promise<void> {
    await stage.open(options, metadata, fastify);
    await stage.listen();
  }

  describe.each([
    ['Express', false],
    ['Fastify', true],
  ])('on %s', (_, fastify) => {
    it('lets in who has a session, and gives it to the handler', async () => {
      await start({}, { fastify });
      const token = await stage.login();
      const { status, body } = await stage.http.post('/note').set('Authorization', `Bearer ${token}`);
      expect([status, body]).toEqual([201, { subject: 'ann', token }]);
    });

    it.each([
      ['no token', {}],
      ['a token of nobody', { Authorization: `Bearer ${'a'.repeat(43)}` }],
      ['a malformed token', { Authorization: 'Bearer a' }],
      ['another scheme', { Authorization: `Basic ${'a'.repeat(43)}` }],
    ])('answers 401 with a challenge to %s', async (__, headers) => {
      await start({}, { fastify });
      const { status, header } = await stage.http.get('/me').set(headers);
      expect([status, header['www-authenticate']]).toEqual([401, 'Bearer']);
    });

    it('asks for a new login where the last one is too long ago, as RFC 9470 has it', async () => {
      await start({}, { fastify });
      const token = await stage.login();
      const password = () => stage.http.post('/password').set('Authorization', `Bearer ${token}`);
      expect((await password()).status).toBe(201);
      await eventually(async () => {
        const { status, header } = await stage.http.post('/transfer').set('Authorization', `Bearer ${token}`);
        expect(status).toBe(401);
        expect(header['www-authenticate']).toMatch(/^Bearer error="insufficient_user_authentication", .*max_age=1$/);
      });
    });
  });

  it('lets everybody in to a handler or a class that is public, without asking Redis', async () => {
    await start();
    const redis = stage.server.client();
    await redis.call('CONFIG', 'RESETSTAT');
    expect((await stage.http.get('/public')).text).toBe('everybody');
    expect((await stage.http.post('/login')).body).toEqual({ session: null, token: null });
    const stats = await redis.info('commandstats');
    redis.disconnect();
    expect(stats).not.toMatch(/cmdstat_(get|getrange|mget):/);
  });

  it('hands the token to a public handler, for the change of the token at a login', async () => {
    await start();
    const { token } = await stage.sessions.create(null, {});
    const { body } = await stage.http.post('/login').set('Authorization', `Bearer ${token}`);
    expect(body.token).toBe(token);
  });

  it('answers 401 once the session has been revoked', async () => {
    await start();
    const token = await stage.login();
    const me = () => stage.http.get('/me').set('Authorization', `Bearer ${token}`);
    expect((await me()).status).toBe(200);
    await stage.sessions.revokeToken(token);
    expect((await me()).status).toBe(401);
  });

  it('lets an outage through to the filter: it is no 401', async () => {
    await start();
    const token = await stage.login();
    await stage.server.freeze();
    try {
      const { status, header } = await stage.http.get('/me').set('Authorization', `Bearer ${token}`);
      expect([status, header['retry-after']]).toEqual([503, '1']);
    } finally {
      await stage.server.thaw();
    }
  });

  it('answers 401 to a record that it cannot read, and logs that once a minute, whichever instance of it', async () => {
    await start();
    const token = await stage.login();
    const { id } = (await stage.sessions.list('ann'))[0] as Session;
    const redis = stage.server.client();
    await redis.set(`session:${id}`, 'no record');
    redis.disconnect();
    for (let i = 0; i < 3; i++) {
      expect((await stage.http.get('/me').set('Authorization', `Bearer ${token}`)).status).toBe(401);
    }
    // As Nest makes one for each module that uses it.
    const another = new SessionGuard(stage.sessions, stage.app.get(Reflector));
    const args = [{ headers: { authorization: `Bearer ${token}` } }, { header() {} }];
    const context = new ExecutionContextHost(args, Object, () => undefined);
    await expect(another.canActivate(context)).rejects.toThrow(UnauthorizedException);
    const lines = stage.errors.filter((line) => line.includes('a session cannot be read'));
    expect(lines).toHaveLength(1);
    expect(stage.errors.join()).not.toContain(token);
  });

  it('keeps sessions of different names apart, and handlers that are public for one of them', async () => {
    await start({}, { metadata: { controllers: [AdminController] } });
    const admins = stage.app.get<Sessions>(getSessionsToken('admin'));
    const { token } = await admins.create('root', {});
    expect((await stage.http.get('/admin').set('Authorization', `Bearer ${token}`)).body).toEqual({ subject: 'root' });
    expect((await stage.http.get('/admin').set('Authorization', `Bearer ${await stage.login()}`)).status).toBe(401);
    expect((await stage.http.get('/admin')).status).toBe(401);
    expect((await stage.http.get('/admin/login')).text).toBe('everybody');
    expect(SessionGuardFor('admin')).toBe(SessionGuardFor('admin'));
  });

  it('gives a handler the session of the guard that it is not public for, in whichever order guards run', async () => {
    const guards = [SessionGuard, SessionGuardFor('admin')];
    for (const order of [guards, guards.toReversed()]) {
      const providers = order.map((useClass) => ({ provide: APP_GUARD, useClass }));
      await start({}, { metadata: { controllers: [SharedController], providers } });
      const { token } = await stage.app.get<Sessions>(getSessionsToken('admin')).create('root', {});
      const asked = async (path: string, bearer: string) =>
        (await stage.http.get(path).set('Authorization', `Bearer ${bearer}`)).body as unknown;
      expect(await asked('/shared/account', await stage.login())).toEqual({ subject: 'ann' });
      expect(await asked('/shared/admin', token)).toEqual({ subject: 'root' });
      await stage.close();
    }
    await start();
  });

  it('takes the token from where a function finds it', async () => {
    const from = (context: ExecutionContext) => context.switchToHttp().getRequest<Request>().headers['x-session'];
    await start({ from });
    expect((await stage.http.get('/me').set('X-Session', await stage.login())).status).toBe(200);
    expect((await stage.http.get('/me')).status).toBe(401);
  });

  it('refuses a step-up that no duration says', () => {
    expect(() => RequireFresh('soon')).toThrow(/RequireFresh: /);
  });

  it.each([
    [{ cookie: 'a b' }, /sessions\.from\.cookie/],
    [{ cookie: 'sid', origins: ['https://a.example/'] }, /sessions\.from\.origins/],
    [{ cookie: 'sid', origin: 'https://a.example' }, /origin/],
    ['header', /sessions\.from/],
  ])('refuses %j as the place of the token', async (from, message) => {
    const options = { ...OPTIONS, from: from as SessionsOptions['from'] };
    const imports = [
      RedisCacheModule.forRoot({ url: 'memory:', ttl: '1h' }),
      RedisCacheAuthModule.forFeature({ sessions: options }),
    ];
    await expect(Test.createTestingModule({ imports }).setLogger(SILENT).compile()).rejects.toThrow(message);
    await start();
  });
});

type Request = { headers: Record<string, string | undefined> };
