import type { IncomingMessage } from 'node:http';
import { Body, Controller, Delete, Get, Module, Post, UseGuards } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { type OnGatewayConnection, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { CacheUnavailableFilter } from 'nestjs-redis-cache-store';
import {
  CurrentSession,
  Public,
  RequireFresh,
  type Session,
  SessionGuard,
  Sessions,
  SessionToken,
} from 'nestjs-redis-cache-store/auth';
import type { WebSocket } from 'ws';
import { AuthModule, Login } from './auth.js';
import { TooManyAttemptsFilter } from './too-many-attempts.filter.js';

@Controller('account')
export class AccountController {
  constructor(
    private readonly login: Login,
    private readonly sessions: Sessions,
  ) {}

  @Public()
  @Post('login')
  async signIn(@Body() { name, password }: { name: string; password: string }) {
    return { token: await this.login.signIn(name, password, 'browser') };
  }

  @Get('devices')
  async devices(@CurrentSession() { subject }: Session) {
    const sessions = subject === null ? [] : await this.sessions.list(subject);
    return sessions.map(({ id, about, lastSeenAt }) => ({ id, about, lastSeenAt }));
  }

  /** For clients that have logged in within the last five minutes. */
  @RequireFresh('5m')
  @Delete('devices')
  async signOutElsewhere(@SessionToken() token: string) {
    return { ended: await this.sessions.revokeOthers(token) };
  }
}

// An APP_GUARD of Nest 12 covers gateways, one of Nest 11 does not.
@UseGuards(SessionGuard)
@WebSocketGateway()
export class NewsGateway implements OnGatewayConnection {
  constructor(private readonly sessions: Sessions) {}

  /** With the ws adapter. Socket.IO gives no request: `bind(client)`. */
  async handleConnection(client: WebSocket, request: IncomingMessage): Promise<void> {
    await this.sessions.bind(client, request);
  }

  @SubscribeMessage('whoami')
  whoami(@CurrentSession() { subject }: Session) {
    return { event: 'you', data: subject };
  }
}

@Module({
  imports: [AuthModule],
  controllers: [AccountController],
  providers: [
    Login, // which needs a provider of Users
    NewsGateway,
    { provide: APP_GUARD, useClass: SessionGuard },
    { provide: APP_FILTER, useClass: CacheUnavailableFilter },
    { provide: APP_FILTER, useClass: TooManyAttemptsFilter },
  ],
})
export class AccountModule {}
