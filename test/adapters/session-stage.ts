import type { INestApplication } from '@nestjs/common';
import { Controller, Get, Post, Query, Req } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import session, { type Session, type SessionData, type Store } from 'express-session';
import { CacheUnavailableFilter, RedisCacheModule, type RedisCacheModuleOptions } from 'nestjs-redis-cache-store';
import supertest from 'supertest';
import { SILENT } from '../support/cache-app.js';
import type { Gate } from '../support/gate.js';

interface SessionRequest {
  session: Session & SessionData & { user?: string; visits?: number };
  sessionID: string;
}

@Controller()
export class SessionController {
  /** A request of `/slow` arrives, and waits until it may leave. */
  static arrived: Gate<void>;
  static leave: Gate<void>;

  @Get()
  show(@Req() { session: { user, visits } }: SessionRequest) {
    return { user, visits };
  }

  @Post('visit')
  visit(@Req() { session: found }: SessionRequest) {
    found.visits = (found.visits ?? 0) + 1;
    return { visits: found.visits };
  }

  @Post('slow')
  async slow(@Req() { session: found }: SessionRequest) {
    SessionController.arrived.open();
    await SessionController.leave.promise;
    found.visits = 1000;
    return {};
  }

  @Post('login')
  async login(@Req() request: SessionRequest, @Query('user') user: string) {
    await new Promise<void>((resolve, reject) => {
      request.session.regenerate((error?: Error) => (error ? reject(error) : resolve()));
    });
    request.session.user = user;
    return {};
  }

  @Post('logout')
  async logout(@Req() request: SessionRequest) {
    await new Promise((resolve) => request.session.destroy(resolve));
    return {};
  }
}

export const COOKIE_AGE = 60 * 60 * 1000;
export const SECRET = 'a secret of the tests';

/** An instance of an application with express-session, whose sessions lie in `makeStore`'s store. */
export async function startSessions(
  options: RedisCacheModuleOptions,
  makeStore: (app: INestApplication) => Store,
  cookie: session.CookieOptions = { maxAge: COOKIE_AGE },
): Promise<NestExpressApplication> {
  const module = await Test.createTestingModule({
    imports: [RedisCacheModule.forRoot({ timeout: '10s', ttl: '1h', namespace: 'sess', ...options })],
    controllers: [SessionController],
    providers: [{ provide: APP_FILTER, useClass: CacheUnavailableFilter }],
  })
    .setLogger(SILENT)
    .compile();
  const app = module.createNestApplication<NestExpressApplication>();
  app.use(session({ store: makeStore(app), secret: SECRET, resave: false, saveUninitialized: false, cookie }));
  return app.init();
}

/** A browser, which sends its cookie to whichever instance it asks. */
export class Browser {
  cookie = '';

  get id(): string {
    return /=s%3A([^.]+)\./.exec(this.cookie)?.[1] ?? '';
  }

  async ask(app: INestApplication, method: 'get' | 'post', path: string) {
    const answer = await supertest(app.getHttpServer())[method](path).set('Cookie', this.cookie);
    const [cookie] = (answer.headers['set-cookie'] ?? []) as string[];
    if (cookie !== undefined) this.cookie = cookie.split(';')[0] ?? '';
    return {
      status: answer.status,
      body: answer.body as Record<string, unknown>,
      retryAfter: answer.headers['retry-after'],
    };
  }
}
