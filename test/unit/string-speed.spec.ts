import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const support = (name: string) => fileURLToPath(new URL(`../support/${name}`, import.meta.url));

it('the methods of strings are as fast as without ioredis, which derives a class from String', async () => {
  const isFast = '%HasFastProperties(String.prototype)';
  const program = `await import('nestjs-redis-cache-store'); console.log(${isFast});`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--allow-natives-syntax', '--import', support('typescript-loader.mjs'), '--input-type=module', '-e', program],
    { env: { ...process.env, NODE_OPTIONS: '' } },
  );
  expect(stdout.trim()).toBe('true');
});
