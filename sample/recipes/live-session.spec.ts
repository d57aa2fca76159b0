import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { getCacheStoreToken, RedisCacheModule, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheAuthModule, Sessions } from 'nestjs-redis-cache-store/auth';
import { defer, finalize } from 'rxjs';
import { SILENT } from '../../test/support/cache-app.js';
import { eventually } from '../../test/support/eventually.js';
import { RedisServer } from '../../test/support/redis-server.js';
import { LiveSessionController } from './live-session.js';

/** An instance of the application, which is asked over HTTP. */
class Instance {
  static async start(url: string): Promise<Instance> {
    const sessions = { namespace: 'session', idle: '30m', absolute: '12h', from: { cookie: 'sid' } };
    const module = await Test.createTestingModule({
      imports: [
        RedisCacheModule.forRoot({ url, ttl: '1h', timeout: '10s' }),
        RedisCacheModule.forFeature({ namespace: 'session', ttl: null, nearCache: true }),
        RedisCacheAuthModule.forFeature({ sessions }),
      ],
      controllers: [LiveSessionController],
    })
      .setLogger(SILENT)
      .compile();
    const app = module.createNestApplication();
    await app.listen(0, '127.0.0.1');
    return new Instance(app);
  }

  readonly sessions: Sessions;
  /** How many browsers are being waited for. */
  watched = 0;

  private constructor(private readonly app: INestApplication) {
    this.sessions = app.get<Sessions>(Sessions);
    const store = app.get<RedisCacheStore>(getCacheStoreToken('session'));
    const watch = store.watch.bind(store);
    store.watch = (key) =>
      defer(() => {
        this.watched++;
        return watch(key).pipe(finalize(() => this.watched--));
      });
  }

  /** What a browser does for `new EventSource('/session/events')`. */
  async listen(token: string, signal: AbortSignal): Promise<IncomingMessage> {
    const { port } = this.app.getHttpServer().address() as AddressInfo;
    const headers = { cookie: `sid=${token}` };
    const request = get({ host: '127.0.0.1', port, path: '/session/events', headers, signal, agent: false });
    request.on('error', () => {}); // it was aborted
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return response.on('error', () => {}).setEncoding('utf8');
  }

  async close(): Promise<void> {
    await this.app.close();
  }
}

describe('a stream of server-sent events of a session', () => {
  let server: RedisServer;
  let instances: Instance[] = [];
  let browser: AbortController;
  beforeAll(async () => {
    server = await RedisServer.start();
    instances = await Promise.all([Instance.start(server.url), Instance.start(server.url)]);
  });
  beforeEach(() => (browser = new AbortController()));
  afterEach(() => browser.abort());
  afterAll(async () => {
    await Promise.all(instances.map((instance) => instance.close()));
    await server.stop();
  });

  /** A stream to a browser from one instance, begun with a session that the other one has created. */
  async function open() {
    const [one, other] = instances as [Instance, Instance];
    const { token, session } = await other.sessions.create('somebody', {});
    const response = await one.listen(token, browser.signal);
    expect(response.headers['content-type']).toBe('text/event-stream');
    let text = '';
    response.on('data', (some: string) => (text += some));
    const ended = new Promise((resolve) => response.once('end', resolve));
    const events = () => [...text.matchAll(/^event: (\w+)$/gm)].map(([, type]) => type);
    await eventually(() => expect(events()).toEqual(['alive']));
    await eventually(() => expect(one.watched).toBe(1));
    return { one, other, token, session, events, ended };
  }

  it('tells of the end of the session by another instance, ends, and is not begun again', async () => {
    const { one, other, token, session, ended, events } = await open();
    await other.sessions.update(token, () => ({ changed: true }));
    await other.sessions.revoke('somebody', session.id);
    await ended;
    expect(events()).toEqual(['alive', 'ended']);
    await eventually(() => expect(one.watched).toBe(0));
    expect((await one.listen(token, browser.signal)).statusCode).toBe(401);
  });

  it('tells of a new token of the session, with which it is begun again', async () => {
    const { one, other, token, ended, events } = await open();
    const next = await other.sessions.regenerate(token);
    await ended;
    expect(events()).toEqual(['alive', 'ended']);
    expect((await one.listen(next?.token ?? '', browser.signal)).statusCode).toBe(200);
  });

  it('leaves nothing behind when the browser goes away', async () => {
    const { one } = await open();
    browser.abort();
    await eventually(() => expect(one.watched).toBe(0));
  });

  it('ends when the application shuts down, which does not wait for it', async () => {
    const { one, ended, events } = await open();
    await one.close();
    await ended;
    expect(events()).toEqual(['alive']);
    expect(one.watched).toBe(0);
  });
});
