import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { RedisServer } from './redis-server.js';
import { TestCertificates } from './tls.js';

describe('RedisServer', () => {
  let server: RedisServer | undefined;
  afterEach(() => server?.stop());

  it('brings acknowledged writes back after kill -9, on the same port', async () => {
    server = await RedisServer.start({ appendonly: true });
    const { port, pid } = server;
    await server.cli('SET', 'key', 'value');
    await server.kill9();
    await expect(server.cli('PING')).rejects.toThrow();
    await server.restart();
    expect(await server.cli('GET', 'key')).toBe('value');
    expect(server.port).toBe(port);
    expect(server.pid).not.toBe(pid);
  });

  it('answers nothing while frozen and everything afterwards', async () => {
    server = await RedisServer.start();
    const client = server.client();
    await client.ping();
    server.freeze();
    const reply = client.ping();
    expect(await Promise.race([reply, sleep(100, 'silence')])).toBe('silence');
    server.thaw();
    expect(await reply).toBe('PONG');
  });

  it('stops when frozen, removes its folder, and may be stopped twice', async () => {
    server = await RedisServer.start();
    server.freeze();
    await server.stop();
    await server.stop();
    expect(existsSync(server.dir)).toBe(false);
  });

  it('speaks TLS with a certificate that its authority vouches for', async () => {
    const certificates = TestCertificates.create();
    try {
      server = await RedisServer.start({ tls: certificates.trusted });
      expect(server.url).toBe(`rediss://localhost:${server.port}`);
      expect(await server.cli('PING')).toBe('PONG');
    } finally {
      certificates.remove();
    }
  });

  it('asks for its password, on a socket file too', async () => {
    server = await RedisServer.start({ password: 'secret', unixSocket: true });
    expect(await server.cli('PING')).toBe('PONG');
    const stranger = new Redis({ path: server.socketPath, enableReadyCheck: false, retryStrategy: () => null });
    stranger.on('error', () => undefined);
    try {
      await expect(stranger.ping()).rejects.toThrow('NOAUTH');
    } finally {
      stranger.disconnect();
    }
  });

  it('ends with the process that started it', async () => {
    const script = `
      import { spawnGuarded } from './scripts/processes.mjs';
      console.log(spawnGuarded('sleep', ['60'], { stdio: 'inherit' }).pid);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(parent.stdout, 'end'); // both hold this pipe: it ends with the last of them
    await once(parent.stdout, 'data');
    parent.kill('SIGKILL');
    await expect(ended).resolves.toEqual([]);
  });
});
