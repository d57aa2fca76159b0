import { Auth, type AuthConfig } from '@auth/core';
import type { AdapterUser } from '@auth/core/adapters';
import { CacheUnavailableError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { Stage } from '../../test/support/stage.js';
import { authJsAdapter, endSessions, type Users } from './auth-js.js';

const ANN: AdapterUser = { id: '42', email: 'ann@example.org', emailVerified: null, name: 'Ann' };
const unused = () => Promise.reject(new Error('the tests create and link no users'));
/** The database of the application. Auth.js looks at boot whether all of it is there. */
const users: Users = {
  getUser: async (id) => (id === ANN.id ? ANN : null),
  getUserByEmail: async () => null,
  getUserByAccount: async () => null,
  createUser: unused,
  updateUser: unused,
  linkAccount: unused,
};

describe('the recipe for Auth.js', () => {
  let stage: Stage;
  let store: RedisCacheStore;

  beforeAll(async () => {
    stage = await Stage.redis();
  });
  beforeEach(async () => {
    store = await stage.open({ ttl: '1d' });
  });
  afterEach(() => stage.clean());
  afterAll(() => stage.stop());

  const open = () => authJsAdapter(store, users);
  const inAnHour = () => new Date(Date.now() + 3_600_000);
  const begin = (sessionToken: string) => open().createSession?.({ sessionToken, userId: ANN.id, expires: inAnHour() });

  it('gives a session with its user, until it is deleted or over', async () => {
    const session = await begin('a');
    expect(await open().getSessionAndUser?.('a')).toEqual({ session, user: ANN });
    await open().deleteSession?.('a');
    expect(await open().getSessionAndUser?.('a')).toBeNull();
    await begin('b');
    await stage.pass(3_600_001);
    expect(await open().getSessionAndUser?.('b')).toBeNull();
  });

  it('extends a session, and none that was deleted', async () => {
    await begin('a');
    const expires = new Date(Date.now() + 7_200_000);
    expect(await open().updateSession?.({ sessionToken: 'a', expires })).toMatchObject({ userId: ANN.id, expires });
    await stage.pass(3_600_001);
    expect(await open().getSessionAndUser?.('a')).not.toBeNull();
    await open().deleteSession?.('a');
    expect(await open().updateSession?.({ sessionToken: 'a', expires })).toBeUndefined();
    expect(await open().getSessionAndUser?.('a')).toBeNull();
  });

  it('redeems a verification token once, of any number of callers', async () => {
    const token = { identifier: 'ann@example.org', token: 'secret', expires: inAnHour() };
    await open().createVerificationToken?.(token);
    const used = await Promise.all(Array.from({ length: 20 }, () => open().useVerificationToken?.(token)));
    expect(used.filter((each) => each !== null)).toEqual([token]);
  });

  it('ends all sessions of a user', async () => {
    for (const id of ['a', 'b', 'c']) await begin(id);
    expect(await endSessions(store, ANN.id)).toBe(3);
    expect(await open().getSessionAndUser?.('a')).toBeNull();
  });

  it('is what Auth.js looks sessions up in', async () => {
    const config: AuthConfig = {
      adapter: open(),
      session: { strategy: 'database' },
      providers: [],
      secret: 'a secret of the tests',
      trustHost: true,
      logger: { error: () => undefined },
    };
    const ask = async (token: string) => {
      const headers = { cookie: `authjs.session-token=${token}` };
      const answer = await Auth(new Request('http://localhost/auth/session', { headers }), config);
      return (await answer.json()) as { user?: { email: string } } | null;
    };
    await begin('a');
    expect((await ask('a'))?.user?.email).toBe(ANN.email);
    expect(await ask('b')).toBeNull();
  });

  it('passes an outage on', async () => {
    const own = await Stage.redis();
    try {
      const adapter = authJsAdapter(await own.open({ timeout: '500ms' }), users);
      await own.server.kill9();
      await expect(adapter.getSessionAndUser?.('a')).rejects.toThrow(CacheUnavailableError);
    } finally {
      await own.stop();
    }
  });
});
