import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { INestApplication, Type } from '@nestjs/common';
import { UseGuards } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import { Test } from '@nestjs/testing';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import type { OnGatewayConnection } from '@nestjs/websockets';
import { RedisCacheModule } from 'nestjs-redis-cache-store';
import {
  CurrentSession,
  RedisCacheAuthModule,
  type Session,
  SessionGuard,
  Sessions,
  type SessionsOptions,
  type SocketClient,
} from 'nestjs-redis-cache-store/auth';
import { io } from 'socket.io-client';
import { WebSocket } from 'ws';
import { SILENT } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { RedisServer } from '../support/redis-server.js';

const COOKIE = 'session';
const OPTIONS: SessionsOptions = { namespace: 'session', idle: '30m', absolute: '12h', recheck: '1s' };

@WebSocketGateway()
class ChatGateway implements OnGatewayConnection {
  constructor(private readonly sessions: Sessions) {}

  async handleConnection(client: SocketClient, request?: IncomingMessage) {
    await this.sessions.bind(client, request);
  }

  @UseGuards(SessionGuard)
  @SubscribeMessage('who')
  who(@CurrentSession() session: Session) {
    return { event: 'who', data: session.subject };
  }
}

/** A client of either kind, as a browser would be one. */
interface Browser {
  /** The answer to the message `who`, or the `exception`. */
  who(): Promise<unknown>;
  /** Resolves when the server has closed the socket, with the code of `ws`. */
  readonly closed: Promise<number>;
  leave(): void;
}

type Open = (port: number, headers: Record<string, string>) => Promise<Browser>;

const openWs: Open = async (port, headers) => {
  const client = new WebSocket(`ws://127.0.0.1:${port}`, { headers });
  const closed = once(client, 'close').then(([code]) => code as number);
  await Promise.race([once(client, 'open'), closed]);
  return {
    closed,
    leave: () => client.close(),
    async who() {
      client.send(JSON.stringify({ event: 'who', data: {} }));
      const [message] = (await once(client, 'message')) as [Buffer];
      return (JSON.parse(message.toString()) as { data: unknown }).data;
    },
  };
};

const openSocketIo: Open = async (port, headers) => {
  const client = io(`http://127.0.0.1:${port}`, {
    transports: ['websocket'],
    extraHeaders: headers,
    reconnection: false,
    forceNew: true,
  });
  const closed = new Promise<number>((resolve) => client.once('disconnect', () => resolve(1008)));
  await new Promise((resolve) => client.once('connect', () => resolve(undefined)));
  return {
    closed,
    leave: () => client.disconnect(),
    who: () =>
      new Promise((resolve) => {
        client.once('who', resolve);
        client.once('exception', resolve);
        client.emit('who', {});
      }),
  };
};

const kinds: [string, Open, Type][] = [
  ['ws', openWs, WsAdapter],
  ['Socket.IO', openSocketIo, IoAdapter],
];

