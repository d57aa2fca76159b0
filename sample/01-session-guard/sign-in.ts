import { Injectable } from '@nestjs/common';
import { AttemptLimiter, TooManyAttemptsError } from 'nestjs-redis-cache-store/auth';
import { z } from 'zod';
import { Users } from './users.js';
import type { User } from './users.js';

export const credentials = z.object({ name: z.string().max(100), password: z.string().max(200) });

/** Checks passwords, and not without end: ten wrong ones for a name, or from an address, lock it for a while. */
@Injectable()
export class SignIn {
  constructor(
    private readonly users: Users,
    private readonly attempts: AttemptLimiter,
  ) {}

  /** @throws TooManyAttemptsError */
  async check(name: string, password: string, address: string): Promise<User | undefined> {
    const keys = [`name:${name.trim().toLowerCase()}`, `address:${address}`];
    // Counted before the password is looked at: of a hundred guesses at once, ten are looked at.
    for (const key of keys) {
      const { allowed, retryAfter } = await this.attempts.hit(key);
      if (!allowed) throw new TooManyAttemptsError(retryAfter);
    }
    const user = await this.users.authenticate(name, password);
    if (user) await Promise.all(keys.map((key) => this.attempts.reset(key)));
    return user;
  }
}
