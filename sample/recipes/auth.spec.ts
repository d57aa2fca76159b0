import { randomBytes } from 'node:crypto';
import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { Test, type TestingModule } from '@nestjs/testing';
import { RedisCacheModule } from 'nestjs-redis-cache-store';
import { RefreshTokens, Sessions, TooManyAttemptsError } from 'nestjs-redis-cache-store/auth';
import { AuthModule, Login, MailCodes, MobileTokens, Users } from './auth.js';

const users: Users = { verify: async (name, password) => (password === 'right' ? { id: `id of ${name}` } : undefined) };

process.env['CODE_SECRET'] = randomBytes(32).toString('base64');

@Module({
  imports: [ConfigModule.forRoot({ isGlobal: true }), AuthModule],
  providers: [Login, MobileTokens, MailCodes, { provide: Users, useValue: users }],
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
