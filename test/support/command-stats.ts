import type { RedisServer } from './redis-server.js';

/** Signs of life and questions about the server itself, which come at any time, and what it takes to count. */
const NOISE = ['ping', 'info', 'config', 'config|get', 'config|resetstat', 'command'];

/** What reaches the server while `action` runs: how often each command (`set`, `get`, …), those in scripts included. */
export async function commandsDuring(
  server: RedisServer,
  action: () => Promise<unknown>,
): Promise<Record<string, number>> {
  await server.cli('CONFIG', 'RESETSTAT');
  await action();
  const info = String(await server.cli('INFO', 'commandstats'));
  const counts = Array.from(info.matchAll(/^cmdstat_(.+?):calls=(\d+)/gm), ([, name = '', calls]) => [
    name,
    Number(calls),
  ]);
  return Object.fromEntries(counts.filter(([name]) => !NOISE.includes(String(name))));
}
