import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE } from '../../scripts/npm-tool.mjs';
import { findExecutable } from '../../scripts/processes.mjs';

const FETCHED_WITHIN = 60_000;

/** Prometheus' own tool, which evaluates alerts: the system's, or that of Debian's package; `undefined` where there is neither. */
export function promtool(): string | undefined {
  const program = join(CACHE, 'promtool');
  if (!existsSync(program)) fetch(program);
  return findExecutable('promtool') ?? (existsSync(program) ? program : undefined);
}

/** Unpacks the package beside the system, and not into it. */
function fetch(program: string): void {
  if (findExecutable('promtool') !== undefined || findExecutable('apt-get') === undefined) return;
  mkdirSync(CACHE, { recursive: true });
  const workshop = mkdtempSync(join(CACHE, 'prometheus-'));
  const options = { cwd: workshop, timeout: FETCHED_WITHIN };
  try {
    spawnSync('apt-get', ['download', 'prometheus'], options);
    const archive = readdirSync(workshop).find((name) => name.endsWith('.deb'));
    if (archive === undefined || spawnSync('dpkg', ['-x', archive, 'root'], options).status !== 0) return;
    renameSync(join(workshop, 'root', 'usr', 'bin', 'promtool'), program);
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
}
