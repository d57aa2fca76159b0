import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Global, type INestApplication, Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { WsAdapter } from '@nestjs/platform-ws';
import { Test, type TestingModule } from '@nestjs/testing';
import { RedisCacheModule } from 'nestjs-redis-cache-store';
import { RefreshTokens, Sessions, TooManyAttemptsError } from 'nestjs-redis-cache-store/auth';
import request from 'supertest';
import { WebSocket } from 'ws';
import { AccountModule } from './auth-http.js';
import { AuthModule, Login, MailCodes, MobileTokens, Users } from './auth.js';

const users: Users = { verify: async (name, password) => (password === 'right' ? { id: `id of ${name}` } : undefined) };

process.env['CODE_SECRET'] = randomBytes(32).toString('base64');

@Global()
@Module({ providers: [{ provide: Users, useValue: users }], exports: [Users] })
class UsersModule {}

@Module({
  imports: [ConfigModule.forRoot({ isGlobal: true }), UsersModule, AuthModule],
  providers: [Login, MobileTokens, MailCodes],
})
class App {}

describe('the recipes of docs/auth.md', () => {
  let module: TestingModule;
  beforeEach(async () => {
    const root = RedisCacheModule.forRoot({ url: 'memory:', ttl: '1h' });
    module = await Test.createTestingModule({ imports: [root, App] })
      .setLogger({ log() {}, warn() {}, error() {} })
      .compile();
    await module.init();
  });
  afterEach(() => module.close());
  const get = <T>(type: new (...args: never[]) => T) => module.get<T>(type, { strict: false });

  it('a login gives the session of a visitor a new token and subject, and bounds the attempts', async () => {
    const sessions = get(Sessions);
    const visitor = await sessions.create(null, { cart: ['book'] });
    const token = await get(Login).signIn('Ann', 'right', 'phone', visitor.token);
    expect(await sessions.get(token)).toMatchObject({ subject: 'id of Ann', data: { cart: ['book'] } });
    expect(await sessions.get(visitor.token)).toBeUndefined();
    expect(await sessions.get(await get(Login).signIn('Ann', 'right', 'phone'))).toMatchObject({
      about: { device: 'phone' },
    });
    for (let i = 0; i < 10; i++) await expect(get(Login).signIn('bob', 'wrong', 'x')).rejects.toThrow('Unauthorized');
    await expect(get(Login).signIn(' BOB', 'right', 'x')).rejects.toThrow(TooManyAttemptsError);
  });

  it('a change of the password needs a fresh session, and signs the others out', async () => {
    const [token, other] = [await get(Login).signIn('Ann', 'right', 'a'), await get(Login).signIn('Ann', 'right', 'b')];
    const changed: string[] = [];
    await get(Login).changePassword(token, async (id) => void changed.push(id));
    expect(changed).toEqual(['id of Ann']);
    expect(await get(Sessions).get(other)).toBeUndefined();
    await expect(get(Login).changePassword(other, async () => undefined)).rejects.toThrow('Unauthorized');
  });

  it('a client exchanges its refresh token, and a used one is refused', async () => {
    const first = await get(RefreshTokens).issue('user:42', { scope: 'read' });
    const next = await get(MobileTokens).refresh(first);
    expect(next).toMatchObject({ userId: 'user:42', scope: 'read' });
    expect((await get(MobileTokens).refresh(first)).refreshToken).toBe(next.refreshToken);
    await get(MobileTokens).refresh(next.refreshToken);
    await expect(get(MobileTokens).refresh(first)).rejects.toThrow('Unauthorized');
  });

  it('a code by mail is good once, for the client that asked for it', async () => {
    const mails: string[] = [];
    await get(MailCodes).send('ann@example.com', 'cookie', async (code) => void mails.push(code));
    const [code = ''] = mails;
    await expect(get(MailCodes).check('ann@example.com', 'other', code)).rejects.toThrow('wrong or has expired');
    await get(MailCodes).check('ann@example.com', 'cookie', code);
    await expect(get(MailCodes).check('ann@example.com', 'cookie', code)).rejects.toThrow('wrong or has expired');
    expect(await get(MailCodes).resetLink('user:42')).toMatch(/token=[\w-]{43}$/);
  });
});

describe('the recipe of the guard', () => {
  let app: INestApplication;
  beforeAll(async () => {
    const root = RedisCacheModule.forRoot({ url: 'memory:', ttl: '1h' });
    const imports = [ConfigModule.forRoot({ isGlobal: true }), root, UsersModule, AccountModule];
    app = (await Test.createTestingModule({ imports }).compile()).createNestApplication({ logger: false });
    app.useWebSocketAdapter(new WsAdapter(app));
    await app.listen(0, '127.0.0.1');
  });
  afterAll(() => app.close());
  const http = () => request(app.getHttpServer());
  const signIn = async (name: string) => {
    const { body } = await http().post('/account/login').send({ name, password: 'right' }).expect(201);
    return { authorization: `Bearer ${(body as { token: string }).token}` };
  };

  it('lets in whoever is signed in, and shows the devices', async () => {
    await http().get('/account/devices').expect(401);
    const { body } = await http()
      .get('/account/devices')
      .set(await signIn('Ann'))
      .expect(200);
    expect(body).toMatchObject([{ about: { device: 'browser' } }]);
  });

  it('answers too many attempts with 429, and says when to come back', async () => {
    const tried = () => http().post('/account/login').send({ name: 'Bob', password: 'wrong' });
    for (let i = 0; i < 10; i++) await tried().expect(401);
    const { status, headers } = await tried();
    expect([status, headers['retry-after']]).toEqual([429, '60']);
  });

  it('closes the socket of a session that another device ends', async () => {
    const [phone, laptop] = [await signIn('Eve'), await signIn('Eve')];
    const socket = new WebSocket((await app.getUrl()).replace('http', 'ws'), { headers: phone });
    const closed = once(socket, 'close');
    await once(socket, 'open');
    socket.send(JSON.stringify({ event: 'whoami' }));
    const [message] = (await once(socket, 'message')) as [Buffer];
    expect(JSON.parse(message.toString())).toEqual({ event: 'you', data: 'id of Eve' });
    await http().delete('/account/devices').set(laptop).expect(200, { ended: 1 });
    expect((await closed)[0]).toBe(1008);
  });
});
