import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import * as api from 'nestjs-redis-cache-store';
import { ROOT } from '../support/sources.js';

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
const contents = (path: string) => readFileSync(join(ROOT, path), 'utf8').trim();

describe('The README', () => {
  it('shows TypeScript only from files that are compiled and run in tests, word for word', () => {
    const shown = [...readme.matchAll(/<!-- file: (\S+) -->\n\n```ts\n([\s\S]*?)\n```/g)];
    expect(shown.length).toBeGreaterThan(6);
    expect(readme.match(/```ts\n/g)).toHaveLength(shown.length);
    for (const [, path = '', code] of shown) expect(code).toBe(contents(path));
  });

  it('shows measured tables as they were written by what measured them', () => {
    const shown = [...readme.matchAll(/<!-- file: (\S+\.md) -->\n\n([\s\S]*?)\n\n<!-- end -->/g)];
    expect(shown.map(([, path]) => path)).toEqual(['test/chaos/results.md', 'bench/results/results.md']);
    for (const [, path = '', table] of shown) expect(table).toBe(contents(path));
  });

  it('links to files that exist', () => {
    const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map(([, path = '']) => path);
    expect(links.length).toBeGreaterThan(4);
    expect(links.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it('lists every method of the store and every error', () => {
    const methods = Object.getOwnPropertyNames(RedisCacheStore.prototype).filter((name) => name !== 'constructor');
    const errors = Object.keys(api).filter((name) => name.endsWith('Error'));
    expect([...methods, ...errors].filter((name) => !new RegExp(`\`${name}[(\`]`).test(readme))).toEqual([]);
  });

  it('lists every option of forRoot', async () => {
    const { resolveConnection } = await import('../../lib/resolve-options.js');
    const unknown = { ttll: 1 } as Parameters<typeof RedisCacheModule.forRoot>[0] & object;
    const options = /the options are (.*)$/.exec(messageOf(() => resolveConnection(unknown, () => undefined)))?.[1];
    expect(options?.split(', ').filter((name) => !readme.includes(`\`${name}\``))).toEqual([]);
  });
});

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error('nothing was thrown');
}
