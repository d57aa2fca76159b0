import { Injectable, UnauthorizedException } from '@nestjs/common';
import { RedisCacheStore } from 'nestjs-redis-cache-store';

export interface CartSession {
  userId: number;
  cart: Map<string, number>;
}

@Injectable()
export class Cart {
  constructor(private readonly sessions: RedisCacheStore) {}

  /**
   * Two requests of one session at the same moment: both articles end up in the cart. And a request that is still
   * running when the user logs out does not bring the session back.
   */
  async add(sessionId: string, article: string): Promise<CartSession> {
    const session = await this.sessions.update<CartSession>(sessionId, (current) => {
      // Runs again, on the newer session, if another request was faster; so it only computes.
      const count = current.cart.get(article) ?? 0;
      return { ...current, cart: new Map(current.cart).set(article, count + 1) };
    });
    if (session === undefined) throw new UnauthorizedException();
    return session;
  }
}
