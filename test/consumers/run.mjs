// `npm run test:consumers`: applications as Nest's templates make them install the packed package and run it.
// Each folder here is one; the scripts of its package.json that are called `check:…` are what has to work.
// `npm run test:consumers -- nest-11` runs those whose names begin so.
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { newestNode, npmTool } from '../../scripts/npm-tool.mjs';
import { startPrivateRedis } from '../../scripts/private-redis.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '..', '..');
const AT_ONCE = 2;
const PNPM = '12.21.0';
/** For an install or a check. In ms. */
const LONGEST = 300_000;

/** @typedef {{ name: string, scripts: Record<string, string>, engines?: { node?: string } }} Consumer */

const wanted = process.argv.slice(2);
const consumers = readdirSync(HERE, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && (wanted.length === 0 || wanted.some((name) => entry.name.startsWith(name))))
  .map(({ name }) => /** @type {Consumer} */ ({ ...readManifest(join(HERE, name)), name }));

const room = mkdtempSync(join(tmpdir(), 'consumers-'));
let passed = 0;
let failed = 0;
try {
  const tarball = await pack();
  const redis = await startPrivateRedis(join(room, 'redis'));
  try {
    const queue = [...consumers];
    const work = async () => {
      for (let consumer = queue.shift(); consumer !== undefined; consumer = queue.shift()) {
        await check(consumer, tarball, redis.url);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } finally {
    await redis.stop();
  }
} finally {
  rmSync(room, { recursive: true, force: true });
}
if (passed === 0) failed += 1;
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** The package as it would be published; returns the path of the file. */
async function pack() {
  await run('npm', ['run', '--silent', 'build'], ROOT, process.env);
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', room];
  const [{ filename }] = JSON.parse(await run('npm', args, ROOT, process.env));
  return join(room, filename);
}

/**
 * @param {Consumer} consumer
 * @param {string} tarball
 * @param {string} redisUrl
 */
async function check({ name, scripts, engines }, tarball, redisUrl) {
  const dir = join(room, name);
  /** @type {NodeJS.ProcessEnv} */
  const env = { ...process.env, REDIS_URL: redisUrl, CI: 'true', NODE_OPTIONS: '' };
  delete env['npm_config_local_prefix']; // of the npm that runs us
  const installed = await attempt(`${name}: install`, async () => {
    if (engines?.node !== undefined) env['PATH'] = `${newestNode()}${delimiter}${env['PATH']}`;
    cpSync(join(HERE, name), dir, { recursive: true });
    cpSync(join(HERE, 'probe.ts'), join(dir, 'src', 'probe.ts'));
    cpSync(join(HERE, 'identity.mjs'), join(dir, 'identity.mjs'));
    const manifest = readManifest(dir);
    if ('express-session' in manifest.dependencies) cpSync(join(HERE, 'adapters.ts'), join(dir, 'src', 'adapters.ts'));
    // First without this package: npm is stricter about what is added to packages that are there.
    if (existsSync(join(dir, 'pnpm-workspace.yaml'))) {
      const pnpm = join(npmTool('pnpm', PNPM), '..', '.bin', 'pnpm');
      await run(pnpm, ['install', '--prefer-offline'], dir, env);
      await run(pnpm, ['add', '--prefer-offline', `file:${tarball}`], dir, env);
    } else {
      const install = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock'];
      await run('npm', install, dir, env);
      await run('npm', [...install, `file:${tarball}`], dir, env);
    }
  });
  const checks = Object.keys(scripts).filter((script) => script.startsWith('check:'));
  for (const script of installed ? checks : []) {
    await attempt(`${name}: ${script.slice('check:'.length)}`, () => run('npm', ['run', '--silent', script], dir, env));
  }
  rmSync(dir, { recursive: true, force: true });
}

/**
 * @param {string} title
 * @param {() => Promise<unknown>} action
 */
async function attempt(title, action) {
  const begun = Date.now();
  try {
    await action();
    passed += 1;
    console.log(`passed  ${title} (${Math.round((Date.now() - begun) / 1000)} s)`);
    return true;
  } catch (error) {
    failed += 1;
    console.log(`failed  ${title}\n${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {string} cwd
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<string>} what it wrote to its standard output
 */
function run(command, args, cwd, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: LONGEST });
    let [stdout, all] = ['', ''];
    child.stdout.on('data', (chunk) => ((stdout += chunk), (all += chunk)));
    child.stderr.on('data', (chunk) => (all += chunk));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${command} ${args.join(' ')} ended with ${code ?? signal}\n${all}`));
    });
  });
}

/** @param {string} dir */
function readManifest(dir) {
  return JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'));
}
