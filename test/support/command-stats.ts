import type { RedisServer } from './redis-server.js';

/** Signs of life and questions about the server itself, which come at any time, and what it takes to count. */
const NOISE = ['ping', 'info', 'config', 'command'];

/**
 * How often each command (`set`, `get`, …) reaches the server while `action` runs, commands in scripts included.
 * Subcommands count as their command, since Redis 6.2 does not count them apart.
 */
export async function commandsDuring(
  server: RedisServer,
  action: () => Promise<unknown>,
): Promise<Record<string, number>> {
  await server.cli('CONFIG', 'RESETSTAT');
  await action();
  const info = String(await server.cli('INFO', 'commandstats'));
  const counts: Record<string, number> = {};
  for (const [, name = '', calls] of info.matchAll(/^cmdstat_([^|:]+).*?:calls=(\d+)/gm)) {
    if (!NOISE.includes(name)) counts[name] = (counts[name] ?? 0) + Number(calls);
  }
  return counts;
}
