// Programs that npm's registry has, kept beside the repository's own packages: another Node, another package manager.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** What is fetched once for this machine. */
export const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'nestjs-redis-cache-store');

/**
 * Installs a package for its program, unless that was done before.
 * @param {string} name
 * @param {string} version exact
 * @returns {string} the folder of the package
 * @throws where the registry does not have it
 */
export function npmTool(name, version) {
  const dir = join(CACHE, 'npm', `${name}@${version}`);
  const installed = join(dir, 'node_modules', name);
  if (!existsSync(join(installed, 'package.json'))) {
    mkdirSync(dir, { recursive: true });
    const args = ['install', '--prefix', dir, '--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
    const { status, stderr } = spawnSync('npm', [...args, `${name}@${version}`], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`npm has no ${name}@${version} for this machine: ${stderr.trim()}`);
  }
  return installed;
}

/** What legs of CI and consumers that need more than the oldest supported Node run on. */
const NEWEST_NODE = '24.9.0';

/**
 * The folder with a `node` of the newest major version that is supported: the one that runs this, if it is new enough.
 * @returns {string}
 */
export function newestNode() {
  if (Number.parseInt(process.versions.node) >= Number.parseInt(NEWEST_NODE)) return join(process.execPath, '..');
  return join(npmTool(`node-${process.platform}-${process.arch}`, NEWEST_NODE), 'bin');
}
