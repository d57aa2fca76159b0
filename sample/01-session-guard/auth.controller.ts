import {
  Body,
  Controller,
  Delete,
  Get,
  Headers,
  HttpCode,
  HttpStatus,
  Post,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { RedisCacheStore } from 'nestjs-redis-cache-store';
import { z } from 'zod';
import { CurrentSession, SessionGuard } from './session.guard.js';
import { newSecret, shortened, userTag } from './session.js';
import type { OwnSession, Session } from './session.js';
import { Users } from './users.js';

const credentials = z.object({ name: z.string().max(100), password: z.string().max(200) });

@Controller()
export class AuthController {
  constructor(
    private readonly sessions: RedisCacheStore<Session>,
    private readonly users: Users,
  ) {}

  /** Always under a new id: one that somebody slipped the browser before the login is worth nothing after it. */
  @Post('login')
  async login(
    @Body({ schema: credentials }) { name, password }: z.infer<typeof credentials>,
    @Headers('user-agent') userAgent = 'unknown',
  ) {
    const user = await this.users.authenticate(name, password);
    if (!user) throw new UnauthorizedException();
    const sessionId = newSecret();
    const session = { userId: user.id, createdAt: new Date(), userAgent: userAgent.slice(0, 200) };
    await this.sessions.put(sessionId, session, { tags: [userTag(user.id)] });

    // A password reset may have ended all sessions since we checked the old password, too early for this one.
    if (this.users.find(user.id) !== user) {
      await this.sessions.delete(sessionId);
      throw new UnauthorizedException();
    }
    return { sessionId };
  }

  @Get('me')
  @UseGuards(SessionGuard)
  me(@CurrentSession() { userId, createdAt }: OwnSession) {
    const user = this.users.find(userId);
    if (!user) throw new UnauthorizedException();
    return { id: user.id, name: user.name, loggedInAt: createdAt };
  }

  /** Once this is answered the session is gone; a request in flight does not bring it back. */
  @Post('logout')
  @UseGuards(SessionGuard)
  @HttpCode(HttpStatus.NO_CONTENT)
  async logout(@CurrentSession() { id }: OwnSession) {
    await this.sessions.delete(id);
  }

  @Get('sessions')
  @UseGuards(SessionGuard)
  async list(@CurrentSession() own: OwnSession) {
    const list = [];
    for await (const [id, { createdAt, userAgent }] of this.sessions.entries({ tag: userTag(own.userId) })) {
      list.push({ id: shortened(id), createdAt, userAgent, current: id === own.id });
    }
    return list.toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime());
  }

  /** Signs out everywhere but here. */
  @Delete('sessions')
  @UseGuards(SessionGuard)
  async endOthers(@CurrentSession() own: OwnSession) {
    const ids = await this.sessions.keys({ tag: userTag(own.userId) });
    return { ended: await this.sessions.deleteMany(ids.filter((id) => id !== own.id)) };
  }
}
