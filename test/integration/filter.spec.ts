import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadPackageDefinition, credentials as grpcCredentials } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import {
  type CanActivate,
  Controller,
  Get,
  Injectable,
  type INestApplication,
  type ModuleMetadata,
  Res,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { GraphQLModule, Query, Resolver } from '@nestjs/graphql';
import {
  ClientProxyFactory,
  GrpcMethod,
  MessagePattern,
  type MicroserviceOptions,
  Transport,
} from '@nestjs/microservices';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import { Test } from '@nestjs/testing';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { CacheUnavailableFilter, RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { firstValueFrom } from 'rxjs';
import { io } from 'socket.io-client';
import request from 'supertest';
import { WebSocket } from 'ws';
import { freePort } from '../../scripts/processes.mjs';
import { SILENT } from '../support/cache-app.js';

@Injectable()
class SessionGuard implements CanActivate {
  constructor(private readonly sessions: RedisCacheStore) {}

  async canActivate(): Promise<boolean> {
    return (await this.sessions.get('id')) !== undefined;
  }
}

@Controller()
class Sessions {
  constructor(private readonly sessions: RedisCacheStore) {}

  @Get('guarded')
  @UseGuards(SessionGuard)
  guarded() {
    return 'hello';
  }

  @Get('plain')
  plain() {
    return this.sessions.get('id');
  }

  @Get('begun')
  async begun(@Res() response: { raw?: unknown; writeHead(status: number): void; write(text: string): void }) {
    const raw = (response.raw ?? response) as typeof response;
    raw.writeHead(200);
    raw.write('begun');
    await this.sessions.get('id');
  }

  @Get('broken')
  broken() {
    throw new Error('a fault of the application');
  }

  @MessagePattern('session')
  @UseGuards(SessionGuard)
  session() {
    return 'hello';
  }

  @GrpcMethod('Sessions', 'Get')
  grpc() {
    return this.sessions.get('id');
  }
}

@Resolver()
@UseGuards(SessionGuard)
class SessionResolver {
  @Query('session')
  session() {
    return 'hello';
  }
}

@WebSocketGateway()
@UseFilters(CacheUnavailableFilter)
@UseGuards(SessionGuard)
class SessionGateway {
  @SubscribeMessage('session')
  session() {
    return 'hello';
  }
}

const UNAVAILABLE = { status: 'error', message: 'Service Unavailable', code: 'SERVICE_UNAVAILABLE', retryAfter: 1 };

describe('CacheUnavailableFilter, while Redis is down,', () => {
  let app: INestApplication | undefined;
  let url: string;

  beforeAll(async () => {
    url = `redis://127.0.0.1:${await freePort()}`; // nobody listens there
  });
  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  const moduleWith = (metadata: ModuleMetadata) =>
    Test.createTestingModule({
      controllers: [Sessions],
      ...metadata,
      imports: [
        RedisCacheModule.forRoot({ url, ttl: '1h', startup: 'background', startupTimeout: '50ms', timeout: '200ms' }),
        ...(metadata.imports ?? []),
      ],
    })
      .setLogger(SILENT)
      .compile();
  const asAppFilter = { providers: [{ provide: APP_FILTER, useClass: CacheUnavailableFilter }] };
  const portOf = (one: INestApplication) => (one.getHttpServer() as { address(): AddressInfo }).address().port;

  async function expect503(path: string): Promise<void> {
    const { status, headers, body } = await request(app?.getHttpServer()).get(path);
    expect({ status, body: body as unknown }).toEqual({
      status: 503,
      body: { statusCode: 503, message: 'Service Unavailable' },
    });
    expect(headers['retry-after']).toBe('1');
    expect(headers['content-type']).toMatch(/^application\/json/);
    expect(headers['access-control-allow-origin']).toBe('*');
  }

  const platforms: [string, () => FastifyAdapter | undefined][] = [
    ['Express', () => undefined],
    ['Fastify', () => new FastifyAdapter()],
  ];
  describe.each(platforms)('of an application on %s', (_, adapter) => {
    async function start(metadata: ModuleMetadata, prepare = (_app: INestApplication) => {}): Promise<void> {
      const module = await moduleWith(metadata);
      const platform = adapter();
      app = platform ? module.createNestApplication<NestFastifyApplication>(platform) : module.createNestApplication();
      app.enableCors();
      prepare(app);
      await app.init();
      await app.listen(0, '127.0.0.1');
    }

    it('answers 503 with Retry-After, as APP_FILTER', async () => {
      await start(asAppFilter);
      await expect503('/guarded');
      await expect503('/plain');
    });

    it('answers 503 with Retry-After, by useGlobalFilters', async () => {
      await start({}, (one) => one.useGlobalFilters(new CacheUnavailableFilter()));
      await expect503('/guarded');
      await expect503('/plain');
    });

    it('answers 503 with Retry-After to an outage in a middleware', async () => {
      await start(asAppFilter, (one) => {
        const sessions = one.get(RedisCacheStore);
        one.use('/guarded', async (__: unknown, ___: unknown, next: (error?: unknown) => void) => {
          const error: unknown = await sessions.get('id').catch((reason: unknown) => reason);
          next(error);
        });
      });
      const { status } = await request(app?.getHttpServer()).get('/guarded');
      expect(status).toBe(503);
    });

    it('ends a response that has begun', async () => {
      await start(asAppFilter);
      const { status, text } = await request(app?.getHttpServer()).get('/begun');
      expect([status, text]).toEqual([200, 'begun']);
    });

    it('leaves other errors to Nest', async () => {
      await start(asAppFilter);
      expect((await request(app?.getHttpServer()).get('/broken')).status).toBe(500);
    });
  });

  it('gives GraphQL clients an error with a code', async () => {
    const graphql = GraphQLModule.forRoot<ApolloDriverConfig>({
      driver: ApolloDriver,
      typeDefs: 'type Query { session: String }',
      playground: false,
    });
    const module = await moduleWith({ imports: [graphql], providers: [...asAppFilter.providers, SessionResolver] });
    app = await module.createNestApplication().init();
    const { body } = await request(app.getHttpServer()).post('/graphql').send({ query: '{ session }' });
    expect(body).toMatchObject({
      data: { session: null },
      errors: [{ message: 'Service Unavailable', extensions: { code: 'SERVICE_UNAVAILABLE', retryAfter: 1 } }],
    });
  });

  async function startHybrid(options: MicroserviceOptions): Promise<void> {
    app = (await moduleWith(asAppFilter)).createNestApplication();
    app.connectMicroservice(options, { inheritAppConfig: true });
    await app.startAllMicroservices();
    await app.init();
  }

  it('gives the RPC callers of a hybrid application an error with a code', async () => {
    const port = await freePort();
    await startHybrid({ transport: Transport.TCP, options: { host: '127.0.0.1', port } });
    const client = ClientProxyFactory.create({ transport: Transport.TCP, options: { host: '127.0.0.1', port } });
    await expect(firstValueFrom(client.send('session', {}))).rejects.toEqual(UNAVAILABLE);
    await client.close();
    expect((await request(app?.getHttpServer()).get('/guarded')).status).toBe(503);
  });

  it('gives gRPC callers the status UNAVAILABLE', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'grpc-'));
    const protoPath = join(dir, 'sessions.proto');
    writeFileSync(
      protoPath,
      'syntax = "proto3"; package sessions; service Sessions { rpc Get (Id) returns (Id) {} } message Id { string id = 1; }',
    );
    const address = `127.0.0.1:${await freePort()}`;
    await startHybrid({ transport: Transport.GRPC, options: { package: 'sessions', protoPath, url: address } });
    const { sessions } = loadPackageDefinition(loadSync(protoPath)) as unknown as {
      sessions: { Sessions: new (to: string, with_: object) => { get: GrpcCall; close(): void } };
    };
    const client = new sessions.Sessions(address, grpcCredentials.createInsecure());
    const error = await new Promise<ServiceError | null>((resolve) => client.get({ id: 'id' }, resolve));
    expect(error).toMatchObject({ code: 14, details: 'Service Unavailable' });
    client.close();
    rmSync(dir, { recursive: true });
  });

  it('gives Socket.IO clients of a gateway the event "exception"', async () => {
    app = (await moduleWith({ providers: [SessionGateway] })).createNestApplication();
    app.useWebSocketAdapter(new IoAdapter(app));
    await app.listen(0, '127.0.0.1');
    const client = io(`http://127.0.0.1:${portOf(app)}`, { transports: ['websocket'] });
    const told = new Promise((resolve) => client.once('exception', resolve));
    client.emit('session', {});
    expect(await told).toEqual(UNAVAILABLE);
    client.disconnect();
  });

  it('gives clients of a gateway on plain WebSockets the event "exception"', async () => {
    app = (await moduleWith({ providers: [SessionGateway] })).createNestApplication();
    app.useWebSocketAdapter(new WsAdapter(app));
    await app.listen(0, '127.0.0.1');
    const client = new WebSocket(`ws://127.0.0.1:${portOf(app)}`);
    await once(client, 'open');
    client.send(JSON.stringify({ event: 'session', data: {} }));
    const [message] = (await once(client, 'message')) as [Buffer];
    expect(JSON.parse(message.toString())).toEqual({ event: 'exception', data: UNAVAILABLE });
    client.close();
  });
});

type GrpcCall = (request: object, callback: (error: ServiceError | null) => void) => void;
