import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import * as api from 'nestjs-redis-cache-store';
import { pages, read, refreshed } from '../../scripts/docs.mjs';
import { ROOT } from '../support/sources.js';

const { repository } = JSON.parse(read('package.json')) as { repository: { url: string } };
const REPOSITORY = repository.url.replace(/^git\+(.*)\.git$/, '$1/blob/main/');
const RAW = REPOSITORY.replace('github.com', 'raw.githubusercontent.com').replace('/blob/', '/');

describe.each(pages())('%s', (path) => {
  const page = read(path);

  it('shows every file as it is now; `npm run docs` copies the files in', () => {
    expect(page).toBe(refreshed(page));
  });

  it('shows TypeScript only from files that are compiled and run by the tests', () => {
    const shown = [...page.matchAll(/<!-- file: (\S+\.ts)(?:#\S+)? -->\n\n```ts\n/g)].map(([, file]) => file);
    expect(page.match(/```(ts|typescript|js|javascript)\n/g) ?? []).toHaveLength(shown.length);
    expect(page.match(/<!-- file: \S+\.ts/g) ?? []).toHaveLength(shown.length);
    expect(shown.filter((file) => !/^(sample|test)\//.test(file ?? ''))).toEqual([]);
  });

  it('links to files and headings that exist', () => {
    expect(linksOf(page).filter((link) => !leadsSomewhere(path, link))).toEqual([]);
  });
});

describe('README.md', () => {
  const readme = read('README.md');

  it('has at most 12 kB', () => {
    expect(Buffer.byteLength(readme)).toBeLessThanOrEqual(12_000);
  });

  it('links to the repository or to files of the package, since npm shows it too', () => {
    const packed = ['CHANGELOG.md', 'LICENSE'];
    const relative = linksOf(readme).filter((link) => !/^(https:|#)/.test(link) && !packed.includes(link));
    expect(relative).toEqual([]);
  });

  it('leads to docs/README.md, which links to every other page of docs/', () => {
    expect(linksOf(readme)).toContain(`${REPOSITORY}docs/README.md`);
    const listed = linksOf(read('docs/README.md')).map((link) => `docs/${link}`);
    const others = pages().filter((path) => path.startsWith('docs/') && path !== 'docs/README.md');
    expect(others.filter((path) => !listed.includes(path))).toEqual([]);
  });

  it('lists every method of the store and every error', () => {
    const methods = Object.getOwnPropertyNames(RedisCacheStore.prototype).filter((name) => name !== 'constructor');
    const errors = Object.keys(api).filter((name) => name.endsWith('Error') && name !== 'RedisCacheError');
    expect([...methods, ...errors].filter((name) => !new RegExp(`\\| .*\`${name}[(\`]`).test(readme))).toEqual([]);
  });
});

describe('docs/options.md', () => {
  it('lists every option of forRoot', async () => {
    const { resolveConnection } = await import('../../lib/resolve-options.js');
    const unknown = { ttll: 1 } as Parameters<typeof RedisCacheModule.forRoot>[0] & object;
    const options = /the options are (.*)$/.exec(messageOf(() => resolveConnection(unknown, () => undefined)))?.[1];
    const page = read('docs/options.md');
    expect(options?.split(', ').filter((name) => !new RegExp(`^\\| .*\`${name}\``, 'm').test(page))).toEqual([]);
  });
});

describe('docs/auth.md', () => {
  it('lists every option of each service', async () => {
    const resolve = await import('../../lib/auth/resolve-auth-options.js');
    const unknown = { namespace: 'auth', idle: null, absolute: null, ttll: 1 };
    const services: [string, () => unknown][] = [
      ['sessions', () => resolve.resolveSessions(unknown, Date.now)],
      ['refreshTokens', () => resolve.resolveRefreshTokens(unknown, Date.now, () => undefined)],
      ['codes', () => resolve.resolveCodes(unknown, undefined, () => undefined)],
      ['attempts', () => resolve.resolveAttempts(unknown)],
    ];
    const page = read('docs/auth.md');
    const missing = services.flatMap(([service, wrong]) => {
      const options = /the options are (.*)$/.exec(messageOf(wrong))?.[1]?.split(', ') ?? ['none'];
      const row = (option: string) => new RegExp(`^\\| (each|\`${service}\`) +\\| \`${option}\``, 'm');
      return options.filter((option) => !row(option).test(page)).map((option) => `${service}.${option}`);
    });
    expect(missing).toEqual([]);
  });
});

describe('bench/results/results.svg', () => {
  const svg = read('bench/results/results.svg');

  it('is drawn from results.json', async () => {
    // A path that the compiler does not follow: bench/ has dependencies of its own and is not part of its program.
    const { chart } = (await import(join(ROOT, 'bench', 'chart.mjs'))) as { chart: (results: unknown) => string };
    expect(svg).toBe(chart(JSON.parse(read('bench/results/results.json'))));
  });

  it('has room for its longest label, in any ordinary font', () => {
    const labels = [...svg.matchAll(/<text x="(\d+)" [^>]*text-anchor="end"[^>]*>([^<]*)</g)];
    expect(labels.length).toBeGreaterThan(5);
    // 0.6 of the font size of 13 is more than an average character takes in system fonts, bold ones included.
    for (const [, end, label = ''] of labels) expect(Number(end) - label.length * 13 * 0.6).toBeGreaterThan(0);
  });
});

function linksOf(page: string): string[] {
  const prose = page.replaceAll(/```[\s\S]*?```/g, '').replaceAll(/`[^`]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
}

/** Links into the repository are checked against its files, links to elsewhere are not followed. */
function leadsSomewhere(from: string, link: string): boolean {
  const inside = link.startsWith(REPOSITORY)
    ? link.slice(REPOSITORY.length)
    : link.startsWith(RAW) && link.slice(RAW.length);
  if (inside === false && link.startsWith('https://')) return true;
  const [path = '', anchor] = (inside || link).split('#');
  const file = path === '' ? from : inside === false ? posix.join(dirname(from), path) : path;
  if (!existsSync(join(ROOT, file))) return false;
  return anchor === undefined || anchorsOf(readFileSync(join(ROOT, file), 'utf8')).includes(anchor);
}

/** As GitHub makes them of headings. */
function anchorsOf(page: string): string[] {
  const headings = [...page.replaceAll(/```[\s\S]*?```/g, '').matchAll(/^#+ (.+)$/gm)];
  return headings.map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error('nothing was thrown');
}
