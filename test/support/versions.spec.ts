import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findRedisServer } from '../../scripts/processes.mjs';
import { RedisServer } from './redis-server.js';
import { ROOT } from './sources.js';
import { WorkerProcess } from './worker-process.js';

const ioredis = join(ROOT, 'node_modules', process.env['IOREDIS'] === '5' ? 'ioredis-5' : 'ioredis') + sep;

describe('a run of the tests', () => {
  it('uses the ioredis that IOREDIS names, in the processes it starts as well', async () => {
    const { version } = createRequire(import.meta.url)(`${ioredis}package.json`) as { version: string };
    expect(version).toMatch(process.env['IOREDIS'] === '5' ? /^5\./ : /^6\./);
    expect(createRequire(import.meta.url).resolve('ioredis')).toContain(ioredis);
    const worker = await WorkerProcess.start<typeof import('./workers/versions.worker.js')>('versions.worker');
    try {
      expect(fileURLToPath(await worker.run('ioredis'))).toContain(ioredis);
    } finally {
      await worker.kill();
    }
  });

  it('starts the server that REDIS_SERVER is the path of', async () => {
    const { path = '' } = findRedisServer();
    expect(path).toBe(process.env['REDIS_SERVER'] || path);
    const [version] = /\d+\.\d+\.\d+/.exec(execFileSync(path, ['--version'], { encoding: 'utf8' })) ?? [];
    const server = await RedisServer.start();
    try {
      expect(server.log).toContain(`version=${version}`);
    } finally {
      await server.stop();
    }
  });

  it('fails a test in whose time a promise rejects that nobody handles', () => {
    const dir = mkdtempSync(join(tmpdir(), 'jest-'));
    try {
      const careless = `test('careless', () => { Promise.reject(new Error('unhandled')); return new Promise(setImmediate); });`;
      writeFileSync(join(dir, 'careless.test.js'), careless);
      const jest = join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');
      const run = spawnSync(process.execPath, [jest, '--rootDir', dir, '--config', '{}'], { encoding: 'utf8' });
      expect([run.status, run.stderr]).toEqual([1, expect.stringMatching(/✕ careless[^]*unhandled/)]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