describe.each(kinds)('A socket of %s that is bound to its session', (_, open, Adapter) => {
  let server: RedisServer;
  let apps: INestApplication[] = [];

  beforeAll(async () => (server = await RedisServer.start()));
  afterAll(() => server.stop());
  afterEach(async () => {
    await Promise.all(apps.map((app) => app.close()));
    apps = [];
  });

  async function start(options: Partial<SessionsOptions> = {}) {
    const module = await Test.createTestingModule({
      imports: [
        RedisCacheModule.forRoot({ url: server.url, ttl: '1h', timeout: '1s' }),
        RedisCacheAuthModule.forFeature({ sessions: { ...OPTIONS, ...options } }),
      ],
      providers: [ChatGateway],
    })
      .setLogger(SILENT)
      .compile();
    const app = module.createNestApplication();
    apps.push(app);
    app.useWebSocketAdapter(new Adapter(app));
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as AddressInfo;
    return { app, port, sessions: app.get<Sessions>(Sessions) };
  }

  it('passes the guard with its messages', async () => {
    const { port, sessions } = await start();
    const { token } = await sessions.create('ann', {});
    const browser = await open(port, { Authorization: `Bearer ${token}` });
    expect(await browser.who()).toBe('ann');
    browser.leave();
  });

  it('is closed at once if there is no session', async () => {
    const { port } = await start();
    const browser = await open(port, { Authorization: `Bearer ${'a'.repeat(43)}` });
    expect(await browser.closed).toBe(1008);
  });

  it('is closed at once when its session is revoked by the same instance', async () => {
    const { port, sessions } = await start({ recheck: '1h' });
    const { token } = await sessions.create('ann', {});
    const browser = await open(port, { Authorization: `Bearer ${token}` });
    await browser.who();
    await sessions.revokeToken(token);
    expect(await browser.closed).toBe(1008);
  });

  it('is closed within "recheck" when its session is revoked by another instance', async () => {
    const { port } = await start();
    const { sessions } = await start();
    const { token } = await sessions.create('ann', {});
    const browser = await open(port, { Authorization: `Bearer ${token}` });
    expect(await browser.who()).toBe('ann');
    await sessions.revokeToken(token);
    expect(await browser.closed).toBe(1008);
  });

  it('is closed at once, with a near cache, when its session is revoked by another instance', async () => {
    const { port } = await start({ recheck: '1h', nearCache: { lease: '1m' } });
    const { sessions } = await start();
    const { token } = await sessions.create('ann', {});
    const browser = await open(port, { Authorization: `Bearer ${token}` });
    expect(await browser.who()).toBe('ann');
    await sessions.update(token, () => ({ theme: 'dark' }));
    expect(await browser.who()).toBe('ann');
    await sessions.revokeToken(token);
    expect(await browser.closed).toBe(1008);
  });

  it.each(['the same', 'another'])('is closed when its session is regenerated by %s instance', async (which) => {
    const first = await start();
    const other = which === 'another' ? await start() : first;
    const { token } = await first.sessions.create('ann', {});
    const browser = await open(first.port, { Authorization: `Bearer ${token}` });
    expect(await browser.who()).toBe('ann');
    const events: unknown[] = [];
    first.sessions.events$.subscribe(({ type }) => events.push(type));
    await other.sessions.regenerate(token);
    expect(await browser.closed).toBe(1008);
    expect(events).toEqual(which === 'another' ? [] : ['regenerated']);
  });

  it('is closed when its session is over: the socket does not keep it alive', async () => {
    const { port, sessions } = await start({ idle: '2s', absolute: null });
    const { token } = await sessions.create('ann', {});
    const browser = await open(port, { Authorization: `Bearer ${token}` });
    expect(await browser.closed).toBe(1008);
    expect(await sessions.get(token)).toBeUndefined();
  });

  it('outlives a short outage, and is closed in a long one', async () => {
    const { port, sessions } = await start();
    const { token } = await sessions.create('ann', {});
    const browser = await open(port, { Authorization: `Bearer ${token}` });
    await browser.who();
    await server.freeze();
    await sleep(300);
    await server.thaw();
    await eventually(async () => expect(await browser.who()).toBe('ann'));
    await server.freeze();
    await browser.closed;
    await server.thaw();
    await eventually(async () => expect(await sessions.get(token)).toBeDefined());
    const next = await open(port, { Authorization: `Bearer ${token}` });
    expect(await next.who()).toBe('ann');
    next.leave();
  });

  it('needs an Origin of ours where the token is a cookie', async () => {
    const { port, sessions } = await start({ from: { cookie: COOKIE, origins: ['https://friend.example'] } });
    const { token } = await sessions.create('ann', {});
    const Cookie = `${COOKIE}=${token}`;
    const foreign = await open(port, { Cookie, Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' });
    expect(await foreign.closed).toBe(1008);
    const silent = await open(port, { Cookie });
    expect(await silent.closed).toBe(1008);
    for (const Origin of [`http://127.0.0.1:${port}`, 'https://friend.example']) {
      const browser = await open(port, { Cookie, Origin });
      expect(await browser.who()).toBe('ann');
      browser.leave();
    }
  });
});
