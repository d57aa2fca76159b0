import { Controller, Get } from '@nestjs/common';
import { CurrentSession, type Session } from 'nestjs-redis-cache-store/auth';
import { Users } from './users.js';

/** For the scripts of a page, which want a 401 and no login page. */
@Controller('me')
export class MeController {
  constructor(private readonly users: Users) {}

  @Get()
  me(@CurrentSession() { subject, authenticatedAt }: Session) {
    return { name: this.users.findById(subject)?.name, authenticatedAt };
  }
}
