import type { IncomingMessage } from 'node:http';
import { Injectable, UnauthorizedException } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { CacheCorruptError, RedisCacheStore } from 'nestjs-redis-cache-store';

export interface Session {
  userId: number;
  createdAt: Date;
}

@Injectable()
export class SessionGuard implements CanActivate {
  constructor(private readonly sessions: RedisCacheStore) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<IncomingMessage & { session?: Session }>();
    const id = /^Bearer ([\w-]{43})$/.exec(request.headers.authorization ?? '')?.[1];
    const session = id && (await this.sessions.get<Session>(id).catch(onlyCorrupt));
    if (!session) throw new UnauthorizedException();
    request.session = session;
    return true;
  }
}

/** A record that cannot be read is no session. An outage is an outage: it passes through and becomes a 503. */
function onlyCorrupt(error: unknown): undefined {
  if (!(error instanceof CacheCorruptError)) throw error;
}
