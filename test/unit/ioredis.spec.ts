import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { Cluster as Cluster6, Redis as Redis6 } from 'ioredis';
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis-5';
import { assertCommandsWritten, createClient } from '../../lib/ioredis/client-factory.js';
import { PendingCommand } from '../../lib/ioredis/command.js';
import { Packet } from '../../lib/ioredis/packet.js';
import { freePort } from '../../scripts/processes.mjs';
import { RedisServer } from '../support/redis-server.js';

/* What is relied on of ioredis that it does not document. Runs on the 5 as well: IOREDIS=5. */

const home = new URL(`../../node_modules/ioredis${process.env['IOREDIS'] === '5' ? '-5' : ''}/`, import.meta.url);
const { version } = JSON.parse(readFileSync(new URL('package.json', home), 'utf8')) as { version: string };

describe(`ioredis ${version}`, () => {
  let server: RedisServer;
  beforeAll(async () => (server = await RedisServer.start()));
  afterAll(() => server?.stop());

  const connected = async (port = server.port) => {
    const client = createClient({ host: '127.0.0.1', port, connectTimeout: 1000 });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };

  it('writes a command in the call of sendCommand, and by toWritable alone', async () => {
    const client = await connected();
    const command = new PendingCommand(['echo', 'secret']);
    void client.sendCommand(command);
    expect([command.written, command.args]).toEqual([true, []]);
    expect(String(await command.promise)).toBe('secret');
    client.disconnect();
  });

  it('writes to the stream that it is given, in the order of commands, texts as one', async () => {
    const client = await connected();
    const texts = ['a', 'b', 'c', 'd'];
    const commands = texts.map((text) => new PendingCommand(['echo', text === 'b' ? Buffer.from(text) : text]));
    const packet = new Packet({ redis: client });
    for (const command of commands) void client.sendCommand(command, packet);
    expect(commands.every(({ written }) => written)).toBe(true);
    expect(packet.pieces.map((piece) => String(piece).match(/\b[abcd]\b/g))).toEqual([['a'], ['b'], ['c', 'd']]);
    for (const piece of packet.pieces) client.stream.write(piece);
    const replies = await Promise.all(commands.map(({ promise }) => promise));
    expect(replies.map(String)).toEqual(texts);
    client.disconnect();
  });

  it('answers by the resolve and the reject of a command, once each', async () => {
    const client = await connected();
    const told: unknown[] = [];
    const settled = (_: PendingCommand, error?: unknown) => void told.push(error);
    for (const words of [['ping'], ['no-such-command']] as const) {
      const command = new PendingCommand(words, settled);
      void client.sendCommand(command);
      await command.promise.catch(() => undefined);
    }
    expect(told).toEqual([undefined, expect.objectContaining({ name: 'ReplyError' })]);
    client.disconnect();
  });

  it('shows no word of a command, however it is inspected', () => {
    const command = new PendingCommand(['echo', 'secret']);
    expect(inspect(command, { showHidden: true, getters: true, depth: 9 })).not.toContain('secret');
  });

  it.each(['toWritable', 'transformReply'])('is refused at load if a command of it has no %s', async (name) => {
    const { Command } = await import('ioredis');
    expect(() => assertCommandsWritten(Command)).not.toThrow();
    const Changed = { prototype: Object.create(Command.prototype, { [name]: { value: undefined } }) as object };
    expect(() => assertCommandsWritten(Changed)).toThrow(`has no Command.prototype.${name}`);
  });

  it('sends nothing of its own when it connects, logs in to nothing and selects nothing', async () => {
    const requests: string[] = [];
    const listener: Server = createServer((socket) => socket.on('data', (data) => requests.push(String(data))));
    const port = await freePort();
    await once(listener.listen(port, '127.0.0.1'), 'listening');
    const client = await connected(port);
    await sleep(50);
    expect(requests).toEqual([]);
    client.disconnect();
    listener.close();
  });

  it('rejects at once and unwritten what it cannot write, and never connects again', async () => {
    const client = await connected();
    client.stream.destroy();
    const command = new PendingCommand(['ping']);
    void client.sendCommand(command);
    await expect(command.promise).rejects.toThrow();
    expect(command.written).toBe(false);
    await sleep(50);
    expect(client.status).toBe('end');
  });

  it('rejects what was in flight when the socket closes, before others hear of the close', async () => {
    const client = await connected();
    await server.cli('CLIENT', 'PAUSE', 300);
    const command = new PendingCommand(['ping']);
    let rejected = false;
    command.promise.catch(() => (rejected = true));
    void client.sendCommand(command);
    const closed = once(client.stream, 'close');
    client.stream.destroy();
    await closed;
    await Promise.resolve();
    expect([command.written, rejected]).toEqual([true, true]);
  });

  it('applies no transformer that an application has set for all commands', async () => {
    const client = await connected();
    const { Command } = await import('ioredis');
    Command.setReplyTransformer('echo', () => 'changed');
    try {
      const command = new PendingCommand(['echo', 'as sent']);
      void client.sendCommand(command);
      expect(String(await command.promise)).toBe('as sent');
    } finally {
      Reflect.deleteProperty(Reflect.get(Command, '_transformer').reply, 'echo');
      client.disconnect();
    }
  });

  it.each([
    ['5', Redis5 as unknown as typeof Redis6, Cluster5 as unknown as typeof Cluster6],
    ['6', Redis6, Cluster6],
  ])('%s has what a client is known and described by', (_, AnyRedis, AnyCluster) => {
    const client = new AnyRedis({ lazyConnect: true });
    expect(client).toMatchObject({ isCluster: false, connector: expect.any(Object), options: { port: 6379 } });
    const cluster = new AnyCluster([7000], { lazyConnect: true });
    const privates = { connectionPool: expect.any(Object), startupNodes: [7000], options: expect.any(Object) };
    expect(cluster).toMatchObject({ isCluster: true, ...privates });
    client.disconnect();
    cluster.disconnect();
  });
});
