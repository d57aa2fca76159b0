import { Controller, Delete, Get, Logger, type ModuleMetadata, Post, UseGuards } from '@nestjs/common';
import type { INestApplication } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { CacheUnavailableFilter, RedisCacheModule } from 'nestjs-redis-cache-store';
import {
  CurrentSession,
  Public,
  RedisCacheAuthModule,
  RequireFresh,
  type Session,
  SessionGuard,
  SessionGuardFor,
  Sessions,
  type SessionsOptions,
  SessionToken,
} from 'nestjs-redis-cache-store/auth';
import request from 'supertest';
import { RedisServer } from '../support/redis-server.js';

export const OPTIONS: SessionsOptions = { namespace: 'session', idle: '30m', absolute: '12h' };
export const NAMED: SessionsOptions = { ...OPTIONS, namespace: 'admin', name: 'admin' };

@Controller()
class AccountController {
  @Get('me')
  me(@CurrentSession() session: Session) {
    return { subject: session.subject };
  }

  @Post('note')
  note(@CurrentSession() session: Session, @SessionToken() token: string) {
    return { subject: session.subject, token };
  }

  @Delete('note')
  remove() {
    return 'removed';
  }

  @RequireFresh('5m')
  @Post('password')
  password() {
    return 'changed';
  }

  @Public()
  @Post('login')
  login(@CurrentSession() session: Session | undefined, @SessionToken() token: string | undefined) {
    return { session: session ?? null, token: token ?? null };
  }

  @RequireFresh('1s')
  @Post('transfer')
  transfer() {
    return 'done';
  }
}

@Public()
@Controller('public')
class PublicController {
  @Get()
  index() {
    return 'everybody';
  }
}

@Public()
@UseGuards(SessionGuardFor('admin'))
@Controller('admin')
export class AdminController {
  @Public('admin')
  @Get('login')
  login() {
    return 'everybody';
  }

  @Get()
  index(@CurrentSession() session: Session) {
    return { subject: session.subject };
  }
}

/** Under a guard for each kind of session, one of which every handler does without. */
@Controller('shared')
export class SharedController {
  @Public('admin')
  @Get('account')
  account(@CurrentSession() session: Session | undefined) {
    return { subject: session?.subject };
  }

  @Public()
  @Get('admin')
  admin(@CurrentSession() session: Session | undefined) {
    return { subject: session?.subject };
  }
}

/** An application with SessionGuard over a server of its own, and callers of it. */
export class GuardStage {
  readonly errors: string[] = [];
  readonly #logger = { log() {}, warn() {}, error: (message: string) => void this.errors.push(message) };
  #app: INestApplication | undefined;

  private constructor(readonly server: RedisServer) {}

  static async start(): Promise<GuardStage> {
    return new GuardStage(await RedisServer.start());
  }

  async open(options: Partial<SessionsOptions> = {}, metadata: ModuleMetadata = {}, fastify = false): Promise<void> {
    const { imports = [], ...own } = metadata;
    const module = await Test.createTestingModule({
      imports: [
        RedisCacheModule.forRoot({ url: this.server.url, ttl: '1h', timeout: '5s' }),
        RedisCacheAuthModule.forFeature({ sessions: { ...OPTIONS, ...options } }),
        RedisCacheAuthModule.forFeature({ sessions: NAMED }),
        ...imports,
      ],
      controllers: [AccountController, PublicController],
      providers: [
        { provide: APP_GUARD, useClass: SessionGuard },
        { provide: APP_FILTER, useClass: CacheUnavailableFilter },
      ],
      ...own,
    })
      .setLogger(this.#logger)
      .compile();
    Logger.overrideLogger(this.#logger);
    this.#app = fastify
      ? module.createNestApplication<NestFastifyApplication>(new FastifyAdapter())
      : module.createNestApplication();
  }

  async listen(): Promise<void> {
    await this.app.init();
    await this.app.listen(0, '127.0.0.1');
  }

  get app(): INestApplication {
    if (!this.#app) throw new Error('open() comes first');
    return this.#app;
  }

  get sessions(): Sessions {
    return this.app.get<Sessions>(Sessions);
  }

  get http() {
    return request(this.app.getHttpServer());
  }

  /** The token of a new session. */
  async login(subject = 'ann'): Promise<string> {
    return (await this.sessions.create(subject, {})).token;
  }

  async close(): Promise<void> {
    await this.#app?.close();
    this.#app = undefined;
    this.errors.length = 0;
  }

  async stop(): Promise<void> {
    await this.server.stop();
  }
}
