import { Controller, ForbiddenException, Get, UseGuards } from '@nestjs/common';
import { RedisCacheStore } from 'nestjs-redis-cache-store';
import { CurrentSession, SessionGuard } from './session.guard.js';
import { shortened } from './session.js';
import type { OwnSession, Session } from './session.js';
import { Users } from './users.js';

@Controller('admin')
@UseGuards(SessionGuard)
export class AdminController {
  constructor(
    private readonly sessions: RedisCacheStore<Session>,
    private readonly users: Users,
  ) {}

  /** Everybody's. Not even an administrator is shown a whole session id: whoever has it is logged in with it. */
  @Get('sessions')
  async list(@CurrentSession() { userId }: OwnSession) {
    if (!this.users.find(userId)?.isAdmin) throw new ForbiddenException();
    const ids = await this.sessions.keys();
    return { count: ids.length, sessions: ids.map(shortened) };
  }
}
