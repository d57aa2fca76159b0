import type { IncomingMessage } from 'node:http';
import { createParamDecorator, Injectable, UnauthorizedException } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { RedisCacheStore } from 'nestjs-redis-cache-store';
import { SECRET } from './session.js';
import type { OwnSession, Session } from './session.js';

type SessionRequest = IncomingMessage & { session?: OwnSession };

/** Lets requests pass that carry a session: `Authorization: Bearer <session id>`. */
@Injectable()
export class SessionGuard implements CanActivate {
  constructor(private readonly sessions: RedisCacheStore<Session>) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<SessionRequest>();
    const [scheme, id = ''] = request.headers.authorization?.split(' ') ?? [];
    if (scheme?.toLowerCase() !== 'bearer' || !SECRET.test(id)) throw new UnauthorizedException();

    // undefined means one thing: there is no such session. An outage throws, and CacheUnavailableFilter answers 503.
    const session = await this.sessions.get(id);
    if (session === undefined) throw new UnauthorizedException();
    request.session = { ...session, id };
    return true;
  }
}

/** The session that SessionGuard found. */
export const CurrentSession = createParamDecorator(
  (_: unknown, context: ExecutionContext) => context.switchToHttp().getRequest<SessionRequest>().session,
);
