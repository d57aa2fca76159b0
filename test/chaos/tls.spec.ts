import { CacheConfigError, CacheUnavailableError, type RedisCacheModuleOptions } from 'nestjs-redis-cache-store';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { CacheApp } from '../support/cache-app.js';
import { endure } from '../support/endure.js';
import { eventually } from '../support/eventually.js';
import { LONG } from '../support/fault-report.js';
import { expectPromisesKept } from '../support/load.js';
import { TcpProxy } from '../support/proxy.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer, type RedisServerOptions } from '../support/redis-server.js';
import { TestCertificates } from '../support/tls.js';
import { TlsFront } from '../support/tls-front.js';

const TIMEOUT = 500;
const STARTUP = 3000;

describe('TLS, logins and sockets', () => {
  let certificates: TestCertificates;
  let ca: string;
  const servers: RedisServer[] = [];
  const apps: CacheApp[] = [];
  const proxies: TcpProxy[] = [];

  beforeAll(() => {
    certificates = TestCertificates.create();
    ca = readFileSync(certificates.trusted.ca, 'utf8');
  });
  afterEach(async () => {
    for (const server of servers) server.thaw();
    await Promise.all(apps.splice(0).map((app) => app.close()));
    await Promise.all(proxies.splice(0).map((proxy) => proxy.stop()));
    await Promise.all(servers.splice(0).map((server) => server.stop()));
  });
  afterAll(() => certificates.remove());

  async function serve(options: RedisServerOptions = {}): Promise<RedisServer> {
    const server = await RedisServer.start(options);
    servers.push(server);
    return server;
  }

  async function start(options: RedisCacheModuleOptions): Promise<CacheApp> {
    const app = await CacheApp.start({ timeout: TIMEOUT, startupTimeout: STARTUP, namespace: 'chaos', ...options });
    apps.push(app);
    return app;
  }

  /** Why the boot fails, and that it does in time. */
  async function refusal(options: RedisCacheModuleOptions): Promise<unknown> {
    const begun = performance.now();
    const reason = await reasonOf(start(options));
    expect(performance.now() - begun).toBeLessThan(STARTUP + 1500);
    return reason;
  }

  async function expectServed(app: CacheApp): Promise<void> {
    await app.store.put('key', { answer: 42 });
    expect(await app.store.get('key')).toEqual({ answer: 42 });
  }

  describe('rediss://', () => {
    it('verifies the certificate with the authority that it is given', async () => {
      const { url } = await serve({ tls: certificates.trusted, password: 'p@ss:/word' });
      await expectServed(await start({ url, redis: { tls: { ca } } }));
    });

    it('names the host of the url as the server name (SNI)', async () => {
      const front = await TlsFront.start(await serve(), certificates.trusted);
      try {
        await expectServed(await start({ url: `rediss://localhost:${front.port}`, redis: { tls: { ca } } }));
        expect(front).toMatchObject({ taken: 1, refused: 0 });
      } finally {
        await front.stop();
      }
    });

    it('fails the boot where the authority is unknown, and says what to set', async () => {
      const { url } = await serve({ tls: certificates.trusted });
      const reason = await refusal({ url });
      expect(reason).toBeInstanceOf(CacheConfigError);
      expect(reason).toMatchObject({ option: 'redis.tls', message: expect.stringContaining('tls: { ca }') });
    });

    it('fails the boot at a self-signed certificate, and says what to set', async () => {
      const { url } = await serve({ tls: certificates.selfSigned });
      for (const redis of [{}, { tls: { ca } }]) {
        const reason = await refusal({ url, redis });
        expect(reason).toBeInstanceOf(CacheConfigError);
        expect(reason).toMatchObject({
          option: 'redis.tls',
          message: expect.stringContaining('rejectUnauthorized: false'),
        });
      }
    });

    it('takes a self-signed certificate where it is told to', async () => {
      const { url } = await serve({ tls: certificates.selfSigned });
      await expectServed(await start({ url, redis: { tls: { rejectUnauthorized: false } } }));
    });

    it('fails the boot where the certificate is for another host', async () => {
      const { url } = await serve({ tls: certificates.trusted });
      const reason = await refusal({ url, redis: { tls: { ca, servername: 'redis.example' } } });
      expect(reason).toBeInstanceOf(CacheConfigError);
      expect(reason).toMatchObject({ option: 'redis.tls', message: expect.stringContaining('servername') });
    });

    it('with a wrong certificate in the background is down with the reason, and ready once the certificate is right', async () => {
      const { url, port } = await serve({ tls: certificates.selfSigned });
      const app = await start({ url, redis: { tls: { ca } }, startup: 'background' });
      await eventually(() => expect(app.connection.status).toBe('down'));
      expect(app.connection.lastError).toMatchObject({ option: 'redis.tls' });
      expect(await reasonOf(app.store.get('key'))).toMatchObject({ reason: 'disconnected', outcome: 'not-sent' });
      await servers.pop()?.stop();
      await serve({ tls: certificates.trusted, port });
      await eventually(() => expectServed(app), { timeout: 10_000 });
      expect(app.connection.lastError).toBeUndefined();
    });

    it('asks whether a server speaks TLS that answers in plain text', async () => {
      const plain = createServer((socket) => socket.on('error', () => undefined).end('-DENIED protected mode\r\n'));
      await once(plain.listen(0, '127.0.0.1'), 'listening');
      const reason = await refusal({ url: `rediss://localhost:${(plain.address() as AddressInfo).port}` });
      plain.close();
      expect(reason).toMatchObject({ option: 'redis.tls', message: expect.stringContaining('speak TLS on this port') });
    });

    it('fails the boot in time at a server without TLS, which answers nothing, and asks whether it speaks TLS', async () => {
      const { port } = await serve();
      const reason = await refusal({ url: `rediss://localhost:${port}` });
      expect(reason).toBeInstanceOf(CacheUnavailableError);
      expect((reason as Error).cause).toMatchObject({ message: expect.stringContaining('does it speak TLS') });
    });
  });

  it('what the url says of TLS, login and database is not taken back by options that are undefined', async () => {
    const secure = await serve({ tls: certificates.trusted });
    const reason = await refusal({ url: secure.url, redis: { tls: undefined } });
    expect(reason).toMatchObject({ option: 'redis.tls', message: expect.stringContaining('certificate') as string });
    const server = await serve({ password: 'p@ss' });
    const redis = { tls: undefined, username: undefined, password: undefined, db: undefined, family: undefined };
    await expectServed(await start({ url: `${server.url}/3`, redis }));
    await server.cli('SELECT', 3);
    expect(await server.cli('EXISTS', 'chaos:key')).toBe(1);
  });

  it('redis:// fails the boot in time at a server with TLS, and asks whether it wants that', async () => {
    const { port } = await serve({ tls: certificates.trusted });
    const reason = await refusal({ url: `redis://localhost:${port}` });
    expect(reason).toBeInstanceOf(CacheUnavailableError);
    const cause = { message: expect.stringContaining('rediss://') };
    expect(reason).toMatchObject({ reason: 'disconnected', outcome: 'not-sent', cause });
  });

  describe('an ACL user', () => {
    const rights = ['on', '>s3cret/&', '~chaos:*', '+@all', '-@dangerous'];
    const urlOf = ({ port }: RedisServer, password: string) =>
      `redis://app:${encodeURIComponent(password)}@127.0.0.1:${port}`;

    it('logs in by the url, and keeps to its rights', async () => {
      const server = await serve();
      await server.cli('ACL', 'SETUSER', 'app', ...rights);
      const app = await start({ url: urlOf(server, 's3cret/&') });
      await expectServed(app);
      expect(await app.store.keys()).toEqual(['key']);
      const clients = String(await server.cli('CLIENT', 'LIST'));
      expect(clients).toMatch(/user=app\b/);
    });

    it('that needs no password is logged in by its name alone', async () => {
      const server = await serve();
      await server.cli('ACL', 'SETUSER', 'app', 'nopass', ...rights.filter((rule) => !rule.startsWith('>')));
      await start({ url: `redis://app@127.0.0.1:${server.port}` });
      expect(await server.cli('CLIENT', 'LIST')).toMatch(/user=app\b/);
    });

    it('with a wrong password fails the boot', async () => {
      const server = await serve();
      await server.cli('ACL', 'SETUSER', 'app', ...rights);
      const reason = await refusal({ url: urlOf(server, 'wr0ng-one') });
      expect(reason).toBeInstanceOf(CacheConfigError);
      expect(String(reason)).toContain('WRONGPASS');
      expect(String(reason)).not.toContain('wr0ng-one');
    });
  });

  it('a unix: socket serves, and again after a restart', async () => {
    const server = await serve({ unixSocket: true, appendonly: true });
    expect(server.url).toMatch(/^unix:/);
    const app = await start({ url: server.url });
    const report = await endure('unix: socket, killed and restarted', [app], async () => {
      await server.kill9();
      await server.restart();
    });
    expectPromisesKept(report, TIMEOUT);
  });

  it('an abandoned write over TLS is not delivered when the network heals', async () => {
    const server = await serve({ tls: certificates.trusted });
    const proxy = await TcpProxy.start(server);
    proxies.push(proxy);
    const app = await start({ url: `rediss://localhost:${proxy.port}`, redis: { tls: { ca } } });
    await app.store.put('before', 1);
    proxy.stall();
    expect(await reasonOf(app.store.put('ghost', 1))).toMatchObject({ outcome: 'unknown' });
    await eventually(() => expect(app.connection.status).toBe('down'));
    await delay(100); // for the reset to reach the proxy, as it would any router
    await proxy.resume();
    await eventually(() => app.connection.ping(), { timeout: 10_000 });
    await delay(500);
    expect(await app.store.keys()).toEqual(['before']);
  });

  it('a frozen TLS server: calls settle in time, and it serves again when it is thawed', async () => {
    const server = await serve({ tls: certificates.trusted });
    const app = await start({ url: server.url, redis: { tls: { ca } } });
    const report = await endure('TLS: frozen (SIGSTOP)', [app], async () => {
      server.freeze();
      await delay(LONG ? 6000 : 1500);
      server.thaw();
    });
    expectPromisesKept(report, TIMEOUT);
    expect(report.outcomes.unknown + report.outcomes['not-sent']).toBeGreaterThan(0);
  });
});
