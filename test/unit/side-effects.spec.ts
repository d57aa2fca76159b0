import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const loader = fileURLToPath(new URL('../support/typescript-loader.mjs', import.meta.url));

/** What the rest of a process can see of its globals and of msgpackr, as lines of text. */
const survey = `
  const attempt = (action) => { try { return String(action()); } catch (error) { return String(error); } };
  class Point { constructor(x) { this.x = x; } }
  const values = { promise: Promise.resolve(1), own: JSON.parse('{"__proto__":1}'), map: new Map([[1, 2]]), error: new TypeError('no') };
  const survey = () => [
    ...Object.entries(values).map(([name, value]) => name + ' ' + attempt(() => new Packr().pack(value).toString('hex'))),
    ...Object.entries(values).map(([name, value]) => name + ' ' + attempt(() => pack(value).toString('hex'))),
    ...Array.from({ length: 256 }, (_, type) => type + ' ' + attempt(() => JSON.stringify(unpack(Buffer.from([0xd4, type, 0x90]))))),
    ...Reflect.ownKeys(globalThis).map(String),
    ...[Object, Array, Map, Set, Function, String, Number, BigInt, Date, Error, RegExp, Promise, Buffer, Uint8Array].flatMap((kind) =>
      [kind, kind.prototype].map((each) => kind.name + ' ' + Reflect.ownKeys(each).map(String).join())),
    String([process.listenerCount('exit'), process.listenerCount('uncaughtException'), process.listenerCount('SIGTERM')]),
    String(Error.stackTraceLimit),
  ].join('\\n');
`;

it('loading the package, storing every kind of value and encrypting changes nothing for the rest of the process', async () => {
  const program = `
    import { pack, Packr, unpack, addExtension } from 'msgpackr';
    // The peers are there before: what they change is their own doing.
    for (const peer of ['reflect-metadata', 'rxjs', '@nestjs/common', '@nestjs/core', 'ioredis']) await import(peer);
    const { NestFactory } = await import('@nestjs/core');
    ${survey}
    const before = survey();
    const { messagePackSerializer, RedisCacheModule, RedisCacheStore } = await import('nestjs-redis-cache-store');
    const module = RedisCacheModule.forRoot({ url: 'memory:', ttl: '1h', encryption: { keys: [Buffer.alloc(32, 1)] } });
    const app = await NestFactory.createApplicationContext(module, { logger: false });
    await app.get(RedisCacheStore).put('key', 1);
    await app.close();
    for (const value of [[1, new Date()], values.own, values.map, values.error]) {
      messagePackSerializer.deserialize(messagePackSerializer.serialize(value));
    }
    const after = survey();
    addExtension({ Class: Point, type: 0x50, write: (p) => [p.x], read: ([x]) => new Point(x) });
    const own = messagePackSerializer.deserialize(messagePackSerializer.serialize(values.own));
    console.log(JSON.stringify({ before, after, x: unpack(pack(new Point(3))).x, own: Object.keys(own) }));
  `;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', loader, '--input-type=module', '-e', program],
    { env: { ...process.env, NODE_OPTIONS: '' }, maxBuffer: 2 ** 24 },
  );
  const seen = JSON.parse(stdout) as Record<'before' | 'after', string> & { x: number; own: string[] };
  expect(seen.before).toContain('promise');
  expect(seen.after.split('\n')).toEqual(seen.before.split('\n'));
  expect([seen.x, seen.own]).toEqual([3, ['__proto__']]);
}, 60_000);
