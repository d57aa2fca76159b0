import type { Adapter, AdapterSession, AdapterUser, VerificationToken } from '@auth/core/adapters';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';

/** Users and their accounts stay in the database of the application. */
export type Users = Omit<Adapter, 'createSession' | 'getSessionAndUser' | 'updateSession' | 'deleteSession'> & {
  getUser(id: string): Promise<AdapterUser | null>;
};

/** Sessions and verification tokens of Auth.js, each in a scope of one store. */
export function authJsAdapter(store: RedisCacheStore, users: Users): Adapter {
  const sessions = store.scope('session');
  const tokens = store.scope('token');
  const options = ({ userId, expires }: AdapterSession) => ({ expiresAt: expires, tags: [`user:${userId}`] });
  return {
    ...users,
    async createSession(session) {
      await sessions.put(session.sessionToken, session, options(session));
      return session;
    },
    async getSessionAndUser(sessionToken) {
      const session = await sessions.get<AdapterSession>(sessionToken);
      const user = session && (await users.getUser(session.userId));
      return session && user ? { session, user } : null;
    },
    async updateSession(changes) {
      const { expires } = changes;
      const change = (session: AdapterSession) => ({ ...session, ...changes });
      // One step, so that a session that was deleted meanwhile stays deleted.
      return sessions.update(changes.sessionToken, change, expires && { expiresAt: expires });
    },
    async deleteSession(sessionToken) {
      await sessions.delete(sessionToken);
    },
    async createVerificationToken(token) {
      await tokens.put(`${token.identifier}:${token.token}`, token, { expiresAt: token.expires });
      return token;
    },
    // Redeemed at most once, whoever asks at the same time.
    async useVerificationToken({ identifier, token }) {
      return (await tokens.take<VerificationToken>(`${identifier}:${token}`)) ?? null;
    },
  };
}

/** "Sign out everywhere". */
export async function endSessions(store: RedisCacheStore, userId: string): Promise<number> {
  return store.scope('session').deleteByTag(`user:${userId}`);
}
