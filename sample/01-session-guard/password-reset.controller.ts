import { BadRequestException, Body, Controller, HttpCode, HttpStatus, Post } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import { InjectCacheStore, RedisCacheStore } from 'nestjs-redis-cache-store';
import { z } from 'zod';
import { newSecret, SECRET, userTag } from './session.js';
import type { Session } from './session.js';
import { Users } from './users.js';

interface ResetToken {
  /** `null`: asked for with a name that nobody has. */
  userId: number | null;
}

const request = z.object({ name: z.string().max(100) });
const confirmation = z.object({ token: z.string().regex(SECRET), password: z.string().min(8).max(200) });

@Controller('password-reset')
export class PasswordResetController {
  constructor(
    @InjectCacheStore('reset-token') private readonly tokens: RedisCacheStore<ResetToken>,
    private readonly sessions: RedisCacheStore<Session>,
    private readonly users: Users,
    private readonly config: ConfigService,
  ) {}

  /** The same work and answer for every name, outages included: nobody learns here who has an account. */
  @Post()
  @HttpCode(HttpStatus.ACCEPTED)
  async request(@Body({ schema: request }) { name }: z.infer<typeof request>) {
    const token = newSecret();
    const userId = this.users.findByName(name)?.id ?? null;
    await this.tokens.put(token, { userId }, { tags: [userTag(userId ?? 0)] });
    // A real application sends it by mail.
    return this.config.get('NODE_ENV') === 'production' ? {} : { token };
  }

  @Post('confirm')
  @HttpCode(HttpStatus.NO_CONTENT)
  async confirm(@Body({ schema: confirmation }) { token, password }: z.infer<typeof confirmation>) {
    // Of two requests with the same token, however close together, one gets the record.
    const userId = (await this.tokens.take(token))?.userId ?? null;
    if (userId === null) throw new BadRequestException('The token is unknown, used or expired');
    await this.users.changePassword(userId, password);
    // Whoever knew the old password is out, and so is every other token that was asked for.
    await this.sessions.deleteByTag(userTag(userId));
    await this.tokens.deleteByTag(userTag(userId));
  }
}
