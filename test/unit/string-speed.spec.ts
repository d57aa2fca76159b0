import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const support = (name: string) => fileURLToPath(new URL(`../support/${name}`, import.meta.url));
const require = createRequire(import.meta.url);
const { version } = require(join(require.resolve('ioredis'), '../../package.json')) as { version: string };

/** Whether V8 keeps the methods of strings where it can inline them, once a module is loaded. */
async function areStringsFast(module: string): Promise<boolean> {
  const isFast = '%HasFastProperties(String.prototype)';
  const program = `await import('${module}'); console.log(${isFast});`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--allow-natives-syntax', '--import', support('typescript-loader.mjs'), '--input-type=module', '-e', program],
    { env: { ...process.env, NODE_OPTIONS: '' } },
  );
  return JSON.parse(stdout) as boolean;
}

it('the package leaves the methods of strings as fast as they were', async () => {
  expect(await areStringsFast('nestjs-redis-cache-store')).toBe(true);
});

// The condition of lib/ioredis/workarounds/string-speed.ts: if this fails for an ioredis 6, look whether the file can go.
it(`ioredis ${version} alone makes them slow if, and only if, it is a 6`, async () => {
  expect(await areStringsFast('ioredis')).toBe(version.startsWith('5.'));
});
